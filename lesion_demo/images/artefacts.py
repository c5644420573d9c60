"""What a dermoscopic picture holds besides the lesion: a dermatoscope's ring, dark hair, a ruler's scale, a pen's ink,
and another lesion.

Here is only what is found reliably without learning. The limits were chosen on 400 pictures of train splits, 200 each
of melanoma10k and HAM10000. The figures beside them are by eye, of 60 called (54 for the ruler) and 60 not called among
1,000 other train pictures of the two. "Drawn" is what `images.perturb` draws, on validation pictures not called
before. Many that are not called hold some hair or a faint scale all the same: not found is not absent. Phone
photographs are no use: there 4 of the 8 called hairy were, the others were creases and ink.

Left out, because most of what was called is something else:

- pale ink, and ink that touches the lesion: blue nevi and veils look the same.
- light hair: of the 40 train pictures with the most pale lines 5 had any; the others were dark hair, whose gaps are
  pale lines, scales and glints.
- air bubbles: no check was tried; their rims are arcs of glare, as glints and skin markings are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from lesion_demo.images import Pixels
from lesion_demo.images.lesion import resized, second_lesion
from lesion_demo.images.look import Look

WORKING_SIDE = 256
"""Shorter side, pixels, of the copy that is searched; every length below is in its pixels."""

RING_LIMIT = 0.0
"""Share of the picture: wherever the lit field is less than the picture. Rightly in 57 of 60; drawn in 320 of 324."""
HAIR_LIMIT = 0.75
"""Per cent of the pixels. Rightly in 58 of 60, 8 of 60 not called have some; drawn in 292 of 294."""
RULER_LIMIT = 0.45
"""Correlation. Rightly in 52 of 54, at least 8 of 60 not called have one; drawn in 269 of 328."""

INK_LIMIT = 0.05
"""Per cent of the pixels that are strokes of blue or violet ink off the lesion."""
SECOND_LESION = "second_lesion"
ORDINARY = frozenset({"ring", SECOND_LESION})
"""What training pictures often have, so that it makes no picture unlike them."""
SECOND_LIMIT = 0.25
"""Share of the first lesion's area; how often rightly, `images.lesion.second_lesion` says."""

HAIR_WIDTH = 9
"""Lines thinner than this can be hairs."""
HAIR_MARGIN = 10
"""So close to the edge of the lit field its shade looks like a line, too."""
HAIR_STRAIGHT = 25
"""A hair is nearly straight over this length, as the meshes of a pigment network are not."""
HAIR_DIRECTIONS = 12
HAIR_DARKNESS = 20
"""How much darker (0–255, red) than beside it a hair is. Red, because it shows no vessels and little pigment."""
HAIR_OUTSTANDING = 2.2
"""How many times darker than the mean of such lines within HAIR_STRAIGHT about it: a lesion's texture is all lines."""
HAIR_REACH = 40
"""What is shorter than this, from corner to corner of its box, is no hair."""
BLUER = 10
"""Where blue exceeds red by more than this (0–255), it is ink or a veil."""

INK_BLUER = (5, 22)
"""How much blue exceeds red and green (0–255) in ink: skin in violet light has the one, a blue veil neither."""
INK_SHIFT = 0.3
"""How much larger ln(blue/red) is in ink than in the skin about it, whatever the white balance."""
INK_SATURATED = 55
"""How much blue exceeds green somewhere along a stroke: dermis seen through skin is greyer than a pen."""
INK_REACH = 14
"""What is shorter than this, from corner to corner of its box, is a reflection or a vessel."""
INK_MARGIN = 4
"""So close to the lesion nothing is called ink."""

RULER_STRIP = 0.2
"""Depth of the strip along an edge that is searched, as a share of the field."""
TICK_WIDTH, TICK_LENGTH = 7, 3
"""A tick is narrower than the one, and longer than the other."""
TICK_DARKNESS = 20
"""Ticks darker than this (0–255) count as this, lest a hair outweigh them."""
TICK_BAND = 6
"""Rows over which a scale may slant."""
TICK_SPACINGS = range(5, 20)
TICK_CONTRAST = 2.0
"""A row whose profile varies by less than this standard deviation (0–255) holds nothing but noise."""

Grey = NDArray[np.uint8]
"""One number per pixel, 0–255, [h, w]."""
Operation = Callable[[Grey, Grey], Grey]


@dataclass(frozen=True)
class Artefact:
    """One thing that has nothing to do with the lesion, looked for in a picture.

    Attributes:
        name: `ring`, `hair`, `ruler`, `ink` or `second_lesion`.
        present: is `value` above `limit`?
        value, limit: in `unit`.
    """

    name: str
    present: bool
    value: float
    limit: float
    unit: str


