"""Pictures to calibrated probabilities: the checkpoint's preprocessing and temperature, in batches, from threads."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms import v2

from lesion_demo.checkpoint import Checkpoint, LoadedCheckpoint
from lesion_demo.config import OperatingPoint, PreprocessSpec
from lesion_demo.errors import CheckpointError
from lesion_demo.images.field_of_view import box_around, find_field_of_view
from lesion_demo.images.phantom import render_phantom
from lesion_demo.images.prepare import MOST_OBLONG, Inputs, round_window
from lesion_demo.images.transforms import eval_transform
from lesion_demo.network.model import build_model, head_layer
from lesion_demo.serve.classifier import Prediction, Predictor

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
    assert np.array_equal(predictor.prepare(pictures[4]), eval_transform(spec)(pictures[4]))
    assert predictor.prepare(pictures[4]).shape == (3, 40, 40)


@pytest.mark.parametrize("shape", [(96, 96), (300, 400), (450, 600), (90, 350), (333, 97), (640, 160)])
@pytest.mark.parametrize("window", [False, True])
def test_an_ordinary_picture_is_prepared_as_torchvision_does(shape: tuple[int, int], window: bool) -> None:
    """Scaled whole, then the middle cut out: the same to one grey level of 255, and nearly everywhere to the bit."""
    spec = PreprocessSpec(image_size=64, round_window=window)
    ring = max(shape) < 2 * min(shape)
    picture = np.asarray(Image.fromarray(render_phantom(3, malignant=True, size=300, ring=ring)).resize(shape[::-1]))
    box = find_field_of_view(picture)
    box = box_around(box, shape) if window else box
    field = np.ascontiguousarray(picture[box.top : box.bottom, box.left : box.right].transpose(2, 0, 1))
    scaled = v2.Compose([v2.Resize(64, antialias=True), v2.CenterCrop(64)])(torch.from_numpy(field))
    expected = v2.Normalize(list(spec.mean), list(spec.std))(v2.ToDtype(torch.float32, scale=True)(scaled))
    apart = (eval_transform(spec)(picture) - (expected * round_window(64) if window else expected)).abs()
    assert float(apart.max()) < 1.01 / 255 / min(spec.std)
    assert float((apart > 1e-5).float().mean()) < 0.02


@pytest.mark.parametrize("turned", [False, True])
def test_a_strip_is_cut_to_its_middle_before_it_is_scaled(turned: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of a strip of 32 × 150,000 pixels, scaled, would be 256 × 1,200,000."""
    spec = PreprocessSpec(image_size=256, crop_field_of_view=False)
    strip = np.tile(render_phantom(1, malignant=True, size=96), (1, 200, 1))
    middle = strip[:, 9600 - 144 : 9600 + 144]
    sides: list[int] = []
    resize = Image.Image.resize

    def noted(image: Image.Image, size: tuple[int, int], *how: Any) -> Image.Image:
        sides.extend((*image.size, *size))
        return resize(image, size, *how)

    monkeypatch.setattr(Image.Image, "resize", noted)
    found = eval_transform(spec)(strip.transpose(1, 0, 2) if turned else strip)
    assert max(sides) == MOST_OBLONG * 256
    expected = eval_transform(spec)(middle)
    torch.testing.assert_close(found.transpose(1, 2) if turned else found, expected, atol=0.1, rtol=0)


@pytest.mark.parametrize("batch_size", [1, 2, 5, 16])
def test_batch_size_changes_nothing(pictures: Pictures, batch_size: int) -> None:
    predictor = Predictor(loaded())
    one_by_one = np.concatenate([predictor.probabilities([picture]) for picture in pictures])
    together = predictor.probabilities(pictures, batch_size)
    assert together.shape == (5,)
    np.testing.assert_allclose(together, one_by_one, atol=1e-5)


def test_no_pictures_give_no_probabilities() -> None:
    assert Predictor(loaded()).probabilities([]).shape == (0,)


def test_a_generator_is_read_one_batch_ahead_and_no_further(
    pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = Predictor(loaded())
    read: list[int] = []
    read_at_each_pass: list[int] = []
    predict = predictor.predict

    def stream() -> Iterator[NDArray[np.uint8]]:
        for number, picture in enumerate(pictures):
            read.append(number)
            yield picture

    def spy(inputs: Inputs) -> Prediction:
        read_at_each_pass.append(len(read))
        return predict(inputs)

    monkeypatch.setattr(predictor, "predict", spy)
    predictor.probabilities(stream(), batch_size=2)
    assert len(read_at_each_pass) == 3
    assert read_at_each_pass[0] <= 4
    assert read == list(range(5))


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
