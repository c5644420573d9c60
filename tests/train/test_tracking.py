"""A run's figures in a tracker of accelerate's: numbers alone, pictures by a second flag, and no run lost to it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker, register_tracker_class
from accelerate.utils import LoggerType

from lesion_demo.__main__ import main
from lesion_demo.config import TrainConfig
from lesion_demo.errors import TrainingError
from lesion_demo.train import tracking as module
from lesion_demo.train.run import train
from lesion_demo.train.tracking import Tracking, check_tracking


class Fake(GeneralTracker):
    """Keeps what it is told; what is in `failing` raises."""

    name = "fake"
    requires_logging_directory = True
    told: ClassVar[list[tuple[str, Any]]] = []
    failing: ClassVar[set[str]] = set()

    def __init__(self, run_name: str, logging_dir: Path, **options: Any) -> None:
        super().__init__()
        self.note("begin", (run_name, str(logging_dir), options))

    def note(self, what: str, value: Any) -> None:
        if what in self.failing:
            raise ConnectionError(f"no way to {what}\nand more")
        self.told.append((what, value))

    @property
    def tracker(self) -> list[tuple[str, Any]]:
        return self.told

    def start(self) -> None:
        self.note("start", None)

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.note("settings", values)

    def log(self, values: dict[str, Any], step: int | None = None, **_: Any) -> None:
        self.note("log", (step, values))

    def log_images(self, values: dict[str, Any], step: int | None = None, **_: Any) -> None:
        self.note("images", (step, values))

    def finish(self) -> None:
        self.note("finish", None)


class Numbers(GeneralTracker):
    name = "numbers"
    requires_logging_directory = False

    @property
    def tracker(self) -> None:
        return None


@pytest.fixture(autouse=True)
def trackers() -> Iterator[None]:
    for kind in (Fake, Numbers):
        register_tracker_class(kind)
    Fake.told.clear()
    Fake.failing.clear()
    yield
    for kind in (Fake, Numbers):
        del LOGGER_TYPE_TO_CLASS[kind.name]


def told(what: str) -> list[Any]:
    return [value for kind, value in Fake.told if kind == what]


def test_figures_go_there_epoch_by_epoch_and_nothing_else(
    phantom_data: Path, tiny_config: TrainConfig, tmp_path: Path
) -> None:
    config = tiny_config
    train(config, [phantom_data], tmp_path / "run", tracking=Tracking("fake"))
    ((name, folder, _),) = told("begin")
    assert (name, Path(folder)) == ("lesion-demo", tmp_path / "run" / "resume" / "tracking")
    steps = [step for step, _ in told("log")]
    assert steps == [0, 1, 1, 2, 2, 3, 3]  # before any training, validation alone
    values = {key: value for _, one in told("log") for key, value in one.items()}
    assert {"train/loss", "val/loss", "val/roc_auc", "val/ring_flips", "train/head_rate"} <= set(values)
    assert all(type(value) is float for value in values.values())
    (settings,) = told("settings")
    assert settings["stages.0.epochs"] == 1
    assert all(isinstance(value, int | float) for value in settings.values())
    assert told("images") == []
    assert [kind for kind, _ in Fake.told][-1] == "finish"
    history = (tmp_path / "run" / "history.csv").read_text(encoding="utf-8").splitlines()
    assert len(history) == 1 + len(steps)


def test_worst_mistakes_go_there_by_a_second_flag_without_names(
    phantom_data: Path, tiny_config: TrainConfig, tmp_path: Path
) -> None:
    train(tiny_config, [phantom_data], tmp_path / "run", tracking=Tracking("fake", pictures=True))
    images = dict(item for step, values in told("images") for item in values.items() if step == 3)
    assert images
    assert set(images) <= {"worst mistakes/false positives", "worst mistakes/false negatives"}
    for shown in images.values():
        assert shown.dtype == np.uint8
        assert shown.shape[1:] == (256, 256, 3)
        assert 1 <= len(shown) <= 6  # validation pictures of a class
    assert [kind for kind, _ in Fake.told][-2:] == ["images", "finish"]


@pytest.mark.parametrize("where", ["log", "images", "finish"])
def test_a_tracker_that_fails_ends_no_run(
    where: str, phantom_data: Path, tiny_config: TrainConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Fake.failing.add(where)
    with caplog.at_level(logging.WARNING):
        checkpoint = train(tiny_config, [phantom_data], tmp_path / "run", tracking=Tracking("fake", pictures=True))
    assert checkpoint is not None
    said = [record.message for record in caplog.records if "tracker" in record.message]
    assert said == [
        f"The tracker failed (no way to {where}): the run continues without it, and history.csv has all figures."
    ]  # once


def test_a_tracker_that_does_not_start_is_told_before_the_training(
    phantom_data: Path, tiny_config: TrainConfig, tmp_path: Path
) -> None:
    Fake.failing.add("start")
    with pytest.raises(TrainingError, match=r"The tracker fake could not be started \(no way to start\): fix this"):
        train(tiny_config, [phantom_data], tmp_path / "run", tracking=Tracking("fake"))
    assert not (tmp_path / "run" / "history.csv").exists()


def test_what_cannot_be_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TrainingError, match=r"There is no tracker 'excel'; choose one of aim, .*wandb\."):
        check_tracking(Tracking("excel"))
    with pytest.raises(TrainingError, match="The tracker numbers cannot log pictures"):
        check_tracking(Tracking("numbers", pictures=True))
    check_tracking(Tracking("numbers"))
    monkeypatch.setattr(module, "get_available_trackers", lambda: [LoggerType.TENSORBOARD])
    check_tracking(Tracking("tensorboard"))
    with pytest.raises(TrainingError, match="wandb needs a package that is not installed: 'pip install wandb'"):
        check_tracking(Tracking("wandb"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--tracker", "excel"], "There is no tracker 'excel'"),
        (["--tracker-pictures"], "--tracker-pictures needs a tracker: add --tracker NAME"),
    ],
)
def test_the_command_says_so_at_once(
    options: list[str], said: str, phantom_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["train", "--data", str(phantom_data), "--out", str(tmp_path), "--preset", "quick", *options])
    assert code == 1
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_help_says_where_pictures_go(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "--tracker-pictures send the worst mistakes on validation to --tracker as pictures, too" in said
    assert "patients' pictures leave this machine" in said
