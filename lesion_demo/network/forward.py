"""One forward pass of a network in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import overload

import numpy as np
import torch
from torch import Tensor, nn
from torchvision import models

from lesion_demo.config import CLASSES
from lesion_demo.errors import DeviceError, TrainingError
from lesion_demo.network.engine import Array, Engine, Forward, Head

Stage = Callable[[Tensor], Tensor]
Network = Callable[[Tensor], Forward[Tensor]]
"""One pass over normalised pictures float [N, 3, S, S]."""

EARLY = (2, 3, 4)
"""Children of the network's `features` whose channels are averaged: these refused most unrelated pictures."""


class TorchEngine:
    """A network in PyTorch, which computes in float32, as it did when the thresholds were chosen."""

    def __init__(self, model: nn.Module, device: torch.device | str | None = None) -> None:
        """Takes over `model` and moves it to `device`, see `pick_device`."""
        self.model = place_model(model, device).eval()
        self.head = _head_of(self.model)

    @torch.inference_mode()
    def __call__(self, pixels: Array) -> Forward[Array]:
        there = to_device_of(self.model, torch.from_numpy(np.ascontiguousarray(pixels)))
        found = forward(self.model, there)
        return Forward(_array(found.early), _array(found.maps), _array(found.logits))


def _head_of(model: nn.Module) -> Head | None:
    layout = layout_of(model)
    linear = None if layout is None else layout.linear
    return None if linear is None else Head.of(_array(linear.weight.detach()), _array(linear.bias.detach()))


@overload
def _array(values: Tensor) -> Array: ...
@overload
def _array(values: Tensor | None) -> Array | None: ...
def _array(values: Tensor | None) -> Array | None:
    return None if values is None else values.float().cpu().numpy()


def pick_device(name: torch.device | str | None = None) -> torch.device:
    """The device called `name`: cpu, cuda or mps; by default a CUDA device, if there is one, or the CPU.

    Raises:
        DeviceError: this machine has none.
    """
    cuda = torch.cuda.is_available()
    device = torch.device(name or ("cuda" if cuda else "cpu"))
    if (device.type == "cuda" and not cuda) or (device.type == "mps" and not torch.backends.mps.is_available()):
        raise DeviceError(
            f"PyTorch finds no {device.type} device on this machine: use --device cpu, or leave out --device."
        )
    return device


def place_model(model: nn.Module, device: torch.device | str | None = None) -> nn.Module:
    """`model` itself on `device`, see `pick_device`, in the memory layout it computes fastest in.

    Convolutions on CUDA would otherwise round to TF32, 10 bits of mantissa instead of float32's 23. The setting holds
    for the whole process, so it is made once here, not around each pass, where threads would undo each other's.

    Raises:
        DeviceError: this machine has none.
    """
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    return model.to(pick_device(device)).to(memory_format=torch.channels_last)


def to_device_of(model: nn.Module, pixels: Tensor) -> Tensor:
    """`pixels` [N, 3, S, S] where `model` is, in the memory layout it computes fastest in."""
    return pixels.to(next(model.parameters()).device, memory_format=torch.channels_last)


def forward(model: nn.Module, images: Tensor) -> Forward[Tensor]:
    """One pass of `model` over normalised pictures float [N, 3, S, S], on the model's device; logits in float32.

    In eval mode its logits are `model(images)`.
    """
    layout = layout_of(model)
    if layout is None:
        return Forward(None, None, model(images).float())
    maps, early = images, []
    for number, block in enumerate(layout.blocks):
        maps = block(maps)
        if number in layout.early:
            early.append(maps.mean(dim=layout.plane))  # [N, channels]
    return Forward(torch.cat(early, dim=1) if early else None, maps, layout.head(maps).float())


def network_of(model: nn.Module) -> Network:
    """`model` as it judges pictures, where it is."""

    def network(images: Tensor) -> Forward[Tensor]:
        return forward(model.eval(), to_device_of(model, images))

    return network


def graph_network(engine: Engine) -> Network:
    """What `engine` runs, for pictures that lie in the main memory."""

    def network(images: Tensor) -> Forward[Tensor]:
        found = engine(images.numpy())
        early, maps = (None if values is None else torch.from_numpy(values) for values in (found.early, found.maps))
        return Forward(early, maps, torch.from_numpy(found.logits))

    return network


@torch.inference_mode()
def early_size(model: nn.Module) -> int:
    """D, how many early features `forward` gives of a picture; 0 where it gives none."""
    layout = layout_of(model)
    if layout is None or not layout.early:
        return 0
    mode = model.training
    found = forward(model.eval(), to_device_of(model, torch.zeros(1, 3, 64, 64))).early
    model.train(mode)
    assert found is not None
    return found.shape[1]


