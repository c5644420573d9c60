"""What a DataLoader's worker gets can be pickled: macOS and Windows spawn their processes."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from lesion_demo.config import AugmentConfig, PreprocessSpec
from lesion_demo.data.dataset import LesionDataset, PictureReader
from lesion_demo.data.picture import Picture
from lesion_demo.images.phantom import render_phantom
from lesion_demo.images.transforms import EvalTransform, TrainTransform, eval_transform, train_transform
from lesion_demo.train.validation import ringed

SPEC = PreprocessSpec(image_size=32, round_window=True, grey_light=True)
EVERYTHING = AugmentConfig(ring=1.0, artefact=1.0, rotation=1.0, perspective=1.0, auto_augment=1.0, softness=1.0)
TRANSFORMS = (eval_transform(SPEC), train_transform(SPEC, EVERYTHING))


@pytest.mark.parametrize("transform", TRANSFORMS, ids=["eval", "train"])
@pytest.mark.parametrize("used", [False, True])
def test_a_transform_comes_out_of_a_pickle_as_it_went_in(transform: EvalTransform | TrainTransform, used: bool) -> None:
    picture = render_phantom(1, malignant=True, size=64)
    if used:
        transform(picture)  # what it keeps for the next picture goes along
    copy = pickle.loads(pickle.dumps(transform))
    assert copy == transform
    torch.manual_seed(0)
    expected = transform(picture)
    torch.manual_seed(0)
    assert torch.equal(copy(picture), expected)


def test_a_spawned_worker_delivers_the_same_batch(tmp_path: Path) -> None:
    pictures = []
    for number in range(2):
        path = tmp_path / f"{number}.png"
        Image.fromarray(render_phantom(number, malignant=bool(number), size=64)).save(path)
        pictures.append(Picture(path, path.name, "phantom", "train", number))
    dataset = LesionDataset(pictures, TRANSFORMS[0], PictureReader(), ringed)
    (here,) = DataLoader(dataset, batch_size=2)
    (there,) = DataLoader(dataset, batch_size=2, num_workers=1, multiprocessing_context="spawn")
    for mine, other in zip(here, there, strict=True):
        np.testing.assert_array_equal(mine.numpy(), other.numpy())
