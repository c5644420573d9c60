"""Phantoms: repeatable, different from each other, learnable, and written the way the scanner expects."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from conftest import PROJECT
from numpy.typing import NDArray
from PIL import Image

from lesion_demo.images.field_of_view import find_field_of_view
from lesion_demo.images.phantom import render_phantom, write_phantom_dataset

EXAMPLES = PROJECT / "lesion_demo" / "web" / "examples"


def thumbnail(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Luminance of a 24 × 24 copy, mean 0 and length 1: the product of two is their correlation."""
    grey = Image.fromarray(picture).convert("L").resize((24, 24), Image.Resampling.BOX)
    values = np.asarray(grey, np.float64).ravel()
    values -= values.mean()
    return values / np.linalg.norm(values)


@pytest.mark.parametrize("malignant", [False, True])
@pytest.mark.parametrize("size", [32, 97, 300])
def test_shape_and_type(malignant: bool, size: int) -> None:
    picture = render_phantom(1, malignant=malignant, size=size)
    assert picture.shape == (size, size, 3)
    assert picture.dtype == np.uint8


def test_a_seed_repeats_its_picture_and_another_does_not() -> None:
    first = render_phantom(5, malignant=True, size=96)
    assert np.array_equal(first, render_phantom(5, malignant=True, size=96))
    assert not np.array_equal(first, render_phantom(6, malignant=True, size=96))
    assert not np.array_equal(first, render_phantom(5, malignant=False, size=96))


def test_a_seed_looks_alike_at_every_size() -> None:
    for malignant in (False, True):
        small, large = (thumbnail(render_phantom(3, malignant=malignant, size=s, hair=False)) for s in (100, 300))
        assert small @ large > 0.97


def test_no_two_are_near_duplicates() -> None:
    pictures = [thumbnail(render_phantom(i, malignant=bool(i % 2), size=48)) for i in range(48)]
    assert max(float(a @ b) for a, b in combinations(pictures, 2)) < 0.98


def test_classes_differ_in_colour_but_overlap() -> None:
    """A nearest-mean rule on colour statistics is right most of the time: there is something to learn."""
    spread = {m: [colour_spread(i, m) for i in range(24)] for m in (False, True)}
    middle = (np.mean(spread[False]) + np.mean(spread[True])) / 2
    right = np.mean([value > middle for value in spread[True]] + [value <= middle for value in spread[False]])
    assert 0.75 < right <= 1.0


def colour_spread(seed: int, malignant: bool) -> float:
    return float(render_phantom(seed, malignant=malignant, size=48).std(axis=(0, 1)).mean())


def test_the_lesion_is_darker_than_the_skin_around_it() -> None:
    for seed in range(8):
        picture = render_phantom(seed, malignant=False, size=120, hair=False).mean(axis=2)
        assert np.percentile(picture, 2) < 0.8 * np.percentile(picture, 80)


def test_ring_is_found_as_a_field_of_view() -> None:
    for seed in range(3):
        plain = find_field_of_view(render_phantom(seed, malignant=True, size=200))
        ringed = find_field_of_view(render_phantom(seed, malignant=True, size=200, ring=True))
        assert (plain.width, plain.height) == (200, 200)
        assert 120 < ringed.width < 180


def test_hair_darkens_thin_lines_only() -> None:
    bald, hairy = (render_phantom(2, malignant=False, size=200, hair=h).astype(int) for h in (False, True))
    darker = (bald.mean(axis=2) - hairy.mean(axis=2)) > 40
    assert 0.002 < darker.mean() < 0.12


def test_brightness_and_contrast() -> None:
    plain, dark, flat = (
        render_phantom(4, malignant=True, size=120, hair=False, brightness=b, contrast=c).astype(float)
        for b, c in ((1.0, 1.0), (0.25, 1.0), (1.0, 0.2))
    )
    assert dark.mean() == pytest.approx(0.25 * plain.mean(), rel=0.05)
    assert flat.mean() == pytest.approx(plain.mean(), rel=0.02)
    assert flat.std(axis=(0, 1)).max() < 0.3 * plain.std(axis=(0, 1)).max()


def test_writes_an_image_folder(tmp_path: Path) -> None:
    write_phantom_dataset(tmp_path, train=3, val=0, test=2, seed=1, size=40)
    folders = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_dir())
    assert folders == ["test", "test/benign", "test/malignant", "train", "train/benign", "train/malignant"]
    assert [len(list((tmp_path / f).glob("*.png"))) for f in folders if "/" in f] == [2, 2, 3, 3]
    contents = {p.read_bytes() for p in tmp_path.rglob("*.png")}
    assert len(contents) == 10
    assert Image.open(next(tmp_path.rglob("*.png"))).size == (40, 40)


def test_another_seed_writes_other_pictures(tmp_path: Path) -> None:
    for seed in (1, 2):
        write_phantom_dataset(tmp_path / str(seed), train=2, val=1, test=0, seed=seed, size=32)
    assert len({p.read_bytes() for p in tmp_path.rglob("*.png")}) == 12


def test_examples_are_small_honest_and_readable() -> None:
    files = sorted(EXAMPLES.iterdir())
    assert len(files) >= 6
    for file in files:
        assert file.name.startswith("phantom_")
        assert file.stat().st_size < 300_000
        assert Image.open(file).size == (600, 600)
