"""Fit a checkpoint's log-odds and thresholds to one clinic's labelled pictures, held back by what was shipped.

Everywhere: `log_odds` is float [N], of malignancy, as the checkpoint gives them; `labels` is int [N], 0 benign and 1
malignant; `groups` is [N]: pictures that share one are of one lesion or patient, and count as one.

**The line** (Cox 1958; Steyerberg et al. 2004, Stat Med 23:2567, on updating a model with few patients): the maximum a
posteriori slope and intercept of a logistic regression on the log-odds, with normal priors about the shipped 1 and 0
(the ridge of Hoerl & Kennard 1970, about a target: van Wieringen & Binder 2022). Their widths, SLOPE_SD and
INTERCEPT_SD, say how far clinics lie apart, so that the fit is the usual compromise of a random-effects model: slopes
from 0.5 to 1.5, levels within a log-odds, two times in three. A hundred pictures of a clinic that keeps to slope 1 and
intercept 0 then move its probabilities by about 3 points on average. In four made-up clinics that were off by 0.5 to
2.5 log-odds or in slope, the divergence from the truth at 50 to 400 pictures was at most 1.4 times that of the best of
six pairs of widths, from 0.2 and 0.3 to none at all; with no prior it was up to 3.7 times that.

**The classes** are weighed to the checkpoint's prevalence, so that a probability means what it meant: a sample's own
share of malignant lesions says who was photographed, not what a lesion is. Weights cost information: the likelihood
counts Kish's effective number of lesions (Kish 1965), at a prevalence of one half 4 m b / (m + b) of m malignant and b
benign ones.

**A threshold** is chosen on the fitted probabilities by the rule of its name, and drawn back towards the shipped one in
log-odds: it moves by Bühlmann's credibility n / (n + k) of the way (1967, ASTIN Bulletin 4:199), n being the lesions of
the rarer class and k, LESIONS, the variance of one lesion over that of clinics. (For the threshold that 95 % of the
malignant reach, one lesion's is 4.5 times the variance of their log-odds, which is about 3 where the ROC-AUC is 0.9;
clinics' is taken to be 0.75².)
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.model_selection import StratifiedGroupKFold

from lesion_demo.arrays import Bools, Floats, Ints, checked, need_both
from lesion_demo.config import OperatingPoint
from lesion_demo.decision import log_odds as log_odds_at
from lesion_demo.errors import DataError
from lesion_demo.evaluate.calibration import RULES, choose_threshold
from lesion_demo.evaluate.intervals import wilson
from lesion_demo.evaluate.run import SENSITIVITY
from lesion_demo.local_calibration import INTERCEPTS, SLOPES, LocalPoint, Share

SLOPE_SD, INTERCEPT_SD = 0.5, 1.0
"""How far clinics are taken to lie apart: standard deviations."""
LESIONS = 25
"""The shipped thresholds weigh as much as so many of the clinic's own lesions."""
FOLDS = 5
ACCURACY = "accuracy"


@dataclass(frozen=True)
class LocalFit:
    """log-odds here = `slope` × log-odds as shipped + `intercept`; `thresholds` on their probabilities, by name."""

    slope: float
    intercept: float
    thresholds: Mapping[str, float]

    def probabilities(self, log_odds: ArrayLike) -> Floats:
        """Probabilities of malignancy [N] in 0–1 after the fit."""
        return np.asarray(expit(self.slope * np.asarray(log_odds, dtype=np.float64) + self.intercept))


def fit_local(
    log_odds: ArrayLike,
    labels: ArrayLike,
    points: Sequence[OperatingPoint],
    *,
    groups: Sequence[Hashable] | None = None,
    prevalence: float = 0.5,
) -> LocalFit:
    """Line and thresholds for these pictures; see the head of this module.

    Args:
        points: as shipped; one whose rule is not known keeps its threshold.
        groups: None takes every picture for a lesion of its own.
        prevalence: share of malignant pictures, 0–1, at which the checkpoint's probabilities are calibrated.

    Raises:
        DataError: the lists do not fit, or one of the classes is absent.
    """
    x, y, codes = _checked(log_odds, labels, groups)
    weights = balance(y, codes, prevalence)
    slope, intercept = fit_line(x, y, weights)
    here = slope * x + intercept
    lesions = min(_lesions(y, codes))
    trust = lesions / (lesions + LESIONS)
    thresholds = {}
    for point in points:
        own = _by_rule(point.name, here, y, weights)
        shipped = log_odds_at(point.threshold)
        moved = float(expit(shipped + trust * (own - shipped))) if own is not None else point.threshold
        thresholds[point.name] = moved
    return LocalFit(slope, intercept, thresholds)


