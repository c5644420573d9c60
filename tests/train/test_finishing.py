"""Enough data to begin with, and what is saved, and shown to the network, in the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lesion_demo.checkpoint import load_checkpoint
from lesion_demo.config import TrainConfig
from lesion_demo.data.dataset import PictureReader
from lesion_demo.data.picture import Picture
from lesion_demo.data.splits import Splits
from lesion_demo.errors import DataError
from lesion_demo.evaluate import known as known_again
from lesion_demo.evaluate import settle
from lesion_demo.images.transforms import eval_transform
from lesion_demo.network.model import build_model, head_layer
from lesion_demo.recipes import PRESETS
from lesion_demo.results import to_json
from lesion_demo.train import run as pipeline
from lesion_demo.train.loop import FitResult
from lesion_demo.train.run import open_splits
from lesion_demo.train.settings import FEW, check_amount
from lesion_demo.train.state import (
    Progress,
)


def some(count: int) -> list[Picture]:
    return [Picture(Path(str(index)), str(index), "a", "val", index % 2) for index in range(count)]


def test_too_little_data_is_told_before_the_start(caplog: pytest.LogCaptureFixture) -> None:
    check_amount(TrainConfig(), some(400), some(2 * FEW))
    assert not caplog.records
    check_amount(TrainConfig(), some(100), some(24))
    assert "12 benign and 12 malignant validation pictures are too few to choose four thresholds" in caplog.text
    with pytest.raises(
        DataError, match=r"uses 10,000 pictures, but there are only 220 training pictures; .*--preset quick"
    ):
        check_amount(PRESETS["clinics"], some(220), some(24))
    caplog.clear()
    check_amount(PRESETS["clinics"], some(220), some(100))
    assert "An epoch of this recipe uses 10,000 pictures, but there are only 220" in caplog.text


def test_the_quick_preset_is_for_few_pictures() -> None:
    quick = PRESETS["quick"]
    assert {one.epoch_pictures for one in quick.stages} == {None}  # as many as there are
    drawn = sum(one.epochs for one in quick.stages) * 200
    assert drawn <= 3000
    assert quick.val_fraction * 150 > 2 * FEW  # 150 pictures of each class leave enough to choose by
    check_amount(quick, some(210), some(90))


def test_the_weights_are_saved_before_anything_is_said_of_them(
    tiny_config: TrainConfig, phantom_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    splits = Splits(tuple(some_real(phantom_data)))

    def fails(*_: object, **__: object) -> None:
        raise ValueError("This solver needs samples of at least 2 classes in the data")

    monkeypatch.setattr(settle, "calibrate", fails)
    monkeypatch.setattr(pipeline, "learn_known", fails)
    with pytest.raises(ValueError, match="This solver"):
        pipeline.finish(
            tiny_config, splits, FitResult(build_model("mobilenet_v3_small"), Progress()), tmp_path, PictureReader()
        )
    assert (tmp_path / "model.safetensors").is_file()


def test_finishing_shows_the_network_each_picture_once_for_the_figures_of_the_weights_as_saved(
    tiny_config: TrainConfig, phantom_data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torch.manual_seed(0)
    splits = open_splits(tiny_config, [phantom_data], tmp_path)
    model, shown = build_model("mobilenet_v3_small"), []
    transform = eval_transform(tiny_config.preprocess)
    with torch.no_grad():  # else every answer is the same, and its order is rounding
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0
        model.train()(torch.stack([transform(PictureReader()(picture)) for picture in splits.of("train")]))
    head_layer(model).bias.detach()[1] = 1.0
    features = model.get_submodule("features")
    assert isinstance(features, nn.Sequential)
    features[0].register_forward_hook(lambda module, inputs, output: shown.append(len(inputs[0])))
    saved = pipeline.finish(tiny_config, splits, FitResult(model, Progress()), tmp_path, PictureReader())
    assert "no graph for ONNX Runtime: The heat map of MobileNetV3 needs PyTorch" in caplog.text
    known, val = splits.of("train"), splits.of("val")
    some = [picture for part in (known, val) for picture in part[:: known_again.CROPPED]]
    corners = [known_again.skin_and_middle(PictureReader()(picture)) for picture in some]
    crops = 2 * sum(corner is not None for corner in corners)
    assert sum(shown) == len(splits.pictures) + crops
    assert float(head_layer(model).bias[1].detach()) < 0.9, "the bias should have been corrected"

    again, _ = settle.evaluate(load_checkpoint(tmp_path), [phantom_data], workers=0)
    before, after = by_path(to_json(saved.metrics)), by_path(to_json(again))
    assert before.keys() == after.keys()
    for name, value in before.items():
        tolerance = 2e-5 if "calibration_line" in name else 1e-6  # the line is found by steps that end there
        assert after[name] == pytest.approx(value, abs=tolerance), name


def by_path(value: Any, path: str = "") -> dict[str, Any]:
    """Nested figures by their paths."""
    if isinstance(value, dict):
        return {name: one for key in value for name, one in by_path(value[key], f"{path}.{key}").items()}
    if isinstance(value, list | tuple):
        parts = [by_path(one, f"{path}.{number}") for number, one in enumerate(value)]
        return {name: one for part in parts for name, one in part.items()}
    return {path: value}


def some_real(root: Path) -> list[Picture]:
    from lesion_demo.data.folders import scan

    return [picture for picture in scan([root]) if picture.split == "val"]
