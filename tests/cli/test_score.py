"""`python -m lesion_demo score`: a row for every input, whatever happens to it, and exit codes a script can use."""

from __future__ import annotations

import csv
import errno
import os
import shutil
import signal
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lesion_demo.__main__ import main
from lesion_demo.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from lesion_demo.config import OperatingPoint, PreprocessSpec
from lesion_demo.errors import CheckpointError
from lesion_demo.images.load import LoadedPicture, load_picture
from lesion_demo.images.phantom import render_phantom
from lesion_demo.images.prepare import Inputs
from lesion_demo.network.model import build_model
from lesion_demo.run_folder import META_FILE
from lesion_demo.serve.classifier import Prediction, Predictor

COLUMNS = [
    *("file", "probability", "verdict", "quality", "familiarity", "error"),
    *("operating_point", "threshold", "calibration", "note"),
]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("checkpoint")
    points = (OperatingPoint("sensitive", 1e-9), OperatingPoint("accuracy", 1 - 1e-9))
    save_checkpoint(folder, build_model("resnet18"), Checkpoint("resnet18", PreprocessSpec(64), 1.0, points, 0.5))
    return folder


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """20 phantoms in two folders, more than a batch, with a text file among them."""
    root = tmp_path / "pictures"
    for number in range(20):
        folder = root / ("a" if number < 10 else "b/deep")
        folder.mkdir(parents=True, exist_ok=True)
        suffix = ".PNG" if number % 2 else ".jpg"
        pixels = render_phantom(number, malignant=number % 2 == 0, size=80)
        Image.fromarray(pixels).save(folder / f"p{number:02d}{suffix}")
    (root / "notes.txt").write_text("no picture")
    return root


def score(*arguments: str | Path) -> int:
    return main(["score", *map(str, arguments)])


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert not rows or list(rows[0]) == COLUMNS
    return rows


