"""How a run starts, or does not: what is checked first, what is left behind, and what is never used twice."""

from __future__ import annotations

import json
import logging
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lesion_demo.__main__ import main
from lesion_demo.checkpoint import LoadedCheckpoint
from lesion_demo.config import PreprocessSpec, StageConfig, TrainConfig, to_dict
from lesion_demo.errors import DataError, LesionDemoError, TrainingError
from lesion_demo.files import write_json
from lesion_demo.images.phantom import write_phantom_dataset
from lesion_demo.recipes import PRESETS
from lesion_demo.train import run as pipeline
from lesion_demo.train.settings import check_settings, differences
from lesion_demo.train.state import (
    Start,
    check_run,
    claiming,
    read_config,
    write_start,
)
from lesion_demo.train.trainer import warn_of_init


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set whose class folders do not tell what they hold: group1 and group2, 10 pictures each."""
    root = tmp_path_factory.mktemp("groups") / "data"
    write_phantom_dataset(root, train=10, val=0, test=0, seed=0, size=48)
    (root / "train" / "benign").rename(root / "train" / "group1")
    (root / "train" / "malignant").rename(root / "train" / "group2")
    return root


RIGHT = {"group1": "benign", "group2": "malignant"}
WRONG = {"group1": "malignant", "group2": "benign"}


@pytest.fixture
def started(tiny_config: TrainConfig, groups: Path, tmp_path: Path) -> Path:
    """The folder of a run whose pictures were divided, with the wrong labels."""
    pipeline.open_splits(tiny_config, [groups], tmp_path / "r", class_map=WRONG)
    return tmp_path / "r"


# --- before pictures are read ----------------------------------------------------------------------------------------


def stage(**changes: Any) -> TrainConfig:
    return replace(TrainConfig(init="none"), stages=(replace(StageConfig("all", epochs=1), **changes),))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (TrainConfig(init="none", backbone="nonsense"), "Backbone 'nonsense' is not"),
        (stage(epochs=0), "0 epochs, which would train nothing"),
        (stage(schedule="cosin"), "use constant, cosine or one_cycle"),
        (stage(batch_size=0), "all.batch_size is 0: it must be 1 or more"),
        (stage(head_rate=float("nan")), "all.head_rate is nan"),
        (stage(image_size="64"), "wrong type"),
        (TrainConfig(init="none", stages=()), "has no stages"),
        (TrainConfig(init="none", val_fraction=1.0), "validation share is 1.0"),
        (TrainConfig(init="none", val_fractions=(("a", 0.0),)), "validation share of a is 0.0"),
        (TrainConfig(init="none", micro_batch=0), "micro_batch is 0"),
        (TrainConfig(init="none", ema_decay=1.0), "ema_decay is 1.0"),
        (TrainConfig(init="none", precision="half"), "use auto, no, fp16, bf16"),
        (TrainConfig(init="none", preprocess=PreprocessSpec(image_size=8)), "preprocess.image_size is 8"),
        (TrainConfig(init="none", emphasis=(("a", -1.0),)), "the factor must be 0 or more"),
        (TrainConfig(init="nowhere"), "not imagenet, lite2, none"),
        (TrainConfig(init="lite2", backbone="resnet18"), "fits efficientnet_b3 only"),
    ],
)
def test_settings_are_checked_before_a_picture_is_read(
    config: TrainConfig, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unwanted(*_: object, **__: object) -> None:
        raise AssertionError("pictures were read")

    monkeypatch.setattr(pipeline, "open_splits", unwanted)
    with pytest.raises(LesionDemoError, match=said):
        pipeline.train(config, [tmp_path], tmp_path / "runs" / "r")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_passes_the_check(name: str) -> None:
    check_settings(PRESETS[name])


# --- what a failed start leaves --------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [TrainingError("no host"), KeyboardInterrupt(), MemoryError()])
def test_a_start_that_fails_leaves_nothing(
    tiny_config: TrainConfig, groups: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fails(*_: object, **__: object) -> None:
        assert (tmp_path / "runs" / "r" / "split.csv").is_file()
        raise error

    monkeypatch.setattr(pipeline, "fit", fails)
    with pytest.raises(type(error)):
        pipeline.train(tiny_config, [groups], tmp_path / "runs" / "r", class_map=RIGHT)
    assert not list(tmp_path.iterdir())


def test_a_start_that_fails_keeps_what_was_there(
    tiny_config: TrainConfig, groups: Path, started: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise TrainingError("no host")

    before = {path.name: path.read_bytes() for path in started.iterdir()}
    monkeypatch.setattr(pipeline, "fit", fails)
    with pytest.raises(TrainingError, match="no host"):
        pipeline.train(tiny_config, [groups], started, class_map=WRONG)
    assert {path.name: path.read_bytes() for path in started.iterdir()} == before


def test_no_epochs_leave_no_folder(groups: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train", "--data", str(groups), "--out", str(tmp_path / "o"), "--init", "none", "--run", "r"]
    assert main([*arguments, "--epochs", "0"]) == 1
    assert "0 epochs, which would train nothing" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


# --- a split is used for what it was made from -----------------------------------------------------------------------


def test_the_same_start_uses_the_same_split(
    tiny_config: TrainConfig, groups: Path, started: Path, tmp_path: Path
) -> None:
    again = pipeline.open_splits(tiny_config, [groups], started, class_map=WRONG)
    assert {picture.label for picture in again.pictures if "group1" in picture.file} == {1}
    moved = Path(shutil.copytree(groups, tmp_path / "elsewhere" / "data"))
    assert len(pipeline.open_splits(tiny_config, [moved], started, class_map=WRONG).pictures) == len(again.pictures)


@pytest.mark.parametrize(
    ("changes", "class_map", "said"),
    [
        ({}, RIGHT, "the class map group1=malignant, group2=benign, now group1=benign, group2=malignant"),
        ({"seed": 1}, WRONG, "the seed 0, now 1"),
        ({"val_fraction": 0.3}, WRONG, "the validation share 0.1, now 0.3"),
        ({"val_fractions": (("data", 0.3),)}, WRONG, "the validation shares of single data sets none, now data=0.3"),
    ],
)
def test_another_start_is_refused_and_told_what_differs(
    tiny_config: TrainConfig, groups: Path, started: Path, changes: dict[str, Any], class_map: dict[str, str], said: str
) -> None:
    with pytest.raises(DataError, match="was made with other settings") as caught:
        pipeline.open_splits(replace(tiny_config, **changes), [groups], started, class_map=class_map)
    assert said in str(caught.value)


def test_other_data_is_refused(
    tiny_config: TrainConfig, groups: Path, started: Path, phantom_data: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="the data sets data, now data, phantoms"):
        pipeline.open_splits(tiny_config, [groups, phantom_data], started, class_map=WRONG)
    other = Path(shutil.copytree(groups, tmp_path / "other"))
    with pytest.raises(DataError, match="the data sets data, now other"):
        pipeline.open_splits(tiny_config, [other], started, class_map=WRONG)


def test_a_split_without_a_record_is_held_against_the_folders(
    tiny_config: TrainConfig, groups: Path, started: Path, phantom_data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (started / "split.json").unlink()
    pipeline.open_splits(tiny_config, [groups], started, class_map=WRONG)
    assert "does not record what it was made from" in caplog.text
    with pytest.raises(DataError, match=r"20 pictures have another class than when .*was malignant and is benign"):
        pipeline.open_splits(tiny_config, [groups], started, class_map=RIGHT)
    with pytest.raises(DataError, match="does not include the data set 'phantoms'"):
        pipeline.open_splits(tiny_config, [groups, phantom_data], started, class_map=WRONG)


def test_a_record_of_another_file_or_none_at_all_is_refused(
    tiny_config: TrainConfig, groups: Path, started: Path
) -> None:
    path = started / "split.csv"
    path.write_text(path.read_text().replace(",train,", ",val,", 1))
    with pytest.raises(DataError, match=r"is not the file that split\.json describes"):
        pipeline.open_splits(tiny_config, [groups], started, class_map=WRONG)
    (started / "split.json").write_text("{")
    with pytest.raises(DataError, match=r"split\.json is damaged"):
        pipeline.open_splits(tiny_config, [groups], started, class_map=WRONG)


def test_going_on_from_a_checkpoint_keeps_its_sides(
    tiny_config: TrainConfig, groups: Path, started: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = pipeline.open_splits(tiny_config, [groups], started, class_map=WRONG)
    on = replace(tiny_config, init=str(started), seed=3, val_fraction=0.5)
    second = pipeline.open_splits(on, [groups], tmp_path / "second", class_map=WRONG)
    assert {p.name: p.split for p in second.pictures} == {p.name: p.split for p in first.pictures}
    assert "no split.csv" not in caplog.text.replace("has no", "no")
    (started / "split.csv").unlink()
    pipeline.open_splits(on, [groups], tmp_path / "third", class_map=WRONG)
    assert "has no split.csv: pictures it was trained on may be used for validation here" in caplog.text


# --- going on --------------------------------------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the command line asks of `pipeline.train`, which does not run."""
    found: dict[str, Any] = {}

    def noted(config: TrainConfig, roots: Sequence[Path], folder: Path, **more: Any) -> None:
        found.update(config=config, roots=list(roots), folder=folder, **more)

    monkeypatch.setattr(pipeline, "train", noted)
    monkeypatch.setattr("lesion_demo.cli.train.check_roots", lambda roots: None)
    return found


