"""Help with the camera before the shot: what the browser says under the live picture, without sending any of it."""

from __future__ import annotations

import json
from pathlib import Path

from lesion_demo.images import field_of_view, lesion, quality
from lesion_demo.texts import Texts

SCRIPT = Path(__file__).with_suffix(".js")

EVERY = 250
"""Milliseconds from one look to the next."""
HOLD = 3
"""A hint is shown when as many looks in a row have given it."""
RELEASE = 0.93
"""A hint that is shown goes when the value is past its limit by this factor."""
CHANGE = 0.06
"""A pixel has changed when its luminance has, by this share of the picture's 90th percentile."""
MOVEMENT = 0.08
"""Share of the pixels that may change from one look to the next. On 180 train pictures of all three data sets, moving
by 1 % of the side is too much for 16 % of them, by 2 % for 59 %, by 5 % for 92 %; noise (deviation 4 of 255) for none.
"""
LESION_SIDE = 64
"""Pixels of the side of the copy in which movement and the lesion are looked for."""
SMALLEST_LESION = 0.02
"""Share of the square that the model sees. Of those 180 pictures, 4 show a smaller one, and 2 none that stands out."""
WHITE = 250
"""In all three channels, as `quality.glare` counts it."""


def capture_script(texts: Texts) -> str:
    """A JavaScript function without arguments, for the page to call once; it writes into the element `capture-help`.

    Four times a second it looks at the webcam's video inside the element `picture`, and chooses one hint: too dark, too
    bright, glare, movement, blur, no lesion in the middle, too small a lesion, or that all is well. Light, glare and
    sharpness are measured as in `images.quality`, on a copy of the same size, and have the same limits. The text goes
    when the camera stops.
    """
    return f"() => ({SCRIPT.read_text(encoding='utf-8').strip()})({json.dumps(_settings(texts))})"


def _settings(texts: Texts) -> dict[str, object]:
    """What the script reads, by the names it reads it by."""
    return {
        "every": EVERY,
        "hold": HOLD,
        "words": texts.capture,
        "limits": {
            "side": quality.WORKING_SIDE,
            "brightness": quality.BRIGHTNESS.warning,
            "usual": quality.USUAL_BRIGHTNESS,
            "contrast": quality.CONTRAST.warning,
            "overexposure": quality.OVEREXPOSURE.warning,
            "glare": quality.GLARE.warning,
            "sharpness": quality.SHARPNESS.warning,
            "white": WHITE,
            "change": CHANGE,
            "movement": MOVEMENT,
            "lesion": SMALLEST_LESION,
            "release": RELEASE,
        },
        "lit": {
            "floor": field_of_view.LIT_FLOOR,
            "share": field_of_view.LIT_SHARE,
            "corner": field_of_view.CORNER,
        },
        "lesion": {
            "side": LESION_SIDE,
            "frame": lesion.FRAME,
            "middle": lesion.MIDDLE,
            "densest": lesion.DENSEST,
            "companion": lesion.COMPANION,
            "outwards": lesion.OUTWARDS,
            "separation": lesion.SEPARATION,
        },
    }
