"""The page: what stands where."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from lesion_demo.card import ModelFacts, read_facts
from lesion_demo.decision import DEFAULT_OPERATING_POINT
from lesion_demo.prevalence import DEFAULT_PREVALENCE
from lesion_demo.serve.analysis import Analyzer
from lesion_demo.serve.phrases import point_choices
from lesion_demo.texts import Texts, languages, load_texts
from lesion_demo.web.about_tab import add_about_tab
from lesion_demo.web.batch_tab import add_batch_endpoint, add_batch_tab
from lesion_demo.web.endpoint import add_endpoint
from lesion_demo.web.events import (
    ONE,
    SEVERAL,
    Panel,
    PatientFields,
    connect,
    connect_more,
    connect_opener,
    connect_reports,
)
from lesion_demo.web.payloads import GuardedBlocks
from lesion_demo.web.picture import unopened
from lesion_demo.web.places import QUEUE
from lesion_demo.web.report_download import ReportWriter
from lesion_demo.web.templates import fine, header, heading, model_line, notes_place, notice_place, photo_buttons
from lesion_demo.web.verdict import CUSTOM, point_html
from lesion_demo.web.view import View
from lesion_demo.web.zoom import ZoomControls, zoom_controls

EXAMPLES = Path(__file__).resolve().parent / "examples"
CACHE_SECONDS = (600, 1800)
"""Every 600 s, uploads and results older than 1800 s are deleted; the page promises it within the hour."""
CAMERA = gr.WebcamOptions(
    mirror=False,
    constraints={
        "video": {"facingMode": {"ideal": "environment"}, "width": {"ideal": 1920}, "height": {"ideal": 1440}}
    },
)
"""A phone's rear camera. Gradio would mirror the saved pixels, too."""
PREVALENCES = (0.1, 90.0)
"""Per cent of the lesions that may be malignant."""


def build_app(analyzer: Analyzer, texts: Texts) -> gr.Blocks:
    """The page and its events, ready to be launched; it asks `analyzer` about pictures and knows no model itself.

    In the language of `texts` it lies at `/`, and in any other at `/<code>`, see `InTheReadersLanguage`.
    """
    facts = read_facts(analyzer.folder, analyzer.shipped)
    options = {"title": texts.page.title, "analytics_enabled": False, "delete_cache": CACHE_SECONDS}
    with GuardedBlocks(EXAMPLES, texts.server.not_ours, texts.server.failed, **options) as app:
        add_page(analyzer, facts, texts)
        add_endpoints(analyzer, texts)
    for code in languages():
        if code != texts.language:
            with app.route(code, f"/{code}", show_in_navbar=False):
                add_page(analyzer, facts, load_texts(code))
    app.queue(api_open=False, max_size=QUEUE)
    return app


def add_page(analyzer: Analyzer, facts: ModelFacts, texts: Texts) -> None:
    """All that is seen in one language."""
    gr.HTML(header(texts), elem_id="head")
    with gr.Tabs(elem_id="tabs", overflow_behavior="wrap") as tabs:
        with gr.Tab(texts.page.tab_one, id=ONE):
            panel = add_picture_tab(analyzer, facts, texts)
        with gr.Tab(texts.page.tab_many, id=SEVERAL):
            batch = add_batch_tab(analyzer, texts)
        with gr.Tab(texts.page.tab_about, id="about"):
            add_about_tab(analyzer, facts, texts)
    connect_more(panel, tabs, batch, texts)
    connect_opener(panel, tabs, batch, texts)
    gr.HTML(model_line(analyzer.meta, analyzer.folder.name, texts), elem_id="foot")


def add_endpoints(analyzer: Analyzer, texts: Texts) -> None:
    """What programs call: once, whatever languages the page is in; every event of a page is private."""
    add_endpoint(analyzer, ReportWriter(analyzer.meta, analyzer.folder.name, texts), DEFAULT_PREVALENCE)
    add_batch_endpoint(analyzer, texts)


def add_picture_tab(analyzer: Analyzer, facts: ModelFacts, texts: Texts) -> Panel:
    """One picture: capture and verdict first. What is written in order here is seen in that order on a phone."""
    files = sorted(file for file in EXAMPLES.glob("*") if file.suffix in (".jpg", ".png"))
    writer = ReportWriter(analyzer.meta, analyzer.folder.name, texts)
    with gr.Column(elem_id="stage"):
        with gr.Column(elem_id="picture-area"):
            picture, closer, dermoscopic = capture(texts)
            more = gr.Button(texts.page.more_button, elem_id="more")
        with gr.Column(elem_id="result-area"):
            gr.HTML(notice_place(texts), elem_id="notice")
            result = gr.HTML(elem_id="result")
            point, threshold, point_note = point_choice(analyzer, texts)
        with gr.Column(elem_id="heat-area"):
            gr.HTML(heading(texts.page.heat_heading))
            heat = gr.HTML(elem_id="heat")
        with gr.Column(elem_id="side"):
            with gr.Column(elem_id="meaning-area"):
                prevalence, meaning = meaning_view(analyzer, texts)
            with gr.Column(elem_id="quality-area"):
                gr.HTML(heading(texts.quality.heading))
                quality = gr.HTML(elem_id="quality")
            with gr.Column(elem_id="take-area"):
                record, case_id, patient, buttons = report_download(texts)
        with gr.Column(elem_id="notes-area"):
            gr.HTML(notes_place(texts))
        with gr.Column(elem_id="examples-area"):
            examples = example_gallery(files, texts)
    panel = Panel(
        picture, dermoscopic, result, point, threshold, point_note, heat, prevalence,
        meaning, quality, record, case_id, patient, examples, closer, more,
        kept=gr.State(None, time_to_live=CACHE_SECONDS[1]),
        screen=gr.JSON(visible="hidden"),
        again=gr.Button(visible="hidden", elem_id="again"),
        judge=gr.Button(visible="hidden", elem_id="judge"),
        wipe=gr.Button(visible="hidden", elem_id="wipe"),
        restore=gr.Button(visible="hidden", elem_id="restore"),
    )  # fmt: skip
    view = View(analyzer, facts, texts)
    connect(view, panel, files)
    connect_reports(view, panel, writer, buttons)
    return panel


