"""Calibration on validation, and the gallery of mistakes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from lesion_demo.checkpoint import LoadedCheckpoint
from lesion_demo.errors import DataError
from lesion_demo.gallery import PROJECT, write_gallery
from lesion_demo.imaging.loading import load_image
from lesion_demo.learning.evaluation import EvaluatedSplit, calibrate, summarise
from lesion_demo.learning.folders import Picture, scan_folder
from lesion_demo.learning.inference import Predictions
from lesion_demo.learning.metrics import malignant_probability, share_to_show


def overconfident(count: int, factor: float) -> tuple[Predictions, list[Picture]]:
    """Labels drawn at known odds, and logits that exaggerate those `factor` times."""
    rng = np.random.default_rng(0)
    odds = rng.normal(0, 2, count)
    labels = (rng.random(count) < 1 / (1 + np.exp(-odds))).astype(np.int64)
    logits = np.stack([np.zeros(count), factor * odds], axis=1)
    chosen = [Picture(Path(str(i)), str(i), "one", "val", int(label)) for i, label in enumerate(labels)]
    return Predictions(logits, labels), chosen


def test_the_temperature_undoes_exaggeration() -> None:
    predictions, chosen = overconfident(4000, factor=3.0)
    calibration = calibrate(predictions, chosen, source_balance=1.0)
    assert calibration.temperature == pytest.approx(3.0, rel=0.1)
    assert {point.name for point in calibration.operating_points} == {"accuracy", "f1", "balanced", "sensitive"}


def test_thresholds_belong_to_a_prevalence_of_one_half() -> None:
    predictions, chosen = overconfident(4000, factor=1.0)
    keep = np.array([picture.label == 0 or number % 8 == 0 for number, picture in enumerate(chosen)])
    rare = Predictions(predictions.logits[keep], predictions.labels[keep])
    calibration = calibrate(rare, [p for p, kept in zip(chosen, keep, strict=True) if kept], source_balance=1.0)
    points = {point.name: point.threshold for point in calibration.operating_points}
    # Were the few malignant pictures not weighted up, the most accurate threshold would lie near 0.9.
    assert points["accuracy"] == pytest.approx(0.5, abs=0.15)


def test_accuracy_is_of_the_sources_that_are_tested() -> None:
    predictions, chosen = overconfident(2000, factor=1.0)
    logits = np.tile(predictions.logits, (2, 1))
    logits[2000:, 1] += 3.0
    shifted = Predictions(logits, np.tile(predictions.labels, 2))
    pictures = [*chosen, *(replace(picture, source="other") for picture in chosen)]
    points = [calibrate(shifted, pictures, 1.0, tested).operating_points for tested in ((), ("one",), ("other",))]
    everywhere, one, other = ({point.name: point.threshold for point in found} for found in points)
    assert one["accuracy"] < everywhere["accuracy"] < other["accuracy"]
    assert one["balanced"] == everywhere["balanced"] == other["balanced"]


def test_a_few_odd_pictures_hardly_move_the_accuracy_threshold() -> None:
    predictions, chosen = overconfident(400, factor=1.0)
    labels = predictions.labels.copy()
    margin = predictions.logits[:, 1]
    found = []
    for odd in ((), np.flatnonzero((margin > 0) & (margin < 0.6) & (labels == 1))[:4]):
        labels[list(odd)] = 0
        pictures = [replace(picture, label=int(label)) for picture, label in zip(chosen, labels, strict=True)]
        points = calibrate(Predictions(predictions.logits, labels), pictures, 1.0).operating_points
        found.append({point.name: point.threshold for point in points}["accuracy"])
    assert found[1] == pytest.approx(found[0], abs=0.02)
    assert found[0] == pytest.approx(0.5, abs=0.06)


def test_sensitive_holds_in_each_source_and_not_only_on_average() -> None:
    rng = np.random.default_rng(0)
    labels = np.tile([0, 1], 600)
    easy = np.arange(1200) < 600
    margin = rng.normal(np.where(labels == 1, np.where(easy, 4.0, 0.5), -2.0), 1.0)
    logits = np.stack([np.zeros(1200), margin], axis=1)
    pictures = [
        Picture(Path(f"{number}.jpg"), str(number), "easy" if simple else "hard", "val", int(label))
        for number, (label, simple) in enumerate(zip(labels, easy, strict=True))
    ]
    calibration = calibrate(Predictions(logits, labels), pictures, source_balance=1.0)
    (threshold,) = (point.threshold for point in calibration.operating_points if point.name == "sensitive")
    called = malignant_probability(logits, calibration.temperature) >= threshold
    for own in (easy, ~easy):
        assert called[own & (labels == 1)].mean() >= share_to_show(300, 0.95) - 1e-9


def test_the_report_is_given_without_near_duplicates_too() -> None:
    labels = [0, 1, 0, 1]
    pictures = [Picture(Path(str(i)), str(i), "one", "test", label) for i, label in enumerate(labels)]
    pictures[0] = replace(pictures[0], near_duplicate_of_train=True)
    split = EvaluatedSplit(tuple(pictures), np.array([0.2, 0.9, 0.1, 0.8]))
    metrics = summarise(split, split, [])
    assert (metrics["test"]["n"], metrics["test_without_near_duplicates"]["n"]) == (4, 3)
    assert metrics["validation_by_source"]["one"]["n_malignant"] == 2


def wrong(root: Path, count: int) -> EvaluatedSplit:
    """Test pictures of `root`, each with the probability of the other class, the later the more so."""
    pictures = tuple(picture for picture in scan_folder(root) if picture.split == "test")[:: 12 // count]
    certainty = np.linspace(2.0, 6.0, len(pictures))
    signs = np.array([1 if picture.label == 0 else -1 for picture in pictures])
    logits = np.stack([np.zeros(len(pictures)), signs * certainty], axis=1)
    return EvaluatedSplit(pictures, malignant_probability(logits))


def test_the_gallery_shows_the_worst_first(shipped: LoadedCheckpoint, phantom_data: Path, tmp_path: Path) -> None:
    split = wrong(phantom_data, 4)
    assert write_gallery(tmp_path / "gallery", shipped, split, worst=1) == 2
    page = (tmp_path / "gallery" / "index.html").read_text(encoding="utf-8")
    assert split.pictures[1].file in page  # the surer of the two false positives
    assert split.pictures[3].file in page
    assert split.pictures[0].file not in page
    with Image.open(tmp_path / "gallery" / "false_positive_01.jpg") as image:
        assert image.size == (2 * 96, 96)  # picture and heat map side by side


def test_a_gallery_that_is_stopped_shows_what_there_is_and_what_could_not_be_read(
    shipped: LoadedCheckpoint, phantom_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split, errors = wrong(phantom_data, 6), [MemoryError(), None, KeyboardInterrupt()]

    def load(path: Path) -> NDArray[np.uint8]:
        if error := errors.pop(0):
            raise error
        return load_image(path)

    monkeypatch.setattr("lesion_demo.gallery.load_image", load)
    with pytest.raises(KeyboardInterrupt):
        write_gallery(tmp_path / "gallery", shipped, split, worst=3)
    page = (tmp_path / "gallery" / "index.html").read_text(encoding="utf-8")
    assert page.count("<figure>") == 2
    assert "needs more memory" in page
    assert page.count("<img") == 1
    assert (tmp_path / "gallery" / "false_positive_02.jpg").is_file()


def test_the_gallery_stays_out_of_the_project(shipped: LoadedCheckpoint, phantom_data: Path) -> None:
    with pytest.raises(DataError, match="inside the project"):
        write_gallery(PROJECT / "assets" / "gallery", shipped, wrong(phantom_data, 4), worst=1)
    assert not (PROJECT / "assets" / "gallery").exists()
