"""What a run must remember to go on after a kill, and the history it shows for it."""

from __future__ import annotations

import csv
import platform
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from lesion_demo.config import TrainConfig, from_dict, to_dict
from lesion_demo.data.table import LabelTable
from lesion_demo.errors import TrainingError
from lesion_demo.files import read_json, replacing, write_json
from lesion_demo.run_folder import CONFIG_FILE, HISTORY_FILE, LOCK_FILE, RESUME, START_FILE, STATE_FILE
from lesion_demo.train.settings import differences

DECODED_FILE = RESUME / f"decoded-{platform.node()}"
"""The pictures of the run, decoded, for the processes of one machine; gone when they end."""
_ADVICE = "free some disk space. Continue training with --resume"


@dataclass(frozen=True)
class HistoryRow:
    """One epoch on one split; epoch 0 is the network before any training.

    Attributes:
        ring_flips: share of validation verdicts (at 0.5) that a drawn dermatoscope ring turns; nan for train.
    """

    epoch: int
    stage: str
    split: str
    loss: float
    accuracy: float
    precision: float
    recall: float
    f1: float
    roc_auc: float
    pr_auc: float
    ring_flips: float
    backbone_rate: float
    head_rate: float
    seconds: float


@dataclass
class Progress:
    """How far a run has come.

    Attributes:
        stage, stage_epoch: index of the stage under way, and epochs done in it.
        epoch: epochs done in all.
        best_auc, best_epoch: the best validation ROC-AUC and its epoch; epoch 0 does not compete.
        stage_best: the best in the stage under way, which early stopping looks at.
        stale: epochs since `stage_best` rose by enough.
    """

    stage: int = 0
    stage_epoch: int = 0
    epoch: int = 0
    best_auc: float = float("-inf")
    best_epoch: int = 0
    stage_best: float = float("-inf")
    stale: int = 0
    history: list[HistoryRow] = field(default_factory=list)

    def next_stage(self) -> None:
        self.stage += 1
        self.stage_epoch = 0
        self.stage_best = float("-inf")
        self.stale = 0

    def state_dict(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_state_dict(state: dict[str, Any]) -> Progress:
        return Progress(**{**state, "history": [HistoryRow(**row) for row in state["history"]]})


def write_config(folder: Path, config: TrainConfig) -> None:
    """Say what the run in `folder` is made of.

    Raises:
        TrainingError: the disk refused.
    """
    write_json(folder / CONFIG_FILE, to_dict(config), TrainingError, _ADVICE)


def write_history(folder: Path, rows: list[HistoryRow]) -> None:
    """Write `rows` as CSV, whole or not at all.

    Raises:
        TrainingError: the disk refused.
    """
    path = folder / HISTORY_FILE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(HistoryRow.__dataclass_fields__), lineterminator="\n")
            writer.writeheader()
            for row in rows:
                writer.writerow({name: f"{v:.6g}" if isinstance(v, float) else v for name, v in asdict(row).items()})
    except OSError as error:
        raise TrainingError(f"Could not write {path} ({error}): {_ADVICE}.") from error


def save_state(folder: Path, progress: Progress, **parts: Any) -> None:
    """Remember `progress` and the state dicts in `parts` in one file, atomically.

    Raises:
        TrainingError: the disk refused; the last state is untouched.
    """
    path = folder / STATE_FILE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            torch.save({"progress": progress.state_dict(), **parts}, part)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        raise TrainingError(
            f"Could not save the run's state to {path} ({error}). Free some disk space, then use --resume."
        ) from error


def load_state(folder: Path) -> dict[str, Any]:
    """What `save_state` saved, with `progress` rebuilt; tensors on the CPU.

    Raises:
        TrainingError: there is nothing to resume, or it is damaged.
    """
    path = folder / STATE_FILE
    if not path.is_file():
        raise TrainingError(f"Nothing to resume in {folder}: start the run without --resume.")
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return {**state, "progress": Progress.from_state_dict(state["progress"])}
    except Exception as error:
        raise TrainingError(f"{path} is damaged ({error}): start the run again under another name.") from error


