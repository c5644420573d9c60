"""Where in a picture the lesion is, by what is darker than the skin around it: no learning, a few milliseconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

WORKING_SIDE = 128
"""Pixels; the lengths below are of a copy of this side."""
HAIR_WIDTH = 5
"""Dark lines thinner than this are closed over."""
FRAME = 0.2
"""Share of the way from the edge to the middle where most of what is seen is taken for skin."""
MIDDLE = 0.6
"""Reach of the weight of the middle, as a share of half the side."""
DENSEST = 0.5
"""Optical densities (natural logarithm) beyond this count as this, lest a black core make the rest look like skin."""
COMPANION = 0.3
"""A part with this share of the main part's weight belongs to the lesion, too."""
SMALLEST, LARGEST = 0.004, 0.85
"""Shares of the picture between which a lesion is believed."""
SEPARATION = 1.75
"""Least difference of the densities in and around the lesion, in their pooled standard deviation."""
OUTWARDS = 0.65
"""A lesion may reach the picture's edge, or lie off the middle, but not both: most of what does is shade, or clothes.

A limit to the share of the edge that it covers, plus its centre's distance from the middle as a share of half the side.
"""

APART = 6
"""Pixels; what lies closer together is one lesion in parts."""
COMPACT, OBLONG = 0.64, 2.5
"""A lesion fills this share of its box (a disc π/4), and the box is less than so many times as long as wide: what does
not is a hair, a shade, or one of the parts of a ragged lesion."""
DARK = 0.2
"""Mean density of a lesion that is told from a stain."""
ALIKE = 0.6
"""A second lesion is at least this share as much darker than the skin as the first: paler ones are freckles."""
CUT = 12
"""Pixels of the edge that the first lesion may touch; a second one touches it nowhere, or it may be anything."""

Density = NDArray[np.float64]
"""How much darker than the skin, [s, s]: the mean over RGB of ln(skin / pixel), in 0–DENSEST."""
Mask = NDArray[np.bool_]


def find_lesion(picture: NDArray[np.uint8], side: int) -> Mask | None:
    """Mask [side, side], True on the lesion, of a square picture (uint8 [S, S, 3]); None where nothing stands out.

    Optical density over a smooth estimate of the skin's, Otsu's threshold (1979) with the middle weighing more, and
    what of that lies about the middle. It sees nothing that is paler than the skin, and takes the darker part of a
    lesion that fills the picture for all of it.

    By eye, on 160 dermoscopic pictures (40 from the train split of either class of melanoma10k and HAM10000, another
    draw than those the limits were chosen on): the outline follows the lesion in 130; in 16 it does not, or shows only
    a part; in 14 there is none. Of 80 phone photographs (PAD-UFES-20): in 42, in 23, and in 15.
    """
    return lesion_in(density_of(picture), side)


def lesion_in(density: Density, side: int) -> Mask | None:
    """The same of the densities of such a picture, see `density_of`."""
    mask = _central_parts(density > _otsu(density, _middle_weight()), density)
    if mask is None or not _plausible(mask, density):
        return None
    return np.asarray(resized(mask, side, side)) > 127


@dataclass(frozen=True)
class _Part:
    """A dark part of a picture: area in pixels, of the edge, too; `compact` and `oblong` as above; mean density."""

    area: int
    edge: int
    compact: float
    oblong: float
    density: float

    @classmethod
    def of(cls, mask: Mask, density: Density) -> _Part:
        height, width = (int(np.ptp(np.flatnonzero(mask.any(axis=axis)))) + 1 for axis in (1, 0))
        area, edge = int(mask.sum()), int(sum(side.sum() for side in (mask[0], mask[-1], mask[:, 0], mask[:, -1])))
        long, short = max(height, width), min(height, width)
        return cls(area, edge, area / (height * width), long / short, float(density[mask].mean()))

    @property
    def whole(self) -> bool:
        """Is it a lesion of its own, by its shape and darkness?"""
        return self.compact >= COMPACT and self.oblong < OBLONG and self.density >= DARK


