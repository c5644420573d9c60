"""Heat maps: the same as the `grad-cam` package's, of every network, from threads too, and in place on the picture."""

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

from lesion_demo.checkpoint import LoadedCheckpoint
from lesion_demo.config import PreprocessSpec
from lesion_demo.errors import TrainingError
from lesion_demo.images.look import Look
from lesion_demo.images.phantom import render_phantom
from lesion_demo.images.transforms import eval_transform
from lesion_demo.network.forward import Cut, TorchEngine, layout_of
from lesion_demo.network.model import build_model, head_layer
from lesion_demo.serve.explanation import METHODS, Explainer, Heat, overlay, place

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


def picture_input(seed: int, size: int = SIZE) -> Tensor:
    return eval_transform(PreprocessSpec(image_size=size))(render_phantom(seed, malignant=seed % 2 == 0, size=SIZE))


def heats_of(model: nn.Module, inputs: Tensor, target: int, *, by_gradients: bool = False) -> dict[str, Heat]:
    return Explainer(model, by_gradients=by_gradients).heats(inputs, TorchEngine(model)(inputs), target)


class SignedEigenCAM(EigenCAM):
    """The package's EigenCAM with the package's own rule for the sign, which LAPACK leaves to chance."""

    def get_cam_image(self, *arguments: object) -> NDArray[np.float32]:
        maps = arguments[3]
        result: NDArray[np.float32] = get_2d_projection_with_sign_correction(maps)
        return result


REFERENCES = {"gradcam": GradCAM, "gradcam++": GradCAMPlusPlus, "hirescam": HiResCAM, "eigencam": SignedEigenCAM}
LAST = {
    "efficientnet_b0": "features.8",
    "mobilenet_v2": "features.18",
    "resnet18": "layer4",
    "shufflenet_v2_x0_5": "conv5",
    "regnet_y_400mf": "trunk_output",
    "mobilenet_v3_small": "features.12",
}
"""Small networks of torchvision's families, and the layer whose output the head begins with; the last has a head
that is more than a mean and one linear layer."""


def reference(
    model: nn.Module, inputs: Tensor, target: int, layer: str, method: str = "gradcam"
) -> NDArray[np.float32]:
    with REFERENCES[method](model=model, target_layers=[model.get_submodule(layer)]) as cam:
        result: NDArray[np.float32] = cam(inputs, [ClassifierOutputTarget(target)])[0]
    return result


@pytest.mark.parametrize("backbone", LAST)
def test_every_map_equals_that_of_the_grad_cam_package(backbone: str) -> None:
    model = network(backbone)
    layout = layout_of(model)
    assert layout is not None
    assert (layout.linear is None) == (backbone == "mobilenet_v3_small")
    for seed, target in ((20, 0), (21, 1)):
        inputs = picture_input(seed)[None]
        heats, differentiated = (heats_of(model, inputs, target, by_gradients=flag) for flag in (False, True))
        assert tuple(heats) == METHODS == tuple(REFERENCES)
        for method, heat in heats.items():
            assert heat.shape == (SIZE, SIZE)
            assert heat.dtype == np.float32
            expected = reference(model, inputs, target, LAST[backbone], method)
            assert expected.max() > 0.9, "an empty map is no comparison"
            np.testing.assert_allclose(heat, expected, atol=1e-3 if method == "eigencam" else 1e-4, err_msg=method)
            np.testing.assert_allclose(heat, differentiated[method], atol=1e-3 if method == "eigencam" else 1e-4)


def test_the_shipped_checkpoints_map_is_the_grad_cam_packages(shipped: LoadedCheckpoint) -> None:
    size = shipped.meta.preprocess.image_size
    for seed in (20, 21):
        inputs = picture_input(seed, size)[None]
        (heat,) = (heats_of(shipped.model, inputs, 1)[method] for method in ("gradcam",))
        expected = reference(shipped.model, inputs, 1, "features.8")
        assert expected.max() > 0.9
        np.testing.assert_allclose(heat, expected, atol=1e-5)


@pytest.mark.parametrize(("backbone", "size"), [("vit_b_32", 224), ("swin_t", 64), ("convnext_tiny", 64)])
def test_networks_of_another_build_have_a_map_too(backbone: str, size: int) -> None:
    torch.manual_seed(1)
    model = build_model(backbone).eval()
    heat = heats_of(model, picture_input(20, size)[None], 1)["hirescam"]
    assert heat.shape == (size, size)
    assert heat.max() == pytest.approx(1, abs=1e-3)
    assert heat.min() == 0


