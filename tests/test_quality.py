"""Every quality check passes a good picture, fails the one spoilt in its way, and says so."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from lesion_demo.imaging.artefacts import draw_ring
from lesion_demo.imaging.loading import load_image
from lesion_demo.imaging.phantom import render_phantom
from lesion_demo.imaging.quality import QualityReport, check_quality, glare, sharpness

Picture = NDArray[np.uint8]
DATA = Path(os.environ.get("LESION_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="module")
def good() -> Picture:
    """A phantom with hairs, for something sharp in it: uint8 [320, 320, 3]."""
    return render_phantom(3, malignant=True, size=320, hair=True)


def failed(report: QualityReport) -> set[str]:
    return {check.name for check in report.warnings}


def stretched(picture: Picture, gain: float, offset: float = 0.0) -> Picture:
    return np.clip(np.round(picture * gain + offset), 0, 255).astype(np.uint8)


def flattened(picture: Picture) -> Picture:
    """A quarter of the contrast, around the mean colour."""
    mean = picture.mean(axis=(0, 1))
    return np.round(mean + (picture - mean) * 0.25).astype(np.uint8)


def blurred(picture: Picture, sigma: float = 4.0) -> Picture:
    """Gaussian blur of `sigma` pixels where the shorter side has 256."""
    radius = sigma * min(picture.shape[:2]) / 256
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(radius)))


def test_a_good_picture_passes_every_check(good: Picture) -> None:
    report = check_quality(good)
    assert report.ok
    assert report.warnings == ()
    names = [check.name for check in report.checks]
    assert names == ["brightness", "overexposure", "contrast", "sharpness", "glare", "size"]
    assert all(check.advice.endswith(".") for check in report.checks)


def test_dark(good: Picture) -> None:
    report = check_quality(stretched(good, 0.25))
    assert "brightness" in failed(report)
    assert "sharpness" not in failed(report), "dark is not blurred"
    assert not report.ok


def test_too_bright(good: Picture) -> None:
    assert "overexposure" in failed(check_quality(stretched(good, 0.3, 190)))


def test_flat(good: Picture) -> None:
    assert "contrast" in failed(check_quality(flattened(good)))


def test_blurred(good: Picture) -> None:
    assert failed(check_quality(blurred(good))) == {"sharpness"}


def test_glare(good: Picture) -> None:
    y, x = np.mgrid[:320, :320]
    spotted = good.copy()
    spotted[np.hypot(x - 220, y - 90) < 80] = 255
    assert failed(check_quality(spotted)) == {"glare"}
    spotted[...] = good
    spotted[np.hypot(x - 220, y - 90) < 20] = 255
    assert check_quality(spotted).ok, "a small highlight is no reason to warn"


def test_glare_is_white_not_merely_pale() -> None:
    pixels = np.full((10, 10, 3), 255, np.uint8)
    pixels[:4] = 249
    pixels[4:7, :, 2] = 200
    assert glare(pixels) == pytest.approx(0.3)


def test_small(good: Picture) -> None:
    small = np.asarray(Image.fromarray(good).resize((110, 110)))
    assert "size" in failed(check_quality(small))
    sizes = [check for check in check_quality(good).checks if check.name == "size"]
    assert sizes[0].value == 320


def test_sharpness_does_not_depend_on_the_pixel_count() -> None:
    """The same phantom, sharp and blurred, as 0.1 and as 3 megapixels (which is thinned first)."""
    large = np.asarray(Image.fromarray(render_phantom(3, malignant=True, size=640, hair=True)).resize((1800, 1800)))
    for version, is_sharp in ((large, True), (blurred(large), False)):
        small = np.asarray(Image.fromarray(version).resize((320, 320), Image.Resampling.LANCZOS))
        values = [value_of(check_quality(picture), "sharpness") for picture in (version, small)]
        assert value_of(check_quality(version), "size") == 1800
        assert values[0] == pytest.approx(values[1], rel=0.25)
        assert [("sharpness" not in failed(check_quality(p))) for p in (version, small)] == [is_sharp, is_sharp]


def value_of(report: QualityReport, name: str) -> float:
    return next(check.value for check in report.checks if check.name == name)


def test_sharpness_is_not_fooled_by_noise(good: Picture) -> None:
    noise = np.random.default_rng(0).normal(0, 2, good.shape)
    noisy = np.clip(np.round(blurred(good) + noise), 0, 255).astype(np.uint8)
    assert "sharpness" in failed(check_quality(noisy))


def test_sharpness_of_a_step_is_known() -> None:
    """Of a step of height h, smoothed by (1, 4, 6, 4, 1) / 16, the Laplacian is h / 16 × (1, 3, 2, −2, −3, −1).

    In 250 columns the 99th percentile falls on the 2.
    """
    step = np.where(np.arange(256) < 128, 60.0, 220.0).astype(np.float32) * np.ones((256, 1), np.float32)
    assert sharpness(step) == pytest.approx(160 * 2 / 16 / 225, rel=1e-4)


def test_a_ring_does_not_count_as_dark_or_as_contrast(good: Picture) -> None:
    ringed = draw_ring(good, radius=0.45)
    assert check_quality(ringed).ok
    assert "contrast" in failed(check_quality(draw_ring(flattened(good), radius=0.45)))


def test_example_pictures_warn_where_their_names_say_so() -> None:
    examples = sorted((Path(__file__).parents[1] / "assets" / "examples").glob("*.jpg"))
    for file in examples:
        names = failed(check_quality(load_image(file)))
        assert ("brightness" in names) == ("dark" in file.name), file.name
        assert not names or "dark" in file.name, (file.name, names)


def test_extremes_raise_nothing() -> None:
    for value in (0, 255):
        assert not check_quality(np.full((40, 500, 3), value, np.uint8)).ok


@pytest.mark.data
@pytest.mark.skipif(not (DATA / "melanoma10k").is_dir(), reason="the data sets are not here")
def test_limits_on_real_pictures() -> None:
    """60 train pictures of each data set: few warnings as they are, many when spoilt."""
    chance = random.Random(5)
    seen = []
    for name in ("melanoma10k", "ham10000", "padufes20"):
        seen += [load_image(f) for f in chance.sample(sorted((DATA / name / "train").rglob("*.jpg")), 60)]

    def rate(pictures: list[Picture], check: str | None = None) -> float:
        return float(np.mean([bool(names) if check is None else check in names for names in map(_failed, pictures)]))

    assert rate(seen) <= 0.05
    assert rate([stretched(p, 0.25) for p in seen], "brightness") >= 0.95
    assert rate([flattened(p) for p in seen]) >= 0.93
    assert rate([blurred(p) for p in seen], "sharpness") >= 0.95


def _failed(picture: Picture) -> set[str]:
    return failed(check_quality(picture))
