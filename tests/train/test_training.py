"""The two-stage loop: what it freezes, keeps, writes, and how it goes on after a stop."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.utils import set_seed
from conftest import PROJECT
from numpy.typing import NDArray
from torch import nn

from lesion_demo.checkpoint import find_best_checkpoint, load_checkpoint, read_meta
from lesion_demo.config import AugmentConfig, StageConfig, TrainConfig, to_dict
from lesion_demo.data.dataset import PictureReader, balanced_weights
from lesion_demo.data.folders import scan
from lesion_demo.data.picture import Picture
from lesion_demo.errors import CheckpointError, TrainingError
from lesion_demo.evaluate import settle
from lesion_demo.evaluate.inference import Predictions
from lesion_demo.files import write_json
from lesion_demo.images.phantom import write_phantom_dataset
from lesion_demo.images.transforms import train_transform
from lesion_demo.network.model import build_model, head_name
from lesion_demo.network.weights import read_weights, round_to_half
from lesion_demo.shown import fingerprint_of_folder
from lesion_demo.train import loop as training
from lesion_demo.train import run as pipeline
from lesion_demo.train.state import load_state, save_state
from lesion_demo.train.trainer import warn_of_init


def pictures(root: Path, split: str) -> list[Picture]:
    return [picture for picture in scan([root]) if picture.split == split]


def history(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_leaves_everything_it_promises(tiny_config: TrainConfig, phantom_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    pipeline.train(tiny_config, [phantom_data], folder)
    for name in ("config.json", "history.csv", "model.safetensors", "checkpoint.json", "split.csv", "metrics.json"):
        assert (folder / name).is_file(), name
    assert {path.name for path in (folder / "plots").iterdir()} >= {"roc.png", "reliability.png", "learning_curves.png"}
    rows = history(folder)
    assert [(row["epoch"], row["split"]) for row in rows] == [
        ("0", "val"), ("1", "train"), ("1", "val"), ("2", "train"), ("2", "val"), ("3", "train"), ("3", "val")
    ]  # fmt: skip
    assert [row["stage"] for row in rows[1:]] == ["head", "head", "all", "all", "all", "all"]
    assert float(rows[1]["backbone_rate"]) == 0 < float(rows[3]["backbone_rate"])
    assert all(0 <= float(row["ring_flips"]) <= 1 for row in rows if row["split"] == "val")
    assert find_best_checkpoint(tmp_path) == folder
    assert read_meta(folder).val_pictures == fingerprint_of_folder(folder) != ""

    loaded = load_checkpoint(folder)
    metrics, evaluated = settle.evaluate(loaded, [phantom_data])
    assert len(evaluated.pictures) == 12
    assert metrics.test == loaded.meta.metrics.test  # the saved weights give the saved figures
    assert {point.name for point in loaded.meta.operating_points} == {"accuracy", "f1", "balanced", "sensitive"}


class OneLayer(nn.Module):
    """A head alone: features [N, 4] → logits [N, 2]."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 2)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.fc(features)
        return logits


@torch.no_grad()
def test_the_bias_is_corrected_in_the_head_itself() -> None:
    torch.manual_seed(0)
    model, features = OneLayer(), torch.randn(400, 4)
    model.fc.bias[:] = torch.tensor([0.5, 4.0])  # all look malignant
    round_to_half(model)
    logits = model(features).double().numpy()
    margin = logits[:, 1] - logits[:, 0]
    noise = np.random.default_rng(0).normal(scale=margin.std(), size=400)
    labels = (margin + noise > np.median(margin)).astype(np.int64)
    assert (margin > 0).all()
    pipeline.correct_bias(model, Predictions(logits, labels), np.ones(400))
    corrected = model(features)
    assert torch.equal(model.fc.bias, model.fc.bias.half().float())  # what is saved is what was judged
    assert float((corrected[:, 1] > corrected[:, 0]).float().mean()) == pytest.approx(0.5, abs=0.1)


def test_the_head_stage_leaves_the_backbone_alone(tiny_config: TrainConfig, phantom_data: Path, tmp_path: Path) -> None:
    config = replace(tiny_config, stages=tiny_config.stages[:1])
    training.fit(config, pictures(phantom_data, "train"), pictures(phantom_data, "val"), tmp_path)
    trained = load_state(tmp_path)["net"]
    torch.manual_seed(config.seed)
    fresh = build_model(config.backbone, dropout=config.dropout)
    head = head_name(fresh)
    changed = {name for name, value in fresh.state_dict().items() if not torch.equal(value, trained[name])}
    assert changed == {f"{head}.weight", f"{head}.bias"}


