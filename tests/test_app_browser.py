"""The app as a visitor meets it, in a real Chromium: on the shipped checkpoint, and on an analyzer that says what a
test tells it to, so that every outcome comes up. Phantoms are the pictures."""

from __future__ import annotations

import base64
import json
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
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from urllib.parse import urlparse

import gradio as gr
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from fake_analyzer import FakeAnalyzer
from gradio.route_utils import delete_files_created_by_app
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright
from pypdf import PdfReader

from lesion_demo.checkpoint import Checkpoint, find_best_checkpoint, read_meta
from lesion_demo.errors import CheckpointError
from lesion_demo.imaging.phantom import render_phantom
from lesion_demo.serving.wording import SYMBOLS
from lesion_demo.texts import load_texts
from lesion_demo.ui.launch import launch_options
from lesion_demo.ui.page import EXAMPLES, build_app

PROJECT = Path(__file__).resolve().parent.parent
TEXTS = load_texts("en")
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
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
)
DESK, PHONE = (1440, 900), (390, 844)
RED, BLUE = (200, 30, 30), (30, 30, 200)
expect.set_options(timeout=PATIENCE)


@dataclass(frozen=True)
class Site:
    """A page on a fake analyzer, served from this process."""

    address: str
    analyzer: FakeAnalyzer
    app: gr.Blocks
    uploads: Path


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


def open_site(language: str, uploads: Path) -> Iterator[Site]:
    texts, analyzer = load_texts(language), FakeAnalyzer()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(uploads))
        app = build_app(analyzer, texts)
        _, address, _ = app.launch(server_name="127.0.0.1", prevent_thread_lock=True, **launch_options(texts))
        yield Site(address.rstrip("/"), analyzer, app, uploads)
        app.close(verbose=False)


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    yield from open_site("en", tmp_path_factory.mktemp("uploads"))


