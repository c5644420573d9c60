"""Which run the page shows: the best, as far as there is one."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch
from conftest import PROJECT

from lesion_demo import checkpoint
from lesion_demo.__main__ import main
from lesion_demo.checkpoint import (
    Checkpoint,
    find_best_checkpoint,
    load_checkpoint,
    read_meta,
    save_checkpoint,
)
from lesion_demo.cli.showing import how_to_show
from lesion_demo.config import OperatingPoint, PreprocessSpec
from lesion_demo.errors import CheckpointError
from lesion_demo.network.model import build_model
from lesion_demo.shown import fingerprint, fingerprint_of_folder
from lesion_demo.texts import load_texts
from lesion_demo.web.templates import model_line

HERE, ELSEWHERE = "a" * 64, "b" * 64
"""Two sets of validation pictures."""
BACKBONE = "mobilenet_v3_small"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    torch.manual_seed(0)
    points = (OperatingPoint("sensitive", 0.3),)
    save_checkpoint(folder, build_model(BACKBONE), Checkpoint(BACKBONE, PreprocessSpec(image_size=64), 1.0, points, 0))
    return folder


@pytest.fixture
def checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder where the page looks for runs."""
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    monkeypatch.delenv("LESION_CHECKPOINT", raising=False)
    monkeypatch.setattr(checkpoint, "CHECKPOINTS", folder)
    return folder


def add(trained: Path, folder: Path, auc: float, val_pictures: str, **changes: object) -> Path:
    """A run in `folder` that scored `auc` on `val_pictures`."""
    shutil.copytree(trained, folder)
    path = folder / "checkpoint.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, "val_roc_auc": auc, "val_pictures": val_pictures, **changes}))
    return folder


def name(folder: Path, **shown: object) -> None:
    (folder / "shown.json").write_text(json.dumps(shown))


def test_a_perfect_score_on_other_pictures_replaces_nothing(trained: Path, checkpoints: Path) -> None:
    ours = add(trained, checkpoints / "ours", 0.95, HERE)
    name(checkpoints, run="ours")
    add(trained, checkpoints / "toy", 1.0, ELSEWHERE)
    add(trained, checkpoints / "unknown", 1.0, "")
    worse = add(trained, checkpoints / "worse", 0.94, HERE)
    assert find_best_checkpoint() == ours
    better = add(trained, checkpoints / "better", 0.96, HERE)
    assert find_best_checkpoint() == better
    assert find_best_checkpoint(chosen=worse) == worse


