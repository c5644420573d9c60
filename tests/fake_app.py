"""The command `app` as a process of its own, with an analyzer that has no network: `python fake_app.py [its options]`.

FAKE_SECONDS in the environment is how long each picture takes.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
PROJECT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Served:
    """A running app: where it answers, and the folder that holds its temporary files and nothing else."""

    address: str
    process: subprocess.Popen[bytes]
    environment: dict[str, str]
    temporary: Path
    log: Path

    def uploads(self) -> Path:
        (folder,) = self.temporary.glob("lesion-demo-*")
        return folder


@contextmanager
def served(
    folder: Path, *options: str, seconds: float = 0.0, environment: Mapping[str, str] | None = None
) -> Iterator[Served]:
    """The app with these `options`, working in `folder`; killed at the end if it has not ended by itself.

    What it prints tells its address.
    """
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    log = folder / "log"
    changed = {"TMPDIR": str(temporary), "FAKE_SECONDS": str(seconds), "GRADIO_SERVER_PORT": "0"}
    environment = {**os.environ, **changed, **(environment or {})}
    command = [sys.executable, __file__, *options]
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=_heed_a_closed_terminal,
        )
    try:
        app = Served(_printed_address(process, log), process, environment, temporary, log)
        await_answer(app)
        yield app
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(60)


def _heed_a_closed_terminal() -> None:
    """Whoever runs the tests may ignore it, under `nohup` say, and the app would rightly go on ignoring it."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def _printed_address(process: subprocess.Popen[bytes], log: Path, seconds: int = 120) -> str:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if printed := re.search(r"Open (http://\S+)", log.read_text()):
            return printed[1]
        assert process.poll() is None, f"the app ended: {log.read_text()}"
        time.sleep(0.1)
    raise AssertionError(f"the app printed no address within {seconds} s: {log.read_text()}")


def await_answer(app: Served, seconds: int = 120) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert app.process.poll() is None, f"the app ended: {app.log.read_text()}"
        try:
            with DIRECT.open(app.address, timeout=10):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"the app did not answer within {seconds} s: {app.log.read_text()}")


def main() -> int:
    sys.path.insert(0, str(PROJECT))
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
