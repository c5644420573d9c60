"""The network: its head, and what freezing freezes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lesion_demo.errors import TrainingError
from lesion_demo.network.model import (
    backbone_parameters,
    build_model,
    feature_blocks,
    head_layer,
    head_parameters,
    set_train_mode,
    set_trainable,
)

FAMILIES = ("efficientnet_b0", "resnet18", "mobilenet_v3_small", "convnext_tiny")


def images(count: int = 2, size: int = 48) -> Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(0))


def test_default_backbone_is_b3_with_two_outputs() -> None:
    model = build_model(dropout=0.4)
    dropout, linear = list(model.get_submodule("classifier").children())
    assert isinstance(linear, nn.Linear)
    assert (linear.in_features, linear.out_features) == (1536, 2)
    assert isinstance(dropout, nn.Dropout)
    assert dropout.p == 0.4


@pytest.mark.parametrize("backbone", [*FAMILIES, "vit_b_32", "densenet121"])
def test_head_has_two_outputs_and_the_dropout_asked_for(backbone: str) -> None:
    model = build_model(backbone, dropout=0.25)
    assert head_layer(model).out_features == 2
    part = next(getattr(model, name) for name in ("classifier", "fc", "head", "heads") if hasattr(model, name))
    assert [module.p for module in part.modules() if isinstance(module, nn.Dropout)] == [0.25]


def test_head_and_backbone_share_out_all_parameters() -> None:
    model = build_model("resnet18")
    head, backbone = head_parameters(model), backbone_parameters(model)
    assert [tuple(parameter.shape) for parameter in head] == [(2, 512), (2,)]
    assert len(head) + len(backbone) == len(list(model.parameters()))
    assert not {id(parameter) for parameter in head} & {id(parameter) for parameter in backbone}


@pytest.mark.parametrize("backbone", ["efficientnet_b33", "fasterrcnn_resnet50_fpn", ""])
def test_unknown_backbone_is_refused_with_examples(backbone: str) -> None:
    with pytest.raises(TrainingError, match="efficientnet_b3"):
        build_model(backbone)


@pytest.mark.filterwarnings("ignore:The default weight initialization of GoogleNet:FutureWarning")
@pytest.mark.parametrize("backbone", ["squeezenet1_1", "googlenet"])
def test_backbone_without_one_linear_head_is_refused(backbone: str) -> None:
    with pytest.raises(TrainingError, match="head"):
        build_model(backbone)


@pytest.mark.parametrize("backbone", FAMILIES)
def test_frozen_backbone_leaves_only_the_head(backbone: str) -> None:
    model = build_model(backbone)
    set_trainable(model, train_backbone=False)
    assert all(parameter.requires_grad for parameter in head_parameters(model))
    assert not any(parameter.requires_grad for parameter in backbone_parameters(model))
    set_trainable(model, train_backbone=True)
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize(("backbone", "frozen"), [("efficientnet_b0", 3), ("resnet18", 2)])
def test_frozen_blocks_are_the_leading_ones(backbone: str, frozen: int) -> None:
    model = build_model(backbone)
    set_trainable(model, train_backbone=True, frozen_blocks=frozen)
    for position, block in enumerate(feature_blocks(model)):
        assert {parameter.requires_grad for parameter in block.parameters()} == {position >= frozen}


def test_feature_blocks_make_up_the_backbone() -> None:
    for backbone, count in (("efficientnet_b0", 9), ("resnet18", 5)):
        model = build_model(backbone)
        blocks = feature_blocks(model)
        assert len(blocks) == count
        in_blocks = sum(parameter.numel() for block in blocks for parameter in block.parameters())
        assert in_blocks == sum(parameter.numel() for parameter in backbone_parameters(model))


@pytest.mark.parametrize("frozen", [-1, 10])
def test_impossible_number_of_frozen_blocks_is_refused(frozen: int) -> None:
    with pytest.raises(TrainingError, match="9 feature blocks"):
        set_trainable(build_model("efficientnet_b0"), train_backbone=True, frozen_blocks=frozen)


def running_means(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items() if name.endswith("running_mean")}


@pytest.mark.parametrize("backbone", ["efficientnet_b0", "resnet18"])
@pytest.mark.parametrize(("train_backbone", "frozen_blocks"), [(False, 0), (True, 3), (True, 0)])
def test_train_mode_moves_only_the_statistics_that_learn(
    backbone: str, train_backbone: bool, frozen_blocks: int
) -> None:
    model = build_model(backbone)
    set_trainable(model, train_backbone=train_backbone, frozen_blocks=frozen_blocks)
    model.train()  # as a loop that knows nothing of frozen parts would
    set_train_mode(model)
    before = running_means(model)
    model(images(size=64))
    after = running_means(model)
    learns = {name.rpartition(".")[0]: parameter.requires_grad for name, parameter in model.named_parameters()}
    for name, value in before.items():
        assert torch.equal(value, after[name]) != learns[name.rpartition(".")[0]], name


def test_train_mode_keeps_the_heads_dropout() -> None:
    model = build_model("efficientnet_b0")
    set_trainable(model, train_backbone=False)
    set_train_mode(model)
    assert model.get_submodule("classifier.0").training
    assert not model.get_submodule("features").training
    assert model.training
