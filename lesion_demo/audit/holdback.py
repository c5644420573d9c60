"""Does the model hold back when it should, and hardly ever when it should not? Quality, familiarity, uncertainty."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lesion_demo.arrays import Floats
from lesion_demo.config import OperatingPoint
from lesion_demo.data.picture import Picture
from lesion_demo.evaluate.intervals import roc_auc_of, share_of
from lesion_demo.evaluate.referral import coverage_curve, distance_to_threshold, zones
from lesion_demo.evaluate.reporting import Scorer
from lesion_demo.evaluate.run import EvaluatedSplit
from lesion_demo.images import Pixels
from lesion_demo.images.perturb import DEGRADATIONS, STRENGTHS, Degradation
from lesion_demo.images.quality import QualityReport, check_quality
from lesion_demo.network.familiarity import FamiliarityModel
from lesion_demo.network.fit_familiarity import learn
from lesion_demo.results import (
    Coverage,
    DegradationResult,
    NewClinicResult,
    ReferralResult,
    UnrelatedResult,
    UntouchedResult,
)

MIN_KNOWN = 300
"""Pictures below which a covariance in so many features means little."""


def untouched(
    pictures: Sequence[Picture],
    reports: Sequence[QualityReport],
    known: FamiliarityModel | None,
    features: Floats | None,
) -> list[UntouchedResult]:
    """By source, and `all` in the end; `reports` [N] are of `pictures`, and so are `features` [N, D] beside `known`."""
    warned = np.array([not report.ok for report in reports])
    severe = np.array([not report.assessable for report in reports])
    strange = photographs = None
    if known is not None and features is not None:
        strange, photographs = known.refused(features), known.photographs(features)
    sources = np.array([picture.source for picture in pictures])
    masks = {source: sources == source for source in sorted(set(sources))} | {"all": np.ones(len(sources), dtype=bool)}
    return [
        UntouchedResult(
            source,
            int(mask.sum()),
            share_of(warned[mask]),
            share_of(severe[mask]),
            None if strange is None else share_of(strange[mask]),
            None if photographs is None else share_of(photographs[mask]),
        )
        for source, mask in masks.items()
    ]


@dataclass(frozen=True)
class Spoilt:
    """The edit that spoils a picture; what is chance in it hangs on the picture's place alone."""

    degradation: Degradation
    strength: float

    def __call__(self, image: Pixels, index: int) -> Pixels:
        return self.degradation.apply(image, np.random.default_rng(index), self.strength)


def degraded(
    scorer: Scorer, pictures: Sequence[Picture], *, temperature: float, point: OperatingPoint
) -> Iterator[DegradationResult]:
    """Each of DEGRADATIONS at each strength on `pictures`, which are spoilt once for checks and network alike."""
    labels = np.array([picture.label for picture in pictures], dtype=np.int64)
    steps = [
        (degradation, level, strength)
        for degradation in DEGRADATIONS
        for level, strength in zip(STRENGTHS, degradation.strengths, strict=True)
    ]
    edits = [Spoilt(degradation, strength) for degradation, _, strength in steps]
    for step, predictions in zip(steps, scorer.edited(pictures, edits, "degradations", check_quality), strict=True):
        yield _degradation(*step, predictions.measured, labels, predictions.probabilities(temperature), point)


def _degradation(
    degradation: Degradation,
    level: str,
    strength: float,
    reports: Sequence[QualityReport],
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    point: OperatingPoint,
) -> DegradationResult:
    right = [any(check.name in degradation.checks for check in report.warnings) for report in reports]
    silent = np.array([report.ok for report in reports])
    return DegradationResult(
        name=degradation.name,
        unit=degradation.unit,
        level=level,
        strength=strength,
        n=len(reports),
        warned=share_of(np.array(right)),
        severe=share_of(np.array([not report.assessable for report in reports])),
        roc_auc=roc_auc_of(labels, probabilities),
        roc_auc_unwarned=roc_auc_of(labels[silent], probabilities[silent]),
        accuracy=share_of((probabilities >= point.threshold) == (labels == 1)),
    )


def refused(
    kinds: Sequence[str], reports: Iterable[QualityReport], features: Floats, known: FamiliarityModel
) -> list[UnrelatedResult]:
    """By kind, in the order of their coming; `kinds` and `reports` [N] and `features` [N, D] belong together."""
    strange = known.refused(features)
    held = strange | np.array([not report.assessable for report in reports])
    of = np.array(kinds)
    masks = {kind: of == kind for kind in dict.fromkeys(kinds)}
    return [
        UnrelatedResult(kind, int(mask.sum()), share_of(strange[mask]), share_of(held[mask]))
        for kind, mask in masks.items()
    ]


def new_clinics(train: Mapping[str, Floats], val: Mapping[str, Floats]) -> list[NewClinicResult]:
    """For every data set, what its pictures alone would let pass of the others': features [N, D] by source.

    The network itself has learnt from all of them.
    """
    found = []
    for known_source, features in train.items():
        if len(features) < MIN_KNOWN:
            continue
        known = learn(features, val[known_source])
        for source, others in val.items():
            if source != known_source:
                passed = share_of(known.distances(others) <= known.limit)
                found.append(NewClinicResult(known_source, source, len(others), passed))
    return found


def referrals(
    split: EvaluatedSplit, points: Sequence[OperatingPoint], margins: Sequence[float]
) -> list[ReferralResult]:
    """The zones of `split` at each of `points` with its margin in log-odds."""
    return [
        ReferralResult(point, zones(split.labels, split.probabilities, point.threshold, margin))
        for point, margin in zip(points, margins, strict=True)
    ]


def coverages(
    split: EvaluatedSplit, averaged: NDArray[np.float64], spread: NDArray[np.float64], point: OperatingPoint
) -> list[Coverage]:
    """The plain distance to the threshold against two scores that cost four passes instead of one.

    Args:
        averaged: probabilities [N] over four turns; `spread` [N] is the log-odds' standard deviation among them.
    """
    plain = distance_to_threshold(split.probabilities, point.threshold)
    scores = {
        "distance to the threshold": plain,
        "distance, mean of four turns": distance_to_threshold(averaged, point.threshold),
        "distance over disagreement of four turns": plain / (0.1 + spread),
    }
    found = []
    for name, confidence in scores.items():
        curve = coverage_curve(split.labels, split.probabilities, point.threshold, confidence)
        at = np.unique(np.linspace(0, len(curve.coverage) - 1, 41).round().astype(int))
        shares = (tuple(np.round(values[at], 4).tolist()) for values in (curve.coverage, curve.accuracy))
        found.append(Coverage(name, curve.area, *shares))
    return found