def test_dense_connections_are_pooled_behind_their_last_activation() -> None:
    """Whose maps the package itself cannot be hooked to: the network makes them outside of any layer."""
    model = network("densenet121")
    inputs = picture_input(20)[None]
    maps = torch.relu(model.get_submodule("features")(inputs)).detach()
    weighed = torch.einsum("c,chw->hw", head_layer(model).weight[1].detach(), maps[0]).relu()
    heat = heats_of(model, inputs, 1)["gradcam"]
    hottest = np.unravel_index(heat.argmax(), heat.shape)
    step = SIZE // weighed.shape[0]
    assert weighed[hottest[0] // step, hottest[1] // step] == weighed.max()
    np.testing.assert_allclose(heats_of(model, inputs, 1, by_gradients=True)["gradcam"], heat, atol=1e-4)


def test_a_network_of_which_no_map_can_be_made_says_so() -> None:
    class Odd(nn.Module):
        """Pixels straight into a linear layer."""

        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(3, 2)

    with pytest.raises(TrainingError, match=r"No heat map could be made of Odd: choose another backbone"):
        Explainer(Odd())
    with pytest.raises(TrainingError, match="Odd"):
        Cut(Odd())


def test_eigencam_is_the_packages_but_for_the_sign() -> None:
    model = network("resnet18")
    projections = []
    for seed in range(20, 26):
        inputs = picture_input(seed)[None]
        maps = TorchEngine(model)(inputs).maps
        assert maps is not None
        heat = heats_of(model, inputs, 1)["eigencam"]
        (projection,) = get_2d_projection(maps.numpy().copy())
        turned = -projection if abs(projection.min()) > projection.max() else projection
        hottest = np.unravel_index(turned.argmax(), turned.shape)
        step = SIZE // turned.shape[0]
        assert heat[hottest[0] * step + step // 2, hottest[1] * step + step // 2] > 0.9
        np.testing.assert_array_equal(heat, heats_of(model, inputs, 0)["eigencam"])
        projections.append(projection)
    assert {abs(p.min()) > p.max() for p in projections} == {True, False}, "both signs should have come up"


def test_hirescam_is_grad_cam_only_where_the_head_is_a_mean_and_a_line() -> None:
    inputs = picture_input(20)[None]
    linear, deeper = (heats_of(network(backbone), inputs, 1) for backbone in ("resnet18", "vgg11_bn"))
    np.testing.assert_allclose(linear["hirescam"], linear["gradcam"], atol=1e-4)
    assert np.abs(deeper["hirescam"] - deeper["gradcam"]).max() > 0.1
    assert np.abs(linear["gradcam++"] - linear["gradcam"]).max() > 0.01


def test_the_two_classes_have_different_maps_that_span_0_to_1() -> None:
    model = network("resnet18")
    benign, malignant = (heats_of(model, picture_input(20)[None], target)["gradcam"] for target in (0, 1))
    assert np.abs(benign - malignant).max() > 0.2
    assert malignant.min() >= 0
    assert malignant.max() == pytest.approx(1, abs=1e-3)


def test_a_class_that_nothing_speaks_for_has_an_empty_map() -> None:
    model = network("resnet18")
    with torch.no_grad():
        head_layer(model).weight[1] = -head_layer(model).weight[1].abs()  # ReLU maps: nothing can raise class 1
    heats = heats_of(model, picture_input(20)[None], 1)
    assert [method for method, heat in heats.items() if heat.any()] == ["eigencam"]
    assert heats_of(model, picture_input(20)[None], 0)["gradcam"].any()


@pytest.mark.parametrize("by_gradients", [False, True])
def test_the_network_is_left_as_it_was(by_gradients: bool) -> None:
    model = network("resnet18")
    heats_of(model, picture_input(20)[None], 1, by_gradients=by_gradients)
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("by_gradients", [False, True])
def test_threads_get_the_map_of_their_own_picture(by_gradients: bool) -> None:
    model = network("resnet18")
    explainer, engine = Explainer(model, by_gradients=by_gradients), TorchEngine(model)
    inputs = [picture_input(seed)[None] for seed in range(20, 24)]
    expected = [heats_of(model, one, 1) for one in inputs]

    def asked(i: int) -> dict[str, Heat]:
        return explainer.heats(inputs[i % 4], engine(inputs[i % 4]), 1)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(asked, range(16 if by_gradients else 64)))
    for method in METHODS:
        worst = max(float(np.abs(heats[method] - expected[i % 4][method]).max()) for i, heats in enumerate(found))
        assert worst < 1e-3
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
