"""The page for everyone: by keyboard, on a phone, in the dark, for a screen reader, in German."""

from __future__ import annotations

import json
import re
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from unicodedata import normalize

import pytest
from app_site import DESK, PHONE, Site, choose_point, judged, opened, verdict, violations
from playwright.sync_api import Browser, Page, expect
from pypdf import PdfReader

from lesion_demo.texts import load_texts

TEXTS = load_texts("en")


def test_page_can_be_worked_by_keyboard(page: Page, files: Path) -> None:
    judged(page, files / "phantom.png")
    for text in ("#result", "#capture-help"):  # what changes is also spoken
        expect(page.locator(text)).to_have_attribute("aria-live", "polite")
    page.locator("#point input[value=sensitive]").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#point input[value=balanced]")).to_be_checked()
    expect(page.locator("#result .bar")).to_have_attribute("aria-label", re.compile(r"threshold 50\.0"))
    page.locator("#dermoscopic input").focus()
    page.keyboard.press("Space")
    expect(page.locator("#result .scope")).to_be_visible()


def test_phone_shows_everything_in_order_without_scrolling_sideways(phone: Page, files: Path) -> None:
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    judged(phone, files / "dim.png")
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    places = (
        "#picture", "#dermoscopic", "#result .card.warning", "#result .bar", "#point", "#heat-area",
        "#meaning-area", "#quality-area", "#take-area", "#examples",
    )  # fmt: skip
    phone.wait_for_function(  # what is not there or not shown has no size; the answer is shown part by part
        """places => {
             const boxes = places.map(place => document.querySelector(place)?.getBoundingClientRect());
             return boxes.every((box, i) => box?.height && (i === 0 || boxes[i - 1].top <= box.top));
           }""",
        arg=list(places),
    )
    sizes = phone.evaluate(
        """() => [...document.querySelectorAll('#stage *, #head *')]
          .filter(e => e.offsetParent && !e.matches('.icon'))
          .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()))
          .map(e => parseFloat(getComputedStyle(e).fontSize))"""
    )
    assert min(sizes) >= 16


COLUMNS = {
    1440: ((("#picture-area", "#result-area"), "#heat-area"), ("#meaning-area", "#quality-area", "#take-area")),
    820: ((("#picture-area", "#result-area"), "#heat-area", "#side"), ("#meaning-area", "#quality-area")),
}
"""By the window's width: what stands under one another without a gap; of what stands in one row, the longer counts."""


@pytest.mark.parametrize("width", COLUMNS)
def test_no_column_has_a_hole(browser: Browser, site: Site, files: Path, width: int) -> None:
    ends = """names => names.map(name => document.querySelector(name).getBoundingClientRect())
      .reduce((all, {top, bottom}) => [Math.min(all[0], top), Math.max(all[1], bottom)], [Infinity, 0])"""
    for page in opened(browser, site.address, (width, 900)):
        judged(page, files / "phantom.png")
        expect(page.locator("#quality details")).to_be_visible()
        for column in COLUMNS[width]:
            places = [page.evaluate(ends, [part] if isinstance(part, str) else list(part)) for part in column]
            gaps = [below[0] - above[1] for above, below in pairwise(places)]
            assert all(0 < gap <= 24 for gap in gaps), (column, gaps)


@pytest.mark.parametrize(("size", "scheme"), [(DESK, "light"), (DESK, "dark"), (PHONE, "light"), (PHONE, "dark")])
def test_accessibility_checker_finds_nothing(
    browser: Browser, site: Site, files: Path, size: tuple[int, int], scheme: str
) -> None:
    site.analyzer.margin, site.analyzer.silent = 0.4, True
    for page in opened(browser, site.address, size, scheme):
        assert page.locator("body.dark, html.dark, .dark").count() == (0 if scheme == "light" else 1)
        background = page.evaluate("getComputedStyle(document.querySelector('#take-area')).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", background)[:3])) < 200) == (scheme == "dark")
        assert violations(page) == []
        judged(page, files / "dim.png")
        choose_point(page, "custom")
        expect(page.locator("#threshold")).to_be_visible()
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


def test_german_page_by_keyboard(browser: Browser, site: Site, files: Path) -> None:
    texts = load_texts("de")
    for page in opened(browser, f"{site.address}/?lang=de"):
        assert page.locator("html").get_attribute("lang") == "de"
        expect(page.locator("h1")).to_have_text(texts.page.title)
        judged(page, files / "phantom.png")
        expect(verdict(page).locator("h2")).to_contain_text(texts.verdict.outcomes["benign"])
        expect(page.locator("#result .bar")).to_have_attribute("aria-label", re.compile(r"Schwelle 25,0\s%"))
        expect(page.locator("#meaning")).to_contain_text("Von 1.000 solchen Patienten")
        for word in ("threshold", "Refer", "picture", "pass"):
            expect(page.locator("#stage")).not_to_contain_text(word)
        for opener in ("#result", "#point-note", "#meaning", "#quality", "#record"):
            page.locator(f"{opener} summary").press("Enter")
        assert violations(page) == []
        page.locator("#point input[value=sensitive]").focus()
        page.keyboard.press("ArrowRight")
        expect(page.locator("#result .bar")).to_have_attribute("aria-label", re.compile(r"Schwelle 50,0\s%"))
        with page.expect_download() as download:
            page.locator("#pdf").press("Enter")
        assert download.value.suggested_filename.startswith(texts.report.file_name)
        page.locator("#more").press("Enter")
        expect(page.locator("#batch-add")).to_be_focused()
        assert violations(page) == []


@pytest.mark.parametrize("name", ["phantom.png", "dim.png"])
def test_what_is_printed_fits_one_page(page: Page, files: Path, name: str) -> None:
    judged(page, files / name)
    page.emulate_media(media="print")
    (sheet,) = PdfReader(BytesIO(page.pdf(prefer_css_page_size=True, print_background=True))).pages
    printed = " ".join(normalize("NFKC", sheet.extract_text()).split())  # no ligatures
    for text in (TEXTS.verdict.outcomes["benign"], TEXTS.page.heat_heading, TEXTS.quality.heading, "checkpoint"):
        assert text in printed


def test_report_tells_no_more_of_the_patient_than_was_noted(page: Page, files: Path) -> None:
    judged(page, files / "phantom.png")
    for noted, expected in ((False, None), (True, {"age": 54, "site": "posterior torso"})):
        if noted:
            page.locator("#age :is(input, textarea)").fill("54")
            page.locator("#body-site input").click()
            page.get_by_role("option", name=TEXTS.report.sites["posterior torso"]).click()
            assert violations(page) == []
        with page.expect_download() as download:
            page.locator("#json").click()
        assert json.loads(Path(download.value.path()).read_text(encoding="utf-8")).get("patient") == expected
