"""The page in one hand: a photo, the answer in view, no camera without HTTPS, and a picture dropped anywhere."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from app_site import DESK, PHONE, Site, judged, opened, verdict, violations
from playwright.sync_api import Browser, Page, expect

from lesion_demo.images.phantom import render_phantom
from lesion_demo.texts import load_texts

TEXTS = load_texts("en")
FAILURES = TEXTS.page.camera_failures
WITHOUT_HTTPS = "Object.defineProperty(navigator, 'mediaDevices', {value: undefined})"
REFUSING = """navigator.mediaDevices.getUserMedia = async () => {
  throw new DOMException('', window.refusal);
}"""
DROPPED = """([where, file]) => {
  const data = new DataTransfer();
  data.items.add(new File([Uint8Array.from(atob(file), c => c.charCodeAt(0))], 'dropped.png', {type: 'image/png'}));
  const target = document.querySelector(where);
  const event = type => new DragEvent(type, {dataTransfer: data, bubbles: true, cancelable: true});
  return ['dragover', 'drop'].map(type => !target.dispatchEvent(event(type)));
}"""


@pytest.fixture
def desk(browser: Browser, site: Site) -> Iterator[Page]:
    yield from opened(browser, site.address, DESK)


TABS = """() => [...document.querySelectorAll('#tabs [role=tab]')].map(tab => {
  const row = tab.parentElement.getBoundingClientRect(), {left, right, top, height} = tab.getBoundingClientRect();
  return {top, height, whole: left >= row.left && right <= row.right, begun: left < row.right - 24};
})"""
"""Of every tab: where it is, and whether all of it, or at least its beginning, is on the screen."""


def in_view(page: Page, selector: str) -> bool:
    """Is all of it on the screen, once the page has stopped scrolling?"""
    found: bool = page.evaluate(
        """async selector => {
          let before;
          do {
            before = scrollY;
            await new Promise(done => setTimeout(done, 200));
          } while (scrollY !== before);
          const {top, bottom} = document.querySelector(selector).getBoundingClientRect();
          return top >= 0 && bottom <= innerHeight;
        }""",
        selector,
    )
    return found


def test_answer_comes_into_view_by_itself(phone: Page, files: Path) -> None:
    judged(phone, files / "dim.png")
    expect(phone.locator("#result .card.warning")).to_have_count(1)
    assert in_view(phone, "#result .card:not(.warning) h2")
    assert in_view(phone, "#result .card:not(.warning) .next")


def test_a_page_that_shows_the_answer_stays_where_it_is(desk: Page, files: Path) -> None:
    judged(desk, files / "dim.png")
    assert in_view(desk, "#result .card:not(.warning)")
    assert desk.evaluate("scrollY") == 0


def test_a_photo_is_taken_with_the_phones_own_camera(phone: Page, site: Site, files: Path) -> None:
    button = phone.get_by_role("button", name=TEXTS.page.photo_button)
    box = button.bounding_box()
    assert box is not None
    assert box["height"] >= 44
    assert phone.locator("#phone-camera").get_attribute("capture") == "environment"
    for _ in range(2):  # the second photo takes the first one's place
        asked = site.analyzer.asked
        with phone.expect_file_chooser() as chooser:
            button.press("Enter")
        chooser.value.set_files(files / "phantom.png")
        expect(verdict(phone)).to_be_visible()
        assert site.analyzer.asked == asked + 1
        expect(button).to_be_focused()


@pytest.mark.parametrize(("width", "language"), [(390, "en"), (390, "de"), (360, "en")])
def test_tabs_stand_in_one_line_and_each_can_be_pressed(
    browser: Browser, site: Site, width: int, language: str
) -> None:
    words = load_texts(language).page
    for page in opened(browser, f"{site.address}/?lang={language}", (width, 844), touch=True):
        tabs = page.evaluate(TABS)
        assert len({tab["top"] for tab in tabs}) == 1
        assert all(tab["height"] >= 44 for tab in tabs)
        assert all(tab["whole" if width == 390 else "begun"] for tab in tabs)
        for name in (words.tab_many, words.tab_about, words.tab_one):
            page.get_by_role("tab", name=name).tap()
            expect(page.get_by_role("tab", name=name)).to_have_attribute("aria-selected", "true")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("size", [DESK, PHONE])
def test_live_view_has_a_circle_for_the_lesion(browser: Browser, site: Site, size: tuple[int, int]) -> None:
    for page in opened(browser, site.address, size, touch=size == PHONE):
        page.locator("#live" if size == PHONE else "#photo").click()
        page.wait_for_function("document.querySelector('#picture video')?.videoWidth > 0")
        circle = page.evaluate(
            """() => {
              const style = getComputedStyle(document.querySelector('#picture .wrap:has(> video)'), '::after');
              return [parseFloat(style.width), parseFloat(style.height), style.borderRadius];
            }"""
        )
        assert circle[0] == circle[1] > 120
        assert circle[2] == "50%"
        assert violations(page) == []
        page.locator("#photo").click()
        expect(verdict(page)).to_be_visible()


@pytest.mark.parametrize(("size", "reason"), [(DESK, "insecure"), (PHONE, "insecure_phone")])
def test_page_without_https_says_how_to_get_a_camera(
    browser: Browser, site: Site, size: tuple[int, int], reason: str
) -> None:
    for page in opened(browser, site.address, size, touch=size == PHONE):
        page.evaluate(WITHOUT_HTTPS)
        for way in ("#live" if size == PHONE else "#photo", "#picture .source-selection button:nth-of-type(2)"):
            page.locator(way).click()
            expect(page.locator("#capture-help")).to_have_text(FAILURES[reason])
            page.evaluate("document.querySelector('#capture-help').textContent = ''")
        expect(page.locator(".toast-body")).to_have_count(0)


def test_camera_that_does_not_open_is_explained_in_our_words(browser: Browser, site: Site) -> None:
    reasons = {"NotAllowedError": "denied", "NotFoundError": "missing", "NotReadableError": "busy"}
    for page in opened(browser, site.address, init=REFUSING):
        for name, reason in reasons.items():
            page.evaluate("name => { window.refusal = name; }", name)
            page.locator("#photo").click()
            expect(page.locator("#capture-help")).to_have_text(FAILURES[reason])
        expect(page.locator(".toast-body")).to_have_count(0)


def test_no_icon_is_too_small_for_a_thumb(phone: Page, files: Path) -> None:
    small = """() => [...document.querySelectorAll('#stage button')].filter(e => e.offsetParent)
      .filter(e => e.getBoundingClientRect().width < 24 || e.getBoundingClientRect().height < 24)
      .map(e => e.ariaLabel || e.innerText)"""
    assert phone.evaluate(small) == []
    judged(phone, files / "phantom.png")
    assert phone.evaluate(small) == []


def test_picture_is_dropped_anywhere(page: Page, site: Site, files: Path) -> None:
    judged(page, files / "dim.png")
    file = base64.b64encode((files / "phantom.png").read_bytes()).decode()
    for where in ("h1", "#result", "#picture img", "#foot"):
        asked, site.analyzer.seen = site.analyzer.asked, None
        assert page.evaluate(DROPPED, [where, file]) == [True, True], "the browser would leave the page for it"
        page.wait_for_function("document.querySelector('#stage').dataset.state === 'answered'")
        assert site.analyzer.asked == asked + 1
        assert site.analyzer.seen is not None
        assert np.array_equal(site.analyzer.seen, render_phantom(5, malignant=True))


def test_what_is_dropped_on_many_pictures_goes_there(page: Page, site: Site, files: Path) -> None:
    asked = site.analyzer.asked
    page.get_by_role("tab", name=TEXTS.page.tab_many).click()
    file = base64.b64encode((files / "phantom.png").read_bytes()).decode()
    assert page.evaluate(DROPPED, ["h1", file]) == [True, True]
    expect(page.locator("#batch-files")).to_contain_text("dropped")
    assert site.analyzer.asked == asked
