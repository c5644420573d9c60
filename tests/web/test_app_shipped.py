"""`app.py` itself, on the shipped checkpoint: in a browser, and for programs."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from app_site import choose_point, judged, opened, picture_in
from conftest import PROJECT
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from server_calls import wait_for

from lesion_demo.checkpoint import Checkpoint, find_best_checkpoint, read_meta
from lesion_demo.errors import CheckpointError
from lesion_demo.images.perturb import draw_pen_marks, flatten
from lesion_demo.images.phantom import render_phantom
from lesion_demo.images.unrelated import photographs
from lesion_demo.texts import load_texts
from lesion_demo.web.uploads import PREFIX

TEXTS = load_texts("en")


@pytest.fixture(scope="module")
def checkpoint() -> Path:
    try:
        return find_best_checkpoint()
    except CheckpointError as error:
        pytest.fail(f"No checkpoint is shipped: {error}")


@pytest.fixture(scope="module")
def meta(checkpoint: Path) -> Checkpoint:
    return read_meta(checkpoint)


@pytest.fixture(scope="module")
def server(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a running `app.py`, started from another folder; it must end, and clear up, when told to."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("elsewhere")
    log = folder / "log"
    command = [sys.executable, str(PROJECT / "app.py"), "--checkpoint", str(checkpoint.resolve()), "--port", str(port)]
    environment = {**os.environ, "TMPDIR": str(folder)}
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(address, process, log)
        assert address in log.read_text()
        yield address
    finally:
        process.terminate()
        process.wait(60)
    assert "Traceback" not in log.read_text(), log.read_text()
    assert not list(folder.glob(f"{PREFIX}*")), "uploads were left behind"


@pytest.fixture
def real_page(browser: Browser, server: str) -> Iterator[Page]:
    """The page on the shipped checkpoint."""
    yield from opened(browser, server)


def test_picture_gives_verdict_bar_and_overlay(real_page: Page, files: Path, meta: Checkpoint) -> None:
    expect(real_page.get_by_text(TEXTS.page.disclaimer)).to_be_visible()
    judged(real_page, files / "phantom.png")
    original = np.asarray(Image.open(files / "phantom.png"), dtype=float)
    heat = picture_in(real_page, "#heat", 1)
    assert heat.shape == original.shape
    changed = np.abs(heat - original).max(axis=2)
    assert changed.max() > 60  # the hottest spot
    assert np.percentile(changed, 1) < 20  # the coldest
    expect(real_page.locator("#foot")).to_contain_text(meta.backbone)
    expect(real_page.locator("#quality tbody th")).not_to_have_count(0)


def test_every_operating_point_is_offered_with_its_own_threshold(
    real_page: Page, files: Path, meta: Checkpoint
) -> None:
    judged(real_page, files / "phantom.png")
    bar = real_page.locator("#result .bar")
    for point in meta.operating_points:
        choose_point(real_page, point.name)
        limit = f"{TEXTS.verdict.threshold_label} {TEXTS.percent(point.threshold)}"
        expect(bar).to_have_attribute("aria-label", re.compile(re.escape(limit)))


def test_a_turned_picture_gets_the_same_answer_and_a_mirrored_one_nearly(
    real_page: Page, files: Path, tmp_path: Path
) -> None:
    scores = []
    for number, way in enumerate((None, Image.Transpose.ROTATE_90, Image.Transpose.FLIP_LEFT_RIGHT)):
        picture = Image.open(files / "phantom.png")
        (picture.transpose(way) if way is not None else picture).save(tmp_path / f"{number}.png")
        judged(real_page, tmp_path / f"{number}.png")
        scores.append(float(real_page.locator("#result .bar").get_attribute("data-score").rstrip("\u00a0%")))  # type: ignore[union-attr]
    assert scores[1] == pytest.approx(scores[0], abs=2), "in percent; scaling rounds rows and columns differently"
    assert scores[2] == pytest.approx(scores[0], abs=10)


def test_what_is_wrong_with_a_picture_is_named(real_page: Page, tmp_path: Path) -> None:
    picture, rng = render_phantom(5, malignant=True, hair=False), np.random.default_rng(0)
    cat = next(photograph for photograph in photographs(learnt=False))
    spoilt = {"flat": flatten(picture, rng, 0.3), "marked": draw_pen_marks(picture, rng), "photograph": cat}
    for name, pixels in spoilt.items():
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    judged(real_page, tmp_path / "flat.png")
    expect(real_page.locator("#result")).to_contain_text(TEXTS.quality.retake["contrast"])
    judged(real_page, tmp_path / "marked.png")
    expect(real_page.locator("#quality")).to_contain_text(TEXTS.quality.artefacts["ink"])
    judged(real_page, tmp_path / "photograph.png")
    expect(real_page.locator("#result .card.not_assessable")).to_contain_text(TEXTS.verdict.unfamiliar)


def test_endpoint_answers_programs(server: str, files: Path, meta: Checkpoint) -> None:
    client = Client(server, verbose=False)
    api = client.view_api(return_format="dict")
    assert "/analyze" in api["named_endpoints"]
    assert set(api["named_endpoints"]) <= {"/analyze", "/analyze_batch"}
    assert api["unnamed_endpoints"] == {}
    names = [value["parameter_name"] for value in api["named_endpoints"]["/analyze"]["parameters"]]
    assert names == ["picture", "operating_point", "dermoscopic", "prevalence"]
    findings, overlay = client.predict(handle_file(files / "phantom.png"), "accuracy", False, 0.1, api_name="/analyze")
    point = meta.operating_point("accuracy")
    assert findings["operating_point"]["name"] == "accuracy"
    assert findings["operating_point"]["threshold"] == pytest.approx(point.threshold)
    assert findings["verdict"] in {"benign", "malignant", "uncertain", "not_assessable"}
    assert findings["picture"]["dermoscopic"] is False
    assert {check["name"] for check in findings["quality"]} >= {"brightness", "contrast", "sharpness"}
    assert Image.open(overlay).size == (300, 300)
    by_default, _ = client.predict(handle_file(files / "phantom.png"), api_name="/analyze")
    assert by_default["operating_point"]["name"] == "sensitive"
    assert by_default["probability"] == pytest.approx(findings["probability"], abs=1e-3)
    with pytest.raises(AppError, match="is not a picture"):
        client.predict(handle_file(files / "letter.jpg"), api_name="/analyze")
    with pytest.raises(AppError, match="between 0 and 1"):
        client.predict(handle_file(files / "phantom.png"), "sensitive", True, 0.0, api_name="/analyze")


def test_language_without_a_translation_is_refused() -> None:
    command = [sys.executable, str(PROJECT / "app.py"), "--language", "fr", "--port", "0"]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert refused.returncode == 1
    assert "no translation 'fr'; the available ones are en, de" in refused.stderr
