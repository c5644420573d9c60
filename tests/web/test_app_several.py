"""Several pictures of one lesion on the page: one answer, reached from a picture's own result."""

from __future__ import annotations

from pathlib import Path

import pytest
from app_site import DESK, PHONE, Site, judged, opened, violations
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from lesion_demo.images import Pixels
from lesion_demo.images.phantom import render_phantom
from lesion_demo.serve.analysis import Analysis
from lesion_demo.texts import load_texts

TEXTS = load_texts("en")
WORDS = TEXTS.batch
LOW, HIGH = 240, 300
"""Sides of two pictures, pixels: by them the analyzer knows what to say."""


@pytest.fixture
def pictures(tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> dict[int, Path]:
    """Two pictures of one lesion that disagree."""
    files = {side: tmp_path / f"{side}.png" for side in (LOW, HIGH)}
    for side, file in files.items():
        Image.fromarray(render_phantom(5, malignant=True, size=side)).save(file)
    analyze = site.analyzer.analyze

    def by_size(picture: Pixels, *args: object) -> Analysis:
        site.analyzer.probability = 0.9 if picture.shape[0] == HIGH else 0.1
        return analyze(picture, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(site.analyzer, "analyze", by_size)
    return files


def answer(page: Page) -> Locator:
    return page.locator("#lesion .card:is(.benign, .malignant, .uncertain, .not_assessable)")


def add(page: Page, file: Path) -> None:
    with page.expect_file_chooser() as chooser:
        page.locator("#batch-add").press("Enter")
    chooser.value.set_files(file)
    expect(page.locator("#batch-files")).to_contain_text(file.stem)


@pytest.mark.parametrize(("size", "scheme"), [(DESK, "light"), (PHONE, "dark")])
def test_another_picture_of_the_lesion_gives_one_answer(
    browser: Browser, site: Site, pictures: dict[int, Path], size: tuple[int, int], scheme: str
) -> None:
    for page in opened(browser, site.address, size, scheme):
        expect(page.locator("#more")).to_be_hidden()
        judged(page, pictures[LOW])
        page.locator("#more").press("Enter")
        expect(page.get_by_role("tab", name=TEXTS.page.tab_many)).to_have_attribute("aria-selected", "true")
        expect(page.locator("#one-lesion input")).to_be_checked()
        expect(page.locator("#batch-add")).to_be_focused()
        expect(page.locator("#batch-files")).to_contain_text(str(LOW))
        add(page, pictures[HIGH])
        page.locator("#batch-run").press("Enter")
        expect(answer(page).locator("h2")).to_have_text(f"▲ {TEXTS.verdict.outcomes['malignant']}")
        expect(page.locator("#lesion .card.warning")).to_contain_text(WORDS.lesion_disagree_heading)
        expect(page.locator("#lesion .rows li")).to_have_count(2)
        expect(page.locator("#lesion .rows img")).to_have_count(2)
        expect(page.locator("#batch-table")).to_be_hidden()
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        assert violations(page) == []
        page.locator("#one-lesion input").uncheck()
        expect(answer(page)).to_have_count(0)
        page.locator("#batch-run").click()
        expect(page.locator("#batch-table")).to_be_visible()


@pytest.mark.parametrize(("size", "scheme"), [(DESK, "light"), (PHONE, "dark")])
def test_two_dates_are_compared_and_each_keeps_its_result(
    browser: Browser, site: Site, pictures: dict[int, Path], size: tuple[int, int], scheme: str
) -> None:
    for page in opened(browser, site.address, size, scheme):
        page.get_by_role("tab", name=TEXTS.page.tab_many).click()
        expect(page.locator("#two-dates")).to_be_hidden()
        page.set_input_files("#batch-files input[type=file]", [pictures[LOW], pictures[HIGH]])
        page.locator("#one-lesion input").check()
        page.locator("#two-dates input").check()
        page.locator("#batch-run").press("Enter")
        expect(answer(page).locator("h2")).to_have_text(f"▲ {TEXTS.verdict.outcomes['malignant']}")
        expect(answer(page)).to_contain_text(WORDS.dates_change.format(earlier="10.0\u00a0%", later="90.0\u00a0%"))
        expect(answer(page)).to_contain_text(WORDS.dates_caution)
        rows = page.locator("#lesion .rows li")
        expect(rows.nth(0)).to_contain_text(f"{WORDS.earlier}: ● {TEXTS.verdict.outcomes['benign']}")
        expect(rows.nth(1)).to_contain_text(f"{WORDS.later}: ▲ {TEXTS.verdict.outcomes['malignant']}")
        slider, (under, over) = page.locator(".curtain input"), page.locator(".curtain img").all()
        if size == DESK:
            expect(slider).to_be_hidden()
            left, right = (picture.bounding_box() for picture in (under, over))
            assert left is not None
            assert right is not None
            assert left["x"] + left["width"] < right["x"]
        else:
            assert over.evaluate("image => getComputedStyle(image).clipPath") == "inset(0px 0px 0px 50%)"
            slider.press("End")
            assert over.evaluate("image => getComputedStyle(image).clipPath") == "inset(0px 0px 0px 100%)"
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        assert violations(page) == []
        page.locator("#two-dates input").uncheck()
        expect(answer(page)).to_have_count(0)


def test_list_of_one_lesion_begins_anew_with_another_picture(page: Page, pictures: dict[int, Path]) -> None:
    """What is there already may be another patient's."""
    for side in (LOW, HIGH):
        page.get_by_role("tab", name=TEXTS.page.tab_one).click()
        judged(page, pictures[side])
        page.locator("#more").click()
        expect(page.locator("#batch-files")).to_contain_text(str(side))
    expect(page.locator("#batch-files")).not_to_contain_text(str(LOW))
    page.locator("#batch-run").click()
    expect(page.locator("#batch-status")).to_contain_text("you chose 1")
