"""A model card (Mitchell et al. 2019, arXiv 1810.03993) as GitHub-flavoured Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from html import escape
from urllib.parse import quote

from lesion_demo.serving.model_card.description import describe
from lesion_demo.serving.model_card.figures import audit_sections
from lesion_demo.serving.model_card.folder import ModelFacts
from lesion_demo.serving.model_card.parts import Plot, Section, Table
from lesion_demo.serving.model_card.trust import trust_sections
from lesion_demo.texts import load_texts


def model_card(facts: ModelFacts) -> str:
    """The card of `facts`, in English, with links to the plots beside it; it ends in a line break."""
    texts = load_texts()
    found = describe(facts, texts)
    columns = texts.about.columns
    glance = Table("", (columns["figure"], columns["value"]), tuple((one.label, one.value) for one in found.headlines))
    blocks = [f"# {plain(found.title)}", *map(plain, found.summary)]
    for section in found.warnings:
        blocks += _section(section)
    blocks += [f"## {plain(found.headline_title)}", plain(found.headline_note)]
    blocks += [_table(glance)] if glance.rows else []
    for section in found.details:
        blocks += _section(section)
    return "\n\n".join(blocks) + "\n"


def audit_text(facts: ModelFacts) -> str:
    """What the audit found, as the card tells it: the tables without their plots."""
    texts = load_texts()
    sections = (*audit_sections(facts, texts), *trust_sections(facts, texts))
    return "\n\n".join(block for section in sections for block in _section(section))


def plain(text: str) -> str:
    """`text` such that Markdown shows it as it is, on one line."""
    line = escape(" ".join(text.split()), quote=False)
    return re.sub(r"([\\`*\[\]|~])|(?<!\w)_|_(?!\w)", lambda found: f"\\{found.group()}", line)


def _section(section: Section) -> Iterator[str]:
    yield f"## {plain(section.title)}"
    yield from map(plain, section.paragraphs)
    if section.items:
        yield "\n".join(f"- {plain(item)}" for item in section.items)
    for table in section.tables:
        if table.caption != section.title:
            yield f"**{plain(table.caption)}**"
        yield _table(table)
    yield from map(_image, section.plots)


def _table(table: Table) -> str:
    return "\n".join([_row(table.header), _row("---" for _ in table.header), *map(_row, table.rows)])


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(map(plain, cells))} |"


def _image(plot: Plot) -> str:
    return f"![{plain(f'{plot.title}. {plot.alt}')}]({quote(f'{plot.path.parent.name}/{plot.path.name}')})"
