"""The named endpoint `/analyze`, for programs."""

from __future__ import annotations

from html import escape
from typing import Any

import gradio as gr

from lesion_demo.decision import DEFAULT_OPERATING_POINT
from lesion_demo.errors import ImageError
from lesion_demo.serve.analysis import Analyzer
from lesion_demo.serve.explanation import overlay
from lesion_demo.serve.report import Circumstances
from lesion_demo.web.picture import display_copy, png_file, unopened
from lesion_demo.web.places import MODEL_EVENTS, PRECEDENCE
from lesion_demo.web.report_download import ReportWriter

DESCRIPTION = (
    "Analyses one picture. `operating_point` is one of the checkpoint's, `dermoscopic` says whether the picture was "
    "taken through a dermatoscope, and `prevalence` (0 to 1, neither included) is the share of malignant lesions where "
    "you work. Returns the findings as JSON, as in the report (`verdict` is benign, malignant, uncertain or "
    "not_assessable), and the picture under its heat map."
)
NULL = "Give operating_point, dermoscopic and prevalence a value, or leave them out: null is none."


def add_endpoint(analyzer: Analyzer, writer: ReportWriter, prevalence: float) -> None:
    """Add `/analyze`; the names of its parameters are those of the function inside.

    Args:
        prevalence: the share (0–1) that holds where a program gives none.
    """

    def analyze(
        picture: str | None, operating_point: str | None, dermoscopic: bool | None, prevalence: float | None
    ) -> tuple[dict[str, Any], str]:
        if picture is None:
            raise gr.Error(escape(writer.texts.page.empty_heading, quote=False), print_exception=False)
        if operating_point is None or dermoscopic is None or prevalence is None:
            raise gr.Error(NULL, print_exception=False)
        if not 0 < prevalence < 1:
            raise gr.Error(f"The prevalence must be between 0 and 1, not {prevalence}.", print_exception=False)
        try:
            with PRECEDENCE.single():
                analysis, image = analyzer.analyze_file(picture, analyzer.point(operating_point))
        except ImageError as error:
            raise gr.Error(escape(str(error), quote=False), print_exception=False) from error
        shown = display_copy(image)
        findings = writer.findings(analysis, shown, Circumstances(dermoscopic=dermoscopic, prevalence=prevalence))
        return findings, png_file(overlay(shown, analysis.heat_map_for(*shown.shape[:2])))

    names = [point.name for point in analyzer.meta.operating_points]
    upload = gr.Image(type="filepath", label="picture", visible=False)
    upload.preprocess = unopened  # type: ignore[method-assign]
    gr.Button(visible=False).click(
        analyze,
        [
            upload,
            gr.Radio(names, value=DEFAULT_OPERATING_POINT, label="operating_point", visible=False),
            gr.Checkbox(True, label="dermoscopic", visible=False),
            gr.Number(prevalence, label="prevalence", visible=False),
        ],
        [gr.JSON(label="findings", visible=False), gr.Image(label="overlay", format="png", visible=False)],
        api_name="analyze",
        api_description=DESCRIPTION,
        **MODEL_EVENTS,
    )
