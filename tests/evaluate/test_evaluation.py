"""Calibration on validation, and the gallery of mistakes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from lesion_demo.arrays import malignant_probability
from lesion_demo.audit.gallery import PROJECT, write_gallery
from lesion_demo.checkpoint import LoadedCheckpoint
from lesion_demo.config import OperatingPoint
from lesion_demo.data.folders import scan
from lesion_demo.data.picture import Picture
from lesion_demo.errors import DataError
from lesion_demo.evaluate.inference import Predictions
from lesion_demo.evaluate.referral import distance_to_threshold
from lesion_demo.evaluate.reporting import Judge, summarise
from lesion_demo.evaluate.run import EvaluatedSplit, calibrate
from lesion_demo.images.load import load_image
from lesion_demo.results import OutcomeCounts, Outcomes


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


def clinics(shifts: dict[str, float], malignant: int = 200) -> tuple[Predictions, list[Picture]]:
    """By the clinic's name, how far up the log-odds of its malignant pictures lie, 0 being those of its benign ones."""
    rng = np.random.default_rng(0)
    labels = np.tile([0, 1], malignant * len(shifts))
    names = np.repeat(list(shifts), 2 * malignant)
    margin = rng.normal(labels * np.array([shifts[name] for name in names]), 1.0)
    pictures = [
        Picture(Path(f"{number}.jpg"), str(number), str(name), "val", int(label))
        for number, (label, name) in enumerate(zip(labels, names, strict=True))
    ]
    return Predictions(np.stack([np.zeros(len(labels)), margin], axis=1), labels), pictures


def sensitivities(predictions: Predictions, pictures: list[Picture], **arguments: object) -> dict[str, float]:
    """By clinic, at the threshold that is chosen for `sensitive`."""
    calibration = calibrate(predictions, pictures, source_balance=1.0, **arguments)  # type: ignore[arg-type]
    probabilities = predictions.probabilities(calibration.temperature)
    (threshold,) = (point.threshold for point in calibration.operating_points if point.name == "sensitive")
    called = EvaluatedSplit(tuple(pictures), (probabilities >= threshold).astype(np.float64)).by_source()
    return {name: float(own.probabilities[own.labels == 1].mean()) for name, own in called.items()}


def test_sensitive_is_kept_on_the_mean_over_clinics_and_not_in_each_at_any_price() -> None:
    predictions, pictures = clinics({"easy": 4.0, "hard": 3.4})
    found = sensitivities(predictions, pictures)
    assert np.mean(list(found.values())) == pytest.approx(0.95, abs=0.0051)
    assert found["hard"] < 0.945
    # Ten times as many pictures of the easy clinic are still one clinic.
    often = [index for index, picture in enumerate(pictures) for _ in range(10 if picture.source == "easy" else 1)]
    many = Predictions(predictions.logits[often], predictions.labels[often])
    again = sensitivities(many, [pictures[index] for index in often])
    assert np.mean(list(again.values())) == pytest.approx(0.95, abs=0.01)


def test_sensitive_has_a_floor_in_each_clinic() -> None:
    found = sensitivities(*clinics({"a": 9.0, "b": 9.0, "c": 9.0, "hard": 2.0}))
    assert found["hard"] == pytest.approx(0.9, abs=0.0051)
    assert np.mean(list(found.values())) > 0.97


def test_photographs_and_a_clinic_of_few_cancers_do_not_choose() -> None:
    easy, pictures = clinics({"clinic": 4.0, "other": 0.0})
    alone = sensitivities(easy, pictures, photographs=("other",))
    assert alone["clinic"] == pytest.approx(0.95, abs=0.0051)
    kept = [picture for picture in pictures if picture.source == "clinic" or int(picture.file) % 8 < 2]
    some = Predictions(
        np.stack([easy.logits[int(picture.file)] for picture in kept]), np.array([picture.label for picture in kept])
    )
    assert sum(picture.label for picture in kept if picture.source == "other") < 100
    assert sensitivities(some, kept)["clinic"] == pytest.approx(0.95, abs=0.0051)


def test_every_threshold_has_a_margin_that_suits_it() -> None:
    predictions, pictures = clinics({"one": 2.5, "two": 2.5}, malignant=500)
    calibration = calibrate(predictions, pictures, source_balance=1.0)
    probabilities = predictions.probabilities(calibration.temperature)
    assert set(calibration.referral_margins) == {point.name for point in calibration.operating_points}
    for point in calibration.operating_points:
        margin = calibration.referral_margins[point.name]
        kept = distance_to_threshold(probabilities, point.threshold) >= margin
        called, labels = probabilities[kept] >= point.threshold, predictions.labels[kept]
        sensitivity, specificity = called[labels == 1].mean(), (~called[labels == 0]).mean()
        wanted = (0.97, 0.0) if point.name == "sensitive" else (0.92, 0.92)
        assert sensitivity >= wanted[0] - 1e-9, point.name
        assert specificity >= wanted[1] - 1e-9, point.name
    assert len(set(calibration.referral_margins.values())) > 2


