"""From a probability to one of four outcomes, at and around every border between them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lesion_demo.config import OperatingPoint
from lesion_demo.decision import BENIGN, MALIGNANT, Outcome, call_of, decide, log_odds, uncertain_zone
from lesion_demo.errors import LesionDemoError

POINT = OperatingPoint("f1", 0.25)


def below(value: float) -> float:
    return float(np.nextafter(value, 0))


def test_the_call_turns_at_the_threshold_itself() -> None:
    assert call_of(0.25, POINT) == MALIGNANT == "malignant"
    assert call_of(below(0.25), POINT) == BENIGN == "benign"


def test_outcomes_read_as_plain_words() -> None:
    assert [outcome.value for outcome in Outcome] == ["benign", "malignant", "uncertain", "not_assessable"]
    assert Outcome("benign") == BENIGN


def test_without_a_margin_nothing_is_uncertain() -> None:
    assert decide(0.25, POINT, margin=0, assessable=True) is Outcome.MALIGNANT
    assert decide(below(0.25), POINT, margin=0, assessable=True) is Outcome.BENIGN
    assert uncertain_zone(POINT, 0) == (0.25, 0.25)


@pytest.mark.parametrize("threshold", [0.02, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("margin", [0.1, 0.5, 2.0])
def test_outcome_agrees_with_the_zone_that_is_drawn(threshold: float, margin: float) -> None:
    point = OperatingPoint("any", threshold)
    low, high = uncertain_zone(point, margin)
    assert 0 < low < threshold < high < 1
    outcomes = [decide(p, point, margin=margin, assessable=True) for p in (0, low - 1e-6, low + 1e-6)]
    assert outcomes == [Outcome.BENIGN, Outcome.BENIGN, Outcome.UNCERTAIN]
    assert decide(threshold, point, margin=margin, assessable=True) is Outcome.UNCERTAIN
    outcomes = [decide(p, point, margin=margin, assessable=True) for p in (high - 1e-6, high + 1e-6, 1)]
    assert outcomes == [Outcome.UNCERTAIN, Outcome.MALIGNANT, Outcome.MALIGNANT]


def test_zone_is_even_in_log_odds() -> None:
    """Odds of 1/3, halved and doubled: 1/6 and 2/3, or 1/7 and 2/5 as probabilities."""
    assert uncertain_zone(POINT, math.log(2)) == pytest.approx((1 / 7, 2 / 5))


def test_what_cannot_be_judged_has_no_verdict_however_clear() -> None:
    for probability in (0, 0.25, 1):
        assert decide(probability, POINT, margin=0.3, assessable=False) is Outcome.NOT_ASSESSABLE


def test_log_odds() -> None:
    assert log_odds(0.5) == 0
    assert log_odds(0.75) == pytest.approx(math.log(3))
    assert log_odds(0.2) == pytest.approx(-log_odds(0.8))
    assert -28 < log_odds(0) < -27 < 27 < log_odds(1) < 28


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_thresholds_at_the_ends_call_everything_one_way(threshold: float) -> None:
    point = OperatingPoint("own", threshold)
    assert decide(0.5, point, margin=0.3, assessable=True) is (Outcome.MALIGNANT if threshold == 0 else Outcome.BENIGN)
    low, high = uncertain_zone(point, 0.3)
    assert 0 <= low <= high <= 1


WRONG = [
    (math.nan, 0.3, 0.0), (-0.1, 0.3, 0.0), (1.1, 0.3, 0.0), (math.inf, 0.3, 0.0),
    (0.2, math.nan, 0.0), (0.2, 2.0, 0.0), (0.2, -1.0, 0.0),
    (0.2, 0.3, math.nan), (0.2, 0.3, -0.1), (0.2, 0.3, math.inf),
]  # fmt: skip
"""Probability, threshold and margin, one of which is none."""


@pytest.mark.parametrize("assessable", [True, False])
@pytest.mark.parametrize(("probability", "threshold", "margin"), WRONG)
def test_no_outcome_comes_of_what_is_no_number(
    probability: float, threshold: float, margin: float, assessable: bool
) -> None:
    """Not a number is never at or above a threshold: it would be benign."""
    point = OperatingPoint("any", threshold)
    with pytest.raises(LesionDemoError, match="must be"):
        decide(probability, point, margin=margin, assessable=assessable)
    if margin == 0:
        with pytest.raises(LesionDemoError, match="must be from 0 to 1"):
            call_of(probability, point)
