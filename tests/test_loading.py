"""Any file a person has becomes RGB uint8 [H, W, 3], and every other file an `ImageError` of one clear sentence."""

from __future__ import annotations

import ast
import contextlib
import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from lesion_demo.errors import ImageError
from lesion_demo.imaging import loading
from lesion_demo.imaging.loading import PICTURE_SUFFIXES, load_image

WIDTH, HEIGHT = 60, 40
CORNERS = {"top left": (220, 40, 40), "top right": (40, 200, 40), "bottom left": (40, 40, 220)}


def quarters() -> Image.Image:
    """60 × 40 pixels: red, green, blue and grey quarters, so that every turn of it shows."""
    pixels = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    pixels[:20, :30], pixels[:20, 30:], pixels[20:, :30] = CORNERS.values()
    return Image.fromarray(pixels)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def heic(image: Image.Image) -> bytes:
    """Encoded without registering anything with Pillow: that is `load_image`'s job."""
    buffer = io.BytesIO()
    pillow_heif.from_pillow(image).save(buffer, quality=95)
    return buffer.getvalue()


def assert_quarters(pixels: NDArray[np.uint8], tolerance: int = 25) -> None:
    assert pixels.shape == (HEIGHT, WIDTH, 3)
    assert pixels.dtype == np.uint8
    seen = [pixels[10, 15], pixels[10, 45], pixels[30, 15]]
    np.testing.assert_allclose(np.array(seen, int), list(CORNERS.values()), atol=tolerance)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "JPEG2000"])
def test_reads_every_format(kind: str) -> None:
    assert_quarters(load_image(encoded(quarters(), kind)))


def test_reads_heic() -> None:
    assert_quarters(load_image(heic(quarters())))


def test_reads_paths_bytes_and_streams(tmp_path: Path) -> None:
    path = tmp_path / "lesion.png"
    path.write_bytes(encoded(quarters(), "PNG"))
    for source in (path, str(path), path.read_bytes(), io.BytesIO(path.read_bytes())):
        assert_quarters(load_image(source))


def test_content_counts_not_the_suffix(tmp_path: Path) -> None:
    path = tmp_path / "lesion.jpg"
    path.write_bytes(encoded(quarters(), "PNG"))
    assert_quarters(load_image(path))


def test_result_is_writable_and_contiguous() -> None:
    pixels = load_image(encoded(quarters(), "PNG"))
    assert pixels.flags.writeable
    assert pixels.flags.c_contiguous


TURNS: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    3: lambda a: a[::-1, ::-1],
    6: lambda a: np.rot90(a, 1),
    8: lambda a: np.rot90(a, -1),
}
"""EXIF orientation → how a camera so held stores an upright picture."""


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", TURNS)
def test_orientation_is_applied_once(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(TURNS[orientation](np.asarray(quarters()))))
    assert_quarters(load_image(encoded(stored, kind, exif=exif)))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF:UserWarning")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("exif", [b"Exif\0\0no such thing", b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01"])
def test_damaged_exif_does_not_cost_the_picture(kind: str, exif: bytes) -> None:
    assert_quarters(load_image(encoded(quarters(), kind, exif=exif)))


def test_transparent_becomes_white() -> None:
    image = quarters().convert("RGBA")
    image.putalpha(Image.fromarray(np.repeat(np.array([[255] * 30 + [0] * 30], np.uint8), HEIGHT, axis=0)))
    for kind in ("PNG", "WEBP", "TIFF"):
        pixels = load_image(encoded(image, kind))
        assert tuple(pixels[10, 45]) == (255, 255, 255), kind
        np.testing.assert_allclose(pixels[10, 10].astype(int), CORNERS["top left"], atol=25)


def test_transparent_palette_becomes_white() -> None:
    image = quarters().quantize(8)
    index = image.getpixel((45, 10))
    pixels = load_image(encoded(image, "PNG", transparency=index))
    assert tuple(pixels[10, 45]) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["L", "LA", "1", "P", "CMYK", "RGBA"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    kind = "TIFF" if mode == "CMYK" else "PNG"
    pixels = load_image(encoded(quarters().convert(mode), kind))
    expected = np.asarray(quarters().convert(mode).convert("RGB"), int)
    assert pixels.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(pixels.astype(int) - expected).mean() < 3


def test_lab_tiff() -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    image = ImageCms.profileToProfile(quarters(), srgb, lab, outputMode="LAB")
    assert image is not None
    assert_quarters(load_image(encoded(image, "TIFF")))


@pytest.mark.parametrize(
    ("dtype", "white"),
    [(np.uint16, 65535), (np.uint16, 4095), (np.uint16, 255), (np.int32, 65535), (np.float32, 1.0), (np.float32, 255)],
)
def test_deep_grey_is_scaled_not_clipped(dtype: type, white: float) -> None:
    ramp: NDArray[np.generic] = np.tile(np.linspace(0, white, 64), (48, 1)).astype(dtype)
    pixels = load_image(encoded(Image.fromarray(ramp), "TIFF"))
    assert pixels.shape == (48, 64, 3)
    np.testing.assert_allclose(pixels[0, :, 0], np.linspace(0, 255, 64), atol=1.5)


def test_deep_grey_png() -> None:
    ramp = np.tile(np.linspace(0, 65535, 64), (48, 1)).astype(np.uint16)
    np.testing.assert_allclose(load_image(encoded(Image.fromarray(ramp), "PNG"))[0, :, 1], ramp[0] / 257, atol=1)


def test_values_that_are_not_numbers_are_refused() -> None:
    values = np.full((48, 48), 0.5, np.float32)
    values[3, 3] = np.nan
    with pytest.raises(ImageError, match="damaged"):
        load_image(encoded(Image.fromarray(values), "TIFF"))


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "PNG", "WEBP"])
def test_first_picture_of_several(kind: str) -> None:
    second = Image.new("RGB", (WIDTH, HEIGHT), "white")
    assert_quarters(load_image(encoded(quarters(), kind, save_all=True, append_images=[second])))


