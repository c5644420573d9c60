"""Any picture file a person has → RGB uint8 [H, W, 3], upright and in sRGB, or an `ImageError` that says why not."""

from __future__ import annotations

import functools
import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TiffImageFile

from lesion_demo.errors import ImageError
from lesion_demo.images import dicom, jpeg, tiff
from lesion_demo.images.file_bytes import MAX_PIXELS, read_bytes, too_large
from lesion_demo.images.modes import NotNumbersError, to_pixels

PICTURE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".tif", ".tiff", ".bmp", ".dib", ".gif", ".avif"}
    | {".heic", ".heif", ".hif", ".jp2", ".dcm", ".dicom"}
)
"""File name endings, lower case, that a folder scan takes for pictures. `load_image` itself looks at the content."""

MIN_SIDE = 32
"""Pixels; on a shorter side than this no lesion can be seen."""
MAX_ASPECT = 10
"""A picture that is more times as long as wide, or as wide as long, is refused: no camera makes one."""
MAX_SCANS = 100
"""A JPEG file with more scans is refused undecoded. Progressive ones have about ten, and every one is a pass over the
whole picture; libtiff draws the same line, since libjpeg draws none."""

ENOUGH = 720
"""Pixels of the shorter side below which no picture is scaled while it is decoded: three times as many as the
network sees and the measurements take, and about as many as the page shows."""
COARSE = 100.0
"""Mean step of quantisation of luminance in a JPEG file, about that of quality 28. One as coarse is decoded in full,
as its blocks are measured, see `measurements.blockiness`."""

