"""What happens on the page: a picture comes in, an example is chosen, a control is moved, a report is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from lesion_demo.config import OperatingPoint
from lesion_demo.errors import ImageError, LesionDemoError
from lesion_demo.imaging.loading import load_image
from lesion_demo.imaging.transforms import Picture
from lesion_demo.serving.analysis import Analysis, Analyzer
from lesion_demo.serving.model_card.facts import ModelFacts
from lesion_demo.texts import Texts
from lesion_demo.ui.fragments import empty_card, error_card
from lesion_demo.ui.heat import heat_html, heat_pair
from lesion_demo.ui.meaning import meaning_html
from lesion_demo.ui.picture import display_copy, needs_preview
from lesion_demo.ui.quality import quality_html
from lesion_demo.ui.take_away import Circumstances, ReportWriter
from lesion_demo.ui.verdict import CUSTOM, point_html, verdict_html

MODEL_EVENTS: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 2}
"""All events that run the network share these places; more of them would only share the processor."""
PRIVATE: dict[str, Any] = {"api_visibility": "private"}
LIVE: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last", "concurrency_limit": 4, **PRIVATE}
"""For controls that are dragged: the last position counts, and nothing is run but arithmetic."""
SAVE = "() => setTimeout(() => document.getElementById('{name}-file').click(), 100)"
"""A download button saves what it held when it was clicked: so it is clicked when it holds the report."""


@dataclass(frozen=True)
class Found:
    """What a session keeps of its picture: the analysis, and a copy for display, uint8 [h, w, 3]."""

    analysis: Analysis
    picture: Picture


@dataclass(frozen=True)
class Panel:
    """The components that events read and write."""

    picture: gr.Image
    dermoscopic: gr.Checkbox
    result: gr.HTML
    point: gr.Radio
    threshold: gr.Slider
    point_note: gr.HTML
    heat: gr.ImageSlider
    heat_note: gr.HTML
    method: gr.Radio
    opacity: gr.Slider
    prevalence: gr.Slider
    meaning: gr.HTML
    quality: gr.HTML
    case_id: gr.Textbox
    examples: gr.Gallery
    found: gr.State

    @property
    def choices(self) -> list[Any]:
        """What `Choices` is made of, in its order."""
        return [self.point, self.threshold, self.dermoscopic, self.prevalence, self.method, self.opacity]


@dataclass(frozen=True)
class Choices:
    """The controls as they stand: `threshold` in 0–1, `prevalence` and `opacity` in percent."""

    point: str
    threshold: float
    dermoscopic: bool
    prevalence: float
    method: str
    opacity: float

    def operating_point(self, analyzer: Analyzer) -> OperatingPoint:
        return analyzer.point(self.point, self.threshold if self.point == CUSTOM else None)

    def circumstances(self, case_id: str) -> Circumstances:
        return Circumstances(case_id.strip(), self.dermoscopic, self.prevalence / 100, self.method)


@dataclass(frozen=True)
class View:
    """What the page says of a picture as the controls stand."""

    analyzer: Analyzer
    facts: ModelFacts
    texts: Texts

    def find(self, path: str | None) -> tuple[Found | None, str]:
        """What is found in the file at `path`, or nothing and the card that says why."""
        if path is None:
            return None, empty_card(self.texts)
        try:
            picture = load_image(path)
        except ImageError as error:
            return None, error_card(str(error), self.texts)
        return Found(self.analyzer.analyze(picture), display_copy(picture)), ""

    def judged(self, found: Found, choices: Choices) -> Analysis:
        point = choices.operating_point(self.analyzer)
        return found.analysis.at(point, self.analyzer.margin_at(point))

    def result(self, found: Found, choices: Choices) -> str:
        judged = self.judged(found, choices)
        return verdict_html(judged, self.analyzer.meta, self.texts, dermoscopic=choices.dermoscopic)

    def meaning(self, found: Found, choices: Choices) -> str:
        judged = self.judged(found, choices)
        return meaning_html(judged, self.analyzer.meta, self.texts, prevalence=choices.prevalence / 100)

    def heat(self, found: Found, choices: Choices) -> tuple[Any, str]:
        pair = heat_pair(found.picture, found.analysis, choices.method, choices.opacity / 100)
        return pair, heat_html(found.analysis, choices.method, self.texts)


def connect(view: View, panel: Panel, examples: Sequence[Path]) -> None:
    """Give the page its behaviour. `examples` are the files behind the gallery."""

    def show(path: str | None, *values: Any) -> list[Any]:
        # The picture is never skipped: Gradio would make the component anew, with its own `preprocess`.
        choices = Choices(*values)
        found, card = view.find(path)
        if found is None:
            return [card, None, "", "", "", None, None]
        return [
            view.result(found, choices),
            *view.heat(found, choices),
            view.meaning(found, choices),
            quality_html(found.analysis, view.facts, view.texts),
            found,
            found.picture if path and needs_preview(path) else path,
        ]

    def show_example(chosen: gr.SelectData, *values: Any) -> list[Any]:
        path = str(examples[int(chosen.index)])
        return [*show(path, *values)[:-1], path]

    outputs = [panel.result, panel.heat, panel.heat_note, panel.meaning, panel.quality, panel.found, panel.picture]
    inputs = [panel.picture, *panel.choices]
    shown_on: dict[str, Any] = {"show_progress_on": [panel.result]}
    # Of Gradio's events for a picture, `upload` alone comes for files, pastes and the camera, and not for our previews.
    panel.picture.upload(show, inputs, outputs, **shown_on, **MODEL_EVENTS, **PRIVATE)
    panel.picture.clear(show, inputs, outputs, queue=False, **shown_on, **PRIVATE)
    panel.examples.select(show_example, panel.choices, outputs, **shown_on, **MODEL_EVENTS, **PRIVATE)
    _connect_controls(view, panel)


def _connect_controls(view: View, panel: Panel) -> None:
    """Every control shows anew what depends on it, from what was found; the network rests."""

    def judge(found: Found | None, *values: Any) -> list[Any]:
        choices = Choices(*values)
        note = point_html(view.analyzer.meta, choices.operating_point(view.analyzer), view.texts)
        if found is None:
            return [gr.skip(), note, gr.skip()]
        return [view.result(found, choices), note, view.meaning(found, choices)]

    def mean(found: Found | None, *values: Any) -> Any:
        return gr.skip() if found is None else view.meaning(found, Choices(*values))

    def look(found: Found | None, *values: Any) -> Any:
        return (gr.skip(), gr.skip()) if found is None else view.heat(found, Choices(*values))

    def offer_threshold(name: str) -> Any:
        return gr.update(visible=name == CUSTOM)

    inputs = [panel.found, *panel.choices]
    panel.point.input(offer_threshold, panel.point, panel.threshold, **LIVE)
    judging = [panel.point.input, panel.threshold.input, panel.dermoscopic.input]
    gr.on(judging, judge, inputs, [panel.result, panel.point_note, panel.meaning], **LIVE)
    panel.prevalence.input(mean, inputs, panel.meaning, **LIVE)
    gr.on([panel.method.input, panel.opacity.input], look, inputs, [panel.heat, panel.heat_note], **LIVE)


def connect_reports(view: View, panel: Panel, writer: ReportWriter, buttons: dict[str, gr.Button]) -> None:
    """Let `buttons`, by the name of a method of `writer`, make a report and have the browser save it."""
    for name, button in buttons.items():
        file = gr.DownloadButton(visible="hidden", elem_id=f"{name}-file")
        make = _report_maker(view, getattr(writer, name))
        inputs = [panel.found, panel.case_id, *panel.choices]
        made = button.click(make, inputs, file, show_progress_on=[button], concurrency_limit=2, **PRIVATE)
        made.success(None, js=SAVE.format(name=name))


def _report_maker(view: View, write: Callable[[Analysis, Picture, Circumstances], Path]) -> Callable[..., Any]:
    def make(found: Found | None, case_id: str, *values: Any) -> Any:
        if found is None:
            return gr.skip()
        choices = Choices(*values)
        try:
            return str(write(view.judged(found, choices), found.picture, choices.circumstances(case_id)))
        except LesionDemoError as error:
            raise gr.Error(escape(str(error)), print_exception=False) from error

    return make
