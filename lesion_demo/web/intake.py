"""Ways for a picture to come in beside Gradio's own: a photo, a paste, a drop anywhere; and why there is no camera."""

from __future__ import annotations

import json
from pathlib import Path

from lesion_demo.images.load import PICTURE_SUFFIXES
from lesion_demo.texts import Texts

SCRIPT = Path(__file__).with_suffix(".js")


def intake_script(texts: Texts) -> str:
    """A JavaScript function without arguments, for the page to call once.

    It works the buttons that the macro `photo_buttons` makes, and hands what comes to the picture's own file input,
    having told Gradio of what the browser does not know for a picture that it is one. Why the camera cannot be opened,
    it writes into the element `capture-help`.
    """
    options = json.dumps({"failures": texts.page.camera_failures, "suffixes": sorted(PICTURE_SUFFIXES)})
    return f"() => ({SCRIPT.read_text(encoding='utf-8').strip()})({options})"
