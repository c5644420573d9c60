"""A table in parts: many processes share the pictures, one that was killed goes on, and the whole is the same."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock

from lesion_demo.config import OperatingPoint
from lesion_demo.errors import LesionDemoError
from lesion_demo.files import sha256_of, write_json
from lesion_demo.run_folder import META_FILE
from lesion_demo.serve.opened import ServedCheckpoint
from lesion_demo.serve.parquet import read_table, write_table
from lesion_demo.serve.table import CsvRow

PART_PICTURES = 512
"""Of a part: a multiple of the network's batches, so that every picture is in the batch that it would be in anyway."""
PLAN_FILE = "plan.json"
LOCK_FILE = "lock"
"""Held by the process that writes the plan, or the whole table."""


@dataclass(frozen=True)
class Plan:
    """What all parts in a folder have in common; parts of another plan are not theirs.

    Attributes:
        files: SHA-256, hex, of the names of all `pictures`, in their order.
        checkpoint: SHA-256, hex, of its `checkpoint.json`, which vouches for all else.
        operating_point: its name; empty, with a threshold of 0, for probabilities alone.
        calibration: the clinic that probabilities are fitted to, or empty.
        suffix: of the parts' files: `.csv` or `.parquet`.
    """

    pictures: int
    files: str
    checkpoint: str
    operating_point: str
    threshold: float
    calibration: str
    part_pictures: int
    suffix: str = ".csv"

    @classmethod
    def of(
        cls, files: Sequence[str], loaded: ServedCheckpoint, point: OperatingPoint | None, suffix: str = ".csv"
    ) -> Plan:
        """For a table of `files`, judged at `point` or not at all, in parts whose files end in `suffix`."""
        names = hashlib.sha256("\0".join(files).encode("utf-8", "surrogateescape")).hexdigest()
        local = "" if loaded.meta.local is None else str(loaded.meta.local)
        checkpoint = sha256_of(loaded.folder / META_FILE)
        name, threshold = ("", 0.0) if point is None else (point.name, point.threshold)
        return cls(len(files), names, checkpoint, name, threshold, local, PART_PICTURES, suffix)

    @property
    def parts(self) -> int:
        """How many there will be."""
        return -(-self.pictures // self.part_pictures)

    def numbers(self, shard: int = 1, of: int = 1) -> range:
        """The parts of the shard of that number, from 1: every `of`th, so that all shards are at work to the end."""
        return range(shard - 1, self.parts, of)

    def files_of(self, number: int, files: Sequence[str]) -> Sequence[str]:
        return files[number * self.part_pictures : (number + 1) * self.part_pictures]


def begin(folder: Path, plan: Plan) -> None:
    """Claim `folder` for the parts of `plan`, or find that they are begun.

    Raises:
        LesionDemoError: it holds parts of something else, or the disk refused.
    """
    path = folder / PLAN_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / LOCK_FILE):
            if not path.exists():
                write_json(path, asdict(plan))
        found = json.loads(path.read_text(encoding="utf-8"))
        changed = [name for name, value in asdict(plan).items() if found[name] != value]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LesionDemoError(f"{path} cannot be used ({error}): choose another folder for --parts.") from error
    if changed:
        raise LesionDemoError(
            f"{folder} holds parts of another table (different {', '.join(changed)}): choose another folder for "
            "--parts."
        )


def part_path(folder: Path, plan: Plan, number: int) -> Path:
    return folder / f"part-{number:06d}{plan.suffix}"


def missing(folder: Path, plan: Plan, numbers: Iterable[int]) -> list[int]:
    """Which parts are not there; one that is there is whole."""
    return [number for number in numbers if not part_path(folder, plan, number).is_file()]


def rows_of(folder: Path, plan: Plan, numbers: Iterable[int]) -> Iterator[CsvRow]:
    """The rows of parts that are there.

    Raises:
        LesionDemoError: a part cannot be read.
    """
    for number in numbers:
        path = part_path(folder, plan, number)
        try:
            rows = read_table(path)
        except (OSError, ValueError, csv.Error) as error:
            raise LesionDemoError(f"{path} cannot be read ({error}): delete it and run score again.") from error
        yield from rows


def join(folder: Path, plan: Plan, path: Path) -> None:
    """Write all parts into one table, `path`, the same as one process would have.

    Raises:
        LesionDemoError: a part cannot be read, or the disk refused.
    """
    with FileLock(folder / LOCK_FILE):
        write_table(path, rows_of(folder, plan, range(plan.parts)))
