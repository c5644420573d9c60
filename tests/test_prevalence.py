"""Bayes' rule against values from the literature and against counting."""

from __future__ import annotations

import math
from dataclasses import asdict

import pytest

from lesion_demo.errors import LesionDemoError
from lesion_demo.prevalence import at_prevalence, enough_patients, frequencies, predictive_values
from lesion_demo.results import OutcomeCounts, Outcomes


def test_mammography_problem() -> None:
    """Eddy 1982, as in Gigerenzer & Hoffrage 1995: 1 %, 80 % and 9.6 % give 7.8 %; in frequencies 8 of 103."""
    values = predictive_values(sensitivity=0.8, specificity=1 - 0.096, prevalence=0.01)
    assert values.ppv == pytest.approx(0.0776, abs=5e-5)
    whole = frequencies(counted(0.8, 1 - 0.096), 0.01, 1000)
    assert (whole.malignant, whole.benign) == (OutcomeCounts(2, 8, 0, 0), OutcomeCounts(895, 95, 0, 0))


def test_rare_disease_problem() -> None:
    """Casscells et al. 1978: prevalence 1 in 1,000, false positives 5 %, nobody missed: about 2 %."""
    values = predictive_values(sensitivity=1, specificity=0.95, prevalence=0.001)
    assert values.ppv == pytest.approx(1 / 50.95)
    assert values.npv == 1


def test_at_one_half_the_predictive_values_are_symmetric() -> None:
    values = predictive_values(0.9, 0.8, 0.5)
    assert values.ppv == pytest.approx(9 / 11)
    assert values.npv == pytest.approx(8 / 9)
    shares = values.true_positives, values.false_negatives, values.false_positives, values.true_negatives
    assert shares == pytest.approx((0.45, 0.05, 0.1, 0.4))
    assert sum(shares) == pytest.approx(1)


def test_where_nobody_is_called_that_there_is_no_predictive_value() -> None:
    assert predictive_values(0, 1, 0.3).ppv is None
    assert predictive_values(1, 0, 0.3).npv is None
    assert predictive_values(0.9, 0.9, 0).ppv == 0
    assert predictive_values(0.9, 0.9, 1).npv == 0


@pytest.mark.parametrize(
    ("probability", "trained", "wanted", "expected"),
    [
        (0.5, 0.5, 0.02, 0.02),  # no evidence either way: the prevalence itself
        (0.9, 0.5, 0.5, 0.9),  # nothing changes
        (0.9, 0.5, 0.1, 0.5),  # odds 9 × 1/9
        (0.98, 0.5, 0.02, 0.5),  # odds 49 × 1/49
        (0.1, 0.1, 0.5, 0.5),
        (0.0, 0.5, 0.02, 0.0),
        (1.0, 0.5, 0.02, 1.0),
    ],
)
def test_probability_at_another_prevalence(probability: float, trained: float, wanted: float, expected: float) -> None:
    assert at_prevalence(probability, trained, wanted) == pytest.approx(expected)


def test_there_and_back_again() -> None:
    there = at_prevalence(0.37, 0.5, 0.02)
    assert there < 0.02
    assert at_prevalence(there, 0.02, 0.5) == pytest.approx(0.37)


def test_it_agrees_with_the_predictive_value_of_a_test() -> None:
    """A positive answer of a test is a probability of its PPV."""
    half, rare = (predictive_values(0.9, 0.7, prevalence).ppv for prevalence in (0.5, 0.02))
    assert half is not None
    assert at_prevalence(half, 0.5, 0.02) == pytest.approx(rare)


def counted(sensitivity: float, specificity: float, uncertain: int = 0, unfit: int = 0) -> Outcomes:
    """Of 100,000 pictures of either class that get an answer."""
    found, cleared = round(100_000 * sensitivity), round(100_000 * specificity)
    return Outcomes(
        OutcomeCounts(cleared, 100_000 - cleared, uncertain, unfit),
        OutcomeCounts(100_000 - found, found, uncertain, unfit),
    )


@pytest.mark.parametrize("patients", [1, 7, 100, 1000, 12345])
def test_frequencies_are_whole_and_sum_up(patients: int) -> None:
    for sensitivity in (0, 0.333, 0.955, 1):
        for prevalence in (0, 0.005, 0.02, 0.5, 0.995, 1):
            shares = counted(sensitivity, 0.705, uncertain=9_999, unfit=1_234)
            whole = frequencies(shares, prevalence, patients)
            assert whole.benign.total + whole.malignant.total == patients
            assert abs(whole.malignant.total - patients * prevalence) <= 0.5 + 1e-6
            for ours, theirs in ((whole.benign, shares.benign), (whole.malignant, shares.malignant)):
                for name, count in asdict(ours).items():
                    assert count >= 0
                    assert abs(count - ours.total * getattr(theirs, name) / theirs.total) < 1


def test_a_group_of_half_a_patient_does_not_vanish() -> None:
    shares = Outcomes(
        OutcomeCounts(1, 1, 0, 0), OutcomeCounts(benign=11, malignant=377, uncertain=34, not_assessable=0)
    )
    found = frequencies(shares, 0.02, 1000).malignant  # 0.52, 17.87 and 1.61 of 20
    assert found == OutcomeCounts(benign=1, malignant=18, uncertain=1, not_assessable=0)
    assert enough_patients(shares, 0.02) == 1000


def test_as_many_patients_as_it_takes_for_no_group_to_vanish() -> None:
    assert frequencies(counted(0.9, 0.6), 0.002, 1000).malignant.benign == 0
    assert enough_patients(counted(0.9, 0.6), 0.002) == 10_000
    assert frequencies(counted(0.9, 0.6), 0.002, 10_000).malignant.benign == 2
    assert enough_patients(counted(0.9, 0.6), 0.02) == 1000
    assert enough_patients(counted(1, 0.6), 0.002) == 1000, "nobody is missed by a perfect sensitivity"


@pytest.mark.parametrize("wrong", [-0.01, 1.01, math.nan, math.inf])
def test_what_is_no_share_is_refused_by_name(wrong: float) -> None:
    with pytest.raises(LesionDemoError, match="probability must be from 0 to 1"):
        at_prevalence(wrong, 0.5, 0.5)
    for values in ((wrong, 0.5, 0.5), (0.5, wrong, 0.5), (0.5, 0.5, wrong)):
        with pytest.raises(LesionDemoError, match="must be from 0 to 1"):
            predictive_values(*values)


@pytest.mark.parametrize("wrong", [0, 1, math.nan])
def test_a_prevalence_of_nobody_or_everybody_leaves_nothing_to_infer(wrong: float) -> None:
    with pytest.raises(LesionDemoError, match="calibrated at must be between 0 and 1"):
        at_prevalence(0.5, wrong, 0.5)
    with pytest.raises(LesionDemoError, match="The prevalence must be between 0 and 1"):
        at_prevalence(0.5, 0.5, wrong)
    with pytest.raises(LesionDemoError, match="at least 1 patient"):
        frequencies(counted(0.9, 0.9), 0.5, 0)
    with pytest.raises(LesionDemoError, match="no pictures of one class"):
        frequencies(Outcomes(OutcomeCounts(1, 1, 0, 0), OutcomeCounts(0, 0, 0, 0)), 0.5)