def test_folder_gives_a_sorted_row_per_picture_as_the_predictor_says(
    pictures: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.csv"
    assert score(pictures, "--out", out, "--checkpoint", checkpoint) == 0
    rows = read(out)
    files = sorted(str(p) for p in pictures.rglob("*") if p.suffix.lower() in (".jpg", ".png"))
    assert [row["file"] for row in rows] == files
    predictor = Predictor(load_checkpoint(checkpoint))
    expected = predictor.probabilities(np.asarray(Image.open(file)) for file in files)
    np.testing.assert_allclose([float(row["probability"]) for row in rows], expected, atol=2e-5)
    assert all(len(row["probability"].partition(".")[2]) == 6 for row in rows)
    assert {(row["verdict"], row["operating_point"], row["threshold"]) for row in rows} == {
        ("malignant", "sensitive", "0.000000")
    }
    assert {row["error"] for row in rows} == {""}
    captured = capsys.readouterr()
    assert "20 scored at the operating point sensitive (threshold 0.000): 20 malignant; 0 failed" in captured.out
    assert "20/20" in captured.err  # the progress bar


def test_probabilities_alone_are_the_same_and_nothing_else_is_measured(
    pictures: Path,
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole, out, parts = tmp_path / "whole.csv", tmp_path / "out.csv", tmp_path / "parts"
    (pictures / "z.jpg").write_bytes(b"no picture")
    command = (pictures, "--checkpoint", checkpoint)
    assert score(*command, "--out", whole) == 1
    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.delattr("lesion_demo.serve.scoring.check_quality")
        assert score(*command, "--out", out, "--probabilities-only") == 1
    assert f"20 scored without verdicts; 1 failed: see the error column. The table is {out}." in capsys.readouterr().out
    empty = dict.fromkeys(("verdict", "quality", "familiarity", "operating_point", "threshold"), "")
    assert read(out) == [row | empty for row in read(whole)]
    assert score(*command, "--parts", parts) == 1
    assert score(*command, "--parts", parts, "--probabilities-only") == 1, "these parts have verdicts"
    assert "parts of another table (different operating_point, threshold)" in capsys.readouterr().err
    for refused in (["--one-lesion"], ["--operating-point", "accuracy"]):
        assert score(*command, "--out", out, "--probabilities-only", *refused) == 1
        assert "--probabilities-only gives no verdict: leave out" in capsys.readouterr().err


def test_a_folder_is_searched_as_training_searches_it(
    pictures: Path, checkpoint: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    some = next(pictures.rglob("*.jpg")).read_bytes()
    for name in ("._x.jpg", "__MACOSX/y.jpg", ".Trashes/z.jpg", "@eaDir/t.jpg", "p_segmentation.png", "d.jxl"):
        (pictures / name).parent.mkdir(exist_ok=True)
        (pictures / name).write_bytes(some)
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "far.jpg").write_bytes(some)
    (pictures / "link").symlink_to(tmp_path / "linked")
    assert score(pictures, "--out", tmp_path / "out.csv", "--checkpoint", checkpoint) == 0
    names = [Path(row["file"]).name for row in read(tmp_path / "out.csv")]
    assert len(names) == 21
    assert "far.jpg" in names
    assert "1 × .jxl" in caplog.text
    assert "1 × mask of a lesion" in caplog.text


def test_every_bad_input_has_its_row_and_its_reason(
    pictures: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = pictures / "a" / "p00.jpg"
    missing, broken, empty = tmp_path / "missing.jpg", tmp_path / "broken.jpg", tmp_path / "empty"
    broken.write_bytes(good.read_bytes()[:200])
    empty.mkdir()
    out = tmp_path / "out.csv"
    inputs = [missing, good, broken, empty, pictures / "notes.txt", good]
    assert score(*inputs, "--out", out, "--checkpoint", checkpoint) == 1
    rows = read(out)
    assert [row["file"] for row in rows] == [str(path) for path in inputs]
    assert [bool(row["error"]) for row in rows] == [True, False, True, True, True, False]
    for row in rows:
        assert bool(row["error"]) != bool(row["probability"])
        assert bool(row["probability"]) == bool(row["verdict"]) == bool(row["quality"]) == bool(row["threshold"])
    assert "does not exist" in rows[0]["error"]
    assert "damaged" in rows[2]["error"]
    assert "holds no pictures" in rows[3]["error"]
    assert "not a picture" in rows[4]["error"]
    assert "2 scored" in (line := capsys.readouterr().out)
    assert "4 failed" in line


def test_operating_point_is_chosen_by_name(pictures: Path, checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    arguments = ("--checkpoint", checkpoint, "--operating-point", "accuracy")
    assert score(pictures / "a" / "p00.jpg", "--out", out, *arguments) == 0
    (row,) = read(out)
    assert (row["verdict"], row["operating_point"], row["threshold"]) == ("benign", "accuracy", "1.000000")


def test_quality_is_ok_or_the_names_of_the_warnings(checkpoint: Path, tmp_path: Path) -> None:
    for name, brightness in (("dark.png", 0.12), ("good.png", 1.0)):
        Image.fromarray(render_phantom(1, malignant=False, brightness=brightness)).save(tmp_path / name)
    out = tmp_path / "out.csv"
    assert score(tmp_path / "dark.png", tmp_path / "good.png", "--out", out, "--checkpoint", checkpoint) == 0
    dark, good = read(out)
    assert good["quality"] == "ok"
    assert dark["quality"] not in ("", "ok")
    assert dark["probability"]


def test_file_name_that_is_not_utf8_does_not_spoil_the_table(checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    try:
        (folder / os.fsdecode(b"caf\xe9.png")).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    out = tmp_path / "out.csv"
    assert score(folder, "--out", out, "--checkpoint", checkpoint) == 1
    (row,) = read(out)
    assert row["file"].endswith("caf\\udce9.png")


def test_a_name_that_is_a_formula_is_text_in_the_table(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(render_phantom(1, malignant=True, size=80)).save("=1+1.png")
    assert score("=1+1.png", "@SUM(1).png", "--out", "out.csv", "--checkpoint", checkpoint) == 1
    scored, missing = read(tmp_path / "out.csv")
    assert (scored["file"], missing["file"]) == ("'=1+1.png", "'@SUM(1).png")
    assert scored["probability"]
    assert missing["error"].startswith("“@SUM(1).png”")


def test_pictures_of_one_name_in_two_folders_are_told_apart(pictures: Path, checkpoint: Path, tmp_path: Path) -> None:
    shutil.copytree(pictures / "a", tmp_path / "other")
    out = tmp_path / "out.csv"
    assert score(pictures / "a", tmp_path / "other", "--out", out, "--checkpoint", checkpoint) == 0
    assert len({row["file"] for row in read(out)}) == 20


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_was_scored_before_a_stop_is_kept(
    number: signal.Signals,
    pictures: Path,
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, predict = tmp_path / "out.csv", Predictor.predict
    out.write_text("the old table")
    usual = signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    try:
        for last, said in ((1, f"Stopped after 0 of 20 pictures: {out} was not written."), (2, "Stopped after 16 of")):
            calls = count(1)

            def predict_or_stop(
                self: Predictor, inputs: Inputs, calls: Iterator[int] = calls, last: int = last
            ) -> Prediction:
                if next(calls) == last:
                    os.kill(os.getpid(), number)
                return predict(self, inputs)

            monkeypatch.setattr(Predictor, "predict", predict_or_stop)
            assert score(pictures, "--out", out, "--checkpoint", checkpoint) == 128 + number
            assert said in capsys.readouterr().out
            assert (out.read_text() == "the old table") == (last == 1)
    finally:
        signal.signal(number, usual)
    rows = read(out)
    assert [Path(row["file"]).stem for row in rows] == [f"p{number:02d}" for number in range(16)]
    assert all(row["probability"] for row in rows)


def test_a_network_that_is_damaged_is_told_once_and_what_was_scored_is_kept(
    pictures: Path,
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    calls, predict = count(1), Predictor.predict

    def predict_once(self: Predictor, inputs: Inputs) -> Prediction:
        if next(calls) > 1:
            raise CheckpointError("The weights are damaged.")
        return predict(self, inputs)

    monkeypatch.setattr(Predictor, "predict", predict_once)
    out = tmp_path / "out.csv"
    assert score(pictures, "--out", out, "--checkpoint", checkpoint) == 1
    captured = capsys.readouterr()
    assert "Stopped after 16 of 20" in captured.out
    assert captured.err.endswith("error: The weights are damaged.\n")
    assert len(read(out)) == 16


ODD = {
    "needs more memory than is free": MemoryError(),
    "could not be analysed (RuntimeError: odd)": RuntimeError("odd"),
    "could not be analysed (AssertionError)": AssertionError(),
}
"""What nobody foresaw, by what is said of it."""


@pytest.mark.parametrize("where", ["reading", "network"])
def test_whatever_one_picture_raises_the_others_are_scored(
    where: str, pictures: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, predict = count(1), Predictor.predict

    def read_or_fail(file: str, **how: bool) -> LoadedPicture:
        if 3 <= (number := next(calls)) < 6:
            raise list(ODD.values())[number - 3]
        return load_picture(file, **how)

    def predict_or_fail(self: Predictor, inputs: Inputs) -> Prediction:
        if (number := next(calls)) == 1:  # all of them together
            raise RuntimeError
        if 4 <= number < 7:  # the third to the fifth alone
            raise list(ODD.values())[number - 4]
        return predict(self, inputs)

    if where == "reading":
        monkeypatch.setattr("lesion_demo.serve.scoring.load_picture", read_or_fail)
    else:
        monkeypatch.setattr(Predictor, "predict", predict_or_fail)
    out = tmp_path / "out.csv"
    assert score(pictures / "a", "--out", out, "--checkpoint", checkpoint) == 1
    rows = read(out)
    assert [bool(row["error"]) for row in rows] == [2 <= number < 5 for number in range(10)]
    for row, said in zip(rows[2:5], ODD, strict=True):
        assert said in row["error"]
        assert row["file"] in row["error"]


@pytest.mark.parametrize(("out", "reason"), [("missing/out.csv", "does not exist"), (".", "is a folder")])
def test_hopeless_out_is_refused_before_any_work(
    out: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score(tmp_path, "--out", tmp_path / out, "--checkpoint", tmp_path / "none") == 1
    assert reason in capsys.readouterr().err


def test_a_zip_is_to_be_unpacked_first(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before any picture is read: a row with an error would come after those of a whole archive."""
    packed = shutil.make_archive(str(tmp_path / "Pictures"), "zip", pictures)
    out = tmp_path / "out.csv"
    assert score(pictures, packed, "--out", out) == 1
    assert f"error: {packed} is a zip file: unpack it, and name the folder." in capsys.readouterr().err
    assert not out.exists()


def test_full_disk_is_one_line_and_the_old_table_stays(
    pictures: Path,
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out.csv"
    out.write_text("the old table")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("lesion_demo.files.os.replace", full)
    assert score(pictures / "a", "--out", out, "--checkpoint", checkpoint) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "No space left" in errors[0]
    assert out.read_text() == "the old table"
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("damage", ["missing", "json", "point"])
def test_bad_checkpoint_or_point_is_one_line(
    damage: str, checkpoint: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "bad"
    arguments: list[str | Path] = ["--out", tmp_path / "out.csv", "--checkpoint", folder]
    if damage == "json":
        folder.mkdir()
        (folder / META_FILE).write_text("{")
    if damage == "point":
        arguments = ["--out", tmp_path / "out.csv", "--checkpoint", checkpoint, "--operating-point", "brave"]
    assert score(pictures, *arguments) == 1
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ")
    assert "\n" not in error
    assert not (tmp_path / "out.csv").exists()


def test_close_calls_are_uncertain_and_hopeless_pictures_not_assessable(tmp_path: Path) -> None:
    torch.manual_seed(0)
    points = (OperatingPoint("sensitive", 0.5),)
    meta = Checkpoint("resnet18", PreprocessSpec(64), 1.0, points, 0.5, referral_margin=50.0)
    save_checkpoint(tmp_path / "unsure", build_model("resnet18"), meta)
    Image.fromarray(render_phantom(1, malignant=True, size=160)).save(tmp_path / "good.png")
    Image.new("RGB", (160, 160), (2, 2, 2)).save(tmp_path / "black.png")
    out = tmp_path / "out.csv"
    assert score(tmp_path / "good.png", tmp_path / "black.png", "--out", out, "--checkpoint", tmp_path / "unsure") == 0
    assert [row["verdict"] for row in read(out)] == ["uncertain", "not_assessable"]
