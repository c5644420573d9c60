"""What influenced the score: the picture and its heat map side by side, a scale in words, and what to make of them."""

from __future__ import annotations

import numpy as np

from lesion_demo.images import Pixels
from lesion_demo.serve.analysis import Analysis
from lesion_demo.serve.explanation import OPACITY, colours, overlay
from lesion_demo.serve.phrases import heat_finding, heat_note, heat_warning
from lesion_demo.texts import Texts
from lesion_demo.web.picture import jpeg_data
from lesion_demo.web.templates import render

STOPS = 9
"""Colours that the scale is drawn through."""
SKIN = (205, 165, 145)
"""What the scale's colours lie over, RGB."""


def heat_html(picture: Pixels, analysis: Analysis, texts: Texts) -> str:
    """Both pictures (`picture` is uint8 [H, W, 3]), warnings, the scale, and what the map says and does not say."""
    words, heat = texts.page, analysis.heat
    map_of_it = overlay(picture, analysis.heat_map_for(*picture.shape[:2]))
    return render(
        "heat.html",
        texts=texts,
        id=analysis.id,
        pictures=(
            ("picture", words.heat_picture, words.picture_alt, jpeg_data(picture)),
            ("map", words.heat_map, words.heat_alt, jpeg_data(map_of_it)),
        ),
        warning=heat_warning(analysis, texts),
        ends=(words.heat_against, words.heat_for) if heat.absolute else (words.heat_less, words.heat_more),
        finding=heat_finding(analysis, texts),
        note=heat_note(analysis, texts),
        colours=_scale(-1.0 if heat.absolute else 0.0),
    )


def _scale(start: float) -> str:
    """The colours from `start` to 1 as they look over skin, separated by commas."""
    stops = np.linspace(start, 1, STOPS, dtype=np.float32)
    share = OPACITY * np.abs(stops)[:, None]
    mixed = np.array(SKIN) + share * (colours(stops) - np.array(SKIN))
    return ", ".join("#{:02x}{:02x}{:02x}".format(*map(round, colour)) for colour in mixed)
