"""How the page looks: a theme, beside page.css and page.js. Light and dark, from 360 pixels up, no foreign fonts."""

from __future__ import annotations

import json
from pathlib import Path

import gradio as gr

from lesion_demo.texts import Texts, languages, load_texts
from lesion_demo.web.capture import capture_script
from lesion_demo.web.display import display_script
from lesion_demo.web.intake import intake_script
from lesion_demo.web.notes import notes_script

SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif")
MONO = ("ui-monospace", "Consolas", "monospace")
SIZES = gr.themes.Size("16px", "16px", "16px", "16px", "18px", "22px", "26px", name="text_readable")
"""No text is smaller than 16 px: the page is read at arm's length."""
STYLE_SHEET = Path(__file__).resolve().parent / "page.css"
SCRIPT = STYLE_SHEET.with_suffix(".js")


def theme() -> gr.themes.Base:
    """A quiet theme whose text has a contrast of 4.5 to 1 or more (WCAG 2.2, 1.4.3), in light and in dark."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.slate,
        text_size=SIZES,
        radius_size=gr.themes.sizes.radius_md,
        font=SANS,
        font_mono=MONO,
    ).set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        body_text_color="*neutral_900",
        body_text_color_dark="*neutral_100",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_label_text_color="*neutral_700",
        block_label_text_color_dark="*neutral_200",
        block_title_text_color="*neutral_800",
        block_title_text_color_dark="*neutral_100",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        color_accent="*primary_700",
        slider_color="*primary_700",
        slider_color_dark="*primary_300",
        checkbox_border_color="*neutral_500",
        checkbox_border_color_dark="*neutral_400",
        checkbox_background_color_selected="*primary_700",
        checkbox_background_color_selected_dark="*primary_600",
        checkbox_border_color_selected="*primary_700",
        checkbox_border_color_selected_dark="*primary_300",
        input_border_width="1px",
        input_border_color="*neutral_500",
        input_border_color_dark="*neutral_400",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_hover_dark="*primary_800",
        button_primary_text_color="white",
    )


def script(texts: Texts) -> str:
    """What the browser runs once: it keeps one picture on display, mends what Gradio leaves, helps with the camera.

    In the language of the page that it runs on; the one at `/`, whose name is empty, is in that of `texts`.
    """
    pages = {"" if code == texts.language else code: _script(load_texts(code)) for code in languages()}
    chosen = ", ".join(f"{json.dumps(page)}: {made}" for page, made in pages.items())
    return f"() => ({{{chosen}}})[window.gradio_config?.current_page ?? '']()"


def _script(texts: Texts) -> str:
    words = texts.page
    options = json.dumps({"language": texts.language, "title": words.title})
    page = f"({SCRIPT.read_text(encoding='utf-8')})({options})"
    others = (intake_script(texts), capture_script(texts), notes_script(texts))
    called = " ".join(f"({other})();" for other in others)
    return f"() => {{ ({display_script(texts)})(); {page}; {called} }}"
