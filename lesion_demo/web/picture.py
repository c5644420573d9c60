"""The picture on its way in and out of the page."""

from __future__ import annotations

import base64
import io
import tempfile
from pathlib import Path

import numpy as np
from gradio.data_classes import ImageData
from gradio.utils import get_upload_folder
from PIL import Image

from lesion_demo.images import Pixels
from lesion_demo.images.load import open_picture, shows_several

DISPLAY_SIDE = 1024
"""Longer side, pixels, of what is sent to the browser for display."""
BROWSER_FORMATS = frozenset({"JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "AVIF"})
"""What a browser shows by itself, as Pillow calls it; the preview of any other stays empty unless we make one."""
BROWSER_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".avif"})
"""Under any other, a server calls the file something that not every browser shows, whatever it holds."""


def unopened(payload: ImageData | None) -> str | None:
    """The path of an upload, or None where there is none; to take the place of `gr.Image.preprocess`.

    Gradio's own opens the file first, with `type="filepath"` too, and fails where only our loader could read it, or
    say in a sentence why not. (A subclass would do, but Gradio writes a .pyi file beside the source of each.)
    """
    return None if payload is None else payload.path


def display_copy(picture: Pixels) -> Pixels:
    """`picture` (uint8 [H, W, 3]), scaled down to DISPLAY_SIDE if it is larger."""
    height, width = picture.shape[:2]
    scale = DISPLAY_SIDE / max(height, width)
    if scale >= 1:
        return picture
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


def jpeg_data(picture: Pixels, quality: int = 90) -> str:
    """`picture` (uint8 [h, w, 3]) as JPEG in base 64: it goes to the page that asked and into no file."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return base64.b64encode(file.getvalue()).decode()


def png_file(picture: Pixels) -> str:
    """The path of a PNG file of `picture` (uint8 [H, W, 3]) among the uploads, which no other call writes.

    Gradio's own writer has one file for the same picture: two who ask for it at once write into what the other reads.
    It also compresses harder, which takes four times as long and makes the file a tenth smaller.
    """
    path = Path(tempfile.mkdtemp(dir=get_upload_folder())) / "image.png"
    Image.fromarray(picture).save(path, compress_level=1)
    return str(path)


def needs_preview(path: str) -> bool:
    """Would a browser fail to show the picture in this file, or show more than the first, which is all we analyse?

    Its content decides, whatever its name says.

    Raises:
        ImageError: the file holds no picture.
    """
    with open_picture(path) as image:
        shown = image.format in BROWSER_FORMATS and not shows_several(image)
    return not (shown and Path(path).suffix.lower() in BROWSER_SUFFIXES)