_FORMATS = (dicom.FORMAT, "JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "HEIF", "JPEG2000")
"""What Pillow may try, in this order: a DICOM file may begin like another. Its other formats (EPS runs Ghostscript, for
one) are not for files of unknown origin."""
_DAMAGE = (
    *(OSError, SyntaxError, ValueError, EOFError, TypeError, IndexError, KeyError, RuntimeError, ArithmeticError),
    *(MemoryError, struct.error, zlib.error),
)
"""What Pillow and its plugins raise on damaged files, found by feeding them some."""


@dataclass(frozen=True)
class LoadedPicture:
    """What a file holds.

    Attributes:
        pixels: uint8 [H, W, 3], RGB.
        first_of_several: is it one picture of more: of a document's pages, or of an animation?
        whole: height and width of the picture in the file, upright, where it was scaled while it was decoded.
    """

    pixels: NDArray[np.uint8]
    first_of_several: bool = False
    whole: tuple[int, int] | None = None


def load_image(source: str | Path | bytes | BinaryIO) -> NDArray[np.uint8]:
    """The pixels of `load_picture`."""
    return load_picture(source).pixels


def load_picture(source: str | Path | bytes | BinaryIO, *, scaled: bool = False) -> LoadedPicture:
    """The picture in `source`, a path or a file's content, as uint8 [H, W, 3], RGB, 0–255.

    EXIF orientation and an embedded colour profile are applied, transparency is laid over white, grey becomes RGB,
    16-bit and float values are scaled to 8 bits. Of animations, multi-page and multi-frame files it is the first
    picture. Of a DICOM file nothing is read but the picture and what describes it.

    It takes up to 8 bytes of memory for each pixel, beside the file itself and what a decoder may want for its own.

    Args:
        scaled: decode a large JPEG file at a half, a quarter or an eighth, whichever leaves ENOUGH pixels. That takes a
            fraction of the time and memory; whoever judges the picture scales it further down in any case.

    Raises:
        ImageError: the file is missing, empty, no picture, damaged, too large, too small, too oblong, takes too many
            passes to decode, or more memory than there is.
    """
    name = f"“{Path(source).name}”" if isinstance(source, str | Path) else "The file"
    try:
        data = read_bytes(source, name)
        with _open(data, name) as image:
            _check_before_decoding(image, data, name)
            several = shows_several(image)
            stored = image.size
            if scaled:
                _scale_while_decoding(image)
            reduced = image.size != stored
            pixels = _decode(image, name)
    except MemoryError as error:
        raise out_of_memory(name) from error
    _check_least(pixels, name)
    return LoadedPicture(pixels, several, _upright_shape(stored, pixels) if reduced else None)


def pixels_of(image: Image.Image, name: str = "The picture") -> NDArray[np.uint8]:
    """An image that a program has opened or made, in any of Pillow's modes, as `load_picture` gives those of files.

    Raises:
        ImageError: it is damaged, too large, too small or too oblong, or takes more memory than there is.
    """
    _check_size(image, name)
    try:
        pixels = _decode(image.copy(), name)
    except MemoryError as error:
        raise out_of_memory(name) from error
    except _DAMAGE as error:  # the copy decodes a file that was opened and no more
        raise _damaged(name) from error
    _check_least(pixels, name)
    return pixels


def open_picture(path: str | Path) -> Image.Image:
    """The picture at `path` with its header read and its pixels not yet decoded; whose name is of no account.

    Raises:
        ImageError: there is none that can be read.
    """
    try:
        return Image.open(path, formats=_readable_formats())
    except (*_DAMAGE, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"“{Path(path).name}” is not a picture in a supported format.") from error


def shows_several(image: Image.Image) -> bool:
    """Is `image` the first of an animation's pictures, or of a document's pages?

    The second picture in a camera's MPO file is a smaller or brighter copy of the first, and does not count.
    """
    if image.format == "MPO":
        return False
    try:
        if isinstance(image, TiffImageFile):
            return tiff.has_more_pages(image)
        return bool(getattr(image, "is_animated", False))
    except _DAMAGE:  # there is a second one, though it cannot be read
        return True


def out_of_memory(name: str) -> ImageError:
    """What to say where the memory does not suffice for the picture called `name`."""
    return ImageError(f"{name} needs more memory than is free at the moment; please scale it down, or try again later.")


def _decode(image: Image.Image, name: str) -> NDArray[np.uint8]:
    try:
        image.load()
        return to_pixels(_upright(image))
    except MemoryError:
        raise
    except NotNumbersError as error:
        raise ImageError(f"{name} holds values that are not numbers; please export it as PNG or JPEG.") from error
    except _DAMAGE as error:
        raise _damaged(name) from error


def _upright_shape(stored: tuple[int, int], pixels: NDArray[np.uint8]) -> tuple[int, int]:
    """Height and width, from the width and height in the file, as `pixels` [h, w, 3] were turned."""
    width, height = stored
    turned = (width > height) != (pixels.shape[1] > pixels.shape[0])
    return (width, height) if turned else (height, width)


def _scale_while_decoding(image: Image.Image) -> None:
    """Have a JPEG file's decoder leave out what is finer than needed; other pictures stay as they are."""
    if isinstance(image, JpegImageFile) and image.quantization and np.mean(image.quantization[0]) < COARSE:
        image.draft(None, (ENOUGH, ENOUGH))


def _check_before_decoding(image: Image.Image, data: bytes, name: str) -> None:
    """What would take too long, too much memory, or come out wrong is told by the header, or by a look at the file."""
    _check_size(image, name)
    if isinstance(image, dicom.DicomFile):
        data = image.compressed
    if image.format in ("JPEG", "MPO", dicom.FORMAT) and jpeg.count_scans(data, MAX_SCANS + 1) > MAX_SCANS:
        raise ImageError(
            f"{name} has more than {MAX_SCANS} scans, each of which has to be decoded; "
            "please export it again as an ordinary JPEG."
        )
    try:
        raw, misread = tiff.starts_like_raw(data) or tiff.is_raw(image), tiff.is_misread(image)
    except _DAMAGE as error:  # a tag whose value is of another type than it has in any TIFF
        raise _damaged(name) from error
    if raw:
        raise _raw(name)
    if misread:
        raise ImageError(f"{name} is a kind of TIFF that cannot be read reliably; please export it as PNG or JPEG.")


def _check_size(image: Image.Image, name: str) -> None:
    if isinstance(image, dicom.DicomFile) and image.refusal:  # it has no size
        raise ImageError(f"{name} {image.refusal}")
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise too_large(name, f"{width} × {height} pixels")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise ImageError(
            f"{name} is {width} × {height} pixels, more than {MAX_ASPECT} times as long as it is wide; "
            "please cut out the part that shows the lesion."
        )


def _check_least(pixels: NDArray[np.uint8], name: str) -> None:
    height, width = pixels.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise ImageError(
            f"{name} is only {width} × {height} pixels; please use a picture of at least {MIN_SIDE} on each side."
        )


def _open(data: bytes, name: str) -> Image.Image:
    """The picture with its header read and its pixels not yet decoded."""
    formats = _readable_formats()
    try:
        return Image.open(io.BytesIO(data), formats=formats)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise too_large(name, f"over {MAX_PIXELS // 10**6} megapixels") from error
    except MemoryError:
        raise
    except _DAMAGE as error:
        if tiff.starts_like_raw(data):
            raise _raw(name) from error
        if tiff.starts_like_tiff(data):
            raise ImageError(
                f"{name} is damaged or cut off, or is an unsupported kind of TIFF, such as one with "
                "floating-point colours; please export it again, as PNG or JPEG."
            ) from error
        if _starts_like_a_picture(data[:16], formats) or dicom.is_dicom(data):
            raise _damaged(name) from error
        raise ImageError(
            f"{name} is not a picture in a supported format; please use JPEG, PNG, WebP, TIFF, HEIC or DICOM."
        ) from error


@functools.cache
def _readable_formats() -> tuple[str, ...]:
    """Those of `_FORMATS` that this installation can read; the first call adds HEIC and DICOM to Pillow."""
    import pillow_heif  # here, not above: 16 MB of codec that training never needs

    pillow_heif.register_heif_opener()
    dicom.register()
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _starts_like_a_picture(prefix: bytes, formats: tuple[str, ...]) -> bool:
    tests = [Image.OPEN[name][1] for name in formats]
    return any(test is not None and test(prefix) is True for test in tests)


def _damaged(name: str) -> ImageError:
    return ImageError(f"{name} is damaged or cut off; please copy or export it again.")


def _raw(name: str) -> ImageError:
    return ImageError(f"{name} is a camera's raw file; please export it as JPEG, PNG or TIFF.")


def _upright(image: Image.Image) -> Image.Image:
    """`image`, decoded, turned as its EXIF says; where the EXIF is damaged and the pixels are not, as it is stored."""
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except MemoryError:
        raise
    except _DAMAGE:
        return image
    return image
