"""One look at a picture: its lit field, the square that a network sees, and the lesion, each found once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from lesion_demo.config import PreprocessSpec
from lesion_demo.images import Pixels
from lesion_demo.images.field_of_view import Box, box_around, find_field_of_view
from lesion_demo.images.lesion import WORKING_SIDE, Density, Mask, density_of, lesion_in, resized

THINNED_SIDE = 768
"""Pixels are left out, evenly, down to about this side before anything is measured: a camera's take time, tell no more.
"""


@dataclass(frozen=True, eq=False)
class Look:
    """A picture, and where in it is what; made by `of`.

    Everything is found when it is first asked for, and kept. Threads may share a Look: at worst two of them find the
    same at the same moment.

    Attributes:
        pixels: uint8 [H, W, 3] RGB.
        whole: height and width of the picture in its file, where it was scaled while it was decoded.
    """

    pixels: Pixels
    whole: tuple[int, int] | None = None

    @classmethod
    def of(cls, picture: Pixels | Look) -> Look:
        """A look at `picture`, uint8 [H, W, 3] RGB; an earlier look at it is that look."""
        return picture if isinstance(picture, Look) else cls(picture)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the picture in pixels."""
        height, width = self.pixels.shape[:2]
        return height, width

    def in_whole(self, box: Box) -> Box:
        """`box` of these pixels in the picture as it is in its file."""
        return box if self.whole is None else box.scaled(self.shape, self.whole)

    @cached_property
    def field(self) -> Box:
        """The lit field inside a dermatoscope's ring; without a ring the whole picture."""
        return find_field_of_view(self.pixels)

    @property
    def inside(self) -> Pixels:
        """The lit field's pixels, uint8 [h, w, 3]; a view."""
        return self.field.cut(self.pixels)

    def shown(self, spec: PreprocessSpec) -> Box:
        """The part of the picture that a network of this `spec` is shown the middle of."""
        if not spec.crop_field_of_view:
            return Box(0, 0, self.shape[1], self.shape[0])
        return box_around(self.field, self.shape) if spec.round_window else self.field

    def visible(self, spec: PreprocessSpec) -> Box:
        """The square in the middle of it, which that network sees: a heat map covers exactly this."""
        return self.shown(spec).middle_square

    @cached_property
    def lesion(self) -> Mask | None:
        """bool [s, s] over the square in the middle of the lit field, True on the lesion; None where none stands out.

        There, and not in the visible square: through a round window this holds the ring's dark corners, which hide a
        lesion, or blur its outline.
        """
        return lesion_in(self.density, WORKING_SIDE)

    @cached_property
    def density(self) -> Density:
        """How much darker than the skin each place of that square is, see `images.lesion.density_of`."""
        return density_of(self.field.middle_square.cut(self.pixels))

    def lesion_in(self, box: Box, side: int) -> Mask | None:
        """The lesion as it lies in the square `box` of the picture: bool [side, side]; None where there is none."""
        if self.lesion is None:
            return None
        own = self.field.middle_square
        there = own.moved(-box.left, -box.top).scaled((box.height, box.width), (side, side))
        placed = Image.new("L", (side, side))
        placed.paste(resized(self.lesion, there.width, there.height), (there.left, there.top))
        mask = np.asarray(placed) > 127
        return mask if mask.any() else None

    @cached_property
    def thinned(self) -> Pixels:
        """The picture with pixels left out, evenly, down to about THINNED_SIDE: uint8 [h, w, 3]."""
        step = max(1, min(self.shape) // THINNED_SIDE)
        return np.ascontiguousarray(self.pixels[::step, ::step])

    def field_in(self, copy: Pixels) -> Pixels:
        """The part of a scaled `copy` of the picture (uint8 [h, w, 3]) that is lit field; a view."""
        return self.field.scaled(self.shape, copy.shape).cut(copy)