def test_a_chosen_one_comes_first(checkpoints: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LESION_CHECKPOINT", "some/where")
    assert find_best_checkpoint() == Path("some/where")
    assert find_best_checkpoint(chosen="else/where") == Path("else/where")


def test_without_the_file_one_is_the_best_of_its_like_only(
    trained: Path, checkpoints: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(CheckpointError, match=r"train one with 'python -m lesion_demo train"):
        find_best_checkpoint()
    first = add(trained, checkpoints / "first", 0.8, "")
    assert find_best_checkpoint() == first  # alone, it needs no comparison
    shutil.rmtree(first)
    add(trained, checkpoints / "a", 0.8, HERE)
    best = add(trained, checkpoints / "b", 0.9, HERE)
    add(trained, checkpoints / "newer", 0.99, HERE, schema_version=99)
    assert find_best_checkpoint() == best
    assert "newer than" in caplog.text
    add(trained, checkpoints / "c", 0.99, ELSEWHERE)
    with pytest.raises(CheckpointError, match=r"\(a, b, c\) were validated on different pictures.*--promote"):
        find_best_checkpoint()


def test_what_is_named_is_shown_or_nothing_is(trained: Path, checkpoints: Path) -> None:
    add(trained, checkpoints / "other", 0.8, HERE)
    for named in ("gone", "../other"):
        name(checkpoints, run=named)
        with pytest.raises(CheckpointError, match="which is missing or damaged"):
            find_best_checkpoint()
    add(trained, checkpoints / "cut", 0.9, HERE)
    name(checkpoints, run="cut")
    (checkpoints / "cut" / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model\.safetensors is missing"):  # and not the other's in their place
        load_checkpoint(find_best_checkpoint())
    (checkpoints / "cut" / "checkpoint.json").write_text("{")
    with pytest.raises(CheckpointError, match="which is missing or damaged"):
        find_best_checkpoint()
    for damage in ("", "[]", '{"run": 7}', '{"run": "other", "to_beat": NaN}', '{"runs": "other"}', "{}"):
        (checkpoints / "shown.json").write_text(damage)
        with pytest.raises(CheckpointError, match=r"shown\.json is damaged"):
            find_best_checkpoint()


def test_a_run_that_is_promoted_stays_until_one_beats_all_there_were(
    trained: Path, checkpoints: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(trained, checkpoints / "best", 0.96, HERE)
    ours = add(trained, checkpoints / "ours", 0.94, HERE)
    name(checkpoints, run="best")
    command = ["train", "--out", str(checkpoints), "--run", "ours", "--promote"]
    assert main(command) == 0
    assert "'python -m lesion_demo app' shows it." in capsys.readouterr().out
    assert find_best_checkpoint() == ours
    add(trained, checkpoints / "later", 0.95, HERE)
    assert find_best_checkpoint() == ours
    better = add(trained, checkpoints / "better", 0.97, HERE)
    assert find_best_checkpoint() == better


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--run", "gone", "--promote"], "No checkpoint in"),
        (["--promote"], "needs to know which run the page should show"),
        (["--run", "x", "--promote", "--out", "elsewhere"], "--promote works only for runs in"),
        (["--run", "x"], "Name the pictures to train on"),
    ],
)
def test_what_cannot_be_promoted(
    arguments: list[str], reason: str, checkpoints: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--out", str(checkpoints), *arguments]) == 1
    assert reason in capsys.readouterr().err
    assert not (checkpoints / "shown.json").exists()


def test_the_command_that_is_named_shows_the_run(trained: Path, checkpoints: Path, tmp_path: Path) -> None:
    ours = add(trained, checkpoints / "ours", 0.95, HERE)
    assert how_to_show(ours) == "'python -m lesion_demo app' shows it."
    name(checkpoints, run="ours")
    toy = add(trained, checkpoints / "toy", 1.0, ELSEWHERE)
    said = how_to_show(toy)
    assert "goes on showing ours, which was validated on other pictures" in said
    assert f"'python -m lesion_demo app --checkpoint {toy}' shows this one" in said
    assert "'python -m lesion_demo train --run toy --promote' does so for good" in said
    worse = add(trained, checkpoints / "worse", 0.9, HERE)
    assert "goes on showing ours, which scored 0.9500 on the same validation pictures" in how_to_show(worse)
    outside = add(trained, tmp_path / "outside", 1.0, HERE)
    assert how_to_show(outside) == f"'python -m lesion_demo app --checkpoint {outside}' shows it."
    (checkpoints / "shown.json").unlink()
    assert "Without --checkpoint: The runs in" in how_to_show(toy)


def test_a_fingerprint_is_of_pictures_labels_and_weights(tmp_path: Path) -> None:
    pictures = [("1", "benign", "a"), ("2", "malignant", "a"), ("3", "benign", "b")]
    known = fingerprint(pictures, 0.5)
    assert fingerprint(reversed(pictures), 0.5) == known
    others = [pictures[:2], [("1", "malignant", "a"), *pictures[1:]], [("4", "benign", "a"), *pictures[1:]]]
    assert known not in [fingerprint(other, 0.5) for other in others]
    assert fingerprint(pictures, 1.0) != known
    renamed = [(content, label, "here") for content, label, _ in pictures]
    assert fingerprint(renamed, 1) == fingerprint([(c, label, "there") for c, label, _ in pictures], 0.5)
    with (tmp_path / "split.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["source", "content_hash", "split", "label"])
        rows.writerows([source, content, "val", label] for content, label, source in pictures)
        rows.writerow(["a", "9", "train", "benign"])
    assert fingerprint_of_folder(tmp_path) == ""  # how data sets were weighted is not known
    (tmp_path / "config.json").write_text(json.dumps({"source_balance": 0.5}))
    assert fingerprint_of_folder(tmp_path) == known


def test_the_shipped_run_is_named_and_says_what_it_was_validated_on() -> None:
    folder = find_best_checkpoint(PROJECT / "checkpoints")
    assert json.loads((PROJECT / "checkpoints" / "shown.json").read_text())["run"] == folder.name
    meta = read_meta(folder)
    assert meta.val_pictures == fingerprint_of_folder(folder)
    for language in ("en", "de"):
        assert folder.name in model_line(meta, folder.name, load_texts(language))
