"""What the page says of a picture, piece by piece, without a browser."""

from __future__ import annotations

import base64
import io
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_analyzer import SIDE, FakeAnalyzer
from PIL import Image, ImageFilter
from reading import plain

from lesion_demo.card import ModelFacts, read_facts
from lesion_demo.config import OperatingPoint
from lesion_demo.decision import Outcome
from lesion_demo.images import Pixels
from lesion_demo.images.artefacts import SECOND_LESION, Artefact, find_artefacts
from lesion_demo.images.phantom import render_phantom
from lesion_demo.images.quality import OK, SEVERE, WARNING, QualityCheck, QualityReport, check_quality
from lesion_demo.results import Audit, Subgroup
from lesion_demo.serve.batch import BatchFinding, BatchItem
from lesion_demo.serve.familiarity import Familiarity
from lesion_demo.serve.phrases import SYMBOLS, artefact_note, measured_line, reasons
from lesion_demo.serve.record import record_text
from lesion_demo.serve.report import Circumstances, report_json
from lesion_demo.texts import load_texts
from lesion_demo.web.heat import heat_html
from lesion_demo.web.launch import launch_options
from lesion_demo.web.page import example_caption
from lesion_demo.web.picture import DISPLAY_SIDE
from lesion_demo.web.quality import quality_html
from lesion_demo.web.report_download import ReportWriter
from lesion_demo.web.templates import error_card
from lesion_demo.web.verdict import CUSTOM, verdict_html
from lesion_demo.web.view import Analyzed, Choices, Refused, View

TEXTS = load_texts("en")
GOOD = render_phantom(5, malignant=True)
DIM = render_phantom(5, malignant=True, brightness=0.4)
BLACK = render_phantom(5, malignant=True, brightness=0.1)


@pytest.fixture
def analyzer() -> FakeAnalyzer:
    return FakeAnalyzer()


def verdict(analyzer: FakeAnalyzer, picture: np.ndarray = GOOD, *, dermoscopic: bool = True) -> str:
    return verdict_html(analyzer.analyze(picture), analyzer.meta, TEXTS, dermoscopic=dermoscopic, prevalence=0.02)


@pytest.mark.parametrize(
    ("probability", "margin", "outcome"),
    [(0.1, 0.0, Outcome.BENIGN), (0.7, 0.4, Outcome.MALIGNANT), (0.27, 0.4, Outcome.UNCERTAIN)],
)
def test_verdict_has_sign_words_bar_and_advice(
    analyzer: FakeAnalyzer, probability: float, margin: float, outcome: Outcome
) -> None:
    analyzer.probability, analyzer.margin = probability, margin
    html = verdict(analyzer)
    assert html.count("<section") == 1
    assert f"class='card {outcome.value}'" in html
    text = plain(html)
    assert f"{SYMBOLS[outcome]} {TEXTS.verdict.outcomes[outcome.value]}" in text
    assert TEXTS.verdict.advice[outcome.value] in text
    assert f"this picture {probability * 100:.1f} %" in text
    assert "threshold 25.0 %" in text
    assert "About" in text.partition("Score and threshold")[0]


def test_signs_and_words_of_the_outcomes_differ() -> None:
    assert len(set(SYMBOLS.values())) == len(SYMBOLS) == len(Outcome)
    assert len(set(TEXTS.verdict.outcomes.values())) == len(Outcome)


def test_lower_concern_comes_with_a_safety_net(analyzer: FakeAnalyzer) -> None:
    assert "Refer the lesion anyway if it is changing or worries you." in plain(verdict(analyzer))


def test_not_assessable_gives_reasons_first_and_the_number_only_on_request(analyzer: FakeAnalyzer) -> None:
    html = verdict(analyzer, BLACK)
    assert html.count("<section") == 1  # the warning is the verdict
    before, _, hidden = html.partition("<details")
    assert "Not assessable" in before
    assert TEXTS.quality.retake["brightness"] in plain(before)
    assert "bar" not in before
    assert "class='bar'" in hidden
    assert "unlike" not in plain(html)


def test_unfamiliar_picture_is_not_assessable_however_good_it_is(analyzer: FakeAnalyzer) -> None:
    analyzer.familiar = False
    text = plain(verdict(analyzer))
    assert "Not assessable" in text
    assert TEXTS.verdict.unfamiliar in text


