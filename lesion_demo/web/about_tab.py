"""What is known of the model, as a tab: figures at a glance, use and limits, then everything, section by section."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from lesion_demo.card import ModelFacts
from lesion_demo.card.description import describe
from lesion_demo.card.parts import Description, Plot, Section
from lesion_demo.serve.analysis import Analyzer
from lesion_demo.serve.phrases import fitted
from lesion_demo.texts import Texts
from lesion_demo.web.templates import part, render

STYLE_SHEET = Path(__file__).resolve().parent / "about.css"


def add_about_tab(analyzer: Analyzer, facts: ModelFacts, texts: Texts) -> None:
    """Fill the tab that is open with what the files of `analyzer`'s checkpoint say, in the language of `texts`."""
    description = describe(facts, texts)
    if sentence := fitted(analyzer.meta, texts):
        gr.HTML(part("paragraph", f"{sentence} {texts.about.as_shipped}"), elem_id="about-fitted")
    gr.HTML(
        f"<style>{STYLE_SHEET.read_text(encoding='utf-8')}</style>{opening_html(description)}", elem_id="about-opening"
    )
    for section in description.details:
        with gr.Accordion(section.title, open=False, elem_id=f"about-{section.name}"):
            gr.HTML(section_html(section))
            if section.plots:
                with gr.Row(elem_classes="about-plots"):
                    for plot in section.plots:
                        add_plot(plot)


def add_plot(plot: Plot) -> None:
    """A picture of the run; Gradio serves a copy of the file."""
    gr.Image(
        str(plot.path),
        label=plot.title,
        alt_text=plot.alt,
        interactive=False,
        buttons=["fullscreen"],
    )


def opening_html(description: Description) -> str:
    """What everybody should see: what the model is, its main figures, what it is for and not for, and its limits."""
    return render("about.html", description=description)


def section_html(section: Section) -> str:
    """A section without its title and its plots."""
    return render("section.html", section=section)
