"""The lesion is found where it was drawn, on uneven skin and under hairs, and not where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from lesion_demo.images.lesion import find_lesion
from lesion_demo.images.phantom import render_phantom

SKIN = (225, 180, 160)
BROWN = (150, 95, 70)
Drawing = tuple[NDArray[np.uint8], NDArray[np.bool_]]


def drawn(
    *,
    x: float = 0.5,
    y: float = 0.5,
    radius: float = 0.2,
    colour: tuple[int, int, int] = BROWN,
    slope: float = 0.0,
    corners: float = 0.0,
    size: int = 300,
) -> Drawing:
    """An ellipse of `colour` on noisy skin, under a lamp from the left that spares the corners; and where it is."""
    across, down = np.meshgrid(*[(np.arange(size) + 0.5) / size] * 2)
    inside = np.hypot(across - x, (down - y) * 1.3) < radius
    picture = np.where(inside[..., None], colour, SKIN).astype(float)
    lamp = 1 - slope * across - corners * ((across - 0.5) ** 2 + (down - 0.5) ** 2)
    picture = picture * lamp[..., None] + np.random.default_rng(0).normal(0, 4, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8), inside


def overlap(mask: NDArray[np.bool_] | None, truth: NDArray[np.bool_]) -> float:
    """Intersection over union."""
    assert mask is not None
    return float((mask & truth).sum() / (mask | truth).sum())


@pytest.mark.parametrize(
    "drawing",
    [
        drawn(),
        drawn(x=0.65, y=0.4),
        drawn(radius=0.1),
        drawn(radius=0.4),
        drawn(colour=(200, 150, 130)),
        drawn(colour=(30, 20, 25)),
        drawn(colour=(200, 150, 130), slope=0.5),
        drawn(colour=(200, 150, 130), corners=0.8),
    ],
    ids=["plain", "off the middle", "small", "large", "pale", "black", "lamp from one side", "dark corners"],
)
def test_ellipse_is_found(drawing: Drawing) -> None:
    picture, truth = drawing
    mask = find_lesion(picture, 300)
    assert overlap(mask, truth) > (0.6 if truth.mean() < 0.04 else 0.75)
    assert mask is not None
    assert (mask | ~truth).mean() > 0.99, "the mask is a little wide, not narrow"


def test_hairs_are_no_part_of_it() -> None:
    picture, truth = drawn()
    image = Image.fromarray(picture)
    for start in range(-100, 400, 60):
        ImageDraw.Draw(image).line([(start, 0), (start + 90, 300)], fill=(50, 35, 30), width=4)
    assert overlap(find_lesion(np.asarray(image), 300), truth) > 0.8


def test_hole_is_filled() -> None:
    picture, truth = drawn(radius=0.3)
    across, down = np.meshgrid(np.arange(300), np.arange(300))
    picture[np.hypot(across - 150, down - 150) < 20] = SKIN
    mask = find_lesion(picture, 300)
    assert mask is not None
    assert mask[150, 150]
    assert overlap(mask, truth) > 0.8


def test_several_parts_belong_to_it_and_a_speck_does_not() -> None:
    one, two, speck = drawn(x=0.35, radius=0.12), drawn(x=0.65, radius=0.12), drawn(x=0.1, y=0.1, radius=0.03)
    mask = find_lesion(np.minimum(np.minimum(one[0], two[0]), speck[0]), 300)
    assert overlap(mask, one[1] | two[1]) > 0.6
    assert mask is not None
    assert mask[150, 105]
    assert mask[150, 195]
    assert not mask[:60, :60].any()


def test_side_is_the_masks_not_the_pictures() -> None:
    for size, side in ((90, 300), (900, 64)):
        picture, _ = drawn(size=size)
        mask = find_lesion(picture, side)
        assert mask is not None
        assert mask.shape == (side, side)
        assert mask.dtype == np.bool_
        assert mask.mean() == pytest.approx(np.pi * 0.2**2 / 1.3, rel=0.25)


@pytest.mark.parametrize("malignant", [False, True])
def test_phantoms(malignant: bool) -> None:
    """Darker inside than outside, in the middle, and of a phantom's size."""
    found = 0
    for seed in range(20):
        picture = render_phantom(seed, malignant=malignant)
        mask = find_lesion(picture, 300)
        if mask is None:
            continue
        grey = picture.mean(axis=2)
        found += bool(0.02 < mask.mean() < 0.6 and grey[mask].mean() < 0.85 * grey[~mask].mean())
    assert found >= 19


@pytest.mark.parametrize(
    "picture",
    [
        drawn(radius=0.0)[0],
        drawn(radius=0.0, slope=0.5, corners=0.8)[0],
        drawn(radius=2.0)[0],
        drawn(radius=0.01)[0],
        drawn(x=0.0, y=0.0, radius=0.25)[0],
        np.zeros((50, 50, 3), np.uint8),
        np.full((1, 1, 3), 255, np.uint8),
    ],
    ids=["bare skin", "uneven light", "nothing else", "a speck", "in the corner", "black", "one white pixel"],
)
def test_nothing_stands_out(picture: NDArray[np.uint8]) -> None:
    assert find_lesion(picture, 100) is None


def test_shade_along_the_edge_is_not_a_lesion() -> None:
    picture, _ = drawn(radius=0.0)
    picture[:, :110] //= 2
    assert find_lesion(picture, 100) is None
