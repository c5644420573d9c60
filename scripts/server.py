"""The app as a process of its own, for scripts and tests: where it answers, and what it leaves behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

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

    def left(self) -> list[str]:
        """What lies among the temporary files, PyTorch's empty folder apart."""
        return [path.name for path in self.temporary.iterdir() if path.name != "torchinductor_root"]


@contextmanager
def server(folder: Path, command: Sequence[str], environment: Mapping[str, str]) -> Iterator[Served]:
    """The app that `command` starts, working in `folder` on any free port; killed at the end if it has not ended.

    What it prints tells its address.
    """
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    log = folder / "log"
    changed = {"TMPDIR": str(temporary), "GRADIO_SERVER_PORT": "0", "PYTHONPATH": str(PROJECT)}
    environment = {**os.environ, **changed, **environment}
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
    """Whoever started this may ignore it, under `nohup` say, and the app would rightly go on ignoring it."""
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
