"""What is known of the model, as a tab: figures at a glance, use and limits, then everything, section by section."""

from __future__ import annotations

from html import escape
from pathlib import Path

import gradio as gr

from lesion_demo.serving.analysis import Analyzer
from lesion_demo.serving.model_card import read_facts
from lesion_demo.serving.model_card.description import describe
from lesion_demo.serving.model_card.parts import Description, Headline, Plot, Section, Table
from lesion_demo.serving.wording import fitted
from lesion_demo.texts import Texts
from lesion_demo.ui.fragments import fine, heading

STYLE_SHEET = Path(__file__).resolve().parent / "about.css"


def add_about_tab(analyzer: Analyzer, texts: Texts) -> None:
    """Fill the tab that is open with what the files of `analyzer`'s checkpoint say, in the language of `texts`."""
    found = describe(read_facts(analyzer.folder, analyzer.shipped), texts)
    if sentence := fitted(analyzer.meta, texts):
        gr.HTML(paragraph(f"{sentence} {texts.about.as_shipped}"), elem_id="about-fitted")
    gr.HTML(f"<style>{STYLE_SHEET.read_text(encoding='utf-8')}</style>{opening_html(found)}", elem_id="about-opening")
    for section in found.details:
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


def opening_html(found: Description) -> str:
    """What everybody should see: what the model is, its main figures, what it is for and not for, and its limits."""
    cards = "".join(map(headline_html, found.headlines))
    return (
        "<div class='about'>"
        + "".join(map(paragraph, found.summary[:1]))
        + heading(found.headline_title)
        + paragraph(found.headline_note)
        + (f"<dl class='about-figures'>{cards}</dl>" if cards else "")
        + "".join(map(fine, found.summary[1:]))
        + "<div class='about-warnings'>"
        + "".join(
            f"<section class='{section.name}'>{heading(section.title)}{content(section)}</section>"
            for section in found.warnings
        )
        + "</div></div>"
    )


def headline_html(headline: Headline) -> str:
    """A figure large, its interval beside it, and what it is."""
    value, bracket, interval = headline.value.partition(" (")
    rest = f" <span>({escape(interval)}</span>" if bracket else ""
    return f"<div><dt>{escape(headline.label)}</dt><dd><strong>{escape(value)}</strong>{rest}</dd></div>"


def section_html(section: Section) -> str:
    """A section without its title and its plots."""
    return f"<div class='about about-{section.name}'>{content(section)}</div>"


def content(section: Section) -> str:
    items = "".join(f"<li>{escape(item)}</li>" for item in section.items)
    return (
        "".join(map(paragraph, section.paragraphs))
        + (f"<ul>{items}</ul>" if items else "")
        + "".join(table_html(table, titled=table.caption != section.title) for table in section.tables)
    )


def paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def table_html(table: Table, *, titled: bool) -> str:
    """A table in a box that scrolls, by keyboard too, under its caption if it is to be `titled`."""
    caption = escape(table.caption)
    head = "".join(f"<th scope='col'>{escape(cell)}</th>" for cell in table.header)
    body = "".join(
        f"<tr><th scope='row'>{escape(row[0])}</th>{''.join(f'<td>{escape(cell)}</td>' for cell in row[1:])}</tr>"
        for row in table.rows
    )
    title = f"<h3>{caption}</h3>" if titled else ""
    return (
        f"{title}<div class='about-scroll' role='region' tabindex='0' aria-label='{caption}'>"
        f"<table class='about-table'><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