@pytest.fixture
def stopped(tmp_path: Path) -> tuple[Path, TrainConfig]:
    """A run that was started with flags of all kinds, and its configuration."""
    config = replace(PRESETS["quick"], seed=7, init="none")
    write_json(tmp_path / "r" / "config.json", to_dict(config))
    write_start(tmp_path / "r", Start(("/data/one", "/data/two"), (("group1", "benign"),)))
    return tmp_path, config


def test_resume_needs_nothing_but_the_name(asked: dict[str, Any], stopped: tuple[Path, TrainConfig]) -> None:
    out, config = stopped
    assert main(["train", "--out", str(out), "--run", "r", "--resume"]) == 0
    assert asked["config"] == config
    assert asked["roots"] == [Path("/data/one"), Path("/data/two")]
    assert asked["class_map"] == {"group1": "benign"}
    assert asked["resume"] is True
    same = [
        "--preset",
        "quick",
        "--seed",
        "7",
        "--init",
        "none",
        "--class-map",
        "group1=benign",
        "--data",
        "/moved/one",
    ]
    assert main(["train", "--out", str(out), "--run", "r", "--resume", *same]) == 0
    assert asked["roots"] == [Path("/moved/one")]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--seed", "1"], "seed 1 instead of 7"),
        (["--epochs", "2"], "stages.head.epochs 2 instead of 3; stages.all.epochs 2 instead of 12"),
        (["--preset", "clinics"], "seed 0 instead of 7"),
        (["--val-fraction", "data=0.4"], "val_fractions [['data', 0.4]] instead of []"),
        (["--class-map", "group1=malignant"], "another class map (--class-map group1=benign)"),
    ],
)
def test_flags_that_differ_are_named(
    stopped: tuple[Path, TrainConfig],
    asked: dict[str, Any],
    flags: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["train", "--out", str(stopped[0]), "--run", "r", "--resume", *flags]) == 1
    assert said in capsys.readouterr().err
    assert not asked


