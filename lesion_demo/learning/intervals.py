"""Bootstrap confidence intervals: statistics as functions of picture weights, many resamples at once.

A resample of N pictures drawn with replacement is a row of N counts. A statistic here takes a matrix of such rows,
`weights [R, N]`, and gives back `[R]`, so 2,000 resamples cost a few matrix operations each.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np

from lesion_demo.learning.arrays import Bools, Floats, Ints, checked, need_pictures

Statistic: TypeAlias = Callable[[Ints, Floats, Floats], Floats]
"""(labels [N], probabilities [N], weights [R, N]) → one value for each row of weights, [R]."""

_ENTRIES_AT_ONCE = 2_000_000  # of the weight matrix: 16 MB, so memory stays flat for any number of pictures

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Interval:
    """A statistic on all pictures, and the range it falls in when the pictures are drawn again."""

    value: float
    low: float
    high: float


def wilson(share: Floats, count: Ints) -> tuple[Floats, Floats]:
    """95 % intervals [B] (low, high) of shares [B] in 0–1, each among `count` [B] pictures (Wilson 1927)."""
    z = 1.96
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2)
    return middle - half, middle + half


def share_of(hits: Bools) -> Interval:
    """The share of `hits` [N] that are true, with its 95 % interval (Wilson 1927).

    Raises:
        DataError: there is no picture at all.
    """
    need_pictures(hits.astype(np.int64))
    share = hits.mean(keepdims=True)
    low, high = wilson(share, np.array([len(hits)]))
    return Interval(float(share[0]), max(0.0, float(low[0])), min(1.0, float(high[0])))


def bootstrap(
    statistic: Statistic,
    labels: Ints,
    probabilities: Floats,
    *,
    repeats: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Percentile bootstrap interval of one statistic (Efron & Tibshirani 1993, chapter 13).

    Pictures are resampled one by one, not by class, so the interval holds the chance in the class shares too; a
    resample with one class only is drawn again. It takes the pictures as independent: where several show one lesion,
    the interval is too narrow. A rate of exactly 0 or 1 gets an interval of no width: a weakness of the method, not
    certainty.

    Args:
        labels: int [N], 0 benign, 1 malignant.
        probabilities: float [N], 0–1.
        level: share of the resamples inside the interval.

    Raises:
        DataError: there is no picture at all, or the two arrays do not fit.
    """
    made = bootstrap_all({"it": statistic}, labels, probabilities, repeats=repeats, seed=seed, level=level)
    return made["it"]


