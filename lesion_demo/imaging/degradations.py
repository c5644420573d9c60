"""The ways a picture is spoilt on purpose, to measure what the quality checks find and what they let pass."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Picture = NDArray[np.uint8]
"""RGB uint8 [H, W, 3]."""
Values = NDArray[np.float64]

STRENGTHS = ("mild", "moderate", "strong")
"""What the three strengths of a degradation are called, in their order."""
REFERENCE = 256
"""Lengths in pixels are of a picture whose shorter side has so many, and scale with it."""


@dataclass(frozen=True)
class Degradation:
    """One way to spoil a picture.

    Attributes:
        unit: of the strengths.
        strengths: mild, moderate and strong, see STRENGTHS.
        apply: (picture uint8 [H, W, 3], source of chance, strength) → the spoilt picture, uint8 [h, w, 3].
        checks: names of the checks of `imaging.quality` that ought to warn: any of them is right.
    """

    name: str
    unit: str
    strengths: tuple[float, float, float]
    apply: Callable[[Picture, np.random.Generator, float], Picture]
    checks: tuple[str, ...]


def raise_to_gamma(image: Picture, rng: np.random.Generator, exponent: float) -> Picture:
    """Darker in the middle of the scale: 255 × (value / 255) ** exponent."""
    return _rounded(255 * (image / 255) ** exponent)


def dim(image: Picture, rng: np.random.Generator, gain: float) -> Picture:
    """Every value times `gain`, below 1, as with less light."""
    return _rounded(image * gain)


def flatten(image: Picture, rng: np.random.Generator, factor: float) -> Picture:
    """Every value's distance from the mean colour times `factor`, as behind haze or a dirty lens."""
    mean = image.mean(axis=(0, 1))
    return _rounded(mean + (image - mean) * factor)


def blur(image: Picture, rng: np.random.Generator, sigma: float) -> Picture:
    """A Gaussian of standard deviation `sigma` pixels of REFERENCE, as out of focus."""
    radius = sigma * min(image.shape[:2]) / REFERENCE
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))


def shake(image: Picture, rng: np.random.Generator, length: float) -> Picture:
    """The mean along a straight line of `length` pixels of REFERENCE in a random direction, as of a hand that moves."""
    height, width = image.shape[:2]
    kernel = _line(length * min(height, width) / REFERENCE, rng.uniform(0, np.pi))
    reach = kernel.shape[0] // 2
    padded = np.pad(image, ((reach, reach), (reach, reach), (0, 0)), mode="edge").astype(np.float32)
    total = np.zeros(image.shape, np.float32)
    for row, column in np.argwhere(kernel > 0):
        total += np.float32(kernel[row, column]) * padded[row : row + height, column : column + width]
    return _rounded(total)


def overexpose(image: Picture, rng: np.random.Generator, gain: float) -> Picture:
    """Every value times `gain`, above 1, and clipped at 255: the highlights are lost."""
    return _rounded(image * gain)


def reflect(image: Picture, rng: np.random.Generator, share: float) -> Picture:
    """Soft-edged white reflections of a lamp, one to five, over about `share` (0–1) of the picture."""
    height, width = image.shape[:2]
    count = int(rng.integers(1, 6))
    areas = rng.dirichlet(np.full(count, 4.0)) * share * height * width
    spots = Image.new("L", (width, height))
    draw = ImageDraw.Draw(spots)
    for area in areas:
        stretch = np.exp(rng.uniform(-0.5, 0.5))
        across, down = np.sqrt(area / np.pi) * stretch, np.sqrt(area / np.pi) / stretch
        x = rng.uniform(min(across, width / 2), max(width - across, width / 2))
        y = rng.uniform(min(down, height / 2), max(height - down, height / 2))
        draw.ellipse([(x - across, y - down), (x + across, y + down)], fill=255)
    soft = spots.filter(ImageFilter.GaussianBlur(0.008 * min(height, width)))
    opacity = np.asarray(soft, np.float32)[..., None] / 255
    return _rounded(image * (1 - opacity) + 255 * opacity)


def compress(image: Picture, rng: np.random.Generator, quality: float) -> Picture:
    """Through a JPEG file of `quality` (1–95, as Pillow and libjpeg count it)."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=round(quality))
    return np.asarray(Image.open(file).convert("RGB"))


def shrink(image: Picture, rng: np.random.Generator, side: float) -> Picture:
    """The shorter side has `side` pixels; a picture that has no more stays as it is."""
    height, width = image.shape[:2]
    scale = side / min(height, width)
    if scale >= 1:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))


def tint(image: Picture, rng: np.random.Generator, ratio: float) -> Picture:
    """A wrong white balance of up to `ratio`, in a random hue: see `white_balance`."""
    return _rounded(image * white_balance(ratio, rng.uniform(0, 2 * np.pi)))


def white_balance(ratio: float, hue: float) -> Values:
    """Gains [3] of R, G and B that differ by a factor of up to `ratio` (1 or more), towards `hue` (radians).

    They are a circle in log chromaticity, exp(ln(ratio) / √3 × cos(hue − 0°, 120°, 240°)), so that their product is 1
    and the largest over the smallest is `ratio` at most, and √3 / 2 of its logarithm at least.
    """
    return np.asarray(np.exp(np.log(ratio) / np.sqrt(3) * np.cos(hue - np.array([0, 2, 4]) * np.pi / 3)))


DEGRADATIONS = (
    Degradation("gamma", "exponent", (1.5, 2.0, 3.0), raise_to_gamma, ("brightness", "shadows", "colour")),
    Degradation("less light", "gain", (0.6, 0.4, 0.25), dim, ("brightness", "shadows")),
    Degradation("less contrast", "factor", (0.6, 0.4, 0.25), flatten, ("contrast",)),
    Degradation("Gaussian blur", "px at 256, σ", (1.0, 2.0, 4.0), blur, ("sharpness",)),
    Degradation("motion blur", "px at 256, length", (4.0, 8.0, 16.0), shake, ("sharpness", "motion")),
    Degradation("clipped highlights", "gain", (1.4, 1.8, 2.5), overexpose, ("overexposure", "glare")),
    Degradation("reflections", "share", (0.05, 0.15, 0.3), reflect, ("glare",)),
    Degradation("JPEG", "quality", (40, 20, 10), compress, ("compression",)),
    Degradation("downscaling", "px, shorter side", (160, 100, 64), shrink, ("size",)),
    Degradation("colour cast", "ratio of gains", (1.3, 1.7, 2.5), tint, ("colour",)),
)


def _line(length: float, angle: float) -> Values:
    """A kernel [k, k], k odd, of sum 1: a line through the middle, `length` pixels long, at `angle` (radians)."""
    reach = int(np.ceil(length / 2)) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    along = np.linspace(-length / 2, length / 2, 2 * int(np.ceil(length)) + 1)
    x, y = reach + along * np.cos(angle), reach + along * np.sin(angle)
    column, row = np.floor(x).astype(int), np.floor(y).astype(int)
    right, below = x - column, y - row
    np.add.at(kernel, (row, column), (1 - right) * (1 - below))
    np.add.at(kernel, (row, column + 1), right * (1 - below))
    np.add.at(kernel, (row + 1, column), (1 - right) * below)
    np.add.at(kernel, (row + 1, column + 1), right * below)
    return kernel / kernel.sum()


def _rounded(values: NDArray[np.floating]) -> Picture:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
