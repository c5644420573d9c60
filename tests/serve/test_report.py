"""Reports: the PDF read back, and the JSON, for every outcome and in both languages."""

from __future__ import annotations

import base64
import io
import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from fake_analyzer import FakeAnalyzer, fake_meta
from pypdf import PdfReader

from lesion_demo import __version__
from lesion_demo.decision import Outcome
from lesion_demo.errors import ReportError
from lesion_demo.images.phantom import render_phantom
from lesion_demo.prevalence import at_prevalence
from lesion_demo.serve.analysis import Analysis
from lesion_demo.serve.pdf import _Page, render_pdf
from lesion_demo.serve.phrases import SYMBOLS
from lesion_demo.serve.report import Circumstances, report_json
from lesion_demo.texts import load_texts
from lesion_demo.web.report_download import ReportWriter

PICTURE = render_phantom(3, malignant=True, size=300)
META = fake_meta(0.6)


def analysis(outcome: Outcome) -> Analysis:
    analyzer = FakeAnalyzer()
    analyzer.margin = 0.6
    analyzer.probability = {Outcome.MALIGNANT: 0.81, Outcome.UNCERTAIN: 0.22}.get(outcome, 0.04)
    analyzer.familiar = outcome is not Outcome.NOT_ASSESSABLE
    return analyzer.analyze(PICTURE)


def read(pdf: bytes) -> tuple[str, int]:
    """The text, on one line, and how many pictures are in it."""
    (page,) = PdfReader(io.BytesIO(pdf)).pages
    return " ".join(page.extract_text().replace("\N{NO-BREAK SPACE}", " ").split()), len(page.images)


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("outcome", Outcome)
def test_pdf_says_what_was_found(outcome: Outcome, language: str) -> None:
    texts, found = load_texts(language), analysis(outcome)
    assert found.verdict is outcome
    text, pictures = read(render_pdf(found, PICTURE, META, "a-run", texts, Circumstances(case_id="Case 12 – Łódź")))
    assert pictures == 2
    assert texts.verdict.outcomes[outcome.value] in text
    assert " ".join(texts.verdict.advice[outcome.value].split()) in text
    assert "Case 12 – Łódź" in text
    assert "a-run" in text
    assert META.weights_sha256[:16] in text
    assert " ".join(texts.page.disclaimer.split()) in text
    probability = texts.percent(found.probability).replace("\N{NO-BREAK SPACE}", " ")
    assert (probability in text) == (outcome is not Outcome.NOT_ASSESSABLE)
    assert (" ".join(texts.verdict.unfamiliar.split()) in text) == (outcome is Outcome.NOT_ASSESSABLE)


def test_pdf_names_what_lies_outside_the_test() -> None:
    texts = load_texts("en")
    found = analysis(Outcome.BENIGN)
    text, _ = read(render_pdf(found, PICTURE, META, "a-run", texts, Circumstances(dermoscopic=False)))
    assert texts.verdict.not_dermoscopic_heading in text
    plain, _ = read(render_pdf(found, PICTURE, META, "a-run", texts))
    assert texts.verdict.not_dermoscopic_heading not in plain


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize(
    ("case", "named"),
    [
        ("患者12", "患 (U+60A3), 者 (U+8005)"),
        ("ال 12", "ا (U+0627), ل (U+0644)"),
        ("7ש", "ש (U+05E9)"),
        ("1-١", "١ (U+0661)"),
        ("12\u202e34", "U+202E"),
        ("12\u00ad34", "U+00AD"),
        ("12\udc80", "U+DC80"),
        ("12\x00", "U+0000"),
        ("अ1", "अ (U+0905)"),
    ],
)
def test_a_case_number_that_cannot_be_printed_is_refused_by_name(case: str, named: str, language: str) -> None:
    with pytest.raises(ReportError) as raised:
        render_pdf(analysis(Outcome.BENIGN), PICTURE, META, "a-run", load_texts(language), Circumstances(case_id=case))
    assert f": {named}." in str(raised.value)


def test_the_json_report_takes_every_case_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    circumstances = Circumstances("患者12 \udc80", dermoscopic=True, prevalence=0.02)
    made = ReportWriter(META, "a-run", load_texts()).json(analysis(Outcome.BENIGN), PICTURE, circumstances)
    assert json.loads(base64.b64decode(made.content))["case_id"] == "患者12 \udc80"


