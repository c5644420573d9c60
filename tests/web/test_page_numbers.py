"""The numbers on the page: what the operating point was tested at, and what a result means at a clinic."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from fake_analyzer import FakeAnalyzer, scores
from reading import plain

from lesion_demo.card import clinics
from lesion_demo.config import OperatingPoint
from lesion_demo.images.phantom import render_phantom
from lesion_demo.prevalence import at_prevalence, predictive_values
from lesion_demo.results import DataSet, Metrics, Report
from lesion_demo.texts import load_texts
from lesion_demo.web.predictive_values import meaning_html
from lesion_demo.web.verdict import CUSTOM, point_html, verdict_html

TEXTS = load_texts("en")


GOOD = render_phantom(5, malignant=True)


@pytest.fixture
def analyzer() -> FakeAnalyzer:
    return FakeAnalyzer()


def verdict(analyzer: FakeAnalyzer, picture: np.ndarray = GOOD, *, dermoscopic: bool = True) -> str:
    return verdict_html(analyzer.analyze(picture), analyzer.meta, TEXTS, dermoscopic=dermoscopic, prevalence=0.02)


def test_operating_point_tells_what_was_tested_and_nothing_else(analyzer: FakeAnalyzer) -> None:
    said = plain(point_html(analyzer.meta, analyzer.point("sensitive"), TEXTS))
    assert "Lowest sensitivity: 90.0 % (87.0–91.0), melanoma10k (test)" in said
    assert "Lowest specificity: 80.0 % (77.0–81.0), HAM10000 (validation)" in said
    assert "found 90–\u206095 % of malignant lesions and raised a false alarm for 4–\u206020 % of benign ones" in said
    assert "PAD-UFES" not in said, "photographs are no clinic that dermoscopy is compared with"
    assert "too favourable" not in said
    assert "sensitivity" not in point_html(analyzer.meta, analyzer.point("accuracy"), TEXTS)
    assert TEXTS.verdict.custom_note in point_html(analyzer.meta, analyzer.point(CUSTOM, 0.4), TEXTS)
    assert point_html(analyzer.meta, OperatingPoint("nameless", 0.5), TEXTS) == ""


def meaning(analyzer: FakeAnalyzer, prevalence: float, point: OperatingPoint | None = None) -> str:
    return plain(meaning_html(analyzer.analyze(GOOD, point), analyzer.meta, TEXTS, prevalence=prevalence))


def test_meaning_follows_bayes_rule_in_words_and_in_patients(analyzer: FakeAnalyzer) -> None:
    text = meaning(analyzer, 0.02)
    assert TEXTS.percent(at_prevalence(0.1, 0.5, 0.02)).replace("\u00a0", " ") in text
    assert "Of 1,000 such patients, 20 have a malignant lesion. If the model does no better than on HAM10000" in text
    # In HAM10000 17.6 % of the benign and 83.6 % of the malignant pictures are called higher concern.
    assert "▲ 189 get “higher concern”; 17 of them are malignant (PPV 8.8 %)" in text
    assert "● 691 get “lower concern”; 690 of them are benign" in text
    assert "◆ 100 get “uncertain”; 2 of them are malignant" in text
    assert "⊘ 20 are not assessable; 0 of them are malignant" in text
    # The NPV is worst elsewhere: on melanoma10k 8.8 % of the malignant and 84.4 % of the benign ones are cleared.
    npv = predictive_values(1 - 44 / 500, 422 / 500, 0.02).npv
    assert npv is not None
    assert f"NPV {npv * 100:.1f} % at worst, melanoma10k (test)" in text


def first_screen(html: str) -> str:
    """What is read before anything is opened."""
    return plain(re.sub(r"<details.*?</details>", "", html, flags=re.DOTALL))


@pytest.mark.parametrize(
    ("probability", "margin", "count"),
    # In HAM10000 368 of 500 malignant and 77 of 500 benign ones raise an alarm; melanoma10k misses 44 and clears 422.
    [(0.7, 0.0, "9 of 100"), (0.1, 0.0, "2 of 1,000"), (0.27, 0.4, "2 of 100")],
)
def test_one_number_leads_and_no_other_percentage_contradicts_it(
    analyzer: FakeAnalyzer, probability: float, margin: float, count: str
) -> None:
    """A score of 30.7 % beside a post-test probability of 0.9 % and a PPV of 10 % told nobody anything."""
    analyzer.probability, analyzer.margin = probability, margin
    shown = first_screen(verdict(analyzer))
    assert f"About {count} lesions with this result will turn out to be malignant." in shown
    assert re.findall(r"[\d.]+ %", shown) == ["2.0 %"], "the prevalence that the number rests on, and nothing else"
    assert "HAM10000 (validation)" in shown or "melanoma10k (test)" in shown
    html = meaning_html(analyzer.analyze(GOOD), analyzer.meta, TEXTS, prevalence=0.02)
    assert f"About {count} lesions" in first_screen(html)
    assert "For this picture alone" not in first_screen(html)


def test_a_concern_below_the_prevalence_says_why(analyzer: FakeAnalyzer) -> None:
    analyzer.probability = 0.3  # a score above the threshold of 0.25, yet below the 0.5 that it is calibrated at
    assert TEXTS.verdict.below_prevalence in meaning(analyzer, 0.02)
    analyzer.probability = 0.7
    assert TEXTS.verdict.below_prevalence not in meaning(analyzer, 0.02)
    analyzer.probability = 0.1
    assert TEXTS.verdict.below_prevalence not in meaning(analyzer, 0.02), "lower concern may well lie below"
    metrics = analyzer.meta.metrics
    useless = replace(metrics.validation_by_source["ham10000"], points=(scores("sensitive", 0.25, 0.3, 0.6),))
    by_source = {**metrics.validation_by_source, "ham10000": useless}
    analyzer.meta = replace(analyzer.meta, metrics=replace(metrics, validation_by_source=by_source))
    analyzer.probability = 0.7
    warning = TEXTS.verdict.no_more_than_all.format(prevalence=TEXTS.percent(0.02))
    assert plain(warning) in first_screen(verdict(analyzer))


def test_what_was_not_counted_or_seen_in_training_is_told(analyzer: FakeAnalyzer) -> None:
    """An earlier checkpoint counts no answers; one that trained on a clinic's cancers flatters itself there."""
    metrics = analyzer.meta.metrics
    clinic = metrics.validation_by_source["ham10000"]
    seen = replace(clinic, seen_malignant=400, points=tuple(replace(point, outcomes=None) for point in clinic.points))
    metrics = replace(
        metrics, test_by_source={}, validation_by_source={**metrics.validation_by_source, "ham10000": seen}
    )
    meta = replace(analyzer.meta, metrics=metrics, data={"melanoma10k": DataSet(counts={"test/benign": 1})})
    text = plain(meaning_html(analyzer.analyze(GOOD), meta, TEXTS, prevalence=0.02))
    assert "▲ 215 get “higher concern”; 19 of them are malignant" in text
    assert "get “uncertain”" not in text
    note = plain(point_html(meta, analyzer.point("sensitive"), TEXTS))
    assert "90.0 % (87.0–91.0), melanoma10k (test)" in note
    assert "On HAM10000 (validation) the sensitivity is overstated" in note
    assert clinics.tested(replace(meta, metrics=Metrics(Report(3, 1))), analyzer.point("sensitive")) is None


