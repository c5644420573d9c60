"""A page that is loaded anew shows its last result; another tab does not, nor does one that is too late."""

from __future__ import annotations

from pathlib import Path

import pytest
from app_site import Site, choose_point, judged, opened, picture_in, remove, verdict
from playwright.sync_api import Browser, Page, expect

from lesion_demo.texts import load_texts
from lesion_demo.web import reload
from lesion_demo.web.reload import MOST, SECONDS, Remembered
from lesion_demo.web.view import Choices
from lesion_demo.web.zoom import Shown

TEXTS = load_texts("en")
CHOICES = Choices("balanced", 0.5, True, 2.0)


def loaded_anew(page: Page) -> None:
    page.reload()
    page.locator("#examples img").first.wait_for()


def test_a_reload_keeps_the_last_result_as_the_controls_stood(page: Page, site: Site, files: Path) -> None:
    site.analyzer.probability = 0.4  # beyond `sensitive`, short of `balanced`
    judged(page, files / "phantom.png")
    choose_point(page, "balanced")
    expect(page.locator("#result .card.benign")).to_be_visible()
    page.locator("#dermoscopic input").uncheck()
    expect(page.locator("#result .scope")).to_be_visible()
    token = page.evaluate("Object.entries(sessionStorage)")
    assert [(key, len(value)) for key, value in token] == [("lesion", 32)], "no more than a name made up for it"
    page.wait_for_timeout(300)  # until the server has heard of it
    loaded_anew(page)
    expect(page.locator("#result .card.benign")).to_be_visible()
    expect(page.locator("#result .scope")).to_be_visible()
    expect(page.locator("#point input[value=balanced]")).to_be_checked()
    expect(page.locator("#dermoscopic input")).not_to_be_checked()
    assert picture_in(page, "#picture").shape == (300, 300, 3)
    other = page.context.new_page()
    other.goto(site.address)
    other.locator("#examples img").first.wait_for()
    expect(other.locator("#notice .card.empty")).to_be_visible()
    other.close()
    remove(page)
    loaded_anew(page)
    expect(page.locator("#notice .card.empty")).to_be_visible()
    expect(verdict(page)).to_have_count(0)


def test_a_reload_that_comes_too_late_says_so(
    browser: Browser, site: Site, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for page in opened(browser, site.address):
        judged(page, files / "phantom.png")
        page.wait_for_timeout(300)
        monkeypatch.setattr(reload, "SECONDS", 0)
        loaded_anew(page)
        expect(page.locator("#notice .card.error")).to_contain_text(TEXTS.page.failures["ended"])
        expect(page.locator(".toast-body:visible")).to_have_count(0)
        loaded_anew(page)
        expect(page.locator("#notice .card.empty")).to_be_visible()


def test_what_is_remembered_ends_and_is_not_without_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, remembered = tmp_path / "a.png", Remembered()
    file.touch()
    last = ((Shown(str(file)),), CHOICES)
    remembered.keep("first", last)
    assert remembered.find("first") == last
    assert remembered.find("") is remembered.find("other") is None
    now = reload.time.monotonic()
    with monkeypatch.context() as patch:
        patch.setattr(reload.time, "monotonic", lambda: now + SECONDS + 1)
        assert remembered.find("first") is None
    for number in range(MOST):
        remembered.keep(str(number), last)
    assert remembered.find("first") is None
    assert remembered.find("0") == last
    file.unlink()
    assert remembered.find("0") is None, "its file has been deleted"
