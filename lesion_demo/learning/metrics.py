"""Pure NumPy in, numbers out: scores, calibration, temperature, thresholds and the evaluation report.

Everywhere: `labels` is int [N], 0 benign and 1 malignant; `probabilities` is float [N] in 0–1, of malignancy; a picture
is called malignant when its probability is at or above the threshold; `weights` is float [N], at or above 0, None for
all alike, and a picture of weight 0 does not take part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from sklearn import metrics as sk

from lesion_demo.config import OperatingPoint
from lesion_demo.learning import intervals
from lesion_demo.learning.arrays import Bools, Floats, Ints, checked, has_both, need_pictures
from lesion_demo.learning.calibration import (
    ReliabilityCurve,
    calibration_error,
    choose_threshold,
    fit_bias,
    fit_temperature,
    malignant_probability,
    reliability_curve,
    share_to_show,
)
from lesion_demo.learning.intervals import Interval, bootstrap

__all__ = [
    "Confusion",
    "Interval",
    "PointReport",
    "PointScores",
    "ReliabilityCurve",
    "Report",
    "Scores",
    "bootstrap",
    "calibration_error",
    "choose_threshold",
    "fit_bias",
    "fit_temperature",
    "malignant_probability",
    "point_scores",
    "reliability_curve",
    "report",
    "score",
    "share_to_show",
]


@dataclass(frozen=True)
class Scores:
    """What one epoch is judged by. AUCs are nan with one class only, recall with no malignant picture, all if empty.

    Attributes:
        count: pictures that took part.
        loss: log loss in nats (binary cross-entropy of the probabilities).
        precision: 0 when no picture is called malignant.
        pr_auc: average precision, the step-wise area under the precision-recall curve.
    """

    count: int
    loss: float
    accuracy: float
    precision: float
    recall: float
    f1: float
    roc_auc: float
    pr_auc: float


@dataclass(frozen=True)
class Confusion:
    """Pictures by truth and verdict; malignant is positive."""

    tn: int
    fp: int
    fn: int
    tp: int


@dataclass(frozen=True)
class PointScores:
    """Scores of the verdicts at one threshold; the confusion matrix counts pictures, without weights."""

    accuracy: float
    precision: float
    sensitivity: float
    specificity: float
    f1: float
    confusion: Confusion


@dataclass(frozen=True)
class PointReport:
    """One operating point on a test set, with 95 % bootstrap intervals."""

    name: str
    threshold: float
    accuracy: Interval
    precision: Interval
    sensitivity: Interval
    specificity: Interval
    f1: Interval
    confusion: Confusion


@dataclass(frozen=True)
class Report:
    """A test set's result; `lesion_demo.config.to_dict` makes it JSON.

    `calibration_error` has no interval: resampling adds noise to every bin, so the bootstrap of it is biased upwards
    and its interval can miss the value itself.
    """

    n: int
    n_malignant: int
    roc_auc: Interval
    pr_auc: Interval
    brier: Interval
    calibration_error: float
    points: tuple[PointReport, ...]


def score(
    labels: ArrayLike, probabilities: ArrayLike, *, threshold: float = 0.5, weights: ArrayLike | None = None
) -> Scores:
    """Scores of `probabilities` at one threshold; see `Scores` for empty and one-class input.

    Raises:
        DataError: shapes differ, a label is not 0 or 1, or a probability or weight is not a number in range.
    """
    y, p, w = checked(labels, probabilities, weights)
    if not len(y):
        return Scores(0, *[float("nan")] * 7)
    point = _rates(y, p >= threshold, w)
    both = has_both(y)
    return Scores(
        count=len(y),
        loss=float(sk.log_loss(y, p, sample_weight=w, labels=[0, 1])),
        accuracy=point["accuracy"],
        precision=point["precision"],
        recall=point["sensitivity"],
        f1=point["f1"],
        roc_auc=float(sk.roc_auc_score(y, p, sample_weight=w)) if both else float("nan"),
        pr_auc=float(sk.average_precision_score(y, p, sample_weight=w)) if both else float("nan"),
    )


def point_scores(
    labels: ArrayLike, probabilities: ArrayLike, threshold: float, *, weights: ArrayLike | None = None
) -> PointScores:
    """Scores of the verdicts at `threshold`; a rate whose class is absent is nan.

    Raises:
        DataError: as `score`, or there is no picture at all.
    """
    y, p, w = checked(labels, probabilities, weights)
    need_pictures(y)
    verdicts = p >= threshold
    return PointScores(**_rates(y, verdicts, w), confusion=_confusion(y, verdicts))


def _rates(y: Ints, verdicts: Bools, w: Floats) -> dict[str, float]:
    called = verdicts.astype(np.int64)
    rates = {
        "accuracy": sk.accuracy_score(y, called, sample_weight=w),
        "precision": sk.precision_score(y, called, sample_weight=w, zero_division=0.0),
        "sensitivity": sk.recall_score(y, called, sample_weight=w, zero_division=np.nan),
        "specificity": sk.recall_score(1 - y, 1 - called, sample_weight=w, zero_division=np.nan),
        "f1": sk.f1_score(y, called, sample_weight=w, zero_division=0.0),
    }
    return {name: float(value) for name, value in rates.items()}


def _confusion(y: Ints, verdicts: Bools) -> Confusion:
    tn, fp, fn, tp = sk.confusion_matrix(y, verdicts.astype(np.int64), labels=[0, 1]).ravel()
    return Confusion(int(tn), int(fp), int(fn), int(tp))


def report(
    labels: ArrayLike,
    probabilities: ArrayLike,
    points: Sequence[OperatingPoint],
    *,
    repeats: int = 2000,
    seed: int = 0,
) -> Report:
    """Scores with 95 % bootstrap intervals, free of a threshold and at every operating point.

    Raises:
        DataError: as `score`, or there is no picture at all. One class only is no error: what it
            leaves undefined is nan.
    """
    y, p, _ = checked(labels, probabilities, None)
    overall = {"roc_auc": intervals.roc_auc, "pr_auc": intervals.pr_auc, "brier": intervals.brier}
    return Report(
        n=len(y),
        n_malignant=int(y.sum()),
        **intervals.bootstrap_all(overall, y, p, repeats=repeats, seed=seed),
        calibration_error=calibration_error(y, p),
        points=tuple(_point_report(point, y, p, repeats, seed) for point in points),
    )


def _point_report(point: OperatingPoint, y: Ints, p: Floats, repeats: int, seed: int) -> PointReport:
    rates = {name: intervals.at_threshold(name, point.threshold) for name in intervals.RATES}
    return PointReport(
        name=point.name,
        threshold=point.threshold,
        **intervals.bootstrap_all(rates, y, p, repeats=repeats, seed=seed),
        confusion=_confusion(y, p >= point.threshold),
    )
