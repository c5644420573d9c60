"""Bootstrap confidence intervals: statistics as functions of picture weights, many resamples at once.

A resample of N pictures drawn with replacement is a row of N counts. A statistic here takes a matrix of such rows,
`weights [R, N]`, and gives back `[R]`, so 2,000 resamples cost a few matrix operations each. Pictures of one lesion or
patient are not independent: where `groups` are given, whole groups are drawn (cluster bootstrap, Field & Welsh 2007).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import TypeAlias, TypeVar

import numpy as np

from lesion_demo.arrays import Bools, Floats, Ints, checked, has_both, need_pictures
from lesion_demo.errors import DataError
from lesion_demo.results import Interval

Statistic: TypeAlias = Callable[[Ints, Floats, Floats], Floats]
"""(labels [N], probabilities [N], weights [R, N]) → one value for each row of weights, [R]."""

LEVEL = 0.95
"""Share of the resamples inside an interval."""
_ENTRIES_AT_ONCE = 2_000_000  # of the weight matrix: 16 MB, so memory stays flat for any number of pictures

Key = TypeVar("Key", bound=Hashable)


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


def share_if_any(hits: Bools) -> Interval | None:
    """`share_of`, or None where there is no picture."""
    return share_of(hits) if len(hits) else None


def roc_auc_of(labels: Ints, probabilities: Floats, groups: Sequence[str] | None = None) -> Interval | None:
    """ROC-AUC with its interval, see `bootstrap`; None where a class is absent."""
    return bootstrap(roc_auc, labels, probabilities, groups=groups) if has_both(labels) else None


def bootstrap(
    statistic: Statistic,
    labels: Ints,
    probabilities: Floats,
    *,
    groups: Sequence[str] | None = None,
    repeats: int = 2000,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap interval of one statistic (Efron & Tibshirani 1993, chapter 13).

    Groups are resampled one by one, not by class, so the interval holds the chance in the class shares too; a
    resample with one class only is drawn again. A rate of exactly 0 or 1 gets an interval of no width: a weakness of
    the method, not certainty.

    Args:
        labels: int [N], 0 benign, 1 malignant.
        probabilities: float [N], 0–1.
        groups: the lesion or patient [N] that each picture is of; None takes every picture as independent.

    Raises:
        DataError: there is no picture at all, or the arrays do not fit.
    """
    return bootstrap_all({"it": statistic}, labels, probabilities, groups=groups, repeats=repeats, seed=seed)["it"]


def bootstrap_all(
    statistics: Mapping[Key, Statistic],
    labels: Ints,
    probabilities: Floats,
    *,
    groups: Sequence[str] | None = None,
    repeats: int = 2000,
    seed: int = 0,
) -> dict[Key, Interval]:
    """`bootstrap` for several statistics on the same resamples. A statistic that is undefined (nan) stays nan."""
    labels, probabilities, _ = checked(labels, probabilities, None)
    need_pictures(labels)
    drawn: dict[Key, list[Floats]] = {key: [] for key in statistics}
    for weights in _resamples(labels, groups, repeats, seed):
        for key, statistic in statistics.items():
            drawn[key].append(statistic(labels, probabilities, weights))
    everything = np.ones((1, len(labels)))
    return {
        key: _percentiles(statistic(labels, probabilities, everything), drawn[key])
        for key, statistic in statistics.items()
    }


def paired_bootstrap(
    statistic: Statistic,
    labels: Ints,
    first: Floats,
    second: Floats,
    *,
    groups: Sequence[str] | None = None,
    repeats: int = 2000,
    seed: int = 0,
) -> Interval:
    """How much higher the statistic is of the probabilities `second` than of `first` (both [N]), of the same pictures.

    Both are scored on the same resamples: two runs err on the same hard pictures, and what they share cancels out. An
    interval that holds 0 does not tell the runs apart. Arguments and errors as `bootstrap`.
    """
    labels, first, _ = checked(labels, first, None)
    labels, second, _ = checked(labels, second, None)
    need_pictures(labels)

    def gain(weights: Floats) -> Floats:
        return np.asarray(statistic(labels, second, weights) - statistic(labels, first, weights))

    drawn = [gain(weights) for weights in _resamples(labels, groups, repeats, seed)]
    return _percentiles(gain(np.ones((1, len(labels)))), drawn)


def _percentiles(value: Floats, drawn: Sequence[Floats]) -> Interval:
    low, high = np.quantile(np.concatenate(drawn), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(value[0]), float(low), float(high))


def _resamples(labels: Ints, groups: Sequence[str] | None, repeats: int, seed: int) -> Iterator[Floats]:
    """Weights [R, N] of the pictures in so many resamples of their groups, a part of `repeats` at a time."""
    index = np.arange(len(labels))
    if groups is not None:
        if len(groups) != len(labels):
            raise DataError(f"There are {len(groups)} groups for {len(labels)} pictures; give one for each picture.")
        _, index = np.unique(np.asarray(groups), return_inverse=True)
    size, malignant = np.bincount(index), np.bincount(index, weights=labels).astype(np.float64)
    rng = np.random.default_rng(seed)
    chunk = max(1, _ENTRIES_AT_ONCE // max(1, len(labels)))
    for start in range(0, repeats, chunk):
        yield _resample(rng, size, malignant, min(chunk, repeats - start))[:, index]


def _resample(rng: np.random.Generator, size: Ints, malignant: Floats, repeats: int) -> Floats:
    """How often each group was drawn, [repeats, G]; every row holds both classes if the groups do.

    Args:
        size, malignant: pictures in each group, and how many of them are malignant [G].
    """
    count = len(size)
    one_class = not 0 < malignant.sum() < size.sum()
    rows: list[Floats] = []
    missing = repeats
    while missing:
        draws = rng.integers(0, count, (missing, count)) + count * np.arange(missing)[:, None]
        weights = np.bincount(draws.ravel(), minlength=missing * count).reshape(missing, count).astype(np.float64)
        found = weights @ malignant
        kept = weights[one_class | ((found > 0) & (found < weights @ size))]
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
