"""Every quality check passes a good picture, fails the one spoilt in its way, and says so."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pytest
from conftest import NEIGHBOUR, PROJECT
from numpy.typing import NDArray
from PIL import Image

from lesion_demo.images.load import load_image
from lesion_demo.images.look import Look
from lesion_demo.images.measurements import (
    blockiness,
    colour_distance,
    glare,
    least_directional_sharpness,
    luminance,
    optical_density,
    sharpness,
)
from lesion_demo.images.perturb import blur, compress, draw_ring, flatten, raise_to_gamma, shake, tint
from lesion_demo.images.phantom import render_phantom
from lesion_demo.images.quality import QualityReport, check_quality

Picture = NDArray[np.uint8]
NAMES = [
    "brightness",
    "shadows",
    "overexposure",
    "glare",
    "colour",
    "contrast",
    "sharpness",
    "motion",
    "compression",
    "size",
    "framing",
]
DATA = Path(os.environ.get("LESION_DATA", NEIGHBOUR))


@pytest.fixture(scope="module")
def good() -> Picture:
    """A phantom with hairs, for something sharp in it: uint8 [320, 320, 3]."""
    return render_phantom(3, malignant=True, size=320, hair=True)


def failed(report: QualityReport) -> set[str]:
    return {check.name for check in report.warnings}


def stretched(picture: Picture, gain: float | NDArray[np.float64], offset: float = 0.0) -> Picture:
    return np.clip(np.round(picture * gain + offset), 0, 255).astype(np.uint8)


def flattened(picture: Picture) -> Picture:
    """A quarter of the contrast, around the mean colour."""
    return flatten(picture, np.random.default_rng(0), 0.25)


def blurred(picture: Picture, sigma: float = 4.0) -> Picture:
    """Gaussian blur of `sigma` pixels where the shorter side has 256."""
    return blur(picture, np.random.default_rng(0), sigma)


def test_a_good_picture_passes_every_check(good: Picture) -> None:
    report = check_quality(good)
    assert report.ok
    assert report.warnings == ()
    assert [check.name for check in report.checks] == NAMES
    assert all(check.advice.endswith(".") for check in report.checks)


def test_dark(good: Picture) -> None:
    report = check_quality(stretched(good, 0.25))
    assert "brightness" in failed(report)
    assert "sharpness" not in failed(report), "dark is not blurred"
    assert "contrast" not in failed(report), "nor flat"
    assert not report.ok


def test_too_bright(good: Picture) -> None:
    assert "overexposure" in failed(check_quality(stretched(good, 0.3, 190)))


def test_flat(good: Picture) -> None:
    assert "contrast" in failed(check_quality(flattened(good)))


def test_three_tenths_of_the_contrast_of_an_ordinary_picture_are_too_little() -> None:
    ordinary = render_phantom(3, malignant=True, size=320, hair=True)
    ordinary[100:140, 100:140] = 15  # with a dark core it has nearly the whole scale
    ordinary[200:220, 200:220] = 245
    assert check_quality(ordinary).ok
    assert "contrast" in failed(check_quality(flatten(ordinary, np.random.default_rng(0), 0.3)))


def test_blurred(good: Picture) -> None:
    assert failed(check_quality(blurred(good))) == {"sharpness"}, "movement would be a second word for it"


def test_a_fault_is_named_once(good: Picture) -> None:
    """What is flat or tiny has faint details, too, and is not called blurred for that."""
    flat, tiny = flattened(good), np.asarray(Image.fromarray(blurred(good)).resize((64, 64)))
    assert failed(check_quality(flat)) == {"contrast"}
    assert failed(check_quality(blurred(flat))) == {"contrast", "sharpness"}, "it is both"
    report = check_quality(tiny)
    assert {check.name for check in report.checks if not check.passed} == {"size", "sharpness", "motion"}
    assert failed(report) == {"size"}
    blank = check_quality(np.full((64, 64, 3), 128, np.uint8))
    assert not blank.assessable
    assert failed(blank) >= {"size", "sharpness"}, "what is worse than its reason is named"


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


@pytest.fixture(scope="module")
def large() -> Picture:
    """A phantom drawn large: uint8 [900, 900, 3]."""
    return render_phantom(3, malignant=True, size=900, hair=True)


@pytest.mark.parametrize("is_sharp", [True, False])
def test_sharpness_does_not_depend_on_the_pixel_count(large: Picture, is_sharp: bool) -> None:
    """One phantom, sharp or blurred, of 4,000 pixels (thinned first), of 900 and of 300."""
    version = large if is_sharp else blurred(large)
    picture = Image.fromarray(version)
    copies = [np.asarray(picture.resize((side, side), Image.Resampling.LANCZOS)) for side in (4000, 900, 300)]
    reports = [check_quality(copy) for copy in copies]
    assert [value_of(report, "size") for report in reports] == pytest.approx([4000, 900, 300], abs=5)
    for name, tolerance in (("sharpness", 0.25), ("motion", 0.35)):
        values = [value_of(report, name) for report in reports]
        assert values == pytest.approx([values[-1]] * 3, rel=tolerance), name
    assert ["sharpness" not in failed(report) for report in reports] == [is_sharp] * 3


def test_moved_while_exposed(good: Picture) -> None:
    """A picture that is blurred in one direction alone is sharp by all its details together."""
    for seed in range(4):
        names = failed(check_quality(shake(good, np.random.default_rng(seed), 16.0)))
        assert "motion" in names, seed
    stripes = np.where(np.arange(256) // 2 % 2 == 0, 60.0, 200.0).astype(np.float32) * np.ones((256, 1), np.float32)
    noise = np.random.default_rng(0).uniform(60, 200, (256, 256)).astype(np.float32)
    assert sharpness(stripes) > 0.05
    assert least_directional_sharpness(stripes) < 1e-6
    assert least_directional_sharpness(noise) > 0.05


def test_lost_in_the_dark(good: Picture) -> None:
    """Gamma 3 leaves a pale picture about as bright as an ordinary one, with its lesion black."""
    pale = stretched(good, 0.75, 64)
    dark = check_quality(raise_to_gamma(good, np.random.default_rng(0), 4.0))
    assert check_quality(pale).ok
    assert "shadows" in failed(dark)
    assert optical_density(np.full((4, 4, 3), 255, np.uint8)) == pytest.approx(0, abs=1e-6)
    half = np.concatenate([np.full((4, 4, 3), 255, np.uint8), np.zeros((4, 4, 3), np.uint8)])
    assert optical_density(half) == pytest.approx(np.log(263 / 8) / 2, rel=1e-5)


def test_wrong_colours_in_any_hue(good: Picture) -> None:
    """A strong cast in five hues; a mild one is no reason to warn."""
    assert "colour" not in failed(check_quality(tint(good, np.random.default_rng(0), 1.1)))
    for gains in ((1.0, 0.6, 0.4), (0.35, 0.55, 1.0), (0.45, 1.0, 0.45), (1.0, 0.45, 1.0), (0.4, 1.0, 1.0)):
        assert "colour" in failed(check_quality(stretched(good, np.array(gains)))), gains
    grey = np.full((8, 8, 3), 150, np.uint8)
    assert colour_distance(grey, luminance(grey)) == pytest.approx(0.20 / 0.146, rel=1e-4)


def test_compressed() -> None:
    """At quality 10 and wherever the grid begins, but not at 90; in a picture too large to be measured whole, too."""
    good = render_phantom(3, malignant=True, size=320, hair=False)
    spoilt = compress(good, np.random.default_rng(0), 10)
    assert "compression" in failed(check_quality(spoilt))
    assert "compression" in failed(check_quality(spoilt[3:, 5:]))
    assert "compression" not in failed(check_quality(compress(good, np.random.default_rng(0), 90)))
    large = compress(np.tile(good, (8, 8, 1)), np.random.default_rng(0), 10)
    assert blockiness(large) == pytest.approx(blockiness(spoilt), rel=0.3)
    assert "compression" in failed(check_quality(large)), "its own pixels count, before any are left out"


def test_blocks_are_steps_at_every_eighth_pixel() -> None:
    ramp = np.arange(256) // 8 * 4 + np.random.default_rng(0).integers(0, 2, (256, 256))
    picture = np.repeat((ramp + ramp.T)[..., None], 3, axis=2).astype(np.uint8)
    assert blockiness(picture) > 4
    assert blockiness(np.full((256, 256, 3), 90, np.uint8)) == pytest.approx(1.0)
    assert blockiness(picture[:10, :10]) == 1.0


def test_lesion_too_small_in_the_picture(good: Picture) -> None:
    """Spots on even skin; where no lesion stands out, nothing is said."""
    skin = np.median(good[:10].reshape(-1, 3), axis=0)
    far = np.broadcast_to(skin, (320, 320, 3)).astype(np.uint8).copy()
    y, x = np.mgrid[:320, :320]
    assert Look.of(far).lesion is None
    assert "framing" not in {check.name for check in check_quality(far).checks}
    for radius, is_small in ((12, True), (40, False)):
        spot = far.copy()
        spot[np.hypot(x - 160, y - 160) < radius] = (90, 50, 40)
        assert ("framing" in failed(check_quality(spot))) == is_small


@pytest.mark.parametrize("value", [0, 255])
def test_nothing_to_see_is_severe(value: int) -> None:
    assert not check_quality(np.full((300, 300, 3), value, np.uint8)).assessable


def test_severe_only_where_nothing_is_left(good: Picture) -> None:
    tiny = np.asarray(Image.fromarray(good).resize((40, 40)))
    for lost in (blurred(good, 40), stretched(good, 0.1), stretched(good, 0.05, 240), tiny):
        assert not check_quality(lost).assessable
    for spoilt in (blurred(good), stretched(good, 0.4), flattened(good), tint(good, np.random.default_rng(0), 4.0)):
        report = check_quality(spoilt)
        assert not report.ok
        assert report.assessable


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
    examples = sorted((PROJECT / "lesion_demo" / "web" / "examples").glob("*.jpg"))
    assert len(examples) == 6
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
    moved = [shake(p, np.random.default_rng(i), 16.0) for i, p in enumerate(seen)]
    assert np.mean([bool({"motion", "sharpness"} & _failed(picture)) for picture in moved]) >= 0.88
    assert rate([compress(p, np.random.default_rng(0), 10) for p in seen], "compression") >= 0.95
    tinted = [tint(p, np.random.default_rng(i), 2.5) for i, p in enumerate(seen)]
    assert rate(tinted, "colour") >= 0.8


def _failed(picture: Picture) -> set[str]:
    return failed(check_quality(picture))
