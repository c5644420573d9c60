"""The app as a visitor meets it: a real server on the shipped checkpoint, a real Chromium, phantoms as pictures."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from lesion_demo.checkpoint import Checkpoint, find_best_checkpoint, read_meta
from lesion_demo.errors import CheckpointError
from lesion_demo.imaging.phantom import render_phantom
from lesion_demo.ui import fragments, strings

PROJECT = Path(__file__).resolve().parent.parent
PATIENCE = 60_000
"""Milliseconds; a busy machine is slow, not broken."""
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def shipped() -> Path:
    try:
        return find_best_checkpoint()
    except CheckpointError as error:
        pytest.fail(f"No checkpoint is shipped: {error}")


@pytest.fixture(scope="module")
def meta(shipped: Path) -> Checkpoint:
    return read_meta(shipped)


@pytest.fixture(scope="module")
def server(shipped: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a running `app.py`, started from another folder; it must end, and clear up, when told to."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("elsewhere")
    log = folder / "log"
    command = [sys.executable, str(PROJECT / "app.py"), "--checkpoint", str(shipped.resolve()), "--port", str(port)]
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(address, process, log)
        assert address in log.read_text()
        yield address
    finally:
        process.terminate()
        process.wait(60)
    assert "Traceback" not in log.read_text(), log.read_text()
    assert not (Path(tempfile.gettempdir()) / f"lesion-demo-{port}").exists(), "uploads were left behind"


def wait_for(address: str, process: subprocess.Popen[bytes], log: Path, seconds: int = 300) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert process.poll() is None, f"app.py ended: {log.read_text()}"
        try:
            with urllib.request.urlopen(address, timeout=10):
                return
        except OSError:
            time.sleep(0.5)
    pytest.fail(f"app.py did not answer within {seconds} s: {log.read_text()}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        reason = f"No browser ({', '.join(names)}): install one, on Debian with 'apt-get install chromium'."
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture
def hosts() -> set[str]:
    """The hosts that the page asked for something."""
    return set()


@pytest.fixture
def page(browser: Browser, server: str, hosts: set[str]) -> Iterator[Page]:
    """The page, loaded and ready, 1440 pixels wide."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme="light")
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.on("request", lambda request: hosts.add(urlparse(request.url).hostname or "127.0.0.1"))  # blob: has no host
    page.goto(server)
    page.locator("#examples img").first.wait_for()
    yield page
    context.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of phantoms, and of what is none."""
    folder = tmp_path_factory.mktemp("files")
    Image.fromarray(render_phantom(5, malignant=True)).save(folder / "phantom.png")
    Image.fromarray(render_phantom(5, malignant=True)).save(folder / "phantom.tiff")
    Image.fromarray(render_phantom(5, malignant=True, brightness=0.2)).save(folder / "dark.png")
    (folder / "letter.jpg").write_bytes(b"Dear doctor, please find my picture attached.")
    return folder


def upload(page: Page, file: Path) -> None:
    page.set_input_files("#picture input[type=file]", file)


def wait_for_verdict(page: Page) -> str:
    """The verdict that stands on the page."""
    heading = page.locator("#result .card.benign h2, #result .card.malignant h2")
    expect(heading).to_be_visible(timeout=PATIENCE)
    return heading.inner_text().split()[-1].lower()


def figures(page: Page) -> tuple[float, float]:
    """Threshold and probability in percent, as the bar says them."""
    label = page.locator("#result .bar").get_attribute("aria-label") or ""
    probability, threshold = re.findall(r"([\d.]+) %", label)
    return float(threshold), float(probability)


def shown_picture(page: Page, selector: str) -> Image.Image:
    image = page.locator(f"{selector} img")
    expect(image).to_be_visible(timeout=PATIENCE)
    page.wait_for_function("s => document.querySelector(s + ' img').naturalWidth > 0", arg=selector)
    source = image.get_attribute("src") or ""
    return Image.open(BytesIO(page.request.get(source).body())).convert("RGB")


def test_picture_gives_verdict_bar_and_overlay(page: Page, files: Path, meta: Checkpoint) -> None:
    expect(page.get_by_text(strings.DISCLAIMER)).to_be_visible()
    upload(page, files / "phantom.png")
    verdict = wait_for_verdict(page)
    threshold, probability = figures(page)
    assert threshold == pytest.approx(meta.operating_point("sensitive").threshold * 100, abs=0.11)
    assert verdict == ("malignant" if probability >= threshold else "benign")
    expect(page.locator("#result .card.warning")).to_have_count(0)
    expect(page.locator("#heat-caption")).to_contain_text("here, not why")
    original = np.asarray(Image.open(files / "phantom.png"), dtype=float)
    heat = np.asarray(shown_picture(page, "#heat"), dtype=float)
    assert heat.shape == original.shape
    changed = np.abs(heat - original).max(axis=2)
    assert changed.max() > 60  # the hottest spot
    assert np.percentile(changed, 1) < 20  # the coldest


def test_dark_picture_is_warned_about_above_the_verdict(page: Page, files: Path) -> None:
    upload(page, files / "dark.png")
    wait_for_verdict(page)
    warning = page.locator("#result .card.warning")
    expect(warning).to_be_visible()
    expect(warning).to_contain_text("dark")
    box, verdict_box = warning.bounding_box(), page.locator("#result .bar").bounding_box()
    assert box is not None
    assert verdict_box is not None
    assert box["y"] + box["height"] <= verdict_box["y"]


def test_file_that_is_no_picture_gets_a_sentence_and_the_page_goes_on(page: Page, files: Path) -> None:
    upload(page, files / "letter.jpg")
    error = page.locator("#result .card.error")
    expect(error).to_be_visible(timeout=PATIENCE)
    expect(error).to_contain_text("is not a picture")
    expect(page.locator("#result .card")).to_have_count(1)
    expect(page.locator(".toast-body")).to_have_count(0)
    upload(page, files / "phantom.png")
    wait_for_verdict(page)


def test_operating_point_judges_again_at_its_own_threshold(page: Page, files: Path, meta: Checkpoint) -> None:
    upload(page, files / "phantom.png")
    wait_for_verdict(page)
    _, before = figures(page)
    for point in meta.operating_points:
        page.locator(f"#point input[value={point.name}]").check()
        label = f"{strings.THRESHOLD_LABEL} {fragments.percent(point.threshold)}"
        expect(page.locator("#result .bar")).to_have_attribute("aria-label", re.compile(re.escape(label)))
        threshold, probability = figures(page)
        assert probability == before
        assert wait_for_verdict(page) == ("malignant" if probability >= threshold else "benign")


def test_picture_that_browsers_cannot_show_gets_a_preview(page: Page, files: Path) -> None:
    upload(page, files / "phantom.tiff")
    wait_for_verdict(page)
    assert shown_picture(page, "#picture").size == (300, 300)


def test_example_is_labelled_artificial_and_is_analysed(page: Page) -> None:
    captions = page.locator("#examples .caption-label").all_inner_texts()
    assert captions
    assert all("artificial" in caption for caption in captions)
    page.locator("#examples button").first.click()
    wait_for_verdict(page)
    shown_picture(page, "#picture")
    shown_picture(page, "#heat")


def test_pasted_picture_is_analysed_and_can_be_removed(page: Page) -> None:
    page.evaluate(
        """async () => {
          const canvas = Object.assign(document.createElement('canvas'), {width: 200, height: 200});
          canvas.getContext('2d').fillRect(50, 50, 90, 90);
          const blob = await new Promise(done => canvas.toBlob(done, 'image/png'));
          const data = new DataTransfer();
          data.items.add(new File([blob], 'pasted.png', {type: 'image/png'}));
          document.body.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true}));
        }"""
    )
    wait_for_verdict(page)
    page.locator("#picture button[aria-label='Remove Image']").click()
    expect(page.locator("#result .card.empty")).to_be_visible(timeout=PATIENCE)
    expect(page.locator("#heat img")).to_have_count(0)


def test_nothing_is_asked_of_another_host(page: Page, files: Path, hosts: set[str]) -> None:
    upload(page, files / "phantom.png")
    wait_for_verdict(page)
    shown_picture(page, "#heat")
    page.wait_for_timeout(1000)
    assert hosts == {"127.0.0.1"}


def test_phone_shows_everything_without_scrolling_sideways(page: Page, files: Path) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    upload(page, files / "dark.png")
    wait_for_verdict(page)
    shown_picture(page, "#heat")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    tops = [page.locator(f"#{name}").bounding_box() for name in ("picture", "result", "heat", "point", "examples")]
    ys = [box["y"] for box in tops if box]
    assert len(ys) == 5
    assert ys == sorted(ys)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessibility_checker_finds_nothing(page: Page, files: Path, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.reload()
    page.locator("#examples img").first.wait_for()
    assert page.locator("body.dark, html.dark, .dark").count() == (0 if scheme == "light" else 1)
    assert violations(page) == []
    upload(page, files / "dark.png")
    wait_for_verdict(page)
    shown_picture(page, "#heat")
    assert violations(page) == []


def violations(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [f"{item['id']}: {node['html'][:200]}" for item in found for node in item["nodes"]]


def test_endpoint_answers_programs(server: str, files: Path, meta: Checkpoint) -> None:
    client = Client(server, verbose=False)
    assert list(client.view_api(return_format="dict")["named_endpoints"]) == ["/analyze"]
    findings, overlay = client.predict(handle_file(files / "phantom.png"), "accuracy", api_name="/analyze")
    point = meta.operating_point("accuracy")
    assert findings["operating_point"] == {"name": "accuracy", "threshold": point.threshold}
    assert findings["verdict"] == ("malignant" if findings["probability"] >= point.threshold else "benign")
    assert {check["name"] for check in findings["quality"]} >= {"brightness", "contrast", "sharpness"}
    assert Image.open(overlay).size == (300, 300)
    with pytest.raises(AppError, match="is not a picture"):
        client.predict(handle_file(files / "letter.jpg"), "accuracy", api_name="/analyze")


def test_text_from_outside_is_escaped() -> None:
    assert "<script>" not in fragments.error_card("<script>alert(1)</script>")


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0.0 %"), (0.0002, "under 0.1 %"), (0.214, "21.4 %"), (0.9999, "over 99.9 %"), (1, "100.0 %")],
)
def test_percentages_do_not_round_to_certainty(share: float, text: str) -> None:
    assert fragments.percent(share) == text
