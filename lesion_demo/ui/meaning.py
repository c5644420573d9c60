"""What a result means where the reader works: post-test probability, predictive values, and patients to count."""

from __future__ import annotations

from html import escape

from lesion_demo.checkpoint import Checkpoint
from lesion_demo.serving.analysis import Analysis
from lesion_demo.serving.decision import Outcome
from lesion_demo.serving.prevalence import (
    at_prevalence,
    enough_patients,
    natural_frequencies,
    predictive_values,
)
from lesion_demo.serving.wording import SYMBOLS, Tested, tested
from lesion_demo.texts import Texts
from lesion_demo.ui.fragments import fine
from lesion_demo.ui.verdict import CUSTOM


def meaning_html(analysis: Analysis, meta: Checkpoint, texts: Texts, *, prevalence: float) -> str:
    """The result of `analysis` where `prevalence` (0–1) of the lesions are malignant."""
    words, point = texts.verdict, analysis.operating_point
    if not analysis.assessable:
        return f"<p>{escape(words.no_post_test)}</p>"
    after = at_prevalence(analysis.probability, meta.prevalence, prevalence)
    probability = f"<strong>{escape(texts.percent(after))}</strong>"
    parts = [f"<p class='post-test'>{escape(words.post_test).format(probability=probability)}</p>"]
    scores = tested(meta, point)
    if point.name == CUSTOM or scores is None:
        parts.append(fine(words.custom_not_tested if point.name == CUSTOM else words.not_tested))
    else:
        parts.append(_frequencies(scores, prevalence, analysis.verdict, texts))
        parts.append(fine(" ".join([words.carries_over, *([words.uncertain_counted] if analysis.margin > 0 else [])])))
    return "".join(parts)


def _frequencies(scores: Tested, prevalence: float, outcome: Outcome, texts: Texts) -> str:
    """Natural frequencies and both predictive values; the one that goes with this picture's outcome stands out."""
    words = texts.verdict
    values = predictive_values(scores.sensitivity["value"], scores.specificity["value"], prevalence)
    counts = natural_frequencies(values, enough_patients(values))
    sentence = words.frequencies.format(
        patients=texts.number(counts.patients),
        malignant=texts.number(counts.diseased),
        benign=texts.number(counts.healthy),
        found=texts.number(counts.true_positives),
        missed=texts.number(counts.false_negatives),
        alarms=texts.number(counts.false_positives),
    )
    rows = (
        _value("malignant", words.called_malignant, counts.called_positive, counts.true_positives, values.ppv, texts),
        _value("benign", words.called_benign, counts.called_negative, counts.true_negatives, values.npv, texts),
    )
    return f"<p>{escape(sentence)}</p><ul class='values {outcome.value}'>{''.join(rows)}</ul>"


def _value(call: str, line: str, called: int, right: int, share: float | None, texts: Texts) -> str:
    """How many of those `called` so are `right`, with the share (0–1); page.css marks the one of this picture."""
    value = texts.verdict.none_called if share is None else texts.percent(share)
    text = line.format(called=texts.number(called), right=texts.number(right), value=value)
    return f"<li class='{call}'><span aria-hidden='true'>{SYMBOLS[Outcome(call)]}</span> {escape(text)}</li>"
