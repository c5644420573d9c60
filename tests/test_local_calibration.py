"""A clinic's fit as a file, and as what the page, the report and the tables say and use; no network."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
import torch
from fake_analyzer import FakeAnalyzer, fake_meta
from PIL import Image
from pypdf import PdfReader
from scipy.special import expit, logit

from lesion_demo.arrays import malignant_probability
from lesion_demo.card import read_facts
from lesion_demo.checkpoint import Checkpoint, CheckpointError, LoadedCheckpoint, save_checkpoint
from lesion_demo.config import to_dict
from lesion_demo.errors import CalibrationError
from lesion_demo.images.phantom import render_phantom
from lesion_demo.local_calibration import LocalCalibration, LocalPoint, Share, read_local, write_local
from lesion_demo.results import Interval
from lesion_demo.serve.batch import BatchItem, analyze_batch
from lesion_demo.serve.local import localised, with_calibration
from lesion_demo.serve.pdf import render_pdf
from lesion_demo.serve.report import report_json
from lesion_demo.texts import load_texts
from lesion_demo.web.about_tab import add_about_tab
from lesion_demo.web.predictive_values import meaning_html
from lesion_demo.web.templates import model_line
from lesion_demo.web.verdict import point_html, verdict_html

NAME = "Klinik <b>Süd</b>"
SENTENCE = f"Fitted to {NAME} with 240 pictures on 2026-11-28"
SAID = {"en": f"{SENTENCE}.", "de": f"Angepasst an {NAME} mit 240 Bildern am 2026-11-28."}
THRESHOLDS = {"sensitive": 0.35, "balanced": 0.55, "accuracy": 0.5}


def fitted_to(meta: Checkpoint, **changes: Any) -> LocalCalibration:
    share = Share(0.9, 0.8, 0.95)
    points = tuple(LocalPoint(p.name, THRESHOLDS[p.name], share, Share(0.6, 0.5, 0.7)) for p in meta.operating_points)
    local = LocalCalibration(
        name=NAME,
        pictures=240,
        malignant=60,
        fitted_on="2026-11-28",
        weights_sha256=meta.weights_sha256,
        temperature=meta.temperature,
        prevalence=meta.prevalence,
        slope=0.5,
        intercept=-1.0,
        points=points,
    )
    return replace(local, **changes)


SHIPPED = replace(fake_meta(0.6), temperature=1.7)
LOCAL = fitted_to(SHIPPED)


@pytest.fixture
def analyzer() -> FakeAnalyzer:
    analyzer = FakeAnalyzer()
    analyzer.meta, analyzer._shipped = localised(SHIPPED, LOCAL), SHIPPED
    return analyzer


# --- the file --------------------------------------------------------------------------------------------------------


def test_a_fit_survives_its_file(tmp_path: Path) -> None:
    write_local(tmp_path / "local.json", LOCAL)
    assert read_local(tmp_path / "local.json") == LOCAL
    assert str(LOCAL) == SENTENCE


def change(*path: str | int, to: Any) -> Callable[[dict[str, Any]], None]:
    def damage(values: Any) -> None:
        for key in path[:-1]:
            values = values[key]
        values[path[-1]] = to

    return damage


DAMAGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a key is missing": (lambda values: values.pop("slope"), "slope"),
    "a key is unknown": (change("bias", to=1), "no setting bias"),
    "slope is text": (change("slope", to="1"), "slope is '1': it should be a valid number"),
    "slope is negative": (change("slope", to=-0.5), "slope is -0.5: it should be greater than or equal to 0.05"),
    "slope is true": (change("slope", to=True), "slope is True: it should be a valid number"),
    "slope is not a number": (change("slope", to=float("nan")), "JSON does not allow NaN"),
    "intercept is infinite": (change("intercept", to=float("inf")), "JSON does not allow Infinity"),
    "intercept is null": (change("intercept", to=None), "intercept is None: it should be a valid number"),
    "temperature is a list": (change("temperature", to=[1.0]), "temperature is [1.0]: it should be a valid number"),
    "prevalence is too high": (change("prevalence", to=1.5), "prevalence is 1.5: it should be less than or equal to 1"),
    "pictures is a float": (change("pictures", to=240.0), "pictures is 240.0: it should be a valid integer"),
    "pictures is negative": (change("pictures", to=-1), "pictures is -1: it should be greater than or equal to 2"),
    "all are malignant": (change("malignant", to=240), "none is benign"),
    "name is empty": (change("name", to=" "), "name is ' ': it must be 1 to 80 printable characters"),
    "name has two lines": (change("name", to="a\nb"), "printable"),
    "name is long": (change("name", to="x" * 5000), "it must be 1 to 80"),
    "no such day": (change("fitted_on", to="2026-02-30"), "YYYY-MM-DD"),
    "day is a number": (change("fitted_on", to=20261128), "fitted_on is 20261128: it should be a valid string"),
    "hash is short": (change("weights_sha256", to="abc"), "weights_sha256 is 'abc': "),
    "newer schema": (change("schema_version", to=2), "schema_version is 2: it should be 1"),
    "points is a number": (change("points", to=3), "points is 3: it should be a valid array"),
    "points is empty": (change("points", to=[]), "points is []: "),
    "a point is text": (change("points", 0, to="sensitive"), "points.0 is 'sensitive': it should be an object"),
    "two points of a name": (change("points", 1, "name", to="sensitive"), "two are of one name"),
    "threshold too high": (
        change("points", 0, "threshold", to=1.2),
        "points.0.threshold is 1.2: it should be",
    ),
    "threshold is text": (change("points", 0, "threshold", to="low"), "points.0.threshold is 'low': it should be"),
    "point without a threshold": (lambda values: values["points"][0].pop("threshold"), "threshold"),
    "sensitivity is a number": (
        change("points", 0, "sensitivity", to=0.9),
        "sensitivity is 0.9: it should be an object",
    ),
    "interval the wrong way": (change("points", 0, "sensitivity", "low", to=0.95), "does not contain its value"),
    "share is text": (change("points", 0, "specificity", "high", to="1"), "high is '1': it should be a valid number"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_every_fault_in_the_file_is_one_sentence(name: str, tmp_path: Path) -> None:
    damage, said = DAMAGES[name]
    values = json.loads(json.dumps(to_dict(LOCAL)))
    damage(values)
    path = tmp_path / "local.json"
    path.write_text(json.dumps(values))
    with pytest.raises(CalibrationError) as caught:
        read_local(path)
    message = str(caught.value)
    assert said in message
    assert message.startswith(f"{path} is damaged (")
    assert message.endswith("make it with 'python -m lesion_demo recalibrate'.")
    assert "\n" not in message
    assert len(message) < 500


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"\xff\xfe", b"[" * 100_000, b'{"a": 1}', b"\x89PNG"])
def test_what_is_no_fit_at_all_is_one_sentence(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "local.json"
    path.write_bytes(content)
    with pytest.raises(CalibrationError, match=r"local\.json") as caught:
        read_local(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_a_folder_and_a_full_disk_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CalibrationError, match="There is no file"):
        read_local(tmp_path / "local.json")
    with pytest.raises(CalibrationError, match="could not be read"):
        read_local(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lesion_demo.files.os.replace", full)
    with pytest.raises(CalibrationError, match="No space left"):
        write_local(tmp_path / "local.json", LOCAL)


# --- its use ---------------------------------------------------------------------------------------------------------


def test_log_odds_are_stretched_and_shifted_and_the_margin_with_them() -> None:
    logits = np.random.default_rng(0).normal(0, 3, (50, 2))
    here = localised(SHIPPED, LOCAL)
    shipped = malignant_probability(logits, SHIPPED.temperature, SHIPPED.intercept)
    np.testing.assert_allclose(
        malignant_probability(logits, here.temperature, here.intercept), expit(0.5 * logit(shipped) - 1.0)
    )
    assert {point.name: point.threshold for point in here.operating_points} == THRESHOLDS
    assert here.referral_margin == pytest.approx(0.3)
    assert here.prevalence == SHIPPED.prevalence


def test_a_fit_that_changes_nothing_changes_nothing() -> None:
    same = tuple(replace(LOCAL.point(p.name), threshold=p.threshold) for p in SHIPPED.operating_points)
    here = localised(SHIPPED, replace(LOCAL, slope=1.0, intercept=0.0, points=same))
    assert replace(here, metrics=SHIPPED.metrics, local=None) == SHIPPED


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"weights_sha256": "0" * 64}, "fitted to weights 0000000000000000…, and these are ffffffffffffffff…"),
        ({"temperature": 1.1}, "has been recalibrated since"),
        ({"prevalence": 0.4}, "has been recalibrated since"),
        ({"points": LOCAL.points[1:]}, "lacks the operating point 'sensitive'"),
    ],
)
def test_a_fit_to_another_checkpoint_is_refused(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = tmp_path / "local.json"
    write_local(path, replace(LOCAL, **changes))
    loaded = LoadedCheckpoint(Path("checkpoints/a"), SHIPPED, torch.nn.Identity())
    with pytest.raises(CalibrationError) as caught:
        with_calibration(loaded, path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert with_calibration(loaded, None) is loaded


def test_a_checkpoint_is_not_saved_with_a_clinics_fit(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be saved"):
        save_checkpoint(tmp_path, torch.nn.Linear(1, 2), localised(SHIPPED, LOCAL))
    assert not list(tmp_path.iterdir())
    save_checkpoint(tmp_path, torch.nn.Linear(1, 2), SHIPPED)
    assert "local" not in json.loads((tmp_path / "checkpoint.json").read_text())


# --- what is said ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "de"])
def test_the_page_says_so_in_words(language: str, analyzer: FakeAnalyzer) -> None:
    texts, meta = load_texts(language), analyzer.meta
    said = SAID[language].replace("<b>", "&lt;b&gt;").replace("</b>", "&lt;/b&gt;")
    said_name = NAME.replace("<b>", "&lt;b&gt;").replace("</b>", "&lt;/b&gt;")
    found = analyzer.analyze(render_phantom(3, malignant=True, size=160))
    verdict = verdict_html(found, meta, texts, dermoscopic=True)
    assert said in verdict
    assert texts.percent(0.35) in verdict  # the clinic's threshold
    assert said in model_line(meta, "a-run", texts)
    note = point_html(meta, analyzer.point("sensitive"), texts)
    assert texts.interval(Interval(0.9, 0.8, 0.95)) in note
    assert texts.about.parts["local"].format(source=said_name) in note
    assert texts.interval(Interval(0.9, 0.87, 0.93)) not in note  # of the shipped threshold
    assert "<li class='malignant'>" in meaning_html(found, meta, texts, prevalence=0.02)
    shipped = verdict_html(found, SHIPPED, texts, dermoscopic=True) + model_line(SHIPPED, "a-run", texts)
    assert NAME not in shipped
    assert "240" not in shipped


def test_about_the_model_stays_that_of_the_checkpoint_and_says_so(analyzer: FakeAnalyzer, tmp_path: Path) -> None:
    texts = load_texts()
    analyzer.folder = tmp_path
    with gr.Blocks() as app:
        add_about_tab(analyzer, read_facts(analyzer.folder, analyzer.shipped), texts)
    html = "".join(str(block.value) for block in app.blocks.values() if isinstance(block, gr.HTML))
    assert texts.about.as_shipped in html
    shipped, here = (texts.number(meta.temperature, 3) for meta in (SHIPPED, analyzer.meta))
    assert shipped in html
    assert here not in html


def test_report_as_pdf_and_json_say_so(analyzer: FakeAnalyzer) -> None:
    picture = render_phantom(3, malignant=True, size=160)
    found = analyzer.analyze(picture)
    for language, said in SAID.items():
        pdf = render_pdf(found, picture, analyzer.meta, "a-run", load_texts(language))
        (page,) = PdfReader(io.BytesIO(pdf)).pages
        assert said in " ".join(page.extract_text().split())
    report = json.loads(json.dumps(report_json(found, picture, analyzer.meta, "a-run", load_texts())))
    assert report["calibration"]["sentence"] == SAID["en"]
    assert report["calibration"]["local"]["slope"] == 0.5
    assert report["operating_point"]["threshold"] == 0.35
    assert {one["part"] for one in report["operating_point"]["test"]["sources"]} == {"local"}
    shipped = SHIPPED.operating_point("sensitive")
    plain = report_json(found.at(shipped, SHIPPED.margin_at(shipped)), picture, SHIPPED, "a-run", load_texts())
    assert plain["calibration"] == {"sentence": "", "local": None}
    assert "local" not in {one["part"] for one in plain["operating_point"]["test"]["sources"]}


def test_the_table_of_many_pictures_says_so(analyzer: FakeAnalyzer, tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    Image.fromarray(render_phantom(3, malignant=True, size=160)).save(file)
    items = [BatchItem("a.png", file), BatchItem("b.png", None, "missing")]
    good, bad = (finding.row for finding in analyze_batch(analyzer, items, analyzer.point("sensitive")))
    assert (good.calibration, bad.calibration) == (SENTENCE, "")
    (plain,) = (f.row for f in analyze_batch(FakeAnalyzer(), items[:1], analyzer.point("sensitive")))
    assert plain.calibration == ""
