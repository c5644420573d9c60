"""The golden set: today's code and libraries give the probabilities that were written down; so does every format."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from conftest import PROJECT
from PIL import Image

from lesion_demo.checkpoint import find_best_checkpoint
from lesion_demo.files import sha256_of
from lesion_demo.images import Pixels
from lesion_demo.images.load import load_image
from lesion_demo.images.phantom import render_phantom
from lesion_demo.serve.classifier import Predictor
from lesion_demo.serve.opened import ServedCheckpoint, open_checkpoint
from scripts.golden import Golden, GoldenSet, hash_of, made_up, read_golden

TOLERANCE = 1e-3


@pytest.fixture(scope="module")
def golden() -> GoldenSet:
    return read_golden()


def opened(engine: str) -> ServedCheckpoint:
    return open_checkpoint(find_best_checkpoint(PROJECT / "checkpoints"), engine)


def changes(engine: str, pictures: Sequence[Pixels], expected: Sequence[Golden]) -> list[str]:
    """Pictures whose probability is not what was written down, with both."""
    found = Predictor(opened(engine)).probabilities(pictures)
    return [
        f"{one.name}: {probability:.4f} instead of {one.probability:.4f}"
        for one, probability in zip(expected, found, strict=True)
        if abs(probability - one.probability) > TOLERANCE
    ]


def test_it_is_of_the_checkpoint_that_ships_and_spans_its_range(golden: GoldenSet) -> None:
    assert golden.weights_sha256 == opened("auto").meta.weights_sha256, "remake it: python -m scripts.golden"
    assert (len(golden.made_up), len(golden.real)) == (30, 20)
    for part in (golden.made_up, golden.real):
        probabilities = [one.probability for one in part]
        assert min(probabilities) < 0.1
        assert max(probabilities) > 0.9


@pytest.mark.parametrize(("engine", "step"), [("onnx", 1), ("torch", 6)])
def test_made_up_pictures_keep_their_probabilities(engine: str, step: int, golden: GoldenSet) -> None:
    part = golden.made_up[::step]
    pictures = [made_up(int(one.name)) for one in part]
    differently_drawn = [one.name for one, pixels in zip(part, pictures, strict=True) if hash_of(pixels) != one.sha256]
    assert changes(engine, pictures, part) == [], f"drawn otherwise than before: {differently_drawn or 'none'}"


@pytest.mark.data
def test_real_pictures_keep_their_probabilities(golden: GoldenSet, data_root: Path) -> None:
    files = [data_root / one.name for one in golden.real]
    assert [sha256_of(file) for file in files] == [one.sha256 for one in golden.real], "the data sets have changed"
    assert changes("auto", [load_image(file) for file in files], golden.real) == []


# --- one picture in six formats --------------------------------------------------------------------------------------

LOSSLESS: dict[str, dict[str, Any]] = {"PNG": {}, "WEBP": {"lossless": True}, "TIFF": {"compression": "tiff_lzw"}}
LOSSY: dict[str, dict[str, Any]] = {"JPEG": {"quality": 95}, "HEIF": {"quality": 95}, "AVIF": {"quality": 95}}


def encoded(pixels: Pixels, kind: str, **options: Any) -> bytes:
    pillow_heif.register_heif_opener()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def pictures() -> list[Pixels]:
    """Drawn at twice the size and scaled down, so that their noise is a camera's and no encoder's whole work."""
    large = [render_phantom(number, malignant=number % 2 == 1, size=600) for number in (1, 3, 6)]
    return [np.asarray(Image.fromarray(one).reduce(2)) for one in large]


def test_a_lossless_format_changes_nothing(pictures: list[Pixels]) -> None:
    for kind, options in LOSSLESS.items():
        for pixels in pictures:
            assert np.array_equal(load_image(encoded(pixels, kind, **options)), pixels), kind


def test_a_lossy_format_hardly_changes_the_answer(pictures: list[Pixels]) -> None:
    predictor = Predictor(opened("auto"))
    original = np.asarray(predictor.probabilities(pictures))
    for kind, options in LOSSY.items():
        decoded = [load_image(encoded(pixels, kind, **options)) for pixels in pictures]
        assert max(np.abs(one - two.astype(int)).mean() for one, two in zip(decoded, pictures, strict=True)) < 2, kind
        assert np.abs(predictor.probabilities(decoded) - original).max() < 0.03, kind
