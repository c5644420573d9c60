"""Heat maps: they sum to the answer, look the same on every network's scale, and lie in place on the picture."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

from lesion_demo.checkpoint import LoadedCheckpoint
from lesion_demo.config import PreprocessSpec
from lesion_demo.errors import TrainingError
from lesion_demo.images.look import Look
from lesion_demo.images.phantom import render_phantom
from lesion_demo.images.prepare import Inputs, prepare
from lesion_demo.network.engine import Array, Forward, in_turns
from lesion_demo.network.forward import Cut, TorchEngine, layout_of
from lesion_demo.network.model import build_model, head_layer
from lesion_demo.serve.analysis import Analyzer
from lesion_demo.serve.explanation import FULL, SILENT, TENTH, Explainer, HeatMap, colours, overlay, place

SIZE = 96
SQUARE = PreprocessSpec(image_size=SIZE)
ROUND = PreprocessSpec(image_size=SIZE, round_window=True)
ALL = np.ones((2, 2), bool)


def network(backbone: str, seed: int = 1) -> nn.Module:
    """A random network whose batch norms have seen pictures, so that its maps are of ordinary size."""
    torch.manual_seed(seed)
    model = build_model(backbone)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # a plain average over the batches that it sees
    model.train()
    with torch.no_grad():
        model(torch.from_numpy(np.stack([picture_input(seed) for seed in range(8)])))
    return model.eval()


def picture_input(seed: int, spec: PreprocessSpec = SQUARE) -> Inputs:
    return prepare(render_phantom(seed, malignant=seed % 2 == 0, size=SIZE), spec)


def explained(model: nn.Module, inputs: Inputs, spec: PreprocessSpec = SQUARE) -> tuple[HeatMap, Forward[Array]]:
    engine = TorchEngine(model)
    found = in_turns(engine, inputs, spec.turns, np)
    return Explainer(engine, spec).explain(inputs, found), found


def log_odds_of(found: Forward[Array]) -> float:
    return float(found.logits[0, 1] - found.logits[0, 0])


def sum_of(heat: HeatMap) -> float:
    assert heat.outside is not None
    assert heat.bias is not None
    return heat.speaks_for + heat.speaks_against + heat.outside + heat.bias


@pytest.mark.parametrize("spec", [SQUARE, ROUND, replace(ROUND, turns=4), replace(ROUND, image_size=100)])
def test_map_remainder_and_bias_sum_to_the_log_odds(spec: PreprocessSpec) -> None:
    model = network("resnet18")
    with torch.no_grad():
        head_layer(model).bias[1] += 0.7
    heat, found = explained(model, picture_input(20, spec)[None], spec)
    assert heat.absolute
    assert sum_of(heat) == pytest.approx(log_odds_of(found), abs=1e-4)
    assert (heat.outside == 0) == (not spec.round_window)


def test_the_shipped_checkpoints_map_sums_to_its_log_odds(shipped: LoadedCheckpoint) -> None:
    spec = shipped.meta.preprocess
    for seed in (20, 21):
        heat, found = explained(shipped.model, picture_input(seed, spec)[None], spec)
        assert sum_of(heat) == pytest.approx(log_odds_of(found), abs=1e-3)
        assert heat.outside != 0
        assert heat.values.std() > 0.01
        assert not heat.drawn[0, 0]
        assert not heat.values[~heat.seen].any()


def test_a_place_is_told_by_what_a_tenth_of_the_area_would_add() -> None:
    """Weights that read channel 0 alone: the log-odds are its mean over the picture, and so is every place."""
    model = network("resnet18")
    with torch.no_grad():
        head_layer(model).weight[:], head_layer(model).bias[:] = 0, 0
        head_layer(model).weight[1, 0] = 1
    maps, inputs = np.zeros((1, 512, 3, 3), np.float32), np.zeros((1, 3, SIZE, SIZE), np.float32)
    maps[0, 0] = 5.0
    engine, found = TorchEngine(model), Forward(None, maps, np.zeros((1, 2), np.float32))
    heat = Explainer(engine, SQUARE).explain(inputs, found)
    np.testing.assert_allclose(heat.values, 5.0 * TENTH, rtol=1e-5)
    assert heat.speaks_for == pytest.approx(5.0, rel=1e-5)
    round_one = Explainer(engine, ROUND).explain(inputs, found)
    assert round_one.speaks_for + (round_one.outside or 0) == pytest.approx(5.0, rel=1e-4)
    assert round_one.speaks_for == pytest.approx(5.0 * math.pi / 4, rel=0.01)


def test_full_colour_means_the_same_in_every_picture() -> None:
    """Twice as strong is twice the colour, up to the limit: nothing is stretched."""
    weak, strong = (HeatMap(np.full((2, 2), FULL * share, np.float32), ALL, 0.0, 0.0) for share in (0.25, 0.5))
    np.testing.assert_allclose(weak.drawn, 0.25)
    np.testing.assert_allclose(strong.drawn, 0.5)
    against = HeatMap(np.full((2, 2), -3 * FULL, np.float32), ALL, 0.0, 0.0)
    np.testing.assert_array_equal(against.drawn, -1)


def test_little_that_speaks_for_malignant_is_called_nothing_and_has_no_colour() -> None:
    def of(total: float) -> HeatMap:
        return HeatMap(np.array([[total * TENTH * 4, 0], [-0.2, -0.2]], np.float32), ALL, 0.0, 0.0)

    assert of(SILENT * 0.99).silent
    assert of(SILENT * 0.99).drawn.max() == 0
    assert of(SILENT * 0.99).drawn.min() < 0
    assert of(SILENT * 0.99).mass_on(ALL) is None
    assert not of(SILENT * 1.01).silent
    assert of(SILENT * 1.01).drawn.max() > 0


def test_share_and_hottest_spot_on_the_lesion() -> None:
    heat = HeatMap(np.array([[3, 1], [-9, 0]], np.float32), ALL, 0.0, 0.0)
    assert heat.hottest == (0, 0)
    assert heat.mass_on(np.array([[True, False], [True, True]])) == pytest.approx(0.75)
    cold = replace(heat, values=-np.ones((2, 2), np.float32), seen=np.array([[False, True], [True, True]]))
    assert cold.hottest != (0, 0), "what was not seen is not the hottest spot, however cold the rest"


@pytest.mark.parametrize("spec", [SQUARE, ROUND])
def test_nothing_is_drawn_outside_of_what_the_network_saw(spec: PreprocessSpec) -> None:
    heat, _ = explained(network("resnet18"), picture_input(20, spec)[None], spec)
    assert heat.seen.all() == (not spec.round_window)
    assert heat.drawn[heat.seen].any()
    assert not heat.drawn[~heat.seen].any()
    if spec.round_window:
        assert not heat.seen[:10, :10].any()
        assert heat.seen.mean() == pytest.approx(math.pi / 4, abs=0.03)


def test_heat_map_turns_with_the_picture(shipped: LoadedCheckpoint) -> None:
    meta = replace(shipped.meta, preprocess=replace(shipped.meta.preprocess, turns=4))
    analyzer, picture = Analyzer(replace(shipped, meta=meta)), render_phantom(4, malignant=True, size=300)
    upright, turned = (analyzer.analyze(np.rot90(picture, turn)).heat for turn in (0, 1))
    apart = np.abs(np.rot90(upright.values) - turned.values).max()
    assert np.abs(upright.values).max() > 20 * apart


def test_maps_of_a_network_with_random_weights_differ(shipped: LoadedCheckpoint) -> None:
    """As they must if they tell of the network, not of the picture's edges (Adebayo et al. 2018, arXiv 1810.03292)."""
    spec, inputs = shipped.meta.preprocess, picture_input(20, shipped.meta.preprocess)[None]
    heat, _ = explained(shipped.model, inputs, spec)
    for seed in (1, 2):
        torch.manual_seed(seed)
        other, _ = explained(build_model(shipped.meta.backbone).eval(), inputs, spec)
        ranks = [np.argsort(np.argsort(one.values[one.seen])) for one in (heat, other)]
        assert abs(float(np.corrcoef(np.stack(ranks)).ravel()[1])) < 0.7
        assert np.abs(heat.values - other.values).max() > 0.5 * np.abs(heat.values).max()


