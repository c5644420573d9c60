"""The verdict as HTML: warnings first, then one of four outcomes, the probability against the threshold, and advice."""

from __future__ import annotations

from html import escape

from lesion_demo.checkpoint import Checkpoint
from lesion_demo.config import OperatingPoint
from lesion_demo.serving.analysis import Analysis
from lesion_demo.serving.decision import Outcome
from lesion_demo.serving.model_card.clinics import tested
from lesion_demo.serving.wording import SYMBOLS, comparison, fitted, measured, out_of_scope, reasons
from lesion_demo.texts import Texts
from lesion_demo.ui.fragments import card, fine, heading, notice

CUSTOM = "custom"
"""Name of an operating point whose threshold is the reader's own."""


def verdict_html(analysis: Analysis, meta: Checkpoint, texts: Texts, *, dermoscopic: bool) -> str:
    """All that stands in the verdict's place: what to know before it, then the verdict itself."""
    words = texts.verdict
    parts = []
    scope = out_of_scope(analysis, texts, dermoscopic=dermoscopic)
    if scope:
        parts.append(notice("warning scope", words.not_dermoscopic_heading, scope))
    if analysis.first_of_several:
        parts.append(notice("warning several", words.first_of_several_heading, words.first_of_several))
    if analysis.verdict is Outcome.NOT_ASSESSABLE:
        parts.append(_not_assessable(analysis, texts))
    else:
        if analysis.quality.warnings:
            parts.append(notice("warning", words.warning_heading, words.warning_lead, reasons(analysis, texts)))
        parts.append(_assessed(analysis, meta, texts))
    return "".join(parts)


def _assessed(analysis: Analysis, meta: Checkpoint, texts: Texts) -> str:
    words, outcome = texts.verdict, analysis.verdict
    trained = words.trained_prevalence.format(prevalence=texts.percent(meta.prevalence, 0))
    return card(
        outcome.value,
        _headline(outcome, texts)
        + probability_bar(analysis, texts)
        + f"<p class='advice'>{escape(words.advice[outcome.value])}</p>"
        + f"<p>{escape(comparison(analysis, texts))}</p>"
        + fine(" ".join(filter(None, (trained, fitted(meta, texts))))),
    )


def _not_assessable(analysis: Analysis, texts: Texts) -> str:
    """Why there is no verdict and what to do; the number is there for those who ask for it."""
    words = texts.verdict
    return card(
        Outcome.NOT_ASSESSABLE.value,
        _headline(Outcome.NOT_ASSESSABLE, texts)
        + f"<p>{escape(words.not_assessable_lead)}</p>"
        + f"<ul>{''.join(f'<li>{escape(reason)}</li>' for reason in reasons(analysis, texts))}</ul>"
        + f"<p class='advice'>{escape(words.advice[Outcome.NOT_ASSESSABLE.value])}</p>"
        + f"<details><summary>{escape(words.number_anyway)}</summary>"
        + f"<p>{escape(words.number_anyway_text)}</p>{probability_bar(analysis, texts)}</details>",
    )


def _headline(outcome: Outcome, texts: Texts) -> str:
    return f"<p class='overline'>{escape(texts.verdict.label)}</p>" + heading(
        texts.verdict.outcomes[outcome.value], SYMBOLS[outcome]
    )


def probability_bar(analysis: Analysis, texts: Texts) -> str:
    """A bar from 0 to 100 %: filled up to the probability, a mark at the threshold, a band where it is uncertain.

    All of it is in words, too.
    """
    words, threshold = texts.verdict, analysis.operating_point.threshold
    low, high = analysis.uncertain_zone
    this = f"{words.probability_label} {texts.percent(analysis.probability)}"
    limit = f"{words.threshold_label} {texts.percent(threshold)}"
    zone = words.zone_label.format(low=texts.percent(low), high=texts.percent(high)) if analysis.margin > 0 else ""
    spoken = escape(", ".join(filter(None, (this, limit, zone))))
    band = f"<div class='bar-zone' style='--from:{low:.4f};--to:{high:.4f}'></div>" if zone else ""
    legend = f"<p class='bar-legend'><span class='swatch' aria-hidden='true'></span>{escape(zone)}</p>" if zone else ""
    return (
        f"<div class='bar' role='img' aria-label='{spoken}'>"
        f"<span class='bar-label' style='--at:{threshold:.4f}'>{escape(limit)}</span>"
        f"<div class='bar-track'><div class='bar-fill' style='--at:{analysis.probability:.4f}'></div>{band}"
        f"<div class='bar-mark' style='--at:{threshold:.4f}'></div></div>"
        f"<span class='bar-label this' style='--at:{analysis.probability:.4f}'>{escape(this)}</span></div>{legend}"
    )


def point_html(meta: Checkpoint, point: OperatingPoint, texts: Texts) -> str:
    """What an operating point is for, and how it did in the worst clinics, where it was tested."""
    words = texts.verdict
    if point.name == CUSTOM:
        return fine(words.custom_note)
    parts = [words.point_notes[point.name]] if point.name in words.point_notes else []
    if scores := tested(meta, point):
        parts.append(measured(scores, texts))
    return fine(" ".join(parts))