def test_what_may_have_made_a_picture_unlike_the_others_is_told_with_it(analyzer: FakeAnalyzer) -> None:
    analyzer.familiar = False
    sound = replace(analyzer.analyze(GOOD), quality=QualityReport(()), artefacts=())
    poor = replace(sound, quality=analyzer.analyze(BLACK).quality)
    assert reasons(sound, TEXTS) == [TEXTS.verdict.unfamiliar]
    assert reasons(poor, TEXTS)[-1] == TEXTS.verdict.unlike_so
    ring, hair = (Artefact(name, True, 1.0, 0.5, "") for name in ("ring", "hair"))
    assert reasons(replace(sound, artefacts=(ring,)), TEXTS) == [TEXTS.verdict.unfamiliar]
    named = TEXTS.verdict.unlike_with.format(names=TEXTS.quality.artefacts["hair"])
    assert reasons(replace(sound, artefacts=(ring, hair)), TEXTS) == [named]
    fur = replace(sound, artefacts=(hair,), familiarity=Familiarity(9.0, 2.0, photograph=True))
    assert reasons(fur, TEXTS) == [TEXTS.verdict.unfamiliar]


def test_bare_skin_is_not_assessable_and_told_as_such(analyzer: FakeAnalyzer) -> None:
    analyzer.bare_skin = True
    found = replace(analyzer.analyze(GOOD), quality=QualityReport(()))
    text = plain(verdict_html(found, analyzer.meta, TEXTS, dermoscopic=True, prevalence=0.02))
    assert "Not assessable" in text
    assert TEXTS.verdict.bare_skin in text
    assert TEXTS.verdict.unfamiliar not in text
    assert TEXTS.quality.bare_skin in plain(quality_html(found, facts(analyzer), TEXTS))
    assert not check_quality(np.full((300, 300, 3), (200, 160, 140), np.uint8)).lesion_stands_out


def test_no_lesion_stands_out_is_never_said_of_a_blurred_or_visible_one(analyzer: FakeAnalyzer) -> None:
    """By its early features a blurred lesion is skin; a doctor who sees it must not be told that there is none."""
    analyzer.bare_skin = True
    blurred = np.asarray(Image.fromarray(GOOD).filter(ImageFilter.GaussianBlur(6)))
    for picture, said in ((GOOD, TEXTS.verdict.unrecognised), (blurred, TEXTS.verdict.unlike_so)):
        text = plain(verdict(analyzer, picture))
        assert "Not assessable" in text
        assert said in text
        assert TEXTS.verdict.bare_skin not in text
        assert TEXTS.quality.bare_skin not in plain(quality_html(analyzer.analyze(picture), facts(analyzer), TEXTS))
    assert TEXTS.quality.retake["sharpness"] in text
    assert BatchFinding(BatchItem("a.jpg", None), analyzer.analyze(GOOD), GOOD).row.familiarity != "no lesion"


def test_poor_picture_is_warned_about_before_the_verdict(analyzer: FakeAnalyzer) -> None:
    html = verdict(analyzer, DIM)
    assert html.index("card warning") < html.index("card benign")
    assert html.index(TEXTS.quality.retake["brightness"]) < html.index("card benign")


def test_picture_without_dermatoscope_is_out_of_scope(analyzer: FakeAnalyzer) -> None:
    assert TEXTS.verdict.not_dermoscopic not in plain(verdict(analyzer))
    html = verdict(analyzer, dermoscopic=False)
    assert html.index(TEXTS.verdict.not_dermoscopic_heading) < html.index("card benign")


def test_bar_shows_the_uncertain_zone_only_where_there_is_one(analyzer: FakeAnalyzer) -> None:
    assert "bar-zone" not in verdict_html(
        analyzer.analyze(GOOD), analyzer.meta, TEXTS, dermoscopic=True, prevalence=0.02
    )
    analyzer.margin = 0.4
    analysis = analyzer.analyze(GOOD)
    low, high = analysis.uncertain_zone
    bar = verdict_html(analysis, analyzer.meta, TEXTS, dermoscopic=True, prevalence=0.02)
    assert f"--from:{low:.4f};--to:{high:.4f}" in bar
    assert f"from {TEXTS.percent(low)} to {TEXTS.percent(high)}" in bar
    assert low < 0.25 < high


