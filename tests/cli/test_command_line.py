"""Bad input at the command line: one clear line, a non-zero exit, nothing lost."""

from __future__ import annotations

import argparse
import errno
import io
import json
import os
import re
import shutil
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from lesion_demo.__main__ import main
from lesion_demo.audit.gallery import PROJECT
from lesion_demo.checkpoint import LoadedCheckpoint
from lesion_demo.cli.arguments import parse_class_map
from lesion_demo.cli.settings import resolve_config
from lesion_demo.cli.train import add_arguments
from lesion_demo.config import TrainConfig, from_dict, to_dict
from lesion_demo.errors import LesionDemoError
from lesion_demo.recipes import PRESETS


@pytest.fixture
def data(phantom_data: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(phantom_data, tmp_path / "data"))


def failure(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a failing command prints."""
    assert main(arguments) == 1
    lines = [line for line in capsys.readouterr().err.replace("\r", "\n").splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    return lines[0]


def train(data: Path, tmp_path: Path, *more: str) -> list[str]:
    return ["train", "--data", str(data), "--out", str(tmp_path / "runs"), "--init", "none", "--run", "r", *more]


def test_missing_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert str(tmp_path / "nowhere") in failure(train(tmp_path / "nowhere", tmp_path), capsys)


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_told_before_any_work(
    device: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    nowhere = ["--checkpoint", str(tmp_path / "nowhere"), "--device", device]
    said = f"error: PyTorch finds no {device} device on this machine: use --device cpu, or leave out --device."
    for command in (
        ["score", "a.jpg", "--out", str(tmp_path / "o.csv")],
        ["evaluate", "--data", str(tmp_path)],
        ["audit", "--data", str(tmp_path)],
        ["recalibrate", "--data", str(tmp_path), "--out", str(tmp_path / "c.json")],
    ):
        assert failure([*command, *nowhere], capsys) == said


def test_the_page_takes_a_device_too(
    shipped: LoadedCheckpoint, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert main(["app", "--checkpoint", str(shipped.folder), "--port", "0", "--device", "cuda"]) == 1
    assert capsys.readouterr().err.startswith("error: PyTorch finds no cuda device on this machine")


@pytest.mark.parametrize("workers", ["-1", "two", "1.5"])
def test_workers_are_counted(workers: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["audit", "--data", "d", "--workers", workers])
    assert f"'{workers}' is not a whole number of 0 or more" in capsys.readouterr().err


def test_empty_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert str(tmp_path / "empty") in failure(train(tmp_path / "empty", tmp_path), capsys)


def test_a_class_without_pictures(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (data / "train" / "benign").iterdir():
        path.unlink()
    assert "benign" in failure(train(data, tmp_path), capsys)


def test_one_class_only(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(data / "train" / "malignant")
    assert "malignant" in failure(train(data, tmp_path), capsys)


def test_an_unknown_class(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "train" / "benign").rename(data / "train" / "harmless")
    message = failure(train(data, tmp_path), capsys)
    assert "harmless" in message
    assert "--class-map" in message


def test_a_truncated_picture_is_named_or_skipped(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = data / "train" / "benign" / "bad.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 90, 3), np.uint8)).save(bad)
    bad.write_bytes(bad.read_bytes()[:900])
    message = failure(train(data, tmp_path), capsys)
    assert "bad.jpg" in message
    assert "--skip-corrupt" in message
    assert not list((tmp_path / "runs").rglob("*.safetensors"))
    small = ["--backbone", "mobilenet_v3_small", "--image-size", "64", "--epochs", "1", "--workers", "0"]
    assert main(train(data, tmp_path, "--skip-corrupt", "--batch-size", "16", *small)) == 0
    assert (tmp_path / "runs" / "r" / "model.safetensors").is_file()


def test_unknown_stage_and_bad_class_map(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "this configuration has head, all" in failure(train(data, tmp_path, "--stages", "tail"), capsys)
    assert "NAME=benign" in failure(train(data, tmp_path, "--class-map", "nevus"), capsys)
    assert parse_class_map(["a=benign"]) == {"a": "benign"}


def test_evaluate_without_a_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = failure(["evaluate", "--data", str(tmp_path), "--checkpoint", str(tmp_path)], capsys)
    assert f"No checkpoint in {tmp_path}" in message


@pytest.mark.parametrize(
    ("command", "option", "place"),
    [
        ("audit", "--out", "file"),
        ("audit", "--out", "file/below"),
        ("evaluate", "--json", "file/x.json"),
        ("evaluate", "--json", "."),
        ("evaluate", "--gallery", "file"),
        ("evaluate", "--gallery", str(PROJECT)),
        ("score", "--out", "."),
        ("train", "--out", "file"),
    ],
)
def test_what_cannot_be_written_is_told_before_the_work(
    command: str, option: str, place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    data = tmp_path if command == "train" else tmp_path / "none"  # training asks first whether there is a folder
    source = [str(tmp_path)] if command == "score" else ["--data", str(data)]
    checkpoint = [] if command == "train" else ["--checkpoint", str(tmp_path / "none")]
    message = failure([command, *source, option, str(tmp_path / place), *checkpoint], capsys)
    assert str(tmp_path / place) in message
    assert re.search("is not a folder|is a folder|Not a directory|inside the project", message)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_stop_is_a_line_and_an_exit_code(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def stopped(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("lesion_demo.checkpoint.find_best_checkpoint", stopped)
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        for command in (["card"], ["audit", "--data", "D"], ["evaluate", "--data", "D"]):
            assert main(command) == 143
            assert capsys.readouterr().err.strip() == "Stopped."
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_configuration_survives_json(name: str) -> None:
    assert from_dict(TrainConfig, to_dict(PRESETS[name])) == PRESETS[name]
    with pytest.raises(LesionDemoError, match="no setting sed"):
        from_dict(TrainConfig, {"sed": 1})


@pytest.mark.parametrize("name", ["cpu", "refine", "round", "robust", "long"])
def test_a_retired_preset_names_its_successor(
    name: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "--preset clinics" in failure(train(data, tmp_path, "--preset", name), capsys)


def test_a_run_can_be_lengthened(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args(["--data", "x", "--preset", "clinics", "--length", "2"])
    assert {stage.epoch_pictures for stage in resolve_config(args).stages} == {20_000}
    assert "uses all pictures" in failure(train(data, tmp_path, "--length", "2"), capsys)
    assert "above 0" in failure(train(data, tmp_path, "--preset", "clinics", "--length", "0"), capsys)
    assert "no preset 'clinic'" in failure(train(data, tmp_path, "--preset", "clinic"), capsys)


def test_the_default_preset_is_the_published_recipe() -> None:
    config = PRESETS["default"]
    head, everything = config.stages
    assert (head.epochs, head.train_backbone, head.head_rate, config.weight_decay) == (3, False, 5e-4, 5e-5)
    assert (everything.epochs, everything.backbone_rate, everything.head_rate) == (50, 1e-4, 5e-4)
    assert (everything.schedule, everything.patience, everything.min_improvement) == ("cosine", 5, 1e-4)
    assert {stage.batch_size for stage in config.stages} == {256}
    assert (config.backbone, config.init, config.preprocess.image_size) == ("efficientnet_b3", "imagenet", 300)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--workers", "-1"], "workers is -1"),
        (["--batch-size", "0"], "batch_size is 0"),
        (["--image-size", "0"], "image_size is 0"),
        (["--epoch-pictures", "0"], "epoch_pictures is 0"),
        (["--learning-rate", "0"], "--learning-rate 0.0"),
        (["--length", "inf"], "--length inf is not valid"),
        (["--seed", "-1"], "seed is -1"),
        (["--draws", "99999999999"], "draws is 99999999999"),
        (["--photographs", "phones"], "there is no such data set"),
        (["--label-column", "dx"], "--labels FILE"),
        (["--labels", "nowhere.csv"], "nowhere.csv is not a file"),
    ],
)
def test_a_setting_that_makes_no_sense_is_one_sentence(
    data: Path, tmp_path: Path, flags: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in failure(train(data, tmp_path, *flags), capsys)
    assert not (tmp_path / "runs").exists()


def test_rates_pictures_and_photographs_by_flags() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    flags = ["--epoch-pictures", "50", "--learning-rate", "0.001", "--photographs", "phones"]
    config = resolve_config(parser.parse_args(flags))
    assert [(s.epoch_pictures, s.head_rate) for s in config.stages] == [(50, 0.001)] * 2
    assert config.stages[1].backbone_rate == pytest.approx(0.0002)
    assert config.photographs == ("phones",)


def test_a_typo_in_data_is_told_before_any_picture_is_read(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("lesion_demo.data.fingerprints.fingerprint", lambda *_, **__: pytest.fail("read"))
    assert "nowhere does not exist" in failure(train(data, tmp_path, "--data", str(tmp_path / "nowhere")), capsys)


@pytest.mark.parametrize(("number", "said"), [(errno.ENOSPC, "The disk is full"), (errno.EROFS, "may not be used")])
def test_a_disk_that_refuses_is_one_line(
    number: int,
    said: str,
    phantom_data: Path,
    tiny_config: TrainConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refused(source: object, target: object) -> None:
        raise OSError(number, os.strerror(number), str(source), None, str(target))

    (tmp_path / "tiny.json").write_text(json.dumps(to_dict(tiny_config)), encoding="utf-8")
    monkeypatch.setattr("lesion_demo.files.os.replace", refused)
    line = failure(train(phantom_data, tmp_path, "--config", str(tmp_path / "tiny.json")), capsys)
    assert said in line
    assert os.strerror(number) in line
    assert "split.csv" in line
    assert not (tmp_path / "runs").exists(), "a start that fails leaves nothing"


def test_too_little_room_is_told_before_any_picture_is_read(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("lesion_demo.data.fingerprints.fingerprint", lambda *_, **__: pytest.fail("read"))
    monkeypatch.setattr("shutil.disk_usage", lambda place: SimpleNamespace(free=100e6))
    line = failure(train(data, tmp_path), capsys)
    assert re.search(r"has 100 MB free, but this run needs 3\d\d MB: free some space", line), line
    assert not (tmp_path / "runs").exists()


def test_what_a_terminal_cannot_print_stands_there_as_a_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with PYTHONIOENCODING=cp1252, and with a file name of bytes that are no UTF-8."""
    for name in ("☕ −3.jpg", os.fsdecode(b"a\xe4.jpg")):
        streams = {one: io.TextIOWrapper(io.BytesIO(), "cp1252") for one in ("stdout", "stderr")}
        with monkeypatch.context() as patch:
            for one, stream in streams.items():
                patch.setattr(sys, one, stream)
            assert main(["card", "--checkpoint", str(tmp_path / name)]) == 1
        streams["stderr"].flush()
        printed = streams["stderr"].buffer.getvalue().decode("cp1252")
        assert name.encode("cp1252", "backslashreplace").decode("cp1252") in printed