@pytest.fixture(scope="module")
def german(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    yield from open_site("de", tmp_path_factory.mktemp("uploads"))


@pytest.fixture
def site(english: Site) -> Site:
    english.analyzer.reset()
    return english


@pytest.fixture(scope="module")
def browser(files: Path) -> Iterator[Browser]:
    """A Chromium whose camera shows `camera.mjpeg`."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        reason = f"No browser ({', '.join(names)}): install one, on Debian with 'apt-get install chromium'."
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    camera = f"--use-file-for-fake-video-capture={files / 'camera.mjpeg'}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*QUIET, camera])
        yield browser
        browser.close()


def opened(
    browser: Browser, address: str, size: tuple[int, int] = DESK, scheme: str = "light", touch: bool = False
) -> Iterator[Page]:
    """The page, loaded and ready; in the end, no other host was asked for anything, and no script failed."""
    width, height = size
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        has_touch=touch,
        permissions=["camera"],
    )
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    hosts: set[str] = set()
    failures: list[str] = []
    page.on("request", lambda request: hosts.add(urlparse(request.url).hostname or "127.0.0.1"))  # blob: has no host
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.goto(address)
    page.locator("#examples img").first.wait_for()
    yield page
    context.close()
    assert hosts == {"127.0.0.1"}
    assert failures == []


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    """The page on the fake analyzer, 1440 pixels wide."""
    yield from opened(browser, site.address)


@pytest.fixture
def phone(browser: Browser, site: Site) -> Iterator[Page]:
    """The same on a phone 390 pixels wide, in the dark."""
    yield from opened(browser, site.address, PHONE, scheme="dark", touch=True)


@pytest.fixture
def real_page(browser: Browser, server: str) -> Iterator[Page]:
    """The page on the shipped checkpoint."""
    yield from opened(browser, server)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of phantoms, of what is none, and of what the camera sees: red on its left, blue on its right."""
    folder = tmp_path_factory.mktemp("files")
    phantom = Image.fromarray(render_phantom(5, malignant=True))
    phantom.save(folder / "phantom.png")
    phantom.save(folder / "phantom.tiff")
    Image.fromarray(render_phantom(5, malignant=True, brightness=0.3)).save(folder / "dim.png")
    Image.fromarray(render_phantom(5, malignant=True, brightness=0.1)).save(folder / "black.png")
    (folder / "letter.jpg").write_bytes(b"Dear doctor, please find my picture attached.")
    scene = Image.new("RGB", (640, 480), BLUE)
    scene.paste(RED, (0, 0, 320, 480))
    scene.paste(phantom.resize((160, 160)), (240, 160))
    frame = BytesIO()
    scene.save(frame, "jpeg", quality=95)
    (folder / "camera.mjpeg").write_bytes(frame.getvalue() * 30)
    return folder


def upload(page: Page, file: Path) -> None:
    page.set_input_files("#picture input[type=file]", file)


def verdict(page: Page) -> Locator:
    """The card with the verdict; Playwright waits until it is there."""
    return page.locator("#result .card:is(.benign, .malignant, .uncertain, .not_assessable)")


def judged(page: Page, file: Path) -> None:
    """Upload `file` and wait for everything that the page says of it."""
    upload(page, file)
    expect(verdict(page)).to_be_visible()
    picture_in(page, "#heat", 1)


def remove(page: Page) -> None:
    page.locator("#picture button[aria-label='Remove Image']").click()
    expect(page.locator("#result .card.empty")).to_be_visible()


def figures(page: Page) -> tuple[float, float]:
    """Threshold and probability in percent, as the bar says them."""
    label = page.locator("#result .bar").get_attribute("aria-label") or ""
    probability, threshold = re.findall(r"([\d.]+)\s%", label)
    return float(threshold), float(probability)


def picture_in(page: Page, selector: str, index: int = 0) -> NDArray[np.float64]:
    """The pixels [H, W, 3] of a picture that the page shows."""
    image = page.locator(f"{selector} img").nth(index)
    expect(image).to_be_visible()
    page.wait_for_function(
        "([s, i]) => document.querySelectorAll(s)[i]?.naturalWidth > 0", arg=[f"{selector} img", index]
    )
    source = image.get_attribute("src") or ""
    return np.asarray(Image.open(BytesIO(page.request.get(source).body())).convert("RGB"), dtype=float)


def violations(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [f"{item['id']}: {node['html'][:200]}" for item in found for node in item["nodes"]]


def choose_point(page: Page, name: str) -> None:
    page.locator(f"#point input[value={name}]").check()


# How a picture comes in


def test_dropped_picture_is_analysed(page: Page, site: Site, files: Path) -> None:
    data = page.evaluate_handle(
        """async url => {
          const data = new DataTransfer();
          const bytes = Uint8Array.from(atob(url), c => c.charCodeAt(0));
          data.items.add(new File([bytes], 'dropped.png', {type: 'image/png'}));
          return data;
        }""",
        base64.b64encode((files / "phantom.png").read_bytes()).decode(),
    )
    page.dispatch_event(
        "#picture button[aria-label*=drop], #picture button.center, #picture button", "drop", {"dataTransfer": data}
    )
    expect(verdict(page)).to_be_visible()
    assert site.analyzer.seen is not None
    assert np.array_equal(site.analyzer.seen, render_phantom(5, malignant=True))


def test_pasted_picture_is_analysed_and_can_be_removed(page: Page, site: Site) -> None:
    asked = site.analyzer.asked
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
    expect(verdict(page)).to_be_visible()
    assert site.analyzer.asked == asked + 1
    remove(page)
    expect(page.locator("#heat-area")).to_be_hidden()
    expect(page.locator("#quality-area")).to_be_hidden()


def test_camera_picture_is_analysed_and_is_not_mirrored(page: Page, site: Site) -> None:
    page.locator("#picture .source-selection button").nth(1).click()
    page.locator(
        "#picture button.access-btn, #picture [title='grant webcam access'], #picture .wrap button"
    ).first.click()
    page.wait_for_function("document.querySelector('#picture video')?.videoWidth > 0")
    page.locator("#picture button[aria-label*=capture i], #picture .button-wrap button").first.click()
    expect(verdict(page)).to_be_visible()
    seen = site.analyzer.seen
    assert seen is not None
    width = seen.shape[1]
    left, right = seen[:, : width // 8].mean(axis=(0, 1)), seen[:, -width // 8 :].mean(axis=(0, 1))
    assert left[0] > left[2] + 50  # red
    assert right[2] > right[0] + 50  # blue


def test_picture_that_browsers_cannot_show_gets_a_preview(page: Page, files: Path) -> None:
    judged(page, files / "dim.png")
    remove(page)
    judged(page, files / "phantom.tiff")
    assert picture_in(page, "#picture").shape == (300, 300, 3)


def test_example_is_labelled_artificial_and_is_analysed(page: Page, site: Site) -> None:
    captions = page.locator("#examples .caption-label").all_inner_texts()
    assert captions
    assert all("artificial" in caption for caption in captions)
    asked = site.analyzer.asked
    page.locator("#examples button").first.click()
    expect(verdict(page)).to_be_visible()
    picture_in(page, "#picture")
    assert site.analyzer.asked == asked + 1


def test_file_that_is_no_picture_gets_a_sentence_and_the_page_goes_on(page: Page, files: Path) -> None:
    upload(page, files / "letter.jpg")
    error = page.locator("#result .card.error")
    expect(error).to_contain_text("is not a picture")
    expect(page.locator("#result .card")).to_have_count(1)
    expect(page.locator("#heat-area")).to_be_hidden()
    expect(page.locator(".toast-body")).to_have_count(0)
    judged(page, files / "phantom.png")
    remove(page)
    upload(page, files / "letter.jpg")
    expect(error).to_contain_text("is not a picture")


# The verdict


@pytest.mark.parametrize(
    ("probability", "margin", "familiar", "outcome"),
    [
        (0.1, 0.0, True, "benign"),
        (0.8, 0.4, True, "malignant"),
        (0.27, 0.4, True, "uncertain"),
        (0.8, 0.0, False, "not_assessable"),
    ],
)
def test_each_outcome_has_its_sign_words_and_advice(
    page: Page, site: Site, files: Path, probability: float, margin: float, familiar: bool, outcome: str
) -> None:
    site.analyzer.probability, site.analyzer.margin, site.analyzer.familiar = probability, margin, familiar
    judged(page, files / "phantom.png")
    card = page.locator(f"#result .card.{outcome}")
    sign = {key.value: sign for key, sign in SYMBOLS.items()}[outcome]
    expect(card.locator("h2")).to_have_text(f"{sign} {TEXTS.verdict.outcomes[outcome]}")
    expect(card).to_contain_text(TEXTS.verdict.advice[outcome])
    expect(page.locator("#result .card")).to_have_count(1)
    bar = page.locator("#result .bar")
    expect(page.locator("#result .bar-zone")).to_have_count(1 if margin else 0)
    if outcome == "not_assessable":
        expect(card).to_contain_text(TEXTS.verdict.unfamiliar)
        expect(bar).to_be_hidden()
        page.locator("#result summary").click()
        expect(page.locator("#meaning")).to_contain_text(TEXTS.verdict.no_post_test)
    expect(bar).to_be_visible()


def test_picture_too_poor_to_judge_is_not_assessable(page: Page, files: Path) -> None:
    judged(page, files / "black.png")
    card = page.locator("#result .card.not_assessable")
    expect(card).to_contain_text(TEXTS.quality.retake["brightness"])
    expect(page.locator("#quality tr.severe").first).to_contain_text(TEXTS.quality.results["severe"])


def test_poor_picture_is_warned_about_above_the_verdict(page: Page, files: Path) -> None:
    judged(page, files / "dim.png")
    warning = page.locator("#result .card.warning")
    expect(warning).to_contain_text(TEXTS.quality.retake["brightness"])
    box, bar = warning.bounding_box(), page.locator("#result .bar").bounding_box()
    assert box is not None
    assert bar is not None
    assert box["y"] + box["height"] <= bar["y"]
    row = page.locator("#quality tr.warning").first
    expect(row).to_contain_text(TEXTS.quality.names["brightness"])
    expect(row).to_contain_text(TEXTS.quality.results["warning"])


def test_operating_point_judges_again_and_says_how_it_was_tested(page: Page, site: Site, files: Path) -> None:
    site.analyzer.probability = 0.4
    judged(page, files / "phantom.png")
    asked = site.analyzer.asked
    expect(page.locator("#result .card.malignant")).to_be_visible()
    expect(page.locator("#point-note")).to_contain_text(re.compile(r"sensitivity 90\.0\s% \(87\.0–93\.0\)"))
    choose_point(page, "balanced")
    expect(page.locator("#result .card.benign")).to_be_visible()
    assert figures(page) == (50.0, 40.0)
    expect(page.locator("#point-note")).to_contain_text(re.compile(r"specificity 95\.0\s% \(92\.0–98\.0\)"))
    expect(page.locator("#meaning")).to_contain_text("PPV")
    choose_point(page, "accuracy")  # never tested
    expect(page.locator("#point-note")).not_to_contain_text("sensitivity")
    expect(page.locator("#meaning")).to_contain_text(TEXTS.verdict.not_tested)
    assert site.analyzer.asked == asked


def test_threshold_of_ones_own(page: Page, site: Site, files: Path) -> None:
    site.analyzer.probability = 0.4
    judged(page, files / "phantom.png")
    expect(page.locator("#threshold")).to_have_count(0)
    choose_point(page, "custom")
    expect(page.locator("#meaning")).to_contain_text(TEXTS.verdict.custom_not_tested)
    page.locator("#threshold input[type=number]").fill("0.45")
    expect(page.locator("#result .card.benign")).to_be_visible()
    assert figures(page) == (45.0, 40.0)
    expect(page.locator("#point-note")).to_contain_text(TEXTS.verdict.custom_note)


def test_picture_without_dermatoscope_is_out_of_scope(page: Page, files: Path) -> None:
    judged(page, files / "phantom.png")
    expect(page.locator("#result .scope")).to_have_count(0)
    page.locator("#dermoscopic input").uncheck()
    expect(page.locator("#result .card").first).to_contain_text(TEXTS.verdict.not_dermoscopic)


# What it means, where it looked


def test_prevalence_changes_what_it_means(page: Page, site: Site, files: Path) -> None:
    judged(page, files / "phantom.png")
    asked = site.analyzer.asked
    meaning = page.locator("#meaning")
    expect(meaning).to_contain_text("Of 1,000 such patients, 20 have")
    expect(meaning.locator("strong")).to_have_text(re.compile(r"0\.2\s%"))
    page.locator("#prevalence input[type=number]").fill("50")
    expect(meaning).to_contain_text("Of 100 such patients, 50 have")
    expect(meaning.locator("strong")).to_have_text(re.compile(r"10\.0\s%"))
    assert site.analyzer.asked == asked


def test_heat_map_lies_over_the_picture_by_the_method_and_opacity_chosen(page: Page, site: Site, files: Path) -> None:
    judged(page, files / "phantom.png")
    asked = site.analyzer.asked
    original = np.asarray(Image.open(files / "phantom.png"), dtype=float)
    assert np.abs(picture_in(page, "#heat", 0) - original).mean() < 4  # JPEG
    first = picture_in(page, "#heat", 1)
    assert np.abs(first - original).max() > 60
    expect(page.locator("#heat-note")).to_contain_text("not why")
    page.locator("#heat-settings button").first.click()
    source = page.locator("#heat img").nth(1)
    before = source.get_attribute("src") or ""
    page.locator("#method input[value=eigencam]").check()
    expect(page.locator("#heat-note")).to_contain_text(TEXTS.page.method_notes["eigencam"])
    expect(source).not_to_have_attribute("src", before)
    assert np.abs(picture_in(page, "#heat", 1) - first).max() > 30
    before = source.get_attribute("src") or ""
    page.locator("#opacity input[type=number]").fill("0")
    expect(source).not_to_have_attribute("src", before)
    assert np.abs(picture_in(page, "#heat", 1) - original).mean() < 4
    assert site.analyzer.asked == asked


def test_heat_off_the_lesion_is_warned_about(page: Page, site: Site, files: Path) -> None:
    site.analyzer.off_lesion = True
    judged(page, files / "phantom.png")
    expect(page.locator("#heat-note .caution")).to_contain_text("lies off the lesion")


def test_page_can_be_worked_by_keyboard(page: Page, files: Path) -> None:
    judged(page, files / "phantom.png")
    for text in ("#result", "#meaning", "#capture-help"):  # what changes is also spoken
        expect(page.locator(text)).to_have_attribute("aria-live", "polite")
    page.locator("#point input[value=sensitive]").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#point input[value=balanced]")).to_be_checked()
    expect(page.locator("#result .bar")).to_have_attribute("aria-label", re.compile(r"threshold 50\.0"))
    page.locator("#dermoscopic input").focus()
    page.keyboard.press("Space")
    expect(page.locator("#result .scope")).to_be_visible()
    handle = page.locator("#heat [role=slider]")
    handle.focus()
    expect(handle).to_have_attribute("aria-valuenow", "50")
    page.keyboard.press("ArrowRight")
    expect(handle).to_have_attribute("aria-valuenow", "55")
    page.keyboard.press("Home")
    expect(handle).to_have_attribute("aria-valuenow", "0")


# What is taken away


def downloaded(page: Page, button: str) -> tuple[str, bytes]:
    """Name and content of the file that `button` saves."""
    with page.expect_download() as download:
        page.locator(f"#{button}").click()
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


def test_report_can_be_saved_read_back_and_is_cleared_away(page: Page, site: Site, files: Path) -> None:
    site.analyzer.probability = 0.8
    judged(page, files / "phantom.png")
    choose_point(page, "balanced")
    page.locator("#dermoscopic input").uncheck()
    expect(page.locator("#result .scope")).to_be_visible()
    page.locator("#case-id textarea, #case-id input").fill("case 4711 äß")
    name, pdf = downloaded(page, "pdf")
    assert name.endswith(".pdf")
    text = "\n".join(sheet.extract_text() for sheet in PdfReader(BytesIO(pdf)).pages)
    assert "4711 äß" in text
    assert TEXTS.verdict.outcomes["malignant"] in text
    name, content = downloaded(page, "json")
    assert name.endswith(".json")
    findings = json.loads(content)
    assert findings["verdict"] == "malignant"
    assert findings["probability"] == pytest.approx(0.8)
    assert findings["operating_point"]["name"] == "balanced"
    assert findings["picture"]["dermoscopic"] is False
    assert findings["case_id"] == "case 4711 äß"
    assert len(list(site.uploads.rglob("*report*.*"))) == 2
    delete_files_created_by_app(site.app, None)
    left = {path.name for path in site.uploads.rglob("*") if path.is_file()}
    assert left <= {path.name for path in EXAMPLES.iterdir()}


# Looks


def test_phone_shows_everything_in_order_without_scrolling_sideways(phone: Page, files: Path) -> None:
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    judged(phone, files / "dim.png")
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    places = (
        "#picture", "#dermoscopic", "#result .card.warning", "#result .bar", "#point", "#heat-area",
        "#meaning-area", "#quality-area", "#take-area", "#examples",
    )  # fmt: skip
    boxes = [phone.locator(place).bounding_box() for place in places]
    tops = [box["y"] for box in boxes if box]
    assert len(tops) == len(places)
    assert tops == sorted(tops)
    sizes = phone.evaluate(
        """() => [...document.querySelectorAll('#stage *, #head *')]
          .filter(e => e.offsetParent && !e.matches('.icon'))
          .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()))
          .map(e => parseFloat(getComputedStyle(e).fontSize))"""
    )
    assert min(sizes) >= 16


@pytest.mark.parametrize(("size", "scheme"), [(DESK, "light"), (DESK, "dark"), (PHONE, "light"), (PHONE, "dark")])
def test_accessibility_checker_finds_nothing(
    browser: Browser, site: Site, files: Path, size: tuple[int, int], scheme: str
) -> None:
    site.analyzer.margin, site.analyzer.off_lesion = 0.4, True
    for page in opened(browser, site.address, size, scheme):
        assert page.locator("body.dark, html.dark, .dark").count() == (0 if scheme == "light" else 1)
        background = page.evaluate("getComputedStyle(document.querySelector('#take-area')).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", background)[:3])) < 200) == (scheme == "dark")
        assert violations(page) == []
        judged(page, files / "dim.png")
        choose_point(page, "custom")
        page.locator("#heat-settings button").first.click()
        expect(page.locator("#threshold")).to_be_visible()
        expect(page.locator("#opacity")).to_be_visible()
        assert violations(page) == []