def fit_line(log_odds: Floats, labels: Ints, weights: Floats) -> tuple[float, float]:
    """Slope and intercept of greatest posterior density; `weights` [N] add up to the number of lesions they are worth.

    The loss is convex and its penalty strictly so: there is one minimum, also where the classes do not overlap.
    """
    sign = np.where(labels == 1, -1.0, 1.0)

    def loss(line: Floats) -> tuple[float, Floats]:
        wrong_way = sign * (line[0] * log_odds + line[1])
        pull = weights * sign * expit(wrong_way)
        off = (line - [1.0, 0.0]) / [SLOPE_SD, INTERCEPT_SD]
        gradient = np.array([pull @ log_odds, pull.sum()]) + off / [SLOPE_SD, INTERCEPT_SD]
        return float(weights @ np.logaddexp(0.0, wrong_way) + off @ off / 2), gradient

    found = minimize(loss, [1.0, 0.0], jac=True, bounds=[SLOPES, INTERCEPTS], method="SLSQP", tol=1e-10)
    return float(found.x[0]), float(found.x[1])


def balance(labels: Ints, groups: Ints, prevalence: float = 0.5) -> Floats:
    """Weights [N]: the malignant ones are `prevalence` (0–1) of them; their sum is the effective number of groups."""
    shares = (1 - prevalence, prevalence)
    effective = 1 / sum(share**2 / count for share, count in zip(shares, _lesions(labels, groups), strict=True))
    benign, malignant = (share / (labels == label).sum() for label, share in enumerate(shares))
    return np.asarray(effective * np.where(labels == 1, malignant, benign))


def cross_validate(
    log_odds: ArrayLike,
    labels: ArrayLike,
    points: Sequence[OperatingPoint],
    *,
    groups: Sequence[Hashable] | None = None,
    prevalence: float = 0.5,
    seed: int = 0,
) -> dict[str, tuple[Share, Share]]:
    """Sensitivity and specificity by the name of a point, every picture judged by a fit without its group.

    Intervals are Wilson's (1927) of as many trials as there are groups of the class.

    Raises:
        DataError: as `fit_local`.
    """
    x, y, codes = _checked(log_odds, labels, groups)
    called = {point.name: np.zeros(len(y), dtype=bool) for point in points}
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    for rest, fold in folds.split(x[:, None], y, codes):
        fit = fit_local(x[rest], y[rest], points, groups=codes[rest].tolist(), prevalence=prevalence)
        for point in points:
            called[point.name][fold] = fit.probabilities(x[fold]) >= fit.thresholds[point.name]
    malignant, benign = y == 1, y == 0
    return {name: (_share(calls, malignant, codes), _share(~calls, benign, codes)) for name, calls in called.items()}


def local_points(fit: LocalFit, tested: Mapping[str, tuple[Share, Share]]) -> tuple[LocalPoint, ...]:
    """The thresholds of `fit` with what `cross_validate` said of them."""
    return tuple(LocalPoint(name, threshold, *tested[name]) for name, threshold in fit.thresholds.items())


def _checked(log_odds: ArrayLike, labels: ArrayLike, groups: Sequence[Hashable] | None) -> tuple[Floats, Ints, Ints]:
    """Log-odds and labels [N] as arrays, and a number [N] for the group of each."""
    x = np.asarray(log_odds, dtype=np.float64)
    y, _, _ = checked(labels, expit(x), None)
    need_both(y)
    if groups is None:
        return x, y, np.arange(len(y))
    if len(groups) != len(y):
        raise DataError(f"There are {len(groups)} groups for {len(y)} pictures: give one for each.")
    codes = {group: code for code, group in enumerate(dict.fromkeys(groups))}
    return x, y, np.array([codes[group] for group in groups])


def _lesions(y: Ints, groups: Ints) -> tuple[int, int]:
    """How many benign, and how many malignant ones there are."""
    return len(np.unique(groups[y == 0])), len(np.unique(groups[y == 1]))


def _by_rule(name: str, here: Floats, y: Ints, weights: Floats) -> float | None:
    """The threshold, in log-odds, that `lesion_demo.evaluate.run.calibrate` would choose; None for a rule that
    is not known. `accuracy` lies where a regression is undecided."""
    if name == ACCURACY:
        slope, intercept = fit_line(here, y, weights)
        return -intercept / slope
    if name not in RULES:
        return None
    return log_odds_at(choose_threshold(name, y, expit(here), weights=weights, sensitivity_target=SENSITIVITY))


def _share(right: Bools, own: Bools, groups: Ints) -> Share:
    """The share of `own` [N] that are `right` [N], with its interval."""
    value = float(right[own].mean())
    low, high = wilson(np.array([value]), np.array([len(np.unique(groups[own]))]))
    return Share(value, min(value, max(0.0, float(low[0]))), max(value, min(1.0, float(high[0]))))
