"""Findings in the reader's words, for the page and the report alike."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

from lesion_demo.card.clinics import Tested, tested
from lesion_demo.card.phrases import clinic_name, share
from lesion_demo.checkpoint import Checkpoint
from lesion_demo.decision import MALIGNANT, Outcome
from lesion_demo.images.artefacts import ORDINARY, SECOND_LESION
from lesion_demo.images.quality import OK, SEVERE, QualityCheck, QualityReport
from lesion_demo.serve.analysis import Analysis
from lesion_demo.serve.familiarity import Familiarity, shows_bare_skin
from lesion_demo.serve.several import Several
from lesion_demo.serve.two_dates import TwoDates
from lesion_demo.texts import Texts

SYMBOLS = {Outcome.BENIGN: "●", Outcome.MALIGNANT: "▲", Outcome.UNCERTAIN: "◆", Outcome.NOT_ASSESSABLE: "⊘"}
"""An outcome's sign, beside its words; colour alone would not do."""
SHARE = "share"
"""Unit of a check that is told in percent."""


def measured(scores: Tested, texts: Texts) -> tuple[str, str]:
    """The range over the clinics, and the worst sensitivity and specificity with their intervals, as sentences."""
    words = texts.verdict
    (least_sensitive, sensitivity), (least_specific, specificity) = scores.sensitivities[0], scores.specificities[0]
    found, alarms = (texts.range_of(*ends) for ends in (scores.found, scores.alarms))
    worst = [
        words.measured.format(
            sensitivity=share(sensitivity, texts),
            sensitivity_source=clinic_name(least_sensitive.measured, texts),
            specificity=share(specificity, texts),
            specificity_source=clinic_name(least_specific.measured, texts),
        ),
    ]
    seen = [clinic_name(clinic.measured, texts) for clinic in scores.clinics if clinic.flatters]
    if seen:
        worst.append(words.measured_seen.format(sources=", ".join(seen)))
    return words.measured_range.format(found=found, alarms=alarms), " ".join(worst)


@dataclass(frozen=True)
class Lead:
    """The one number to act on, in words, and what it rests on; `warning` where the number needs one."""

    sentence: str
    basis: str
    warning: str = ""


def lead(analysis: Analysis, meta: Checkpoint, texts: Texts, prevalence: float) -> Lead | None:
    """How many lesions with this result are malignant where `prevalence` (0–1) of all are, counted with the clinic in
    which this result means least; None where the operating point was not tested."""
    words, answer = texts.verdict, analysis.verdict
    scores = tested(meta, analysis.operating_point)
    if scores is None or not analysis.assessable:
        return None
    clinic = scores.worst(answer, prevalence)
    among = clinic.malignant_among(answer, prevalence)
    if among is None:
        return None
    share_here = texts.percent(prevalence)
    warning = words.no_more_than_all if answer is Outcome.MALIGNANT and among <= prevalence else ""
    return Lead(
        words.lead.format(count=in_people(among, texts)),
        words.lead_basis.format(prevalence=share_here, source=clinic_name(clinic.measured, texts)),
        warning.format(prevalence=share_here),
    )


def in_people(share: float, texts: Texts) -> str:
    """`3 of 100`, or of 1,000 where 100 are too few to show it."""
    words = texts.verdict
    total = 100 if share >= 0.0095 else 1000
    count = math.floor(share * total + 0.5)
    few = count == 0
    return str((words.fewer_of if few else words.of).format(count=max(1, count), total=texts.number(total)))


def below_prevalence(analysis: Analysis, after: float, prevalence: float, texts: Texts) -> str:
    """Why a verdict of concern may come with a probability `after` below the share of all lesions; else empty."""
    concern = analysis.verdict in (Outcome.MALIGNANT, Outcome.UNCERTAIN)
    return str(texts.verdict.below_prevalence) if concern and after < prevalence else ""


def point_title(name: str, texts: Texts) -> str:
    """What an operating point is called; one that has no text is the reader's own."""
    return str(texts.verdict.points.get(name, texts.verdict.custom))


def advice(outcome: Outcome, texts: Texts) -> str:
    """What to do next after a result, and why."""
    words = texts.verdict
    return f"{words.next_step[outcome.value]} {words.advice[outcome.value]}"


