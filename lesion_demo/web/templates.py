"""The page's HTML, from the templates beside this file; whatever is filled in is escaped there."""

from __future__ import annotations

import functools
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from lesion_demo.checkpoint import Checkpoint
from lesion_demo.serve.phrases import fitted
from lesion_demo.texts import Texts, languages, load_texts

TEMPLATES = Path(__file__).resolve().parent / "templates"


def render(name: str, **values: object) -> str:
    """The template `name` with these values; what is HTML already comes as `Markup`."""
    return _environment().get_template(name).render(**values)


def part(name: str, *values: object) -> str:
    """The macro `name` of `parts.html`."""
    return "".join([getattr(_environment().get_template("parts.html").module, name)(*values)])


@functools.cache
def _environment() -> Environment:
    options = {"trim_blocks": True, "lstrip_blocks": True, "undefined": StrictUndefined}
    made = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, **options)  # type: ignore[arg-type]
    made.filters["fill"] = lambda text, **values: Markup(escape(text)).format(**values)
    return made


def heading(text: str) -> str:
    return part("heading", text)


def fine(text: str) -> str:
    """A quiet sentence."""
    return part("fine", text)


def header(texts: Texts) -> str:
    """The title, what this is for, and the languages to choose from, each by its own name."""
    names = [(code, load_texts(code).page.language_name) for code in languages()]
    return part("header", texts, names)


def empty_card(texts: Texts) -> str:
    """What stands in the verdict's place before there is a picture."""
    return part("card", "empty", texts.page.empty_heading, texts.page.empty_text)


def error_card(message: str, texts: Texts) -> str:
    """One sentence on why the picture could not be read."""
    return part("card", "error", texts.page.unreadable_heading, message, "✕")


def said_of(picture_id: str, content: str) -> str:
    """`content`, which is HTML, for the browser to show while it has the picture of this id on display, and no other.

    See `lesion_demo/web/display.js`.
    """
    return part("said_of", picture_id, Markup(content))


def photo_buttons(texts: Texts) -> str:
    """Buttons that open a camera: the phone's own, or one in the page; see `lesion_demo/web/intake.js`."""
    return part("photo_buttons", texts)


def notes_place(texts: Texts) -> str:
    """Where the browser lists what was said in this session; see `lesion_demo/web/notes.js`."""
    return part("notes_place", texts)


def notice_place(texts: Texts) -> str:
    """Where the browser says why there is no verdict; at first, that there is no picture."""
    return part("notice_place", Markup(empty_card(texts)))


def model_line(meta: Checkpoint, name: str, texts: Texts) -> str:
    """Which checkpoint answers here, and which clinic it is fitted to."""
    roc_auc = texts.number(meta.val_roc_auc, 3)
    line = texts.page.model_line.format(backbone=meta.backbone, name=name, roc_auc=roc_auc)
    return fine(" ".join(filter(None, (line, fitted(meta, texts)))))
