"""A small picture whose every turn shows, and its file."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 60, 40
CORNERS = {"top left": (220, 40, 40), "top right": (40, 200, 40), "bottom left": (40, 40, 220)}


def quarters() -> Image.Image:
    """60 × 40 pixels: red, green, blue and grey quarters, so that every turn of it shows."""
    pixels = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    pixels[:20, :30], pixels[:20, 30:], pixels[20:, :30] = CORNERS.values()
    return Image.fromarray(pixels)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