def artefact_names(analysis: Analysis, texts: Texts, without: Collection[str] = (SECOND_LESION,)) -> str:
    """What else is in the picture, separated by commas; a second lesion is among the `reasons`."""
    names, present = texts.quality.artefacts, [one.name for one in analysis.artefacts if one.present]
    return ", ".join(names.get(name, name) for name in present if name not in without)


def artefact_note(analysis: Analysis, texts: Texts) -> str:
    """The same as a sentence."""
    words, names = texts.quality, artefact_names(analysis, texts)
    return str(words.artefacts_found.format(names=names) if names else words.no_artefacts)


def tone_note(analysis: Analysis, texts: Texts) -> str:
    """The estimated tone of the skin, as a sentence."""
    words = texts.quality
    return str(words.skin_tone.format(tone=words.tones.get(analysis.skin_tone, analysis.skin_tone)))


def familiarity_result(familiarity: Familiarity, quality: QualityReport, texts: Texts) -> str:
    """Whether the picture is like those that the model has learnt from, in a few words."""
    words = texts.quality
    if shows_bare_skin(familiarity, quality):
        return str(words.bare_skin)
    return str(words.known[OK if familiarity.familiar else SEVERE])


def point_choices(meta: Checkpoint, texts: Texts) -> list[tuple[str, str]]:
    """Operating points as (title, name), in one order everywhere: those that have a text first, in its order."""
    titles, names = texts.verdict.points, [point.name for point in meta.operating_points]
    known = [name for name in titles if name in names]
    return [(titles.get(name, name), name) for name in (*known, *sorted(set(names) - set(known)))]


def heat_note(analysis: Analysis, texts: Texts) -> str:
    """What the heat map shows, by which scale, and what it does not say."""
    words = texts.page
    _, _, width, height = analysis.visible
    cut = not analysis.heat.seen.all() or width * height < analysis.shape[0] * analysis.shape[1]
    scale = words.heat_absolute if analysis.heat.absolute else words.heat_relative
    return " ".join((scale, words.heat_caption, *([words.heat_outside] if cut else [])))


def heat_warning(analysis: Analysis, texts: Texts) -> str:
    """That the map of a picture which could not be assessed means little; else empty."""
    return "" if analysis.assessable else str(texts.page.heat_not_assessable)


def heat_finding(analysis: Analysis, texts: Texts) -> str:
    """That nothing speaks for malignant; empty where something does.

    Beside a verdict of concern, it must not sound like an all-clear.
    """
    if not analysis.heat.silent:
        return ""
    concern = analysis.verdict in (Outcome.MALIGNANT, Outcome.UNCERTAIN)
    return str(texts.page.heat_silent_concern if concern else texts.page.heat_silent)


def fitted(meta: Checkpoint, texts: Texts) -> str:
    """Which clinic `meta` is fitted to, as a sentence; empty as shipped."""
    if meta.local is None:
        return ""
    local = meta.local
    return texts.verdict.fitted.format(name=local.name, pictures=texts.number(local.pictures), date=local.fitted_on)


def comparison(analysis: Analysis, texts: Texts) -> str:
    """The probability against the threshold, as a sentence."""
    words = texts.verdict
    low, high = analysis.uncertain_zone
    sentence = words.above if analysis.call == MALIGNANT else words.below
    if analysis.verdict is Outcome.UNCERTAIN:
        sentence = words.in_zone
    return sentence.format(
        probability=texts.percent(analysis.probability),
        threshold=texts.percent(analysis.operating_point.threshold),
        low=texts.percent(low),
        high=texts.percent(high),
    )


def lesion_basis(lesion: Several, total: int, texts: Texts) -> str:
    """What the answer for a lesion rests on: the scores of how many of its `total` pictures, and how far they lie
    apart."""
    words, used = texts.batch, len(lesion.assessed)
    if not used:
        return str(words.lesion_none)
    low, high = (texts.percent(end) for end in lesion.range)
    sentence = (words.lesion_single if used == 1 else words.lesion_basis).format(
        used=texts.number(used),
        probability=texts.percent(lesion.probability),
        low=low,
        high=high,
        threshold=texts.percent(lesion.operating_point.threshold),
    )
    left = words.lesion_left_out.format(left=texts.number(total - used), total=texts.number(total))
    return f"{sentence} {left}" if used < total else str(sentence)