def test_not_assessable_is_accessible(page: Page, files: Path) -> None:
    page.locator("#dermoscopic input").uncheck()
    judged(page, files / "black.png")
    page.locator("#result summary").click()
    assert violations(page) == []


@pytest.mark.parametrize("size", [DESK, PHONE])
def test_every_tab_opens_fits_and_is_accessible(browser: Browser, site: Site, size: tuple[int, int]) -> None:
    for page in opened(browser, site.address, size):
        for name in (TEXTS.page.tab_many, TEXTS.page.tab_about, TEXTS.page.tab_one):
            page.get_by_role("tab", name=name).click()
            expect(page.get_by_role("tab", name=name)).to_have_attribute("aria-selected", "true")
            expect(page.locator("#stage")).to_be_visible(visible=name == TEXTS.page.tab_one)
            assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
            assert violations(page) == []


def test_german_page(browser: Browser, german: Site, files: Path) -> None:
    texts = load_texts("de")
    for page in opened(browser, german.address):
        assert page.locator("html").get_attribute("lang") == "de"
        expect(page.locator("h1")).to_have_text(texts.page.title)
        judged(page, files / "phantom.png")
        expect(verdict(page).locator("h2")).to_contain_text(texts.verdict.outcomes["benign"])
        expect(page.locator("#result .bar")).to_have_attribute("aria-label", re.compile(r"Schwelle 25,0\s%"))
        expect(page.locator("#meaning")).to_contain_text("Von 1.000 solchen Patienten")
        for word in ("threshold", "Refer", "picture", "pass"):
            expect(page.locator("#stage")).not_to_contain_text(word)


def test_language_without_a_translation_is_refused() -> None:
    command = [sys.executable, str(PROJECT / "app.py"), "--language", "fr", "--port", "0"]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert refused.returncode == 1
    assert "no translation 'fr'; there are en, de" in refused.stderr


# The shipped checkpoint


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
