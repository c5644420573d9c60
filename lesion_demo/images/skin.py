"""The skin without its lesion, and a lesion on another skin: pictures that show what the skin alone says."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from lesion_demo.images import Pixels

FILL_SIDE = 48
"""Pixels of the copy in which skin is continued under a lesion."""
FILL_SIGMA = 5.0
"""Standard deviation in those pixels of what is averaged for it."""
MARGIN = 0.05
"""A mask is widened by this share of the square's side before it is covered."""
SOFT = 8.0
"""Added to values 0–255 before they are divided: the noise of black stays in bounds."""
LEAST_SKIN = 50
"""Pixels of the small copy; where fewer are skin, the lesion fills the field, and what is lightest stands for skin."""
LIGHTEST = 0.85

Mask = NDArray[np.bool_]
Values = NDArray[np.float32]


def disc(side: int, reach: float = 1.0) -> Mask:
    """bool [side, side], True within `reach` of half the side from the middle."""
    axis = (np.arange(side) + 0.5) * 2 / side - 1
    within: Mask = np.hypot(*np.meshgrid(axis, axis)) < reach
    return within


def paint_out(seen: Pixels, mask: Mask) -> Pixels:
    """The square `seen` (uint8 [s, s, 3]) with the skin from around `mask` (bool [s, s]) continued over it."""
    return _bytes(_bare(seen, mask))


def transplant(lesion: Pixels, mask: Mask, skin: Pixels, own_mask: Mask) -> Pixels:
    """The square `skin` (uint8 [s, s, 3]) with the lesion of the square `lesion` in place of its own, in its light.

    What is carried over is how much light the lesion lets through, relative to the skin around it (Chang et al. 2021,
    arXiv 2106.02740, cut and paste alike, without the light). `mask` and `own_mask` are the lesions of the two.
    """
    side = skin.shape[0]
    bare = _bare(skin, own_mask)
    through = _resized((lesion + SOFT) / (_skin(lesion, mask) + SOFT), side)
    alpha = _resized(_cover(mask), side)
    return _bytes(bare * (1 - alpha) + ((bare + SOFT) * through - SOFT) * alpha)


def _bare(seen: Pixels, mask: Mask) -> Values:
    alpha = _cover(mask)
    covered: Values = seen * (1 - alpha) + _skin(seen, mask) * alpha
    return covered


def _bytes(values: Values) -> Pixels:
    return values.round().clip(0, 255).astype(np.uint8)


def _small(mask: Mask) -> Mask:
    return np.asarray(Image.fromarray(mask).resize((FILL_SIDE, FILL_SIDE)))


def _cover(mask: Mask) -> Values:
    """`mask` [s, s] widened by MARGIN with a soft edge, 0–1: [s, s, 1]."""
    wide = ndimage.binary_dilation(_small(mask), iterations=max(1, round(MARGIN * FILL_SIDE)))
    soft = ndimage.gaussian_filter(wide.astype(np.float32), 0.8)
    return _resized(soft[..., None], mask.shape[0])


def _skin(seen: Pixels, mask: Mask) -> Values:
    """The skin of `seen` [s, s, 3] continued smoothly under the lesion: a mean of what lies around, near it more."""
    small = np.asarray(Image.fromarray(np.ascontiguousarray(seen)).resize((FILL_SIDE, FILL_SIDE))).astype(np.float32)
    field = disc(FILL_SIDE)
    wide = ndimage.binary_dilation(_small(mask), iterations=max(2, round(2 * MARGIN * FILL_SIDE)))
    weight = (~wide & field).astype(np.float32)
    if weight.sum() < LEAST_SKIN:
        light = small.mean(axis=2)
        weight = (light >= np.quantile(light[field], LIGHTEST)).astype(np.float32)
    weight = weight + 1e-6
    mass = ndimage.gaussian_filter(weight, FILL_SIGMA, mode="constant")
    filled = [ndimage.gaussian_filter(small[..., c] * weight, FILL_SIGMA, mode="constant") / mass for c in range(3)]
    return _resized(np.stack(filled, axis=-1), seen.shape[0])


def _resized(values: NDArray[np.floating], side: int) -> Values:
    """float [h, w, C] → [side, side, C]."""
    channels = np.moveaxis(values.astype(np.float32), 2, 0)
    size = (side, side)
    return np.stack(
        [np.asarray(Image.fromarray(channel).resize(size, Image.Resampling.BILINEAR)) for channel in channels], axis=-1
    )