def reference(model: nn.Module, inputs: Inputs, layer: str) -> NDArray[np.float32]:
    with GradCAM(model=model, target_layers=[model.get_submodule(layer)]) as cam:
        result: NDArray[np.float32] = cam(torch.from_numpy(inputs), [ClassifierOutputTarget(1)])[0]
    return result


def test_other_heads_have_the_relative_map_of_the_grad_cam_package() -> None:
    model = network("mobilenet_v3_small")
    layout = layout_of(model)
    assert layout is not None
    assert layout.linear is None
    inputs = picture_input(20)[None]
    heat, _ = explained(model, inputs)
    assert not heat.absolute
    assert heat.bias is None
    expected = reference(model, inputs, "features.12")
    assert expected.max() > 0.9, "an empty map is no comparison"
    np.testing.assert_allclose(heat.drawn, expected, atol=1e-4)


@pytest.mark.parametrize(("backbone", "size"), [("vit_b_32", 224), ("swin_t", 64), ("convnext_tiny", 64)])
def test_networks_of_another_build_have_a_map_too(backbone: str, size: int) -> None:
    torch.manual_seed(1)
    model, spec = build_model(backbone).eval(), PreprocessSpec(image_size=size, turns=4)
    heat, found = explained(model, picture_input(20, spec)[None], spec)
    assert heat.values.shape == (size, size)
    if heat.absolute:
        assert sum_of(heat) == pytest.approx(log_odds_of(found), abs=1e-3)
    else:
        assert heat.drawn.max() == pytest.approx(1, abs=1e-3)
        assert heat.drawn.min() == 0


