"""Where the model looked: picture and heat map side by side, a colour scale, and what to make of them."""

from __future__ import annotations

from matplotlib import colormaps
from matplotlib.colors import to_hex

from lesion_demo.images.transforms import Picture
from lesion_demo.serve.analysis import Analysis
from lesion_demo.serve.explanation import COLOURS, overlay
from lesion_demo.texts import Texts
from lesion_demo.web.templates import render

MOST = 0.5
"""Off the lesion with more than this share (0–1) of its mass, a heat map is warned about."""
STOPS = 9
"""Colours that the scale is drawn through."""


def heat_pair(picture: Picture, analysis: Analysis, method: str, opacity: float) -> tuple[Picture, Picture]:
    """`picture` (uint8 [H, W, 3]) without and with the heat map, `opacity` (0–1) at its hottest spot."""
    height, width = picture.shape[:2]
    return picture, overlay(picture, analysis.heat_map_for(height, width, method), opacity)


def heat_html(analysis: Analysis, method: str, texts: Texts) -> str:
    """Warnings, the colour scale, and what the map of `method` says and does not say."""
    words = texts.page
    warnings = []
    if not analysis.assessable:
        warnings.append(words.heat_not_assessable)
    off = analysis.off_lesion(method)
    if off is not None and off > MOST:
        warnings.append(words.heat_off_lesion.format(share=texts.percent(off, 0)))
    if not analysis.heats[method].any():
        warnings.append(words.heat_empty)
    _, _, width, height = analysis.visible
    outside = words.heat_outside if width * height < analysis.shape[0] * analysis.shape[1] else ""
    return render(
        "heat.html",
        texts=texts,
        warnings=warnings,
        note=" ".join(filter(None, (words.method_notes.get(method), words.heat_caption, outside))),
        colours=", ".join(to_hex(colormaps[COLOURS](step / (STOPS - 1))) for step in range(STOPS)),
    )
