"""Mirrored views: their mean is what is said, and their spread how much they disagree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lesion_demo.config import PreprocessSpec
from lesion_demo.data.folders import scan_folder
from lesion_demo.evaluate.run import run_model
from lesion_demo.images.load import load_image
from lesion_demo.images.transforms import eval_transform
from lesion_demo.network.model import build_model

SPEC = PreprocessSpec(image_size=64)


def test_views_are_averaged_and_their_disagreement_is_kept(phantom_data: Path) -> None:
    torch.manual_seed(0)
    model = build_model("resnet18").eval()
    pictures = [picture for picture in scan_folder(phantom_data) if picture.split == "test"]
    one = run_model(model, SPEC, pictures, title="one")
    four = run_model(model, SPEC, pictures, title="four", views=4)
    inputs = torch.stack([eval_transform(SPEC)(load_image(picture.path)) for picture in pictures])
    with torch.inference_mode():
        said = np.stack([model(inputs.flip(axes)).numpy() for axes in ([], [3], [2], [2, 3])])
    np.testing.assert_allclose(one.logits, said[0], atol=1e-5)
    np.testing.assert_allclose(four.logits, said.mean(axis=0), atol=1e-5)
    assert one.spread is not None
    assert four.spread is not None
    assert not one.spread.any()
    odds = said[..., 1] - said[..., 0]
    np.testing.assert_allclose(four.spread, odds.std(axis=0), atol=1e-5)
    assert four.spread.max() == pytest.approx(odds.std(axis=0).max(), abs=1e-5)
    assert four.spread.max() > 1e-3
