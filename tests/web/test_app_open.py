"""A line of the table of many pictures opens in the first tab; and the table can be read on a phone."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from app_site import DESK, TABLET, Site, opened, picture_in, verdict
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from lesion_demo.texts import load_texts

TEXTS = load_texts("en")
WORDS = TEXTS.batch
BROKEN = """() => {
  const broken = [];
  for (const cell of document.querySelectorAll('#batch-table [role=gridcell], #batch-table th')) {
    const walker = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
    for (let node; (node = walker.nextNode());) {
      for (const word of node.data.matchAll(/[^\\s-]+/g)) {
        const range = document.createRange();
        range.setStart(node, word.index);
        range.setEnd(node, word.index + word[0].length);
        if (new Set([...range.getClientRects()].map(line => Math.round(line.top))).size > 1) broken.push(word[0]);
      }
    }
  }
  return broken;
}"""
"""The words of the table that begin in one line and end in another."""

COLUMNS = """() => [...document.querySelectorAll('#batch-table :is(thead tr, .virtual-row)')].map(
  row => [...row.children].map(cell => Math.round(cell.getBoundingClientRect().right)))"""
"""Where every column ends, in the heading and in every line."""


@pytest.fixture
def pictures(tmp_path: Path) -> list[str]:
    """Two that differ in their shape, and a zip with the second."""
    paths = [tmp_path / "first.png", tmp_path / "second.png"]
    for path, size in zip(paths, ((120, 90), (90, 120)), strict=True):
        Image.new("RGB", size, (200, 150, 130)).save(path)
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.write(paths[1], "inside.png")
    return [str(path) for path in (*paths, tmp_path / "more.zip")]


def table_of(page: Page, site: Site, pictures: list[str]) -> None:
    """The table of `pictures`; each scores more than the one before it, and so comes before it."""
    given: Iterator[float] = iter([0.5, 0.6, 0.7])
    analyze = site.analyzer.analyze

    def varied(*args: object, **options: object) -> object:
        site.analyzer.probability = next(given, 0.6)
        return analyze(*args, **options)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(site.analyzer, "analyze", varied)
        page.get_by_role("tab", name=TEXTS.page.tab_many).click()
        page.set_input_files("#batch-files input[type=file]", pictures)
        expect(page.locator("#batch-files")).to_contain_text("more")
        page.locator("#batch-run").click()
        expect(page.locator("#batch-status")).to_contain_text(WORDS.done.format(total=3, assessed=3, failed=0))


def test_a_line_opens_in_the_first_tab(page: Page, site: Site, pictures: list[str]) -> None:
    table_of(page, site, pictures)
    opener = page.locator("#batch-open")
    expect(opener).to_be_hidden()
    cell = page.locator("#batch-table [role=gridcell]:visible")
    cell.get_by_text("inside.png").click()
    expect(opener).to_have_text(WORDS.open_in_zip.format(name="more.zip/inside.png"))
    expect(opener).to_be_disabled()
    cell.get_by_text("second.png", exact=True).click()
    expect(opener).to_have_text(WORDS.open.format(name="second.png"))
    opener.press("Enter")
    expect(page.get_by_role("tab", name=TEXTS.page.tab_one)).to_have_attribute("aria-selected", "true")
    expect(verdict(page)).to_have_count(1)
    assert picture_in(page, "#picture").shape == (120, 90, 3)


def test_no_word_of_the_table_is_broken_on_a_phone(phone: Page, site: Site, pictures: list[str]) -> None:
    table_of(phone, site, pictures)
    assert phone.evaluate(BROKEN) == []


@pytest.mark.parametrize("size", [DESK, TABLET])
def test_table_fills_its_frame(browser: Browser, site: Site, pictures: list[str], size: tuple[int, int]) -> None:
    for page in opened(browser, site.address, size):
        table_of(page, site, pictures)
        heading, *lines = page.evaluate(COLUMNS)
        assert len(lines) == 3
        assert all(line == heading for line in lines)
        frame = page.locator("#batch-table .virtual-table-viewport").bounding_box()
        assert frame is not None
        assert 0 <= frame["x"] + frame["width"] - heading[-1] <= 2
        assert page.evaluate(BROKEN) == []
