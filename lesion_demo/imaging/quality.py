"""Is a picture good enough to be judged? Light, contrast, sharpness, glare and size, measured inside the lit field.

A failed check is advice to the person with the camera, never a reason to refuse the picture.

The limits were chosen on 1,549 pictures of train splits: 550 of melanoma10k, 550 of HAM10000, all 449 of PAD-UFES-20.
Of those, 25 (1.6 %) are warned about untouched: 19, 1 and 5. The rates beside the limits are of 1,000 other train
pictures, 500 each of the first two sets, of which 12 (1.2 %) are warned about untouched; the copies were spoilt on
purpose. All told, 96 % of the copies with a quarter of their contrast are warned about for one reason or another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lesion_demo.imaging.field_of_view import find_field_of_view

WORKING_SIDE = 256
"""Shorter side, pixels, of the copy that is measured, so that sharpness does not depend on the camera's pixel count."""
_THINNED_SIDE = 768
"""Pixels are left out, evenly, down to about this side before anything is computed: three for each one measured."""

OK, WARNING, SEVERE = "ok", "warning", "severe"


@dataclass(frozen=True)
class Limits:
    """Beyond `warning` a picture is warned about, beyond `severe` it is too poor to be judged."""

    warning: float
    severe: float


BRIGHTNESS = Limits(89.0, 30.0)
"""Mean luminance (0–255). Warns of 0.4 % untouched, of all copies at a quarter of their light, and of 69 % at gamma 3:
the other copies are of pale pictures, and come out as bright as ordinary ones."""
OVEREXPOSURE = Limits(225.0, 245.0)
"""Mean luminance (0–255). Warns of 0.3 % untouched: white-outs."""
CONTRAST = Limits(54.0, 20.0)
"""Values of 255, see `contrast`. Warns of 0.1 % untouched and of 93 % of copies with a quarter of their contrast."""
SHARPNESS = Limits(0.0105, 0.004)
"""See `sharpness`. Warns of 0.3 % untouched and of 99.5 % of copies with a Gaussian blur of σ = 4 px at 256 px.

At σ = 2 px it is about half, 54 % of the first 1,549, and 85 % where noise and JPEG follow a σ of 4 px."""
GLARE = Limits(0.15, 0.5)
"""Share (0–1) of pixels that are white. Warns of 0.3 % untouched; chosen from the untouched alone."""
SIZE = Limits(120, 48)
"""Pixels of the lit field's shorter side, a convention: the 1,549 hold none below 135, or 218 without a ring."""

Grey = NDArray[np.float32]
"""Luminance (ITU-R BT.601), 0–255, [h, w]."""


@dataclass(frozen=True)
class QualityCheck:
    """One measurement of a picture against its limit.

    Attributes:
        name: `brightness`, `overexposure`, `contrast`, `sharpness`, `glare` or `size`.
        value, limit: in `unit`.
        severity: `ok` where the value is on the good side of the limit, or on it; `warning`, or `severe` where the
            picture is too poor to be judged.
        advice: what to do if it is not ok; one sentence.
    """

    name: str
    value: float
    limit: float
    unit: str
    severity: str
    advice: str

    @property
    def passed(self) -> bool:
        return self.severity == OK


@dataclass(frozen=True)
class QualityReport:
    """Every check of one picture, passed or not."""

    checks: tuple[QualityCheck, ...]

    @property
    def warnings(self) -> tuple[QualityCheck, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if not check.passed)

    @property
    def ok(self) -> bool:
        return not self.warnings

    @property
    def assessable(self) -> bool:
        """Is the picture good enough to be judged at all?"""
        return all(check.severity != SEVERE for check in self.checks)


