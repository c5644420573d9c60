"""What the browser keeps to by itself: one picture on display, and nothing beside it that was said of another."""

from __future__ import annotations

import json
from pathlib import Path

from lesion_demo.texts import Texts
from lesion_demo.web.templates import empty_card, part

SCRIPT = Path(__file__).with_suffix(".js")


def display_script(texts: Texts) -> str:
    """A JavaScript function without arguments, for the page to call once; it offers what it does as `lesion`.

    The moment a picture comes in or goes, it gives it an id and takes away what was said of the last one, without
    asking the server. While there is no answer, it says why in the element `notice-card`: none was chosen, one is being
    analysed, or what failed. An answer is shown if it carries the id of the picture on display.
    """
    return f"() => ({SCRIPT.read_text(encoding='utf-8').strip()})({json.dumps(_notices(texts))})"


def _notices(texts: Texts) -> dict[str, str]:
    """The cards that take the verdict's place, as HTML, by the name that the script calls them."""
    words = texts.page
    failures = {
        reason: part("card", "error", words.failure_headings[reason], text, "✕")
        for reason, text in words.failures.items()
    }
    return {"empty": empty_card(texts), "waiting": part("card", "waiting", words.waiting), **failures}
