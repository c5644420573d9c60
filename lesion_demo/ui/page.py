"""The page: what stands where, and what happens when."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from lesion_demo.serving.analysis import DEFAULT_OPERATING_POINT, Analyzer
from lesion_demo.ui import fragments, strings
from lesion_demo.ui.events import Panel, add_endpoint, connect
from lesion_demo.ui.picture import unopened

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "assets" / "examples"
CACHE_SECONDS = (600, 1800)
"""Every 600 s, uploads and results older than 1800 s are deleted; the page promises it within the hour."""
CAMERA = gr.WebcamOptions(
    mirror=False,
    constraints={
        "video": {"facingMode": {"ideal": "environment"}, "width": {"ideal": 1920}, "height": {"ideal": 1440}}
    },
)
"""A phone's rear camera. Gradio would mirror the saved pixels, too."""


def build_app(analyzer: Analyzer) -> gr.Blocks:
    """The page and its events, ready to be launched; it asks `analyzer` about pictures and knows no model itself."""
    files = sorted(file for file in EXAMPLES.glob("*") if file.suffix in (".jpg", ".png"))
    with gr.Blocks(title=strings.TITLE, analytics_enabled=False, delete_cache=CACHE_SECONDS) as app:
        gr.HTML(fragments.header(), elem_id="head")
        with gr.Column(elem_id="stage"):
            with gr.Column(elem_id="picture-area"):
                picture = picture_input()
            with gr.Column(elem_id="result-area"):
                result = gr.HTML(fragments.empty_card(), elem_id="result")
                point = point_choice(analyzer)
            with gr.Column(elem_id="heat-area"):
                heat = heat_output()
                caption = gr.HTML(fragments.heat_caption(empty=False), elem_id="heat-caption")
            with gr.Column(elem_id="examples-area"):
                examples = example_gallery(files)
        gr.HTML(fragments.model_line(analyzer.meta, analyzer.folder.name), elem_id="foot")
        found = gr.State(None, time_to_live=CACHE_SECONDS[1])
        connect(analyzer, Panel(picture, point, result, heat, caption, found, examples), files)
        add_endpoint(analyzer, picture, point)
    app.queue(api_open=False, max_size=32)
    return app


def picture_input() -> gr.Image:
    picture = gr.Image(
        type="filepath",
        sources=["upload", "webcam", "clipboard"],
        webcam_options=CAMERA,
        label=strings.PICTURE_LABEL,
        placeholder=strings.PICTURE_HINT,
        alt_text=strings.PICTURE_ALT,
        buttons=["fullscreen"],
        height=420,
        elem_id="picture",
    )
    picture.preprocess = unopened  # type: ignore[method-assign]
    return picture


def heat_output() -> gr.Image:
    return gr.Image(
        label=strings.HEAT_LABEL,
        alt_text=strings.HEAT_ALT,
        interactive=False,
        buttons=["download", "fullscreen"],
        format="jpeg",
        height=380,
        elem_id="heat",
    )


def point_choice(analyzer: Analyzer) -> gr.Radio:
    """The checkpoint's operating points by name, those we know described in plain words."""
    names = [point.name for point in analyzer.meta.operating_points]
    known = [name for name in strings.POINTS if name in names]
    choices = [(strings.POINTS.get(name, name), name) for name in [*known, *sorted(set(names) - set(known))]]
    return gr.Radio(choices, value=DEFAULT_OPERATING_POINT, label=strings.POINT_LABEL, elem_id="point")


def example_gallery(files: list[Path]) -> gr.Gallery:
    return gr.Gallery(
        [(str(file), example_caption(file)) for file in files],
        label=strings.EXAMPLES_LABEL,
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


def example_caption(file: Path) -> str:
    """`phantom_benign_too_dark.jpg` → `artificial: benign too dark`."""
    words = [word for word in file.stem.split("_") if word != "phantom" and not word.isdigit()]
    return f"{strings.EXAMPLE_PREFIX}: {' '.join(words)}"