def test_a_rate_on_a_few_pictures_is_not_the_worst(analyzer: FakeAnalyzer) -> None:
    by_source = {**analyzer.meta.metrics.validation_by_source}
    by_source["few"] = replace(by_source.pop("padufes20"), photographs=False, n=560, n_malignant=60)
    metrics = replace(analyzer.meta.metrics, validation_by_source=by_source)
    tested = clinics.tested(replace(analyzer.meta, metrics=metrics), analyzer.point("sensitive"))
    assert tested is not None
    assert tested.sensitivities[0][0].source == "melanoma10k", "60 cancers do not make a sensitivity of 50 %"
    assert tested.specificities[0][0].source == "few", "500 benign ones do make a specificity"


def test_meaning_marks_the_row_of_the_outcome(analyzer: FakeAnalyzer) -> None:
    for probability, margin, outcome in ((0.1, 0.0, "benign"), (0.7, 0.0, "malignant"), (0.25, 0.4, "uncertain")):
        analyzer.probability, analyzer.margin = probability, margin
        html = meaning_html(analyzer.analyze(GOOD), analyzer.meta, TEXTS, prevalence=0.02)
        assert f"class='values {outcome}'" in html
        assert TEXTS.verdict.uncertain_counted not in plain(html), "uncertain ones have a row of their own"


def test_no_predictive_value_without_a_test(analyzer: FakeAnalyzer) -> None:
    for point, reason in (
        (analyzer.point(CUSTOM, 0.4), TEXTS.verdict.custom_not_tested),
        (analyzer.point("accuracy"), TEXTS.verdict.not_tested),
    ):
        card = verdict_html(analyzer.analyze(GOOD, point), analyzer.meta, TEXTS, dermoscopic=True)
        assert reason in plain(card)
        text = meaning(analyzer, 0.02, point)
        assert "For this picture alone" in text
        assert "PPV 8" not in text


def test_no_post_test_probability_without_a_verdict(analyzer: FakeAnalyzer) -> None:
    analyzer.familiar = False
    assert meaning(analyzer, 0.02) == TEXTS.verdict.no_post_test
