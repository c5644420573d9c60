"""The command `app` as a process of its own, with an analyzer that has no network: `python fake_app.py [its options]`.

FAKE_SECONDS in the environment is how long each picture takes.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from scripts.server import PROJECT, Served, server

__all__ = ["PROJECT", "Served", "served"]


@contextmanager
def served(
    folder: Path, *options: str, seconds: float = 0.0, environment: Mapping[str, str] | None = None
) -> Iterator[Served]:
    """The app with these `options`, working in `folder`, see `scripts.server.server`."""
    changed = {"FAKE_SECONDS": str(seconds), **(environment or {})}
    with server(folder, [sys.executable, __file__, *options], changed) as app:
        yield app


def main() -> int:
    from fake_analyzer import FakeAnalyzer, fake_meta

    from lesion_demo.__main__ import main as run
    from lesion_demo.config import OperatingPoint
    from lesion_demo.images import Pixels
    from lesion_demo.images.look import Look
    from lesion_demo.serve.analysis import Analysis

    class SlowAnalyzer(FakeAnalyzer):
        def analyze(self, picture: Pixels | Look, point: OperatingPoint | None = None) -> Analysis:
            time.sleep(float(os.environ["FAKE_SECONDS"]))
            return super().analyze(picture, point)

    loaded = SimpleNamespace(folder=Path("checkpoints/fake"), meta=fake_meta())
    with (
        mock.patch("lesion_demo.checkpoint.find_best_checkpoint"),
        mock.patch("lesion_demo.serve.opened.open_checkpoint", return_value=loaded),
        mock.patch("lesion_demo.serve.analysis.Analyzer", return_value=SlowAnalyzer()),
    ):
        return run(["app", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
