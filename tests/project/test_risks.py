"""Risks and threats: each has its measure and its proof, and every test that is named as one exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import PROJECT

PAGES = {"docs/RISKS.md": r"[A-E]\d+", "docs/SECURITY.md": r"S\d+"}
TEST_ID = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
NONE_YET = "none yet"


def rows(text: str) -> Iterator[list[str]]:
    """The cells of every table row that is no heading and no rule."""
    for line in text.splitlines():
        if line.startswith("|") and not re.match(r"\|\s*(No\.|---)", line):
            yield [cell.strip() for cell in line.strip().strip("|").split("|")]


def names_in(path: Path) -> set[str]:
    """Names of the test functions in a file, found without running it; empty where there is no such file."""
    if not path.is_file():
        return set()
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    functions = (node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {node.name for node in functions if node.name.startswith("test_")}


def faults(text: str, numbers: str) -> list[str]:
    """What is wrong with the tables of a page, in words."""
    found, seen = [], set()
    for cells in rows(text):
        where = cells[0] or "a row without a number"
        if len(cells) != 4 or not all(cells):
            found.append(f"{where}: it needs four filled cells")
            continue
        _, _, measure, proof = cells
        if where in seen or not re.fullmatch(numbers, where):
            found.append(f"{where}: its number is odd, or there twice")
        seen.add(where)
        named = TEST_ID.findall(proof)
        if not named and not proof.lower().startswith(NONE_YET):
            found.append(f"{where}: its proof names no test")
        if not named and NONE_YET not in measure.lower():
            found.append(f"{where}: a measure without a proof")
        found += [f"{where}: no {name} in {file}" for file, name in named if name not in names_in(PROJECT / file)]
    return found


@pytest.mark.parametrize(("page", "numbers"), PAGES.items())
def test_every_risk_has_its_measure_and_a_test_that_exists(page: str, numbers: str) -> None:
    text = (PROJECT / page).read_text(encoding="utf-8")
    assert faults(text, numbers) == []
    assert len(list(rows(text))) > 10


def test_every_test_id_on_the_pages_is_understood() -> None:
    for page in PAGES:
        text = (PROJECT / page).read_text(encoding="utf-8")
        assert len(TEST_ID.findall(text)) == text.count("::")


def test_the_check_can_fail() -> None:
    proof = "`tests/project/test_risks.py::test_the_check_can_fail`"
    head = "| No. | Risk | Measure | Proof |\n| --- | --- | --- | --- |\n"
    broken = {
        f"| A1 | risk | measure | {proof} |": [],
        "| A1 | risk | None yet: no measure. | None yet: no test. |": [],
        f"| A1 | risk |  | {proof} |": ["A1: it needs four filled cells"],
        "| A1 | risk | measure | `tests/project/test_risks.py::test_gone` |": [
            "A1: no test_gone in tests/project/test_risks.py"
        ],
        "| A1 | risk | measure | `tests/test_gone.py::test_gone` |": ["A1: no test_gone in tests/test_gone.py"],
        "| A1 | risk | measure | None yet: no test. |": ["A1: a measure without a proof"],
        "| A1 | risk | measure | looked at |": ["A1: its proof names no test", "A1: a measure without a proof"],
        f"| x | risk | measure | {proof} |": ["x: its number is odd, or there twice"],
    }
    for line, expected in broken.items():
        assert faults(head + line, PAGES["docs/RISKS.md"]) == expected, line
