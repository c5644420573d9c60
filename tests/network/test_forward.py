"""One pass: it is the network's own, every journey runs it once a picture, and what cannot run is told beforehand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from lesion_demo.checkpoint import LoadedCheckpoint
from lesion_demo.config import PreprocessSpec, TrainConfig
from lesion_demo.data.dataset import PictureReader
from lesion_demo.data.folders import scan
from lesion_demo.errors import DeviceError, TrainingError
from lesion_demo.evaluate.reporting import Scorer
from lesion_demo.images.phantom import render_phantom
from lesion_demo.network.engine import Array, Forward
from lesion_demo.network.forward import TorchEngine, early_size, forward, layout_of, pick_device
from lesion_demo.network.model import build_model
from lesion_demo.serve.analysis import Analyzer
from lesion_demo.serve.batch import BatchItem, analyze_batch
from lesion_demo.serve.classifier import Predictor
from lesion_demo.serve.opened import ServedCheckpoint
from lesion_demo.serve.scoring import score_files
from lesion_demo.train.settings import check_settings

FAMILIES = {
    "efficientnet_b0": (1280, 144),
    "resnet18": (512, 0),
    "regnet_y_400mf": (440, 0),
    "shufflenet_v2_x0_5": (1024, 0),
    "mnasnet0_5": (1280, 0),
    "mobilenet_v2": (1280, 80),
    "mobilenet_v3_small": (576, 88),
    "densenet121": (1024, 384),
    "swin_t": (768, 768),
    "convnext_tiny": (768, 768),
    "vgg11": (512, 320),
}
"""Channels of the last maps, and how many early features."""


@pytest.mark.parametrize("backbone", FAMILIES)
def test_a_pass_is_the_networks_own_whatever_the_batch(backbone: str) -> None:
    torch.manual_seed(0)
    model = build_model(backbone).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        found, whole = forward(model, images), model(images)
        alone = forward(model, images[1:])
    channels, size = FAMILIES[backbone]
    torch.testing.assert_close(found.logits, whole)
    assert found.maps is not None
    assert found.maps.shape[:2] == (2, channels)
    assert early_size(model) == size
    assert (found.early is None) == (size == 0)
    if found.early is not None and alone.early is not None:
        assert found.early.shape == (2, size)
        torch.testing.assert_close(found.early[1:], alone.early, atol=1e-5, rtol=1e-5)


def test_the_head_passes_the_gradient_that_the_heat_map_takes_for_granted() -> None:
    model = build_model("efficientnet_b0").eval()
    layout = layout_of(model)
    assert layout is not None
    assert layout.linear is not None
    maps = torch.rand(1, 1280, 2, 2, requires_grad=True)
    (gradient,) = torch.autograd.grad(layout.head(maps)[:, 1].sum(), maps)
    expected = layout.linear.weight[1].detach() / 4  # a mean over 2 × 2, then a linear layer
    torch.testing.assert_close(gradient, expected[None, :, None, None].expand_as(gradient))


def test_early_features_are_means_over_the_picture_wherever_the_channels_stand() -> None:
    model = build_model("swin_t").eval()
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        found = forward(model, images).early
        features = model.get_submodule("features")
        assert isinstance(features, nn.Sequential)
        by_hand = features[:3](images).mean(dim=(1, 2))  # [1, h, w, C]
    assert found is not None
    torch.testing.assert_close(found[:, : by_hand.shape[1]], by_hand)


@contextmanager
def passes(model: nn.Module) -> Iterator[list[int]]:
    """How many pictures each run of the network's first block was about."""
    counts: list[int] = []

    def count(_module: nn.Module, inputs: tuple[Tensor, ...], _output: Tensor) -> None:
        counts.append(len(inputs[0]))

    features = model.get_submodule("features")
    assert isinstance(features, nn.Sequential)
    handle = features[0].register_forward_hook(count)
    try:
        yield counts
    finally:
        handle.remove()


