"""The verdict as HTML: warnings first, then one of four outcomes, the probability against the threshold, and advice."""

from __future__ import annotations

from dataclasses import dataclass

from lesion_demo.card.clinics import tested
from lesion_demo.checkpoint import Checkpoint
from lesion_demo.config import OperatingPoint
from lesion_demo.decision import Outcome
from lesion_demo.prevalence import DEFAULT_PREVALENCE
from lesion_demo.serve.analysis import Analysis
from lesion_demo.serve.phrases import SYMBOLS, comparison, fitted, lead, measured, out_of_scope, reasons, said_by
from lesion_demo.serve.several import Several
from lesion_demo.texts import Texts
from lesion_demo.web.templates import fine, part, render

CUSTOM = "custom"
"""Name of an operating point whose threshold is the reader's own."""
WORD_JOINER = "\u2060"
"""Keeps a range, such as 4–20 %, on one line; a PDF has no such sign."""


def verdict_html(
    analysis: Analysis, meta: Checkpoint, texts: Texts, *, dermoscopic: bool, prevalence: float = DEFAULT_PREVALENCE
) -> str:
    """All that stands in the verdict's place: what to know before it, then the verdict, led by one number.

    Args:
        prevalence: share (0–1) of malignant lesions where the reader works.
    """
    words, outcome = texts.verdict, analysis.verdict
    scope = out_of_scope(analysis, texts, dermoscopic=dermoscopic)
    trained = words.trained_prevalence.format(prevalence=texts.percent(meta.prevalence, 0))
    assessable, why = outcome is not Outcome.NOT_ASSESSABLE, reasons(analysis, texts)
    notices = [("scope", words.not_dermoscopic_heading, scope)] if scope and assessable else []
    if analysis.first_of_several:
        notices.append(("several", words.first_of_several_heading, words.first_of_several))
    return render(
        "verdict.html",
        texts=texts,
        notices=notices,
        outcome=outcome.value,
        symbol=SYMBOLS[outcome],
        assessable=assessable,
        warned=assessable and bool(why),
        reasons=why,
        said_by=said_by(analysis, texts, dermoscopic=dermoscopic),
        lead=lead(analysis, meta, texts, prevalence),
        no_lead=no_lead(analysis.operating_point, texts),
        bar=bar_of(analysis, texts, words.probability_label),
        comparison=comparison(analysis, texts),
        note=" ".join(filter(None, (trained, fitted(meta, texts)))),
    )


@dataclass(frozen=True)
class Bar:
    """A bar from 0 to 100 %: filled up to the probability, a mark at the threshold, a band where it is uncertain.

    Attributes:
        probability, threshold, low, high: places on it, 0–1, as CSS writes them.
        score: the probability in percent.
        this, limit, zone: the same in words; no `zone`, no band.
    """

    probability: str
    threshold: str
    low: str
    high: str
    score: str
    this: str
    limit: str
    zone: str

    @property
    def spoken(self) -> str:
        return ", ".join(filter(None, (self.this, self.limit, self.zone)))


def no_lead(point: OperatingPoint, texts: Texts) -> str:
    """Why there is no number in patients at a `point` that was not tested."""
    return str(texts.verdict.custom_not_tested if point.name == CUSTOM else texts.verdict.not_tested)


def bar_of(analysis: Analysis | Several, texts: Texts, name: str) -> Bar:
    """The bar of one picture, or of several; `name` is what its probability is called."""
    words, threshold = texts.verdict, analysis.operating_point.threshold
    low, high = analysis.uncertain_zone
    return Bar(
        probability=f"{analysis.probability:.4f}",
        threshold=f"{threshold:.4f}",
        low=f"{low:.4f}",
        high=f"{high:.4f}",
        score=texts.percent(analysis.probability),
        this=f"{name} {texts.percent(analysis.probability)}",
        limit=f"{words.threshold_label} {texts.percent(threshold)}",
        zone=words.zone_label.format(low=texts.percent(low), high=texts.percent(high)) if analysis.margin > 0 else "",
    )


def point_html(meta: Checkpoint, point: OperatingPoint, texts: Texts) -> str:
    """What an operating point is for, and where it was tested, how it did; in the worst clinics on demand."""
    words = texts.verdict
    if point.name == CUSTOM:
        return fine(words.custom_note)
    scores = tested(meta, point)
    over_clinics, worst = measured(scores, texts) if scores else ("", "")
    over_clinics = over_clinics.replace("–", f"–{WORD_JOINER}")
    note = " ".join(filter(None, (words.point_notes.get(point.name, ""), over_clinics)))
    return fine(note) + (part("on_demand", "point", words.worst_details, worst) if worst else "")
