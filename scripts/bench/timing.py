"""Medians of runs in pairs, and what they are of: this processor."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
Task = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """A line of the table; `ours` and `theirs` are in words, with their units."""

    work: str
    ours: str
    against: str
    theirs: str
    ratio: str
    goal: str


def processor() -> str:
    """Its name, the cores that this process may use, and which of the INSTRUCTIONS it knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # no Linux
        return f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    about = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    known = [one for one in INSTRUCTIONS if one in about.get("flags", "").split()]
    name = about.get("model name", platform.machine())
    return f"{name}, {len(os.sched_getaffinity(0))} cores, {' '.join(known) or 'none of ' + ' '.join(INSTRUCTIONS)}"


def seconds(task: Task) -> float:
    """That one run of `task` takes."""
    start = time.perf_counter()
    task()
    return time.perf_counter() - start


def median_ms(task: Task, runs: int = 15) -> float:
    """Median of `runs`, in milliseconds; what is done once is done before."""
    task()
    return 1000 * statistics.median(seconds(task) for _ in range(runs))


def paired(
    ours: Task, theirs: Task, pairs: int, timed: Callable[[Task], float] = seconds
) -> tuple[float, float, float]:
    """Median seconds of either, and the median of theirs / ours; they take turns, and turns at being first.

    Args:
        timed: the seconds of a task, for one that knows best itself what of it counts.
    """
    ours()
    theirs()
    taken = []
    for number in range(pairs):
        if number % 2:
            first = timed(ours)
            taken.append((first, timed(theirs)))
        else:
            second = timed(theirs)
            taken.append((timed(ours), second))
    ratio = statistics.median(other / own for own, other in taken)
    return statistics.median(own for own, _ in taken), statistics.median(other for _, other in taken), ratio


def markdown(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in Markdown."""
    return "\n".join(line(one) for one in (heads, ["---"] * len(heads), *rows))


def line(cells: Sequence[object]) -> str:
    """A line of such a table."""
    return f"| {' | '.join(map(str, cells))} |"
