"""How light the skin around a lesion is, roughly: the light of the picture counts with it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lesion_demo.images import Pixels
from lesion_demo.images.look import Look

_LINEAR_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_WHITE = np.array([0.9505, 1.0, 1.089])  # D65

TONES = ((55.0, "very light"), (41.0, "light"), (28.0, "intermediate"), (10.0, "tan"), (-30.0, "brown"))
"""Tone above so many degrees (Chardon et al. 1991); what is below them all is dark."""


def typology_angle(picture: Pixels | Look) -> float:
    """The individual typology angle, degrees, of clear skin in a picture (uint8 [H, W, 3] or a look at it); the
    lighter, the greater.

    arctan((L* − 50) / b*) (Chardon et al. 1991, doi 10.1111/j.1467-2494.1991.tb00561.x) of the median colour of the
    lit field's lighter half without its brightest twentieth: skin is lighter than most lesions, and glare is lighter
    than skin. A camera is no colorimeter: take it for an estimate.
    """
    field = Look.of(picture).inside
    step = max(1, min(field.shape[:2]) // 128)
    pixels = field[::step, ::step].reshape(-1, 3).astype(np.float64)
    luminance = pixels @ np.array([0.299, 0.587, 0.114])
    low, high = np.percentile(luminance, (50, 95))
    lightness, _, yellow = _lab(np.median(pixels[(luminance >= low) & (luminance <= high)], axis=0))
    return float(np.degrees(np.arctan2(lightness - 50.0, yellow)))


def tone_of(angle: float) -> str:
    """The name of a typology angle in degrees."""
    return next((name for above, name in TONES if angle > above), "dark")


def _lab(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIE L*a*b* [3] of an sRGB colour [3] in 0–255."""
    share = rgb / 255.0
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    ratio = _LINEAR_TO_XYZ @ linear / _WHITE
    x, y, z = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])
