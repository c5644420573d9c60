"""The page on a tablet held upright, 820 pixels wide: whatever it shows fits, and nothing lies over anything else."""

from __future__ import annotations

from pathlib import Path

import pytest
from app_site import TABLET, Site, judged, opened, verdict, violations
from PIL import Image
from playwright.sync_api import Browser, FloatRect, Page, expect

from lesion_demo.images.phantom import render_phantom
from lesion_demo.texts import load_texts

ANSWERS = {
    "benign": ("phantom.png", 0.1, 0.0),
    "malignant": ("phantom.png", 0.9, 0.0),
    "uncertain": ("phantom.png", 0.27, 0.4),
    "not_assessable": ("black.png", 0.1, 0.0),
}
"""For every answer the picture, its probability and the margin of the uncertain zone."""
LAID_OVER = """() => {
  const controls = 'button, input, textarea, select, summary, a, label, img', pieces = [];
  // A label lies in its field on purpose, and an icon over its picture.
  const shown = e => e.checkVisibility({opacityProperty: true, visibilityProperty: true})
                     && !e.closest('.toast-wrap, [data-testid=block-label], .icon-button');
  const frames = new Map(), frame = e => {  // what is seen of that which lies in `e`
    if (!e) return {left: -Infinity, top: -Infinity, right: Infinity, bottom: Infinity};
    if (!frames.has(e)) {
      const outer = frame(e.parentElement), clips = getComputedStyle(e).overflow !== 'visible';
      frames.set(e, clips ? both(outer, e.getBoundingClientRect()) : outer);
    }
    return frames.get(e);
  };
  const both = (a, b) => ({left: Math.max(a.left, b.left), top: Math.max(a.top, b.top),
                           right: Math.min(a.right, b.right), bottom: Math.min(a.bottom, b.bottom)});
  const add = (piece, inside, box) => {
    const {left, top, right, bottom} = both(box, frame(inside));
    if (right - left > 1 && bottom - top > 1) pieces.push([piece, {left, right, top, bottom}]);
  };
  for (const e of document.querySelectorAll(controls)) if (shown(e)) add(e, e.parentElement, e.getBoundingClientRect());
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), range = document.createRange();
  for (let text; (text = texts.nextNode());) {
    if (!text.data.trim() || !shown(text.parentElement) || text.parentElement.closest(controls)) continue;
    range.selectNodeContents(text);
    for (const line of range.getClientRects()) add(text, text.parentElement, line);
  }
  const over = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2
                         && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4;
  const said = e => (e.outerHTML ?? e.data).slice(0, 90);
  return pieces.flatMap(([one, a], i) => pieces.slice(i + 1)
    .filter(([other, b]) => over(a, b) && !one.contains(other) && !other.contains(one))
    .map(([other]) => [said(one), said(other)]));
}"""
"""Pairs of controls, pictures and lines of text of which one lies over the other, as far as they can be seen."""
FIRST_LINE = """() => {
  const range = document.createRange();
  range.selectNodeContents(document.querySelector('.disclaimer'));
  return range.getClientRects()[0].right;
}"""
"""Where the first line of the disclaimer ends."""
SCHEMES = pytest.mark.parametrize(("scheme", "language"), [("light", "en"), ("dark", "de")])


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Two of a lesion, with names as cameras give them."""
    paths = [tmp_path / "IMG_20260104_101502.png", tmp_path / "IMG_20260704_093011.png"]
    for path, malignant in zip(paths, (False, True), strict=True):
        Image.fromarray(render_phantom(5, malignant=malignant)).save(path)
    return paths


def box_of(page: Page, selector: str) -> FloatRect:
    box = page.locator(selector).bounding_box()
    assert box is not None
    return box


def expect_to_fit(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= TABLET[0]
    found = page.evaluate(LAID_OVER)
    assert found == [], found


@SCHEMES
def test_every_answer_fits_a_tablet_and_is_in_view(
    browser: Browser, site: Site, files: Path, scheme: str, language: str
) -> None:
    for page in opened(browser, f"{site.address}/?lang={language}", TABLET, scheme, touch=True):
        expect_to_fit(page)
        for answer, (name, site.analyzer.probability, site.analyzer.margin) in ANSWERS.items():
            judged(page, files / name)
            expect(verdict(page)).to_contain_text(load_texts(language).verdict.outcomes[answer])
            expect(verdict(page)).to_be_in_viewport(ratio=1)
            expect_to_fit(page)
        languages, checks, side = (box_of(page, name) for name in (".languages", "#quality-area", "#side"))
        assert page.evaluate(FIRST_LINE) > languages["x"], "the first line of the disclaimer is cut short"
        assert checks["width"] == side["width"], "the long list of checks beside an empty strip"
        page.locator("#notes summary").click()
        expect(page.locator("#notes li")).to_have_count(len(ANSWERS))
        expect_to_fit(page)
        assert violations(page) == []


@SCHEMES
def test_the_other_tabs_fit_a_tablet(
    browser: Browser, site: Site, pictures: list[Path], scheme: str, language: str
) -> None:
    words = load_texts(language).page
    for page in opened(browser, f"{site.address}/?lang={language}", TABLET, scheme, touch=True):
        page.get_by_role("tab", name=words.tab_many).tap()
        page.set_input_files("#batch-files input[type=file]", pictures)
        for boxes, answered in (
            ("", "#batch-table [role=gridcell] img"),
            ("#one-lesion", "#lesion h2"),
            ("#two-dates", "#lesion .curtain"),
        ):
            if boxes:
                page.locator(f"{boxes} input").check()
            page.locator("#batch-run").click()
            expect(page.locator(answered).first).to_be_visible()
            expect(page.locator("#batch-status .generating")).to_have_count(0)  # until then, a click starts nothing
            expect_to_fit(page)
        assert violations(page) == []
        page.get_by_role("tab", name=words.tab_about).tap()
        for section in page.locator("button.label-wrap:visible").all():
            section.click()
        expect(page.locator("#about-version .about")).to_be_visible()
        expect_to_fit(page)
        assert violations(page) == []