def find_artefacts(picture: Pixels | Look) -> tuple[Artefact, ...]:
    """What `picture`, uint8 [H, W, 3] RGB or a look at it, holds of a ring, hair, a ruler, ink and a second lesion;
    one entry each, present or not.

    A `ruler` or `hair` that is not called may well be there, see the limits; what is called nearly always is.
    """
    look = Look.of(picture)
    field = look.field_in(_working_copy(look.thinned))
    return (
        _artefact("ring", ring(look), RING_LIMIT, "share"),
        _artefact("hair", hair(field), HAIR_LIMIT, "%"),
        _artefact("ruler", ruler(field), RULER_LIMIT, "correlation"),
        _artefact("ink", ink(field, lesion_of(look, field)), INK_LIMIT, "%"),
        _artefact(SECOND_LESION, second(look), SECOND_LIMIT, "share"),
    )


def lesion_of(look: Look, field: Pixels) -> NDArray[np.bool_] | None:
    """Mask [h, w], True on the lesion, over `field`, a copy uint8 [h, w, 3] of the lit field; None without a lesion."""
    if look.lesion is None:
        return None
    height, width = field.shape[:2]
    side = min(height, width)
    mask = np.zeros((height, width), bool)
    top, left = (height - side) // 2, (width - side) // 2
    mask[top : top + side, left : left + side] = np.asarray(resized(look.lesion, side, side)) > 127
    return mask


def ink(field: Pixels, lesion: NDArray[np.bool_] | None = None) -> float:
    """Per cent of `field` (uint8 [h, w, 3]) that is strokes of blue or violet ink off the `lesion` [h, w]."""
    smooth = ndimage.gaussian_filter(field.astype(np.float32), (1, 1, 0))
    red, green, blue = np.moveaxis(smooth, 2, 0)
    shade, lightness = np.log((blue + 8) / (red + 8)), smooth.mean(axis=2)
    skin = float(np.median(shade[lightness >= np.median(lightness)]))
    strokes = (blue - red > INK_BLUER[0]) & (blue - green > INK_BLUER[1]) & (shade - skin > INK_SHIFT)
    if lesion is not None:
        strokes &= ~ndimage.binary_dilation(lesion, iterations=INK_MARGIN)
    strokes = _long_parts(ndimage.binary_opening(strokes), INK_REACH)
    labels, _ = ndimage.label(strokes, np.ones((3, 3)))
    saturated = np.unique(labels[strokes & (blue - green > INK_SATURATED)])
    return 100.0 * float(np.isin(labels, saturated[saturated > 0]).mean())


def second(look: Look) -> float:
    """Area of a second lesion in the lit field, as a share of the largest's; 0 where none stands out."""
    return 0.0 if look.lesion is None else second_lesion(look.density)


def ring(look: Look) -> float:
    """Share (0–1) of the picture outside its lit field; 0 where that is the whole picture."""
    height, width = look.shape
    return 1.0 - look.field.width * look.field.height / (height * width)


def hair(field: Pixels) -> float:
    """Per cent (0–100) of the pixels of a lit field (uint8 [h, w, 3]) that lie on thin, dark, long lines.

    The black top-hat of DullRazor (Lee et al., 1997), opened by lines in all directions.
    """
    red, blue = np.ascontiguousarray(field[..., 0]), field[..., 2]
    dark = ndimage.grey_closing(red, size=(HAIR_WIDTH, HAIR_WIDTH)) - red
    # The rim of a stroke of ink is half skin, and no bluer than it.
    dark[ndimage.maximum_filter(blue.astype(np.int16) - red, size=3) > BLUER] = 0
    # A pixel wider, so that a slightly curved hair still holds a straight line.
    wide = ndimage.maximum_filter(dark, size=2)
    inside = np.zeros_like(wide)
    inner = slice(HAIR_MARGIN, -HAIR_MARGIN)
    inside[inner, inner] = wide[inner, inner]
    lines = _open_by_lines(inside)
    around = ndimage.uniform_filter(dark.astype(np.float32), HAIR_STRAIGHT)
    hairs = _long_parts((lines > HAIR_DARKNESS) & (lines > HAIR_OUTSTANDING * around), HAIR_REACH)
    return 100.0 * float(hairs.mean())