@pytest.mark.parametrize("case", ["Łódź 12", "Ωμέγα-7/3", "Дело № 5", "Nguyễn", "e\u0301 1", "  a \n b\t1 "])
def test_a_case_number_is_printed_whole(case: str) -> None:
    text, _ = read(
        render_pdf(analysis(Outcome.BENIGN), PICTURE, META, "a-run", load_texts("en"), Circumstances(case_id=case))
    )
    assert f"Case: {' '.join(unicodedata.normalize('NFC', case).split())} " in text


def test_names_in_other_scripts_stand_as_codes_and_stop_no_report() -> None:
    texts = load_texts("en")
    text, _ = read(
        render_pdf(analysis(Outcome.BENIGN), PICTURE, META, "走-1", texts, Circumstances(file="患者/שa.jpg"))
    )
    assert r"\u60a3\u8005/\u05e9a.jpg" in text
    assert r"Model \u8d70-1" in text
    assert texts.report.codes in text
    plain, _ = read(render_pdf(analysis(Outcome.BENIGN), PICTURE, META, "a-run", texts, Circumstances(file="a.jpg")))
    assert texts.report.codes not in plain


@pytest.mark.parametrize("language", ["en", "de"])
def test_every_word_of_the_report_can_be_printed(language: str) -> None:
    texts = load_texts(language)
    words = json.dumps([texts.report, texts.verdict, texts.quality], ensure_ascii=False)
    assert set(_Page().cannot_print(words + "".join(SYMBOLS.values()))) <= {"\n"}


@pytest.mark.parametrize("shape", [(40, 400), (400, 40)])
def test_pdf_of_an_oblong_picture_is_one_page(shape: tuple[int, int]) -> None:
    picture = np.resize(PICTURE, (*shape, 3)).astype(np.uint8)
    found = FakeAnalyzer().analyze(picture)
    assert read(render_pdf(found, picture, META, "a-run", load_texts("de")))[1] == 2


def test_json_is_plain_and_complete() -> None:
    found = analysis(Outcome.UNCERTAIN)
    report = json.loads(
        json.dumps(report_json(found, PICTURE, META, "a-run", load_texts(), Circumstances(prevalence=0.1)))
    )
    assert report["verdict"] == "uncertain"
    assert report["call"] == "benign"
    assert report["probability"] == found.probability
    assert report["post_test"]["probability"] == pytest.approx(at_prevalence(0.22, 0.5, 0.1))
    point = report["operating_point"]
    assert point["uncertain_from"] < point["threshold"] == 0.25 < point["uncertain_to"]
    assert point["test"]["sensitivity"] == {
        **{"value": 0.9, "low": 0.87, "high": 0.91},
        **{"source": "melanoma10k", "part": "test"},
    }
    assert (point["test"]["specificity"]["value"], point["test"]["specificity"]["source"]) == (0.8, "ham10000")
    assert [one["source"] for one in point["test"]["sources"]] == ["melanoma10k", "ham10000"]
    assert [check["name"] for check in report["quality"]] == [check.name for check in found.quality.checks]
    assert all(("advice" in check) == (not check["passed"]) for check in report["quality"])
    assert report["meaning"]["sentence"].startswith("About")
    assert point["test"]["found"] == [0.9, 0.95]
    assert point["test"]["sources"][0]["outcomes"]["malignant"]["uncertain"] == 50
    assert report["picture"] == {"height": 300, "width": 300, "dermoscopic": True}
    assert report["model"]["weights_sha256"] == "f" * 64
    assert report["model"]["version"] == __version__
    assert "case_id" not in report
    assert report_json(found, PICTURE, META, "a-run", load_texts(), Circumstances(case_id="7"))["case_id"] == "7"


def test_json_says_by_its_schema_what_shape_it_has() -> None:
    """Whoever changes what is in it raises REPORT_SCHEMA, and writes down here what it has then."""
    report = report_json(analysis(Outcome.MALIGNANT), PICTURE, META, "a-run", load_texts())
    assert report["schema_version"] == 2
    heat = "absolute bias nothing_speaks_for outside share_on_lesion speaks_against speaks_for"
    parts = {"heat_map": heat, "post_test": "prevalence probability", "meaning": "basis sentence warning"}
    assert {name: " ".join(sorted(report[name])) for name in parts} == parts


def test_json_of_a_picture_that_cannot_be_assessed_has_no_post_test_probability() -> None:
    report = report_json(analysis(Outcome.NOT_ASSESSABLE), PICTURE, META, "a-run", load_texts())
    assert report["verdict"] == "not_assessable"
    assert report["post_test"]["probability"] is None
    assert report["reasons"] == [load_texts().verdict.unfamiliar]
