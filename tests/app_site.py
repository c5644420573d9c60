"""The page in a real Chromium, for the tests: a site on an analyzer that says what a test tells it to, pages that fail
where they ask another host for anything, and what a visitor does on them."""

from __future__ import annotations

import base64
import re
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
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from lesion_demo.images.phantom import render_phantom
from lesion_demo.texts import load_texts
from lesion_demo.web.launch import launch_options
from lesion_demo.web.page import build_app

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
FAKE_CAMERA = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
DESK, TABLET, PHONE = (1440, 900), (820, 1180), (390, 844)
REFUSED = (404, 413, 421, 429)
"""What the gate before the page answers to what the page has no need of."""
RED, BLUE = (200, 30, 30), (30, 30, 200)
expect.set_options(timeout=PATIENCE)


@dataclass(frozen=True)
class Site:
    """A page on a fake analyzer, served from this process."""

    address: str
    analyzer: FakeAnalyzer
    app: gr.Blocks
    uploads: Path


def open_site(language: str, uploads: Path) -> Iterator[Site]:
    texts, analyzer = load_texts(language), FakeAnalyzer()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(uploads))
        patch.setenv("FORWARDED_ALLOW_IPS", "")  # as `serve` does
        app = build_app(analyzer, texts)
        _, address, _ = app.launch(server_name="127.0.0.1", prevent_thread_lock=True, **launch_options(texts))
        yield Site(address.rstrip("/"), analyzer, app, uploads)
        app.close(verbose=False)


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    yield from open_site("en", tmp_path_factory.mktemp("uploads"))


@pytest.fixture
def site(english: Site) -> Site:
    english.analyzer.reset()
    return english


@pytest.fixture(scope="module")
def browser(chromium: str, files: Path) -> Iterator[Browser]:
    """A Chromium whose camera shows `camera.mjpeg`."""
    camera = f"--use-file-for-fake-video-capture={files / 'camera.mjpeg'}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=[*QUIET, *FAKE_CAMERA, camera])
        yield browser
        browser.close()


def opened(
    browser: Browser,
    address: str,
    size: tuple[int, int] = DESK,
    scheme: str = "light",
    touch: bool = False,
    init: str = "",
) -> Iterator[Page]:
    """The page, loaded and ready; in the end, no other host was asked for anything, nothing was refused, also by the
    page's own policy, and no script failed. What is in `init` the browser runs first.
    """
    width, height = size
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        has_touch=touch,
        permissions=["camera"],
    )
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    if init:
        page.add_init_script(init)
    hosts: set[str] = set()
    failures: list[str] = []
    refused: list[str] = []
    page.on("request", lambda request: hosts.add(urlparse(request.url).hostname or "127.0.0.1"))  # blob: has no host
    page.on("response", lambda response: refused.append(response.url) if response.status in REFUSED else None)
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.on("console", lambda said: failures.append(said.text) if "Security Policy" in said.text else None)
    page.goto(address)
    page.locator("#examples img").first.wait_for()
    yield page
    context.close()
    assert hosts == {"127.0.0.1"}
    assert failures == []
    assert refused == []


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    """The page on the fake analyzer, 1440 pixels wide."""
    yield from opened(browser, site.address)


@pytest.fixture
def phone(browser: Browser, site: Site) -> Iterator[Page]:
    """The same on a phone 390 pixels wide, in the dark."""
    yield from opened(browser, site.address, PHONE, scheme="dark", touch=True)


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
    return page.locator("#result .card:is(.benign, .malignant, .uncertain, .not_assessable):visible")


def judged(page: Page, file: Path) -> None:
    """Upload `file` and wait for everything that the page says of it."""
    upload(page, file)
    expect(verdict(page)).to_be_visible()
    picture_in(page, "#heat", 1)


def remove(page: Page) -> None:
    page.locator("#picture button[aria-label='Remove Image']").click()
    expect(page.locator("#notice .card.empty")).to_be_visible()


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
    inline = source.partition(";base64,")[2]
    content = base64.b64decode(inline) if inline else page.request.get(source).body()
    return np.asarray(Image.open(BytesIO(content)).convert("RGB"), dtype=float)


def violations(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [f"{item['id']}: {node['html'][:200]}" for item in found for node in item["nodes"]]


def choose_point(page: Page, name: str) -> None:
    page.locator(f"#point input[value={name}]").check()
