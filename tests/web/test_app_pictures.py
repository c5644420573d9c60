"""How a picture comes into the page, and what can be taken away from it."""

from __future__ import annotations

import base64
import json
import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from app_site import Site, choose_point, judged, picture_in, remove, upload, verdict
from dicom_files import PATIENT, dicom
from gradio.route_utils import delete_files_created_by_app
from playwright.sync_api import Page, expect
from pypdf import PdfReader

from lesion_demo.images.phantom import render_phantom
from lesion_demo.texts import load_texts
from lesion_demo.web.page import EXAMPLES

TEXTS = load_texts("en")


def test_dropped_picture_is_analysed(page: Page, site: Site, files: Path) -> None:
    data = page.evaluate_handle(
        """async url => {
          const data = new DataTransfer();
          const bytes = Uint8Array.from(atob(url), c => c.charCodeAt(0));
          data.items.add(new File([bytes], 'dropped.png', {type: 'image/png'}));
          return data;
        }""",
        base64.b64encode((files / "phantom.png").read_bytes()).decode(),
    )
    page.dispatch_event(
        "#picture button[aria-label*=drop], #picture button.center, #picture button", "drop", {"dataTransfer": data}
    )
    expect(verdict(page)).to_be_visible()
    assert site.analyzer.seen is not None
    assert np.array_equal(site.analyzer.seen, render_phantom(5, malignant=True))


def test_pasted_picture_is_analysed_and_can_be_removed(page: Page, site: Site) -> None:
    asked = site.analyzer.asked
    page.evaluate(
        """async () => {
          const canvas = Object.assign(document.createElement('canvas'), {width: 200, height: 200});
          canvas.getContext('2d').fillRect(50, 50, 90, 90);
          const blob = await new Promise(done => canvas.toBlob(done, 'image/png'));
          const data = new DataTransfer();
          data.items.add(new File([blob], 'pasted.png', {type: 'image/png'}));
          document.body.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true}));
        }"""
    )
    expect(verdict(page)).to_be_visible()
    assert site.analyzer.asked == asked + 1
    remove(page)
    expect(page.locator("#heat-area")).to_be_hidden()
    expect(page.locator("#quality-area")).to_be_hidden()


def test_camera_picture_is_analysed_and_is_not_mirrored(page: Page, site: Site) -> None:
    page.locator("#picture .source-selection button").nth(1).click()
    page.locator(
        "#picture button.access-btn, #picture [title='grant webcam access'], #picture .wrap button"
    ).first.click()
    page.wait_for_function("document.querySelector('#picture video')?.videoWidth > 0")
    page.locator("#picture button[aria-label*=capture i], #picture .button-wrap button").first.click()
    expect(verdict(page)).to_be_visible()
    seen = site.analyzer.seen
    assert seen is not None
    width = seen.shape[1]
    left, right = seen[:, : width // 8].mean(axis=(0, 1)), seen[:, -width // 8 :].mean(axis=(0, 1))
    assert left[0] > left[2] + 50  # red
    assert right[2] > right[0] + 50  # blue


def test_picture_that_browsers_cannot_show_gets_a_preview(page: Page, files: Path) -> None:
    judged(page, files / "dim.png")
    remove(page)
    judged(page, files / "phantom.tiff")
    assert picture_in(page, "#picture").shape == (300, 300, 3)


@pytest.mark.parametrize("way", ["chosen", "dropped"])
def test_dicom_is_taken_and_gets_a_preview(way: str, page: Page, site: Site, tmp_path: Path) -> None:
    """No browser calls it an image, so that Gradio by itself would refuse it."""
    file = tmp_path / "lesion.dcm"
    file.write_bytes(dicom(render_phantom(5, malignant=True)))
    if way == "chosen":
        upload(page, file)
    else:
        data = page.evaluate_handle(
            """content => {
              const data = new DataTransfer();
              const bytes = Uint8Array.from(atob(content), c => c.charCodeAt(0));
              data.items.add(new File([bytes], 'lesion.dcm', {type: 'application/dicom'}));
              return data;
            }""",
            base64.b64encode(file.read_bytes()).decode(),
        )
        page.dispatch_event("#picture button[aria-label*=drop], #picture button", "drop", {"dataTransfer": data})
    expect(verdict(page)).to_be_visible()
    assert site.analyzer.seen is not None
    assert np.array_equal(site.analyzer.seen, render_phantom(5, malignant=True))
    assert picture_in(page, "#picture").shape == (300, 300, 3)
    kept = [path for path in site.uploads.rglob("*") if path.is_file() and PATIENT.encode() in path.read_bytes()]
    assert {path.name for path in kept} == {"lesion.dcm"}  # the upload itself, swept within the hour


def test_example_is_labelled_artificial_and_is_analysed(page: Page, site: Site) -> None:
    captions = page.locator("#examples .caption-label").all_inner_texts()
    assert captions
    assert all("artificial" in caption for caption in captions)
    asked = site.analyzer.asked
    page.locator("#examples button").first.click()
    expect(verdict(page)).to_be_visible()
    picture_in(page, "#picture")
    assert site.analyzer.asked == asked + 1


def test_file_that_is_no_picture_gets_a_sentence_and_the_page_goes_on(page: Page, files: Path) -> None:
    upload(page, files / "letter.jpg")
    error = page.locator("#result .card.error")
    expect(error).to_contain_text("is not a picture")
    expect(page.locator("#result .card")).to_have_count(1)
    expect(page.locator("#heat-area")).to_be_hidden()
    expect(page.locator(".toast-body")).to_have_count(0)
    judged(page, files / "phantom.png")
    remove(page)
    upload(page, files / "letter.jpg")
    expect(error).to_contain_text("is not a picture")


def downloaded(page: Page, button: str) -> tuple[str, bytes]:
    """Name and content of the file that `button` saves."""
    with page.expect_download() as download:
        page.locator(f"#{button}").click()
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


def test_report_can_be_saved_read_back_and_is_cleared_away(page: Page, site: Site, files: Path) -> None:
    site.analyzer.probability = 0.8
    judged(page, files / "phantom.png")
    choose_point(page, "balanced")
    page.locator("#dermoscopic input").uncheck()
    expect(page.locator("#result .scope")).to_be_visible()
    page.locator("#case-id textarea, #case-id input").fill("case 4711 äß")
    name, pdf = downloaded(page, "pdf")
    assert name.endswith(".pdf")
    text = "\n".join(sheet.extract_text() for sheet in PdfReader(BytesIO(pdf)).pages)
    assert "4711 äß" in text
    assert TEXTS.verdict.outcomes["malignant"] in text
    name, content = downloaded(page, "json")
    assert name.endswith(".json")
    findings = json.loads(content)
    assert findings["verdict"] == "malignant"
    assert findings["probability"] == pytest.approx(0.8)
    assert findings["operating_point"]["name"] == "balanced"
    assert findings["picture"]["dermoscopic"] is False
    assert findings["case_id"] == "case 4711 äß"
    assert re.fullmatch(r"report-case-4711-äß-\d{4}-\d\d-\d\d\.json", name)
    kept = [path for path in site.uploads.rglob("*") if path.is_file() and b"4711" in path.read_bytes()]
    assert kept == [], "a case number is kept nowhere"
    delete_files_created_by_app(site.app, None)
    left = {path.name for path in site.uploads.rglob("*") if path.is_file()}
    assert left <= {path.name for path in EXAMPLES.iterdir()}
