"""What a checkpoint's folder says of its model. What it does not say is None or empty here, and named as a gap."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from typing_extensions import NotRequired, TypedDict

from lesion_demo.checkpoint import Checkpoint, read_meta
from lesion_demo.config import from_dict
from lesion_demo.errors import LesionDemoError
from lesion_demo.results import Audit, Metrics, Report
from lesion_demo.run_folder import AUDIT_FILE, CONFIG_FILE, HISTORY_FILE, META_FILE, METRICS_FILE

PLOTS_FOLDER = "plots"
METRICS_PARTS = ("test", "test_without_near_duplicates", "validation_by_source")
AUDIT_PARTS = (
    "changes",
    "subgroups",
    "blind_roc_auc",
    "untouched",
    "degradations",
    "unrelated",
    "referrals",
    "clinics",
    "heat",
)
SKIN_TONE = "skin tone "
"""Before the tone in a subgroup's name."""

T = TypeVar("T")


@dataclass(frozen=True)
class SourceResult:
    """The result on pictures of one source: `part` is `test`, `validation` (choices were made on them), `external` or
    `local`.

    Attributes:
        source: the data set's name; empty where the files do not say.
    """

    source: str
    part: str
    result: Report


class Stage(TypedDict, total=False):
    """One stretch of training, as `lesion_demo.config.StageConfig` describes it, without what was not written down."""

    name: str
    epochs: int | None
    train_backbone: bool | None
    frozen_blocks: int | None
    backbone_rate: float | None
    head_rate: float | None
    schedule: str | None
    image_size: int | None
    batch_size: int | None
    epoch_pictures: int | None


class Procedure(TypedDict):
    """`config.json` as it was written, so that a setting it does not name is not made up.

    `settings` is what is a number, a word or a switch, by the names of `lesion_demo.config.TrainConfig`.
    """

    init: str
    stages: list[Stage]
    augment: NotRequired[dict[str, Any]]
    emphasis: NotRequired[list[tuple[str, float]]]
    settings: dict[str, str | int | float | bool]


@dataclass(frozen=True)
class History:
    """How long training took: finished epochs by stage, in order, and seconds in all."""

    epochs: dict[str, int]
    seconds: float


@dataclass(frozen=True)
class Gap:
    """What the checkpoint does not say: a file, or a `part` of one; `damage` is why a file that is there is no use."""

    file: str
    part: str = ""
    damage: str = ""


@dataclass(frozen=True)
class ModelFacts:
    """All that a checkpoint's folder says of its model.

    Attributes:
        name: of the folder.
        plots: PNG files, by name.
    """

    name: str
    meta: Checkpoint
    metrics: Metrics
    audit: Audit | None
    procedure: Procedure | None
    history: History | None
    plots: dict[str, Path]
    gaps: tuple[Gap, ...]

    @property
    def test(self) -> Report | None:
        """The test split in full."""
        return self.metrics.test

    @property
    def sources(self) -> tuple[SourceResult, ...]:
        return sources_of(self.metrics, self.meta)

    def tested_with(self, skin_tone: str) -> int | None:
        """How many of the audit's pictures show this tone of skin; None without an audit."""
        if self.audit is None:
            return None
        counts = {subgroup.name: subgroup.n_benign + subgroup.n_malignant for subgroup in self.audit.subgroups}
        return counts.get(f"{SKIN_TONE}{skin_tone}", 0)


def sources_of(metrics: Metrics, meta: Checkpoint) -> tuple[SourceResult, ...]:
    """The results by source, test first. Earlier versions told of the test split as a whole: it is of the source that
    has one."""
    parts: dict[str, Mapping[str, Report]] = {**metrics.by_source}
    if not parts["test"] and metrics.test is not None:
        names = [name for name, data in meta.data.items() if any(key.startswith("test/") for key in data.counts)]
        parts["test"] = {names[0] if len(names) == 1 else "": metrics.test}
    return tuple(
        SourceResult(source, part, report) for part, by_source in parts.items() for source, report in by_source.items()
    )


def read_facts(folder: Path, meta: Checkpoint | None = None) -> ModelFacts:
    """Everything about the checkpoint in `folder`; `meta` is its `checkpoint.json` where that has been read already.

    A file that is missing or damaged becomes a gap; only without `checkpoint.json` there is nothing to speak of.

    Raises:
        CheckpointError: `checkpoint.json` is missing, damaged, or of a newer schema.
    """
    meta = meta or read_meta(folder)
    gaps: list[Gap] = []
    metrics = _read(folder / METRICS_FILE, lambda text: from_dict(Metrics, json.loads(text)), gaps)
    facts = ModelFacts(
        name=folder.name,
        meta=meta,
        metrics=meta.metrics if metrics is None else metrics,
        audit=_read(folder / AUDIT_FILE, lambda text: _audit(text, meta), gaps),
        procedure=_read(folder / CONFIG_FILE, _procedure, gaps),
        history=_read(folder / HISTORY_FILE, _history, gaps),
        plots={path.stem: path for path in sorted((folder / PLOTS_FOLDER).glob("*.png"))},
        gaps=(),
    )
    return dataclasses.replace(facts, gaps=(*gaps, *_absent_parts(facts)))


def _read(path: Path, parse: Callable[[str], T], gaps: list[Gap]) -> T | None:
    """What `parse` makes of the file's text; None, and a gap, where there is no file or no sense in it."""
    if not path.is_file():
        gaps.append(Gap(path.name))
        return None
    try:
        return parse(path.read_text(encoding="utf-8"))
    except LesionDemoError as error:
        gaps.append(Gap(path.name, damage=str(error).rstrip(".")))
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        gaps.append(Gap(path.name, damage=f"{type(error).__name__}: {error}"))
    return None


def _absent_parts(facts: ModelFacts) -> list[Gap]:
    """What lies in no file, though there is a place for it."""
    gaps = [Gap(METRICS_FILE, part) for part in METRICS_PARTS if not getattr(facts.metrics, part)]
    if facts.audit is not None:
        gaps += [Gap(AUDIT_FILE, part) for part in AUDIT_PARTS if not getattr(facts.audit, part)]
    if not facts.plots:
        gaps.append(Gap(PLOTS_FOLDER))
    if not facts.meta.data:
        gaps.append(Gap(META_FILE, "data"))
    return gaps


def _audit(text: str, meta: Checkpoint) -> Audit:
    """What was found of these weights: an audit at a threshold that `meta` does not have is of others."""
    audit = from_dict(Audit, json.loads(text))
    if audit.operating_point not in meta.operating_points:
        point = audit.operating_point
        raise ValueError(
            f"the checkpoint has no operating point {point.name!r} at {point.threshold:.6f}; run the audit again"
        )
    return audit


def _procedure(text: str) -> Procedure:
    values = json.loads(text)
    settings = {key: value for key, value in values.items() if isinstance(value, str | int | float)}
    return from_dict(Procedure, {**values, "settings": settings})


def _history(text: str) -> History:
    epochs: dict[str, int] = {}
    seconds = 0.0
    for row in csv.DictReader(text.splitlines()):
        if row["split"] == "val" and int(row["epoch"]) > 0:  # epoch 0 is the untrained network
            epochs[row["stage"]] = epochs.get(row["stage"], 0) + 1
            seconds += float(row["seconds"])
    return History(epochs, seconds)
