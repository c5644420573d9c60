"""The colour of the light in a picture, and how to make it grey."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

NORM = 6
"""Minkowski norm over the pixels: 1 would be the mean, and a lesion would count as much as the skin."""


def grey_light(image: NDArray[np.uint8], share: float = 1.0) -> NDArray[np.uint8]:
    """A copy of `image` (uint8 [H, W, 3]) with its light made grey, or a `share` of the way there.

    The share is of the gains' logarithms. Shades of grey (Finlayson & Trezzi 2004), as colour constancy and a camera's
    automatic white balance do. Black, of a ring, say, does not count.
    """
    powers = (np.arange(256) / 255) ** NORM
    picture = Image.fromarray(image)
    counts = np.array(picture.histogram()).reshape(3, 256)
    light = (counts @ powers / image[..., 0].size) ** (1 / NORM)  # [3], in 0–1
    light = np.maximum(light, 1 / 255)  # of a black picture, which has no colour
    gains = (light.mean() / light) ** share
    table = np.rint(np.arange(256) * gains[:, None]).clip(0, 255)  # [3, 256]
    return np.asarray(picture.point(table.astype(int).ravel().tolist()))
