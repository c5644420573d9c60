"""Fitting a checkpoint to a clinic: made-up log-odds whose truth is known, and pictures from folder to fit."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.special import expit, logit
from tiny_clinic import CLASS_SIZE

from lesion_demo.checkpoint import LoadedCheckpoint, load_checkpoint
from lesion_demo.config import OperatingPoint
from lesion_demo.data.fingerprints import hash_file
from lesion_demo.data.folders import scan_outside
from lesion_demo.data.picture import Picture
from lesion_demo.data.split_file import write_split
from lesion_demo.data.splits import Splits
from lesion_demo.errors import CalibrationError, DataError
from lesion_demo.evaluate.own_clinic import (
    LEAST_OF_CLASS,
    LEAST_PICTURES,
    Sample,
    check_size,
    log_odds_of,
    read_sample,
    recalibrate,
)
from lesion_demo.evaluate.recalibration import balance, cross_validate, fit_line, fit_local
from lesion_demo.serve.classifier import Predictor

MEAN = 1.5
"""True log-odds are normal about ± this with a variance of twice this: then they are calibrated at one half."""
AT_95 = float(expit(MEAN - 1.6449 * np.sqrt(2 * MEAN)))
"""The true probability that 95 % of the malignant lesions reach."""
POINTS = (
    OperatingPoint("accuracy", 0.5),
    OperatingPoint("balanced", 0.5),
    OperatingPoint("sensitive", AT_95),
    OperatingPoint("own rule", 0.3),
)


def clinic(
    pictures: int, share: float = 0.3, *, slope: float = 1.0, shift: float = 0.0, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Log-odds as a checkpoint would give them, labels, and the true log-odds at equal classes: each [pictures]."""
    generator = np.random.default_rng(seed)
    labels = (np.arange(pictures) < round(share * pictures)).astype(np.int64)
    true = generator.normal(np.where(labels == 1, MEAN, -MEAN), np.sqrt(2 * MEAN))
    return slope * true + shift, labels, true


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_a_known_shift_and_slope_are_recovered_whatever_the_share_of_malignant_lesions(share: float) -> None:
    log_odds, labels, true = clinic(8000, share, slope=1.6, shift=1.5)
    fit = fit_local(log_odds, labels, POINTS)
    assert fit.slope == pytest.approx(1 / 1.6, abs=0.04)
    assert fit.intercept == pytest.approx(-1.5 / 1.6, abs=0.1)
    assert np.abs(fit.probabilities(log_odds) - expit(true)).mean() < 0.02


def test_of_a_checkpoint_calibrated_elsewhere_than_at_one_half_a_probability_keeps_its_meaning() -> None:
    log_odds, labels, _ = clinic(8000)
    fit = fit_local(log_odds + logit(0.1), labels, POINTS, prevalence=0.1)
    assert fit.slope == pytest.approx(1, abs=0.05)
    assert fit.intercept == pytest.approx(0, abs=0.2)


def test_a_hundred_pictures_of_a_well_calibrated_clinic_move_almost_nothing() -> None:
    moved, thresholds = [], []
    for seed in range(20):
        log_odds, labels, true = clinic(100, seed=seed)
        fit = fit_local(log_odds, labels, POINTS)
        moved.append(np.abs(fit.probabilities(true) - expit(true)).mean())
        thresholds.append(abs(logit(fit.thresholds["sensitive"]) - logit(AT_95)))
        assert fit.thresholds["own rule"] == 0.3  # nobody knows how it was chosen
    assert np.mean(moved) < 0.04
    assert np.mean(thresholds) < 0.3


def test_the_fewer_pictures_the_less_is_believed() -> None:
    def moved(pictures: int) -> tuple[float, float]:
        fits = [fit_local(*clinic(pictures, shift=2.0, seed=seed)[:2], POINTS) for seed in range(12)]
        slanted = [
            fit_local(*clinic(pictures, seed=seed)[:2], (OperatingPoint("sensitive", 0.02),)) for seed in range(12)
        ]
        return (
            -float(np.mean([fit.intercept for fit in fits])),
            float(np.mean([logit(fit.thresholds["sensitive"]) - logit(0.02) for fit in slanted])),
        )

    found = [moved(pictures) for pictures in (30, 100, 1000)]
    lines, thresholds = zip(*found, strict=True)
    assert lines[0] < lines[1] < lines[2]
    assert lines[2] == pytest.approx(2.0, abs=0.15)
    assert thresholds[0] < thresholds[1] < thresholds[2]
    assert thresholds[2] == pytest.approx(logit(AT_95) - logit(0.02), abs=0.4)


