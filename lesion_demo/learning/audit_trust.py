"""Does the model hold back when it should, and hardly ever when it should not? Quality, familiarity, uncertainty."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from lesion_demo.config import OperatingPoint, PreprocessSpec
from lesion_demo.imaging.perturb import DEGRADATIONS, STRENGTHS, Degradation
from lesion_demo.imaging.quality import QualityReport, check_quality
from lesion_demo.imaging.transforms import Picture as Pixels
from lesion_demo.learning.dataset import PictureReader
from lesion_demo.learning.evaluation import EvaluatedSplit, run_model
from lesion_demo.learning.familiarity import Floats, KnownPictures, learn
from lesion_demo.learning.folders import Picture
from lesion_demo.learning.intervals import bootstrap, roc_auc, share_of
from lesion_demo.learning.referral import Zone, coverage_curve, distance_to_threshold, zones
from lesion_demo.results import Interval

MIN_KNOWN = 300
"""Pictures below which a covariance in so many features means little."""
Tick = Callable[[], object]
"""Called after each step of a long work."""


@dataclass(frozen=True)
class UntouchedResult:
    """What is held back of a data set's validation pictures, as they are.

    Attributes:
        warned: share with a quality warning of any severity; `severe` is the share too poor to be judged.
        unfamiliar: share refused as unlike the training pictures or as bare skin; None where it cannot be told.
        photograph: share taken for photographs without a dermatoscope; None likewise.
    """

    source: str
    n: int
    warned: Interval
    severe: Interval
    unfamiliar: Interval | None
    photograph: Interval | None = None


@dataclass(frozen=True)
class DegradationResult:
    """What spoiling N test pictures did to the quality checks and to the model.

    Attributes:
        warned: share with the right warning; `severe` is the share too poor to be judged.
        roc_auc: on all of them; `roc_auc_unwarned` on those without any warning, None where a class is absent there.
        accuracy: at the audit's operating point.
    """

    name: str
    unit: str
    level: str
    strength: float
    n: int
    warned: Interval
    severe: Interval
    roc_auc: Interval
    roc_auc_unwarned: Interval | None
    accuracy: Interval


@dataclass(frozen=True)
class StrangerResult:
    """Pictures of one kind that show no lesion.

    Attributes:
        unfamiliar: share refused as unlike the training pictures, or as bare skin.
        refused: share without a verdict, for that or for poor quality.
    """

    kind: str
    n: int
    unfamiliar: Interval
    refused: Interval


@dataclass(frozen=True)
class NewClinicResult:
    """Pictures of lesions from elsewhere, where one data set alone is known: the share that is let through."""

    known_source: str
    source: str
    n: int
    passed: Interval


@dataclass(frozen=True)
class Coverage:
    """How well a score of confidence sorts right calls from wrong ones.

    Attributes:
        area: of accuracy over coverage, 0–1.
        coverage, accuracy: some points of the curve, 0–1.
    """

    name: str
    area: float
    coverage: tuple[float, ...]
    accuracy: tuple[float, ...]


@dataclass(frozen=True)
class ReferralResult:
    """The three zones of test pictures at one operating point."""

    point: OperatingPoint
    zones: tuple[Zone, ...]


def untouched(
    pictures: Sequence[Picture], known: KnownPictures | None, features: Floats | None, reader: PictureReader
) -> list[UntouchedResult]:
    """By source, and `all` in the end; `features` [N, D] are of `pictures`, where there is `known`."""
    reports = [check_quality(reader(picture)) for picture in pictures]
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


def degraded(
    model: nn.Module,
    spec: PreprocessSpec,
    pictures: Sequence[Picture],
    *,
    temperature: float,
    point: OperatingPoint,
    reader: PictureReader,
    tick: Tick,
) -> list[DegradationResult]:
    """Each of DEGRADATIONS at each strength on `pictures`."""
    labels = np.array([picture.label for picture in pictures], dtype=np.int64)
    found = []
    for degradation in DEGRADATIONS:
        for level, strength in zip(STRENGTHS, degradation.strengths, strict=True):
            edit = _edit(degradation, strength)
            reports = [check_quality(edit(reader(picture), index)) for index, picture in enumerate(pictures)]
            predictions = run_model(model, spec, pictures, title=degradation.name, reader=reader, edit=edit)
            probabilities = predictions.probabilities(temperature)
            found.append(_degradation(degradation, level, strength, reports, labels, probabilities, point))
            tick()
    return found


def _edit(degradation: Degradation, strength: float) -> Callable[[Pixels, int], Pixels]:
    return lambda image, index: degradation.apply(image, np.random.default_rng(index), strength)


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
    both = len(set(labels[silent])) == 2
    return DegradationResult(
        name=degradation.name,
        unit=degradation.unit,
        level=level,
        strength=strength,
        n=len(reports),
        warned=share_of(np.array(right)),
        severe=share_of(np.array([not report.assessable for report in reports])),
        roc_auc=bootstrap(roc_auc, labels, probabilities),
        roc_auc_unwarned=bootstrap(roc_auc, labels[silent], probabilities[silent]) if both else None,
        accuracy=share_of((probabilities >= point.threshold) == (labels == 1)),
    )


def refused(
    kinds: Sequence[str], reports: Iterable[QualityReport], features: Floats, known: KnownPictures
) -> list[StrangerResult]:
    """By kind, in the order of their coming: `kinds` and `reports` [N] and `features` [N, D] are of the strangers."""
    strange = known.refused(features)
    held = strange | np.array([not report.assessable for report in reports])
    of = np.array(kinds)
    masks = {kind: of == kind for kind in dict.fromkeys(kinds)}
    return [
        StrangerResult(kind, int(mask.sum()), share_of(strange[mask]), share_of(held[mask]))
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
        averaged: probabilities [N] over mirrored views; `spread` [N] is the log-odds' standard deviation among them.
    """
    plain = distance_to_threshold(split.probabilities, point.threshold)
    scores = {
        "distance to the threshold": plain,
        "distance, mean of four views": distance_to_threshold(averaged, point.threshold),
        "distance over disagreement": plain / (0.1 + spread),
    }
    found = []
    for name, confidence in scores.items():
        curve = coverage_curve(split.labels, split.probabilities, point.threshold, confidence)
        at = np.unique(np.linspace(0, len(curve.coverage) - 1, 41).round().astype(int))
        shares = (tuple(np.round(values[at], 4).tolist()) for values in (curve.coverage, curve.accuracy))
        found.append(Coverage(name, curve.area, *shares))
    return found
