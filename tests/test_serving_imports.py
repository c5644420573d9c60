"""What the page needs is loaded, and nothing that only training needs: figures are computed when they are written."""

from __future__ import annotations

import ast
from pathlib import Path

from conftest import PROJECT

HEAVY = ("sklearn", "scipy", "torch.utils.data")
STILL = {"learning.familiarity", "learning.dataset", "imaging.lesion", "imaging.findings"}
"""Modules on the page's way that still import one of them; remove from here what no longer does."""


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def test_the_page_loads_neither_sklearn_nor_scipy_nor_a_data_loader() -> None:
    waiting, heavy, reached = imports(PROJECT / "app.py"), set(), set()
    while waiting:
        name = waiting.pop()
        place = PROJECT.joinpath(*name.split("."))
        path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        if not name.startswith("lesion_demo.") or name in reached or not path.is_file():
            continue
        reached.add(name)
        waiting |= (used := imports(path))
        if any(module.startswith(HEAVY) for module in used):
            heavy.add(name.removeprefix("lesion_demo."))
    assert len(reached) > 40
    assert heavy <= STILL
