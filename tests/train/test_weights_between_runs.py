"""A run that begins or ends with other weights than its last: blends, and what each stage leaves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lesion_demo.config import TrainConfig
from lesion_demo.data.folders import scan
from lesion_demo.data.picture import Picture
from lesion_demo.errors import TrainingError
from lesion_demo.network.model import build_model
from lesion_demo.network.weights import read_weights, write_weights
from lesion_demo.run_folder import AFTER, WEIGHTS_FILE
from lesion_demo.train import loop as training
from lesion_demo.train import validation
from lesion_demo.train.state import HistoryRow, load_state
from lesion_demo.train.trainer import Trainer


def pictures(root: Path, split: str) -> list[Picture]:
    return [picture for picture in scan([root]) if picture.split == split]


def test_a_run_goes_back_by_a_share_to_where_it_began(
    tiny_config: TrainConfig, phantom_data: Path, tmp_path: Path
) -> None:
    torch.manual_seed(5)
    first = build_model(tiny_config.backbone).state_dict()
    write_weights(tmp_path / "first" / WEIGHTS_FILE, first, half=False)
    config = replace(tiny_config, init=str(tmp_path / "first"), stages=tiny_config.stages[1:])
    sides = pictures(phantom_data, "train"), pictures(phantom_data, "val")
    whole = training.fit(config, *sides, tmp_path / "whole").model.state_dict()
    blended = training.fit(replace(config, first_share=0.25), *sides, tmp_path / "blend").model.state_dict()
    for name, value in blended.items():
        if value.is_floating_point():
            torch.testing.assert_close(value, 0.75 * whole[name] + 0.25 * first[name], rtol=1e-4, atol=1e-6)
    assert any(not torch.equal(value, whole[name]) for name, value in blended.items())


def test_a_run_ends_between_its_best_epoch_and_its_last(
    tiny_config: TrainConfig, phantom_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def first_is_best(trainer: Trainer, *args: Any, **options: Any) -> HistoryRow:
        row = record(trainer, *args, **options)
        return replace(row, roc_auc=1 / (1 + trainer.progress.epoch))

    record = validation.record
    monkeypatch.setattr(validation, "record", first_is_best)
    sides = pictures(phantom_data, "train"), pictures(phantom_data, "val")
    config = replace(tiny_config, stages=(replace(tiny_config.stages[1], epochs=9, backbone_rate=1e-5, patience=2),))
    best = training.fit(config, *sides, tmp_path / "best")
    blended = training.fit(replace(config, last_share=0.25), *sides, tmp_path / "blend").model.state_dict()
    last = load_state(tmp_path / "best")["net"]
    assert (best.progress.best_epoch, best.progress.epoch) == (1, 3)
    for name, value in best.model.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(blended[name], 0.75 * value + 0.25 * last[name], rtol=1e-4, atol=1e-6)
    assert any(not torch.equal(value, best.model.state_dict()[name]) for name, value in blended.items())


@pytest.mark.parametrize(("init", "share", "said"), [("none", 0.5, "not a checkpoint's folder"), ("x", 1.5, "between")])
def test_first_weights_that_cannot_be_gone_back_to_are_told_at_once(
    tiny_config: TrainConfig, tmp_path: Path, init: str, share: float, said: str
) -> None:
    with pytest.raises(TrainingError, match=said):
        training.fit(replace(tiny_config, init=init, first_share=share), [], [], tmp_path)
    with pytest.raises(TrainingError, match="last_share is 2, but must be between"):
        training.fit(replace(tiny_config, last_share=2), [], [], tmp_path)


def test_every_stage_leaves_weights_to_go_on_from(tiny_config: TrainConfig, phantom_data: Path, tmp_path: Path) -> None:
    train, val = pictures(phantom_data, "train"), pictures(phantom_data, "val")
    training.fit(tiny_config, train, val, tmp_path / "run")
    first, second = (tmp_path / "run" / AFTER / stage.name for stage in tiny_config.stages)
    assert read_weights(second / "model.safetensors").keys() == read_weights(first / "model.safetensors").keys()
    stage = replace(tiny_config.stages[0], epochs=1)
    going_on = replace(tiny_config, init=str(first), stages=(stage,), draws=1)
    training.fit(going_on, train, val, tmp_path / "next")
