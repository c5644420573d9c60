"""The tab for many pictures in a real Chromium, and its endpoint, on an analyzer without a network."""

from __future__ import annotations

import csv
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import pytest
from app_site import PATIENCE, QUIET
from axe_playwright_python.sync_playwright import Axe
from fake_analyzer import FakeAnalyzer
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from lesion_demo.images.phantom import render_phantom
from lesion_demo.texts import load_texts
from lesion_demo.web.batch_tab import add_batch_endpoint, add_batch_tab
from lesion_demo.web.batch_table import COLUMNS
from lesion_demo.web.launch import launch_options

TEXTS = load_texts("en")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """18 pictures and, as the third and the tenth, two files that are none."""
    folder = tmp_path_factory.mktemp("many")
    paths = []
    for number in range(20):
        path = folder / f"lesion_{number:02d}.jpg"
        if number in (2, 9):
            path.write_bytes(b"<b>no picture</b>")
        else:
            Image.fromarray(render_phantom(number, malignant=True, size=160)).save(path)
        paths.append(path)
    return paths


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, FakeAnalyzer]]:
    analyzer = FakeAnalyzer()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("uploads")))
        with gr.Blocks(title="Many", analytics_enabled=False) as app:
            gr.HTML("<h1>Many</h1>")
            add_batch_tab(analyzer, TEXTS)
            add_batch_endpoint(analyzer, TEXTS)
        _, address, _ = app.launch(server_name="127.0.0.1", prevent_thread_lock=True, **launch_options(TEXTS))
        yield address.rstrip("/"), analyzer
        app.close(verbose=False)


@pytest.fixture
def page(chromium: str, site: tuple[str, FakeAnalyzer]) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(QUIET))
        page = browser.new_page(viewport={"width": 1440, "height": 1000}, accept_downloads=True)
        page.goto(site[0])
        site[1].reset()
        yield page
        browser.close()


def save(page: Page, button: str, folder: Path) -> Path:
    with page.expect_download(timeout=PATIENCE) as download:
        page.locator(button).click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_twenty_files_two_of_them_bad(page: Page, files: list[Path], tmp_path: Path) -> None:
    page.locator("#batch-files input[type=file]").set_input_files([str(file) for file in files])
    page.get_by_text("lesion_19").first.wait_for(timeout=PATIENCE)
    page.locator("#batch-run").click()
    done = TEXTS.batch.done.format(total=20, assessed=18, failed=2)
    expect(page.locator("#batch-status")).to_contain_text(done)
    table = page.locator("#batch-table")
    expect(table).to_contain_text("lesion_00.jpg")
    expect(table.locator("img:visible").first).to_be_visible()
    violations = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa"]}).response["violations"]
    assert not violations, [(one["id"], one["nodes"][0]["html"]) for one in violations]

    with save(page, "#batch-csv", tmp_path).open(newline="", encoding="utf-8-sig") as opened:
        rows = list(csv.DictReader(opened))
    assert [row["file"] for row in rows] == [file.name for file in files]
    assert [number for number, row in enumerate(rows) if row["error"]] == [2, 9]
    assert {row["verdict"] for row in rows} == {"benign", ""}
    with zipfile.ZipFile(save(page, "#batch-zip", tmp_path)) as archive:
        assert sum(name.endswith(".pdf") for name in archive.namelist()) == 18


def test_probabilities_are_sorted_as_numbers(page: Page, site: tuple[str, FakeAnalyzer], files: list[Path]) -> None:
    analyzer = site[1]
    given = iter([0.2, 0.0004, 0.9])
    analyze = analyzer.analyze

    def varied(*args: object, **options: object) -> object:
        analyzer.probability = next(given)
        return analyze(*args, **options)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(analyzer, "analyze", varied)
        page.locator("#batch-files input[type=file]").set_input_files([str(file) for file in files[3:6]])
        page.get_by_text("lesion_05").first.wait_for(timeout=PATIENCE)
        page.locator("#batch-run").click()
        expect(page.locator("#batch-status")).to_contain_text(TEXTS.batch.done.format(total=3, assessed=3, failed=0))
    column = list(COLUMNS).index("score")

    def shown() -> list[str]:
        rows = page.locator("#batch-table [role=row]:visible").filter(has=page.locator("img:visible"))
        return [rows.nth(i).locator("[role=gridcell]").nth(column).inner_text().strip() for i in range(3)]

    before = [float(value) for value in shown()]
    assert before == [0.9, 0.2, 0.0004], "what raises most concern comes first"
    heading = page.locator("#batch-table th:visible", has_text=TEXTS.batch.columns["score"])
    heading.locator("button[aria-haspopup=menu]").click()
    page.get_by_role("menuitem", name="Sort ascending").click()
    page.wait_for_timeout(500)
    assert [float(value) for value in shown()] == sorted(before)


def test_it_can_be_stopped(page: Page, site: tuple[str, FakeAnalyzer], files: list[Path]) -> None:
    analyzer = site[1]
    asked, analyze, pause = analyzer.asked, analyzer.analyze, threading.Event()

    def slow(*args: object, **options: object) -> object:
        pause.wait(0.7)
        return analyze(*args, **options)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(analyzer, "analyze", slow)
        page.locator("#batch-files input[type=file]").set_input_files([str(file) for file in files[10:]])
        page.get_by_text("lesion_19").first.wait_for(timeout=PATIENCE)
        page.locator("#batch-run").click()
        expect(page.locator("#batch-table")).to_contain_text("lesion_10.jpg")
        page.locator("#batch-stop").click()
        page.wait_for_timeout(3000)
        stopped_at = analyzer.asked - asked
        page.wait_for_timeout(2500)
        assert 1 <= stopped_at < 10
        assert analyzer.asked - asked == stopped_at
        expect(page.locator("#batch-csv")).to_be_visible()


def test_names_are_shown_as_they_are(page: Page, tmp_path: Path) -> None:
    name = "O'Brien & <b>Söhne<b>.jpg"
    with zipfile.ZipFile(tmp_path / "visit.zip", "w") as archive:
        archive.writestr(name, b"no picture")
    page.locator("#batch-files input[type=file]").set_input_files(str(tmp_path / "visit.zip"))
    page.get_by_text("visit").first.wait_for(timeout=PATIENCE)
    page.locator("#batch-run").click()
    shown = "visit.zip/O'Brien & _b_Söhne_b_.jpg"
    expect(page.locator("#batch-table")).to_contain_text(f"“{shown}” is not a picture", timeout=PATIENCE)


def test_nothing_chosen_is_said(page: Page) -> None:
    page.locator("#batch-run").click()
    expect(page.locator("#batch-status")).to_contain_text(TEXTS.batch.nothing)


def test_endpoint_gives_rows_and_a_table(site: tuple[str, FakeAnalyzer], files: list[Path]) -> None:
    client = Client(site[0], verbose=False)
    given = [handle_file(str(file)) for file in files[:4]]
    rows, table = client.predict(given, "balanced", api_name="/analyze_batch")
    assert [bool(row["error"]) for row in rows] == [False, False, True, False]
    assert {row["operating_point"] for row in rows} == {"balanced", ""}
    with Path(table).open(newline="", encoding="utf-8-sig") as opened:
        assert list(csv.DictReader(opened)) == rows
    with pytest.raises(AppError, match="Choose at least one"):
        client.predict([], "balanced", api_name="/analyze_batch")
    described = client.view_api(return_format="dict", print_info=False)
    assert list(described["named_endpoints"]) == ["/analyze_batch"]
