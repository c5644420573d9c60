"""The rooms of the house, and which of them a room may use."""

from __future__ import annotations

import ast
from pathlib import Path

from conftest import PROJECT

PACKAGE = PROJECT / "lesion_demo"
BASE = {"errors", "files", "config", "results", "run_folder", "arrays", "decision", "prevalence", "schema", "vouched"}
"""Words that every room speaks: plain dataclasses and functions without pictures or networks."""
SHARED = {"checkpoint", "shown", "local_calibration", "texts"}
MAY_USE = {
    "images": BASE,
    "data": BASE | {"images"},
    "network": BASE,
    "evaluate": BASE | {"images", "data", "network", "checkpoint", "shown", "local_calibration"},
    "train": BASE | {"images", "data", "network", "evaluate", "checkpoint", "shown"},
    "card": BASE | {"checkpoint", "shown", "texts"},
    "serve": BASE | SHARED | {"images", "network", "card"},
    "web": BASE | SHARED | {"images", "serve", "card"},
    "audit": BASE | {"images", "data", "network", "evaluate", "checkpoint", "serve"},
    "api": BASE | SHARED | {"hub", "images", "serve"},
    "hub": BASE | {"checkpoint"},
    "checkpoint": BASE | {"network", "shown", "local_calibration"},
    "shown": BASE,
    "local_calibration": BASE,
    "texts": BASE,
    "recipes": BASE,
    "expected": BASE,
}
"""Serving (serve, web, card) uses no training, data or audit code: the two journeys meet in the checkpoint."""
EVERYTHING = {"__init__", "__main__", "cli"}
"""What starts the others may use all of them."""


def modules() -> dict[str, Path]:
    names = {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}
    return {name.removesuffix(".__init__"): path for name, path in names.items()}


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "lesion_demo":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lesion_demo."):
            assert node.module is not None
            found.add(node.module.removeprefix("lesion_demo."))
        elif isinstance(node, ast.Import):
            found |= {alias.name.removeprefix("lesion_demo.") for alias in node.names if "lesion_demo." in alias.name}
    return found


def room(module: str) -> str:
    return module.partition(".")[0]


def test_every_module_has_a_room() -> None:
    assert {room(name) for name in modules()} == set(MAY_USE) | BASE | EVERYTHING


def test_a_room_uses_only_what_it_may() -> None:
    wrong = [
        f"{name} imports {target}"
        for name, path in modules().items()
        if room(name) not in EVERYTHING
        for target in imported(path) - {"__version__"}
        if room(target) not in MAY_USE.get(room(name), BASE) | {room(name)}
    ]
    assert wrong == []


def test_no_room_leads_back_to_itself() -> None:
    """A module never imports, by whatever way, itself."""
    uses = {name: {target for target in imported(path) if target in modules()} for name, path in modules().items()}

    finished: set[str] = set()

    def circle(name: str, way: tuple[str, ...]) -> tuple[str, ...]:
        if name in way:
            return (*way[way.index(name) :], name)
        if name in finished:
            return ()
        for target in uses[name] - {"__init__"}:
            if found := circle(target, (*way, name)):
                return found
        finished.add(name)
        return ()

    assert [way for name in modules() if name != "__init__" and (way := circle(name, ()))] == []


def test_only_the_page_knows_gradio() -> None:
    knowing = {name for name, path in modules().items() if "import gradio" in path.read_text(encoding="utf-8")}
    assert knowing
    assert all(room(name) == "web" for name in knowing)