def facts(analyzer: FakeAnalyzer) -> ModelFacts:
    return read_facts(analyzer.folder, analyzer.meta)


def test_a_skin_tone_that_was_hardly_tested_is_told(analyzer: FakeAnalyzer) -> None:
    subgroups = tuple(Subgroup(f"skin tone {tone}", 20, n, None, None, None) for tone, n in (("light", 9), ("tan", 10)))
    audit = Audit(analyzer.meta.operating_points[0], 59, subgroups=subgroups)
    known, analysis = replace(facts(analyzer), audit=audit), analyzer.analyze(GOOD)
    assert "tested on only 29 pictures" in quality_html(analysis, known, TEXTS)
    assert "tested on" not in quality_html(replace(analysis, skin_tone="tan"), known, TEXTS)
    assert "tested on only 0 pictures" in quality_html(replace(analysis, skin_tone="dark"), known, TEXTS)
    assert "tested on" not in quality_html(analysis, facts(analyzer), TEXTS)


def test_quality_table_has_a_line_per_check(analyzer: FakeAnalyzer) -> None:
    checks = (
        QualityCheck("brightness", 20.0, 89.0, "of 255", SEVERE, "More light.", is_lower_bound=True),
        QualityCheck("glare", 0.2, 0.15, "share", WARNING, "Less glare.", is_lower_bound=False),
        QualityCheck("sharpness", 0.02311, 0.0105, "", OK, "Hold still.", is_lower_bound=True),
        QualityCheck("depth", 3.0, 12.0, "mm", WARNING, "Put it in the <middle>.", is_lower_bound=True),
    )
    found = replace(analyzer.analyze(GOOD), quality=QualityReport(checks), artefacts=())
    html = quality_html(found, facts(analyzer), TEXTS)
    rows = [plain(row) for row in re.findall(r"<tr.*?</tr>", html)][1:]
    assert rows == [
        "Brightness 20 of 255 (≥ 89) ✕ unusable",
        TEXTS.quality.retake["brightness"],
        "Glare 20.0 % (≤ 15.0 %) ⚠ warning",
        TEXTS.quality.retake["glare"],
        "Sharpness 0.0231 (≥ 0.0105) ✓ pass",
        "depth 3 mm (≥ 12) ⚠ warning",
        "Put it in the <middle>.",
        "Similarity to training pictures (distance) 1.0 (≤ 2.0) ✓ similar",
    ]
    assert "<middle>" not in html
    assert TEXTS.quality.no_artefacts in html


@pytest.mark.parametrize(("is_lower_bound", "bound"), [(True, "(≥ 120)"), (False, "(≤ 120)")])
@pytest.mark.parametrize("severity", [OK, WARNING, SEVERE])
def test_the_direction_of_a_limit_is_the_checks_own_even_where_the_value_lies_on_it(
    is_lower_bound: bool, bound: str, severity: str
) -> None:
    """Once it was guessed from value and severity: a glare of exactly its limit read as “at least”."""
    check = QualityCheck("size", 120.0, 120.0, "px", severity, "", is_lower_bound=is_lower_bound)
    value, limit = measured_line(check, TEXTS)
    assert (value, limit.replace("\N{NO-BREAK SPACE}", " ")) == ("120 px", bound)


def test_every_check_says_on_which_side_of_its_limit_it_is_good() -> None:
    checks = check_quality(render_phantom(3, malignant=True, size=200)).checks
    lower = {check.name for check in checks if check.is_lower_bound}
    upper = {check.name for check in checks if not check.is_lower_bound}
    assert lower == {"brightness", "contrast", "sharpness", "motion", "size", "framing"}
    assert upper == {"shadows", "overexposure", "glare", "colour", "compression"}


