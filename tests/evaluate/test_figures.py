"""A checkpoint's figures anew, without training: chosen again, and looked at from outside."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from lesion_demo.__main__ import main
from lesion_demo.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from lesion_demo.config import OperatingPoint, PreprocessSpec, from_dict
from lesion_demo.data import dataset
from lesion_demo.data.folders import scan_outside
from lesion_demo.data.grouping import grouped
from lesion_demo.data.picture import Picture
from lesion_demo.data.split_file import write_split
from lesion_demo.data.splits import prepare_splits
from lesion_demo.errors import DataError
from lesion_demo.evaluate.outside import look_outside
from lesion_demo.evaluate.reevaluate import choose_again
from lesion_demo.evaluate.settle import evaluate
from lesion_demo.images.phantom import write_phantom_dataset
from lesion_demo.network.model import build_model
from lesion_demo.results import Metrics, Report

BACKBONE = "mobilenet_v3_small"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, phantom_data: Path) -> Path:
    """A checkpoint of a random network with the split of `phantom_data`, whose thresholds nobody chose."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    write_split(folder / "split.csv", prepare_splits([phantom_data]))
    (folder / "config.json").write_text(json.dumps({"photographs": ["phones"], "source_balance": 0.5, "retired": 1}))
    torch.manual_seed(0)
    points = (OperatingPoint("sensitive", 0.2), OperatingPoint("balanced", 0.5))
    meta = Checkpoint(BACKBONE, PreprocessSpec(image_size=64), 1.0, points, 0.5, metrics=Metrics(Report(2, 1)))
    save_checkpoint(folder, build_model(BACKBONE), meta)
    return folder


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "run"))


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("outside") / "clinic"
    write_phantom_dataset(root, train=4, val=2, test=2, seed=9, size=96)
    return root


