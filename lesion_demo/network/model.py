"""Build a backbone with a two-class head, and freeze parts of it."""

from __future__ import annotations

import torchvision
from torch import nn

from lesion_demo.config import CLASSES
from lesion_demo.errors import TrainingError

HEAD_ATTRIBUTES = ("classifier", "fc", "head", "heads")
"""Where torchvision's classification models keep their last layers."""


def build_model(backbone: str = "efficientnet_b3", *, dropout: float = 0.3) -> nn.Module:
    """A torchvision classification network with random weights and a new head: images [N, 3, H, W] → logits [N, 2].

    The columns follow `config.CLASSES`. Dropout acts before the last linear layer; where torchvision has none, one is
    added. `efficientnet_b3` has a pooled feature of 1,536 numbers.

    Raises:
        TrainingError: the name is unknown, or the network has no single linear head.
    """
    names = torchvision.models.list_models(module=torchvision.models)
    if backbone not in names:
        raise TrainingError(
            f"Backbone {backbone!r} is not a torchvision classification model; "
            "try efficientnet_b3, efficientnet_b0, convnext_tiny or resnet50."
        )
    model: nn.Module = torchvision.models.get_model(backbone, weights=None)
    if getattr(model, "aux_logits", False):
        raise TrainingError(f"Backbone {backbone!r} has auxiliary heads; choose one with a single head.")
    _replace_head(model, dropout)
    return model


def head_name(model: nn.Module) -> str:
    """Qualified name of the last linear layer, `classifier.1` in an EfficientNet.

    Raises:
        TrainingError: there is none.
    """
    for attribute in HEAD_ATTRIBUTES:
        part = getattr(model, attribute, None)
        if not isinstance(part, nn.Module):
            continue
        linear = [name for name, module in part.named_modules() if isinstance(module, nn.Linear)]
        if linear:
            return ".".join(filter(None, (attribute, linear[-1])))
    raise TrainingError(
        f"{type(model).__name__} has no linear layer in {', '.join(HEAD_ATTRIBUTES)} to use as its head."
    )


def head_layer(model: nn.Module) -> nn.Linear:
    """The last linear layer, pooled features [N, C] → logits [N, 2]."""
    layer = model.get_submodule(head_name(model))
    assert isinstance(layer, nn.Linear)
    return layer


def _replace_head(model: nn.Module, dropout: float) -> None:
    """Swap the last linear layer for one with an output per class, and set the dropout before it."""
    name = head_name(model)
    attribute = name.split(".", maxsplit=1)[0]
    linear = nn.Linear(head_layer(model).in_features, len(CLASSES))
    drops = [module for module in model.get_submodule(attribute).modules() if isinstance(module, nn.Dropout)]
    for drop in drops:
        drop.p = dropout
    parent, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(parent), leaf, linear if drops else nn.Sequential(nn.Dropout(dropout), linear))


def head_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Weight [2, C] and bias [2] of the last linear layer."""
    return list(head_layer(model).parameters())


def backbone_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Every parameter that is not in the head."""
    head = {id(parameter) for parameter in head_parameters(model)}
    return [parameter for parameter in model.parameters() if id(parameter) not in head]


def feature_blocks(model: nn.Module) -> list[nn.Module]:
    """The backbone from input to output as the pieces that `frozen_blocks` counts.

    The children of `model.features`, nine in an EfficientNet; in a ResNet the stem and its four layers.

    Raises:
        TrainingError: the network is not laid out that way.
    """
    if isinstance(model, torchvision.models.ResNet):
        stem = nn.ModuleList([model.conv1, model.bn1])
        return [stem, model.layer1, model.layer2, model.layer3, model.layer4]
    features = getattr(model, "features", None)
    if not isinstance(features, nn.Sequential):
        raise TrainingError(
            f"{type(model).__name__} has no sequence of feature blocks to freeze: use frozen_blocks = 0."
        )
    return list(features.children())


def set_trainable(model: nn.Module, *, train_backbone: bool, frozen_blocks: int = 0) -> None:
    """Set `requires_grad` everywhere: the head always learns, the backbone on request, save its first blocks.

    Raises:
        TrainingError: there are fewer blocks than `frozen_blocks`.
    """
    for parameter in backbone_parameters(model):
        parameter.requires_grad_(train_backbone)
    for parameter in head_parameters(model):
        parameter.requires_grad_(True)
    if not train_backbone or frozen_blocks == 0:
        return
    blocks = feature_blocks(model)
    if not 0 <= frozen_blocks <= len(blocks):
        raise TrainingError(f"frozen_blocks is {frozen_blocks}, but the network has {len(blocks)} feature blocks.")
    for block in blocks[:frozen_blocks]:
        block.requires_grad_(False)


def set_train_mode(model: nn.Module) -> None:
    """`model.train()`, but with every wholly frozen module in eval mode; call it at the start of each epoch.

    A frozen batch norm then keeps its statistics, and frozen blocks drop no paths.
    """
    model.train()
    _quieten_frozen(model)


def _quieten_frozen(module: nn.Module) -> None:
    parameters = list(module.parameters())
    if parameters and not any(parameter.requires_grad for parameter in parameters):
        module.eval()
        return
    for child in module.children():
        _quieten_frozen(child)