def test_a_picture_runs_the_network_once(shipped: LoadedCheckpoint, tmp_path: Path) -> None:
    picture = render_phantom(3, malignant=True, size=120)
    files = [tmp_path / f"{number}.png" for number in range(3)]
    for file in files:
        Image.fromarray(picture).save(file)
    assert shipped.known is not None, "familiarity is what took a second pass"
    analyzer, point = Analyzer(shipped), shipped.meta.operating_points[0]
    turns = shipped.meta.preprocess.turns
    with passes(shipped.model) as counts:
        analysis = analyzer.analyze(picture)
    assert analysis.familiarity is not None
    assert analysis.heat.values.any()
    assert counts == [turns]
    with passes(shipped.model) as counts:
        findings = list(analyze_batch(analyzer, [BatchItem(file.name, file) for file in files], point))
    assert [finding.error for finding in findings] == [""] * 3
    assert counts == [turns] * 3
    with passes(shipped.model) as counts:
        rows = list(score_files(list(map(str, files)), Predictor(shipped), point, 0.1))
    assert [row.error for row in rows] == [""] * 3
    assert counts == [3 * turns]


def test_evaluation_runs_the_network_once_for_scores_and_for_what_gets_a_verdict(
    shipped: LoadedCheckpoint, phantom_data: Path
) -> None:
    pictures = [picture for picture in scan([phantom_data]) if picture.split == "test"]
    scorer = Scorer(shipped.model, PreprocessSpec(image_size=64), shipped.known, PictureReader(), workers=0)
    with passes(shipped.model) as counts:
        split = scorer.score(pictures, 1.0, "test")
    assert split.assessable is not None
    assert counts == [12]


@pytest.mark.parametrize(
    ("backbone", "sizes", "said"),
    [
        ("vit_b_32", (224,), ""),
        ("vit_b_32", (300,), r"vit_b_32 does not accept pictures of 300 pixels \(Wrong image height"),
        ("regnet_y_400mf", (64, 224), ""),
        ("mobilenet_v2", (64,), ""),
        ("alexnet", (48,), "alexnet does not accept pictures of 48 pixels"),
        ("squeezenet1_0", (224,), "has no linear layer"),
    ],
)
def test_before_training_is_said_what_backbone_and_size_cannot_do(
    backbone: str, sizes: tuple[int, ...], said: str, tiny_config: TrainConfig
) -> None:
    stages = tuple(replace(tiny_config.stages[1], image_size=size) for size in sizes)
    config = replace(tiny_config, backbone=backbone, stages=stages, preprocess=PreprocessSpec(image_size=sizes[-1]))
    if not said:
        check_settings(config)
        return
    with pytest.raises(TrainingError, match=said):
        check_settings(config)


def test_a_device_that_is_not_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert pick_device() == pick_device("cpu") == torch.device("cpu")
    for name in ("cuda", "mps"):
        with pytest.raises(DeviceError, match=rf"no {name} device on this machine: use --device cpu") as caught:
            pick_device(name)
        assert "\n" not in str(caught.value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device() == torch.device("cuda")


def test_float32_is_float32_on_cuda_too() -> None:
    """What a processor can tell of it: convolutions round to TF32 by default, and no longer once an engine is made."""
    torch.backends.cudnn.allow_tf32 = True
    TorchEngine(build_model("resnet18"), "cpu")
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


def test_an_engine_of_another_kind_serves_as_well(shipped: LoadedCheckpoint) -> None:
    class Recorded:
        """Answers from memory."""

        head = model = None

        def __init__(self) -> None:
            self.found = TorchEngine(shipped.model)(inputs)

        def __call__(self, pixels: Array) -> Forward[Array]:
            return self.found

    inputs = np.zeros((1, 3, 64, 64), np.float32)
    meta = replace(shipped.meta, preprocess=replace(shipped.meta.preprocess, turns=1))
    by_torch = Predictor(replace(shipped, meta=meta)).predict(inputs)
    served = ServedCheckpoint(shipped.folder, meta, Recorded(), shipped.known)
    found = Predictor(served).predict(np.ones((1, 3, 64, 64), np.float32))
    np.testing.assert_array_equal(found.probabilities, by_torch.probabilities)
    assert found.familiarity == by_torch.familiarity
