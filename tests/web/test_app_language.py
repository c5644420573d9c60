"""The language is the browser's until the reader chooses another, and one process serves them all."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from app_site import DESK, PHONE, Site, judged, opened, violations
from gradio_client import Client
from playwright.sync_api import Browser, expect

from lesion_demo.texts import languages, load_texts
from lesion_demo.web.language import accepted_languages


@pytest.mark.parametrize(
    ("header", "codes"),
    [
        ("de-CH, de;q=0.9, en;q=0.8", ["de", "de", "en"]),
        ("en;q=0.5, de", ["de", "en"]),
        ("fr, de;q=0, en;q=0.1", ["fr", "en"]),
        ("", [""]),
        ("de;q=much, en", ["en"]),
    ],
)
def test_accepted_languages(header: str, codes: list[str]) -> None:
    assert accepted_languages(header) == codes


@pytest.mark.parametrize(
    ("query", "accepted", "leads_to"),
    [
        ("", "en-GB", None),
        ("", "de-AT,de;q=0.9", "/de"),
        ("", "fr, de;q=0.5", "/de"),
        ("", "fr", None),
        ("?lang=de", "en", "/de?lang=de"),
        ("?lang=en", "de", None),
        ("?lang=fr", "de", "/de?lang=fr"),
        ("?lang=//evil.example", "", None),
    ],
)
def test_first_page_leads_to_the_readers_language(site: Site, query: str, accepted: str, leads_to: str | None) -> None:
    answer = httpx.get(f"{site.address}/{query}", headers={"Accept-Language": accepted})
    if leads_to is None:
        assert answer.status_code == 200
    else:
        assert answer.is_redirect
        assert answer.next_request is not None
        assert str(answer.next_request.url) == f"{site.address}{leads_to}"


@pytest.mark.parametrize("size", [DESK, PHONE])
def test_table_of_quality_fits_its_place_in_every_language(
    browser: Browser, site: Site, files: Path, size: tuple[int, int]
) -> None:
    for code in languages():
        for page in opened(browser, f"{site.address}/{code if code != 'en' else ''}", size):
            judged(page, files / "phantom.png")
            ends = "element => element.getBoundingClientRect().right"
            table, place = page.locator("#quality table"), page.locator("#quality-area")
            assert table.evaluate(ends) <= place.evaluate(ends)


@pytest.mark.parametrize("size", [DESK, PHONE])
def test_language_is_chosen_on_the_page(browser: Browser, site: Site, size: tuple[int, int]) -> None:
    for page in opened(browser, site.address, size):
        for code in ("de", "en"):
            texts = load_texts(code)
            link = page.get_by_role("link", name=texts.page.language_name)
            link.focus()
            page.keyboard.press("Enter")
            expect(page.locator("h1")).to_have_text(texts.page.title)
            page.locator("#examples img").first.wait_for()
            expect(page.locator("html")).to_have_attribute("lang", code)
            expect(page.locator("nav:visible")).to_have_count(1)
            assert page.title() == texts.page.title
            expect(page.locator(".languages [aria-current]")).to_have_text(texts.page.language_name)
            expect(page.locator("#photo")).to_have_text(texts.page.photo_button)
            assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
            assert violations(page) == []


def test_programs_know_each_endpoint_by_one_name(site: Site) -> None:
    api = Client(site.address, verbose=False).view_api(return_format="dict")
    assert set(api["named_endpoints"]) == {"/analyze", "/analyze_batch"}
    assert languages() == ["en", "de"]


def test_endpoints_are_there_once_and_all_else_is_private(site: Site) -> None:
    assert len(languages()) > 1
    public = [event.api_name for event in site.app.fns.values() if event.api_visibility != "private"]
    assert public == ["analyze", "analyze_batch"]
    for name in ("analyze", "analyze_batch_files"):
        assert [event.name for event in site.app.fns.values()].count(name) == 1
