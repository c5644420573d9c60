"""One picture through the analyzer: probability, verdict at an operating point, quality, and the heat map."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lesion_demo.checkpoint import Checkpoint, LoadedCheckpoint
from lesion_demo.config import OperatingPoint, PreprocessSpec
from lesion_demo.errors import CheckpointError
from lesion_demo.imaging.phantom import render_phantom
from lesion_demo.learning.model import build_model, head_layer
from lesion_demo.serving.analysis import BENIGN, DEFAULT_OPERATING_POINT, MALIGNANT, Analyzer, verdict_of
from lesion_demo.serving.predictor import Predictor

POINTS = (OperatingPoint("accuracy", 0.9), OperatingPoint("sensitive", 0.1))


def loaded(points: tuple[OperatingPoint, ...] = POINTS) -> LoadedCheckpoint:
    """A random network whose probabilities lie near one half, between the two thresholds."""
    torch.manual_seed(0)
    model = build_model("resnet18").eval()
    with torch.no_grad():
        head_layer(model).weight.mul_(0.1)
    meta = Checkpoint("resnet18", PreprocessSpec(image_size=64), 1.0, points, val_roc_auc=0.5)
    return LoadedCheckpoint(Path("a-checkpoint"), meta, model)


@pytest.fixture(scope="module")
def analyzer() -> Analyzer:
    return Analyzer(loaded())


def test_verdict_turns_at_the_threshold_itself() -> None:
    point = OperatingPoint("f1", 0.25)
    assert verdict_of(0.25, point) == MALIGNANT == "malignant"
    assert verdict_of(float(np.nextafter(0.25, 0)), point) == BENIGN == "benign"


def test_default_operating_point_is_the_sensitive_one(analyzer: Analyzer) -> None:
    analysis = analyzer.analyze(render_phantom(1, malignant=True))
    assert DEFAULT_OPERATING_POINT == "sensitive"
    assert analysis.operating_point == OperatingPoint("sensitive", 0.1)
    assert 0.1 < analysis.probability < 0.9
    assert analysis.verdict == MALIGNANT


def test_a_named_operating_point_decides_and_can_be_changed_afterwards(analyzer: Analyzer) -> None:
    analysis = analyzer.analyze(render_phantom(1, malignant=True), operating_point="accuracy")
    assert analysis.verdict == BENIGN
    again = analysis.at(analyzer.meta.operating_point("sensitive"))
    assert again.verdict == MALIGNANT
    assert again.probability == analysis.probability


def test_probability_is_the_predictors(analyzer: Analyzer) -> None:
    pictures = [render_phantom(seed, malignant=True, size=120) for seed in range(3)]
    expected = Predictor(loaded()).probabilities(pictures)
    np.testing.assert_allclose(analyzer.probabilities(pictures), expected, atol=1e-6)
    np.testing.assert_allclose([analyzer.analyze(p).probability for p in pictures], expected, atol=1e-5)


def test_heat_map_covers_the_picture_and_only_what_was_seen_has_colour(analyzer: Analyzer) -> None:
    square = render_phantom(2, malignant=True, size=200)
    wide = np.pad(square, ((0, 0), (60, 40), (0, 0)), mode="edge")
    analysis = analyzer.analyze(wide)
    assert analysis.visible == (50, 0, 200, 200)
    assert analysis.heat_map.shape == (200, 300)
    assert analysis.heat_map[:, 50:250].max() > 0.5
    assert not analysis.heat_map[:, :50].any()
    assert not analysis.heat_map[:, 250:].any()


def test_heat_map_of_a_smaller_copy_lies_in_the_same_place(analyzer: Analyzer) -> None:
    analysis = analyzer.analyze(render_phantom(2, malignant=True, size=200)[:, 20:180])
    small, full = analysis.heat_map_for(50, 40), analysis.heat_map
    assert small.shape == (50, 40)
    np.testing.assert_allclose(small, full.reshape(50, 4, 40, 4).mean(axis=(1, 3)), atol=0.1)


def test_quality_report_is_of_the_picture_itself(analyzer: Analyzer) -> None:
    assert analyzer.analyze(render_phantom(3, malignant=False)).quality.ok
    dark = analyzer.analyze(render_phantom(3, malignant=False, brightness=0.15))
    assert not dark.quality.ok
    assert any("dark" in check.advice.lower() or "light" in check.advice.lower() for check in dark.quality.warnings)


def test_unknown_and_missing_operating_points_are_named(analyzer: Analyzer) -> None:
    with pytest.raises(CheckpointError, match=r"'brave'.*accuracy, sensitive"):
        analyzer.analyze(render_phantom(1, malignant=True), operating_point="brave")
    with pytest.raises(CheckpointError, match="'sensitive'"):
        Analyzer(loaded(POINTS[:1]))