def test_a_network_of_which_no_map_can_be_made_says_so() -> None:
    class Odd(nn.Module):
        """Pixels straight into a linear layer."""

        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(3, 2)

    with pytest.raises(TrainingError, match=r"No heat map could be made for Odd: choose another backbone"):
        Explainer(TorchEngine(Odd()), SQUARE)
    with pytest.raises(TrainingError, match="Odd"):
        Cut(Odd())


@pytest.mark.parametrize("backbone", ["resnet18", "mobilenet_v3_small"])
def test_the_network_is_left_as_it_was(backbone: str) -> None:
    model = network(backbone)
    explained(model, picture_input(20)[None])
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("backbone", ["resnet18", "mobilenet_v3_small"])
def test_threads_get_the_map_of_their_own_picture(backbone: str) -> None:
    model = network(backbone)
    engine = TorchEngine(model)
    explainer = Explainer(engine, SQUARE)
    inputs = [picture_input(seed)[None] for seed in range(20, 24)]
    expected = [explainer.explain(one, engine(one)).values for one in inputs]

    def asked(i: int) -> NDArray[np.float32]:
        return explainer.explain(inputs[i % 4], engine(inputs[i % 4])).values

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(asked, range(16)))
    assert max(float(np.abs(values - expected[i % 4]).max()) for i, values in enumerate(found)) < 1e-3
    assert np.abs(expected[0] - expected[1]).max() > 0.01


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


def test_overlay_is_the_picture_where_nothing_is_said() -> None:
    picture = np.full((2, 3, 3), 60, np.uint8)
    heat = np.array([[0, 0.1, 0.5], [1, -0.5, -1]], np.float32)
    result = overlay(picture, heat, 0.6)
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result[0, 0], picture[0, 0])
    distance = np.abs(result.astype(int) - picture).sum(axis=-1)
    assert 0 < distance[0, 1] < distance[0, 2] < distance[1, 0]
    np.testing.assert_array_equal(overlay(picture, heat, 0.0), picture)
    np.testing.assert_array_equal(picture, 60)


def test_the_two_directions_differ_in_lightness_too() -> None:
    """So that they can be told apart without colour: for is lighter the stronger it is, against is darker."""
    steps = np.linspace(-1, 1, 41, dtype=np.float32)
    lightness = colours(steps) @ np.array([0.2126, 0.7152, 0.0722])
    assert np.all(np.diff(lightness[:20]) > 0)
    assert np.all(np.diff(lightness[20:]) > 0)
    assert lightness[-1] - lightness[0] > 150
    warm, cool = colours(np.array([1, -1], np.float32))
    assert warm[0] > warm[2]
    assert cool[2] > cool[0]