@pytest.mark.parametrize("shipped", [0.02, 0.5])
def test_the_sensitive_threshold_reaches_its_sensitivity_on_pictures_it_has_not_seen(shipped: float) -> None:
    log_odds, labels, _ = clinic(40000, slope=1.3, shift=-1.0)
    fit = fit_local(log_odds, labels, (OperatingPoint("sensitive", shipped),))
    others, truth, _ = clinic(40000, slope=1.3, shift=-1.0, seed=1)
    found = (fit.probabilities(others) >= fit.thresholds["sensitive"])[truth == 1].mean()
    assert found == pytest.approx(0.95, abs=0.008)


def test_pictures_of_one_lesion_count_as_one() -> None:
    log_odds, labels, _ = clinic(100, shift=1.5)
    groups = np.arange(100)
    line = fit_line(log_odds, labels, balance(labels, groups))
    odds, truth, lesions = np.tile(log_odds, 10), np.tile(labels, 10), np.tile(groups, 10)
    assert fit_line(odds, truth, balance(truth, lesions)) == pytest.approx(line, abs=1e-4)
    alone = fit_line(odds, truth, balance(truth, np.arange(1000)))
    assert abs(alone[1]) > abs(line[1])  # a thousand lesions are believed more than a hundred
    repeated = fit_local(odds, truth, POINTS, groups=lesions.tolist())
    assert repeated.thresholds == pytest.approx(fit_local(log_odds, labels, POINTS).thresholds, abs=1e-3)


def test_classes_that_do_not_overlap_give_a_finite_line() -> None:
    labels = np.repeat([0, 1], 60)
    fit = fit_local(np.where(labels == 1, 3.0, -3.0) + np.linspace(-1, 1, 120), labels, POINTS)
    assert 1 < fit.slope < 4
    assert all(0 < threshold < 1 for threshold in fit.thresholds.values())


def test_one_class_and_lists_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="benign and malignant"):
        fit_local(np.zeros(9), np.zeros(9, dtype=int), POINTS)
    with pytest.raises(DataError, match="2 groups for 4 pictures"):
        fit_local([0, 1, 2, 3], [0, 1, 0, 1], POINTS, groups=["a", "b"])


def test_cross_validated_figures_are_those_of_other_pictures() -> None:
    log_odds, labels, _ = clinic(600, slope=1.5, shift=1.0)
    sensitivity, specificity = cross_validate(log_odds, labels, POINTS)["sensitive"]
    fit = fit_local(log_odds, labels, POINTS)
    others, truth, _ = clinic(20000, slope=1.5, shift=1.0, seed=1)
    called = fit.probabilities(others) >= fit.thresholds["sensitive"]
    assert sensitivity.low < called[truth == 1].mean() < sensitivity.high
    assert specificity.low < 1 - called[truth == 0].mean() < specificity.high
    tenfold = cross_validate(
        np.repeat(log_odds[::10], 10), np.repeat(labels[::10], 10), POINTS, groups=np.repeat(np.arange(60), 10).tolist()
    )["sensitive"][0]
    assert tenfold.high - tenfold.low > 2 * (sensitivity.high - sensitivity.low)  # 18 lesions, not 180


# --- from pictures ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def loaded(tiny_checkpoint: Path) -> LoadedCheckpoint:
    return load_checkpoint(tiny_checkpoint)


@pytest.fixture
def data(clinic_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(clinic_folder, tmp_path / "St Mary"))


def keep(folder: Path, count: int) -> None:
    for path in sorted(folder.iterdir())[count:]:
        path.unlink()


def test_a_folder_of_classes_is_fitted_to(clinic_folder: Path, loaded: LoadedCheckpoint) -> None:
    local, warnings = recalibrate(loaded, clinic_folder)
    assert (local.name, local.pictures, local.malignant) == ("St Mary", 2 * CLASS_SIZE, CLASS_SIZE)
    assert (local.weights_sha256, local.temperature) == (loaded.meta.weights_sha256, loaded.meta.temperature)
    assert [point.name for point in local.points] == [point.name for point in loaded.meta.operating_points]
    assert [warning for warning in warnings if "split.csv is missing" in warning]


def test_log_odds_are_those_of_the_app(clinic_folder: Path, loaded: LoadedCheckpoint) -> None:
    chosen = scan_outside(clinic_folder)[:3]
    shown = Predictor(loaded).probabilities(np.asarray(Image.open(picture.path)) for picture in chosen)
    np.testing.assert_allclose(expit(log_odds_of(loaded, chosen)), shown, atol=1e-5)


