"""Any file a person has becomes RGB uint8 [H, W, 3], and every other file an `ImageError` of one clear sentence."""

from __future__ import annotations

import ast
import contextlib
import io
import os
import random
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pillow_heif
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from lesion_demo.errors import ImageError
from lesion_demo.images import load as loading
from lesion_demo.images.jpeg import count_scans
from lesion_demo.images.load import MAX_ASPECT, MAX_SCANS, PICTURE_SUFFIXES, load_image, load_picture
from lesion_demo.web.picture import needs_preview

Order = Literal["<", ">"]
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


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "PNG", "WEBP", "AVIF"])
def test_it_is_said_that_there_are_more_pictures(kind: str) -> None:
    second = Image.new("RGB", (WIDTH, HEIGHT), "white")
    assert load_picture(encoded(quarters(), kind, save_all=True, append_images=[second])).first_of_several
    assert not load_picture(encoded(quarters(), kind)).first_of_several


def test_heic_of_several() -> None:
    file = pillow_heif.from_pillow(quarters())
    file.add_from_pillow(Image.new("RGB", (WIDTH, HEIGHT), "white"))
    buffer = io.BytesIO()
    file.save(buffer, quality=95)
    assert load_picture(buffer.getvalue()).first_of_several
    assert not load_picture(heic(quarters())).first_of_several


def test_a_cameras_second_copy_is_no_second_picture() -> None:
    """Phones put a brighter or a smaller copy behind the picture, and TIFF files hold one for the preview."""
    small = quarters().resize((40, 32))
    assert not load_picture(encoded(quarters(), "MPO", save_all=True, append_images=[small])).first_of_several
    pages = [tiff(np.zeros((32, 32), np.uint8)), tiff(np.zeros((32, 32), np.uint8), {254: 1})]
    assert not load_picture(joined(*pages)).first_of_several
    assert load_picture(joined(pages[0], pages[0])).first_of_several


def test_a_second_page_that_cannot_be_read_is_one_all_the_same() -> None:
    page = tiff(np.zeros((32, 32), np.uint8))
    assert load_picture(joined(page, tiff(np.zeros((32, 32), np.uint8), {258: 7}))).first_of_several


def tiff(
    values: NDArray[np.generic], tags: dict[int, int] | None = None, order: Order = "<", packed: bytes = b""
) -> bytes:
    """A TIFF file of one strip of grey `values` [H, W] and nothing that Pillow or libtiff would set right.

    `tags` take the place of those that the values ask for, and `packed` that of their bytes.
    """
    height, width = values.shape
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    data = packed or values.astype(values.dtype.newbyteorder(order)).tobytes()
    entries = {256: width, 257: height, 258: 8 * values.dtype.itemsize, 259: 1, 262: 1, 273: 8, 277: 1, 278: height}
    entries |= {279: len(data), 339: kind} | (tags or {})
    directory = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in sorted(entries.items()))
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8 + len(data))
    return head + data + struct.pack(f"{order}H", len(entries)) + directory + bytes(4)


def joined(first: bytes, second: bytes) -> bytes:
    """The pages of two such files, little-endian, in one: the second's strip starts where it did in the first."""
    start = struct.unpack_from("<I", second, 4)[0]
    return first[:-4] + struct.pack("<I", len(first)) + second[start:]


RAMP = np.tile(np.linspace(0, 1, 64), (48, 1))
DEPTHS = [
    (np.uint8, 255, "<"), (np.uint8, 255, ">"), (np.uint16, 65535, "<"), (np.uint16, 4095, "<"),
    (np.float32, 1.0, "<"), (np.float32, 1.0, ">"), (np.float32, 255.0, "<"),
]  # fmt: skip


