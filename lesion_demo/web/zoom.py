"""A closer view of the lesion in a wide picture, analysed in its place; and Undo, which brings back what was there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr
import numpy as np

from lesion_demo.errors import ImageError
from lesion_demo.images.field_of_view import Box
from lesion_demo.images.load import load_image
from lesion_demo.images.quality import SIZE
from lesion_demo.serve.analysis import Analysis
from lesion_demo.texts import Texts
from lesion_demo.web.picture import png_file
from lesion_demo.web.places import MODEL_EVENTS, PRIVATE
from lesion_demo.web.templates import fine
from lesion_demo.web.view import Analyzed, Kept

LESION_SHARE = 0.5
"""Of the closer view's side is the lesion's longer side, so that the skin around it is still seen."""
WORTHWHILE = 0.8
"""A closer view is offered where its side is at most this share of what the model saw."""


@dataclass(frozen=True)
class Shown:
    """What was on display: the picture in the file at `path`, or nothing; `zoomed`, it is a part of the one before."""

    path: str | None
    zoomed: bool = False


History = tuple[Shown, ...]
"""What has been on display since a picture came in; the last is there now."""


def followed(history: History, path: str | None) -> History:
    """`history` where the picture at `path` is its last; a new one where it came in by itself."""
    return history if history and history[-1].path == path else (Shown(path),)


def closer_view(analysis: Analysis) -> Box | None:
    """The square of the picture with the lesion, or what the model saw of the middle, about twice as large in it.

    None where it would be hardly larger: the lesion fills the picture already, or there are too few pixels.
    """
    left, top, side, _ = analysis.visible
    middle, longer = (0.5, 0.5), LESION_SHARE / 2
    if analysis.lesion is not None:
        spans = [np.flatnonzero(analysis.lesion.any(axis=axis)) / len(analysis.lesion) for axis in (0, 1)]
        middle = (float(spans[0].mean()), float(spans[1].mean()))
        longer = max(float(np.ptp(span)) for span in spans)
    wanted = round(max(longer * side / LESION_SHARE, SIZE.warning))
    if wanted > WORTHWHILE * side:
        return None
    height, width = analysis.shape
    x = min(max(0, round(left + middle[0] * side - wanted / 2)), width - wanted)
    y = min(max(0, round(top + middle[1] * side - wanted / 2)), height - wanted)
    return Box(x, y, x + wanted, y + wanted)


def zoomed_file(path: str, analysis: Analysis) -> str:
    """The closer view of the picture at `path`, as a file among the uploads.

    Raises:
        ImageError: the picture is no longer there.
    """
    view = closer_view(analysis)
    picture = load_image(path)
    part = picture if view is None else view.cut(picture)
    return png_file(part)


@dataclass(frozen=True)
class ZoomControls:
    """The two buttons, what is said under them, and the session's history."""

    zoom: gr.Button
    undo: gr.Button
    note: gr.HTML
    history: gr.State


def zoom_controls(texts: Texts, seconds: int) -> ZoomControls:
    """The buttons, hidden until there is something to do; the session forgets what was shown after so many seconds."""
    with gr.Row(elem_id="zoom-row"):
        zoom = gr.Button(texts.page.zoom_button, visible=False, min_width=80, elem_id="zoom")
        undo = gr.Button(texts.page.undo_button, visible=False, min_width=80, elem_id="undo")
    return ZoomControls(zoom, undo, gr.HTML(elem_id="zoom-note"), gr.State((), time_to_live=seconds))


def connect_zoom(controls: ZoomControls, picture: gr.Image, kept: gr.State, texts: Texts, failed: str) -> None:
    """Let the buttons change the picture on display; `failed` is what the browser runs where they cannot."""

    def zoom(kept: Kept, history: History) -> tuple[str, History]:
        if not isinstance(kept, Analyzed) or not history or history[-1].path is None:
            raise _ended(texts)
        try:
            path = zoomed_file(history[-1].path, kept.analysis)
        except ImageError as error:
            raise _ended(texts) from error
        return path, (*history, Shown(path, zoomed=True))

    def undo(history: History) -> tuple[str, History]:
        if len(history) < 2 or history[-2].path is None:
            raise _ended(texts)
        return history[-2].path, history[:-1]

    def remove(kept: Kept, history: History) -> tuple[None, History]:
        return None, (*history, Shown(None)) if isinstance(kept, Analyzed) else ()

    def offer(kept: Kept, history: History) -> list[Any]:
        zoomed = bool(history) and history[-1].zoomed
        analysis = kept.analysis if isinstance(kept, Analyzed) and not zoomed else None
        label = texts.page.zoom_middle_button if analysis and analysis.lesion is None else texts.page.zoom_button
        closer = analysis is not None and closer_view(analysis) is not None
        note = fine(texts.page.zoomed_note) if zoomed else ""
        return [gr.update(value=label, visible=closer), gr.update(visible=len(history) > 1), note]

    options: dict[str, Any] = {"show_progress": "hidden", "js": "(...values) => { lesion.begin(); return values; }"}
    options |= MODEL_EVENTS | PRIVATE
    changed = [picture, controls.history]
    for event in (
        controls.zoom.click(zoom, [kept, controls.history], changed, **options),
        controls.undo.click(undo, controls.history, changed, **options),
    ):
        event.success(None, js="() => { lesion.again(); }", **PRIVATE)
        event.failure(None, js=failed, **PRIVATE)
    held = [kept, controls.history]
    unqueued: dict[str, Any] = {"show_progress": "hidden", "queue": False, **PRIVATE}
    offered = [controls.zoom, controls.undo, controls.note]
    gr.on([kept.change, controls.history.change], offer, held, offered, trigger_mode="always_last", **unqueued)
    removed = picture.clear(remove, held, held, **unqueued)
    removed.then(offer, held, offered, **unqueued)  # a state that changes outside of the queue tells nobody


def _ended(texts: Texts) -> gr.Error:
    """Said in the browser by the card of that name."""
    return gr.Error(texts.page.failure_headings["ended"], print_exception=False)
