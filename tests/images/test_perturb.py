"""Every degradation does what it says, more so the stronger it is, and a check answers to it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from lesion_demo.images.perturb import (
    DEGRADATIONS,
    STRENGTHS,
    Degradation,
    blur,
    compress,
    dim,
    flatten,
    overexpose,
    raise_to_gamma,
    reflect,
    shake,
    shrink,
    tint,
)
from lesion_demo.images.phantom import render_phantom
from lesion_demo.images.quality import check_quality

Picture = NDArray[np.uint8]
every = pytest.mark.parametrize("degradation", DEGRADATIONS, ids=lambda one: one.name)


def chance(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def good() -> Picture:
    """Hairy, lest blur be hard to see, and not square: uint8 [256, 300, 3]."""
    return np.ascontiguousarray(render_phantom(3, malignant=True, size=300, hair=True)[20:276])


@every
def test_leaves_the_picture_alone_and_repeats_itself(good: Picture, degradation: Degradation) -> None:
    before = good.copy()
    first, second = (degradation.apply(good, chance(7), degradation.strengths[1]) for _ in range(2))
    assert np.array_equal(good, before)
    assert np.array_equal(first, second)
    assert first.dtype == np.uint8
    assert first.ndim == 3


@every
def test_stronger_is_further_from_the_picture(good: Picture, degradation: Degradation) -> None:
    assert len(degradation.strengths) == len(STRENGTHS)
    spoilt = [degradation.apply(good, chance(7), strength) for strength in degradation.strengths]
    if degradation.apply is shrink:
        assert [min(one.shape[:2]) for one in spoilt] == list(degradation.strengths)
        return
    away = [np.abs(one.astype(float) - good).mean() for one in spoilt]
    assert 0 < away[0] < away[1] < away[2]


@every
def test_names_checks_that_exist_and_one_that_warns(good: Picture, degradation: Degradation) -> None:
    assert set(degradation.checks) <= {check.name for check in check_quality(good).checks}
    assert check_quality(good).ok
    strength = {"gamma": 4.0, "JPEG": 5.0}.get(degradation.name, degradation.strengths[2])  # a vivid, detailed phantom
    warned = {check.name for check in check_quality(degradation.apply(good, chance(3), strength)).warnings}
    assert warned & set(degradation.checks)


def test_values() -> None:
    picture = np.array([[[0, 51, 255], [100, 200, 40]]], np.uint8)
    assert raise_to_gamma(picture, chance(), 2.0)[0].tolist() == [[0, 10, 255], [39, 157, 6]]
    assert dim(picture, chance(), 0.5)[0].tolist() == [[0, 26, 128], [50, 100, 20]]
    assert overexpose(picture, chance(), 2.0)[0].tolist() == [[0, 102, 255], [200, 255, 80]]
    assert flatten(picture, chance(), 0.0)[0].tolist() == [[50, 126, 148]] * 2


def test_blur_has_the_width_it_says() -> None:
    """The variance of a blurred point is σ², scaled with the shorter side."""
    point = np.zeros((512, 512, 3), np.uint8)
    point[236:276, 236:276] = 255
    for sigma in (2.0, 4.0):
        row = blur(point, chance(), sigma)[..., 0].sum(axis=0).astype(float)
        variance = np.average((np.arange(512) - 255.5) ** 2, weights=row)
        assert variance == pytest.approx((2 * sigma) ** 2 + (40**2 - 1) / 12, rel=0.05)


@pytest.mark.parametrize("seed", range(3))
def test_shake_is_a_line(seed: int) -> None:
    """As long as it says, scaled with the picture, one pixel wide, and no light is lost."""
    point = np.zeros((512, 512, 3), np.uint8)
    point[250:262, 250:262] = 255
    found = shake(point, chance(seed), 16.0)[..., 0].astype(float)
    assert found.sum() == pytest.approx(point[..., 0].sum(), rel=0.03)
    y, x = np.mgrid[:512, :512] - 255.5
    spread = np.linalg.eigvalsh(np.cov(np.stack([x.ravel(), y.ravel()]), aweights=found.ravel()))
    assert spread[0] == pytest.approx((12**2 - 1) / 12, rel=0.1)
    assert spread[1] == pytest.approx((12**2 - 1) / 12 + 32**2 / 12, rel=0.1)


def test_reflections_cover_about_the_share_they_say() -> None:
    grey = np.full((256, 256, 3), 100, np.uint8)
    shares = [(reflect(grey, chance(seed), 0.15)[..., 0] > 180).mean() for seed in range(12)]
    assert 0.1 < np.mean(shares) < 0.16
    assert len(set(shares)) > 6


def test_compression_is_that_of_a_file(good: Picture) -> None:
    assert compress(good, chance(), 10).shape == good.shape
    assert len(np.unique(compress(np.full((64, 64, 3), 90, np.uint8), chance(), 10))) == 1


def test_shrink_keeps_the_shape_and_never_enlarges(good: Picture) -> None:
    assert shrink(good, chance(), 64.0).shape == (64, 75, 3)
    assert shrink(good, chance(), 256.0) is good


def test_tint_has_the_ratio_it_says() -> None:
    grey = np.full((4, 4, 3), 100, np.uint8)
    hues = set()
    for seed in range(20):
        red, green, blue = tint(grey, chance(seed), 2.5)[0, 0].astype(float)
        ratio = max(red, green, blue) / min(red, green, blue)
        assert 2.5 ** (3**0.5 / 2) * 0.98 <= ratio <= 2.5 * 1.02
        assert (red * green * blue) ** (1 / 3) == pytest.approx(100, rel=0.02)
        hues.add((red > green, green > blue, blue > red))
    assert len(hues) == 6