def test_embedded_profile_is_applied() -> None:
    """A linear-light profile: what is stored as 55 of 255 looks like 128, and black and white stay."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    grey = Image.new("RGB", (40, 40), (55, 55, 55))
    assert load_image(encoded(grey, "PNG", icc_profile=profile))[0, 0, 0] == 55
    linear = _with_linear_curves(profile)
    np.testing.assert_allclose(load_image(encoded(grey, "PNG", icc_profile=linear))[0, 0], 128, atol=3)


def _with_linear_curves(profile: bytes) -> bytes:
    """The sRGB profile under another name, its tone curves replaced by straight lines."""
    data = bytearray(profile)
    for i in range(int.from_bytes(data[128:132], "big")):
        entry = 132 + 12 * i
        tag, offset = bytes(data[entry : entry + 4]), int.from_bytes(data[entry + 4 : entry + 8], "big")
        if tag in (b"rTRC", b"gTRC", b"bTRC"):
            data[offset : offset + 16] = b"para" + bytes(4) + bytes(4) + (1 << 16).to_bytes(4, "big")  # gamma 1
    return bytes(data).replace("sRGB".encode("utf-16-be"), "Line".encode("utf-16-be"))


def test_damaged_profile_is_disregarded() -> None:
    assert_quarters(load_image(encoded(quarters(), "PNG", icc_profile=b"no profile at all")))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"“gone\.jpg” does not exist"):
        load_image(tmp_path / "gone.jpg")


def test_folder(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="is a folder"):
        load_image(tmp_path)


def test_impossible_path() -> None:
    with pytest.raises(ImageError, match="could not be read"):
        load_image("le\0sion.jpg")


@pytest.mark.parametrize("source", [b"", io.BytesIO()])
def test_empty_file(source: bytes | io.BytesIO) -> None:
    with pytest.raises(ImageError, match="is empty"):
        load_image(source)


@pytest.mark.parametrize("kind", ["EPS", "PCX"])
def test_formats_beyond_the_known_are_not_tried(kind: str) -> None:
    """Pillow reads EPS by running Ghostscript on it."""
    with pytest.raises(ImageError, match="is not a picture in a format known here"):
        load_image(encoded(quarters(), kind))


@pytest.mark.parametrize("data", [b"x", b"a shopping list, not a picture " * 9])
def test_not_a_picture(data: bytes) -> None:
    with pytest.raises(ImageError, match="is not a picture"):
        load_image(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "JPEG2000"])
@pytest.mark.parametrize("share", [0.3, 0.7])
def test_truncated(kind: str, share: float) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    data = encoded(noise, kind)
    with pytest.raises(ImageError, match="is damaged or cut off") as caught:
        load_image(data[: int(share * len(data))])
    assert caught.value.__cause__ is not None


def test_random_damage_raises_nothing_else() -> None:
    chance = random.Random(0)
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 48, 3), dtype=np.uint8))
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP"):
        data = encoded(noise, kind)
        for _ in range(40):
            broken = bytearray(data)
            for _ in range(4):
                broken[chance.randrange(min(len(broken), 300))] = chance.randrange(256)
            with contextlib.suppress(ImageError):
                load_image(bytes(broken))


def test_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "MAX_PIXELS", WIDTH * HEIGHT - 1)
    with pytest.raises(ImageError, match="is too large"):
        load_image(encoded(quarters(), "PNG"))


def test_decompression_bomb_is_refused_unread() -> None:
    """A header that claims 40,000 × 40,000 pixels, in a file of 100 bytes."""
    header = bytearray(encoded(Image.new("L", (64, 64)), "BMP"))
    header[18:26] = (40_000).to_bytes(4, "little") * 2
    with pytest.raises(ImageError, match="is too large"):
        load_image(bytes(header))


def test_too_many_bytes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(loading, "MAX_BYTES", 50)
    path = tmp_path / "large.png"
    path.write_bytes(encoded(quarters(), "PNG"))
    for source in (path, path.read_bytes()):
        with pytest.raises(ImageError, match="is too large"):
            load_image(source)


@pytest.mark.parametrize("size", [(31, 200), (200, 31), (1, 1)])
def test_too_small(size: tuple[int, int]) -> None:
    with pytest.raises(ImageError, match="is only"):
        load_image(encoded(Image.new("RGB", size), "PNG"))
    assert load_image(encoded(Image.new("RGB", (32, 32)), "PNG")).shape == (32, 32, 3)


def test_codec_is_not_imported_with_the_module() -> None:
    """HEIC support is added at the first picture, not at import, where it would cost every command its time."""
    body = ast.parse(Path(loading.__file__).read_text(encoding="utf-8")).body
    imported = [ast.unparse(node) for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert imported
    assert not any("heif" in line for line in imported)


def test_suffixes() -> None:
    assert {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif", ".heic"} <= PICTURE_SUFFIXES
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in PICTURE_SUFFIXES)
