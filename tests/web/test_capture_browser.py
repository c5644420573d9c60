"""Help with the camera in a real Chromium: its measurements are the server's, and its words follow a fake camera."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from app_site import FAKE_CAMERA, PATIENCE, QUIET
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from lesion_demo.images.lesion import find_lesion
from lesion_demo.images.perturb import draw_ring
from lesion_demo.images.phantom import render_phantom
from lesion_demo.images.quality import check_quality
from lesion_demo.texts import load_texts
from lesion_demo.web.capture import EVERY, HOLD, MOVEMENT, capture_script

WORDS = load_texts("en").capture
Picture = NDArray[np.uint8]

PLAIN_PAGE = "<div id='picture'><video muted playsinline></video></div><div id='capture-help' aria-live='polite'></div>"
MEASURE = """async address => {
  const image = Object.assign(new Image(), {src: address});
  await image.decode();
  const found = capture.measure(image, image.naturalWidth, image.naturalHeight, window.before);
  window.before = found.square;
  return {...found, square: null, hint: capture.hintFor(found, '')};
}"""
DRAW = """async address => {
  const image = Object.assign(new Image(), {src: address});
  await image.decode();
  window.canvas ??= Object.assign(document.createElement('canvas'), {width: image.width, height: image.height});
  canvas.getContext('2d').drawImage(image, 0, 0);
  const video = document.querySelector('#picture video');
  if (!video.srcObject) {
    video.srcObject = canvas.captureStream(0);
    video.play();
  }
  const shown = new Promise(done => video.requestVideoFrameCallback(done));
  video.srcObject.getVideoTracks()[0].requestFrame();
  await shown;
}"""


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def start(chromium: str, playwright: Playwright) -> Callable[..., Browser]:
    """Starts a Chromium with further arguments."""
    return lambda *more: playwright.chromium.launch(executable_path=chromium, args=[*QUIET, *more])


@pytest.fixture(scope="module")
def browser(start: Callable[..., Browser]) -> Iterator[Browser]:
    browser = start()
    yield browser
    browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page with a video of ours and the script, whose clock stands still until it is told to run."""
    page = browser.new_page()
    page.clock.install(time=0)
    page.clock.pause_at(1)
    page.set_content(PLAIN_PAGE)
    page.evaluate(f"window.capture = ({capture_script(load_texts('en'))})()")
    yield page
    page.close()


def address(picture: Picture) -> str:
    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def frame(*, x: int = 130, y: int = 210, size: int = 900) -> Picture:
    """640 by 480 pixels of a larger phantom, its lesion in the middle by default."""
    return np.ascontiguousarray(render_phantom(3, malignant=True, size=size, hair=True)[y : y + 480, x : x + 640])


def blurred(picture: Picture, sigma: float = 10.0) -> Picture:
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(sigma)))


def scaled(picture: Picture, gain: float, offset: float = 0.0) -> Picture:
    return np.clip(picture * gain + offset, 0, 255).astype(np.uint8)


def spotted(picture: Picture) -> Picture:
    result = picture.copy()
    result[:, :120] = 255
    return result


