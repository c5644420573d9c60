"""The known limits: told from their threshold on, and not below."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from conftest import PROJECT

from lesion_demo.checkpoint import find_best_checkpoint
from lesion_demo.config import OperatingPoint
from lesion_demo.serving.model_card import ModelFacts, read_facts
from lesion_demo.serving.model_card.facts import (
    AuditResult,
    ChangeResult,
    DegradationResult,
    Estimate,
    Result,
    SourceResult,
    StrangerResult,
    StratumResult,
)
from lesion_demo.serving.model_card.limits import (
    BLIND_LIMIT,
    CALIBRATION_LIMIT,
    FEW_IN_CLASS,
    FEW_OF_SOURCE,
    FLIP_LIMIT,
    HELD_BACK,
    NEAR_DUPLICATE_LIMIT,
    clearly_below,
    known_limits,
)
from lesion_demo.texts import load_texts

TEXTS = load_texts()


@pytest.fixture(scope="module")
def facts() -> ModelFacts:
    return read_facts(find_best_checkpoint(PROJECT / "checkpoints"))


def only(facts: ModelFacts, **changes: Any) -> tuple[str, ...]:
    """Limits of a model of which nothing is known but `changes`."""
    meta = replace(facts.meta, data={})
    empty = replace(facts, meta=meta, results={}, sources=(), audit=None)
    return known_limits(replace(empty, **changes), TEXTS)


def says(limits: tuple[str, ...], part: str) -> bool:
    return any(part in limit.replace("\u00a0", " ") for limit in limits)


def audit_with(**parts: Any) -> AuditResult:
    return AuditResult(OperatingPoint("balanced", 0.5), 100, **parts)


def test_without_figures_only_what_is_always_true_is_a_limit(facts: ModelFacts) -> None:
    limits = only(facts)
    assert len(limits) == 2
    assert f"{facts.meta.prevalence:.0%}".replace("%", "\u00a0%") in limits[0]
    assert "no test split" in limits[1]


def test_calibration_is_a_limit_above_its_threshold(facts: ModelFacts) -> None:
    for error, told in ((CALIBRATION_LIMIT, False), (CALIBRATION_LIMIT + 0.001, True)):
        limits = only(facts, results={"test": Result(100, 50, calibration_error=error)})
        assert says(limits, "differ by 0.041") is told


def test_change_is_a_limit_above_its_threshold_in_either_class(facts: ModelFacts) -> None:
    def change_of(benign: float, malignant: float) -> ChangeResult:
        return ChangeResult("snow", flips_benign=Estimate(benign), flips_malignant=Estimate(malignant))

    assert not says(only(facts, audit=audit_with(changes=(change_of(FLIP_LIMIT, 0.0),))), "snow")
    assert says(only(facts, audit=audit_with(changes=(change_of(0.07, 0.0),))), "snow (7.0 % on benign")
    worse = replace(change_of(0.0, 0.3), name="hail")
    limits = only(facts, audit=audit_with(changes=(change_of(0.07, 0.0), worse)))
    assert says(limits, "hail (30.0 % on malignant pictures); snow (7.0 % on benign pictures)")


def test_blind_classifier_is_a_limit_from_its_threshold_on(facts: ModelFacts) -> None:
    weak = {"border pixels": Estimate(BLIND_LIMIT - 0.001)}
    assert not says(only(facts, audit=audit_with(blind_roc_auc=weak)), "without medicine")
    strong = weak | {"8 × 8 thumbnail": Estimate(BLIND_LIMIT, 0.7, 0.8)}
    assert says(only(facts, audit=audit_with(blind_roc_auc=strong)), "(8 × 8 thumbnail) reaches a ROC-AUC of 0.750")


def test_near_duplicates_are_a_limit_where_they_flatter(facts: ModelFacts) -> None:
    for lost, told in ((NEAR_DUPLICATE_LIMIT / 2, False), (NEAR_DUPLICATE_LIMIT * 2, True)):
        results = {
            "test": Result(100, 50, roc_auc=Estimate(0.95)),
            "test_without_near_duplicates": Result(90, 45, roc_auc=Estimate(0.95 - lost)),
        }
        assert says(only(facts, results=results), "Without near-duplicates") is told


def test_stratum_is_a_limit_where_its_whole_interval_lies_below(facts: ModelFacts) -> None:
    everything = StratumResult("all", 100, 100, sensitivity=Estimate(0.9), specificity=Estimate(0.9))
    poor = StratumResult("without a ring", 50, 50, Estimate(0.7, 0.6, 0.8), Estimate(0.8, 0.7, 0.95))
    again = replace(poor, name="without ringed malignant")
    limits = only(facts, audit=audit_with(strata=(everything, poor, again)))
    assert says(limits, "Without a ring: sensitivity 70.0 % (60.0–80.0), against 90.0 % among all")
    assert not says(limits, "specificity 80")
    assert not says(limits, "ringed malignant")  # the same malignant pictures once more


def test_clearly_below_needs_an_interval() -> None:
    assert clearly_below(Estimate(0.5, 0.4, 0.6), Estimate(0.7))
    assert not clearly_below(Estimate(0.5, 0.4, 0.8), Estimate(0.7))
    assert not clearly_below(Estimate(0.5), Estimate(0.7))
    assert not clearly_below(None, Estimate(0.7))
    assert not clearly_below(Estimate(0.5, 0.4, 0.6), None)


def test_few_pictures_are_a_limit(facts: ModelFacts) -> None:
    strata = (
        StratumResult("skin tone dark", 1, FEW_IN_CLASS),
        StratumResult("skin tone light", FEW_IN_CLASS, FEW_IN_CLASS),
        StratumResult("diagnosis mel", 0, FEW_IN_CLASS),
        StratumResult("diagnosis df", FEW_IN_CLASS - 1, 0),
    )
    limits = only(facts, audit=audit_with(strata=strata))
    assert says(limits, "too few to judge by: skin tone (estimated): dark (1 + 30); diagnosis df (29 + 0).")


def test_small_and_poor_sources_are_limits(facts: ModelFacts) -> None:
    data = {
        "padufes20": {"counts": {"train/benign": FEW_OF_SOURCE - 2, "val/malignant": 1}},
        "big": {"counts": {"train/benign": FEW_OF_SOURCE}},
    }
    limits = only(
        facts,
        meta=replace(facts.meta, data=data),
        results={"test": Result(100, 50, roc_auc=Estimate(0.95, 0.9, 0.99))},
        sources=(
            SourceResult("padufes20", "validation", Result(45, 18, roc_auc=Estimate(0.8, 0.7, 0.9))),
            SourceResult("big", "validation", Result(500, 250, roc_auc=Estimate(0.93, 0.9, 0.96))),
        ),
    )
    assert says(limits, "phone photographs, without a dermatoscope): 499 pictures in all")
    assert says(limits, "ROC-AUC 0.800 (0.700–0.900) on 45 validation pictures, against 0.950 on test")
    assert not says(limits, "big")


def test_what_is_not_held_back_is_a_known_limit(facts: ModelFacts) -> None:
    low, high = Estimate(HELD_BACK - 0.01, 0.9, 0.96), Estimate(HELD_BACK, 0.9, 0.99)
    audit = audit_with(
        strangers=(StrangerResult("cat", 9, low, low), StrangerResult("dog", 9, low, high)),
        degradations=(
            DegradationResult("mud", "strong", 1.0, warned=low),
            DegradationResult("rain", "strong", 1.0, warned=high),
            DegradationResult("snow", "mild", 1.0, warned=low),
        ),
    )
    limits = only(facts, audit=audit)
    assert says(limits, "cat (94.0 %")
    assert says(limits, "mud (94.0 %")
    assert not any(says(limits, word) for word in ("dog", "rain", "snow"))
