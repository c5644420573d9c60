"""Find the lit field inside a dermatoscope's dark ring, and cut the picture down to it.

The ring is a shortcut: in public data it goes with the clinic, and the clinic with the diagnosis.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

THUMBNAIL = 100
"""Longer side, pixels, of the copy that is looked at."""
LIT_FLOOR = 18.0
LIT_SHARE = 0.12
"""A pixel is lit above max(LIT_FLOOR, LIT_SHARE × the 95th percentile) of luminance (0–255)."""
CORNER = 0.06
"""Side of the square looked at in each corner, as a share of the picture's shorter side."""
ROUND_GROWTH = 1.36
"""From the box inside a round field to the box around it: √2, less a little that a soft edge darkens."""
MIN_SIDE = 0.35
"""A field narrower than this share of the shorter side is not believed: the picture is dark for another reason."""

Array = TypeVar("Array", NDArray[np.uint8], NDArray[np.bool_])


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels; right and bottom are exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def middle_square(self) -> Box:
        """The largest square in the middle of it."""
        side = min(self.width, self.height)
        left, top = self.left + (self.width - side) // 2, self.top + (self.height - side) // 2
        return Box(left, top, left + side, top + side)

    @property
    def corner_and_size(self) -> tuple[int, int, int, int]:
        """Left, top, width and height."""
        return self.left, self.top, self.width, self.height

    def moved(self, right: int, down: int) -> Box:
        """The same rectangle so many pixels further."""
        return Box(self.left + right, self.top + down, self.right + right, self.bottom + down)

    def scaled(self, shape: Sequence[int], other: Sequence[int]) -> Box:
        """The same part of a picture of `shape` (height, width, …) in a copy of it whose shape is `other`."""
        left, right = (round(x * other[1] / shape[1]) for x in (self.left, self.right))
        top, bottom = (round(y * other[0] / shape[0]) for y in (self.top, self.bottom))
        return Box(left, top, right, bottom)

    def cut(self, image: Array) -> Array:
        """The part of `image` [H, W, …] in it; a view."""
        return image[self.top : self.bottom, self.left : self.right]


def find_field_of_view(image: NDArray[np.uint8]) -> Box:
    """The largest upright box, near enough, inside the lit field of `image` (uint8 [H, W, 3]).

    Where fewer than two corners are dark, or what is lit is too small to be a field, it is the whole picture.
    """
    height, width = image.shape[:2]
    whole = Box(0, 0, width, height)
    if _corners_are_bright(image):
        return whole
    luminance = _thumbnail(image)
    threshold = max(LIT_FLOOR, LIT_SHARE * float(np.percentile(luminance, 95)))
    lit = luminance > threshold
    if sum(_dark_corners(lit, 0.5)) < 2:
        return whole
    box = _shrink_until_lit(lit)
    rows, columns = lit.shape
    if box is None or min(box.height, box.width) < MIN_SIDE * min(rows, columns):
        return whole
    return box.scaled(lit.shape, (height, width))


def box_around(field: Box, shape: tuple[int, int]) -> Box:
    """The box around a round lit field, from the `field` found in it, as far as a picture of `shape` [H, W] shows it.

    Without a ring it is the whole picture, and so it is with a ring that touches the corners alone: the disc in it is
    lit in either case.
    """
    height, width = shape
    across, down = (round((ROUND_GROWTH - 1) / 2 * side) for side in (field.width, field.height))
    return Box(
        left=max(0, field.left - across),
        top=max(0, field.top - down),
        right=min(width, field.right + across),
        bottom=min(height, field.bottom + down),
    )


def _corners_are_bright(image: NDArray[np.uint8]) -> bool:
    """Are three corners so bright throughout that the thumbnail's are lit in any case? Told without making it."""
    reach = CORNER * THUMBNAIL + 2  # two more, as each of its pixels is a mean of several
    n = math.ceil(reach * max(1.0, max(image.shape[:2]) / THUMBNAIL))
    corners = (image[:n, :n], image[:n, -n:], image[-n:, :n], image[-n:, -n:])
    return sum(int(corner.min()) > LIT_SHARE * 255 + 1 for corner in corners) > 2


def _thumbnail(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Luminance (0–255) float32 [h, w] of a copy whose longer side is THUMBNAIL pixels."""
    height, width = image.shape[:2]
    scale = THUMBNAIL / max(height, width)
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    small = Image.fromarray(image).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0).convert("L")
    return np.asarray(small, dtype=np.float32)


def _dark_corners(lit: NDArray[np.bool_], least: float) -> list[bool]:
    """For the top left, top right, bottom left and bottom right corner of `lit` [h, w]: is less than `least` lit?"""
    n = max(2, round(CORNER * min(lit.shape)))
    corners = (lit[:n, :n], lit[:n, -n:], lit[-n:, :n], lit[-n:, -n:])
    return [bool(np.count_nonzero(corner) < least * corner.size) for corner in corners]


def _shrink_until_lit(lit: NDArray[np.bool_]) -> Box | None:
    """The box of lit rows and columns, shrunk a step at a time on its darkest side until its corners are lit."""
    rows = np.flatnonzero(lit.mean(axis=1) > 0.1)
    columns = np.flatnonzero(lit.mean(axis=0) > 0.1)
    if rows.size == 0 or columns.size == 0:
        return None
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    while bottom - top > 8 and right - left > 8:
        inside = lit[top:bottom, left:right]
        top_left, top_right, bottom_left, bottom_right = _dark_corners(inside, 0.95)
        if not (top_left or top_right or bottom_left or bottom_right):
            return Box(left, top, right, bottom)
        # Each dark corner pulls in its two sides; a round field is approached evenly from all four.
        new_top = top + (top_left or top_right)
        new_bottom = bottom - (bottom_left or bottom_right)
        new_left = left + (top_left or bottom_left)
        new_right = right - (top_right or bottom_right)
        top, bottom, left, right = new_top, new_bottom, new_left, new_right
    return None
