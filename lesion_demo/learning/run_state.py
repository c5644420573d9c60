"""What a run must remember to go on after a kill, and the history it shows for it."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO

import torch

from lesion_demo.config import TrainConfig, to_dict
from lesion_demo.errors import TrainingError
from lesion_demo.files import replacing

log = logging.getLogger(__name__)

CONFIG_FILE = "config.json"
HISTORY_FILE = "history.csv"
STATE_FILE = Path("resume") / "state.pt"
BEST_FILE = Path("resume") / "best.safetensors"
AFTER = Path("resume") / "after"
"""Holds a folder for each finished stage, with its weights."""


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


@contextmanager
def _writing(path: Path) -> Iterator[TextIO]:
    """A text file to write that takes the place of `path` when all is written, and not before.

    Raises:
        TrainingError: the disk refused.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
            yield file
    except OSError as error:
        raise TrainingError(f"Could not write {path} ({error}). Free some disk space, then use --resume.") from error


def write_json(path: Path, value: Any) -> None:
    with _writing(path) as file:
        json.dump(value, file, indent=2)
        file.write("\n")


def write_history(folder: Path, rows: list[HistoryRow]) -> None:
    with _writing(folder / HISTORY_FILE) as file:
        writer = csv.DictWriter(file, list(HistoryRow.__dataclass_fields__), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({name: f"{v:.6g}" if isinstance(v, float) else v for name, v in asdict(row).items()})


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


def warn_of_same_draws(config: TrainConfig) -> None:
    """Say so if the run that `config` goes on from drew the same pictures in the same random variants.

    Raises:
        TrainingError: that run's configuration cannot be read.
    """
    path = Path(config.init) / CONFIG_FILE
    if not path.is_file():
        return
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        same = before.get("seed", 0) + before.get("draws", 0) == config.seed + config.draws
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise TrainingError(f"{path} is no run's configuration ({error}): repair it, or remove it.") from error
    if same:
        log.warning(
            "The run in %s drew its pictures with the same seed and draws: from the same data this run will see the "
            "same ones in the same variants, and learn them by heart. Take another --draws.",
            config.init,
        )


def check_run(folder: Path, config: TrainConfig, *, resume: bool) -> None:
    """Check that `folder` is free for a run, or that it is this configuration's run that is resumed.

    Raises:
        TrainingError: the folder holds another run, or nothing to resume.
    """
    path = folder / CONFIG_FILE
    if not resume:
        if path.exists():
            raise TrainingError(f"{folder} already holds a run: go on with --resume, or choose another --run.")
        return
    if not path.is_file():
        raise TrainingError(f"Nothing to resume in {folder}: start the run without --resume.")
    before = json.loads(path.read_text(encoding="utf-8"))
    now = to_dict(config)
    changed = sorted(key for key in now if before.get(key) != now[key])
    if changed:
        raise TrainingError(f"{folder} was started with another {', '.join(changed)}: resume it as it was started.")
