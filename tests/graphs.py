"""Small checkpoints with a graph for ONNX Runtime."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lesion_demo.__main__ import main
from lesion_demo.checkpoint import Checkpoint, save_checkpoint
from lesion_demo.config import OperatingPoint, PreprocessSpec
from lesion_demo.images import Pixels
from lesion_demo.images.phantom import render_phantom
from lesion_demo.images.prepare import prepare
from lesion_demo.network.familiarity import FamiliarityModel
from lesion_demo.network.forward import early_size
from lesion_demo.network.model import build_model, head_layer

SIZE = 64
SPEC = PreprocessSpec(image_size=SIZE, round_window=True, grey_light=True, turns=4)
POINTS = (OperatingPoint("balanced", 0.5), OperatingPoint("sensitive", 0.1))


def save(folder: Path, backbone: str, spec: PreprocessSpec = SPEC) -> Path:
    """A checkpoint with random weights, whose answers differ from picture to picture."""
    torch.manual_seed(1)
    model = build_model(backbone).train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # a plain average over what it sees, else little comes out
    with torch.no_grad():
        model(torch.from_numpy(np.stack([prepare(picture, spec) for picture in phantoms(8)])))
        head_layer(model).weight.mul_(10)
    size = early_size(model)
    known = FamiliarityModel(np.zeros(size), np.eye(size), 10.0, np.ones(size + 1)) if size else None
    save_checkpoint(folder, model.eval(), Checkpoint(backbone, spec, 1.3, POINTS, 0.9), known)
    return folder


def phantoms(count: int) -> list[Pixels]:
    return [render_phantom(seed, malignant=seed % 2 == 0, size=120, ring=seed == 3) for seed in range(count)]


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be changed."""
    folder = save(tmp_path_factory.mktemp("graph") / "run", "efficientnet_b0")
    assert main(["export", "--checkpoint", str(folder)]) == 0
    return folder


@pytest.fixture
def copied(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "run"))