@dataclass(frozen=True)
class Layout:
    """A network as a row: images → blocks, one after the other → maps [N, C, h, w] → pool → head → logits.

    Its parts are the network's own, so later changes to it show.

    Attributes:
        early: places of the blocks EARLY, or none.
        plane: the axes over which a block's output spreads a picture.
    """

    blocks: tuple[Stage, ...]
    pool: Stage
    last: nn.Module
    early: tuple[int, ...] = ()
    plane: tuple[int, int] = (2, 3)

    def head(self, maps: Tensor) -> Tensor:
        """[N, C, h, w] → logits [N, 2]."""
        pooled = self.pool(maps)
        flattens_itself = any(isinstance(module, nn.Flatten) for module in self.last.modules())
        logits: Tensor = self.last(pooled if flattens_itself else torch.flatten(pooled, 1))
        return logits

    @property
    def linear(self) -> nn.Linear | None:
        """The head's one linear layer, where it is a mean over each map and that layer alone; None elsewhere."""
        leaves = [module for module in self.last.modules() if not isinstance(module, nn.Sequential)]
        layers = [module for module in leaves if not isinstance(module, nn.Dropout | nn.Flatten)]
        mean = self.pool is _mean or getattr(self.pool, "output_size", None) in (1, (1, 1))
        return layers[0] if mean and len(layers) == 1 and isinstance(layers[0], nn.Linear) else None


def _mean(maps: Tensor) -> Tensor:
    return maps.mean(dim=(2, 3), keepdim=True)


def layout_of(model: nn.Module) -> Layout | None:
    """How `model` is put together; None where that is no row of blocks with a head behind, as in a ViT."""
    if isinstance(model, models.ResNet):
        stem = (model.conv1, model.bn1, model.relu, model.maxpool)
        return Layout((*stem, model.layer1, model.layer2, model.layer3, model.layer4), model.avgpool, model.fc)
    if isinstance(model, models.RegNet):
        return Layout((model.stem, *model.trunk_output), model.avgpool, model.fc)
    if isinstance(model, models.ShuffleNetV2):
        blocks = (model.conv1, model.maxpool, model.stage2, model.stage3, model.stage4, model.conv5)
        return Layout(blocks, _mean, model.fc)
    if isinstance(model, models.MNASNet):
        return Layout((model.layers,), _mean, model.classifier)
    if isinstance(model, models.MaxVit):
        return Layout((model.stem, *model.blocks), nn.Identity(), model.classifier)
    features = getattr(model, "features", None)
    if not isinstance(features, nn.Sequential):
        return None
    early = EARLY if len(features) > EARLY[-1] else ()
    if isinstance(model, models.DenseNet):
        return Layout((*features, nn.functional.relu), _mean, model.classifier, early)
    if isinstance(model, models.SwinTransformer):  # channels come last until its own `permute`
        return Layout((*features, model.norm, model.permute), model.avgpool, model.head, early, (1, 2))
    classifier = getattr(model, "classifier", None)  # EfficientNet, ConvNeXt, MobileNetV2 and V3, VGG, AlexNet
    if not isinstance(classifier, nn.Module):
        return None
    return Layout(tuple(features), getattr(model, "avgpool", _mean), classifier, early)


Reshape = Callable[[Tensor], Tensor]


class Cut(nn.Module):
    """A network with a place between its last maps and its head, `maps`, where `grad-cam` can put its hooks.

    Raises:
        TrainingError: the network has neither maps nor tokens that stand for places in the picture.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.reshape: Reshape | None = None
        self.layer: nn.Module = nn.Identity()
        if isinstance(model, models.VisionTransformer):
            self.layer, self.reshape = model.encoder.layers[-1].ln_1, _tokens_to_maps
        elif layout_of(model) is None:
            raise TrainingError(
                f"No heat map could be made for {type(model).__name__}: choose another backbone, e.g. efficientnet_b3."
            )

    def forward(self, images: Tensor) -> Tensor:
        """[N, 3, S, S] → logits [N, 2]."""
        layout = layout_of(self.model)
        if layout is None:
            logits: Tensor = self.model(images)
            return logits
        for block in layout.blocks:
            images = block(images)
        return layout.head(self.layer(images))


def _tokens_to_maps(tokens: Tensor) -> Tensor:
    """[N, 1 + h·w, C], the class token first → [N, C, h, w]."""
    side = int((tokens.shape[1] - 1) ** 0.5)
    return tokens[:, 1:].transpose(1, 2).unflatten(2, (side, side))


def check_heat_map(model: nn.Module, image_size: int, backbone: str) -> None:
    """See before the training that `model` takes pictures of `image_size` pixels, and has a heat map for them.

    Args:
        model: on the device `meta`, where nothing is computed but sizes.

    Raises:
        TrainingError: it does not.
    """
    cut = Cut(model).eval()
    try:
        with torch.no_grad():
            logits = cut(torch.zeros(1, 3, image_size, image_size, device="meta"))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise TrainingError(
            f"Backbone {backbone} does not accept pictures of {image_size} pixels ({error}): choose another size or "
            "backbone."
        ) from error
    assert logits.shape == (1, len(CLASSES))