@pytest.mark.parametrize(
    ("benign", "malignant", "said"),
    [
        (CLASS_SIZE, 0, "0 malignant"),
        (40, 40, "80 usable pictures"),
        (CLASS_SIZE, 19, f"of {CLASS_SIZE} benign and 19 malig"),
    ],
)
def test_too_few_pictures_or_too_few_of_a_class_are_refused(
    benign: int, malignant: int, said: str, data: Path, loaded: LoadedCheckpoint
) -> None:
    keep(data / "benign", benign)
    keep(data / "malignant", malignant)
    if malignant == 0:
        (data / "malignant").rmdir()
    with pytest.raises(DataError, match=said) as caught:
        recalibrate(loaded, data)
    assert f"{LEAST_PICTURES} pictures and {LEAST_OF_CLASS} lesions of each class" in str(caught.value)


@pytest.mark.parametrize(
    ("benign", "malignant", "each", "enough"),
    [
        (80, 20, 1, True),
        (100, 19, 1, False),
        (19, 100, 1, False),
        (79, 20, 1, False),
        (40, 20, 2, True),
        (40, 19, 3, False),
    ],
)
def test_lesions_are_counted_and_not_their_pictures(benign: int, malignant: int, each: int, enough: bool) -> None:
    truth = [0] * benign + [1] * malignant
    pictures = [
        Picture(Path(f"{lesion}-{number}.jpg"), f"{lesion}-{number}.jpg", "own", "train", label, group=str(lesion))
        for lesion, label in enumerate(truth)
        for number in range(each)
    ]
    if enough:
        check_size(Path("own"), Sample(tuple(pictures)))
    else:
        with pytest.raises(DataError, match=f"of {benign} benign and {malignant} malignant lesions"):
            check_size(Path("own"), Sample(tuple(pictures)))


def test_an_unreadable_picture_is_named_or_left_out(data: Path, tmp_path: Path) -> None:
    (data / "benign" / "bad.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"1 of \d+ pictures cannot be read.*bad\.jpg.*--skip-corrupt"):
        read_sample(data, tmp_path / "split.csv")
    sample = read_sample(data, tmp_path / "split.csv", skip_corrupt=True)
    assert len(sample.pictures) == 2 * CLASS_SIZE
    assert any("bad.jpg" in warning and "left out" in warning for warning in sample.warnings)


def test_pictures_that_the_checkpoint_has_learnt_from_are_left_out(
    data: Path, loaded: LoadedCheckpoint, tmp_path: Path
) -> None:
    file = tmp_path / "run" / "split.csv"
    known = [replace(picture, content_hash=hash_file(picture)) for picture in scan_outside(data)]
    write_split(file, Splits(tuple(replace(p, split="train" if i % 9 == 0 else "val") for i, p in enumerate(known))))
    sample = read_sample(data, file)
    learnt = len(known[::9])
    assert len(sample.pictures) == len(known) - learnt
    assert [f"{learnt} of {len(known)} pictures are among those" in warning for warning in sample.warnings] == [True]
    write_split(file, Splits(tuple(replace(picture, split="train") for picture in known)))
    with pytest.raises(DataError, match=r"0 usable pictures.*has learnt from"):
        recalibrate(replace(loaded, folder=file.parent), data)
    file.write_text("file,label\na,b\n")
    with pytest.raises(DataError, match=r"split\.csv could not be read as a split file"):
        read_sample(data, file)


def test_one_file_in_both_classes_is_refused(data: Path, loaded: LoadedCheckpoint) -> None:
    shutil.copy(sorted((data / "benign").iterdir())[0], data / "malignant" / "same.png")
    with pytest.raises(DataError, match="the same file"):
        recalibrate(loaded, data)


@pytest.mark.parametrize(("strength", "said"), [(-1.0, "class names are not swapped"), (0.3, "poorly here")])
def test_a_checkpoint_that_ranks_badly_is_refused_or_said_to(
    strength: float, said: str, clinic_folder: Path, loaded: LoadedCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def odds(_: LoadedCheckpoint, chosen: Sequence[Picture], device: str | None) -> NDArray[np.float64]:
        noise = np.random.default_rng(0).normal(size=len(chosen))
        return noise + strength * np.array([picture.label for picture in chosen])

    monkeypatch.setattr("lesion_demo.evaluate.own_clinic.log_odds_of", odds)
    if strength < 0:
        with pytest.raises(DataError, match=said):
            recalibrate(loaded, clinic_folder)
    else:
        assert any(said in warning for warning in recalibrate(loaded, clinic_folder)[1])


def test_a_hopeless_name_is_refused_before_any_work(data: Path, loaded: LoadedCheckpoint) -> None:
    with pytest.raises(CalibrationError, match="name of the clinic"):
        recalibrate(loaded, data / "nowhere", name="x" * 81)
