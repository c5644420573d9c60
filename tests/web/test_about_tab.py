"""The tab about the model: the same facts as the card, in a real browser, on a page of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, replace
from html import unescape
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from app_site import PATIENCE, QUIET
from axe_playwright_python.sync_playwright import Axe
from conftest import PROJECT
from fake_analyzer import FakeAnalyzer
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from lesion_demo.card import clinics, model_card, read_facts
from lesion_demo.card.description import describe
from lesion_demo.card.parts import Section, Table
from lesion_demo.card.phrases import clinic_name
from lesion_demo.checkpoint import find_best_checkpoint, read_meta
from lesion_demo.results import DataSet
from lesion_demo.texts import SOURCE, Texts, languages, load_texts
from lesion_demo.web.about_tab import add_about_tab, opening_html, section_html

WCAG = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}}
EVIL = "<script>alert(1)</script>'\"&"
TEXTS = load_texts()


def analyzer_of(folder: Path) -> FakeAnalyzer:
    analyzer = FakeAnalyzer()
    analyzer.folder, analyzer.meta = folder, read_meta(folder)
    return analyzer


@pytest.fixture(scope="module")
def shipped() -> FakeAnalyzer:
    """The shipped checkpoint's facts, without its network."""
    folder = find_best_checkpoint(PROJECT / "checkpoints")
    assert (folder / "audit.json").is_file(), f"audit {folder} before it is shipped: python -m lesion_demo audit"
    return analyzer_of(folder)


