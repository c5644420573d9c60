"""Which run the page shows: the one that a small file names, until another is better on the same pictures.

Two runs' scores compare only if they are of the same validation pictures, with the same labels and weights: a run on
a few easy pictures may well score 1.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lesion_demo.config import STRICT, Share, from_dict, to_dict
from lesion_demo.errors import CheckpointError, LesionDemoError
from lesion_demo.files import read_json, write_json
from lesion_demo.run_folder import CONFIG_FILE, SPLIT_FILE

SHOWN_FILE = "shown.json"


@dataclass(frozen=True)
class Shown:
    """What `checkpoints/shown.json` says.

    Attributes:
        run: name of a folder beside the file.
        to_beat: a run takes its place only with a higher validation ROC-AUC than this and its own. It is that of the
            best run there was when this one was promoted over it.
    """

    __pydantic_config__ = STRICT

    run: str
    to_beat: Share = 0.0


@dataclass(frozen=True)
class Run:
    """A run's folder and its validation ROC-AUC; `val_pictures` says of which pictures, and is empty if unknown."""

    folder: Path
    val_roc_auc: float
    val_pictures: str

    def compares_with(self, other: Run) -> bool:
        """Are the two scores of the same pictures?"""
        return self == other or (self.val_pictures != "" and self.val_pictures == other.val_pictures)


def choose(runs: Sequence[Run], shown: Shown | None, folder: Path) -> Run:
    """The one of `runs`, all in `folder`, that the page shows.

    It is the one that `shown` names, or the best that compares with it and is better. Where nothing is named it is the
    best of all, if all compare; if not, none of them is the best.

    Raises:
        CheckpointError: there is no such run.
    """
    best = max(runs, key=lambda run: run.val_roc_auc)
    if shown is None:
        if all(run.compares_with(best) for run in runs):
            return best
        names = ", ".join(run.folder.name for run in runs)
        raise CheckpointError(
            f"The runs in {folder} ({names}) were validated on different pictures and cannot be compared: choose one "
            f"with --checkpoint DIR, or permanently with 'python -m lesion_demo train --run NAME --promote'."
        )
    named = next((run for run in runs if run.folder.name == shown.run), None)
    if named is None:
        raise CheckpointError(
            f"{folder / SHOWN_FILE} names the run {shown.run!r}, which is missing or damaged: copy it again, or choose "
            "another with --checkpoint DIR, or permanently with 'python -m lesion_demo train --run NAME --promote'."
        )
    best = max((run for run in runs if run.compares_with(named)), key=lambda run: run.val_roc_auc)
    return best if best.val_roc_auc > max(named.val_roc_auc, shown.to_beat) else named


def promoted(runs: Sequence[Run], folder: Path) -> Shown:
    """What shown.json is to say so that the run in `folder`, one of `runs`, is shown, whatever the others scored."""
    (own,) = (run for run in runs if run.folder.name == folder.name)
    return Shown(own.folder.name, max(run.val_roc_auc for run in runs if run.compares_with(own)))


def read_shown(folder: Path) -> Shown | None:
    """What shown.json in `folder` says; None where there is none.

    Raises:
        CheckpointError: it is damaged.
    """
    path = folder / SHOWN_FILE
    try:
        if not path.exists():
            return None
        return from_dict(Shown, read_json(path))
    except (OSError, ValueError, LesionDemoError) as error:
        raise CheckpointError(f'{path} is damaged ({error}): it should read {{"run": "NAME"}}.') from error


def write_shown(folder: Path, shown: Shown) -> None:
    """Let shown.json in `folder` say `shown`.

    Raises:
        CheckpointError: the disk refused.
    """
    write_json(folder / SHOWN_FILE, to_dict(shown), CheckpointError)


def fingerprint(pictures: Iterable[tuple[str, str, str]], source_balance: float) -> str:
    """Hex SHA-256 of validation pictures, each a content hash, a class and a data set, in whatever order.

    `source_balance` says how data sets are weighted against one another; with a single one it is of no account.
    """
    rows = sorted(pictures)
    several = len({source for _, _, source in rows}) > 1
    lines = [f"{content} {label} {source if several else ''}" for content, label, source in rows]
    head = f"source_balance {float(source_balance)}" if several else ""
    return hashlib.sha256("\n".join([head, *lines]).encode()).hexdigest()


def fingerprint_of_folder(folder: Path) -> str:
    """The same from the split and the configuration that a run left in `folder`; empty where they do not say."""
    try:
        balance = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))["source_balance"]
        with (folder / SPLIT_FILE).open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row["split"] == "val"]
        return fingerprint([(row["content_hash"], row["label"], row["source"]) for row in rows], balance)
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return ""  # then it compares with no other
