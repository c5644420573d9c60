"""What is installed: lock files that name all of it by hash and no place, and floors above the holes that are known."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import PROJECT
from packaging.requirements import Requirement
from packaging.version import Version

LOCKED = ("requirements-dev", "requirements-serve")

FIRST_WITHOUT_A_KNOWN_HOLE = {
    "pillow": "12.3",  # CVE-2026-54059, -54060, -55379, -55380, -55798
    "pillow-heif": "1.8.1",  # CVE-2026-28231; libheif below 1.23.6: CVE-2026-84383 and others
    "pydicom": "3.0.2",  # CVE-2026-32711
    "gradio": "6.15",  # CVE-2026-48545
    "jinja2": "3.1.6",  # CVE-2025-27516
    "filelock": "3.20.3",  # CVE-2025-68146, CVE-2026-22701
    "onnx": "1.21",  # CVE-2026-28500, -34445, -27489
    "tqdm": "4.66.3",  # CVE-2024-34062
    "setuptools": "78.1.1",  # CVE-2025-47273
    "pytest": "9.0.3",  # CVE-2025-71176
    "pyarrow": "23.0.1",  # CVE-2026-25087
    "pypdf": "6.16.1",  # CVE-2026-84309, -84310, -84311
}
"""Looked up in November 2026. PyTorch before 2.10 has CVE-2026-24747, in `torch.load`, which here reads own files."""


def asked(path: Path) -> list[Requirement]:
    """The requirements of the file at `path` and of those that it names."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("-r "):
            found += asked(path.parent / line.removeprefix("-r "))
        elif line and not line.startswith("#"):
            found.append(Requirement(line))
    return found


def pinned(name: str) -> list[tuple[Requirement, int]]:
    """What a lock file pins, and how many hashes each has."""
    text = (PROJECT / f"{name}.lock").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(Requirement(line.split("--hash")[0].strip()), line.count("--hash=sha256:")) for line in lines]


@pytest.mark.parametrize("name", LOCKED)
def test_a_lock_names_versions_and_hashes_but_no_place(name: str) -> None:
    assert "://" not in (PROJECT / f"{name}.lock").read_text(encoding="utf-8")
    pins = pinned(name)
    assert len(pins) > 50
    for pin, hashes in pins:
        assert re.fullmatch(r"==[\w.]+", str(pin.specifier)), pin
        assert hashes > 0, pin


@pytest.mark.parametrize("name", LOCKED)
def test_a_lock_is_that_of_its_requirements(name: str) -> None:
    """Else `make lock` was forgotten."""
    pins = [pin for pin, _ in pinned(name)]
    for one in asked(PROJECT / f"{name}.txt"):
        versions = [str(pin.specifier).removeprefix("==") for pin in pins if pin.name == one.name.lower()]
        assert versions, f"{one.name} is not locked"
        assert all(one.specifier.contains(version) for version in versions), one


def test_both_locks_name_the_same_versions() -> None:
    whole, serving = ({str(pin).split(";")[0].strip() for pin, _ in pinned(name)} for name in LOCKED)
    assert serving < whole


def test_serving_is_locked_without_pytorch() -> None:
    assert not {pin.name for pin, _ in pinned("requirements-serve")} & {"torch", "torchvision", "triton", "onnx"}


def test_floors_are_above_the_known_holes() -> None:
    floors: dict[str, Version] = {}
    for one in asked(PROJECT / "requirements-dev.txt"):
        floors |= {one.name.lower(): Version(part.version) for part in one.specifier if part.operator == ">="}
    low = {name: first for name, first in FIRST_WITHOUT_A_KNOWN_HOLE.items() if floors[name] < Version(first)}
    assert low == {}