def change_of_score(dates: TwoDates, texts: Texts) -> list[str]:
    """By how much the score of a lesion changed between two dates, and what that does and does not mean."""
    words = texts.batch
    if not dates.comparable:
        return [words.dates_none, words.dates_caution]
    said = words.dates_change.format(
        earlier=texts.percent(dates.earlier.probability), later=texts.percent(dates.later.probability)
    )
    if dates.scatter is None:
        return [f"{said} {words.dates_unknown}", words.dates_caution]
    sentence = words.dates_beyond if dates.beyond_scatter else words.dates_within
    ends = [words.dates_range.format(low=texts.percent(low), high=texts.percent(high)) for low, high in dates.scatter]
    return [said, sentence.format(earlier=ends[0], later=ends[1]), words.dates_caution]


def disagreement(lesion: Several, texts: Texts) -> str:
    """What to do where the pictures of a lesion lead to different results; empty where they do not."""
    outcome = texts.verdict.outcomes[lesion.gravest.value]
    return "" if lesion.agree else str(texts.batch.lesion_disagree.format(outcome=outcome))


def reasons(analysis: Analysis, texts: Texts) -> list[str]:
    """Why a picture is not, or hardly, fit to be judged and how to retake it; the gravest first.

    Of two lesions, the verdict would be taken for the other one.
    """
    checks = sorted(analysis.quality.warnings, key=lambda check: check.severity != SEVERE)
    sentences = [retake(check, texts) for check in checks]
    if analysis.familiarity is not None and not analysis.familiarity.familiar:
        sentences.append(_stranger(analysis, analysis.familiarity, texts))
    if any(one.present for one in analysis.artefacts if one.name == SECOND_LESION):
        sentences.append(texts.quality.second_lesion)
    return sentences


def _stranger(analysis: Analysis, familiarity: Familiarity, texts: Texts) -> str:
    """Why a picture unlike those that the model knows gets no verdict: first, what may have made it so."""
    if not analysis.quality.ok:
        return str(texts.verdict.unlike_so)
    if familiarity.bare_skin:
        bare = shows_bare_skin(familiarity, analysis.quality)
        return str(texts.verdict.bare_skin if bare else texts.verdict.unrecognised)
    names = artefact_names(analysis, texts, without=ORDINARY)
    if names and not familiarity.photograph:
        return str(texts.verdict.unlike_with.format(names=names))
    return str(texts.verdict.unfamiliar)


def out_of_scope(analysis: Analysis, texts: Texts, *, dermoscopic: bool) -> str:
    """Why the figures do not hold for a picture without a dermatoscope, by its looks or its reader; empty with one."""
    words = texts.verdict
    if dermoscopic:
        return ""
    return str(words.looks_not_dermoscopic if analysis.photograph else words.not_dermoscopic)


def said_by(analysis: Analysis, texts: Texts, *, dermoscopic: bool) -> str:
    """Who says that the picture was, or was not, taken through a dermatoscope; empty where nobody looked."""
    detected = analysis.familiarity is not None and dermoscopic != analysis.photograph
    if analysis.familiarity is None and dermoscopic:
        return ""
    return str(texts.verdict.said_by[f"{'detector' if detected else 'reader'}_{'yes' if dermoscopic else 'no'}"])


def retake(check: QualityCheck, texts: Texts) -> str:
    """How to do better on a check that the picture failed."""
    return texts.quality.retake.get(check.name, check.advice)


def measured_line(check: QualityCheck, texts: Texts) -> tuple[str, str]:
    """What was measured, with its unit, and the limit, both in words."""
    words = texts.quality
    unit = words.units.get(check.unit, f"{{value}} {check.unit}").strip()
    bound = words.at_least if check.is_lower_bound else words.at_most
    return unit.format(value=_measured(check.value, check, texts)), bound.format(
        limit=_measured(check.limit, check, texts)
    )


def _measured(value: float, check: QualityCheck, texts: Texts) -> str:
    """`value` of `check` in as many digits as its limit asks for; a share in percent."""
    if check.unit == SHARE:
        return texts.percent(value)
    return texts.number(value, 0 if abs(check.limit) >= 10 else 2 if abs(check.limit) >= 0.1 else 4)
