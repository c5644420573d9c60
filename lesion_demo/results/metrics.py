"""What `metrics.json` holds: a checkpoint's figures on its splits, by source and operating point."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from lesion_demo.config import Share
from lesion_demo.results.base import LOOSE, UNKNOWN, Count, Figure, ShareOrNan


@dataclass(frozen=True)
class OutcomeCounts:
    """How many pictures of one class got which of the four answers; the names are those of the outcomes."""

    benign: Count
    malignant: Count
    uncertain: Count
    not_assessable: Count

    @property
    def total(self) -> int:
        return self.benign + self.malignant + self.uncertain + self.not_assessable


@dataclass(frozen=True)
class Outcomes:
    """The four answers by the truth: of benign and of malignant pictures."""

    benign: OutcomeCounts
    malignant: OutcomeCounts


@dataclass(frozen=True)
class Confusion:
    """Pictures by truth and verdict; malignant is positive."""

    tn: Count
    fp: Count
    fn: Count
    tp: Count


@dataclass(frozen=True)
class CalibrationLine:
    """True log-odds = `slope` × those that were told + `intercept`.

    A slope below 1 says that probabilities are too extreme, an intercept above 0 that they are too low.
    """

    slope: float
    intercept: float


RATES = ("accuracy", "sensitivity", "specificity", "precision", "f1")
"""The scores of a `PointReport`, as tables have them."""


@dataclass(frozen=True)
class PointReport:
    """The verdicts at one threshold, with 95 % bootstrap intervals.

    Attributes:
        outcomes: the four answers by the truth, where it is known which pictures get one.
    """

    name: str
    threshold: Share
    accuracy: Figure = UNKNOWN
    precision: Figure = UNKNOWN
    sensitivity: Figure = UNKNOWN
    specificity: Figure = UNKNOWN
    f1: Figure = UNKNOWN
    confusion: Confusion | None = None
    outcomes: Outcomes | None = None


@dataclass(frozen=True)
class Report:
    """The result on one set of pictures, `n_malignant` of `n` malignant.

    `calibration_error` has no interval: resampling adds noise to every bin, so the bootstrap of it is biased upwards
    and its interval can miss the value itself.

    Attributes:
        groups: lesions or patients, which the intervals take as independent; None where they took pictures.
        balanced_calibration_error: with the classes weighted alike, as where the probabilities were calibrated; the
            error as it is grows with every step of the prevalence away from there. None, like `calibration_line`,
            which is at like weights too, where a class is absent.
        seen_benign, seen_malignant: pictures that training showed too, in another crop or copy: figures of them
            flatter.
        photographs: taken without a dermatoscope.
    """

    n: Count
    n_malignant: Count
    groups: Count | None = None
    roc_auc: Figure = UNKNOWN
    pr_auc: Figure = UNKNOWN
    brier: Figure = UNKNOWN
    calibration_error: ShareOrNan = math.nan
    balanced_calibration_error: Share | None = None
    calibration_line: CalibrationLine | None = None
    points: tuple[PointReport, ...] = ()
    seen_benign: Count = 0
    seen_malignant: Count = 0
    photographs: bool = False

    def point(self, name: str) -> PointReport | None:
        """The operating point `name`; None where it was not measured."""
        return next((point for point in self.points if point.name == name), None)


@dataclass(frozen=True)
class Metrics:
    """`metrics.json`: the test split in full, without near-duplicates of training pictures, and by source; validation
    by source, which is not independent of the choices made on it; folders from outside; a clinic's own pictures.
    """

    __pydantic_config__ = LOOSE

    test: Report | None = None
    test_without_near_duplicates: Report | None = None
    test_by_source: dict[str, Report] = field(default_factory=dict)
    validation_by_source: dict[str, Report] = field(default_factory=dict)
    external: dict[str, Report] = field(default_factory=dict)
    local: dict[str, Report] = field(default_factory=dict)

    @property
    def tested(self) -> dict[str, Report]:
        """The sets of test pictures, by the names of their attributes."""
        both = {"test": self.test, "test_without_near_duplicates": self.test_without_near_duplicates}
        return {name: report for name, report in both.items() if report is not None}

    @property
    def by_source(self) -> dict[str, Mapping[str, Report]]:
        """The results by source, by what their pictures were to the run."""
        return {
            "test": self.test_by_source,
            "validation": self.validation_by_source,
            "external": self.external,
            "local": self.local,
        }


@dataclass(frozen=True)
class DataSet:
    """What of a data set went into a run: a fingerprint of its pictures and splits, pictures by `split/class`, and how
    many were left out; None where the file does not say."""

    __pydantic_config__ = LOOSE

    fingerprint: str = ""
    counts: dict[str, Count] = field(default_factory=dict)
    dropped: Count | None = None