class Diary(PictureReader):
    """Notes which training pictures are read."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[Picture] = []

    def __call__(self, picture: Picture) -> NDArray[np.uint8]:
        if picture.split == "train":
            self.read.append(picture)
        return super().__call__(picture)


def test_training_draws_a_source_by_its_emphasis(tiny_config: TrainConfig, phantom_data: Path, tmp_path: Path) -> None:
    diary = Diary()
    train, val = pictures(phantom_data, "train"), pictures(phantom_data, "val")
    train[::2] = [replace(picture, source="unwanted") for picture in train[::2]]
    config = replace(tiny_config, emphasis=(("unwanted", 0.0),))
    training.fit(config, train, val, tmp_path, reader=diary)
    assert {picture.source for picture in diary.read} == {train[1].source}


def test_an_emphasis_is_checked_before_anything_is_written(
    tiny_config: TrainConfig, phantom_data: Path, tmp_path: Path
) -> None:
    train, val = pictures(phantom_data, "train"), pictures(phantom_data, "val")
    with pytest.raises(TrainingError, match="the factor must be 0 or more"):
        training.fit(replace(tiny_config, emphasis=((train[0].source, -1.0),)), train, val, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_other_draws_are_other_pictures_in_other_variants(
    tiny_config: TrainConfig, phantom_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, val = pictures(phantom_data, "train"), pictures(phantom_data, "val")
    one_epoch = replace(tiny_config, cache=False, stages=tiny_config.stages[:1])
    seeds: list[int] = []

    def noted(seed: int) -> None:
        seeds.append(seed)
        set_seed(seed)

    monkeypatch.setattr(training, "set_seed", noted)

    def seen(name: str, draws: int) -> tuple[list[str], int, float]:
        """What was drawn, the seed of its variants, and the training loss."""
        diary = Diary()
        result = training.fit(replace(one_epoch, draws=draws), train, val, tmp_path / name, reader=diary)
        return [picture.file for picture in diary.read], seeds[-1], result.progress.history[1].loss

    first = seen("one", 0)
    assert first == seen("same", 0)
    for drawn, other in zip(first, seen("other", 1), strict=True):
        assert drawn != other


def test_a_run_that_goes_on_with_the_same_draws_is_warned(
    tiny_config: TrainConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_json(tmp_path / "config.json", to_dict(replace(tiny_config, draws=1)))
    going_on = replace(tiny_config, init=str(tmp_path))
    warn_of_init(tiny_config)
    warn_of_init(replace(going_on, draws=2))
    assert not caplog.records
    warn_of_init(replace(going_on, draws=1))
    assert "used the same seed and draws" in caplog.text
    caplog.clear()
    with pytest.raises(CheckpointError, match=str(tmp_path)):  # there are no weights beside it
        training.fit(replace(going_on, draws=1), [], [], tmp_path / "new")
    assert "used the same seed and draws" in caplog.text
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(TrainingError, match=r"config\.json is not a run's configuration"):
        warn_of_init(going_on)


def test_a_stage_brings_its_own_augmentation_and_emphasis(
    tiny_config: TrainConfig, phantom_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, val = pictures(phantom_data, "train"), pictures(phantom_data, "val")
    own = AugmentConfig(ring=1.0)
    first, *rest = tiny_config.stages
    drawn: list[tuple[AugmentConfig, dict[str, float]]] = []

    def note(spec: object, augment: AugmentConfig, size: int) -> object:
        drawn.append((augment, {}))
        return train_transform(spec, augment, size)  # type: ignore[arg-type]

    def weigh(of: object, balance: float = 1.0, emphasis: dict[str, float] | None = None) -> object:
        drawn[-1:] = [(augment, dict(emphasis or {})) for augment, _ in drawn[-1:]]
        return balanced_weights(of, balance, emphasis)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "train_transform", note)
    monkeypatch.setattr(training, "balanced_weights", weigh)
    source = train[0].source
    stages = (replace(first, epochs=1, augment=own, emphasis=((source, 3.0),)), *(replace(s, epochs=1) for s in rest))
    training.fit(replace(tiny_config, stages=stages), train, val, tmp_path / "run")
    assert drawn[0] == (own, {source: 3.0})
    assert drawn[1:] == [(tiny_config.augment, {})] * len(rest)


def test_a_resumed_run_ends_like_an_uninterrupted_one(
    tiny_config: TrainConfig, phantom_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, val = pictures(phantom_data, "train"), pictures(phantom_data, "val")
    config = replace(tiny_config, ema_decay=0.9)
    whole = training.fit(config, train, val, tmp_path / "whole")

    def save_then_stop(*args: object, **parts: object) -> None:
        save_state(*args, **parts)  # type: ignore[arg-type]
        if args[1].epoch == 2:  # type: ignore[attr-defined]
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training, "save_state", save_then_stop)
        with pytest.raises(KeyboardInterrupt):
            training.fit(config, train, val, tmp_path / "stopped")
    resumed = training.fit(config, train, val, tmp_path / "stopped", resume=True)

    ends = [load_state(tmp_path / name)["net"] for name in ("whole", "stopped")]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    kept = [run.model.state_dict() for run in (whole, resumed)]
    assert all(torch.equal(kept[0][name], kept[1][name]) for name in kept[0])
    assert [row.loss for row in whole.progress.history] == [row.loss for row in resumed.progress.history]


def test_early_stop_keeps_the_best_epoch(tiny_config: TrainConfig, phantom_data: Path, tmp_path: Path) -> None:
    still = StageConfig("all", epochs=9, backbone_rate=0, head_rate=0, image_size=64, batch_size=16, patience=2)
    config = replace(tiny_config, stages=(still,), weight_decay=0)
    result = training.fit(config, pictures(phantom_data, "train"), pictures(phantom_data, "val"), tmp_path)
    assert result.progress.epoch < 9
    competing = [row for row in result.progress.history if row.split == "val" and row.epoch > 0]
    best = max(competing, key=lambda row: row.roc_auc)
    assert result.progress.best_epoch == best.epoch
    kept = read_weights(tmp_path / "resume" / "best.safetensors")
    assert all(torch.equal(value, result.model.state_dict()[name]) for name, value in kept.items())
    (tmp_path / "resume" / "best.safetensors").unlink()
    with pytest.raises(TrainingError, match=r"best\.safetensors is missing"):  # not the last epoch's in their place
        training.fit(config, pictures(phantom_data, "train"), pictures(phantom_data, "val"), tmp_path, resume=True)


def test_a_loss_that_explodes_says_what_to_try(tiny_config: TrainConfig, phantom_data: Path, tmp_path: Path) -> None:
    config = replace(tiny_config, stages=(replace(tiny_config.stages[1], backbone_rate=1e20, head_rate=1e20),))
    with pytest.raises(TrainingError, match=r"became (nan|inf).*--clip-norm"):
        training.fit(config, pictures(phantom_data, "train"), pictures(phantom_data, "val"), tmp_path)


def test_a_folder_belongs_to_one_run(tiny_config: TrainConfig, phantom_data: Path, tmp_path: Path) -> None:
    train, val = pictures(phantom_data, "train"), pictures(phantom_data, "val")
    with pytest.raises(TrainingError, match="Nothing to resume"):
        training.fit(tiny_config, train, val, tmp_path / "new", resume=True)
    training.fit(replace(tiny_config, stages=tiny_config.stages[:1]), train, val, tmp_path / "old")
    with pytest.raises(TrainingError, match="already holds a run"):
        training.fit(tiny_config, train, val, tmp_path / "old")
    with pytest.raises(TrainingError, match=r"stages head, all instead of head; seed 1 instead of 0"):
        training.fit(replace(tiny_config, seed=1), train, val, tmp_path / "old", resume=True)


def test_a_run_that_could_not_start_claims_nothing(
    tiny_config: TrainConfig, phantom_data: Path, tmp_path: Path
) -> None:
    train, val = pictures(phantom_data, "train"), pictures(phantom_data, "val")
    with pytest.raises(TrainingError, match="not imagenet, lite2, none"):
        training.fit(replace(tiny_config, init="nowhere"), train, val, tmp_path)
    training.fit(replace(tiny_config, stages=tiny_config.stages[:1]), train, val, tmp_path)


def test_two_processes_evaluate_like_one(tmp_path: Path) -> None:
    data = tmp_path / "phantoms"
    write_phantom_dataset(data, train=12, val=25, test=4, seed=5, size=64)  # validation fills a batch, and part of one
    arguments = [
        "--data", str(data), "--out", str(tmp_path), "--init", "none", "--backbone", "mobilenet_v3_small",
        "--image-size", "64", "--batch-size", "16", "--epochs", "1", "--precision", "no", "--workers", "0",
    ]  # fmt: skip
    for processes in (1, 2):
        launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        done = subprocess.run(
            [*launch, "--", str(PROJECT / "train.py"), *arguments, "--run", f"p{processes}"],
            capture_output=True,
            text=True,
            timeout=300,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
        )
        assert done.returncode == 0, done.stderr[-3000:]
        assert f"Processes: {processes} on cpu" in done.stderr
    one, two = (history(tmp_path / name) for name in ("p1", "p2"))
    assert [(row["epoch"], row["split"]) for row in two] == [(row["epoch"], row["split"]) for row in one]
    untrained = ("epoch", "split", "loss", "accuracy", "precision", "recall", "f1", "roc_auc", "pr_auc", "ring_flips")
    assert one[0]["epoch"] == "0"
    assert [one[0][name] for name in untrained] == [two[0][name] for name in untrained]
    assert load_checkpoint(tmp_path / "p2").meta.data == load_checkpoint(tmp_path / "p1").meta.data
