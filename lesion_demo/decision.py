"""From what was found to one of four outcomes. The order matters: what cannot be judged has no verdict."""

from __future__ import annotations

import math
from enum import Enum

from lesion_demo.config import CLASSES, OperatingPoint
from lesion_demo.errors import LesionDemoError
from lesion_demo.prevalence import require_share

BENIGN, MALIGNANT = CLASSES
DEFAULT_OPERATING_POINT = "sensitive"
"""A missed melanoma costs more than a needless visit."""


class Outcome(str, Enum):
    """What the page, the table and the endpoint say of a picture; the values are theirs.

    `BENIGN` is lower concern, `MALIGNANT` higher concern, `UNCERTAIN` too close to the threshold to be either, and
    `NOT_ASSESSABLE` a picture too poor, or too unlike those the model has learnt from, to be judged at all.
    """

    BENIGN = "benign"
    MALIGNANT = "malignant"
    UNCERTAIN = "uncertain"
    NOT_ASSESSABLE = "not_assessable"


CONCERN = (Outcome.MALIGNANT, Outcome.UNCERTAIN, Outcome.NOT_ASSESSABLE, Outcome.BENIGN)
"""What needs a doctor first, then what has to be taken again."""


def call_of(probability: float, point: OperatingPoint) -> str:
    """`malignant` where `probability` (0–1) is at or above the operating point's threshold, else `benign`.

    Raises:
        LesionDemoError: one of them is not a number from 0 to 1: then there is no answer, and `benign` least of all.
    """
    require_share("The probability of malignancy", probability)
    require_share("The threshold", point.threshold)
    return MALIGNANT if probability >= point.threshold else BENIGN


def decide(probability: float, point: OperatingPoint, *, margin: float, assessable: bool) -> Outcome:
    """The outcome for a calibrated `probability` (0–1) of malignancy at `point`.

    Args:
        margin: closer to the threshold than this, in log-odds (0 or more), the outcome is uncertain.
        assessable: was the picture fit to be judged?

    Raises:
        LesionDemoError: as `call_of`, or the margin is not a number of 0 or more.
    """
    call = call_of(probability, point)
    if not 0 <= margin < math.inf:
        raise LesionDemoError(f"The margin must be 0 or more, not {margin}.")
    if not assessable:
        return Outcome.NOT_ASSESSABLE
    if abs(log_odds(probability) - log_odds(point.threshold)) < margin:
        return Outcome.UNCERTAIN
    return Outcome(call)


def uncertain_zone(point: OperatingPoint, margin: float) -> tuple[float, float]:
    """The probabilities (0–1) between which the outcome at `point` is uncertain; both the threshold where none is."""
    if margin <= 0:
        return point.threshold, point.threshold
    middle = log_odds(point.threshold)
    return probability_of(middle - margin), probability_of(middle + margin)


def log_odds(probability: float) -> float:
    """ln(p / (1 − p)) of a probability (0–1); what is closer than 1e-12 to 0 or 1 counts as that close."""
    clipped = min(max(probability, 1e-12), 1 - 1e-12)
    return math.log(clipped) - math.log1p(-clipped)


def probability_of(odds: float) -> float:
    """The probability (0–1) of these log-odds."""
    return 1 / (1 + math.exp(-odds))
