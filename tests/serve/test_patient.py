"""Age, sex and body site: notes on a report that nobody has to make and that are kept nowhere."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import pytest
from fake_analyzer import FakeAnalyzer, fake_meta
from pypdf import PdfReader

from lesion_demo.errors import ReportError
from lesion_demo.images.phantom import render_phantom
from lesion_demo.serve.patient import UNSTATED, Patient
from lesion_demo.serve.report import Circumstances
from lesion_demo.texts import load_texts
from lesion_demo.web.report_download import ReportWriter
from lesion_demo.web.view import Choices

PICTURE = render_phantom(3, malignant=True, size=200)
META = fake_meta()
SOMEBODY = Patient(54, "female", "upper extremity")


def written(patient: Patient, language: str = "en") -> tuple[str, dict[str, object]]:
    """The PDF's text on one line, and the JSON; both go to the browser as they are made."""
    analysis, writer = FakeAnalyzer().analyze(PICTURE), ReportWriter(META, "a-run", load_texts(language))
    circumstances = Circumstances("12", True, 0.02, patient)
    pdf, findings = (
        base64.b64decode(write(analysis, PICTURE, circumstances).content) for write in (writer.pdf, writer.json)
    )
    (page,) = PdfReader(io.BytesIO(pdf)).pages
    return " ".join(page.extract_text().split()), json.loads(findings)


@pytest.mark.parametrize(
    ("language", "line"),
    [("en", "Age: 54; Sex: female; Body site: arm"), ("de", "Alter: 54; Geschlecht: weiblich; Körperstelle: Arm")],
)
def test_what_is_noted_stands_on_the_report(language: str, line: str) -> None:
    pdf, findings = written(SOMEBODY, language)
    assert line in pdf
    assert findings["patient"] == {"age": 54, "sex": "female", "site": "upper extremity"}


def test_what_is_not_noted_stands_nowhere() -> None:
    pdf, findings = written(UNSTATED)
    assert "patient" not in findings
    assert "Age" not in pdf
    pdf, findings = written(Patient(age=0))
    assert findings["patient"] == {"age": 0}
    assert "Age: 0" in pdf
    assert "Sex" not in pdf


def test_notes_lie_in_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    written(SOMEBODY)
    assert list(tmp_path.iterdir()) == []


def test_notes_are_not_in_the_text_for_the_record() -> None:
    """As the case number, which that text has not either."""
    circumstances = Circumstances("12", True, 0.02, SOMEBODY)
    text = ReportWriter(META, "a-run", load_texts()).text(FakeAnalyzer().analyze(PICTURE), circumstances)
    assert "54" not in text
    assert "female" not in text


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("age", ["-1", "121", "4½", "x", "1.5", "²"])
def test_an_age_that_nobody_has_is_refused_in_the_readers_language(age: str, language: str) -> None:
    texts = load_texts(language)
    with pytest.raises(ReportError) as raised:
        Patient.of(age, "", "", texts)
    assert str(raised.value) == texts.report.no_age.format(oldest=120)


def test_empty_fields_note_nothing() -> None:
    assert Patient.of(" ", None, "", load_texts()) == UNSTATED
    assert Patient.of(" 54 ", "female", "upper extremity", load_texts()) == SOMEBODY
    assert Choices("balanced", 0.5, True, 2.0).circumstances().patient == UNSTATED


def test_body_sites_and_sexes_are_the_same_in_every_language() -> None:
    english, german = (load_texts(language).report for language in ("en", "de"))
    for names in ("sites", "sexes"):
        assert list(english[names]) == list(german[names])
        assert len(set(german[names].values())) == len(german[names])
