"""The depthwise convolutions that training uses on a CPU: same outputs, same gradients, same names."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import SqueezeExcitation

from lesion_demo.config import TrainConfig
from lesion_demo.data.folders import scan
from lesion_demo.network import depthwise as depthwise_module
from lesion_demo.network.depthwise import FastDepthwise, FastGate, _Depthwise, _Gate, use_fast_depthwise
from lesion_demo.network.model import build_model
from lesion_demo.train.loop import fit

CHANNELS = 8


def depthwise(kernel: int, stride: int) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(CHANNELS, CHANNELS, kernel, stride, kernel // 2, groups=CHANNELS, bias=False)


def gradients(conv: nn.Conv2d, picture: Tensor, *, half: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Output, gradient of the input and gradient of the weights, of half the sum of squares."""
    x = picture.clone().to(memory_format=torch.channels_last).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        output = conv(x)
    (output.float() ** 2).sum().backward()
    assert x.grad is not None
    assert conv.weight.grad is not None
    return output.detach().float(), x.grad, conv.weight.grad


def distance(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm())


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(14, 14), (15, 11), (5, 8)])
def test_gradients_are_those_of_the_plain_convolution(kernel: int, stride: int, size: tuple[int, int]) -> None:
    picture = torch.randn(4, CHANNELS, *size, generator=torch.Generator().manual_seed(1))
    plain = depthwise(kernel, stride)
    fast = copy.deepcopy(plain)
    use_fast_depthwise(fast)
    assert type(fast) is FastDepthwise
    exact = gradients(plain, picture, half=False)
    for ours, true in zip(gradients(fast, picture, half=True), exact, strict=True):
        assert ours.shape == true.shape
        assert distance(ours, true) < 0.01  # bfloat16 has eight bits


@pytest.mark.parametrize(("frozen", "unneeded"), [("input", "conv2d"), ("weight", "_weight_gradient")])
def test_only_what_is_needed_is_computed(frozen: str, unneeded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fast = depthwise(5, 2)
    use_fast_depthwise(fast)
    x = torch.randn(2, CHANNELS, 8, 8, requires_grad=frozen != "input")
    fast.weight.requires_grad_(frozen != "weight")
    with torch.autocast("cpu", torch.bfloat16):
        loss = fast(x).float().sum()
    place = depthwise_module.functional if unneeded == "conv2d" else depthwise_module
    monkeypatch.setattr(place, unneeded, lambda *_: pytest.fail(f"{frozen} is frozen"))
    loss.backward()
    assert (x.grad is None) == (frozen == "input")
    assert (fast.weight.grad is None) == (frozen == "weight")


def test_without_half_precision_it_is_the_plain_convolution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Depthwise, "apply", lambda *_: pytest.fail("bfloat16 only"))
    picture = torch.randn(4, CHANNELS, 9, 9)
    plain = depthwise(5, 1)
    fast = copy.deepcopy(plain)
    use_fast_depthwise(fast)
    for ours, true in zip(gradients(fast, picture, half=False), gradients(plain, picture, half=False), strict=True):
        assert torch.equal(ours, true)


@pytest.mark.parametrize("size", [(14, 14), (15, 11), (1, 1)])
def test_a_gate_and_its_gradients_are_those_of_the_plain_one(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    plain = SqueezeExcitation(CHANNELS, 4, activation=nn.SiLU)
    fast = copy.deepcopy(plain)
    use_fast_depthwise(fast)
    assert type(fast) is FastGate
    results = []
    for gate, half in ((plain, False), (fast, True)):
        x = torch.randn(4, CHANNELS, *size, generator=torch.Generator().manual_seed(1)).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            output = gate(x)
        (output.float() ** 2).sum().backward()
        results.append([output.detach().float(), x.grad, *(one.grad for one in gate.parameters())])
    for true, ours in zip(*results, strict=True):
        assert ours.shape == true.shape
        assert distance(ours, true) < 0.02  # bfloat16 has eight bits, and some of these are differences


def test_other_gates_stay_and_without_half_precision_it_is_the_plain_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    other = SqueezeExcitation(CHANNELS, 4)  # by ReLU
    use_fast_depthwise(other)
    assert type(other) is SqueezeExcitation
    monkeypatch.setattr(_Gate, "apply", lambda *_: pytest.fail("bfloat16 only"))
    plain = SqueezeExcitation(CHANNELS, 4, activation=nn.SiLU)
    fast = copy.deepcopy(plain)
    use_fast_depthwise(fast)
    x = torch.randn(2, CHANNELS, 5, 5)
    assert torch.equal(fast(x), plain(x))


def test_every_depthwise_convolution_of_the_network_changes_and_no_other_and_no_name() -> None:
    net = build_model("efficientnet_b3")
    before = {name: tensor.data_ptr() for name, tensor in net.state_dict().items()}
    grouped = {name for name, module in net.named_modules() if isinstance(module, nn.Conv2d) and module.groups > 1}
    use_fast_depthwise(net)
    changed = {name for name, module in net.named_modules() if isinstance(module, FastDepthwise)}
    assert changed == grouped
    assert len(changed) == sum(isinstance(module, FastGate) for module in net.modules()) == 26
    assert {name: tensor.data_ptr() for name, tensor in net.state_dict().items()} == before


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(8, 8, 3, padding=1, bias=False),
        nn.Conv2d(8, 16, 3, padding=1, groups=8, bias=False),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.Conv2d(8, 8, 3, groups=8, bias=False),
        nn.Conv2d(8, 8, 7, padding=3, groups=8, bias=False),
        nn.Conv2d(8, 8, 3, 3, padding=1, groups=8, bias=False),
        nn.Conv2d(8, 8, 3, padding=1, dilation=2, groups=8, bias=False),
        nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False, padding_mode="reflect"),
    ],
    ids=["full", "multiplied", "bias", "unpadded", "7x7", "stride 3", "dilated", "reflected"],
)
def test_other_convolutions_stay(conv: nn.Conv2d) -> None:
    use_fast_depthwise(conv)
    assert type(conv) is nn.Conv2d


def test_training_in_half_precision_uses_it(
    tiny_config: TrainConfig, phantom_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Tensor] = []
    plain = depthwise_module._weight_gradient

    def counted(x: Tensor, gradient: Tensor, w: Tensor) -> Tensor:
        calls.append(w)
        return plain(x, gradient, w)

    monkeypatch.setattr(depthwise_module, "_weight_gradient", counted)
    config = replace(tiny_config, precision="bf16", stages=(replace(tiny_config.stages[1], epochs=1),))
    pictures = scan([phantom_data])
    train, val = ([picture for picture in pictures if picture.split == split] for split in ("train", "val"))
    fit(config, train, val or train, tmp_path / "run")
    assert {w.shape[-1] for w in calls} == {3, 5}
