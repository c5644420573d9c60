"""What the page says of a picture: the verdict, what it means, and where the model looked."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from app_site import Site, choose_point, figures, judged, picture_in
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from lesion_demo.serve.phrases import SYMBOLS
from lesion_demo.texts import load_texts

TEXTS = load_texts("en")


@pytest.mark.parametrize(
    ("probability", "margin", "familiar", "outcome"),
    [
        (0.1, 0.0, True, "benign"),
        (0.8, 0.4, True, "malignant"),
        (0.27, 0.4, True, "uncertain"),
        (0.8, 0.0, False, "not_assessable"),
    ],
)
def test_each_outcome_has_its_sign_words_and_advice(
    page: Page, site: Site, files: Path, probability: float, margin: float, familiar: bool, outcome: str
) -> None:
    site.analyzer.probability, site.analyzer.margin, site.analyzer.familiar = probability, margin, familiar
    judged(page, files / "phantom.png")
    card = page.locator(f"#result .card.{outcome}")
    sign = {key.value: sign for key, sign in SYMBOLS.items()}[outcome]
    expect(card.locator("h2")).to_have_text(f"{sign} {TEXTS.verdict.outcomes[outcome]}")
    expect(card.locator("h2 + *")).to_have_text(TEXTS.verdict.next_step[outcome])  # what to do comes first
    expect(card).to_contain_text(TEXTS.verdict.advice[outcome])
    expect(page.locator("#result .card")).to_have_count(1)
    bar = page.locator("#result .bar")
    expect(page.locator("#result .bar-zone")).to_have_count(1 if margin else 0)
    if outcome == "not_assessable":
        expect(card).to_contain_text(TEXTS.verdict.unfamiliar)
        expect(bar).to_be_hidden()
        expect(page.locator("#meaning")).to_contain_text(TEXTS.verdict.no_post_test)
    else:
        expect(card.locator(".lead")).to_contain_text("lesions with this result will turn out to be malignant")
        expect(bar).to_be_hidden()
    page.locator("#result summary").click()
    expect(bar).to_be_visible()


def test_picture_too_poor_to_judge_is_not_assessable(page: Page, files: Path) -> None:
    judged(page, files / "black.png")
    card = page.locator("#result .card.not_assessable")
    expect(card).to_contain_text(TEXTS.quality.retake["brightness"])
    expect(page.locator("#quality tr.severe").first).to_contain_text(TEXTS.quality.results["severe"])
    expect(page.locator("#quality details")).to_have_attribute("open", "")
    page.locator("#dermoscopic input").uncheck()  # there is no result that could lie outside the tested conditions
    expect(page.locator("#result .card")).to_have_count(1)
    page.locator("#dermoscopic input").check()
    judged(page, files / "phantom.png")
    expect(page.locator("#quality table")).to_be_hidden()
    expect(page.locator("#quality")).to_contain_text("checks passed")


def test_poor_picture_is_warned_about_above_the_verdict(page: Page, files: Path) -> None:
    judged(page, files / "dim.png")
    warning = page.locator("#result .card.warning")
    expect(warning).to_contain_text(TEXTS.quality.retake["brightness"])
    box, bar = warning.bounding_box(), page.locator("#result .lead").bounding_box()
    assert box is not None
    assert bar is not None
    assert box["y"] + box["height"] <= bar["y"]
    row = page.locator("#quality tr.warning").first
    expect(row).to_contain_text(TEXTS.quality.names["brightness"])
    expect(row).to_contain_text(TEXTS.quality.results["warning"])


def test_operating_point_judges_again_and_says_how_it_was_tested(page: Page, site: Site, files: Path) -> None:
    site.analyzer.probability = 0.4
    judged(page, files / "phantom.png")
    asked = site.analyzer.asked
    expect(page.locator("#result .card.malignant")).to_be_visible()
    expect(page.locator("#point-note")).to_contain_text(re.compile(r"sensitivity: 90\.0\s% \(87\.0–91\.0\)"))
    choose_point(page, "balanced")
    expect(page.locator("#result .card.benign")).to_be_visible()
    assert figures(page) == (50.0, 40.0)
    expect(page.locator("#point-note")).to_contain_text(re.compile(r"specificity: 90\.0\s% \(87\.0–91\.0\)"))
    expect(page.locator("#meaning")).to_contain_text("PPV")
    for answer in ("get “higher concern”", "get “lower concern”", "get “uncertain”", "are not assessable"):
        expect(page.locator("#meaning")).to_contain_text(re.compile(rf"\d+ {answer}"))  # of 1,000 patients
    expect(page.locator("#point-note")).to_contain_text(re.compile(r"In the clinics tested, it found \d+–\u2060\d+\s%"))
    choose_point(page, "accuracy")  # never tested
    expect(page.locator("#point-note")).not_to_contain_text("sensitivity")
    expect(page.locator("#result")).to_contain_text(TEXTS.verdict.not_tested)
    assert site.analyzer.asked == asked


def test_threshold_of_ones_own(page: Page, site: Site, files: Path) -> None:
    site.analyzer.probability = 0.4
    judged(page, files / "phantom.png")
    expect(page.locator("#threshold")).to_have_count(0)
    choose_point(page, "custom")
    expect(page.locator("#result")).to_contain_text(TEXTS.verdict.custom_not_tested)
    page.locator("#threshold input[type=number]").fill("0.45")
    expect(page.locator("#result .card.benign")).to_be_visible()
    assert figures(page) == (45.0, 40.0)
    expect(page.locator("#point-note")).to_contain_text(TEXTS.verdict.custom_note)


def test_picture_without_dermatoscope_is_out_of_scope(page: Page, files: Path) -> None:
    judged(page, files / "phantom.png")
    expect(page.locator("#result .scope")).to_have_count(0)
    page.locator("#dermoscopic input").uncheck()
    expect(page.locator("#result .card").first).to_contain_text(TEXTS.verdict.not_dermoscopic)
    expect(page.locator("#result")).to_contain_text(TEXTS.verdict.said_by["reader_no"])


def test_the_detector_ticks_the_box_and_the_page_says_so(page: Page, site: Site, files: Path) -> None:
    site.analyzer.photograph = True
    judged(page, files / "phantom.png")
    expect(page.locator("#dermoscopic input")).not_to_be_checked()
    expect(page.locator("#result")).to_contain_text(TEXTS.verdict.said_by["detector_no"])
    page.locator("#dermoscopic input").check()
    expect(page.locator("#result .scope")).to_have_count(0)
    expect(page.locator("#result")).to_contain_text(TEXTS.verdict.said_by["reader_yes"])


def test_the_record_is_copied_and_says_so(page: Page, files: Path) -> None:
    judged(page, files / "phantom.png")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("button.copy").click()
    expect(page.locator("#record [role=status]")).to_have_text(TEXTS.page.record_copied)
    assert TEXTS.verdict.outcomes["benign"] in page.evaluate("navigator.clipboard.readText()")


def test_prevalence_changes_what_it_means(page: Page, site: Site, files: Path) -> None:
    judged(page, files / "phantom.png")
    asked = site.analyzer.asked
    meaning = page.locator("#meaning")
    meaning.locator("summary").click()
    expect(meaning).to_contain_text("Of 1,000 such patients, 20 have")
    expect(meaning.locator("strong")).to_have_text(re.compile(r"0\.2\s%"))
    page.locator("#prevalence input[type=number]").fill("50")
    expect(meaning).to_contain_text("Of 1,000 such patients, 500 have")
    expect(meaning.locator("strong")).to_have_text(re.compile(r"10\.0\s%"))
    expect(meaning.locator("details")).to_have_attribute("open", "")  # what was opened stays open
    assert site.analyzer.asked == asked


def test_heat_map_stands_beside_the_picture(page: Page, files: Path) -> None:
    judged(page, files / "phantom.png")
    original = np.asarray(Image.open(files / "phantom.png"), dtype=float)
    assert np.abs(picture_in(page, "#heat", 0) - original).mean() < 4  # JPEG
    assert np.abs(picture_in(page, "#heat", 1) - original).max() > 60
    left, right = (page.locator("#heat img").nth(place).bounding_box() for place in (0, 1))
    assert left is not None
    assert right is not None
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] <= right["x"], "both are seen whole, and at once"
    assert left["width"] == right["width"] > 250
    expect(page.locator("#heat .heat-switch")).to_be_hidden()
    expect(page.locator("#heat")).to_contain_text(TEXTS.page.heat_for)


def place_on_page(image: Locator) -> list[float]:
    """Left, top, width and height, however far the page is scrolled."""
    found: list[float] = image.evaluate(
        "one => { const box = one.getBoundingClientRect();"
        " return [box.left, box.top + window.scrollY, box.width, box.height]; }"
    )
    return found


def test_a_phone_switches_between_picture_and_heat_map(phone: Page, files: Path) -> None:
    judged(phone, files / "phantom.png")
    picture, heat = phone.locator("#heat img").first, phone.locator("#heat img").last
    expect(heat).to_be_visible()
    expect(picture).to_be_hidden()
    phone.locator("#heat input[value=map]").focus()
    place = place_on_page(heat)
    phone.keyboard.press("ArrowLeft")
    expect(picture).to_be_visible()
    expect(heat).to_be_hidden()
    assert place_on_page(picture) == place, "nothing moves but what changes"
    height = phone.locator("#heat .heat-switch label").first.bounding_box()
    assert height is not None
    assert height["height"] >= 44


def test_where_nothing_speaks_for_malignant_it_says_so(page: Page, site: Site, files: Path) -> None:
    site.analyzer.silent = True
    judged(page, files / "phantom.png")
    expect(page.locator("#heat")).to_contain_text(TEXTS.page.heat_silent)
    expect(page.locator("#heat .caution")).to_have_count(0)  # an alarm beside every answer would be none
    expect(page.locator("#result .card.warning")).to_have_count(0)