def ruler(field: Pixels) -> float:
    """How periodic (0–1) the short dark ticks along an edge of a lit field (uint8 [h, w, 3]) are; 0 where none are.

    The autocorrelation at one, two and three spacings, the least of them, less its greatest value half-way between.
    """
    grey = np.asarray(Image.fromarray(field).convert("L"))
    return max(_periodicity(_tick_profiles(np.rot90(grey, turns))) for turns in range(4))


def _tick_profiles(grey: Grey) -> NDArray[np.float32]:
    """Darkness of ticks along the lower edge of `grey` [h, w], one row per band of the strip: [bands, w], mean 0."""
    depth = max(TICK_BAND + TICK_LENGTH, round(RULER_STRIP * grey.shape[0]))
    strip = np.ascontiguousarray(grey[-depth:])
    narrow = ndimage.grey_closing(strip, size=(1, TICK_WIDTH)) - strip
    ticks = ndimage.minimum_filter1d(narrow, TICK_LENGTH, axis=0).clip(max=TICK_DARKNESS).astype(np.float32)
    bands = ndimage.maximum_filter1d(ticks, TICK_BAND, axis=0)[TICK_BAND // 2 :: TICK_BAND // 2]
    return bands - bands.mean(axis=1, keepdims=True)


def _periodicity(profiles: NDArray[np.float32]) -> float:
    """The value of `ruler` for the most periodic of `profiles` [n, w]."""
    busy = profiles[profiles.std(axis=1) >= TICK_CONTRAST]
    if busy.size == 0:
        return 0.0
    width = busy.shape[1]
    power = np.abs(np.fft.rfft(busy, 2 * width, axis=1)) ** 2
    correlation = np.fft.irfft(power, axis=1)[:, :width]
    correlation /= correlation[:, :1]
    # The true spacing lies between whole pixels, so a peak may be a pixel off.
    peaks = ndimage.maximum_filter1d(correlation, 3, axis=1)
    best = 0.0
    for spacing in (spacing for spacing in TICK_SPACINGS if 3 * spacing < width):
        at = [spacing, 2 * spacing, 3 * spacing]
        between = [spacing // 2, 3 * spacing // 2, 5 * spacing // 2]
        best = max(best, float((peaks[:, at].min(axis=1) - correlation[:, between].max(axis=1)).max()))
    return best


def _open_by_lines(grey: Grey) -> Grey:
    """The greatest of the openings of `grey` by lines of HAIR_STRAIGHT pixels in HAIR_DIRECTIONS directions."""
    best = np.zeros_like(grey)
    for angle in np.arange(HAIR_DIRECTIONS) * np.pi / HAIR_DIRECTIONS:
        ahead = float(np.sin(angle)), float(np.cos(angle))
        eroded = _along(grey, ahead, np.minimum)
        np.maximum(best, _along(eroded, (-ahead[0], -ahead[1]), np.maximum), out=best)
    return best


def _along(grey: Grey, ahead: tuple[float, float], operation: Operation) -> Grey:
    """`operation` over each pixel of `grey` and those up to HAIR_STRAIGHT `ahead` (down, right) of it, by doubling."""
    result, length = grey, 1
    while length < HAIR_STRAIGHT:
        step = min(length, HAIR_STRAIGHT - length)
        result = operation(result, _shifted(result, round(step * ahead[0]), round(step * ahead[1])))
        length += step
    return result


def _shifted(grey: Grey, down: int, right: int) -> Grey:
    """At each pixel what `grey` [h, w] holds `down` and `right` of it, 0 beyond the edge."""
    height, width = grey.shape
    result = np.zeros_like(grey)
    result[max(-down, 0) : height - max(down, 0), max(-right, 0) : width - max(right, 0)] = grey[
        max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)
    ]
    return result


def _long_parts(mask: NDArray[np.bool_], reach: float) -> NDArray[np.bool_]:
    """The connected parts of `mask` [h, w] that `reach` so many pixels from corner to corner of their box."""
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    long = np.zeros(count + 1, bool)
    for part, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        long[part] = np.hypot(rows.stop - rows.start, columns.stop - columns.start) >= reach
    return long[labels]


def _working_copy(thinned: Pixels) -> Pixels:
    """A copy of a picture (uint8 [H, W, 3]) whose shorter side is WORKING_SIDE pixels."""
    height, width = thinned.shape[:2]
    scale = WORKING_SIDE / min(height, width)
    size = (round(width * scale), round(height * scale))
    return np.asarray(Image.fromarray(thinned).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))


def _artefact(name: str, value: float, limit: float, unit: str) -> Artefact:
    return Artefact(name, value > limit, value, limit, unit)
