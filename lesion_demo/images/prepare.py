"""From a picture to the network's input: THE preprocessing of validation, test, page and explanation. No torch here."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lesion_demo.config import PreprocessSpec
from lesion_demo.images import Pixels
from lesion_demo.images.field_of_view import Box
from lesion_demo.images.light import grey_light
from lesion_demo.images.look import Look

Inputs = NDArray[np.float32]

MOST_OBLONG = 4
"""Of a field that is more times as long as wide, the middle is cut out before it is scaled: the network is shown a
square in any case, and a strip would fill the memory. Ordinary pictures are not touched, nor are their figures."""


def prepare(picture: Pixels | Look, spec: PreprocessSpec, side: int | None = None) -> Inputs:
    """The middle of the lit field of a picture uint8 [H, W, 3], scaled and normalised: [3, S, S].

    Args:
        side: S in place of the spec's, for the smaller pictures of an early training stage.
    """
    return normalised(middle(shown(picture, spec), side or spec.image_size), spec)


def normalised(seen: Pixels, spec: PreprocessSpec) -> Inputs:
    """What the network gets of a square uint8 [S, S, 3] that it is to see: [3, S, S], through its window."""
    inputs = np.empty((3, *seen.shape[:2]), np.float32)
    for channel, plane in enumerate(inputs):
        np.divide(seen[..., channel], np.float32(255), out=plane, dtype=np.float32, casting="unsafe")
        plane -= np.float32(spec.mean[channel])
        plane /= np.float32(spec.std[channel])
        if spec.round_window:
            plane *= round_window(len(seen))
    return inputs


def shown(picture: Pixels | Look, spec: PreprocessSpec) -> Pixels:
    """What the network is shown the middle of, at its own size: uint8 [h, w, 3]."""
    look = Look.of(picture)
    seen = shown_box(look, spec).cut(look.pixels)
    return grey_light(seen) if spec.grey_light else seen


def shown_box(look: Look, spec: PreprocessSpec) -> Box:
    """Where that lies in the picture."""
    box = look.shown(spec)
    width, height = min(box.width, MOST_OBLONG * box.height), min(box.height, MOST_OBLONG * box.width)
    left, top = box.left + (box.width - width) // 2, box.top + (box.height - height) // 2
    return Box(left, top, left + width, top + height)


def middle(picture: Pixels, side: int) -> Pixels:
    """The largest square in the middle of `picture` [h, w, 3], scaled to `side` pixels: [S, S, 3]."""
    height, width = (int(side * length / min(picture.shape[:2])) for length in picture.shape[:2])
    left, top = round((width - side) / 2), round((height - side) / 2)
    scaled = Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(scaled.crop((left, top, left + side, top + side)))


@cache
def round_window(side: int) -> Inputs:
    """How much of each place shows through a round window: [side, side], 1 inside, 0 outside, an edge of one pixel.

    It is kept, and not to be written to.
    """
    offset = np.arange(side, dtype=np.float32) + np.float32(0.5 - side / 2)
    distance = np.hypot(offset[:, None], offset[None])  # pixels
    return (np.float32(side / 2) - distance).clip(0, 1)