def read(html: str) -> str:
    """What a reader reads."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html))).strip()


def components(app: gr.Blocks, kind: type) -> list[Any]:
    return [block for block in app.blocks.values() if isinstance(block, kind)]


def built(analyzer: FakeAnalyzer, texts: Texts = TEXTS) -> gr.Blocks:
    """A page with this tab alone, under another that is in front."""
    with gr.Blocks(title="About", analytics_enabled=False) as app:
        gr.HTML("<h1>About</h1>", elem_id="head")
        with gr.Tabs():
            with gr.Tab("First"):
                gr.HTML("<p>First</p>")
            with gr.Tab("About"):
                add_about_tab(analyzer, read_facts(analyzer.folder, analyzer.shipped), texts)
    return app


def test_use_and_limits_stand_open_before_every_section(shipped: FakeAnalyzer) -> None:
    app = built(shipped)
    opening = next(html for html in components(app, gr.HTML) if html.elem_id == "about-opening")
    text = read(str(opening.value).partition("</style>")[2])
    places = [text.index(words) for words in ("At a glance", "Intended use", "not a medical device", "Known limits")]
    assert places == sorted(places)
    assert all(not accordion.open for accordion in components(app, gr.Accordion))
    assert len(components(app, gr.Accordion)) == 14


@pytest.mark.parametrize("language", languages())
def test_page_and_card_say_first_what_it_was_not_tested_on(shipped: FakeAnalyzer, language: str) -> None:
    texts, facts = load_texts(language), read_facts(shipped.folder, shipped.meta)
    said = texts.about.not_for["untested"]
    named = {"en": ("nails", "mucosa", "palms", "children"), "de": ("Nägel", "Schleimhaut", "Handflächen", "Kinder")}
    assert all(word in said for word in named[language])
    opening = read(opening_html(describe(facts, texts)))
    assert said in opening
    assert opening.index(said) < opening.index(texts.about.limits_title)
    if language == SOURCE:  # the card's
        card = model_card(facts)
        assert card.index(said) < card.index(texts.about.limits_title)


def test_headlines_are_the_figures_of_the_checkpoint(shipped: FakeAnalyzer) -> None:
    html = opening_html(describe(read_facts(shipped.folder, shipped.meta), TEXTS))
    scores = clinics.tested(shipped.meta, shipped.point("sensitive"))
    assert scores is not None
    for rate, worst in (("sensitivity", scores.sensitivities[0]), ("specificity", scores.specificities[0])):
        clinic, estimate = worst
        found = asdict(estimate)
        value = f"{100 * found['value']:.1f}\u00a0%"
        interval = f"({100 * found['low']:.1f}–{100 * found['high']:.1f})"
        label = TEXTS.about.headline[rate].format(point="Sensitive", source=clinic_name(clinic.measured, TEXTS))
        assert f"<dt>{label}</dt><dd><strong>{value}</strong> <span>{interval}</span></dd>" in html


def test_plots_have_titles_and_say_what_they_show(shipped: FakeAnalyzer) -> None:
    images = components(built(shipped), gr.Image)
    assert {Path(image.value["path"]).name for image in images} == {
        path.name for path in (shipped.folder / "plots").glob("*.png")
    }
    for image in images:
        assert image.label
        assert len(image.alt_text.split()) > 5
        assert not image.interactive
        assert "share" not in image.buttons
        assert image.value["path"] in image.keep_in_cache  # or they would be gone after half an hour


def test_what_comes_from_files_is_escaped(shipped: FakeAnalyzer, tmp_path: Path) -> None:
    folder = Path(
        shutil.copytree(shipped.folder, tmp_path / "run", ignore=shutil.ignore_patterns("*.safetensors", "resume"))
    )
    audit = json.loads((folder / "audit.json").read_text())
    audit["subgroups"][0]["name"] = audit["changes"][0]["name"] = EVIL
    (folder / "audit.json").write_text(json.dumps(audit))
    (folder / "config.json").write_text(EVIL)
    analyzer = analyzer_of(folder)
    analyzer.meta = replace(analyzer.meta, backbone=EVIL, packages={EVIL: EVIL}, data={EVIL: DataSet()})
    html = "".join(str(block.value) for block in components(built(analyzer), gr.HTML))
    assert "<script" not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;&#39;&#34;&amp;") >= 6


def test_captions_and_cells_are_escaped_in_attributes_too() -> None:
    html = section_html(Section("data", "Data", tables=(Table(EVIL, (EVIL, EVIL), ((EVIL, EVIL),)),)))
    assert "<script" not in html
    assert "aria-label='&lt;script&gt;alert(1)&lt;/script&gt;&#39;&#34;&amp;'" in html


def test_table_under_a_title_of_its_own_words_is_not_titled_twice() -> None:
    table = Table("Data", ("One",), (("1",),))
    assert "<h3>" not in section_html(Section("data", "Data", tables=(table,)))
    assert "<h3>Data</h3>" in section_html(Section("data", "More", tables=(table,)))


def test_checkpoint_with_little_to_say_names_what_is_missing() -> None:
    app = built(FakeAnalyzer())  # its folder does not exist
    text = read("".join(str(block.value) for block in components(app, gr.HTML)))
    for name in ("audit.json", "config.json", "history.csv", "plots"):
        assert f"{name} is missing." in text
    assert components(app, gr.Image) == []


def test_tab_speaks_german(shipped: FakeAnalyzer) -> None:
    app = built(shipped, load_texts("de"))
    text = read(
        "".join(str(block.value).partition("</style>")[2] or str(block.value) for block in components(app, gr.HTML))
    )
    assert "Bekannte Grenzen" in text
    assert [word for word in (" the ", " pictures", " benign ", "Sensitivity") if word in text] == []


@pytest.fixture(scope="module")
def address(shipped: FakeAnalyzer) -> Iterator[str]:
    from lesion_demo.web.style import STYLE_SHEET, theme

    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    app = built(shipped)
    _, url, _ = app.launch(
        prevent_thread_lock=True, quiet=True, theme=theme(), css_paths=STYLE_SHEET, ssr_mode=False, run_history=False,
        footer_links=[],
    )  # fmt: skip
    yield url
    app.close()


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(QUIET))
        yield browser
        browser.close()


def opened(browser: Browser, address: str, width: int, scheme: str) -> Page:
    """The tab with every section unfolded."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.set_default_timeout(PATIENCE)
    page.goto(f"{address}?__theme={scheme}")
    page.get_by_role("tab", name="About").click()
    sections = page.locator("[id^=about-] > button.label-wrap")
    expect(sections).to_have_count(14, timeout=PATIENCE)
    for section in sections.all():
        section.click()
    page.wait_for_function(
        "[...document.images].filter(image => image.complete && image.naturalWidth).length > 5", timeout=PATIENCE
    )
    return page


def tables(page: Page) -> Locator:
    return page.locator(".about-scroll")


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (390, "dark"), (1440, "light"), (1440, "dark")])
def test_tab_is_accessible_and_only_tables_scroll(browser: Browser, address: str, width: int, scheme: str) -> None:
    page = opened(browser, address, width, scheme)
    try:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert tables(page).count() > 5
        scrolling = tables(page).evaluate_all("boxes => boxes.filter(box => box.scrollWidth > box.clientWidth).length")
        assert scrolling > 0
        found = Axe().run(page, options=WCAG).response
        assert len(found["passes"]) > 10
        assert [(violation["id"], violation["nodes"][0]["html"][:200]) for violation in found["violations"]] == []
    finally:
        page.close()


def test_wide_table_scrolls_by_keyboard(browser: Browser, address: str) -> None:
    page = opened(browser, address, 390, "light")
    try:
        table = page.get_by_role("region", name="Test: by operating point")
        table.focus()
        for _ in range(5):
            page.keyboard.press("ArrowRight")
        page.wait_for_function(
            "document.activeElement.matches('.about-scroll') && document.activeElement.scrollLeft > 0", timeout=PATIENCE
        )
        header = table.locator("tbody th").first
        box, cell = table.bounding_box(), header.bounding_box()
        assert box is not None
        assert cell is not None
        assert abs(cell["x"] - box["x"]) < 3  # the row's name stays in sight
    finally:
        page.close()
