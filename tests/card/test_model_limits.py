"""The known limits: told from their threshold on, and not below."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from conftest import PROJECT

from lesion_demo.card import ModelFacts, read_facts
from lesion_demo.card.limits import (
    BLIND_LIMIT,
    CALIBRATION_LIMIT,
    FEW_IN_CLASS,
    FEW_OF_SOURCE,
    FLIP_LIMIT,
    HELD_BACK,
    NEAR_DUPLICATE_LIMIT,
    SKIN_LIMIT,
    clearly_below,
    known_limits,
)
from lesion_demo.card.phrases import subgroup_name
from lesion_demo.checkpoint import find_best_checkpoint
from lesion_demo.config import OperatingPoint
from lesion_demo.results import (
    UNKNOWN,
    Audit,
    ChangeResult,
    ClinicAudit,
    DataSet,
    DegradationResult,
    Interval,
    Metrics,
    Report,
    SkinResult,
    Subgroup,
    UnrelatedResult,
)
from lesion_demo.texts import load_texts

TEXTS = load_texts()


@pytest.fixture(scope="module")
def facts() -> ModelFacts:
    return read_facts(find_best_checkpoint(PROJECT / "checkpoints"))


def only(facts: ModelFacts, **changes: Any) -> tuple[str, ...]:
    """Limits of a model of which nothing is known but `changes`."""
    meta = replace(facts.meta, data={})
    empty = replace(facts, meta=meta, metrics=Metrics(), audit=None)
    return known_limits(replace(empty, **changes), TEXTS)


def says(limits: tuple[str, ...], part: str) -> bool:
    return any(part in limit.replace("\u00a0", " ") for limit in limits)


def audit_with(**parts: Any) -> Audit:
    return Audit(OperatingPoint("balanced", 0.5), 100, **parts)


def at(value: float) -> Interval:
    """A figure whose interval says nothing."""
    return Interval(value, 0.0, 1.0)


def subgroup(name: str, benign: int, malignant: int, *figures: Interval) -> Subgroup:
    return Subgroup(name, benign, malignant, *figures, *[None] * (3 - len(figures)))


def test_without_figures_only_what_is_always_true_is_a_limit(facts: ModelFacts) -> None:
    limits = only(facts)
    assert len(limits) == 2
    assert f"{facts.meta.prevalence:.0%}".replace("%", "\u00a0%") in limits[0]
    assert "no test set" in limits[1]


def test_calibration_is_a_limit_above_its_threshold(facts: ModelFacts) -> None:
    for error, told in ((CALIBRATION_LIMIT, False), (CALIBRATION_LIMIT + 0.001, True)):
        limits = only(facts, metrics=Metrics(Report(100, 50, calibration_error=error)))
        assert says(limits, "differ by 0.041") is told


def test_change_is_a_limit_above_its_threshold_in_either_class(facts: ModelFacts) -> None:
    def change_of(benign: float, malignant: float) -> ChangeResult:
        return ChangeResult("snow", 100, UNKNOWN, at(benign), at(malignant), 0.0, 0.0)

    assert not says(only(facts, audit=audit_with(changes=(change_of(FLIP_LIMIT, 0.0),))), "snow")
    assert says(only(facts, audit=audit_with(changes=(change_of(0.07, 0.0),))), "snow (7.0 % (0.0–100.0) on benign")
    worse = replace(change_of(0.0, 0.3), name="hail")
    limits = only(facts, audit=audit_with(changes=(change_of(0.07, 0.0), worse)))
    assert says(limits, "hail (30.0 % (0.0–100.0) on malignant pictures); snow (7.0 % (0.0–100.0) on benign pictures)")


def test_blind_classifier_is_a_limit_from_its_threshold_on(facts: ModelFacts) -> None:
    weak = {"border pixels": BLIND_LIMIT - 0.001}
    assert not says(only(facts, audit=audit_with(blind_roc_auc=weak)), "without medicine")
    strong = weak | {"8 × 8 thumbnail": BLIND_LIMIT}
    assert says(only(facts, audit=audit_with(blind_roc_auc=strong)), "(8 × 8 thumbnail) reaches a ROC-AUC of 0.750")


def test_a_data_set_that_is_ranked_with_its_lesions_covered_measures_its_clinics(facts: ModelFacts) -> None:
    for low, told in ((SKIN_LIMIT, False), (SKIN_LIMIT + 0.001, True)):
        covered, whole = Interval(0.72, low, 0.8), Interval(0.96, 0.94, 0.97)
        skin = SkinResult("melanoma10k", 100, 100, None, whole, 90, None, 80, covered, -1.0, -0.5)
        limits = only(facts, audit=audit_with(clinics=ClinicAudit((skin,))))
        assert says(limits, "covered by the same disc, ROC-AUC is still 0.720") is told
        assert says(limits, "on whole pictures it is 0.960 (0.940–0.970).") is told
    unknown = SkinResult("melanoma10k", 100, 100, None, None, 0, None, 0, None, None, None)
    assert not says(only(facts, audit=audit_with(clinics=ClinicAudit((unknown,)))), "covered")


def test_near_duplicates_are_a_limit_where_they_flatter(facts: ModelFacts) -> None:
    for lost, told in ((NEAR_DUPLICATE_LIMIT / 2, False), (NEAR_DUPLICATE_LIMIT * 2, True)):
        metrics = Metrics(Report(100, 50, roc_auc=at(0.95)), Report(90, 45, roc_auc=at(0.95 - lost)))
        assert says(only(facts, metrics=metrics), "Without near-duplicates") is told


def test_stratum_is_a_limit_where_its_whole_interval_lies_below(facts: ModelFacts) -> None:
    everything = subgroup("all", 100, 100, at(0.9), at(0.9))
    poor = subgroup("without a ring", 50, 50, Interval(0.7, 0.6, 0.8), Interval(0.8, 0.7, 0.95))
    again = replace(poor, name="without ringed malignant")
    limits = only(facts, audit=audit_with(subgroups=(everything, poor, again)))
    assert says(limits, "Without a ring: sensitivity 70.0 % (60.0–80.0), against 90.0 % among all")
    assert not says(limits, "specificity 80")
    assert not says(limits, "ringed malignant")  # the same malignant pictures once more


def test_clearly_below_needs_an_interval() -> None:
    assert clearly_below(Interval(0.5, 0.4, 0.6), at(0.7))
    assert not clearly_below(Interval(0.5, 0.4, 0.8), at(0.7))
    for unknown in (None, UNKNOWN):
        assert not clearly_below(unknown, at(0.7))
        assert not clearly_below(Interval(0.5, 0.4, 0.6), unknown)


def test_few_pictures_are_a_limit(facts: ModelFacts) -> None:
    subgroups = (
        subgroup("skin tone dark", 1, FEW_IN_CLASS),
        subgroup("skin tone light", FEW_IN_CLASS, FEW_IN_CLASS),
        subgroup("diagnosis mel", 0, FEW_IN_CLASS),
        subgroup("diagnosis df", FEW_IN_CLASS - 1, 0),
    )
    limits = only(facts, audit=audit_with(subgroups=subgroups))
    assert says(
        limits,
        "(benign + malignant): skin tone (estimated): dark (1 + 30); diagnosis df (29 + 0).",
    )


def test_small_and_poor_sources_are_limits(facts: ModelFacts) -> None:
    data = {
        "padufes20": DataSet(counts={"train/benign": FEW_OF_SOURCE - 2, "val/malignant": 1}),
        "big": DataSet(counts={"train/benign": FEW_OF_SOURCE}),
    }
    limits = only(
        facts,
        meta=replace(facts.meta, data=data),
        metrics=Metrics(
            Report(100, 50, roc_auc=Interval(0.95, 0.9, 0.99)),
            validation_by_source={
                "padufes20": Report(45, 18, roc_auc=Interval(0.8, 0.7, 0.9)),
                "big": Report(500, 250, roc_auc=Interval(0.93, 0.9, 0.96)),
            },
        ),
    )
    assert says(limits, "phone photographs, without a dermatoscope): only 499 pictures")
    assert says(limits, "ROC-AUC 0.800 (0.700–0.900) on 45 validation pictures, against 0.950 on the test pictures")
    assert not says(limits, "big")


def test_what_is_not_held_back_is_a_known_limit(facts: ModelFacts) -> None:
    low, high = Interval(HELD_BACK - 0.01, 0.9, 0.96), Interval(HELD_BACK, 0.9, 0.99)

    def spoilt(name: str, level: str, warned: Interval) -> DegradationResult:
        return DegradationResult(name, "factor", level, 1.0, 9, warned, UNKNOWN, UNKNOWN, None, UNKNOWN)

    audit = audit_with(
        unrelated=(UnrelatedResult("cat", 9, low, low), UnrelatedResult("dog", 9, low, high)),
        degradations=(
            spoilt("mud", "strong", low),
            spoilt("rain", "strong", high),
            spoilt("snow", "mild", low),
        ),
    )
    limits = only(facts, audit=audit)
    assert says(limits, "cat: 94.0 %")
    assert says(limits, "mud: 94.0 %")
    assert not any(says(limits, word) for word in ("dog", "rain", "snow"))


def test_a_skin_tone_is_named_in_the_readers_language() -> None:
    assert subgroup_name("skin tone intermediate", load_texts("de")) == "Hautton (geschätzt): mittel"
    assert subgroup_name("skin tone unheard of", load_texts("de")) == "Hautton (geschätzt): unheard of"
