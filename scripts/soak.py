"""Many clients at once on a real server of this machine, which is then told to end under load.

python -m scripts.soak                                            # `make soak`: 2,000 analyses, 15 minutes at most
python -m scripts.soak --minutes 4 --analyses 600 --no-record     # a shorter one, of which nothing is kept

Each client has an address of its own (127.0.1.1 and up), uploads a made-up picture, asks for its analysis, and compares
findings and heat map with those that a single user was given. Nothing leaves the machine.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import httpx
from PIL import Image

from scripts.golden import made_up
from scripts.reliability import record
from scripts.server import Served, server
from scripts.visitor import FullError, Visitor

PICTURES = 20
COMMAND = (sys.executable, "-m", "lesion_demo", "app")
GROWTH = 0.10
"""By which the memory may grow over the second half."""
GRACE_SECONDS = 8
"""From SIGTERM to the end of the process."""


@dataclass
class Soak:
    """What happened.

    Attributes:
        analyses: answers that were given; `wrong` of them were not those of the single user.
        waited: requests that were refused for want of a place, in a sentence with a number, and sent again.
        errors: all other answers, in words.
        seconds: from sending a picture to having findings and heat map: median and 95th percentile.
        memory_mb: of the server, medians at the beginning of the second half and at its end, and the most.
        ended_seconds: from SIGTERM under load to the end; `left`: files that then were still there.
    """

    clients: int
    analyses: int = 0
    minutes: float = 0.0
    wrong: int = 0
    waited: int = 0
    errors: list[str] = field(default_factory=list)
    seconds: tuple[float, float] = (0.0, 0.0)
    memory_mb: tuple[int, int, int] = (0, 0, 0)
    ended_seconds: float = 0.0
    left: list[str] = field(default_factory=list)

    def faults(self) -> list[str]:
        """What is not as it should be, in words."""
        faults = list(dict.fromkeys(self.errors))
        if self.wrong:
            faults.append(f"{self.wrong} answers were not those of the single user.")
        before, after, _ = self.memory_mb
        if after > before * (1 + GROWTH):
            faults.append(f"The memory grew from {before} to {after} MB.")
        if self.ended_seconds > GRACE_SECONDS:
            faults.append(f"The server took {self.ended_seconds:.1f} s to end.")
        if self.left:
            faults.append(f"Files were left behind: {', '.join(self.left)}.")
        return faults


def memory_mb(app: Served) -> int:
    """What the server holds just now."""
    status = Path(f"/proc/{app.process.pid}/status").read_text(encoding="utf-8")
    return int(status.split("VmRSS:")[1].split()[0]) // 1024


def soak(app: Served, clients: int, analyses: int, minutes: float, made: int = PICTURES) -> Soak:
    """Ask until there are so many `analyses`, or `minutes` have passed; then end the server while clients still ask."""
    pictures = [_png(number) for number in range(made)]
    single = Visitor(app, 0)
    expected = [single.ask(picture) for picture in pictures]
    result, times, held, lock = Soak(clients), list[float](), list[int](), threading.Lock()
    enough, ending = threading.Event(), threading.Event()

    def visit(number: int) -> None:
        visitor, turn = Visitor(app, number), number
        while not ending.is_set():
            turn += 1
            began = time.monotonic()
            try:
                answer = visitor.ask(pictures[turn % made])
            except FullError:
                result.waited += 1
                time.sleep(0.5)
                continue
            except (httpx.HTTPError, RuntimeError, OSError) as error:
                if not enough.is_set():  # after it the server may end at any moment
                    result.errors.append(f"{type(error).__name__}: {error}")
                time.sleep(0.5)
                continue
            with lock:
                if not enough.is_set():
                    result.analyses += 1
                    result.wrong += answer != expected[turn % made]
                    times.append(time.monotonic() - began)
                    held.append(memory_mb(app))
                    if result.analyses >= analyses:
                        enough.set()

    began = time.monotonic()
    threads = [threading.Thread(target=visit, args=[number], daemon=True) for number in range(1, clients + 1)]
    for thread in threads:
        thread.start()
    enough.wait(60 * minutes)
    enough.set()
    result.minutes = round((time.monotonic() - began) / 60, 2)
    result.ended_seconds = round(end(app), 2)
    ending.set()
    result.left = app.left()
    result.seconds = (round(statistics.median(times), 2), round(statistics.quantiles(times, n=20)[-1], 2))
    half = held[len(held) // 2 :]
    tenth = max(1, len(half) // 10)
    result.memory_mb = (round(statistics.median(half[:tenth])), round(statistics.median(half[-tenth:])), max(held))
    return result


def end(app: Served) -> float:
    """Seconds from SIGTERM to the end of the server."""
    began = time.monotonic()
    app.process.terminate()
    app.process.wait(60)
    return time.monotonic() - began


def _png(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(made_up(number)).save(buffer, "PNG")
    return buffer.getvalue()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=15, help="at most (default: %(default)s)")
    parser.add_argument("--analyses", type=int, default=2000, help="at most (default: %(default)s)")
    parser.add_argument("--clients", type=int, default=50, help="at once (default: %(default)s)")
    parser.add_argument("--no-record", action="store_true", help="leave docs/RELIABILITY.md as it is")
    args = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, server(Path(folder), COMMAND, {}) as app:
        result = soak(app, args.clients, args.analyses, args.minutes)
    print(json.dumps(asdict(result), indent=2))
    if not args.no_record:
        record("soak", asdict(result))
    faults = result.faults()
    print("\n".join(faults) or "As it should be.")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