def test_workers_reach_whatever_is_evaluated(
    run: Path, phantom_data: Path, outside: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[int] = []

    def loader(*args: Any, num_workers: int, **options: Any) -> DataLoader[Any]:
        asked.append(num_workers)
        return DataLoader(*args, **options)

    monkeypatch.setattr(dataset, "DataLoader", loader)
    base = ["evaluate", "--checkpoint", str(run), "--workers", "3"]
    for more in (
        ["--data", str(phantom_data)],
        ["--data", str(phantom_data), "--choose"],
        ["--external", str(outside)],
    ):
        asked.clear()
        assert main([*base, *more]) == 0
        assert set(asked) == {3}
    with pytest.raises(SystemExit):
        main([*base[:-1], "-1", "--external", str(outside)])
    assert "--workers" in capsys.readouterr().err


def load(path: Path) -> Metrics:
    return from_dict(Metrics, json.loads(path.read_text(encoding="utf-8")))


def looks(run: Path) -> list[dict[str, str]]:
    with (run / "external.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_choices_are_made_again_without_training(run: Path, phantom_data: Path, outside: Path) -> None:
    before = load_checkpoint(run)
    after = choose_again(before, [phantom_data, outside])
    loaded = load_checkpoint(run)
    assert loaded.meta == after
    assert (after.weights_sha256, after.trained_at) == (before.meta.weights_sha256, before.meta.trained_at)
    assert {point.name for point in after.operating_points} == {"accuracy", "f1", "balanced", "sensitive"}
    assert set(after.referral_margins) == {"accuracy", "f1", "balanced", "sensitive"}
    by_source = after.metrics.validation_by_source
    assert by_source["clinic"].n == 12, "the further data set's test split decides nothing"
    assert by_source["phantoms"].n == 12
    assert after.data["clinic"].counts == {"val/benign": 6, "val/malignant": 6}
    assert load(run / "metrics.json") == after.metrics
    assert evaluate(loaded, [phantom_data, outside])[0] == after.metrics
    assert set(evaluate(loaded, [phantom_data])[0].validation_by_source) == {"phantoms"}


def test_what_training_showed_in_another_crop_is_told_and_what_the_run_holds_out_is_left_out(
    run: Path, phantom_data: Path, tmp_path: Path
) -> None:
    clinic = tmp_path / "clinic"
    write_phantom_dataset(clinic, train=3, val=1, test=1, seed=8, size=96)
    files = sorted((clinic / "train").rglob("*.png")) or sorted((clinic / "train").rglob("*.jpg"))
    own = {row["split"]: row["file"] for row in csv.DictReader((run / "split.csv").open(encoding="utf-8"))}
    rows = [(file, file.parent.name, own["train"] if file.parent.name == "malignant" else "") for file in files]
    tested = clinic / "train" / "benign" / f"tested{Path(own['test']).suffix}"
    shutil.copy(phantom_data / own["test"], tested)
    rows.append((tested, "benign", ""))
    with (clinic / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "split", "label", "same_as"])
        writer.writerows([path.relative_to(clinic).as_posix(), "train", label, twin] for path, label, twin in rows)
    found = choose_again(load_checkpoint(run), [phantom_data, clinic]).metrics.validation_by_source["clinic"]
    assert (found.n, found.n_malignant) == (6, 3)
    assert (found.seen_benign, found.seen_malignant) == (0, 3)


def test_a_look_from_outside_is_reported_and_written_down(run: Path, outside: Path) -> None:
    loaded = load_checkpoint(run)
    report = look_outside(loaded, outside)
    assert (report.n, report.n_malignant, report.photographs) == (16, 8, False)
    again = load_checkpoint(run).meta
    assert again.metrics.external["clinic"].n == 16
    assert again.metrics.test is not None
    assert again.metrics.test.n == 2, "the other figures stay"
    assert load(run / "metrics.json").external == again.metrics.external
    points = again.metrics.external["clinic"].points
    assert [point.name for point in points] == ["sensitive", "balanced"]
    for point in points:
        assert point.sensitivity.low <= point.sensitivity.value <= point.sensitivity.high
        assert point.outcomes is not None
        assert point.outcomes.benign.total == 8
    assert look_outside(load_checkpoint(run), outside, photographs=True).photographs
    first, second = looks(run)
    assert first["folder"] == "clinic"
    assert first["weights_sha256"] == loaded.meta.weights_sha256
    assert first["fingerprint"] == second["fingerprint"]
    assert "sensitive 0.200000" in first["operating_points"]


def test_what_the_run_knows_is_not_from_outside(run: Path, phantom_data: Path, outside: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not an outside data set: 72 of its 72 pictures are the checkpoint's own"):
        look_outside(load_checkpoint(run), phantom_data)
    choose_again(load_checkpoint(run), [phantom_data, outside])
    with pytest.raises(DataError, match="12 of its 16 pictures"):
        look_outside(load_checkpoint(run), outside)
    assert not (run / "external.csv").exists()


def test_what_the_run_knows_in_another_crop_is_left_out(
    run: Path, phantom_data: Path, outside: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mixed = Path(shutil.copytree(outside, tmp_path / "mixed"))
    known = next((phantom_data / "train" / "benign").iterdir())
    with Image.open(known) as picture:
        picture.resize((120, 120)).save(mixed / "train" / "benign" / "enlarged.jpg", quality=85)
    assert look_outside(load_checkpoint(run), mixed).n == 17, "without the run's data it cannot be seen"
    assert "with --data" in caplog.text
    assert look_outside(load_checkpoint(run), mixed, [phantom_data]).n == 16
    assert "1 of 17 pictures" in caplog.text
    assert "enlarged.jpg" in caplog.text
    alone = tmp_path / "alone"
    for label in ("benign", "malignant"):
        (alone / label).mkdir(parents=True)
        with Image.open(next((phantom_data / "train" / label).iterdir())) as picture:
            picture.resize((120, 120)).save(alone / label / "enlarged.jpg", quality=85)
    with pytest.raises(DataError, match="the run already has each of its pictures in another crop or size"):
        look_outside(load_checkpoint(run), alone, [phantom_data])


def test_pictures_of_one_lesion_are_one_group(tmp_path: Path) -> None:
    pictures = [
        Picture(tmp_path / name, name, "clinic", "test", 0, {"lesion_id": lesion})
        for name, lesion in (("a", "1"), ("b", "1"), ("c", ""))
    ]
    assert [picture.group for picture in grouped(pictures)] == ["clinic/a", "clinic/a", "clinic/c"]


def test_a_folder_from_outside_may_be_laid_out_more_plainly(outside: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    for label in ("benign", "malignant"):
        shutil.copytree(outside / "test" / label, plain / label)
    assert [picture.label for picture in scan_outside(plain)] == [0, 0, 1, 1]
    shutil.copytree(outside / "test", tmp_path / "tested" / "test")
    assert {picture.split for picture in scan_outside(tmp_path / "tested")} == {"test"}
    with pytest.raises(DataError, match="does not exist"):
        scan_outside(tmp_path / "nowhere")


def test_the_command_says_what_it_lacks_and_reports_from_outside(
    run: Path, outside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "--checkpoint", str(run)]) != 0
    assert "--external" in capsys.readouterr().err
    assert main(["evaluate", "--checkpoint", str(run), "--external", str(outside)]) == 0
    assert "external, clinic: 16 pictures, 8 malignant" in capsys.readouterr().out
