"""A list of what was said in this session: kept by the browser, while the page is open, and told to nobody."""

from __future__ import annotations

import json
from pathlib import Path

from lesion_demo.texts import Texts

SCRIPT = Path(__file__).with_suffix(".js")


def notes_script(texts: Texts) -> str:
    """A JavaScript function without arguments, for the page to call once, after that of `display`.

    Into the element that the macro `notes_place` makes, it writes a line for each picture that got an answer: what the
    page said last of it, the name of its file, and the time.
    """
    options = json.dumps({"language": texts.language})
    return f"() => ({SCRIPT.read_text(encoding='utf-8').strip()})({options})"
