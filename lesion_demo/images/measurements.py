"""What the quality checks measure: light, contrast, sharpness, glare, colour and JPEG blocks.

Each works on the lit field alone, on a copy whose shorter side has WORKING_SIDE pixels, so that the camera's pixel
count does not matter; JPEG's blocks alone need the picture's own pixels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lesion_demo.images import Pixels

WORKING_SIDE = 256
"""Shorter side, pixels, of the copy that is measured, so that sharpness does not depend on the camera's pixel count."""
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
"""Of R, G and B (ITU-R BT.601)."""
WHITE = 250
"""A channel at or above is clipped."""
BAND = (0.12, 0.24)
"""Spatial frequencies, cycles per pixel at WORKING_SIDE, of the details that a moving hand wipes out. A picture of 123
pixels still holds the upper end."""
DIRECTIONS = 12
"""Sectors of 15° in which sharpness is measured."""
USUAL_COLOUR = np.array([0.20, 0.00])
"""ln(R/G) and ln(B/G) of skin: medians of 440 train pictures, dermoscopic and of phones."""
COLOUR_SPREAD = np.array([0.146, 0.121])
"""Their standard deviations; they correlate at 0.07 only."""
BLOCK = 8
"""Side, pixels, of JPEG's blocks."""
BLOCK_CROP = 1024
"""Longest side, pixels, of the middle that is searched for blocks."""

Grey = NDArray[np.float32]
"""Luminance, 0–255, [h, w]."""


def working_copy(image: Pixels) -> Pixels:
    """`image` (uint8 [H, W, 3]) with a shorter side of WORKING_SIDE pixels."""
    height, width = image.shape[:2]
    scale = WORKING_SIDE / min(height, width)
    size = (max(WORKING_SIDE, round(width * scale)), max(WORKING_SIDE, round(height * scale)))
    return np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize(size, Image.Resampling.BILINEAR))


def luminance(pixels: Pixels) -> Grey:
    """uint8 [h, w, 3] → float32 [h, w], 0–255."""
    return pixels.astype(np.float32) @ LUMINANCE


def optical_density(pixels: Pixels) -> float:
    """Mean of ln(263 / (value + 8)) over the pixels and channels of uint8 [h, w, 3]: 0 for white, 3.5 for black.

    Unlike the mean value it grows with what a picture taken in poor light has: dark lesions and deep colours.
    """
    table = np.log(263.0 / (np.arange(256) + 8.0)).astype(np.float32)
    return float(table[pixels].mean())


def contrast(pixels: Pixels) -> float:
    """Spread from the 0.5th to the 99.5th percentile (0–255) in the channel of uint8 [h, w, 3] that spreads most.

    Of the channels the widest, because a pale pink lesion may show in the blue one alone.
    """
    low, high = np.percentile(pixels.reshape(-1, 3), (0.5, 99.5), axis=0)
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


def least_directional_sharpness(grey: Grey) -> float:
    """The amplitude of details in BAND along the direction with the least, over the brightest tenth's luminance.

    A hand that moves wipes out all details along its way and leaves those across it, so that the picture as a whole
    still counts as sharp. From the power spectrum of the middle square under a Hann window, averaged by direction.
    """
    rows, columns = ((side - WORKING_SIDE) // 2 for side in grey.shape)
    square = grey[rows : rows + WORKING_SIDE, columns : columns + WORKING_SIDE]
    taper = np.hanning(WORKING_SIDE).astype(np.float32)
    power = np.abs(np.fft.rfft2((square - square.mean()) * np.outer(taper, taper))) ** 2
    down, across = np.meshgrid(np.fft.fftfreq(WORKING_SIDE), np.fft.rfftfreq(WORKING_SIDE), indexing="ij")
    frequency = np.hypot(down, across)
    band = (frequency >= BAND[0]) & (frequency < BAND[1])
    angle = np.arctan2(down[band], across[band]) % np.pi
    sector = (angle / np.pi * DIRECTIONS).astype(int) % DIRECTIONS
    means = np.bincount(sector, power[band], DIRECTIONS) / np.bincount(sector, minlength=DIRECTIONS)
    return float(np.sqrt(means.min()) / WORKING_SIDE / (np.percentile(grey, 90.0) + 5.0))


def glare(pixels: Pixels) -> float:
    """Share (0–1) of uint8 [h, w, 3] that is white in all three channels: nothing is recorded there."""
    return float((pixels.min(axis=2) >= WHITE).mean())


def colour_distance(pixels: Pixels, grey: Grey) -> float:
    """How far the colour of the skin in uint8 [h, w, 3] is from USUAL_COLOUR, in standard deviations.

    The skin is what is lighter than half of the picture but not glaring: from the median to the 95th percentile.
    """
    low, high = np.percentile(grey, (50.0, 95.0))
    skin = pixels[(grey >= low) & (grey <= high)]
    red, green, blue = np.log((skin if skin.size else pixels.reshape(-1, 3)).mean(axis=0) + 1.0)
    return float(np.hypot(*((np.array([red - green, blue - green]) - USUAL_COLOUR) / COLOUR_SPREAD)))


def blockiness(image: Pixels) -> float:
    """Steps between neighbours at the borders of JPEG's blocks over those inside them; about 1 without blocks.

    Wherever the grid begins, so that a picture that was cut shows it too; a picture that was resized does not. After
    Wang, Sheikh & Bovik 2002 (doi 10.1109/ICIP.2002.1038064), whose blockiness is the numerator.

    Args:
        image: uint8 [H, W, 3] in its own pixels, of which the middle BLOCK_CROP at most are looked at.
    """
    top, left = (max(0, (side - BLOCK_CROP) // 2) for side in image.shape[:2])
    grey = luminance(image[top : top + BLOCK_CROP, left : left + BLOCK_CROP])
    return float(np.mean([_steps_at_grid(np.abs(np.diff(grey, axis=axis)).mean(axis=1 - axis)) for axis in (0, 1)]))


def _steps_at_grid(steps: Grey) -> float:
    """The largest over the median of the means of `steps` [n] by place in a block; 1 in a picture without two blocks.

    The 0.05 keeps the rounding of a flat picture from counting.
    """
    whole = len(steps) // BLOCK * BLOCK
    if whole < 2 * BLOCK:
        return 1.0
    by_place = steps[:whole].reshape(-1, BLOCK).mean(axis=0)
    return float((by_place.max() + 0.05) / (np.median(by_place) + 0.05))


def _binomial(grey: Grey) -> Grey:
    """[h, w] smoothed down its columns with (1, 4, 6, 4, 1) / 16, without the two rows at either end: [h − 4, w]."""
    rows = grey.shape[0] - 4
    one, two, three, four, five = (grey[i : i + rows] for i in range(5))
    return (one + five + 4.0 * (two + four) + 6.0 * three) / 16.0