def test_resume_without_a_run_or_without_its_data_says_so(
    stopped: tuple[Path, TrainConfig], asked: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = stopped
    assert main(["train", "--out", str(out), "--run", "none", "--resume"]) == 1
    assert "Nothing to resume" in capsys.readouterr().err
    (out / "r" / "resume" / "start.json").unlink()
    assert main(["train", "--out", str(out), "--run", "r", "--resume"]) == 1
    assert "name them with --data" in capsys.readouterr().err
    assert main(["train", "--out", str(out), "--run", "r", "--resume", "--data", "/data/one"]) == 0
    assert asked["roots"] == [Path("/data/one")]


def test_a_run_of_an_older_version_goes_on(tmp_path: Path) -> None:
    config = TrainConfig(init="none", seed=3)
    values = to_dict(config)
    del values["val_fractions"], values["draws"]
    write_json(tmp_path / "config.json", values)
    assert read_config(tmp_path) == config
    check_run(tmp_path, config, resume=True)
    with pytest.raises(TrainingError, match="seed 4 instead of 3"):
        check_run(tmp_path, replace(config, seed=4), resume=True)
    assert differences(config, config) == []


def test_one_process_at_a_time(tmp_path: Path) -> None:
    again = claiming(tmp_path / "r")
    with claiming(tmp_path / "r"), pytest.raises(TrainingError, match="Another process is training in"), again:
        pass
    assert not (tmp_path / "r").exists()


def test_the_lock_of_a_dead_process_holds_nobody_up(tmp_path: Path) -> None:
    place = tmp_path / "r" / "resume" / "lock"
    place.parent.mkdir(parents=True)
    code = "import sys, time, filelock; lock = filelock.FileLock(sys.argv[1]); lock.acquire(); "
    code += "print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, str(place)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(TrainingError, match="Another process"), claiming(tmp_path / "r"):
            pass
        holder.send_signal(signal.SIGKILL)
    with claiming(tmp_path / "r"):
        pass


# --- enough data, and what is saved first ----------------------------------------------------------------------------


# --- from a checkpoint, by the command line --------------------------------------------------------------------------


def test_a_preset_that_says_nothing_of_it_takes_the_checkpoints_preprocessing(
    shipped: LoadedCheckpoint, asked: dict[str, Any]
) -> None:
    start = ["train", "--data", "d", "--run", "r", "--init", str(shipped.folder)]
    assert main([*start, "--preset", "quick"]) == 0
    assert asked["config"].preprocess == shipped.meta.preprocess
    assert main([*start, "--preset", "quick", "--image-size", "192"]) == 0
    assert asked["config"].preprocess == replace(shipped.meta.preprocess, image_size=192)
    assert main([*start, "--preset", "clinics"]) == 0
    assert asked["config"].preprocess == PRESETS["clinics"].preprocess


def test_another_preprocessing_than_the_checkpoints_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = TrainConfig(preprocess=PreprocessSpec(image_size=256, round_window=True))
    (tmp_path / "config.json").write_text(json.dumps(to_dict(before)))
    caplog.set_level(logging.WARNING)
    warn_of_init(replace(before, init=str(tmp_path), draws=1))
    assert not caplog.records
    warn_of_init(TrainConfig(init=str(tmp_path), draws=1))
    assert "prepared its pictures differently: image_size 256, now 300; round_window True, now False" in caplog.text


def test_shares_on_the_command_line(asked: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    start = ["train", "--data", "d", "--run", "r", "--val-fraction"]
    assert main([*start, "0.2", "--val-fraction", "isic2018=0.3"]) == 0
    assert (asked["config"].val_fraction, asked["config"].val_fractions) == (0.2, (("isic2018", 0.3),))
    assert main([*start, "a third"]) == 1
    assert "neither a share" in capsys.readouterr().err
