"""Four turns of a picture: their mean is what is said, by everything that asks a checkpoint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from lesion_demo.checkpoint import LoadedCheckpoint
from lesion_demo.config import OperatingPoint, PreprocessSpec, Turns
from lesion_demo.data.folders import scan
from lesion_demo.data.split_file import read_split
from lesion_demo.evaluate.reporting import Scorer
from lesion_demo.images import Pixels
from lesion_demo.images.load import load_image
from lesion_demo.images.phantom import render_phantom
from lesion_demo.images.transforms import eval_transform
from lesion_demo.network.engine import AT_ONCE, Array, Forward, in_turns
from lesion_demo.network.forward import forward
from lesion_demo.network.model import build_model
from lesion_demo.recipes import PRESETS
from lesion_demo.run_folder import SPLIT_FILE
from lesion_demo.serve.analysis import Analyzer
from lesion_demo.serve.classifier import Predictor
from lesion_demo.serve.scoring import score_files

SPEC = PreprocessSpec(image_size=64, turns=4)


def looking(loaded: LoadedCheckpoint, turns: Turns) -> LoadedCheckpoint:
    return replace(loaded, meta=replace(loaded.meta, preprocess=replace(loaded.meta.preprocess, turns=turns)))


def test_turns_are_averaged_and_their_disagreement_is_kept(phantom_data: Path) -> None:
    torch.manual_seed(0)
    model = build_model("resnet18").eval()
    pictures = [picture for picture in scan([phantom_data]) if picture.split == "test"]
    one = Scorer(model, replace(SPEC, turns=1)).predict(pictures, "one", None)
    four = Scorer(model, SPEC).predict(pictures, "four", None)

    def unchanged(picture: Pixels, index: int) -> Pixels:
        return picture

    (edited,) = Scorer(model, SPEC, workers=0).edited(pictures, (unchanged,), "edited")
    inputs = torch.stack([eval_transform(SPEC)(load_image(picture.path)) for picture in pictures])
    with torch.inference_mode():
        said = np.stack([model(torch.rot90(inputs, turn, (2, 3))).numpy() for turn in range(4)])
    np.testing.assert_allclose(one.logits, said[0], atol=1e-5)
    np.testing.assert_allclose(four.logits, said.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(edited.logits, four.logits, atol=1e-5)
    assert one.spread is not None
    assert four.spread is not None
    assert not one.spread.any()
    odds = said[..., 1] - said[..., 0]
    np.testing.assert_allclose(four.spread, odds.std(axis=0), atol=1e-5)
    assert four.spread.max() > 1e-3


def test_one_picture_takes_one_pass_and_a_batch_one_for_each_turn() -> None:
    model, sizes = build_model("resnet18").eval(), []

    def counted(pixels: Tensor) -> Forward[Tensor]:
        sizes.append(len(pixels))
        return forward(model, pixels)

    pixels = torch.rand(AT_ONCE, 3, 64, 64)
    with torch.inference_mode():
        alone, batch = (in_turns(counted, one, 4, torch) for one in (pixels[:1], pixels))
    assert sizes == [4, *[AT_ONCE] * 4]
    assert alone.maps is not None
    assert batch.maps is not None
    torch.testing.assert_close(alone.logits, batch.logits[:1], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(alone.maps, batch.maps[:1], atol=1e-4, rtol=1e-4)


def test_maps_are_turned_back_before_they_are_averaged() -> None:
    def pixels_as_maps(pixels: Tensor) -> Forward[Tensor]:
        return Forward(pixels.flatten(1), pixels, pixels.mean((2, 3))[:, :2])

    pixels = torch.rand(2, 3, 4, 4)
    found = in_turns(pixels_as_maps, pixels, 4, torch)
    torch.testing.assert_close(found.maps, pixels)
    torch.testing.assert_close(found.early, pixels.flatten(1))


@pytest.mark.parametrize("count", [1, AT_ONCE])
def test_arrays_are_turned_as_tensors_are(count: int) -> None:
    rng = np.random.default_rng(0)
    pixels, weights = rng.random((count, 3, 8, 8), np.float32), rng.random((2, 3 * 8 * 8), np.float32)

    def by_numpy(pixels: Array) -> Forward[Array]:
        return Forward(pixels.reshape(len(pixels), -1), pixels, pixels.reshape(len(pixels), -1) @ weights.T)

    def by_torch(pixels: Tensor) -> Forward[Tensor]:
        return Forward(pixels.flatten(1), pixels, pixels.flatten(1) @ torch.from_numpy(weights).T)

    arrays = in_turns(by_numpy, pixels, 4, np)
    tensors = in_turns(by_torch, torch.from_numpy(pixels), 4, torch)
    assert arrays.spread is not None
    assert arrays.spread.min() > 0
    for name, found in vars(arrays).items():
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, getattr(tensors, name).numpy(), rtol=1e-5, atol=1e-5)


def turning(loaded: LoadedCheckpoint, pictures: list[Pixels]) -> float:
    """How far the probabilities of a picture's four turns lie apart, at worst."""
    said = [Predictor(loaded).probabilities([np.rot90(one, turn) for one in pictures]) for turn in range(4)]
    return float(np.ptp(said, axis=0).max())


def test_a_turned_picture_gets_the_same_answer(shipped: LoadedCheckpoint) -> None:
    """Looked at once, it does not. What is left comes from scaling: rows first or columns first round differently."""
    pictures = [render_phantom(seed, malignant=seed % 2 == 0, size=300) for seed in range(6)]
    assert turning(looking(shipped, 4), pictures) < 0.02
    assert turning(looking(shipped, 1), pictures) > 0.05


@pytest.mark.data
def test_a_real_picture_that_is_turned_gets_the_same_answer(shipped: LoadedCheckpoint, data_root: Path) -> None:
    roots = [data_root / source for source in ("melanoma10k", "ham10000", "padufes20", "isic2018")]
    val = read_split(shipped.folder / SPLIT_FILE, roots).of("val")
    assert turning(shipped, [load_image(picture.path) for picture in val[:: len(val) // 16]]) < 0.01


def test_everything_that_asks_a_checkpoint_gives_one_answer(shipped: LoadedCheckpoint, phantom_data: Path) -> None:
    loaded = looking(shipped, 4)
    pictures = [picture for picture in scan([phantom_data]) if picture.split == "test"][:3]
    pixels, meta = [load_image(picture.path) for picture in pictures], loaded.meta
    predicted = Scorer.of(loaded, workers=0).predict(pictures, "evaluation", None)
    evaluated = predicted.probabilities(meta.temperature)
    rows = score_files([str(one.path) for one in pictures], Predictor(loaded), OperatingPoint("x", 0.5), 0.0)
    analyzed = [Analyzer(loaded).analyze(one).probability for one in pixels]
    np.testing.assert_allclose(analyzed, evaluated, atol=1e-4)
    np.testing.assert_allclose([float(row.probability) for row in rows], evaluated, atol=1e-4)
    assert np.abs(evaluated - Predictor(looking(shipped, 1)).probabilities(pixels)).max() > 1e-3


def test_the_recipe_looks_four_times() -> None:
    assert PRESETS["clinics"].preprocess.turns == 4
