"""What a result means where the reader works: post-test probability, predictive values, and patients to count."""

from __future__ import annotations

from lesion_demo.card.clinics import Clinic, Tested, tested
from lesion_demo.card.phrases import clinic_name
from lesion_demo.checkpoint import Checkpoint
from lesion_demo.decision import Outcome
from lesion_demo.prevalence import at_prevalence, enough_patients, frequencies
from lesion_demo.results import Outcomes
from lesion_demo.serve.analysis import Analysis
from lesion_demo.serve.phrases import SYMBOLS, below_prevalence, lead
from lesion_demo.texts import Texts
from lesion_demo.web.templates import render

Row = tuple[str, str, str]
"""An answer, its sign, and how many get it, in words."""


def meaning_html(analysis: Analysis, meta: Checkpoint, texts: Texts, *, prevalence: float) -> str:
    """The result of `analysis` where `prevalence` (0–1) of lesions are malignant: one number, and more on demand."""
    words, point = texts.verdict, analysis.operating_point
    if not analysis.assessable:
        return render("predictive_values.html", texts=texts, after=None)
    scores = tested(meta, point)
    sentence, note = "", ""
    rows: list[Row] = []
    if scores is not None:
        worst = scores.worst(Outcome.MALIGNANT, prevalence)
        sides = analysis.margin > 0 and worst.point.outcomes is None
        sentence, rows = _frequencies(scores, worst, prevalence, texts)
        note = " ".join([words.carries_over, *([words.uncertain_counted] if sides else [])])
    after = at_prevalence(analysis.probability, meta.prevalence, prevalence)
    return render(
        "predictive_values.html",
        texts=texts,
        lead=lead(analysis, meta, texts, prevalence),
        after=texts.percent(after),
        why_below=below_prevalence(analysis, after, prevalence, texts),
        sentence=sentence,
        rows=rows,
        note=note,
        outcome=analysis.verdict.value,
    )


def _frequencies(scores: Tested, worst: Clinic, prevalence: float, texts: Texts) -> tuple[str, list[Row]]:
    """The answers to whole patients as in the clinic that is `worst` for the PPV, and both predictive values at worst;
    first, a sentence that says so."""
    words = texts.verdict
    whole = frequencies(worst.answers, prevalence, enough_patients(worst.answers, prevalence))
    sentence = words.frequencies.format(
        patients=texts.number(whole.benign.total + whole.malignant.total),
        malignant=texts.number(whole.malignant.total),
        source=clinic_name(worst.measured, texts),
    )
    least = scores.worst(Outcome.BENIGN, prevalence)
    where = "" if least == worst else words.at_worst.format(source=clinic_name(least.measured, texts))
    missed = least.malignant_among(Outcome.BENIGN, prevalence)
    values = {
        Outcome.MALIGNANT: _predictive(worst.malignant_among(Outcome.MALIGNANT, prevalence), texts),
        Outcome.BENIGN: _predictive(None if missed is None else 1 - missed, texts) + where,
    }
    counted = (Outcome.UNCERTAIN, Outcome.NOT_ASSESSABLE) if worst.point.outcomes is not None else ()
    return sentence, [_row(answer, whole, values.get(answer, ""), texts) for answer in (*values, *counted)]


def _predictive(share: float | None, texts: Texts) -> str:
    return texts.verdict.none_called if share is None else texts.percent(share)


def _row(answer: Outcome, whole: Outcomes, value: str, texts: Texts) -> Row:
    """How many get this `answer`, by the truth, with its predictive value; page.css marks the one of this picture."""
    benign, malignant = (getattr(of_class, answer.value) for of_class in (whole.benign, whole.malignant))
    text = texts.verdict.called[answer.value].format(
        called=texts.number(benign + malignant),
        benign=texts.number(benign),
        malignant=texts.number(malignant),
        value=value,
    )
    return answer.value, SYMBOLS[answer], text
