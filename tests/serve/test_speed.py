"""What is done to be fast changes no answer: small, untimed versions of what `python -m scripts.bench` measures."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from conftest import PROJECT
from PIL import Image

from lesion_demo.checkpoint import find_best_checkpoint
from lesion_demo.errors import ImageError
from lesion_demo.images.load import ENOUGH, load_image, load_picture
from lesion_demo.images.look import Look
from lesion_demo.images.phantom import render_phantom
from lesion_demo.images.quality import check_quality
from lesion_demo.serve.analysis import Analyzer
from lesion_demo.serve.classifier import Predictor, read_ahead
from lesion_demo.serve.opened import open_checkpoint
from lesion_demo.serve.scoring import score_files
from lesion_demo.web.picture import png_file

LARGE = (3000, 2250)
"""Width and height of a picture that is decoded at a half: 2250 is three times ENOUGH, and a bit."""


@pytest.fixture(scope="module")
def analyzer() -> Analyzer:
    return Analyzer(open_checkpoint(find_best_checkpoint(), "onnx"))


def large(quality: int = 92, orientation: int = 1, size: tuple[int, int] = LARGE) -> bytes:
    """A JPEG file with a camera's noise."""
    phantom = Image.fromarray(render_phantom(1, malignant=True, size=600)).resize(size)
    noisy = np.asarray(phantom) + np.random.default_rng(1).normal(0, 3, (size[1], size[0], 1))
    exif, file = Image.Exif(), BytesIO()
    exif[0x0112] = orientation
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=quality, exif=exif)
    return file.getvalue()


def test_a_large_picture_is_scaled_while_it_is_decoded_and_gets_the_same_verdict(
    analyzer: Analyzer, tmp_path: Path
) -> None:
    file = tmp_path / "large.jpg"
    file.write_bytes(large())
    full = analyzer.analyze(load_image(file))
    scaled, pixels = analyzer.analyze_file(file)
    assert pixels.shape == (LARGE[1] // 2, LARGE[0] // 2, 3)
    assert (scaled.shape, scaled.verdict) == (full.shape, full.verdict)
    assert scaled.probability == pytest.approx(full.probability, abs=0.005)
    np.testing.assert_allclose(scaled.visible, full.visible, atol=32)  # the field is found on a copy of 100 pixels
    assert np.corrcoef(scaled.heat.values.ravel(), full.heat.values.ravel())[0, 1] > 0.999
    sizes = [next(check for check in one.quality.checks if check.name == "size").value for one in (scaled, full)]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.02)
    names = [[check.name for check in one.quality.warnings] for one in (scaled, full)]
    assert names[0] == names[1]


@pytest.mark.parametrize(("orientation", "whole"), [(1, (2250, 3000)), (6, (3000, 2250)), (3, (2250, 3000))])
def test_the_size_in_the_file_is_told_upright(orientation: int, whole: tuple[int, int]) -> None:
    found = load_picture(large(orientation=orientation), scaled=True)
    assert found.whole == whole
    assert found.pixels.shape[:2] == tuple(side // 2 for side in whole)


def test_what_need_not_be_scaled_is_decoded_in_full() -> None:
    for data in (large(size=(2 * ENOUGH - 1, 2 * ENOUGH - 1)), large(quality=10)):
        found = load_picture(data, scaled=True)
        assert found.whole is None
        np.testing.assert_array_equal(found.pixels, load_image(data))
    assert load_picture(large()).pixels.shape[:2] == LARGE[::-1], "in full unless it is asked for"


def test_blocks_of_a_large_picture_are_still_told() -> None:
    found = load_picture(large(quality=8, size=(4 * ENOUGH, 4 * ENOUGH)), scaled=True)
    assert "compression" in [check.name for check in check_quality(Look(found.pixels, found.whole)).warnings]


def test_an_answer_does_not_depend_on_the_company_that_a_picture_has(
    analyzer: Analyzer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches are shared out over threads, and read ahead: each row is its own picture's."""
    pictures = [render_phantom(seed, malignant=seed % 2 == 0, size=200) for seed in range(18)]
    files = [tmp_path / f"{number:02}.png" for number in range(len(pictures))]
    for file, picture in zip(files, pictures, strict=True):
        Image.fromarray(picture).save(file)
    alone = [analyzer.analyze(picture).probability for picture in pictures[:2] + pictures[-2:]]
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    predictor = Predictor(open_checkpoint(PROJECT / "checkpoints" / analyzer.folder.name, "onnx"))
    rows = list(score_files(list(map(str, files)), predictor, analyzer.meta.operating_points[0], 0.5))
    assert [row.file for row in rows] == list(map(str, files))
    found = [float(row.probability) for row in rows[:2] + rows[-2:]]
    np.testing.assert_allclose(found, alone, atol=1e-5)
    assert np.std([float(row.probability) for row in rows]) > 0.05, "answers that are all alike are no comparison"


def test_two_who_ask_for_the_same_picture_get_a_file_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradio's own writer writes both into one file, and who reads it then gets a part."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    picture = render_phantom(1, malignant=True, size=100)
    files = {png_file(picture) for _ in range(2)}
    assert len(files) == 2
    for file in files:
        assert Path(file).is_relative_to(tmp_path)
        np.testing.assert_array_equal(load_image(file), picture)


def test_what_is_read_ahead_comes_in_order_and_one_ahead() -> None:
    made: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(4):
            made.append(number)
            yield number
        raise ImageError("damaged")

    reading = read_ahead(numbers())
    for number in range(4):
        assert next(reading) == number
        assert len(made) <= number + 2, "no more than one ahead: they are as large as a batch of pictures"
    with pytest.raises(ImageError, match="damaged"):
        next(reading)
    assert list(read_ahead(())) == []
