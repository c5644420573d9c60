"""What happens on the page: a picture comes in, an example is chosen, an operating point is changed; and the API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from lesion_demo.config import to_dict
from lesion_demo.errors import ImageError
from lesion_demo.imaging.loading import load_image
from lesion_demo.imaging.transforms import Picture
from lesion_demo.serving.analysis import Analysis, Analyzer
from lesion_demo.serving.explanation import overlay
from lesion_demo.ui import fragments, strings
from lesion_demo.ui.picture import display_copy, needs_preview

MODEL_EVENTS: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 2}
"""All events that run the network share these places; more of them would only share the processor."""

Findings = tuple[str, Picture | None, str, Analysis | None, Any]
"""For the outputs of `Panel`, in their order."""


@dataclass(frozen=True)
class Panel:
    """The components that events read and write."""

    picture: gr.Image
    point: gr.Radio
    result: gr.HTML
    heat: gr.Image
    caption: gr.HTML
    found: gr.State
    examples: gr.Gallery

    @property
    def outputs(self) -> list[gr.blocks.Block]:
        return [self.result, self.heat, self.caption, self.found, self.picture]


def connect(analyzer: Analyzer, panel: Panel, examples: Sequence[Path]) -> None:
    """Give the page its behaviour. `examples` are the files behind the gallery."""

    def show(path: str | None, name: str) -> Findings:
        return find(analyzer, path, name)

    def show_example(name: str, chosen: gr.SelectData) -> Findings:
        path = str(examples[int(chosen.index)])
        return (*find(analyzer, path, name)[:4], path)

    def judge_again(analysis: Analysis | None, name: str) -> tuple[Any, Any]:
        if analysis is None:
            return gr.skip(), None
        judged = analysis.at(analyzer.meta.operating_point(name))
        return fragments.verdict_card(judged, analyzer.meta), judged

    private: dict[str, Any] = {"api_visibility": "private"}
    inputs = [panel.picture, panel.point]
    shown_on: dict[str, Any] = {"show_progress_on": [panel.result]}
    # Of Gradio's events for a picture, `upload` alone comes for files, pastes and the camera, and not for our previews.
    panel.picture.upload(show, inputs, panel.outputs, **shown_on, **MODEL_EVENTS, **private)
    panel.picture.clear(show, inputs, panel.outputs, queue=False, **shown_on, **private)
    panel.examples.select(show_example, [panel.point], panel.outputs, **shown_on, **MODEL_EVENTS, **private)
    panel.point.input(
        judge_again, [panel.found, panel.point], [panel.result, panel.found], show_progress="hidden", **private
    )


def find(analyzer: Analyzer, path: str | None, name: str) -> Findings:
    """Everything the page shows of the picture at `path`, judged at the operating point `name`."""
    if path is None:
        return fragments.empty_card(), None, fragments.heat_caption(empty=False), None, gr.skip()
    try:
        picture = load_image(path)
    except ImageError as error:
        return fragments.error_card(str(error)), None, fragments.heat_caption(empty=False), None, None
    analysis = analyzer.analyze(picture, operating_point=name)
    shown = display_copy(picture)
    return (
        fragments.verdict_card(analysis, analyzer.meta),
        overlay(shown, analysis.heat_map_for(*shown.shape[:2])),
        fragments.heat_caption(empty=not analysis.heat.any()),
        analysis,
        shown if needs_preview(path) else gr.skip(),
    )


def add_endpoint(analyzer: Analyzer, picture: gr.Image, point: gr.Radio) -> None:
    """The named endpoint `/analyze`, for programs: (picture, operating point) → (findings as JSON, overlay)."""

    def analyze(path: str | None, name: str) -> tuple[dict[str, Any], Picture]:
        if path is None:
            raise gr.Error(strings.EMPTY_HEADING, print_exception=False)
        try:
            image = load_image(path)
        except ImageError as error:
            raise gr.Error(escape(str(error)), print_exception=False) from error
        analysis = analyzer.analyze(image, operating_point=name)
        findings = {
            "probability": analysis.probability,
            "verdict": analysis.verdict,
            "operating_point": to_dict(analysis.operating_point),
            "quality": [to_dict(check) for check in analysis.quality.checks],
            "disclaimer": strings.DISCLAIMER,
        }
        shown = display_copy(image)
        return findings, overlay(shown, analysis.heat_map_for(*shown.shape[:2]))

    gr.Button(visible=False).click(
        analyze,
        [picture, point],
        [gr.JSON(label="Findings", visible=False), gr.Image(label=strings.HEAT_LABEL, format="png", visible=False)],
        api_name="analyze",
        api_description="Calibrated probability, verdict and quality of a picture, and its heat map as an overlay.",
        **MODEL_EVENTS,
    )
