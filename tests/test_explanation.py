"""Grad-CAM without hooks: the same map as the `grad-cam` package's, from threads too, in its place on the picture."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from lesion_demo.config import PreprocessSpec
from lesion_demo.imaging.phantom import render_phantom
from lesion_demo.imaging.transforms import eval_transform, visible_part
from lesion_demo.learning.model import build_model, cam_layer, head_layer
from lesion_demo.serving.explanation import explain, overlay, place

SIZE = 96


def network(backbone: str) -> nn.Module:
    """A random network whose batch norms have seen pictures, so that its maps are of ordinary size."""
    torch.manual_seed(1)
    model = build_model(backbone)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # a plain average over the batches that it sees
    model.train()
    with torch.no_grad():
        model(torch.stack([picture_input(seed) for seed in range(8)]))
    return model.eval()


def picture_input(seed: int) -> Tensor:
    return eval_transform(PreprocessSpec(image_size=SIZE))(render_phantom(seed, malignant=seed % 2 == 0, size=SIZE))


def reference(model: nn.Module, inputs: Tensor, target: int) -> NDArray[np.float32]:
    with GradCAM(model=model, target_layers=[cam_layer(model)]) as cam:
        result: NDArray[np.float32] = cam(inputs, [ClassifierOutputTarget(target)])[0]
    return result


@pytest.mark.parametrize("backbone", ["efficientnet_b0", "resnet18", "resnet50"])
def test_map_equals_that_of_the_grad_cam_package(backbone: str) -> None:
    model = network(backbone)
    for seed in (20, 21):
        for target in (0, 1):
            inputs = picture_input(seed)[None]
            heat = explain(model, inputs, target)
            assert heat.shape == (SIZE, SIZE)
            assert heat.dtype == np.float32
            np.testing.assert_allclose(heat, reference(model, inputs, target), atol=1e-4)


def test_the_two_classes_have_different_maps_that_span_0_to_1() -> None:
    model = network("resnet18")
    benign, malignant = (explain(model, picture_input(20)[None], target) for target in (0, 1))
    assert np.abs(benign - malignant).max() > 0.2
    assert malignant.min() >= 0
    assert malignant.max() == pytest.approx(1, abs=1e-3)


def test_a_class_that_nothing_speaks_for_has_an_empty_map() -> None:
    model = network("resnet18")
    with torch.no_grad():
        head_layer(model).weight[1] = -head_layer(model).weight[1].abs()  # ReLU maps: nothing can raise class 1
    assert not explain(model, picture_input(20)[None], 1).any()
    assert explain(model, picture_input(20)[None], 0).any()


def test_parameters_collect_no_gradients_and_frozen_ones_do_not_matter() -> None:
    model = network("resnet18")
    free = explain(model, picture_input(20)[None], 1)
    assert all(parameter.grad is None for parameter in model.parameters())
    model.requires_grad_(False)
    np.testing.assert_array_equal(explain(model, picture_input(20)[None], 1), free)


def test_threads_get_the_map_of_their_own_picture() -> None:
    model = network("resnet18").requires_grad_(False)
    inputs = [picture_input(seed)[None] for seed in range(20, 24)]
    expected = [explain(model, one, 1) for one in inputs]
    with ThreadPoolExecutor(8) as pool:
        heats = list(pool.map(lambda i: explain(model, inputs[i % 4], 1), range(64)))
    worst = max(float(np.abs(heat - expected[i % 4]).max()) for i, heat in enumerate(heats))
    assert worst < 1e-4
    assert np.abs(expected[0] - expected[1]).max() > 0.1


def test_map_lands_on_the_square_that_the_network_saw() -> None:
    picture = np.full((100, 160, 3), 120, np.uint8)
    visible = visible_part(PreprocessSpec(image_size=SIZE), picture)
    heat = np.zeros((SIZE, SIZE), np.float32)
    heat[: SIZE // 2, : SIZE // 2] = 1  # the top left quarter of what was seen
    placed = place(heat, visible, (100, 160))
    assert visible == (30, 0, 100, 100)
    assert placed.shape == (100, 160)
    assert placed[25, 55] == 1
    assert placed[:48, 32:78].min() > 0.9
    assert not placed[:, :30].any()
    assert not placed[:, 130:].any()
    assert not placed[53:].any()
    assert not placed[:, 83:].any()


def test_overlay_is_the_picture_where_cold_and_bright_where_hot() -> None:
    picture = np.full((2, 2, 3), 60, np.uint8)
    heat = np.array([[0, 0.1], [0.5, 1]], np.float32)
    result = overlay(picture, heat, 0.6)
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result[0, 0], picture[0, 0])
    distance = np.abs(result.astype(int) - picture).sum(axis=-1)
    assert 0 < distance[0, 1] < distance[1, 0] < distance[1, 1]
    assert distance[0, 1] < 20
    assert result[1, 1].mean() > 150
    np.testing.assert_array_equal(overlay(picture, heat, 0.0), picture)
    np.testing.assert_array_equal(picture, 60)
