"""What is familiar is learnt again for a finished checkpoint; all else in it stays."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lesion_demo.__main__ import main
from lesion_demo.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from lesion_demo.config import OperatingPoint, PreprocessSpec
from lesion_demo.data.split_file import write_split
from lesion_demo.data.splits import prepare_splits
from lesion_demo.errors import LesionDemoError
from lesion_demo.evaluate import known
from lesion_demo.evaluate.outside import look_outside
from lesion_demo.evaluate.settle import evaluate
from lesion_demo.images.phantom import write_phantom_dataset
from lesion_demo.network.model import build_model
from lesion_demo.results import to_json

BACKBONE = "mobilenet_v3_small"
POINTS = (OperatingPoint("sensitive", 0.2), OperatingPoint("balanced", 0.5))


@pytest.fixture
def run(phantom_data: Path, tmp_path: Path) -> Path:
    """A random network with the split of `phantom_data`, which cannot tell what is familiar."""
    write_split(tmp_path / "run" / "split.csv", prepare_splits([phantom_data]))
    torch.manual_seed(0)
    meta = Checkpoint(BACKBONE, PreprocessSpec(image_size=64), 1.0, POINTS, 0.5)
    save_checkpoint(tmp_path / "run", build_model(BACKBONE), meta)
    return tmp_path / "run"


def test_what_is_familiar_is_learnt_again_and_nothing_else_changes(
    run: Path, phantom_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known, "CONTRASTED", 10)
    outside = tmp_path / "clinic"
    write_phantom_dataset(outside, train=3, val=0, test=0, seed=9, size=96)
    look_outside(load_checkpoint(run), outside)
    before = load_checkpoint(run)
    assert before.known is None
    assert main(["evaluate", "--familiarity", "--checkpoint", str(run), "--data", str(phantom_data)]) == 0
    after = load_checkpoint(run)
    assert after.known is not None
    assert after.known.unrelated is not None
    assert replace(after.meta, known_sha256="", metrics=before.meta.metrics) == before.meta
    assert json.loads((run / "metrics.json").read_text(encoding="utf-8")) == to_json(after.meta.metrics)
    told = after.meta.metrics.external["clinic"]
    assert told.roc_auc == before.meta.metrics.external["clinic"].roc_auc
    assert [point.outcomes for point in told.points] == [None, None], "they were counted with what was known before"
    assert replace(after.meta.metrics, external={}) == evaluate(after, [phantom_data])[0]


def test_without_the_packages_that_have_everyday_pictures_the_distance_stands_alone(
    run: Path, phantom_data: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def missing(*, learnt: bool) -> list[object]:
        raise LesionDemoError("skimage is not installed")

    monkeypatch.setattr(known, "CONTRASTED", 10)
    monkeypatch.setattr(known, "photographs", missing)
    with caplog.at_level(logging.WARNING):
        found = known.learn_known_again(load_checkpoint(run), [phantom_data]).known
    assert found is not None
    assert found.unrelated is None
    assert "skimage is not installed" in caplog.text