def bare(picture: Picture) -> Picture:
    """Grainy skin, sharp and alone."""
    height, width = picture.shape[:2]
    grain = np.random.default_rng(0).integers(-15, 16, (height // 4, width // 4, 1)).repeat(4, axis=0).repeat(4, axis=1)
    return np.clip(grain + np.array((210, 175, 155)), 0, 255).astype(np.uint8)


def far(picture: Picture) -> Picture:
    """A small copy in the middle of that, yet more than the darkest 0.5 %, by which contrast is measured."""
    result = bare(picture)
    result[216:264, 288:352] = np.asarray(Image.fromarray(picture).resize((64, 48)))
    return result


SPOILT: dict[str, Callable[[Picture], Picture]] = {
    "good": lambda picture: picture,
    "dark": lambda picture: scaled(picture, 0.3),
    "bright": lambda picture: scaled(picture, 0.2, 210),
    "glare": spotted,
    "blurred": blurred,
    "small": far,
    "absent": bare,
}


@pytest.mark.parametrize("name", SPOILT)
def test_measures_what_the_server_measures_and_says_what_is_wrong(page: Page, name: str) -> None:
    picture = SPOILT[name](frame())
    found = page.evaluate(MEASURE, address(picture))
    expected = {check.name: check for check in check_quality(picture).checks}
    for check in ("brightness", "sharpness", "glare"):
        assert found[check] == pytest.approx(expected[check].value, rel=0.15, abs=0.003 if check == "glare" else 0), (
            check
        )
    assert found["hint"] == name
    unfit = {"dark": "brightness", "bright": "overexposure", "glare": "glare", "blurred": "sharpness"}
    assert name not in unfit or not expected[unfit[name]].passed
    assert name != "good" or all(check.passed for check in expected.values())


def test_a_dermatoscopes_ring_is_not_dark(page: Page) -> None:
    square = render_phantom(3, malignant=True, size=480, hair=True)
    ringed = draw_ring(square, radius=0.49)
    found = page.evaluate(MEASURE, address(ringed))
    assert found["hint"] == "good"
    inside = next(check.value for check in check_quality(ringed).checks if check.name == "brightness")
    assert found["brightness"] == pytest.approx(inside, rel=0.05)


def test_lesion_is_about_as_large_as_the_server_finds_it(page: Page) -> None:
    for seed in range(6):
        picture = render_phantom(seed, malignant=seed % 2 == 0, size=480)
        mask = find_lesion(picture, 128)
        assert mask is not None
        assert page.evaluate(MEASURE, address(picture))["lesion"] == pytest.approx(mask.mean(), rel=0.35)


def test_movement_is_the_share_that_changed(page: Page) -> None:
    moved = [page.evaluate(MEASURE, address(frame(x=x)))["movement"] for x in (130, 130, 132, 154)]
    assert moved[:2] == [0, 0]
    assert 0 < moved[2] < MOVEMENT < moved[3]
    assert page.evaluate(MEASURE, address(frame(x=130)))["hint"] == "moving"


def test_a_hint_goes_when_its_limit_is_passed_by_a_little(page: Page) -> None:
    fine = {"brightness": 150, "glare": 0, "sharpness": 1, "movement": 0, "lesion": 0.2}
    settings = json.loads(capture_script(load_texts("en")).rsplit("})(", 1)[1].removesuffix(")"))
    limit = settings["limits"]["brightness"]

    def hint(brightness: float, shown: str) -> str:
        found: dict[str, Any] = {**fine, "brightness": brightness}
        said: str = page.evaluate("([found, shown]) => capture.hintFor(found, shown)", [found, shown])
        return said

    assert [hint(limit * share, "good") for share in (0.99, 1.0, 1.05)] == ["dark", "good", "good"]
    assert [hint(limit * share, "dark") for share in (0.99, 1.0, 1.05, 1.1)] == ["dark", "dark", "dark", "good"]


def test_words_wait_for_a_few_looks_and_go_with_the_camera(page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    words = page.locator("#capture-help")
    good, dark = address(frame()), address(SPOILT["dark"](frame()))

    def look(at: str, times: int) -> str:
        for _ in range(times):
            page.evaluate(DRAW, at)
            page.clock.run_for(EVERY)
        return words.inner_text()

    assert look(dark, HOLD - 1) == ""
    assert look(dark, 1) == WORDS.dark
    assert look(good, 1) == WORDS.dark, "one look is not enough"
    assert look(dark, 1) == WORDS.dark
    assert look(good, HOLD - 1) == WORDS.dark
    assert look(good, 3) == WORDS.good
    page.evaluate("document.querySelector('#picture video').srcObject.getTracks().forEach(track => track.stop())")
    page.clock.run_for(EVERY)
    expect(words).to_be_empty()
    assert words.get_attribute("data-hint") == ""
    assert [url for url in asked if not url.startswith("data:")] == []


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Gradio's own camera with the German words."""
    with gr.Blocks() as app:
        gr.Image(sources=["webcam"], elem_id="picture", webcam_options=gr.WebcamOptions(mirror=False))
        gr.HTML("<div id='capture-help' aria-live='polite'></div>")
    _, url, _ = app.launch(
        js=capture_script(load_texts("de")), prevent_thread_lock=True, quiet=True, share=False, ssr_mode=False
    )
    yield url
    app.close()


def film(name: str) -> list[Picture]:
    """Frames of a fake camera, which repeats them at 30 a second."""
    if name == "moving":  # around in a circle, in two seconds
        angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
        return [frame(x=round(130 + 90 * np.cos(a)), y=round(210 + 90 * np.sin(a))) for a in angles]
    return [SPOILT[name](frame())] * 4


@pytest.mark.parametrize("name", ["good", "dark", "blurred", "moving"])
def test_words_follow_the_camera(start: Callable[..., Browser], server: str, tmp_path: Path, name: str) -> None:
    file = tmp_path / "film.mjpeg"
    with file.open("wb") as output:
        for picture in film(name):
            Image.fromarray(picture).save(output, "JPEG", quality=92)
    browser = start(*FAKE_CAMERA, f"--use-file-for-fake-video-capture={file}")
    page = browser.new_context(permissions=["camera"]).new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(server)
    words = page.locator("#capture-help")
    page.locator("#picture").get_by_text("Click to Access Webcam").click()
    expect(words).to_have_attribute("data-hint", name, timeout=PATIENCE)
    expect(words).to_have_text(getattr(load_texts("de").capture, name))
    sent: list[str] = []
    page.on("request", lambda request: sent.append(f"{request.method} {request.url}"))
    page.wait_for_timeout(1500)
    assert sent == [], "the live picture stays in the browser"
    if name == "good":
        expect(words).to_have_attribute("data-hint", name)
        page.locator("#picture").get_by_title("capture photo").click()
        expect(words).to_be_empty(timeout=PATIENCE)
    browser.close()
