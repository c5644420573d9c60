"""What the tests share: the real data where it is there, a small phantom set, and a network small enough to train."""

from __future__ import annotations

import faulthandler
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from accelerate.state import AcceleratorState
from PIL import Image

from lesion_demo.checkpoint import LoadedCheckpoint, find_best_checkpoint, load_checkpoint
from lesion_demo.config import AugmentConfig, PreprocessSpec, StageConfig, TrainConfig
from lesion_demo.images.phantom import render_phantom, write_phantom_dataset

PROJECT = Path(__file__).resolve().parent.parent
pytest_plugins = ["app_site", "graphs", "tiny_clinic"]
NEIGHBOUR = PROJECT.parent / "shared" / "data"


def pytest_unconfigure() -> None:
    """Where something keeps this process from ending after its last test, say what, and end it as a failure."""
    faulthandler.dump_traceback_later(120, exit=True, file=2)


@pytest.fixture(autouse=True)
def _own_accelerator_state() -> Iterator[None]:
    """accelerate keeps one precision per process; every test may choose its own."""
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def do_without(reason: str) -> NoReturn:
    """Skip what cannot be tested here; where everything is to be tested, that is a failure."""
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder with melanoma10k/, ham10000/, padufes20/ and isic2018/: LESION_DATA, or beside the project."""
    root = Path(os.environ.get("LESION_DATA", NEIGHBOUR))
    if not root.is_dir():
        do_without(f"the real data sets are not at {root}; set LESION_DATA to their folder")
    return root


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's program."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        do_without(f"No browser ({', '.join(names)}): install one, on Debian with 'apt-get install chromium'.")
    return path


@pytest.fixture(scope="session")
def shipped() -> LoadedCheckpoint:
    """The checkpoint that comes with the project."""
    return load_checkpoint(find_best_checkpoint(PROJECT / "checkpoints"))


@pytest.fixture(scope="session")
def phantom_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of artificial lesions: 24 training, 6 validation and 6 test pictures of either class."""
    root = tmp_path_factory.mktemp("data") / "phantoms"
    write_phantom_dataset(root, train=24, val=6, test=6, seed=0, size=96)
    return root


@pytest.fixture(scope="session")
def tiny_config() -> TrainConfig:
    """Two stages of one and two epochs on a small network from random weights: seconds."""
    common = {"image_size": 64, "batch_size": 16, "head_rate": 1e-3, "backbone_rate": 1e-3}
    return TrainConfig(
        init="none",
        backbone="mobilenet_v3_small",
        stages=(
            StageConfig("head", epochs=1, train_backbone=False, schedule="constant", **common),  # type: ignore[arg-type]
            StageConfig("all", epochs=2, **common),  # type: ignore[arg-type]
        ),
        preprocess=PreprocessSpec(image_size=64),
        augment=AugmentConfig(),
        micro_batch=8,
        precision="no",
        workers=0,
    )


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a lesion in it."""
    path = tmp_path_factory.mktemp("picture") / "lesion.jpg"
    Image.fromarray(render_phantom(1, malignant=True, size=160)).save(path)
    return path
