"""A model card (Mitchell et al. 2019, arXiv 1810.03993) as GitHub-flavoured Markdown."""

from __future__ import annotations

import functools
import re
from html import escape
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from lesion_demo.card.description import describe
from lesion_demo.card.figures import audit_sections
from lesion_demo.card.folder import ModelFacts
from lesion_demo.card.parts import Plot, Table
from lesion_demo.card.trust import trust_sections
from lesion_demo.texts import load_texts

TEMPLATES = Path(__file__).resolve().parent / "templates"


def model_card(facts: ModelFacts) -> str:
    """The card of `facts`, in English, with links to the plots beside it; it ends in a line break."""
    texts = load_texts()
    card = describe(facts, texts)
    columns = texts.about.columns
    glance = Table("", (columns["figure"], columns["value"]), tuple((one.label, one.value) for one in card.headlines))
    return _environment().get_template("card.md").render(card=card, glance=glance)


def audit_text(facts: ModelFacts) -> str:
    """What the audit found, as the card tells it: the tables without their plots."""
    texts = load_texts()
    section = _environment().get_template("section.md").module.section  # type: ignore[attr-defined]
    return "\n".join(map(section, (*audit_sections(facts, texts), *trust_sections(facts, texts)))).rstrip("\n")


def plain(text: str) -> str:
    """`text` such that Markdown shows it as it is, on one line."""
    line = escape(" ".join(text.split()), quote=False)
    return re.sub(r"([\\`*\[\]|~])|(?<!\w)_|_(?!\w)", lambda found: f"\\{found.group()}", line)


@functools.cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=_as_it_is,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    made.filters["address"] = _address
    return made


def _as_it_is(value: object) -> Markup:
    """What a template prints: `plain`, unless a template has made it."""
    return value if isinstance(value, Markup) else Markup(plain(str(value)))


def _address(plot: Plot) -> Markup:
    return Markup(quote(f"{plot.path.parent.name}/{plot.path.name}"))
