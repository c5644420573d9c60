"""What a result means where the disease is rarer, or commoner, than in the data that the model was calibrated on.

All of it is Bayes' rule, and assumes that only the prevalence differs: that the malignant, and the benign, lesions here
look like those it was calibrated and tested on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from lesion_demo.errors import LesionDemoError

POPULATIONS = (100, 1_000, 10_000)
"""The numbers of patients that frequencies are told in, the most easily grasped first."""


@dataclass(frozen=True)
class PredictiveValues:
    """What the answers of a test are worth at one prevalence, and the shares (0–1) of all patients behind them.

    Attributes:
        ppv: share (0–1) with the disease among those that the test calls positive; None where it calls nobody that.
        npv: share (0–1) without it among those that it calls negative; None where it calls nobody that.
        true_positives, false_negatives, false_positives, true_negatives: shares of all patients; they sum to 1.
    """

    ppv: float | None
    npv: float | None
    true_positives: float
    false_negatives: float
    false_positives: float
    true_negatives: float


@dataclass(frozen=True)
class NaturalFrequencies:
    """The same as whole patients out of `patients`; the four groups sum to it."""

    patients: int
    true_positives: int
    false_negatives: int
    false_positives: int
    true_negatives: int

    @property
    def diseased(self) -> int:
        return self.true_positives + self.false_negatives

    @property
    def healthy(self) -> int:
        return self.false_positives + self.true_negatives

    @property
    def called_positive(self) -> int:
        return self.true_positives + self.false_positives

    @property
    def called_negative(self) -> int:
        return self.false_negatives + self.true_negatives


def at_prevalence(probability: float, trained: float, wanted: float) -> float:
    """The probability (0–1) at prevalence `wanted` of what has `probability` (0–1) at prevalence `trained`.

    Bayes' rule in odds: the likelihood ratio, which prevalence does not touch, is the odds of `probability` over those
    of `trained`, and the odds sought are this ratio times those of `wanted`. Saerens et al. 2002, "Adjusting the
    outputs of a classifier to new a priori probabilities" (Neural Computation 14).

    Raises:
        LesionDemoError: `probability` is not in 0–1, or a prevalence is not between 0 and 1.
    """
    require_share("The probability", probability)
    require_share("The prevalence that the model was calibrated at", trained, inside=True)
    require_share("The prevalence", wanted, inside=True)
    diseased = probability * wanted / trained
    healthy = (1 - probability) * (1 - wanted) / (1 - trained)
    return diseased / (diseased + healthy)


def predictive_values(sensitivity: float, specificity: float, prevalence: float) -> PredictiveValues:
    """PPV and NPV, by Bayes' rule, of a test of this `sensitivity` and `specificity` at this `prevalence` (each 0–1).

    Raises:
        LesionDemoError: one of them is not in 0–1.
    """
    require_share("The sensitivity", sensitivity)
    require_share("The specificity", specificity)
    require_share("The prevalence", prevalence)
    true_positives, false_negatives = prevalence * sensitivity, prevalence * (1 - sensitivity)
    true_negatives, false_positives = (1 - prevalence) * specificity, (1 - prevalence) * (1 - specificity)
    return PredictiveValues(
        ppv=_share(true_positives, false_positives),
        npv=_share(true_negatives, false_negatives),
        true_positives=true_positives,
        false_negatives=false_negatives,
        false_positives=false_positives,
        true_negatives=true_negatives,
    )


def natural_frequencies(values: PredictiveValues, patients: int = POPULATIONS[0]) -> NaturalFrequencies:
    """`values` as whole patients out of `patients`: people grasp "8 of 103" where "7.8 %" misleads them.

    Gigerenzer & Hoffrage 1995, "How to improve Bayesian reasoning without instruction: frequency formats"
    (Psychological Review 102). The diseased are rounded first and then divided, as one would count them: of 2, 1.8
    found become 2, and none missed. `enough_patients` says how many it takes for no group to vanish.

    Raises:
        LesionDemoError: `patients` is not at least 1.
    """
    if patients < 1:
        raise LesionDemoError(f"Frequencies need at least 1 patient, not {patients}.")
    diseased = _rounded(patients * (values.true_positives + values.false_negatives))
    healthy = patients - diseased
    found = min(diseased, _rounded(patients * values.true_positives))
    alarmed = min(healthy, _rounded(patients * values.false_positives))
    return NaturalFrequencies(patients, found, diseased - found, alarmed, healthy - alarmed)


def enough_patients(values: PredictiveValues) -> int:
    """The first of POPULATIONS in which every group that there is has a patient; the last where none is enough.

    So that nobody reads "none missed" off a rounding.
    """
    for patients in POPULATIONS[:-1]:
        whole = natural_frequencies(values, patients)
        names = ("true_positives", "false_negatives", "false_positives", "true_negatives")
        if all(getattr(whole, name) > 0 or getattr(values, name) == 0 for name in names):
            return patients
    return POPULATIONS[-1]


def _share(these: float, others: float) -> float | None:
    return these / (these + others) if these + others > 0 else None


def _rounded(count: float) -> int:
    """To the nearest, halves up, however the float fell."""
    return math.floor(count + 0.5 + 1e-9)


def require_share(what: str, value: float, *, inside: bool = False) -> None:
    """Check that `what` is a share, 0–1, or `inside` of that; not a number is out of any range.

    Raises:
        LesionDemoError: it is not.
    """
    if not (0 < value < 1 if inside else 0 <= value <= 1):
        where = "between 0 and 1, neither included" if inside else "from 0 to 1"
        raise LesionDemoError(f"{what} must be {where}, not {value}.")
