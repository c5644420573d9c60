"""Referral: the margin is the least that does it, the zones add up, and confidence puts errors last."""

from __future__ import annotations

import numpy as np
import pytest

from lesion_demo.config import OperatingPoint
from lesion_demo.decision import Outcome, decide
from lesion_demo.errors import DataError
from lesion_demo.evaluate.referral import choose_margin, coverage_curve, distance_to_threshold, zones

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 2, 400)
PROBABILITIES = 1 / (1 + np.exp(-(2.2 * (2 * LABELS - 1) + RNG.normal(0, 2.0, 400))))


def rates(margin: float, threshold: float) -> tuple[float, float]:
    """Sensitivity and specificity of what is not referred, counted one by one."""
    kept = [
        (label, decide(p, OperatingPoint("it", threshold), margin=margin, assessable=True))
        for label, p in zip(LABELS, PROBABILITIES, strict=True)
    ]
    called = [(label, outcome) for label, outcome in kept if outcome != Outcome.UNCERTAIN]
    found = [outcome == Outcome.MALIGNANT for label, outcome in called if label == 1]
    spared = [outcome == Outcome.BENIGN for label, outcome in called if label == 0]
    return float(np.mean(found)), float(np.mean(spared))


@pytest.mark.parametrize("threshold", [0.3, 0.5])
def test_margin_is_the_least_that_holds_both_rates(threshold: float) -> None:
    margin = choose_margin(LABELS, PROBABILITIES, threshold, targets=(0.95, 0.95))
    assert margin > 0
    assert min(rates(margin, threshold)) >= 0.95
    distances = np.unique(distance_to_threshold(PROBABILITIES, threshold))
    smaller = [(a + b) / 2 for a, b in zip([0.0, *distances], distances, strict=False) if b < margin]
    assert smaller
    assert all(min(rates(less, threshold)) < 0.95 for less in smaller[-25:])


def test_weights_count_as_so_many_pictures() -> None:
    doubled = choose_margin(LABELS, PROBABILITIES, 0.5, weights=np.where(LABELS == 1, 3.0, 1.0))
    repeated = np.repeat(np.arange(400), np.where(LABELS == 1, 3, 1))
    assert doubled == choose_margin(LABELS[repeated], PROBABILITIES[repeated], 0.5)


def test_perfect_calls_need_no_margin_and_hopeless_ones_the_greatest() -> None:
    assert choose_margin([0, 1], [0.2, 0.8], 0.5) == 0.0
    assert choose_margin([1, 0], [0.2, 0.8], 0.5) == pytest.approx(np.log(4))
    with pytest.raises(DataError):
        choose_margin([1, 1], [0.2, 0.8], 0.5)


def test_a_margin_leaves_no_more_uncertain_than_it_may() -> None:
    free = choose_margin(LABELS, PROBABILITIES, 0.5, targets=(0.95, 0.95))
    share = float((distance_to_threshold(PROBABILITIES, 0.5) < free).mean())
    assert 0.1 < share < 0.5
    assert choose_margin(LABELS, PROBABILITIES, 0.5, targets=(0.95, 0.95), most=share + 0.01) == free
    for targets in ((0.95, 0.95), (1.0, 1.0)):
        bound = choose_margin(LABELS, PROBABILITIES, 0.5, targets=targets, most=0.1)
        assert (distance_to_threshold(PROBABILITIES, 0.5) < bound).mean() == pytest.approx(0.1)


def test_zones_agree_with_the_decision_and_add_up() -> None:
    point = OperatingPoint("it", 0.4)
    outcomes = [decide(p, point, margin=0.7, assessable=True).value for p in PROBABILITIES]
    found = zones(LABELS, PROBABILITIES, 0.4, 0.7)
    assert [zone.n for zone in found] == [outcomes.count(zone.name) for zone in found]
    assert sum(zone.share.value for zone in found) == pytest.approx(1)
    assert found[1].errors is None
    assert found[0].errors is not None
    missed = np.mean([label for label, outcome in zip(LABELS, outcomes, strict=True) if outcome == "benign"])
    assert found[0].errors.value == pytest.approx(missed)


def test_coverage_curve_ends_at_the_accuracy_and_good_confidence_has_more_area() -> None:
    right = (PROBABILITIES >= 0.5) == (LABELS == 1)
    confident = coverage_curve(LABELS, PROBABILITIES, 0.5, distance_to_threshold(PROBABILITIES, 0.5))
    by_chance = coverage_curve(LABELS, PROBABILITIES, 0.5, RNG.random(400))
    oracle = coverage_curve(LABELS, PROBABILITIES, 0.5, right.astype(float))
    assert confident.accuracy[-1] == pytest.approx(right.mean())
    assert confident.coverage[[0, -1]].tolist() == [1 / 400, 1.0]
    assert by_chance.area < confident.area < oracle.area
