"""What a result means where the disease is rarer, or commoner, than in the data that the model was calibrated on.

All of it is Bayes' rule, and assumes that only the prevalence differs: that the malignant, and the benign, lesions here
look like those it was calibrated and tested on.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from lesion_demo.errors import LesionDemoError
from lesion_demo.results import OutcomeCounts, Outcomes

DEFAULT_PREVALENCE = 0.02
"""Share of the lesions that are malignant, until the reader says otherwise."""
POPULATIONS = (1_000, 10_000)
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


def frequencies(shares: Outcomes, prevalence: float, patients: int = POPULATIONS[0]) -> Outcomes:
    """The four answers as whole patients out of `patients`, where `shares` are the pictures of a test.

    People grasp "8 of 103" where "7.8 %" misleads them: Gigerenzer & Hoffrage 1995, "How to improve Bayesian reasoning
    without instruction: frequency formats" (Psychological Review 102). The diseased are rounded first and then divided,
    as one would count them; what rounding leaves over goes to the answers that lost most by it. `enough_patients` says
    how many it takes for no group to vanish.

    Raises:
        LesionDemoError: `patients` is not at least 1, `prevalence` is not in 0–1, or a class has no picture.
    """
    if patients < 1:
        raise LesionDemoError(f"Frequencies need at least 1 patient, not {patients}.")
    require_share("The prevalence", prevalence)
    diseased = _rounded(patients * prevalence)
    return Outcomes(_apportioned(shares.benign, patients - diseased), _apportioned(shares.malignant, diseased))


def _apportioned(counts: OutcomeCounts, patients: int) -> OutcomeCounts:
    """`counts` scaled to the sum `patients`, by the largest remainders (Hare and Niemeyer).

    A group of half a patient or more goes first: it should not vanish beside larger ones.
    """
    if counts.total == 0:
        raise LesionDemoError("There are no pictures of one class, so nothing is known of its patients.")
    exact = {name: value * patients / counts.total for name, value in asdict(counts).items()}
    whole = {name: math.floor(value + 1e-9) for name, value in exact.items()}
    short = patients - sum(whole.values())
    vanishing = {name for name, value in exact.items() if whole[name] == 0 and value >= 0.5}
    for name in sorted(exact, key=lambda name: (name not in vanishing, whole[name] - exact[name]))[:short]:
        whole[name] += 1
    return OutcomeCounts(**whole)


def enough_patients(shares: Outcomes, prevalence: float) -> int:
    """The first of POPULATIONS in which both calls have a patient of either class, if the test had; else the last.

    So that nobody reads "none missed" off a rounding.
    """
    for patients in POPULATIONS[:-1]:
        whole = frequencies(shares, prevalence, patients)
        pairs = ((whole.benign, shares.benign), (whole.malignant, shares.malignant))
        if all(ours.benign >= min(1, theirs.benign) for ours, theirs in pairs) and all(
            ours.malignant >= min(1, theirs.malignant) for ours, theirs in pairs
        ):
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
