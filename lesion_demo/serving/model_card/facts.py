"""What a checkpoint's files say, as dataclasses. What they do not say is None here, and named as a gap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lesion_demo.checkpoint import Checkpoint
from lesion_demo.config import OperatingPoint
from lesion_demo.results import Outcomes

TEST = "test"
WITHOUT_NEAR_DUPLICATES = "test_without_near_duplicates"
"""Keys in `metrics.json`."""
VALIDATION, EXTERNAL, LOCAL = "validation", "external", "local"
PARTS = {TEST: "test_by_source", VALIDATION: "validation_by_source", EXTERNAL: "external", LOCAL: "local"}
"""What pictures were to a run, and the key in `metrics.json` of the results on them by source."""


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval, where one was measured."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Confusion:
    """Pictures by truth and verdict; malignant is positive."""

    tn: int
    fp: int
    fn: int
    tp: int


@dataclass(frozen=True)
class PointResult:
    """The verdicts at one threshold: shares 0–1."""

    name: str
    threshold: float
    accuracy: Estimate | None = None
    sensitivity: Estimate | None = None
    specificity: Estimate | None = None
    precision: Estimate | None = None
    f1: Estimate | None = None
    confusion: Confusion | None = None
    outcomes: Outcomes | None = None


@dataclass(frozen=True)
class CalibrationLine:
    """True log-odds = slope × those that were told + intercept."""

    slope: float
    intercept: float


@dataclass(frozen=True)
class Result:
    """One set of pictures: `n` of them, `n_malignant` malignant; see `lesion_demo.learning.reporting.SourceReport`.

    Attributes:
        groups: lesions or patients that the intervals take as independent; None where they took pictures.
    """

    n: int
    n_malignant: int
    groups: int | None = None
    seen_benign: int = 0
    seen_malignant: int = 0
    photographs: bool = False
    roc_auc: Estimate | None = None
    pr_auc: Estimate | None = None
    brier: Estimate | None = None
    calibration_error: float | None = None
    balanced_calibration_error: float | None = None
    calibration_line: CalibrationLine | None = None
    points: tuple[PointResult, ...] = ()

    def point(self, name: str) -> PointResult | None:
        """The operating point `name`; None where it was not measured."""
        return next((point for point in self.points if point.name == name), None)


@dataclass(frozen=True)
class SourceResult:
    """The result on pictures of one source: `part` is `test`, `validation` (choices were made on them) or `external`.

    Attributes:
        source: the data set's name; empty where the files do not say.
    """

    source: str
    part: str
    result: Result


@dataclass(frozen=True)
class ChangeResult:
    """Verdicts turned by a change to the picture: shares 0–1 of all, and of a class; mean shifts of the probability."""

    name: str
    n: int | None = None
    flips: Estimate | None = None
    flips_benign: Estimate | None = None
    flips_malignant: Estimate | None = None
    shift_benign: float | None = None
    shift_malignant: float | None = None


@dataclass(frozen=True)
class StratumResult:
    """Figures among some of the pictures."""

    name: str
    n_benign: int
    n_malignant: int
    sensitivity: Estimate | None = None
    specificity: Estimate | None = None
    roc_auc: Estimate | None = None


@dataclass(frozen=True)
class UntouchedResult:
    """What is held back of a data set's validation pictures: shares 0–1."""

    source: str
    n: int
    warned: Estimate | None = None
    severe: Estimate | None = None
    unfamiliar: Estimate | None = None
    photograph: Estimate | None = None


@dataclass(frozen=True)
class DegradationResult:
    """What spoiling pictures to a `strength` (in `unit`; `level` in a word) did to the checks and to the model."""

    name: str
    level: str
    strength: float
    unit: str = ""
    n: int | None = None
    warned: Estimate | None = None
    severe: Estimate | None = None
    roc_auc: Estimate | None = None
    roc_auc_unwarned: Estimate | None = None
    accuracy: Estimate | None = None


