"""What a result means where the reader works: post-test probability, predictive values, and patients to count."""

from __future__ import annotations

from html import escape

from lesion_demo.checkpoint import Checkpoint
from lesion_demo.results import Outcomes
from lesion_demo.serving.analysis import Analysis
from lesion_demo.serving.decision import Outcome
from lesion_demo.serving.model_card.clinics import Clinic, Tested, tested
from lesion_demo.serving.model_card.wording import clinic_name
from lesion_demo.serving.prevalence import at_prevalence, enough_patients, frequencies
from lesion_demo.serving.wording import SYMBOLS
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
        worst = scores.lowest(lambda clinic: clinic.ppv(prevalence))
        sides = analysis.margin > 0 and worst.point.outcomes is None
        parts.append(_frequencies(scores, worst, prevalence, analysis.verdict, texts))
        parts.append(fine(" ".join([words.carries_over, *([words.uncertain_counted] if sides else [])])))
    return "".join(parts)


def _frequencies(scores: Tested, worst: Clinic, prevalence: float, outcome: Outcome, texts: Texts) -> str:
    """The answers to whole patients as in the clinic that is `worst` for the PPV, and both predictive values at worst.

    The answer that this picture got stands out.
    """
    words = texts.verdict
    whole = frequencies(worst.answers, prevalence, enough_patients(worst.answers, prevalence))
    sentence = words.frequencies.format(
        patients=texts.number(whole.benign.total + whole.malignant.total),
        malignant=texts.number(whole.malignant.total),
        source=clinic_name(worst.found, texts),
    )
    least = scores.lowest(lambda clinic: clinic.npv(prevalence))
    where = "" if least == worst else words.at_worst.format(source=clinic_name(least.found, texts))
    values = {
        Outcome.MALIGNANT: _predictive(worst.ppv(prevalence), texts),
        Outcome.BENIGN: _predictive(least.npv(prevalence), texts) + where,
    }
    counted = (Outcome.UNCERTAIN, Outcome.NOT_ASSESSABLE) if worst.point.outcomes is not None else ()
    rows = [_row(answer, whole, values.get(answer, ""), texts) for answer in (*values, *counted)]
    return f"<p>{escape(sentence)}</p><ul class='values {outcome.value}'>{''.join(rows)}</ul>"


def _predictive(share: float | None, texts: Texts) -> str:
    return texts.verdict.none_called if share is None else texts.percent(share)


def _row(answer: Outcome, whole: Outcomes, value: str, texts: Texts) -> str:
    """How many get this `answer`, by the truth, with its predictive value; page.css marks the one of this picture."""
    benign, malignant = (getattr(of_class, answer.value) for of_class in (whole.benign, whole.malignant))
    text = texts.verdict.called[answer.value].format(
        called=texts.number(benign + malignant),
        benign=texts.number(benign),
        malignant=texts.number(malignant),
        value=value,
    )
    return f"<li class='{answer.value}'><span aria-hidden='true'>{SYMBOLS[answer]}</span> {escape(text)}</li>"
