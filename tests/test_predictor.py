"""Pictures to calibrated probabilities: the checkpoint's preprocessing and temperature, in batches, from threads."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lesion_demo.checkpoint import Checkpoint, LoadedCheckpoint
from lesion_demo.config import OperatingPoint, PreprocessSpec
from lesion_demo.errors import CheckpointError
from lesion_demo.imaging.phantom import render_phantom
from lesion_demo.imaging.transforms import eval_transform
from lesion_demo.learning.model import build_model, head_layer
from lesion_demo.serving.predictor import Predictor

Pictures = list[NDArray[np.uint8]]


def loaded(temperature: float = 1.0, spec: PreprocessSpec | None = None) -> LoadedCheckpoint:
    torch.manual_seed(0)
    meta = Checkpoint(
        backbone="resnet18",
        preprocess=spec or PreprocessSpec(image_size=64),
        temperature=temperature,
        operating_points=(OperatingPoint("sensitive", 0.3),),
        val_roc_auc=0.5,
    )
    return LoadedCheckpoint(Path("a-checkpoint"), meta, build_model("resnet18").eval())


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    sizes = (96, 120, 150, 90, 200)
    return [render_phantom(i, malignant=i % 2 == 0, size=size, ring=i == 4) for i, size in enumerate(sizes)]


def test_probability_is_the_softmax_of_the_logits_over_the_checkpoints_temperature(pictures: Pictures) -> None:
    checkpoint = loaded(temperature=2.5)
    with torch.no_grad():
        inputs = torch.stack([eval_transform(checkpoint.meta.preprocess)(picture) for picture in pictures])
        expected = torch.softmax(checkpoint.model(inputs) / 2.5, dim=1)[:, 1].numpy()
    assert np.ptp(expected) > 1e-3
    np.testing.assert_allclose(Predictor(checkpoint).probabilities(pictures), expected, atol=1e-5)


def test_preprocessing_comes_from_the_checkpoint(pictures: Pictures) -> None:
    spec = PreprocessSpec(image_size=40, crop_field_of_view=False, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    predictor = Predictor(loaded(spec=spec))
    torch.testing.assert_close(predictor.prepare(pictures[4]), eval_transform(spec)(pictures[4]))
    assert predictor.prepare(pictures[4]).shape == (3, 40, 40)


@pytest.mark.parametrize("batch_size", [1, 2, 5, 16])
def test_batch_size_changes_nothing(pictures: Pictures, batch_size: int) -> None:
    predictor = Predictor(loaded())
    one_by_one = np.concatenate([predictor.probabilities([picture]) for picture in pictures])
    together = predictor.probabilities(pictures, batch_size)
    assert together.shape == (5,)
    np.testing.assert_allclose(together, one_by_one, atol=1e-5)


def test_no_pictures_give_no_probabilities() -> None:
    assert Predictor(loaded()).probabilities([]).shape == (0,)


def test_a_generator_is_read_one_batch_at_a_time(pictures: Pictures, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor(loaded())
    read: list[int] = []
    read_at_each_pass: list[int] = []
    predict = predictor.predict

    def stream() -> Iterator[NDArray[np.uint8]]:
        for number, picture in enumerate(pictures):
            read.append(number)
            yield picture

    def spy(inputs: torch.Tensor) -> NDArray[np.float64]:
        read_at_each_pass.append(len(read))
        return predict(inputs)

    monkeypatch.setattr(predictor, "predict", spy)
    predictor.probabilities(stream(), batch_size=2)
    assert read_at_each_pass == [2, 4, 5]


def test_threads_do_not_disturb_each_other(pictures: Pictures) -> None:
    predictor = Predictor(loaded())
    expected = predictor.probabilities(pictures)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda i: predictor.probabilities([pictures[i % 5]])[0], range(20)))
    np.testing.assert_allclose(results, np.tile(expected, 4), atol=1e-5)


def test_weights_that_give_no_number_are_a_checkpoint_error(pictures: Pictures) -> None:
    checkpoint = loaded()
    with torch.no_grad():
        head_layer(checkpoint.model).bias.fill_(float("nan"))
    with pytest.raises(CheckpointError, match=r"a-checkpoint.*weights"):
        Predictor(checkpoint).probabilities(pictures[:1])
