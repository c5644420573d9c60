"""What Pillow passes over in a TIFF file: found by reading every kind that tifffile writes."""

from __future__ import annotations

from PIL import Image
from PIL.TiffImagePlugin import (
    BITSPERSAMPLE,
    COMPRESSION,
    PHOTOMETRIC_INTERPRETATION,
    PLANAR_CONFIGURATION,
    SAMPLEFORMAT,
    TiffImageFile,
)

_NEW_SUBFILE_TYPE = 254
_SUB_IFDS, _DNG_VERSION = 330, 50706
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_RAW = (b"IIU\0", b"IIRO", b"IIRS", b"MMOR", b"FUJIFILMCCD-RAW", b"FOVb", b"\0MRM", b"II\x1a\0\0\0HEAPCCDR")
"""How the raw files of Panasonic, Olympus, Fujifilm, Sigma, Minolta and of Canon's first cameras begin."""
_REDUCED = 1  # a bit of it: a smaller copy of another picture in the file
_MOST_PAGES_LOOKED_AT = 20
_UNSIGNED, _SIGNED = 1, 2
_UNCOMPRESSED, _SEPARATE_PLANES = 1, 2


def is_white_zero(image: Image.Image) -> bool:
    """Does the greatest value of a TIFF file stand for black? Pillow sees to it with values of up to 8 bits only."""
    return isinstance(image, TiffImageFile) and image.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == 0


def starts_like_tiff(data: bytes) -> bool:
    return data.startswith(_TIFF)


def starts_like_raw(data: bytes) -> bool:
    """Does a camera's raw file begin as `data` does, beside those that are TIFF files, see `is_raw`?"""
    canon = data[:4] in _TIFF and data[8:10] == b"CR", data[4:12] == b"ftypcrx "
    return data.startswith(_RAW) or any(canon)


def is_raw(image: Image.Image) -> bool:
    """Is this TIFF file a camera's raw file (DNG, NEF, ARW, CR2 …)? Pillow would read the small preview in it."""
    if not isinstance(image, TiffImageFile):
        return False
    tags = image.tag_v2
    preview = tags.get(_NEW_SUBFILE_TYPE, 0) & _REDUCED and _SUB_IFDS in tags
    return bool(preview) or _DNG_VERSION in tags


def is_misread(image: Image.Image) -> bool:
    """Would Pillow, without an error, make something else of this TIFF file's values?

    It does so where signed values have 8 bits, where planes of 16 bits lie one after the other, uncompressed, and
    where compressed values of 32 bits, or signed ones of 16, come with their greater end first.
    """
    if not isinstance(image, TiffImageFile):
        return False
    tags = image.tag_v2
    bits, kind = max(tags.get(BITSPERSAMPLE, (1,))), max(tags.get(SAMPLEFORMAT, (_UNSIGNED,)))
    compressed = tags.get(COMPRESSION, _UNCOMPRESSED) != _UNCOMPRESSED
    if bits == 8 and kind == _SIGNED:
        return True
    if bits == 16 and not compressed and tags.get(PLANAR_CONFIGURATION) == _SEPARATE_PLANES:
        return True
    return compressed and tags.prefix == b"MM" and (bits == 32 or (bits == 16 and kind == _SIGNED))


def has_more_pages(image: TiffImageFile) -> bool:
    """Is there another page than the first? Smaller copies of a page do not count. Leaves `image` at the first."""
    try:
        for page in range(1, _MOST_PAGES_LOOKED_AT):
            image.seek(page)
            if not image.tag_v2.get(_NEW_SUBFILE_TYPE, 0) & _REDUCED:
                return True
        return True
    except EOFError:
        return False
    finally:
        image.seek(0)
