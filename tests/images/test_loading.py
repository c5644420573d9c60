"""Any file a person has becomes RGB uint8 [H, W, 3], and every other file an `ImageError` of one clear sentence."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pillow_heif
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms
from quarters import CORNERS, HEIGHT, WIDTH, encoded, quarters

from lesion_demo.errors import ImageError
from lesion_demo.images.load import load_image, load_picture
from lesion_demo.web.picture import needs_preview

Order = Literal["<", ">"]


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
    with pytest.raises(ImageError, match="holds values that are not numbers; please export it as PNG"):
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
        with pytest.raises(ImageError, match="cannot be read reliably; please export it as PNG"):
            load_image(data)


def test_a_camera_s_raw_file_is_called_that() -> None:
    """Pillow reads the small preview in most of them, or calls them damaged."""
    grey = (RAMP * 255).astype(np.uint8)
    canon = grey.copy()
    canon[0, :2] = [*b"CR"]  # where its second version has them, eight bytes into the file
    files = {
        "DNG": tiff(grey, {50706: 1}),
        "NEF": tiff(grey, {254: 1, 330: 8}),
        "CR2": tiff(canon),
        "CR3": b"\0\0\0\x18ftypcrx \0\0\0\1",
        "RAF": b"FUJIFILMCCD-RAW 0201" + bytes(60),
        "ORF": b"IIRO\x08\0\0\0" + bytes(60),
    }
    for data in files.values():
        with pytest.raises(ImageError, match="is a camera's raw file; please export it as JPEG"):
            load_image(data)
    assert load_image(tiff(grey, {254: 1})).shape == (48, 64, 3), "a copy of reduced size by itself is a picture"


@pytest.mark.parametrize("dtype", [np.float16, np.float64, "float colours"])
def test_a_tiff_of_a_kind_that_is_not_read_is_called_more_than_damaged(dtype: Any) -> None:
    colours = np.repeat(RAMP.astype(np.float32), 3, axis=1)
    data = tiff(colours, {256: 64, 262: 2, 277: 3}) if dtype == "float colours" else tiff(RAMP.astype(dtype))
    with pytest.raises(ImageError, match="or is an unsupported kind of TIFF, such as one with floating-point"):
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