def test_the_report_is_given_without_near_duplicates_too() -> None:
    labels = [0, 1, 0, 1]
    pictures = [Picture(Path(str(i)), str(i), "one", "test", label) for i, label in enumerate(labels)]
    pictures[0] = replace(pictures[0], near_duplicate_of_train=True)
    split = EvaluatedSplit(tuple(pictures), np.array([0.2, 0.9, 0.1, 0.8]))
    metrics = summarise(split, split, Judge([], {}))
    assert metrics.test is not None
    assert metrics.test_without_near_duplicates is not None
    assert (metrics.test.n, metrics.test_without_near_duplicates.n) == (4, 3)
    assert metrics.validation_by_source["one"].n_malignant == 2
    assert (metrics.test.seen_benign, metrics.test.seen_malignant) == (1, 0)


def test_every_operating_point_is_reported_by_source_with_the_four_answers() -> None:
    labels = np.tile([0, 0, 1, 1], 25)
    pictures = tuple(
        Picture(Path(str(i)), str(i), "clinic" if i < 60 else "phone", "test", int(label), group=str(i // 2))
        for i, label in enumerate(labels)
    )
    probabilities = np.where(labels == 1, 0.9, 0.1)
    probabilities[:4] = [0.9, 0.52, 0.1, 0.48]  # one wrong and one too close, of either class
    fit = np.arange(100) != 2
    split = EvaluatedSplit(pictures, probabilities, fit)
    judge = Judge([OperatingPoint("balanced", 0.5)], {"balanced": 0.5}, photographs=("phone",))
    found = summarise(split, split, judge)
    for by_source in (found.test_by_source, found.validation_by_source):
        clinic, phone = by_source["clinic"], by_source["phone"]
        assert (clinic.n, clinic.groups, clinic.photographs, phone.photographs) == (60, 30, False, True)
        (point,) = clinic.points
        assert point.sensitivity.value == pytest.approx(28 / 30)
        assert point.sensitivity.low < 28 / 30 < point.sensitivity.high
        assert point.outcomes == Outcomes(OutcomeCounts(28, 1, 1, 0), OutcomeCounts(0, 28, 1, 1))
        assert phone.points[0].sensitivity.value == 1
        assert phone.points[0].sensitivity.low < 0.9, "20 of 20 found is no certainty"


def test_calibration_is_checked_in_every_source_at_like_weights() -> None:
    rng = np.random.default_rng(0)
    odds = rng.normal(0, 2, 8000)
    labels = (rng.random(8000) < 1 / (1 + np.exp(-odds))).astype(np.int64)
    told = np.where(np.arange(8000) < 4000, odds, 2 * odds - 1)  # the second source: too extreme, and too low
    pictures = tuple(
        Picture(Path(str(i)), str(i), "true" if i < 4000 else "off", "val", int(label))
        for i, label in enumerate(labels)
    )
    split = EvaluatedSplit(pictures, malignant_probability(np.stack([np.zeros(8000), told], axis=1)))
    by_source = summarise(None, split, Judge([], {})).validation_by_source
    for source, least, most, line in (("true", 0.0, 0.03, (1, 0)), ("off", 0.06, 1.0, (0.5, 0.5))):
        found = by_source[source]
        assert found.balanced_calibration_error is not None
        assert found.calibration_line is not None
        assert least <= found.balanced_calibration_error < most
        assert (found.calibration_line.slope, found.calibration_line.intercept) == pytest.approx(line, abs=0.1)


def wrong(root: Path, count: int) -> EvaluatedSplit:
    """Test pictures of `root`, each with the probability of the other class, the later the more so."""
    pictures = tuple(picture for picture in scan([root]) if picture.split == "test")[:: 12 // count]
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
    assert split.mistakes(0.5, most=1) == {"false positive": [1], "false negative": [3]}
    with Image.open(tmp_path / "gallery" / "false_positive_01.jpg") as image:
        assert image.size == (2 * 96, 96)  # picture and heat map side by side


def test_a_name_in_the_gallery_is_text_and_no_markup(
    shipped: LoadedCheckpoint, phantom_data: Path, tmp_path: Path
) -> None:
    split = wrong(phantom_data, 4)
    pictures = tuple(replace(picture, source="<script>") for picture in split.pictures)
    write_gallery(tmp_path / "gallery", shipped, replace(split, pictures=pictures), worst=1)
    page = (tmp_path / "gallery" / "index.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;" in page
    assert "<script>" not in page


def test_a_gallery_that_is_stopped_shows_what_there_is_and_what_could_not_be_read(
    shipped: LoadedCheckpoint, phantom_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split, errors = wrong(phantom_data, 6), [MemoryError(), None, KeyboardInterrupt()]

    def load(path: Path) -> NDArray[np.uint8]:
        if error := errors.pop(0):
            raise error
        return load_image(path)

    monkeypatch.setattr("lesion_demo.audit.gallery.load_image", load)
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
