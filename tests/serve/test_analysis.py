"""One picture through the analyzer: probability, verdict at an operating point, quality, lesion, and heat maps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lesion_demo.checkpoint import Checkpoint, LoadedCheckpoint
from lesion_demo.config import OperatingPoint, PreprocessSpec
from lesion_demo.decision import BENIGN, DEFAULT_OPERATING_POINT, MALIGNANT, Outcome, log_odds
from lesion_demo.errors import CheckpointError
from lesion_demo.images.lesion import find_lesion
from lesion_demo.images.phantom import render_phantom
from lesion_demo.network.model import build_model, head_layer
from lesion_demo.serve.analysis import Analyzer
from lesion_demo.serve.classifier import Predictor
from lesion_demo.serve.familiarity import Familiarity

POINTS = (OperatingPoint("accuracy", 0.9), OperatingPoint("sensitive", 0.1))


def loaded(points: tuple[OperatingPoint, ...] = POINTS, margin: float = 0.0) -> LoadedCheckpoint:
    """A random network whose probabilities lie near one half, between the two thresholds."""
    torch.manual_seed(0)
    model = build_model("resnet18").eval()
    with torch.no_grad():
        head_layer(model).weight.mul_(0.1)
    meta = Checkpoint("resnet18", PreprocessSpec(image_size=64), 1.0, points, val_roc_auc=0.5, referral_margin=margin)
    return LoadedCheckpoint(Path("a-checkpoint"), meta, model)


@pytest.fixture(scope="module")
def analyzer() -> Analyzer:
    return Analyzer(loaded())


def test_default_operating_point_is_the_sensitive_one(analyzer: Analyzer) -> None:
    analysis = analyzer.analyze(render_phantom(1, malignant=True))
    assert DEFAULT_OPERATING_POINT == "sensitive"
    assert analysis.operating_point == OperatingPoint("sensitive", 0.1)
    assert 0.1 < analysis.probability < 0.9
    assert analysis.verdict is Outcome.MALIGNANT


def test_a_named_operating_point_decides_and_can_be_changed_afterwards(analyzer: Analyzer) -> None:
    analysis = analyzer.analyze(render_phantom(1, malignant=True), analyzer.point("accuracy"))
    assert analysis.verdict is Outcome.BENIGN
    assert analysis.call == BENIGN
    again = analysis.at(analyzer.point("sensitive"), 0.0)
    assert again.verdict is Outcome.MALIGNANT
    assert again.call == MALIGNANT
    assert again.probability == analysis.probability
    assert again.heat is analysis.heat


def test_every_operating_point_has_a_margin_of_its_own_and_any_other_threshold_the_common_one() -> None:
    found = loaded(margin=0.2)
    meta = replace(found.meta, referral_margins={"sensitive": 0.7})
    analyzer = Analyzer(replace(found, meta=meta))
    picture = render_phantom(1, malignant=True)
    assert analyzer.analyze(picture).margin == 0.7
    analysis = analyzer.analyze(picture, analyzer.point("accuracy"))
    assert analysis.margin == 0.2
    assert analyzer.margin_at(analyzer.point("own", 0.3)) == 0.2
    assert analysis.at(analyzer.point("sensitive"), 0.7).uncertain_zone[0] < 0.1


def test_a_threshold_of_ones_own_needs_no_point_of_that_name(analyzer: Analyzer) -> None:
    assert analyzer.point("own", 0.3) == OperatingPoint("own", 0.3)
    assert analyzer.point("sensitive", 0.3).threshold == 0.3
    assert analyzer.point("sensitive").threshold == 0.1


def test_close_to_the_threshold_it_is_uncertain_but_there_is_a_call() -> None:
    analyzer = Analyzer(loaded(margin=0.2))
    analysis = analyzer.analyze(render_phantom(1, malignant=True))
    assert analysis.margin == 0.2
    assert analysis.verdict is Outcome.MALIGNANT
    near = analysis.at(OperatingPoint("near", analysis.probability - 0.02), analysis.margin)
    assert near.verdict is Outcome.UNCERTAIN
    assert near.call == MALIGNANT
    low, high = near.uncertain_zone
    assert low < near.probability < high
    assert log_odds(high) - log_odds(low) == pytest.approx(0.4)


def test_what_is_too_dark_or_too_strange_has_no_verdict(analyzer: Analyzer) -> None:
    good = analyzer.analyze(render_phantom(3, malignant=False))
    assert good.assessable
    black = analyzer.analyze(render_phantom(3, malignant=False, brightness=0.05))
    assert not black.assessable
    assert black.verdict is Outcome.NOT_ASSESSABLE
    assert black.call in (BENIGN, MALIGNANT)
    strange = replace(good, familiarity=Familiarity(distance=3.0, limit=2.0))
    assert not strange.assessable
    assert strange.verdict is Outcome.NOT_ASSESSABLE
    assert replace(good, familiarity=Familiarity(2.0, 2.0)).assessable


def test_probability_is_the_predictors(analyzer: Analyzer) -> None:
    pictures = [render_phantom(seed, malignant=True, size=120) for seed in range(3)]
    expected = Predictor(loaded()).probabilities(pictures)
    np.testing.assert_allclose(analyzer.probabilities(pictures), expected, atol=1e-6)
    np.testing.assert_allclose([analyzer.analyze(p).probability for p in pictures], expected, atol=1e-5)


def test_heat_maps_cover_the_picture_and_only_what_was_seen_has_colour(analyzer: Analyzer) -> None:
    square = render_phantom(2, malignant=True, size=200)
    wide = np.pad(square, ((0, 0), (60, 40), (0, 0)), mode="edge")
    analysis = analyzer.analyze(wide)
    assert analysis.visible == (50, 0, 200, 200)
    assert analysis.shape == (200, 300)
    assert analysis.heat.values.shape == (64, 64)
    placed = analysis.heat_map_for(200, 300)
    assert placed.shape == (200, 300)
    assert placed[:, 50:250].any()
    assert not placed[:, :50].any()
    assert not placed[:, 250:].any()


def test_heat_map_of_a_smaller_copy_lies_in_the_same_place(analyzer: Analyzer) -> None:
    analysis = analyzer.analyze(render_phantom(2, malignant=True, size=200)[:, 20:180])
    small, full = analysis.heat_map_for(50, 40), analysis.heat_map_for(200, 160)
    assert small.shape == (50, 40)
    np.testing.assert_allclose(small, full.reshape(50, 4, 40, 4).mean(axis=(1, 3)), atol=0.1)


def test_lesion_is_the_one_in_the_square_that_was_seen(analyzer: Analyzer) -> None:
    square = render_phantom(2, malignant=True, size=200)
    wide = np.pad(square, ((0, 0), (60, 40), (0, 0)), mode="edge")
    lesion = analyzer.analyze(wide).lesion
    assert lesion is not None
    assert lesion.shape == (64, 64)
    np.testing.assert_array_equal(lesion, find_lesion(wide[:, 50:250], 64))
    assert (lesion != find_lesion(wide[:, :200], 64)).any(), "another square would show it elsewhere"


def test_quality_report_is_of_the_picture_itself(analyzer: Analyzer) -> None:
    assert analyzer.analyze(render_phantom(3, malignant=False)).quality.ok
    dark = analyzer.analyze(render_phantom(3, malignant=False, brightness=0.15))
    assert not dark.quality.ok
    assert any("dark" in check.advice.lower() or "light" in check.advice.lower() for check in dark.quality.warnings)


def test_unknown_and_missing_operating_points_are_named(analyzer: Analyzer) -> None:
    with pytest.raises(CheckpointError, match=r"'brave'.*accuracy, sensitive"):
        analyzer.point("brave")
    with pytest.raises(CheckpointError, match="'sensitive'"):
        Analyzer(loaded(POINTS[:1]))
