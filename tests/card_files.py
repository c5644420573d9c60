"""A checkpoint's files to be spoilt, and the model card that is made from them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from conftest import PROJECT

from lesion_demo.card import model_card, read_facts
from lesion_demo.checkpoint import find_best_checkpoint


def shipped_in(scratch: Path) -> Path:
    """A copy of the shipped checkpoint without its weights."""
    shipped = find_best_checkpoint(PROJECT / "checkpoints")
    assert (shipped / "audit.json").is_file(), f"audit {shipped} before it is shipped: python -m lesion_demo audit"
    ignored = shutil.ignore_patterns("*.safetensors", "resume", "README.md", "split.csv")
    return Path(shutil.copytree(shipped, scratch / "run", ignore=ignored))


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def change(path: Path, edit: Callable[[Any], object]) -> None:
    values = load(path)
    edit(values)
    path.write_text(json.dumps(values), encoding="utf-8")


def card_of(folder: Path) -> str:
    return model_card(read_facts(folder)).replace("\u00a0", " ")


def percent(estimate: dict[str, float]) -> str:
    value, low, high = (100 * estimate[key] for key in ("value", "low", "high"))
    told = "under 0.1" if 0 < value < 0.1 else f"{value:.1f}"
    return f"{told} % ({low:.1f}–{high:.1f})"


def rows_under(card: str, caption: str) -> list[list[str]]:
    """The cells of the table after `caption`, its header first."""
    lines = card.partition(caption)[2].split("\n\n")[1].splitlines()
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if not line.startswith("| ---")]
