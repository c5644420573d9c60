"""Which pictures to refer instead of calling them: those whose probability lies too close to the threshold.

Conventions as in `lesion_demo.evaluate.scores`. Selective classification: El-Yaniv & Wiener 2010 (JMLR 11:1605).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from lesion_demo.arrays import Floats, checked, log_odds, need_both
from lesion_demo.evaluate.intervals import share_if_any, share_of
from lesion_demo.results import Zone

CONFIDENT_RATES = (0.92, 0.92)
"""Sensitivity and specificity that the confident verdicts are to have on validation."""


@dataclass(frozen=True)
class CoverageCurve:
    """Accuracy [N] of the calls kept when the most confident share `coverage` [N] (0–1, rising) is kept.

    Attributes:
        area: mean accuracy over all coverages; 1 where no call is wrong.
    """

    coverage: Floats
    accuracy: Floats
    area: float


def distance_to_threshold(probabilities: ArrayLike, threshold: float) -> Floats:
    """|log-odds of p − log-odds of the threshold| [N], 0 or more."""
    return np.asarray(np.abs(log_odds(probabilities) - log_odds(threshold)))


def choose_margin(
    labels: ArrayLike,
    probabilities: ArrayLike,
    threshold: float,
    *,
    weights: ArrayLike | None = None,
    targets: tuple[float, float] = CONFIDENT_RATES,
    most: float = 1.0,
) -> float:
    """The least margin, in log-odds, beyond which sensitivity and specificity of the rest reach both `targets`.

    Where that would leave more than the share `most` (0–1) of the pictures uncertain, the largest that does not; where
    no margin reaches them and `most` is 1, the greatest distance: only the most confident picture is still called.

    Raises:
        DataError: as `score`, or one of the classes is absent.
    """
    y, p, w = checked(labels, probabilities, weights)
    need_both(y)
    distance = distance_to_threshold(p, threshold)
    order = np.argsort(-distance, kind="stable")  # the most confident first: a margin keeps a beginning of the row
    y, w, called, distance = y[order], w[order], (p >= threshold)[order], distance[order]
    reached = np.ones(len(y), dtype=bool)
    for label, target in ((1, targets[0]), (0, targets[1])):
        of_class = w * (y == label)
        right = of_class * (called == bool(label))
        total = np.cumsum(of_class)
        reached &= np.divide(np.cumsum(right), total, out=np.ones_like(total), where=total > 0) >= target
    last_of_ties = np.append(distance[1:] != distance[:-1], True)
    good = np.flatnonzero(reached & last_of_ties)
    enough = np.flatnonzero(last_of_ties & (np.cumsum(w) >= (1 - most) * w.sum() - 1e-9))
    if len(good) == 0 and most >= 1:
        return float(distance[0])
    kept = max(int(good.max(initial=0)), int(enough.min())) + 1
    return 0.0 if kept == len(y) else float((distance[kept - 1] + distance[kept]) / 2)


def zones(labels: ArrayLike, probabilities: ArrayLike, threshold: float, margin: float) -> tuple[Zone, Zone, Zone]:
    """`benign`, `uncertain` and `malignant`: their shares, and the errors of the two that are calls.

    Raises:
        DataError: as `score`.
    """
    y, p, _ = checked(labels, probabilities, None)
    unsure = distance_to_threshold(p, threshold) < margin
    called = p >= threshold
    found = []
    for name, mask, wrong in (
        ("benign", ~unsure & ~called, y == 1),
        ("uncertain", unsure, None),
        ("malignant", ~unsure & called, y == 0),
    ):
        errors = None if wrong is None else share_if_any(wrong[mask])
        found.append(Zone(name, int(mask.sum()), share_of(mask), errors))
    return found[0], found[1], found[2]


def coverage_curve(
    labels: ArrayLike, probabilities: ArrayLike, threshold: float, confidence: ArrayLike
) -> CoverageCurve:
    """Accuracy of the calls at `threshold` by coverage, the pictures taken in the order of falling `confidence` [N].

    Raises:
        DataError: as `score`.
    """
    y, p, _ = checked(labels, probabilities, None)
    order = np.argsort(-np.asarray(confidence, dtype=np.float64), kind="stable")
    right = ((p >= threshold) == (y == 1))[order]
    count = np.arange(1, len(y) + 1)
    accuracy = np.cumsum(right) / count
    return CoverageCurve(count / len(y), accuracy, float(accuracy.mean()))
