"""A clinic of phantoms, and a checkpoint small enough to be asked about all of them that tells them apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression

from lesion_demo.checkpoint import Checkpoint, save_checkpoint
from lesion_demo.config import OperatingPoint, PreprocessSpec
from lesion_demo.images.phantom import render_phantom
from lesion_demo.images.transforms import eval_transform
from lesion_demo.network.model import build_model, head_layer

CLASS_SIZE = 60
POINTS = (OperatingPoint("accuracy", 0.6), OperatingPoint("balanced", 0.5), OperatingPoint("sensitive", 0.1))


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny")


@pytest.fixture(scope="session")
def clinic_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be changed."""
    return write_clinic(tmp_path_factory.mktemp("clinic") / "St Mary")


def write_clinic(root: Path, per_class: int = CLASS_SIZE) -> Path:
    """`root`/{benign,malignant}/*.png, so many of each."""
    for label in ("benign", "malignant"):
        folder = root / label
        folder.mkdir(parents=True)
        for number in range(per_class):
            seed = number + (1000 if label == "malignant" else 0)
            Image.fromarray(render_phantom(seed, malignant=label == "malignant", size=64)).save(folder / f"{seed}.png")
    return root


def write_tiny_checkpoint(folder: Path, seed: int = 0) -> Path:
    """A random network in `folder` whose last layer was fitted to 80 other phantoms."""
    torch.manual_seed(seed)
    model = build_model("resnet18").eval()
    spec = PreprocessSpec(image_size=64)
    labels = np.arange(80) % 2
    pictures = [render_phantom(5000 + i, malignant=bool(label), size=64) for i, label in enumerate(labels)]
    inputs = torch.stack([eval_transform(spec)(picture) for picture in pictures])
    head = head_layer(model)
    seen: list[torch.Tensor] = []
    hook = head.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    with torch.no_grad():
        model(inputs)
        hook.remove()
        features = seen[0].numpy()
        spread = features.std()
        fitted = LogisticRegression(C=0.1).fit(features / spread, labels)
        head.weight.zero_()
        head.bias.zero_()
        head.weight[1] = torch.from_numpy(fitted.coef_[0] / spread)
        head.bias[1] = float(fitted.intercept_[0])
    save_checkpoint(folder, model, Checkpoint("resnet18", spec, 1.0, POINTS, 0.9, referral_margin=0.2))
    return folder
