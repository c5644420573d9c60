"""The page: what stands where, and what happens when."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from lesion_demo.config import to_dict
from lesion_demo.errors import ImageError
from lesion_demo.imaging.loading import load_image
from lesion_demo.imaging.transforms import Picture
from lesion_demo.serving.analysis import DEFAULT_OPERATING_POINT, Analysis, Analyzer
from lesion_demo.serving.explanation import overlay
from lesion_demo.ui import fragments, strings
from lesion_demo.ui.picture import PictureFile, display_copy, needs_preview

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "assets" / "examples"
CACHE_SECONDS = (600, 1800)
"""Every so often, uploads and results older than this are deleted: the page promises it within the hour."""
MODEL_EVENTS: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 2}
"""All events that run the network share these places; more of them would only share the processor."""
CAMERA = gr.WebcamOptions(
    mirror=False,
    constraints={
        "video": {"facingMode": {"ideal": "environment"}, "width": {"ideal": 1920}, "height": {"ideal": 1440}}
    },
)
"""A phone's rear camera. Gradio would mirror the saved pixels, too."""
