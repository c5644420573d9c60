"""Pure NumPy in, numbers out: scores and the evaluation report.

Everywhere: `labels` is int [N], 0 benign and 1 malignant; `probabilities` is float [N] in 0–1, of malignancy; a picture
is called malignant when its probability is at or above the threshold; `weights` is float [N], at or above 0, None for
all alike, and a picture of weight 0 does not take part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from sklearn import metrics as sk

from lesion_demo.arrays import Bools, Floats, Ints, checked, has_both, need_pictures
from lesion_demo.config import OperatingPoint
from lesion_demo.evaluate import intervals
from lesion_demo.evaluate.calibration import calibration_error, calibration_line
from lesion_demo.results import Confusion, Interval, PointReport, Report


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
class PointScores:
    """Scores of the verdicts at one threshold; the confusion matrix counts pictures, without weights."""

    accuracy: float
    precision: float
    sensitivity: float
    specificity: float
    f1: float
    confusion: Confusion


def score(labels: ArrayLike, probabilities: ArrayLike, *, weights: ArrayLike | None = None) -> Scores:
    """Scores of `probabilities`, verdicts at 0.5; see `Scores` for empty and one-class input.

    Raises:
        DataError: shapes differ, a label is not 0 or 1, or a probability or weight is not a number in range.
    """
    y, p, w = checked(labels, probabilities, weights)
    if not len(y):
        return Scores(0, *[float("nan")] * 7)
    point = _rates(y, p >= 0.5, w)
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
    groups: Sequence[str] | None = None,
    repeats: int = intervals.REPEATS,
) -> Report:
    """Scores with 95 % bootstrap intervals, free of a threshold and at every operating point.

    Args:
        groups: the lesion or patient [N] that each picture is of; None takes every picture as independent.

    Raises:
        DataError: as `score`, or there is no picture at all. One class only is no error: what it
            leaves undefined is nan.
    """
    y, p, _ = checked(labels, probabilities, None)
    need_pictures(y)
    names = [str(number) for number in range(len(y))] if groups is None else list(groups)
    draw = Draw(names, repeats)
    overall = {"roc_auc": intervals.roc_auc, "pr_auc": intervals.pr_auc, "brier": intervals.brier}
    estimates = draw.intervals(overall, y, p)
    balanced = np.where(y == 1, 1 / max(1, y.sum()), 1 / max(1, (y == 0).sum())) if has_both(y) else None
    return Report(
        n=len(y),
        n_malignant=int(y.sum()),
        groups=len(set(names)),
        roc_auc=estimates["roc_auc"],
        pr_auc=estimates["pr_auc"],
        brier=estimates["brier"],
        calibration_error=calibration_error(y, p),
        balanced_calibration_error=None if balanced is None else calibration_error(y, p, weights=balanced),
        calibration_line=None if balanced is None else calibration_line(y, p, weights=balanced),
        points=tuple(_point_report(point, y, p, draw) for point in points),
    )


@dataclass(frozen=True)
class Draw:
    """How pictures are drawn again: by `groups` [N], so many times."""

    groups: Sequence[str]
    repeats: int

    def intervals(self, statistics: Mapping[str, intervals.Statistic], y: Ints, p: Floats) -> dict[str, Interval]:
        return intervals.bootstrap_all(statistics, y, p, groups=self.groups, repeats=self.repeats)

    def of_class(self, rate: Interval, of_class: Bools) -> Interval:
        """`rate` among the pictures `of_class` [N]; one of exactly 0 or 1, which no resample moves, gets Wilson's
        interval for as many as there are groups of that class."""
        if rate.low < rate.high or not of_class.any():
            return rate
        groups = {group for group, own in zip(self.groups, of_class, strict=True) if own}
        wilson = intervals.share_of(np.full(len(groups), rate.value == 1))
        return wilson if rate.value in (0, 1) else rate


def _point_report(point: OperatingPoint, y: Ints, p: Floats, draw: Draw) -> PointReport:
    estimates = draw.intervals({name: intervals.at_threshold(name, point.threshold) for name in intervals.RATES}, y, p)
    return PointReport(
        name=point.name,
        threshold=point.threshold,
        accuracy=estimates["accuracy"],
        precision=estimates["precision"],
        sensitivity=draw.of_class(estimates["sensitivity"], y == 1),
        specificity=draw.of_class(estimates["specificity"], y == 0),
        f1=estimates["f1"],
        confusion=_confusion(y, p >= point.threshold),
    )
