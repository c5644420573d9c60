"""Pieces of HTML that several parts of the page are made of. Whatever comes in from outside is escaped here."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from lesion_demo.checkpoint import Checkpoint
from lesion_demo.serving.wording import fitted
from lesion_demo.texts import Texts


def header(texts: Texts) -> str:
    return f"<h1>{escape(texts.page.title)}</h1><p class='disclaimer'>{escape(texts.page.disclaimer)}</p>"


def empty_card(texts: Texts) -> str:
    """What stands in the verdict's place before there is a picture."""
    return card("empty", f"{heading(texts.page.empty_heading)}<p>{escape(texts.page.empty_text)}</p>")


def error_card(message: str, texts: Texts) -> str:
    """One sentence on why the picture could not be read."""
    return card("error", f"{heading(texts.page.unreadable_heading, '✕')}<p>{escape(message)}</p>")


def said_of(picture_id: str, content: str) -> str:
    """`content`, which is HTML, for the browser to show while it has the picture of this id on display, and no other.

    See `lesion_demo/ui/display.js`.
    """
    return f"<div data-picture='{escape(picture_id)}'>{content}</div>"


def notice_place(texts: Texts) -> str:
    """Where the browser says why there is no verdict; at first, that there is no picture."""
    return f"<div id='notice-card' aria-live='polite'>{empty_card(texts)}</div>"


def card(kind: str, content: str) -> str:
    """A box around `content`, which is HTML; `kind` is a class of page.css."""
    return f"<section class='card {kind}'>{content}</section>"


def notice(kind: str, title: str, text: str, items: Iterable[str] = ()) -> str:
    """A box that has to be seen: a sign, a title, a sentence, and a list if there are `items`."""
    listed = "".join(f"<li>{escape(item)}</li>" for item in items)
    return card(kind, f"{heading(title, '⚠')}<p>{escape(text)}</p>" + (f"<ul>{listed}</ul>" if listed else ""))


def heading(text: str, sign: str = "") -> str:
    """A heading, after a `sign` that only eyes need."""
    before = f"<span aria-hidden='true'>{sign}</span> " if sign else ""
    return f"<h2>{before}{escape(text)}</h2>"


def fine(text: str) -> str:
    """A quiet sentence."""
    return f"<p class='fine'>{escape(text)}</p>" if text else ""


def model_line(meta: Checkpoint, name: str, texts: Texts) -> str:
    """Which checkpoint answers here, and which clinic it is fitted to."""
    roc_auc = texts.number(meta.val_roc_auc, 3)
    line = texts.page.model_line.format(backbone=meta.backbone, name=name, roc_auc=roc_auc)
    return fine(" ".join(filter(None, (line, fitted(meta, texts)))))