def check_quality(image: NDArray[np.uint8]) -> QualityReport:
    """Light, contrast, sharpness, glare and size of `image`, uint8 [H, W, 3] RGB.

    About 30 ms on one core for 12 megapixels, because most pixels are left out first.
    """
    step = max(1, min(image.shape[:2]) // _THINNED_SIDE)
    thinned = np.ascontiguousarray(image[::step, ::step])
    field = find_field_of_view(thinned)
    pixels = _working_copy(thinned[field.top : field.bottom, field.left : field.right])
    grey = pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    brightness = float(grey.mean())
    return QualityReport(
        (
            _at_least("brightness", brightness, BRIGHTNESS, "of 255", "Too dark: use more light."),
            _at_most("overexposure", brightness, OVEREXPOSURE, "of 255", "Too bright: use less light or exposure."),
            _at_least("contrast", contrast(pixels), CONTRAST, "of 255", "Too flat: clean the lens, avoid haze."),
            _at_least("sharpness", sharpness(grey), SHARPNESS, "", "Blurred: hold still, focus on the lesion."),
            _at_most("glare", glare(pixels), GLARE, "share", "Glare: tilt the light, or use gel or polarisation."),
            _at_least("size", step * min(field.width, field.height), SIZE, "px", "Too small: move closer."),
        )
    )


def contrast(pixels: NDArray[np.uint8]) -> float:
    """Spread from the 1st to the 99th percentile (0–255) in the colour channel of uint8 [h, w, 3] that spreads most.

    Of the channels the widest, because a pale pink lesion may show in the blue one alone.
    """
    low, high = np.percentile(pixels.reshape(-1, 3), (1.0, 99.0), axis=0)
    return float((high - low).max())


def sharpness(grey: Grey) -> float:
    """The 99th percentile of |Laplacian| of smoothed `grey` over its brightest tenth's luminance: the finest details.

    The variance of the Laplacian (Pech-Pacheco et al. 2000) rewards noise and many edges; smoothing first (a binomial
    filter, σ = 1 px) takes the noise out, and a percentile asks only that something be sharp. Dividing by luminance
    keeps a dark picture from counting as blurred too.
    """
    smooth = _binomial(_binomial(grey).T).T
    centre = smooth[1:-1, 1:-1]
    around = smooth[:-2, 1:-1] + smooth[2:, 1:-1] + smooth[1:-1, :-2] + smooth[1:-1, 2:]
    detail = np.percentile(np.abs(around - 4.0 * centre), 99.0)
    return float(detail / (np.percentile(grey, 90.0) + 5.0))


def glare(pixels: NDArray[np.uint8]) -> float:
    """Share (0–1) of uint8 [h, w, 3] that is white in all three channels (250 or more): nothing is recorded there."""
    return float((pixels.min(axis=2) >= 250).mean())


def _working_copy(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`image` (uint8 [H, W, 3]) with a shorter side of WORKING_SIDE pixels."""
    height, width = image.shape[:2]
    scale = WORKING_SIDE / min(height, width)
    size = (max(WORKING_SIDE, round(width * scale)), max(WORKING_SIDE, round(height * scale)))
    return np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize(size, Image.Resampling.BILINEAR))


def _binomial(grey: Grey) -> Grey:
    """[h, w] smoothed down its columns with (1, 4, 6, 4, 1) / 16, without the two rows at either end: [h − 4, w]."""
    rows = grey.shape[0] - 4
    one, two, three, four, five = (grey[i : i + rows] for i in range(5))
    return (one + five + 4.0 * (two + four) + 6.0 * three) / 16.0


def _at_least(name: str, value: float, limits: Limits, unit: str, advice: str) -> QualityCheck:
    severity = OK if value >= limits.warning else WARNING if value >= limits.severe else SEVERE
    return QualityCheck(name, float(value), limits.warning, unit, severity, advice)


def _at_most(name: str, value: float, limits: Limits, unit: str, advice: str) -> QualityCheck:
    severity = OK if value <= limits.warning else WARNING if value <= limits.severe else SEVERE
    return QualityCheck(name, float(value), limits.warning, unit, severity, advice)