def read_settings(path: Path) -> dict[str, Any]:
    """What a run has written into one of its JSON files.

    Raises:
        TrainingError: it cannot be read, or holds no settings.
    """
    try:
        values = read_json(path)
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path} is not a run's configuration ({error}): repair it, or remove it.") from error
    if not isinstance(values, dict):
        raise TrainingError(f"{path} is not a run's configuration (no settings in it): repair it, or remove it.")
    return values


def read_config(folder: Path) -> TrainConfig:
    """The configuration that the run in `folder` was started with; what older ones lack is as it was then.

    Raises:
        TrainingError: there is no run, or its configuration is damaged.
    """
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise TrainingError(f"Nothing to resume in {folder}: start the run without --resume.")
    return from_dict(TrainConfig, read_settings(path))


def check_run(folder: Path, config: TrainConfig, *, resume: bool) -> None:
    """Check that `folder` is free for a run, or that it is this configuration's run that is resumed.

    Raises:
        TrainingError: the folder holds another run, or nothing to resume.
    """
    if resume:
        changed = differences(read_config(folder), config)
        if changed:
            raise TrainingError(
                f"{folder} was started with other settings (now: {'; '.join(changed)}): use the original ones, "
                "or start another run."
            )
    elif (folder / CONFIG_FILE).exists():
        raise TrainingError(f"{folder} already holds a run: continue it with --resume, or choose another --run.")


@dataclass(frozen=True)
class Start:
    """What a run was started on, beside its configuration; for `--resume` on the same machine.

    Attributes:
        data: the data sets' folders, absolute.
        class_map: pairs of a class name and the class that it is mapped to.
        table: what labels the pictures, where that is a table of one's own.
    """

    data: tuple[str, ...]
    class_map: tuple[tuple[str, str], ...] = ()
    table: LabelTable | None = None


def write_start(folder: Path, start: Start) -> None:
    write_json(folder / START_FILE, to_dict(start), TrainingError, _ADVICE)


def read_start(folder: Path) -> Start | None:
    """What `write_start` wrote; None for a run that has none, because it is older or came from elsewhere.

    Raises:
        TrainingError: it is damaged.
    """
    path = folder / START_FILE
    return from_dict(Start, read_settings(path)) if path.is_file() else None


def check_room(folder: Path, parameters: int, *, averaged: bool, resume: bool) -> None:
    """See before hours of training that the disk has room for what a run of so many `parameters` saves in `folder`.

    That is its state, the weights with the optimiser's two moments of each, and their average where they are
    `averaged`; a new one beside the last, and the best weights.

    Raises:
        TrainingError: it has not.
    """
    copies = 4 if averaged else 3
    needed = 4 * parameters * (copies if resume else 2 * copies + 1)
    nearest = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if (free := shutil.disk_usage(nearest).free) < needed:
        raise TrainingError(
            f"{nearest} has {free / 1e6:,.0f} MB free, but this run needs {needed / 1e6:,.0f} MB: free some space, or "
            "choose another --out."
        )


@contextmanager
def claiming(folder: Path) -> Iterator[None]:
    """Hold the run in `folder` for this process; a start that fails before there is a configuration leaves nothing.

    Raises:
        TrainingError: another process holds it, or it cannot be made.
    """
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    before = set(folder.rglob("*"))
    lock = FileLock(folder / LOCK_FILE)
    try:
        (folder / LOCK_FILE).parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise TrainingError(
            f"Another process is training in {folder}: wait for it, stop it, or choose another --run."
        ) from error
    except OSError as error:
        raise TrainingError(f"Could not make {folder} ({error.strerror}): choose another --out.") from error
    try:
        yield
    finally:
        lock.release()
        if not (folder / CONFIG_FILE).exists():
            _remove(sorted(set(folder.rglob("*")) - before, reverse=True) + missing)


def _remove(paths: Sequence[Path]) -> None:
    """Remove files, and folders that are empty by then."""
    for path in paths:
        if not path.is_dir() or path.is_symlink():
            path.unlink(missing_ok=True)
        elif not any(path.iterdir()):
            path.rmdir()
