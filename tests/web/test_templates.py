"""HTML and Markdown come from templates, which escape whatever is filled in."""

from __future__ import annotations

import ast
import re

import pytest
from conftest import PROJECT
from jinja2 import UndefinedError

from lesion_demo.texts import load_texts
from lesion_demo.web.templates import error_card, heading, part, render, said_of

EVIL = "<script>alert(1)</script>'\"&"
ESCAPED = "&lt;script&gt;alert(1)&lt;/script&gt;&#39;&#34;&amp;"


def test_what_is_filled_in_is_escaped_unless_it_is_html_already() -> None:
    texts = load_texts()
    for html in (heading(EVIL), error_card(EVIL, texts), part("card", EVIL, EVIL, EVIL, EVIL), said_of(EVIL, "")):
        assert ESCAPED in html
        assert "<script" not in html
    assert said_of("1", "<b>2</b>") == "<div data-picture='1'><b>2</b></div>"
    assert type(heading("1")) is str  # what writes JSON need not know of anything else


def test_a_value_that_is_not_given_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="failed"):
        render("quality.html", texts=load_texts())


def test_no_module_writes_html_by_itself() -> None:
    tag = re.compile(r"</?(p|div|span|ul|li|section|table|t[dhr]|h\d|img|dl|details)\b")
    rooms = [PROJECT / "lesion_demo" / name for name in ("web", "serve", "card", "audit")]
    assert all(room.is_dir() for room in rooms)
    found = [
        f"{path.name}:{node.lineno}"
        for room in rooms
        for path in room.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.JoinedStr) and tag.search(ast.unparse(node))
    ]
    assert found == []