def test_quality_table_tells_a_stranger_and_names_what_else_it_sees(analyzer: FakeAnalyzer) -> None:
    analyzer.familiar = False
    analysis = analyzer.analyze(GOOD)
    hair = (Artefact("hair", True, 2.0, 1.0, "%"), Artefact("ring", False, 0.0, 0.0, "share"))
    html = quality_html(replace(analysis, artefacts=hair), facts(analyzer), TEXTS)
    assert "unlike training pictures" in html
    assert TEXTS.quality.artefacts["hair"] in html
    assert TEXTS.quality.artefacts["ring"] not in html
    assert "Familiarity" not in quality_html(replace(analysis, familiarity=None), facts(analyzer), TEXTS)


def test_a_second_lesion_is_a_reason_for_care_everywhere() -> None:
    analyzer, texts = FakeAnalyzer(), load_texts("de")
    one = analyzer.analyze(GOOD)
    two = replace(one, artefacts=(Artefact(SECOND_LESION, True, 0.5, 0.25, "share"),))
    for words in (TEXTS, texts):
        said = words.quality.second_lesion
        assert (reasons(one, words), reasons(two, words)) == ([], [said])
        assert said in verdict_html(two, analyzer.meta, words, dermoscopic=True, prevalence=0.02)
        assert said in record_text(two, analyzer.meta, "fake", words)
        assert report_json(two, GOOD, analyzer.meta, "fake", words)["reasons"] == [said]
        assert words.quality.no_artefacts in artefact_note(two, words)
    assert two.verdict == one.verdict, "a hint, and no more"


def test_every_artefact_has_its_name() -> None:
    assert {artefact.name for artefact in find_artefacts(GOOD)} == {*TEXTS.quality.artefacts, SECOND_LESION}


def test_every_check_has_its_texts(analyzer: FakeAnalyzer) -> None:
    analysis = analyzer.analyze(GOOD)
    assert {check.name for check in analysis.quality.checks} <= set(TEXTS.quality.names)
    assert {check.name for check in analysis.quality.checks} <= set(TEXTS.quality.retake)


def heat_panel(analyzer: FakeAnalyzer, picture: Pixels) -> str:
    return heat_html(picture, analyzer.analyze(picture), TEXTS)


def test_heat_panel_holds_the_picture_and_what_lies_over_it(analyzer: FakeAnalyzer) -> None:
    wide = np.pad(GOOD, ((0, 0), (50, 50), (0, 0)), mode="edge")
    files = re.findall(r"base64,([^']+)'", heat_panel(analyzer, wide))
    left, right = (np.asarray(Image.open(io.BytesIO(base64.b64decode(file))), dtype=float) for file in files)
    assert left.shape == right.shape == wide.shape
    assert np.abs(left - wide).mean() < 4  # JPEG
    assert np.abs(right - wide).max() > 60
    assert np.abs(right - wide)[:, :40].mean() < 4, "outside of what was seen"


def test_heat_says_what_it_shows_and_what_it_does_not(analyzer: FakeAnalyzer) -> None:
    words, said = TEXTS.page, plain(heat_panel(analyzer, GOOD))
    for text in (words.heat_for, words.heat_against, words.heat_absolute, words.heat_caption):
        assert text in said
    for text in (words.heat_silent, words.heat_not_assessable, words.heat_outside, "⚠"):
        assert text not in said
    assert words.heat_not_assessable in plain(heat_panel(analyzer, BLACK))
    assert words.heat_outside in plain(heat_panel(analyzer, np.pad(GOOD, ((0, 0), (SIDE, SIDE), (0, 0)), mode="edge")))
    analyzer.silent = True
    assert words.heat_silent in plain(heat_panel(analyzer, GOOD))
    analyzer.probability = 0.9
    said = plain(heat_panel(analyzer, GOOD))
    assert words.heat_silent_concern in said, "beside an alarm, it must not sound like an all-clear"
    assert words.heat_silent not in said


def test_a_relative_map_says_that_it_is(analyzer: FakeAnalyzer) -> None:
    analysis = analyzer.analyze(GOOD)
    relative = replace(analysis, heat=replace(analysis.heat, outside=None, bias=None))
    said = plain(heat_html(GOOD, relative, TEXTS))
    assert TEXTS.page.heat_relative in said
    assert TEXTS.page.heat_absolute not in said
    assert TEXTS.page.heat_for not in said