@dataclass(frozen=True)
class StrangerResult:
    """Pictures of a kind that shows no lesion: shares 0–1 refused as unfamiliar, and refused at all."""

    kind: str
    n: int
    unfamiliar: Estimate | None = None
    refused: Estimate | None = None


@dataclass(frozen=True)
class NewClinicResult:
    """Share of a data set's validation pictures that passes where `known_source` alone is known."""

    known_source: str
    source: str
    n: int
    passed: Estimate | None = None


@dataclass(frozen=True)
class ZoneResult:
    """One of the three answers: its share, and the share of errors in it."""

    name: str
    n: int
    share: Estimate | None = None
    errors: Estimate | None = None


@dataclass(frozen=True)
class ReferralResult:
    """The three zones at an operating point."""

    point: OperatingPoint
    zones: tuple[ZoneResult, ...] = ()


@dataclass(frozen=True)
class CoverageResult:
    """Area of accuracy over coverage when the pictures are sorted by a score of confidence."""

    name: str
    area: float


@dataclass(frozen=True)
class AuditResult:
    """`audit.json`, see `lesion_demo.learning.audit.Audit`; `blind_roc_auc` is by the classifier's name."""

    operating_point: OperatingPoint
    pictures: int
    changes: tuple[ChangeResult, ...] = ()
    strata: tuple[StratumResult, ...] = ()
    blind_roc_auc: dict[str, Estimate] = field(default_factory=dict)
    untouched: tuple[UntouchedResult, ...] = ()
    degradations: tuple[DegradationResult, ...] = ()
    strangers: tuple[StrangerResult, ...] = ()
    new_clinic: tuple[NewClinicResult, ...] = ()
    referrals: tuple[ReferralResult, ...] = ()
    coverage: tuple[CoverageResult, ...] = ()


SKIN_TONE = "skin tone "
"""Before the tone in a stratum's name."""


@dataclass(frozen=True)
class Stage:
    """One stretch of training, as `lesion_demo.config.StageConfig` describes it; None for what was not written down."""

    name: str
    epochs: int | None = None
    train_backbone: bool | None = None
    frozen_blocks: int | None = None
    backbone_rate: float | None = None
    head_rate: float | None = None
    schedule: str | None = None
    image_size: int | None = None
    batch_size: int | None = None
    epoch_pictures: int | None = None


@dataclass(frozen=True)
class Procedure:
    """`config.json` as it was written, so that a setting it does not name is not made up.

    Attributes:
        augment: by the names of `lesion_demo.config.AugmentConfig`.
        settings: what is a number, a word or a switch, by the names of `lesion_demo.config.TrainConfig`.
        emphasis: how many times as often training drew a data set, by its name.
    """

    init: str
    stages: tuple[Stage, ...]
    augment: Mapping[str, Any]
    settings: Mapping[str, str | float | bool]
    emphasis: Mapping[str, float]


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
        results: of test splits, by their key in `metrics.json`; `sources` are those by source, of every part.
        plots: PNG files, by name.
    """

    name: str
    meta: Checkpoint
    results: dict[str, Result]
    sources: tuple[SourceResult, ...]
    audit: AuditResult | None
    procedure: Procedure | None
    history: History | None
    plots: dict[str, Path]
    gaps: tuple[Gap, ...]

    @property
    def test(self) -> Result | None:
        """The test split in full."""
        return self.results.get(TEST)

    @property
    def validation(self) -> dict[str, Result]:
        """By source."""
        return {found.source: found.result for found in self.sources if found.part == VALIDATION}

    def tested_with(self, skin_tone: str) -> int | None:
        """How many of the audit's pictures show this tone of skin; None without an audit."""
        if self.audit is None:
            return None
        counts = {stratum.name: stratum.n_benign + stratum.n_malignant for stratum in self.audit.strata}
        return counts.get(f"{SKIN_TONE}{skin_tone}", 0)
