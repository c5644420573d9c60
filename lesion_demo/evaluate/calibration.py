"""What validation pictures decide: the temperature, the operating points, and how far to trust a probability.

Conventions as in `lesion_demo.evaluate.scores`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize, minimize_scalar

from lesion_demo.arrays import Floats, Ints, checked, log_odds, logistic, margins, need_both, need_pictures
from lesion_demo.errors import LesionDemoError
from lesion_demo.results import CalibrationLine

RULES = ("f1", "balanced", "sensitive")
"""What `choose_threshold` can aim at."""
BINS = 15
TEMPERATURE_RANGE = (0.05, 20.0)
BIAS_RANGE = (-5.0, 5.0)


@dataclass(frozen=True)
class ReliabilityCurve:
    """Equal-mass bins by rising probability: mean probability, share malignant (both 0–1), pictures; each [B]."""

    predicted: Floats
    observed: Floats
    count: Ints


def calibration_error(
    labels: ArrayLike, probabilities: ArrayLike, *, bins: int = BINS, weights: ArrayLike | None = None
) -> float:
    """Expected calibration error, 0–1: |mean probability − share malignant| averaged over equal-mass bins by weight.

    Guo et al. 2017 (arXiv 1706.04599) for the error; equal-mass bins as in Nguyen & O'Connor 2015 (arXiv 1508.05154).
    """
    y, p, w = checked(labels, probabilities, weights)
    need_pictures(y)
    gaps = np.bincount(_bin_of(p, w, bins), weights=w * (p - y))
    return float(np.abs(gaps).sum() / w.sum())


def reliability_curve(labels: ArrayLike, probabilities: ArrayLike) -> ReliabilityCurve:
    """The bins behind `calibration_error`; fewer than BINS where many pictures share a probability."""
    y, p, w = checked(labels, probabilities, None)
    need_pictures(y)
    _, index, count = np.unique(_bin_of(p, w, BINS), return_inverse=True, return_counts=True)
    return ReliabilityCurve(
        np.bincount(index, weights=p) / count, np.bincount(index, weights=y) / count, count.astype(np.int64)
    )


def _bin_of(p: Floats, w: Floats, bins: int) -> Ints:
    """Bin [N] of each picture, by the weight below it; equal probabilities share a bin, whatever their order."""
    _, index = np.unique(p, return_inverse=True)
    mass = np.bincount(index, weights=w)
    middle = (np.cumsum(mass) - mass / 2) / mass.sum()
    return np.asarray(np.minimum((middle * bins).astype(np.int64), bins - 1)[index])


def fit_temperature(logits: ArrayLike, labels: ArrayLike, *, weights: ArrayLike | None = None) -> float:
    """The temperature in 0.05–20 with the least (weighted) log loss; above 1 the network was overconfident.

    Temperature scaling, Guo et al. 2017 (arXiv 1706.04599). The loss is convex in 1 / T, so a bounded search on log T
    finds its one minimum; logits that separate the classes without error end at 0.05.

    Args:
        logits: float [N, 2].

    Raises:
        DataError: as `score`, or one of the classes is absent.
    """
    margin = margins(logits)
    y, _, w = checked(labels, logistic(margin), weights)
    need_both(y)
    if weights is not None:
        margin = margin[np.asarray(weights) > 0]
    wrong_way = np.where(y == 1, -margin, margin)

    def loss(log_t: float) -> float:
        return float(w @ np.logaddexp(0.0, wrong_way / np.exp(log_t)) / w.sum())

    minimum = minimize_scalar(loss, bounds=np.log(TEMPERATURE_RANGE), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(minimum.x))


def fit_bias(logits: ArrayLike, labels: ArrayLike, *, weights: ArrayLike | None = None) -> float:
    """What added to the malignant logit, −5 to 5, gives the least (weighted) log loss with the temperature then best.

    Bias-corrected temperature scaling (Alexandari et al. 2020, arXiv 1901.06852) in two classes, which is logistic
    regression on the margin (Platt 1999): a temperature alone cannot move where the network is undecided.

    Args:
        logits: float [N, 2].

    Raises:
        DataError: as `fit_temperature`.
    """
    return _fit_both(margins(logits), labels, weights)[1]


def calibration_line(
    labels: ArrayLike, probabilities: ArrayLike, *, weights: ArrayLike | None = None
) -> CalibrationLine:
    """How the log-odds of `probabilities` would have to be stretched and shifted to be true of these pictures.

    Cox 1958; Van Calster et al. 2019 (doi 10.1186/s12916-019-1466-7). One temperature serves them all where every
    source gets nearly 1 and 0. Where the classes are told apart without an error, there is no such line, and the
    ends of TEMPERATURE_RANGE and BIAS_RANGE are all that is found.

    Raises:
        DataError: as `fit_temperature`.
    """
    temperature, bias = _fit_both(log_odds(probabilities), labels, weights)
    return CalibrationLine(1 / temperature, bias / temperature)


def _fit_both(margin: Floats, labels: ArrayLike, weights: ArrayLike | None) -> tuple[float, float]:
    """Temperature and bias with the least (weighted) log loss, for malignant minus benign logits `margin` [N]."""
    y, _, w = checked(labels, logistic(margin), weights)
    need_both(y)
    if weights is not None:
        margin = margin[np.asarray(weights) > 0]
    sign = np.where(y == 1, -1.0, 1.0)

    def loss(values: Floats) -> float:
        log_t, bias = values
        return float(w @ np.logaddexp(0.0, sign * (margin + bias) / np.exp(log_t)) / w.sum())

    bounds = [tuple(np.log(TEMPERATURE_RANGE)), BIAS_RANGE]
    minimum = minimize(loss, [0.0, 0.0], bounds=bounds, method="L-BFGS-B")
    return float(np.exp(minimum.x[0])), float(minimum.x[1])


def choose_threshold(
    name: str,
    labels: ArrayLike,
    probabilities: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    sensitivity_target: float = 0.95,
) -> float:
    """The threshold, 0–1, that the rule `name` asks for on (validation) pictures.

    `f1` maximises that score; `balanced` maximises sensitivity + specificity − 1 (Youden 1950);
    `sensitive` is the largest threshold with sensitivity ≥ `sensitivity_target`. Thresholds lie midway between
    neighbouring scores; of several equally good ones, the middle one is taken, and of two, the lower, more sensitive.

    Raises:
        DataError: as `score`, or one of the classes is absent.
        LesionDemoError: there is no such rule.
    """
    if name not in RULES:
        raise LesionDemoError(f"There is no threshold rule {name!r}; choose one of {', '.join(RULES)}.")
    y, p, w = checked(labels, probabilities, weights)
    need_both(y)
    thresholds, fp, tp = _candidates(y, p, w)
    benign, malignant = w[y == 0].sum(), w[y == 1].sum()
    if name == "sensitive":
        return float(thresholds[tp / malignant >= sensitivity_target - 1e-9].max())
    value = {
        "f1": 2 * tp / (tp + fp + malignant),
        "balanced": tp / malignant - fp / benign,
    }[name]
    best = thresholds[value >= value.max() - 1e-9]
    return float(best[np.argmin(np.abs(best - np.median(best)))])


def _candidates(y: Ints, p: Floats, w: Floats) -> tuple[Floats, Floats, Floats]:
    """Every verdict that a threshold can give: thresholds ascending, weight of false and true positives, each [T]."""
    scores, index = np.unique(p, return_inverse=True)
    middle = (scores[:-1] + scores[1:]) / 2
    middle = np.where(middle > scores[:-1], middle, scores[1:])  # between neighbouring floats there is no middle
    thresholds = np.concatenate([[scores[0] / 2], middle, [(scores[-1] + 1) / 2]])
    at = [np.bincount(index, weights=w * (y == label)) for label in (0, 1)]
    fp, tp = (np.append(np.cumsum(mass[::-1])[::-1], 0.0) for mass in at)
    usable = thresholds > np.append(-1.0, scores)  # no threshold in 0–1 clears a score of 1
    return thresholds[usable], fp[usable], tp[usable]