def test_view_reads_a_file_or_says_why_not(analyzer: FakeAnalyzer, tmp_path: Path) -> None:
    view = View(analyzer, facts(analyzer), TEXTS)
    (tmp_path / "letter.jpg").write_bytes(b"Dear doctor")
    refused = view.find(str(tmp_path / "letter.jpg"), "a")
    assert isinstance(refused, Refused)
    assert refused.id == "a"
    assert "is not a picture" in plain(refused.card)
    assert view.find(None, "") is None


def test_session_keeps_a_small_copy(analyzer: FakeAnalyzer, tmp_path: Path) -> None:
    Image.fromarray(np.tile(GOOD, (5, 7, 1))).save(tmp_path / "large.png")
    found = View(analyzer, facts(analyzer), TEXTS).find(str(tmp_path / "large.png"), "a")
    assert isinstance(found, Analyzed)
    assert max(found.picture.shape) == DISPLAY_SIDE
    assert found.analysis.shape == (1500, 2100)


def test_choices_name_the_operating_point_they_stand_for(analyzer: FakeAnalyzer) -> None:
    named = Choices("balanced", 0.9, True, 2.0)
    assert named.operating_point(analyzer) == analyzer.point("balanced")
    custom = Choices(CUSTOM, 0.9, False, 2.0)
    assert custom.operating_point(analyzer) == OperatingPoint(CUSTOM, 0.9)
    assert custom.circumstances(" 17 ").case_id == "17"
    assert custom.circumstances("").prevalence == pytest.approx(0.02)


def test_a_report_is_named_after_its_case_and_lies_nowhere(
    analyzer: FakeAnalyzer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    (tmp_path / "uploads").mkdir()
    writer = ReportWriter(analyzer.meta, "a-checkpoint", TEXTS)
    circumstances = Circumstances("../17/a ß", True, 0.02)
    for write, start in ((writer.pdf, b"%PDF"), (writer.json, b"{")):
        made = write(analyzer.analyze(GOOD), GOOD, circumstances)
        assert re.fullmatch(r"report-17-a-ß-\d{4}-\d\d-\d\d\.(pdf|json)", made.name)
        assert base64.b64decode(made.content).startswith(start)
    assert list((tmp_path / "uploads").iterdir()) == []


def test_the_text_for_the_record_has_verdict_numbers_quality_and_model_but_no_case(analyzer: FakeAnalyzer) -> None:
    analyzer.probability = 0.7
    view = View(analyzer, facts(analyzer), TEXTS)
    choices = Choices("sensitive", 0.5, True, 2.0)
    text = plain(view.record(Analyzed(analyzer.analyze(DIM), DIM), choices))
    for part in ("Higher concern", "About 9 of 100", "70.0 %", TEXTS.quality.retake["brightness"], "f" * 16):
        assert part in text
    assert TEXTS.page.disclaimer in text


def test_the_detector_says_first_how_the_picture_was_taken_and_the_reader_corrects_it(analyzer: FakeAnalyzer) -> None:
    said = TEXTS.verdict.said_by
    for photograph, box, who, banner in (
        (False, True, "detector_yes", ""),
        (True, False, "detector_no", TEXTS.verdict.looks_not_dermoscopic),
        (True, True, "reader_yes", ""),
        (False, False, "reader_no", TEXTS.verdict.not_dermoscopic),
    ):
        analyzer.photograph = photograph
        html = verdict(analyzer, dermoscopic=box)
        assert said[who] in plain(html)
        assert ("card warning scope" in html) == bool(banner)
        assert banner in plain(html)


def test_nothing_is_kept_shared_or_told() -> None:
    options = launch_options(TEXTS)
    assert {name for name in ("share", "run_history", "enable_monitoring", "show_error") if options[name]} == set()
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"


def test_text_from_outside_is_escaped() -> None:
    assert "<script>" not in error_card("<script>alert(1)</script>", TEXTS)


def test_examples_are_said_to_be_artificial() -> None:
    files = [Path("phantom_benign_1.jpg"), Path("phantom_malignant_ring.jpg"), Path("a_new_one.jpg")]
    captions = [example_caption(file, TEXTS) for file in files]
    assert captions == ["artificial: benign", "artificial: malignant, with ring", "a new one"]
