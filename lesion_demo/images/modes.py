"""A decoded image in any of Pillow's modes → RGB uint8 [H, W, 3] in sRGB."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from lesion_demo.images import tiff

_DEEP_MODES = frozenset({"I", "F", "I;16", "I;16B", "I;16L", "I;16N"})
"""Pillow modes whose values exceed 8 bits and which its own conversion would clip."""
_BAND = 1 << 22
"""Pixels that are converted at a time, so that what comes in between takes little memory."""


class NotNumbersError(ValueError):
    """A picture holds infinity, or what is no number."""


def to_pixels(image: Image.Image) -> NDArray[np.uint8]:
    """`image`, decoded, as uint8 [H, W, 3], sRGB.

    Raises:
        NotNumbersError: a value is infinite, or is not a number.
    """
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    if image.mode in _DEEP_MODES:
        white, negative = _white(image), tiff.is_white_zero(image)
        for rows, band in _bands(image):
            grey = _to_8_bits(np.asarray(band), white)
            pixels[rows] = (255 - grey if negative else grey)[..., None]
    else:
        for rows, band in _bands(image):
            pixels[rows] = np.asarray(_to_rgb(band))
    return pixels


def _bands(image: Image.Image) -> Iterator[tuple[slice, Image.Image]]:
    """`image` from top to bottom, some rows at a time, each part with the rows that it holds."""
    step = max(1, _BAND // image.width)
    for top in range(0, image.height, step):
        bottom = min(top + step, image.height)
        yield slice(top, bottom), image.crop((0, top, image.width, bottom))


def _to_rgb(image: Image.Image) -> Image.Image:
    """`image` in any of Pillow's modes with up to 8 bits as mode RGB in sRGB."""
    profile = image.info.get("icc_profile")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image).convert("RGB")
    if image.mode == "LAB":
        lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        return _between_profiles(image, lab)
    if image.mode not in ("RGB", "CMYK", "L"):
        image = image.convert("RGB")
    if profile:
        image = _apply_profile(image, profile)
    return image.convert("RGB")


def _white(image: Image.Image) -> float:
    """The value that is white in `image`, which is of one of _DEEP_MODES.

    It is taken to be the top of the smallest usual range that holds the largest value: 1 (floats only), then 8, 12 and
    16 bits, then that value itself.

    Raises:
        NotNumbersError: a value is not a number.
    """
    peak = float(np.max([np.asarray(band).max() for _, band in _bands(image)]))
    if not np.isfinite(peak):  # NaN too: it wins every maximum
        raise NotNumbersError
    tops = (1.0, 255.0, 4095.0, 65535.0) if image.mode == "F" else (255.0, 4095.0, 65535.0)
    return next((top for top in tops if peak <= top), peak)


def _to_8_bits(values: NDArray[np.generic], white: float) -> NDArray[np.uint8]:
    """Grey values [H, W] of any number type as uint8 [H, W]; what is negative is 0, and `white` is 255."""
    return np.round(np.clip(values.astype(np.float64) / white, 0.0, 1.0) * 255.0).astype(np.uint8)


def _apply_profile(image: Image.Image, profile: bytes) -> Image.Image:
    """`image` (RGB, CMYK or L) taken from its embedded ICC `profile` to sRGB: phones save in Display P3.

    A profile that is damaged or made for other channels is disregarded, as browsers do.
    """
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(source):
            return image
        return _between_profiles(image, source)
    except (ImageCms.PyCMSError, OSError):
        return image


def _between_profiles(image: Image.Image, source: ImageCms.ImageCmsProfile) -> Image.Image:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    converted = ImageCms.profileToProfile(image, source, srgb, outputMode="RGB")
    assert converted is not None  # it is None only for inPlace=True
    return converted