def capture(texts: Texts) -> tuple[gr.Image, ZoomControls, gr.Checkbox]:
    """Where a picture comes in, and is seen closer; help with the camera is written under it."""
    picture = gr.Image(
        type="filepath",
        sources=["upload", "webcam", "clipboard"],
        webcam_options=CAMERA,
        label=texts.page.picture_label,
        placeholder=texts.page.picture_hint,
        alt_text=texts.page.picture_alt,
        buttons=["fullscreen"],
        height=420,
        elem_id="picture",
    )
    picture.preprocess = unopened  # type: ignore[method-assign]
    closer = zoom_controls(texts, CACHE_SECONDS[1])
    gr.HTML(photo_buttons(texts), elem_id="photo-place")
    gr.HTML("<div id='capture-help' aria-live='polite'></div>", elem_id="capture-help-place")
    return picture, closer, gr.Checkbox(True, label=texts.page.dermoscopic_label, elem_id="dermoscopic")


def point_choice(analyzer: Analyzer, texts: Texts) -> tuple[gr.Radio, gr.Slider, gr.HTML]:
    """The checkpoint's operating points by name, those that have one in `texts` first, and one of the reader's own."""
    words, default = texts.verdict, analyzer.point(DEFAULT_OPERATING_POINT)
    choices = point_choices(analyzer.meta, texts)
    choices.append((words.custom, CUSTOM))
    radio = gr.Radio(choices, value=default.name, label=words.point_label, elem_id="point")
    threshold = gr.Slider(
        0.0, 1.0, round(default.threshold, 2), step=0.01, visible=False,
        label=words.custom_threshold_label, elem_id="threshold",
    )  # fmt: skip
    return radio, threshold, gr.HTML(point_html(analyzer.meta, default, texts), elem_id="point-note")


def meaning_view(analyzer: Analyzer, texts: Texts) -> tuple[gr.Slider, gr.HTML]:
    """What share of lesions is malignant where the reader works, and what follows."""
    words = texts.verdict
    trained = texts.percent(analyzer.meta.prevalence, 0)
    gr.HTML(heading(words.meaning_heading) + fine(words.prevalence_info.format(trained=trained)))
    prevalence = gr.Slider(
        *PREVALENCES, 100 * DEFAULT_PREVALENCE, step=0.1, label=words.prevalence_label, elem_id="prevalence"
    )
    return prevalence, gr.HTML(elem_id="meaning")


def report_download(texts: Texts) -> tuple[gr.HTML, gr.Textbox, PatientFields, dict[str, gr.Button]]:
    """The text for the record, what may be noted on the report, and a button for each form that it comes in."""
    words = texts.page
    gr.HTML(heading(words.take_heading) + fine(words.take_text))
    record = gr.HTML(elem_id="record")
    case_id = gr.Textbox(label=words.case_id_label, info=words.case_id_info, max_length=80, elem_id="case-id")
    patient = patient_fields(texts)
    with gr.Row():
        buttons = {
            "pdf": gr.Button(words.pdf_button, variant="primary", min_width=80, elem_id="pdf"),
            "json": gr.Button(words.json_button, min_width=80, elem_id="json"),
        }
    return record, case_id, patient, buttons


def patient_fields(texts: Texts) -> PatientFields:
    """What may be noted of the patient, and that nothing need be."""
    words = texts.report
    with gr.Row(elem_id="patient"):
        age = gr.Textbox(label=words.age, max_length=3, min_width=80, elem_id="age")
        sex, site = (
            gr.Dropdown(
                [(words.not_stated, ""), *((name, key) for key, name in names.items())],
                value="",
                label=label,
                min_width=110,
                filterable=False,
                elem_id=place,
            )
            for label, names, place in ((words.sex, words.sexes, "sex"), (words.site, words.sites, "body-site"))
        )
    gr.HTML(fine(texts.page.patient_info))
    return age, sex, site


def example_gallery(files: list[Path], texts: Texts) -> gr.Gallery:
    return gr.Gallery(
        [(str(file), example_caption(file, texts)) for file in files],
        label=texts.page.examples_label,
        columns=max(1, len(files)),
        rows=1,
        height="auto",
        object_fit="cover",
        allow_preview=False,
        interactive=False,
        buttons=[],
        visible=bool(files),
        elem_id="examples",
    )


def example_caption(file: Path, texts: Texts) -> str:
    """The caption of `phantom_benign_2.jpg` is that of `phantom_benign`."""
    kind = file.stem.rstrip("0123456789").rstrip("_")
    return texts.page.examples.get(kind, kind.replace("_", " "))
