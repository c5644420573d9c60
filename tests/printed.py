"""The commands that README, docs and the heads of scripts print."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

from conftest import PROJECT

PYTHON_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def text_of(page: str) -> str:
    return (PROJECT / page).read_text(encoding="utf-8")


def printed() -> list[str]:
    """All that begins with `python`, in code blocks, between backticks and at the head of scripts."""
    places = [PROJECT / "README.md", *(PROJECT / "docs").glob("*.md"), *(PROJECT / "scripts").rglob("*.py")]
    found = set()
    for place in places:
        text = place.read_text(encoding="utf-8").replace("\\\n", " ").replace("\\", "")
        found |= {re.sub(r"\s+", " ", command) for command in re.findall(r"`(python [^`]+)`", text)}
        launched = re.findall(
            r"^(?:torchrun|accelerate launch) .*?(-m lesion_demo .+|train\.py .+)$", text, re.MULTILINE
        )
        found |= {f"python {words.strip()}" for words in launched}
        for line in re.findall(r"^ *(python .+|.*&& python .+)$", text, re.MULTILINE):
            found |= {re.sub(r"\s+", " ", part.split("  #")[0].strip()) for part in line.split("&&")}
    return sorted(found)


def command(page: str, *parts: str, start: str = "python", changes: Mapping[str, str] | None = None) -> list[str]:
    """The words of the one command in a code block of `page` that has all these `parts`, after `changes` to it."""
    text = text_of(page).replace("\\\n", " ")
    lines = {line.split("  #")[0].strip() for line in re.findall(rf"^{start} .+$", text, re.MULTILINE)}
    (found,) = (line for line in lines if all(part in line for part in parts))
    return shlex.split(_changed(found, changes or {}))


def python_block(page: str, part: str, changes: Mapping[str, str]) -> str:
    """The one Python example of `page` with `part` in it, after `changes`."""
    (found,) = (block for block in PYTHON_BLOCK.findall(text_of(page)) if part in block)
    return _changed(found, changes)


def _changed(text: str, changes: Mapping[str, str]) -> str:
    for before, after in changes.items():
        assert before in text, f"{before!r} is no longer in {text!r}"
        text = text.replace(before, after)
    return text