def second_lesion(density: Density) -> float:
    """Area of the second lesion in a square picture with these densities (see `density_of`), as a share of the
    largest's; 0 where there is none, or where it may be something else.

    By eye, of 2,000 dermoscopic training pictures (1,000 each of HAM10000 and melanoma10k, another draw than those the
    limits were chosen on) 13 have one by a share of 0.25 or more, 10 of them rightly; the others are a lesion in parts,
    twice, and ink. Of 149 phone photographs one has, two wounds of perhaps one lesion. How many it misses was not
    counted; a pale or ragged one always.
    """
    dark = ndimage.binary_opening(density > _otsu(density, _middle_weight()))
    parts, count = ndimage.label(ndimage.binary_dilation(dark, iterations=APART // 2))
    masks = (ndimage.binary_fill_holes((parts == number) & dark) for number in range(1, count + 1))
    found = sorted((_Part.of(mask, density) for mask in masks if mask.mean() >= SMALLEST), key=lambda part: -part.area)
    if not found or not found[0].whole or found[0].edge > CUT:
        return 0.0
    first, *others = found
    seconds = (one for one in others if one.whole and one.edge == 0)
    return max((one.area / first.area for one in seconds if one.density >= ALIKE * first.density), default=0.0)


def resized(mask: Mask, width: int, height: int) -> Image.Image:
    """`mask` [s, s] as a grey picture of `width` × `height` pixels: above 127 on the lesion."""
    return Image.fromarray(mask.astype(np.uint8) * 255).resize((width, height), Image.Resampling.BILINEAR)


def density_of(picture: NDArray[np.uint8]) -> Density:
    """Of a square picture uint8 [S, S, 3], without hairs, and smoothed a little."""
    small = Image.fromarray(np.ascontiguousarray(picture)).resize((WORKING_SIDE,) * 2, Image.Resampling.BILINEAR)
    channels = [
        ndimage.grey_closing(channel, (HAIR_WIDTH, HAIR_WIDTH)) for channel in np.moveaxis(np.asarray(small), 2, 0)
    ]
    smooth = np.stack([ndimage.gaussian_filter(channel.astype(float), 1.2) for channel in channels], axis=-1)
    absolute = -np.log((smooth + 8) / 263)  # the 8 keeps the noise of black in bounds
    return np.clip((absolute - _skin(absolute)).mean(axis=-1), 0, DENSEST)


def _skin(density: Density) -> Density:
    """The skin's density [s, s, 3] below that of everything, `density` [s, s, 3]: an even slope, darker to the corners.

    Fitted to the lighter pixels of the frame, again and again without those that turn out darker than the fit.
    """
    x, y = _coordinates()
    terms = np.stack([np.ones_like(x), x, y, x**2 + y**2], axis=-1)  # [s, s, 4]
    frame = np.maximum(abs(x), abs(y)) > 1 - FRAME
    known, wanted = terms[frame], density[frame]
    light = wanted.mean(axis=1) <= np.percentile(wanted.mean(axis=1), 60)
    for _ in range(4):
        factors = np.linalg.lstsq(known[light], wanted[light], rcond=None)[0]  # [4, 3]
        factors[3] = np.clip(factors[3], 0, 0.5)  # a lamp does not light the corners more than the middle
        darker = (wanted - known @ factors).mean(axis=1)
        light = darker <= max(0.06, float(np.percentile(darker, 30)))
    fitted: Density = terms @ factors
    return fitted


def _otsu(values: Density, weights: Density, bins: int = 128) -> float:
    """The threshold that leaves the least variance in the two parts of `values`, weighted alike (Otsu 1979)."""
    counts, edges = np.histogram(values, bins, weights=weights)
    middles = (edges[1:] + edges[:-1]) / 2
    below, sums = np.cumsum(counts)[:-1], np.cumsum(counts * middles)[:-1]
    total, whole = counts.sum(), (counts * middles).sum()
    between = (sums * total - whole * below) ** 2 / np.maximum(below * (total - below), 1e-12)
    return float(middles[:-1][between.argmax()])


def _central_parts(dark: Mask, density: Density) -> Mask | None:
    """Of `dark` the parts that weigh most, filled and widened by two pixels; None where there are none."""
    parts, count = ndimage.label(ndimage.binary_opening(dark))
    if count == 0:
        return None
    weights = ndimage.sum_labels(_middle_weight() * density, parts, np.arange(1, count + 1))
    chosen = 1 + np.flatnonzero(weights >= COMPANION * weights.max())
    widened: Mask = ndimage.binary_dilation(ndimage.binary_fill_holes(np.isin(parts, chosen)), iterations=2)
    return widened


def _plausible(mask: Mask, density: Density) -> bool:
    """Is it of a lesion's size, in a lesion's place, and clearly darker than what is around it?"""
    area = float(mask.mean())
    if not SMALLEST <= area <= LARGEST:
        return False
    edge = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]]).mean()
    x, y = _coordinates()
    distance = np.hypot(x[mask].mean(), y[mask].mean())
    inside, outside = density[mask], density[~mask]
    spread = np.sqrt(area * inside.var() + (1 - area) * outside.var())
    return bool(edge + distance <= OUTWARDS and inside.mean() - outside.mean() >= SEPARATION * spread)


def _coordinates() -> tuple[Density, Density]:
    """x and y [s, s] of the pixel centres, from −1 to 1."""
    axis = (np.arange(WORKING_SIDE) + 0.5) * 2 / WORKING_SIDE - 1
    x, y = np.meshgrid(axis, axis)
    return x, y


def _middle_weight() -> Density:
    """[s, s]: 1 in the middle, falling off to the corners."""
    x, y = _coordinates()
    weight: Density = np.exp(-(x**2 + y**2) / MIDDLE**2)
    return weight
