"""A small lesion in a wide picture: a closer view of it, and the way back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from app_site import PHONE, Site, opened, picture_in, remove, upload, verdict, violations
from fake_analyzer import SIDE, FakeAnalyzer
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from lesion_demo.images.phantom import render_phantom
from lesion_demo.texts import load_texts
from lesion_demo.web.zoom import Shown, closer_view, followed

TEXTS = load_texts("en")


def wide() -> NDArray[np.uint8]:
    """A picture of 900 × 600 pixels whose lesion is small and not in its middle."""
    skin = np.full((600, 900, 3), (215, 175, 155), np.uint8)
    skin[150:300, 480:630] = np.asarray(Image.fromarray(render_phantom(5, malignant=True)).resize((150, 150)))
    return skin


def lesion_at(rows: slice, columns: slice) -> NDArray[np.bool_]:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[rows, columns] = True
    return mask


def test_closer_view_is_a_square_about_the_lesion_twice_its_size() -> None:
    found = replace(FakeAnalyzer().analyze(wide()), visible=(150, 0, 600, 600))
    view = closer_view(replace(found, lesion=lesion_at(slice(16, 32), slice(35, 51))))
    assert view is not None
    assert view.width == view.height == pytest.approx(300, abs=20)
    centre = ((view.left + view.right) / 2, (view.top + view.bottom) / 2)
    assert centre == pytest.approx((150 + 43 / SIDE * 600, 24 / SIDE * 600), abs=8)
    corner = closer_view(replace(found, lesion=lesion_at(slice(0, 8), slice(56, 64))))
    assert corner is not None, "at the edge it stays in the picture"
    assert (corner.top, corner.right <= 900) == (0, True)
    beyond = closer_view(replace(found, visible=(300, 0, 600, 600), lesion=lesion_at(slice(0, 8), slice(56, 64))))
    assert beyond is not None, "where the picture ends, the square does"
    assert (beyond.top, beyond.right, beyond.width) == (0, 900, beyond.height)


def test_closer_view_is_of_the_middle_where_no_lesion_stands_out() -> None:
    found = replace(FakeAnalyzer().analyze(wide()), visible=(150, 0, 600, 600), lesion=None)
    view = closer_view(found)
    assert view is not None
    assert view.corner_and_size == (300, 150, 300, 300)


def test_no_closer_view_where_it_would_show_no_more() -> None:
    found = FakeAnalyzer().analyze(wide())
    assert closer_view(replace(found, lesion=lesion_at(slice(8, 56), slice(8, 56)))) is None
    small = FakeAnalyzer().analyze(render_phantom(5, malignant=True, size=140))
    assert closer_view(replace(small, lesion=None)) is None, "its 70 pixels would be too few"


def test_history_begins_anew_with_another_picture() -> None:
    zoomed = (Shown("a"), Shown("b", zoomed=True))
    assert followed(zoomed, "b") == zoomed
    assert followed(zoomed, "c") == (Shown("c"),)


@pytest.fixture
def small_lesion(tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with a wide picture, in which the analyzer finds a small lesion."""
    Image.fromarray(wide()).save(tmp_path / "wide.tiff")
    analyze = site.analyzer.analyze
    mask = lesion_at(slice(16, 32), slice(35, 51))
    monkeypatch.setattr(site.analyzer, "analyze", lambda *args: replace(analyze(*args), lesion=mask))
    return tmp_path / "wide.tiff"


def analysed(page: Page, site: Site, shape: tuple[int, ...]) -> None:
    """Wait for the answer to a picture of this shape."""
    page.wait_for_function("document.querySelector('#stage').dataset.state === 'answered'")
    assert site.analyzer.seen is not None
    assert site.analyzer.seen.shape == shape
    assert picture_in(page, "#picture").shape == shape


@pytest.mark.parametrize("size", [(1440, 900), PHONE])
def test_zoom_and_undo_by_keyboard(browser: Browser, site: Site, small_lesion: Path, size: tuple[int, int]) -> None:
    for page in opened(browser, site.address, size):
        expect(page.locator("#zoom")).to_be_hidden()
        upload(page, small_lesion)
        expect(verdict(page)).to_be_visible()
        expect(page.locator("#undo")).to_be_hidden()
        page.locator("#zoom").focus()
        page.keyboard.press("Enter")
        expect(page.locator("#zoom-note")).to_have_text(TEXTS.page.zoomed_note)
        part = site.analyzer.seen
        assert part is not None
        analysed(page, site, part.shape)
        assert part.shape[0] == part.shape[1] == pytest.approx(300, abs=20)
        original, side = wide(), len(part)
        places = [(x, y) for y in range(120) for x in range(400, 460)]
        assert any(np.array_equal(part, original[y : y + side, x : x + side]) for x, y in places), "at full resolution"
        expect(page.locator("#zoom")).to_be_hidden()
        assert violations(page) == []
        page.locator("#undo").focus()
        page.keyboard.press("Enter")
        expect(page.locator("#undo")).to_be_hidden()
        expect(page.locator("#zoom")).to_be_visible()
        analysed(page, site, (600, 900, 3))


def test_undo_brings_back_what_was_removed(page: Page, site: Site, small_lesion: Path, files: Path) -> None:
    upload(page, small_lesion)
    page.locator("#zoom").click()
    expect(page.locator("#zoom-note")).to_have_text(TEXTS.page.zoomed_note)
    expect(verdict(page)).to_be_visible()
    part = site.analyzer.seen
    assert part is not None
    remove(page)
    page.locator("#undo").click()
    expect(page.locator("#zoom-note")).to_have_text(TEXTS.page.zoomed_note)
    analysed(page, site, part.shape)
    page.locator("#undo").click()
    expect(page.locator("#undo")).to_be_hidden()
    analysed(page, site, (600, 900, 3))
    remove(page)
    expect(page.locator("#undo")).to_be_visible()
    upload(page, files / "phantom.png")
    expect(page.locator("#undo")).to_be_hidden()
    analysed(page, site, (300, 300, 3))


def test_a_picture_that_the_server_has_deleted_is_said_to_be_gone(page: Page, site: Site, small_lesion: Path) -> None:
    upload(page, small_lesion)
    expect(page.locator("#zoom")).to_be_visible()
    for path in site.uploads.rglob("wide.tiff"):
        path.unlink()
    page.locator("#zoom").click()
    expect(page.locator("#notice")).to_contain_text(TEXTS.page.failure_headings["ended"])
    expect(verdict(page)).to_be_hidden()
