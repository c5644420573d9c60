"""The list of what was said in this session: in the page's memory alone, and gone when it is cleared or left."""

from __future__ import annotations

import re
from pathlib import Path

from app_site import PHONE, Site, choose_point, judged, opened, remove, upload, violations
from playwright.sync_api import Browser, Page, expect

from lesion_demo.texts import load_texts

TEXTS = load_texts("en")
OUTCOMES = TEXTS.verdict.outcomes
STORED = "() => [localStorage.length, Object.keys(sessionStorage).filter(key => key !== 'lesion'), document.cookie]"


def lines(page: Page) -> list[str]:
    """From the newest to the oldest, each on one line."""
    found = page.locator("#notes li").all_inner_texts()
    return [re.sub(r"\s+", " ", line) for line in found]


def test_every_answer_is_noted_with_its_picture(page: Page, site: Site, files: Path) -> None:
    expect(page.locator("#notes")).to_be_hidden()
    stored = page.evaluate(STORED)
    judged(page, files / "phantom.png")
    site.analyzer.probability = 0.7
    judged(page, files / "dim.png")
    upload(page, files / "letter.jpg")  # no answer
    expect(page.locator("#result .card.error")).to_be_visible()
    judged(page, files / "black.png")
    remove(page)
    page.locator("#notes summary").click()
    hour = r"\d\d:\d\d [AP]M"
    patterns = [
        rf"⊘ {OUTCOMES['not_assessable']} {hour} · black\.png",
        rf"▲ {OUTCOMES['malignant']} · 70\.0 % {hour} · dim\.png",
        rf"● {OUTCOMES['benign']} · 10\.0 % {hour} · phantom\.png",
    ]
    found = lines(page)
    assert len(found) == 3
    for pattern, line in zip(patterns, found, strict=True):
        assert re.fullmatch(pattern, line), line
    assert page.locator("#notes canvas").evaluate_all("all => all.every(one => Math.max(one.width, one.height) === 72)")
    assert violations(page) == []
    assert page.evaluate(STORED) == stored


def test_a_note_follows_the_controls_and_asks_the_server_nothing(page: Page, site: Site, files: Path) -> None:
    site.analyzer.probability = 0.3
    judged(page, files / "phantom.png")
    choose_point(page, "balanced")
    page.locator("#notes summary").click()
    expect(page.locator("#notes li")).to_have_count(1)
    expect(page.locator("#notes li")).to_contain_text(OUTCOMES["benign"])
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.locator("#notes li").click()
    page.wait_for_timeout(300)
    assert [url for url in asked if "heartbeat" not in url] == []


def test_notes_go_when_they_are_cleared_and_with_the_page(browser: Browser, site: Site, files: Path) -> None:
    for page in opened(browser, site.address, PHONE, scheme="dark"):
        judged(page, files / "phantom.png")
        page.locator("#notes summary").press("Enter")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
        assert violations(page) == []
        page.locator("#clear-notes").press("Enter")
        expect(page.locator("#notes")).to_be_hidden()
        choose_point(page, "balanced")  # what was cleared does not come back
        expect(page.locator("#point-note")).to_contain_text(TEXTS.verdict.point_notes["balanced"])
        expect(page.locator("#notes")).to_be_hidden()
        judged(page, files / "dim.png")
        expect(page.locator("#notes li")).to_have_count(1)
        page.reload()
        page.locator("#examples img").first.wait_for()
        expect(page.locator("#notes li")).to_have_count(0)