@pytest.mark.parametrize(("dtype", "white", "order"), DEPTHS)
@pytest.mark.parametrize("white_is_zero", [False, True])
def test_white_is_zero_is_no_negative(dtype: type, white: float, order: Order, white_is_zero: bool) -> None:
    values: NDArray[np.generic] = ((1 - RAMP if white_is_zero else RAMP) * white).astype(dtype)
    pixels = load_image(tiff(values, {262: int(not white_is_zero)}, order))
    np.testing.assert_allclose(pixels[:, :, 0], 255 * RAMP, atol=2)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_white_is_zero_with_few_bits(bits: int) -> None:
    values: NDArray[np.uint8] = np.round(RAMP * (2**bits - 1)).astype(np.uint8)
    for negative in (False, True):
        digits = np.unpackbits((2**bits - 1 - values if negative else values)[..., None], axis=-1)[..., 8 - bits :]
        packed = np.packbits(digits.reshape(48, -1), axis=1).tobytes()
        pixels = load_image(tiff(values, {258: bits, 262: int(not negative)}, packed=packed))
        np.testing.assert_allclose(pixels[:, :, 0], values * (255 // (2**bits - 1)), atol=1)


def test_a_tiff_that_would_be_misread_is_refused() -> None:
    """Pillow reads these without an error, as noise or with other values."""
    signed, wide = (RAMP * 127).astype(np.int8), (RAMP * 65535).astype(np.uint16)
    planes = tiff(np.tile(wide, (3, 1)), {257: 48, 262: 2, 277: 3, 284: 2})
    real = RAMP.astype(np.float32)
    swapped = tiff(real, {259: 8}, ">", zlib.compress(real.astype(">f4").tobytes()))
    for data in (tiff(signed), planes, swapped):
        with pytest.raises(ImageError, match="cannot be read reliably here; please export it as PNG"):
            load_image(data)


def test_a_preview_is_made_by_what_the_file_holds(tmp_path: Path) -> None:
    second = Image.new("RGB", (WIDTH, HEIGHT), "white")
    plain, animated = (encoded(quarters(), "GIF", save_all=True, append_images=more) for more in ([], [second]))
    files = {
        "photo.jpg": (heic(quarters()), True),  # as some phones name it
        "scan.png": (encoded(quarters(), "TIFF"), True),
        "photo.JPG": (encoded(quarters(), "JPEG"), False),
        "both.jpg": (encoded(quarters(), "MPO", save_all=True, append_images=[second]), False),
        "webp.png": (encoded(quarters(), "WEBP"), False),
        "photo.heic": (encoded(quarters(), "JPEG"), True),  # served as what no browser but one shows
        "plain.gif": (plain, False),
        "animated.gif": (animated, True),  # of which the first picture alone is analysed
    }
    for name, (data, needed) in files.items():
        (tmp_path / name).write_bytes(data)
        assert needs_preview(str(tmp_path / name)) == needed, name


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


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(ImageError, match="is no regular file"):
        load_image(tmp_path / "pipe.jpg")


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


def progressive(scans: int) -> bytes:
    """A progressive JPEG of so many `scans`: its last, which refines one that came before, over and over."""
    data = encoded(quarters().resize((96, 64)), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * (scans - count_scans(data, 1000) + 1) + data[-2:]


def test_scans_are_counted() -> None:
    exif = Image.Exif()
    exif[0x010E] = "\u00ff\u00da not a marker"
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8))
    plain = encoded(noise, "JPEG", quality=98, exif=exif)
    assert b"\xff\x00" in plain  # stuffed bytes, which are no markers
    assert count_scans(plain, 1000) == 1
    assert count_scans(encoded(noise, "JPEG", restart_marker_blocks=2), 1000) == 1
    several = count_scans(encoded(noise, "JPEG", progressive=True), 1000)
    assert 6 <= several <= 12
    two = encoded(noise, "MPO", progressive=True, save_all=True, append_images=[noise])
    assert count_scans(two, 1000) == several
    small = encoded(quarters(), "JPEG", progressive=True)
    segment = b"\xff\xe1" + (2 + len(small)).to_bytes(2, "big") + small
    assert count_scans(plain[:2] + segment + plain[2:], 1000) == 1
    assert count_scans(progressive(300), 50) == 50
    for cut in range(0, 400, 7):
        assert count_scans(plain[:cut], 1000) <= 1


def test_a_jpeg_that_is_decoded_over_and_over_is_refused() -> None:
    """500 scans of a large picture in 0.7 MB keep a processor for 20 s."""
    assert load_image(progressive(MAX_SCANS)).shape == (64, 96, 3)
    with pytest.raises(ImageError, match="more than 100 times over"):
        load_image(progressive(MAX_SCANS + 1))


@pytest.mark.parametrize("size", [(32, 321), (321, 32), (32, 150_000)])
def test_a_strip_is_refused_undecoded(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(Image.new("RGB", size), "PNG")
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", lambda self: pytest.fail("it was decoded"))
    with pytest.raises(ImageError, match=f"more than {MAX_ASPECT} times as long"):
        load_image(data)


def test_a_long_picture_is_not() -> None:
    assert load_image(encoded(Image.new("RGB", (320, 32)), "PNG")).shape == (32, 320, 3)


PEAK = """
import sys
from pathlib import Path
from lesion_demo.images.load import load_image

def peak():  # not getrusage's, which begins with that of the process that started this one
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024

before = peak()
load_image(sys.argv[1])
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells the peak of a process")
@pytest.mark.parametrize("dtype", [np.uint16, np.uint8])
def test_memory_is_bounded(dtype: type, tmp_path: Path) -> None:
    """16 bits took 30 bytes a pixel, and 8 bits 14; what is converted at a time takes some more, whatever the size."""
    side = 5000
    values: NDArray[np.generic] = np.broadcast_to(np.arange(side), (side, side)).astype(dtype)
    image = Image.fromarray(values if dtype == np.uint16 else np.repeat(values[..., None], 3, axis=2))
    path = tmp_path / "large.png"
    image.save(path, compress_level=1)
    command = [sys.executable, "-c", PEAK, str(path)]
    found = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent.parent)
    assert float(found.stdout) < 9 * side**2 / 2**20 + 120


@pytest.mark.parametrize("step", ["_read", "_to_pixels", "Image.open", "Image.Image.crop", "ImageOps.exif_transpose"])
def test_too_little_memory_is_said_and_not_called_damage(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(f"lesion_demo.images.load.{step}", exhausted)
    with pytest.raises(ImageError, match="more memory than there is just now"):
        load_image(encoded(quarters(), "PNG"))
