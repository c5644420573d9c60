"""A ring, hair, a ruler and ink are found where they are drawn, and not where they are not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from lesion_demo.images.artefacts import Artefact, find_artefacts
from lesion_demo.images.perturb import draw_hair, draw_pen_marks, draw_ring, draw_ruler
from lesion_demo.images.phantom import render_phantom

Picture = NDArray[np.uint8]
SEEDS = range(6)


def phantom(seed: int, size: int = 300) -> Picture:
    return render_phantom(seed, malignant=seed % 2 == 1, size=size, hair=False)


def found(image: Picture) -> set[str]:
    return {artefact.name for artefact in find_artefacts(image) if artefact.present}


def hairy(image: Picture, seed: int) -> Picture:
    return draw_hair(image, np.random.default_rng(seed))


def ringed(image: Picture, seed: int) -> Picture:
    return draw_ring(image, radius=0.45)


def ruled(image: Picture, seed: int) -> Picture:
    return draw_ruler(image, np.random.default_rng(seed))


def inked(image: Picture, seed: int) -> Picture:
    return draw_pen_marks(image, np.random.default_rng(seed))


DRAWINGS: dict[str, Callable[[Picture, int], Picture]] = {"hair": hairy, "ring": ringed, "ruler": ruled, "ink": inked}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_bare_picture_holds_nothing(seed: int) -> None:
    assert found(phantom(seed)) == set()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", DRAWINGS)
def test_what_is_drawn_is_found_and_nothing_else(name: str, seed: int) -> None:
    assert found(DRAWINGS[name](phantom(seed), seed)) == {name}


@pytest.mark.parametrize("name", DRAWINGS)
def test_the_size_of_the_picture_does_not_matter(name: str) -> None:
    large = DRAWINGS[name](phantom(0, size=1600), 0)
    small = np.asarray(Image.fromarray(large).resize((300, 300), Image.Resampling.BOX))
    assert found(large) == found(small) == {name}


@pytest.mark.parametrize("turns", range(4))
def test_a_ruler_is_found_along_every_edge(turns: int) -> None:
    assert found(np.rot90(ruled(phantom(1), 0), turns)) == {"ruler"}


def test_hairs_are_found_in_every_direction() -> None:
    for angle in range(0, 180, 20):
        image = phantom(0, size=512)
        direction = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
        for offset in (-120, -60, 60, 120):
            along = np.arange(-180, 180, 0.5)[:, None] * direction + 256 + offset * direction[::-1] * (1, -1)
            for x, y in along.astype(int):
                image[max(y, 0) : y + 3, max(x, 0) : x + 3] = (40, 28, 22)
        assert found(image) == {"hair"}, angle


def test_ink_is_not_hair() -> None:
    assert "hair" not in found(inked(phantom(2), 0))
    scribbled = draw_hair(phantom(2), np.random.default_rng(0), colour=(60, 40, 150))
    assert "hair" not in found(scribbled)


def test_a_blue_grey_veil_and_violet_light_are_no_ink() -> None:
    down, right = np.mgrid[:300, :300] - 150
    veiled = phantom(2)
    veiled[np.hypot(down - 60, right) < 30] = (95, 100, 118)
    assert "ink" not in found(veiled)
    violet = (phantom(2) * np.array([0.95, 0.85, 1.25])).clip(0, 255).astype(np.uint8)
    assert "ink" not in found(violet)


def test_dots_are_not_hair() -> None:
    image = phantom(2)
    image[20:280:14, 20:280:14] = 30
    assert "hair" not in found(image)


def test_short_lines_are_not_hair() -> None:
    image = phantom(2, size=256)
    for top in range(30, 200, 40):
        image[top : top + 32, 30:226:14] = 30
    assert "hair" not in found(image)


def test_the_rough_texture_of_a_lesion_is_not_hair() -> None:
    image = phantom(2, size=256)
    noise = ndimage.gaussian_filter(np.random.default_rng(1).normal(size=(256, 256)), 1.5)
    down, right = np.mgrid[:256, :256] - 128
    lesion = np.hypot(down, right) < 90
    image[lesion] = (110 + 50 * noise / noise.std()).clip(0, 255)[lesion][:, None]
    assert "hair" not in found(image)


def test_the_shade_at_the_edge_of_the_picture_is_not_hair() -> None:
    image = phantom(2, size=256)
    image[3:6] = image[250:253] = image[:, 3:6] = image[:, 250:253] = 30
    assert "hair" not in found(image)


def test_uneven_ticks_are_no_ruler() -> None:
    image = phantom(4)
    columns = np.cumsum(np.random.default_rng(3).integers(5, 24, 18))
    for column in columns[columns < 290]:
        image[262:275, column : column + 2] = 30
    assert "ruler" not in found(image)


def test_a_small_hatched_patch_at_the_edge_is_no_ruler() -> None:
    image = phantom(4, size=256)
    image[225:240, 40:70:3] = 30
    assert "ruler" not in found(image)


def test_every_artefact_says_by_what_measure() -> None:
    artefacts = find_artefacts(hairy(phantom(0), 0))
    assert [artefact.name for artefact in artefacts] == ["ring", "hair", "ruler", "ink", "second_lesion"]
    for artefact in artefacts:
        assert isinstance(artefact, Artefact)
        assert artefact.present == (artefact.value > artefact.limit)
        assert artefact.unit


@pytest.mark.parametrize("shape", [(32, 32), (40, 900), (900, 40)])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_an_empty_picture_of_any_shape_holds_nothing(shape: tuple[int, int], value: int) -> None:
    assert found(np.full((*shape, 3), value, np.uint8)) == set()


Spot = tuple[float, float, float, float]
"""Of a round spot: x and y of its middle, its radius, and how much darker than the skin it is (0–1)."""
ONE: Spot = (130, 150, 60, 0.5)


def spotted(*spots: Spot, size: int = 300) -> Picture:
    """Skin with some noise, and on it `spots` with soft edges."""
    rows, columns = np.mgrid[:size, :size]
    light = np.ones((size, size))
    for x, y, radius, darker in spots:
        light -= darker / (1 + np.exp((np.hypot(columns - x, rows - y) - radius) / 3))
    noise = np.random.default_rng(0).normal(0, 3, (size, size, 1))
    return (light[..., None] * (210, 170, 150) + noise).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("second", "told"),
    [
        ((235, 70, 40, 0.5), True),
        ((235, 70, 45, 0.4), True),
        ((235, 70, 20, 0.5), False),  # too small to be mistaken for the first
        ((235, 70, 40, 0.2), False),  # a freckle
        ((290, 20, 40, 0.5), False),  # at the edge: a shade, or clothes
        ((190, 190, 30, 0.5), False),  # a part of the first
    ],
)
def test_a_second_lesion_is_told_where_it_is_sure(second: Spot, told: bool) -> None:
    assert found(spotted(ONE)) == set()
    assert found(spotted(ONE, second)) == ({"second_lesion"} if told else set())


def test_two_halves_of_a_lesion_are_one() -> None:
    halves = spotted((110, 150, 40, 0.5), (196, 150, 40, 0.5))
    assert found(halves) == set()


def test_a_picture_of_many_lesions_has_a_second_one() -> None:
    assert found(spotted(ONE, (240, 70, 35, 0.5), (240, 240, 35, 0.5), (50, 50, 20, 0.5))) == {"second_lesion"}
