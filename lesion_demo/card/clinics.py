"""How an operating point did in every clinic, and at worst: what a reader acts on must hold in theirs, too."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lesion_demo.card.folder import SourceResult, sources_of
from lesion_demo.checkpoint import Checkpoint
from lesion_demo.config import OperatingPoint
from lesion_demo.decision import Outcome
from lesion_demo.prevalence import predictive_values
from lesion_demo.results import Interval, OutcomeCounts, Outcomes, PointReport

ENOUGH = 100
"""Pictures of a class from which a source's rate is told at worst; fewer are told where no source has more."""
MOSTLY = 0.5
"""Share of a class's pictures that training showed, from which a rate on them is said to flatter."""


@dataclass(frozen=True)
class Clinic:
    """One operating point on the pictures of one source."""

    measured: SourceResult
    point: PointReport

    @property
    def source(self) -> str:
        return self.measured.source

    @property
    def part(self) -> str:
        return self.measured.part

    @property
    def n_malignant(self) -> int:
        return self.measured.result.n_malignant

    @property
    def n_benign(self) -> int:
        return self.measured.result.n - self.n_malignant

    @property
    def flatters(self) -> bool:
        """Did training show most of its malignant pictures, in another crop?"""
        seen = self.measured.result.seen_malignant
        return self.n_malignant > 0 and seen >= MOSTLY * self.n_malignant

    @property
    def answers(self) -> Outcomes:
        """The four answers by the truth; where they were not counted, all pictures by the side of the threshold."""
        cells = self.point.confusion
        if self.point.outcomes is not None or cells is None:
            return self.point.outcomes or Outcomes(OutcomeCounts(0, 0, 0, 0), OutcomeCounts(0, 0, 0, 0))
        return Outcomes(OutcomeCounts(cells.tn, cells.fp, 0, 0), OutcomeCounts(cells.fn, cells.tp, 0, 0))

    def malignant_among(self, answer: Outcome, prevalence: float) -> float | None:
        """Share (0–1) of malignant lesions among those that get `answer`, at `prevalence` (0–1) by Bayes' rule; None
        where none gets it."""
        benign, malignant = self.answers.benign, self.answers.malignant
        ill = getattr(malignant, answer.value) / malignant.total
        well = getattr(benign, answer.value) / benign.total
        return predictive_values(ill, 1 - well, prevalence).ppv


@dataclass(frozen=True)
class Tested:
    """What an operating point did in the dermoscopic clinics; at least one has either rate."""

    clinics: tuple[Clinic, ...]

    @property
    def sensitivities(self) -> list[tuple[Clinic, Interval]]:
        """By clinic, the worst first."""
        return _worst_first((one, one.point.sensitivity, one.n_malignant) for one in self.clinics)

    @property
    def specificities(self) -> list[tuple[Clinic, Interval]]:
        """By clinic, the worst first."""
        return _worst_first((one, one.point.specificity, one.n_benign) for one in self.clinics)

    @property
    def found(self) -> tuple[float, float]:
        """The range (0–1, in whole hundredths, never too good) of the share of malignant lesions found."""
        values = [estimate.value for _, estimate in self.sensitivities]
        low, high = (math.floor(value * 100 + 1e-9) / 100 for value in (min(values), max(values)))
        return low, high

    @property
    def alarms(self) -> tuple[float, float]:
        """The range (likewise) of the share of benign lesions that raised a false alarm."""
        values = [1 - estimate.value for _, estimate in self.specificities]
        low, high = (math.ceil(value * 100 - 1e-9) / 100 for value in (min(values), max(values)))
        return low, high

    def worst(self, answer: Outcome, prevalence: float) -> Clinic:
        """The clinic in which `answer` means least: fewest alarms right, or most malignant lesions under any other.

        A clinic where nobody gets it counts last.
        """

        def goodness(clinic: Clinic) -> float:
            share = clinic.malignant_among(answer, prevalence)
            return math.inf if share is None else share if answer is Outcome.MALIGNANT else -share

        both = [one for one in self.clinics if min(one.answers.benign.total, one.answers.malignant.total) > 0]
        enough = [one for one in both if min(one.n_benign, one.n_malignant) >= ENOUGH]
        return min(enough or both, key=goodness)


def _worst_first(rates: Iterable[tuple[Clinic, Interval, int]]) -> list[tuple[Clinic, Interval]]:
    known = [(clinic, estimate, count) for clinic, estimate, count in rates if estimate.known]
    enough = [entry for entry in known if entry[2] >= ENOUGH]
    return sorted(((clinic, estimate) for clinic, estimate, _ in enough or known), key=lambda pair: pair[1].value)


def tested(meta: Checkpoint, point: OperatingPoint) -> Tested | None:
    """How `point` did on the checkpoint's dermoscopic sources; None where it, at this threshold, was not tested on both
    classes."""
    return tested_on([source for source in sources_of(meta.metrics, meta) if _at(source, point)], point.name)


def _at(source: SourceResult, point: OperatingPoint) -> bool:
    """Are the figures of `point` in `source` of its threshold, too?"""
    result = source.result.point(point.name)
    return result is not None and math.isclose(result.threshold, point.threshold, abs_tol=1e-9)


def tested_on(sources: Sequence[SourceResult], name: str) -> Tested | None:
    """The operating point `name` on the dermoscopic ones of `sources`; None where none has both classes.

    What was held out for test stands for a source; where it has none, its validation pictures do.
    """
    held_out = {source.source for source in sources if source.part == "test"}
    clinics = []
    for source in sources:
        result = source.result.point(name)
        if result is None or source.result.photographs or (source.part == "validation" and source.source in held_out):
            continue
        clinics.append(Clinic(source, result))
    whole = [one for one in clinics if one.point.sensitivity.known and one.point.specificity.known]
    if not any(one.answers.benign.total and one.answers.malignant.total for one in whole):
        return None
    return Tested(tuple(clinics))
