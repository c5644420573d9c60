"""The scripts of docs/RELIABILITY.md on a small scale: soak, kills, fuzzer; and the page says what they found."""

from __future__ import annotations

import json
import os
import random
import sys
import time
from dataclasses import replace
from pathlib import Path

import fake_app
import pytest

from lesion_demo.images.load import load_image
from scripts import reliability
from scripts.fuzz import seeds
from scripts.fuzz_feed import with_right_sums
from scripts.kills import RUN, disturb
from scripts.server import server
from scripts.soak import Soak, soak

GOOD = Soak(50, 2000, 14.2, 0, 31, memory_mb=(500, 549, 600), ended_seconds=7.9)


def test_the_page_says_what_was_found() -> None:
    figures = json.loads(reliability.FIGURES.read_text(encoding="utf-8"))
    golden = [one for name, one in figures.items() if name.startswith("golden")]
    assert len(golden) >= 2, "the golden set is compared with more than one set of versions"
    assert all(max(one["onnx"], one["torch"]) < 1e-3 for one in golden)
    assert {"soak", "kills", "fuzz"} < set(figures)
    assert reliability.PAGE.read_text(encoding="utf-8") == reliability.page(figures)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"wrong": 1}, "1 answers were not those of the single user"),
        ({"errors": ["RuntimeError: 500", "RuntimeError: 500"]}, "RuntimeError: 500"),
        ({"memory_mb": (500, 551, 600)}, "The memory grew from 500 to 551 MB"),
        ({"ended_seconds": 8.1}, "The server took 8.1 s to end"),
        ({"left": ["a.png"]}, "Files were left behind: a.png"),
    ],
)
def test_every_fault_of_a_soak_is_told(changed: dict[str, object], said: str) -> None:
    assert GOOD.faults() == []
    assert [said in fault for fault in replace(GOOD, **changed).faults()] == [True]  # type: ignore[arg-type]


def test_a_server_under_load_gives_every_client_its_own_answer_and_ends(tmp_path: Path) -> None:
    """More clients than the queue has places."""
    with server(tmp_path, [sys.executable, fake_app.__file__], {"FAKE_SECONDS": "0.02"}) as app:
        found = soak(app, clients=40, analyses=40, minutes=5, made=3)
    assert (found.analyses, found.wrong, found.errors, found.left) == (40, 0, [], [])  # memory: too few to tell
    assert found.waited > 0


class InTheMiddle(random.Random):
    """Kills when two of four epochs are done: before the first, a start from the beginning would do as well."""

    def __init__(self, history: Path) -> None:
        super().__init__(0)
        self.history = history

    def uniform(self, a: float, b: float) -> float:
        end = time.monotonic() + 60
        while not (self.history.is_file() and "\n2," in self.history.read_text()) and time.monotonic() < end:
            time.sleep(0.002)
        return 0.0


def test_a_training_that_is_killed_ends_with_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "OMP_NUM_THREADS", "1")
    found = disturb(tmp_path, 1, InTheMiddle(tmp_path / "killed 0" / "out" / RUN / "history.csv"), every=0)
    assert found.faults == []
    assert (found.kills, found.early) == (1, 0)
    assert found.runs > 0


def test_the_fuzzer_begins_with_files_that_are_good() -> None:
    found = dict(seeds())
    assert len(found) >= 19
    for name, content in found.items():
        assert load_image(content).shape == (34, 36, 3), name
        assert with_right_sums(content) == content, name
    png = found["PNG"]
    assert with_right_sums(png[:30] + b"\0\0\0\0" + png[34:])[:50] == png[:50]
