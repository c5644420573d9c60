"""Heat maps without hooks: the same as the `grad-cam` package's, from threads too, and in place on the picture."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pytorch_grad_cam import EigenCAM, GradCAM, GradCAMPlusPlus, HiResCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from pytorch_grad_cam.utils.svd_on_activations import get_2d_projection, get_2d_projection_with_sign_correction
from torch import Tensor, nn

from lesion_demo.config import PreprocessSpec
from lesion_demo.imaging.look import Look
from lesion_demo.imaging.phantom import render_phantom
from lesion_demo.imaging.transforms import eval_transform
from lesion_demo.learning.model import build_model, cam_layer, head_layer
from lesion_demo.serving.explanation import METHODS, explain, explain_all, overlay, place

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


class SignedEigenCAM(EigenCAM):
    """The package's EigenCAM with the package's own rule for the sign, which LAPACK leaves to chance."""

    def get_cam_image(self, *arguments: object) -> NDArray[np.float32]:
        maps = arguments[3]
        result: NDArray[np.float32] = get_2d_projection_with_sign_correction(maps)
        return result


REFERENCES = {"gradcam": GradCAM, "gradcam++": GradCAMPlusPlus, "hirescam": HiResCAM, "eigencam": SignedEigenCAM}


def reference(model: nn.Module, inputs: Tensor, target: int, method: str = "gradcam") -> NDArray[np.float32]:
    with REFERENCES[method](model=model, target_layers=[cam_layer(model)]) as cam:
        result: NDArray[np.float32] = cam(inputs, [ClassifierOutputTarget(target)])[0]
    return result


@pytest.mark.parametrize("backbone", ["efficientnet_b3", "mobilenet_v3_small", "resnet18", "vgg11_bn"])
def test_every_map_equals_that_of_the_grad_cam_package(backbone: str) -> None:
    model = network(backbone)
    for seed, target in ((20, 0), (21, 1)):
        inputs = picture_input(seed)[None]
        heats = explain_all(model, inputs, target).heats
        assert tuple(heats) == METHODS == tuple(REFERENCES)
        for method, heat in heats.items():
            assert heat.shape == (SIZE, SIZE)
            assert heat.dtype == np.float32
            expected = reference(model, inputs, target, method)
            assert expected.max() > 0.9, "an empty map is no comparison"
            np.testing.assert_allclose(heat, expected, atol=1e-3 if method == "eigencam" else 1e-4, err_msg=method)


def test_eigencam_is_the_packages_but_for_the_sign() -> None:
    model = network("resnet18")
    projections = []
    for seed in range(20, 26):
        inputs = picture_input(seed)[None]
        explained = explain_all(model, inputs, 1)
        (projection,) = get_2d_projection(explained.maps.numpy())
        turned = -projection if abs(projection.min()) > projection.max() else projection
        hottest = np.unravel_index(turned.argmax(), turned.shape)
        step = SIZE // turned.shape[0]
        assert explained.heats["eigencam"][hottest[0] * step + step // 2, hottest[1] * step + step // 2] > 0.9
        np.testing.assert_array_equal(explained.heats["eigencam"], explain_all(model, inputs, 0).heats["eigencam"])
        projections.append(projection)
    assert {abs(p.min()) > p.max() for p in projections} == {True, False}, "both signs should have come up"


def test_hirescam_is_grad_cam_only_where_the_head_is_a_mean_and_a_line() -> None:
    inputs = picture_input(20)[None]
    linear, deeper = (
        explain_all(network("resnet18"), inputs, 1).heats,
        explain_all(network("vgg11_bn"), inputs, 1).heats,
    )
    np.testing.assert_allclose(linear["hirescam"], linear["gradcam"], atol=1e-4)
    assert np.abs(deeper["hirescam"] - deeper["gradcam"]).max() > 0.1
    assert np.abs(linear["gradcam++"] - linear["gradcam"]).max() > 0.01


@pytest.mark.parametrize("backbone", ["efficientnet_b3", "resnet18"])
def test_logits_are_the_networks_own(backbone: str) -> None:
    model, inputs = network(backbone), picture_input(20)[None]
    explained = explain_all(model, inputs, 1)
    with torch.no_grad():
        torch.testing.assert_close(explained.logits, model(inputs)[0], rtol=0, atol=1e-6)
    assert not explained.logits.requires_grad
    assert not explained.maps.requires_grad


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
    heats = explain_all(model, picture_input(20)[None], 1).heats
    assert [method for method, heat in heats.items() if heat.any()] == ["eigencam"]
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
    expected = [explain_all(model, one, 1).heats for one in inputs]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda i: explain_all(model, inputs[i % 4], 1).heats, range(64)))
    for method in METHODS:
        worst = max(float(np.abs(heats[method] - expected[i % 4][method]).max()) for i, heats in enumerate(found))
        assert worst < 1e-4
        assert np.abs(expected[0][method] - expected[1][method]).max() > 0.1


def test_map_lands_on_the_square_that_the_network_saw() -> None:
    picture = np.full((100, 160, 3), 120, np.uint8)
    visible = Look.of(picture).visible(PreprocessSpec(image_size=SIZE)).corner_and_size
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