def bootstrap_all(
    statistics: Mapping[Key, Statistic],
    labels: Ints,
    probabilities: Floats,
    *,
    repeats: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[Key, Interval]:
    """`bootstrap` for several statistics on the same resamples. A statistic that is undefined (nan) stays nan."""
    labels, probabilities, _ = checked(labels, probabilities, None)
    need_pictures(labels)
    rng = np.random.default_rng(seed)
    chunk = max(1, _ENTRIES_AT_ONCE // max(1, len(labels)))
    drawn: dict[Key, list[Floats]] = {key: [] for key in statistics}
    for start in range(0, repeats, chunk):
        weights = _resample(rng, labels, min(chunk, repeats - start))
        for key, statistic in statistics.items():
            drawn[key].append(statistic(labels, probabilities, weights))
    everything = np.ones((1, len(labels)))
    tails = [(1 - level) / 2, (1 + level) / 2]
    result = {}
    for key, statistic in statistics.items():
        low, high = np.quantile(np.concatenate(drawn[key]), tails)
        value = statistic(labels, probabilities, everything)[0]
        result[key] = Interval(float(value), float(low), float(high))
    return result


def _resample(rng: np.random.Generator, labels: Ints, repeats: int) -> Floats:
    """How often each picture was drawn, [repeats, N]; every row holds both classes if the labels do."""
    count = len(labels)
    one_class = labels.min() == labels.max()
    rows: list[Floats] = []
    missing = repeats
    while missing:
        draws = rng.integers(0, count, (missing, count)) + count * np.arange(missing)[:, None]
        weights = np.bincount(draws.ravel(), minlength=missing * count).reshape(missing, count).astype(np.float64)
        malignant = weights @ labels
        kept = weights[one_class | ((malignant > 0) & (malignant < count))]
        rows.append(kept)
        missing -= len(kept)
    return np.concatenate(rows)


def roc_auc(labels: Ints, probabilities: Floats, weights: Floats) -> Floats:
    """Weighted ROC-AUC [R]: the chance that a malignant picture outranks a benign one, ties counting half."""
    benign, malignant = _by_score(labels, probabilities, weights)
    benign_below = np.cumsum(benign, axis=1) - benign / 2
    return _ratio((malignant * benign_below).sum(axis=1), malignant.sum(axis=1) * benign.sum(axis=1), np.nan)


def pr_auc(labels: Ints, probabilities: Floats, weights: Floats) -> Floats:
    """Weighted average precision [R], as `sklearn.metrics.average_precision_score` defines it; nan for one class."""
    benign, malignant = _by_score(labels, probabilities, weights)
    found = np.cumsum(malignant[:, ::-1], axis=1)
    called = found + np.cumsum(benign[:, ::-1], axis=1)
    area = (malignant[:, ::-1] * _ratio(found, called, 0.0)).sum(axis=1)
    total = malignant.sum(axis=1)
    return np.where(benign.sum(axis=1) > 0, _ratio(area, total, np.nan), np.nan)


def brier(labels: Ints, probabilities: Floats, weights: Floats) -> Floats:
    """Weighted mean squared difference of probability and label [R] (Brier 1950), 0–1, low is good."""
    return weights @ (probabilities - labels) ** 2 / weights.sum(axis=1)


def at_threshold(name: str, threshold: float) -> Statistic:
    """The statistic `name` of the verdicts `probability >= threshold`.

    `name` is one of accuracy, precision, sensitivity, specificity, f1. Precision and F1 are 0 when nothing is called
    malignant; sensitivity and specificity are nan when their class is absent.
    """

    def statistic(labels: Ints, probabilities: Floats, weights: Floats) -> Floats:
        verdicts = probabilities >= threshold
        cells = np.stack([(labels == label) & (verdicts == verdict) for label, verdict in _CELLS])
        tn, fp, fn, tp = (weights @ cells.T).T
        return RATES[name](tn, fp, fn, tp)

    return statistic


_CELLS = ((0, False), (0, True), (1, False), (1, True))
RATES: dict[str, Callable[[Floats, Floats, Floats, Floats], Floats]] = {
    "accuracy": lambda tn, fp, fn, tp: (tn + tp) / (tn + fp + fn + tp),
    "precision": lambda tn, fp, fn, tp: _ratio(tp, tp + fp, 0.0),
    "sensitivity": lambda tn, fp, fn, tp: _ratio(tp, tp + fn, np.nan),
    "specificity": lambda tn, fp, fn, tp: _ratio(tn, tn + fp, np.nan),
    "f1": lambda tn, fp, fn, tp: _ratio(2 * tp, 2 * tp + fp + fn, 0.0),
}


def _by_score(labels: Ints, probabilities: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Weight of the benign and of the malignant pictures at each distinct score, ascending, both [R, U]."""
    order = np.argsort(probabilities, kind="stable")
    ranked = probabilities[order]
    starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))
    ranked_weights = weights[:, order]
    malignant = np.add.reduceat(ranked_weights * labels[order], starts, axis=1)
    return np.add.reduceat(ranked_weights, starts, axis=1) - malignant, malignant


def _ratio(top: Floats, bottom: Floats, otherwise: float) -> Floats:
    """top / bottom, and `otherwise` where the bottom is 0."""
    return np.divide(top, bottom, out=np.full_like(top, otherwise), where=bottom > 0)
