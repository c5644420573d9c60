"""What was found, as plain text to paste into a patient's record."""

from __future__ import annotations

from collections.abc import Sequence

from lesion_demo import __version__
from lesion_demo.checkpoint import Checkpoint
from lesion_demo.prevalence import DEFAULT_PREVALENCE, at_prevalence
from lesion_demo.serve.analysis import Analysis
from lesion_demo.serve.phrases import (
    advice,
    artefact_note,
    change_of_score,
    comparison,
    disagreement,
    fitted,
    lead,
    lesion_basis,
    out_of_scope,
    point_title,
    reasons,
    said_by,
    tone_note,
)
from lesion_demo.serve.report import today
from lesion_demo.serve.several import Several
from lesion_demo.serve.two_dates import TwoDates
from lesion_demo.texts import Texts


def record_text(
    analysis: Analysis,
    meta: Checkpoint,
    checkpoint_name: str,
    texts: Texts,
    *,
    dermoscopic: bool = True,
    prevalence: float = DEFAULT_PREVALENCE,
) -> str:
    """Verdict, numbers, quality and model, a line each; it holds no case number.

    Args:
        dermoscopic: was it taken through a dermatoscope?
        prevalence: share (0–1) of malignant lesions where the reader works.
    """
    words, lines = texts.verdict, []
    lines.append(f"{texts.report.title}, {today()}: {words.outcomes[analysis.verdict.value]}")
    if analysis.assessable:
        if number := lead(analysis, meta, texts, prevalence):
            lines += [number.sentence, number.warning, number.basis]
        after = at_prevalence(analysis.probability, meta.prevalence, prevalence)
        lines += [words.post_test.format(probability=texts.percent(after)), comparison(analysis, texts)]
    lines.append(texts.report.point.format(name=point_title(analysis.operating_point.name, texts)))
    why = reasons(analysis, texts)
    lines.append(f"{texts.quality.heading}: {' '.join(why) if why else texts.quality.results['ok']}")
    lines.append(f"{artefact_note(analysis, texts)} {tone_note(analysis, texts)}")
    lines.append(out_of_scope(analysis, texts, dermoscopic=dermoscopic))
    lines.append(said_by(analysis, texts, dermoscopic=dermoscopic))
    lines.append(advice(analysis.verdict, texts))
    return "\n".join(filter(None, [*lines, *_ending(meta, checkpoint_name, texts)]))


def lesion_record(lesion: Several, names: Sequence[str], meta: Checkpoint, checkpoint_name: str, texts: Texts) -> str:
    """The same of several pictures of one lesion, and a line for each of them, by its name in `names`."""
    words, outcomes = texts.batch, texts.verdict.outcomes
    lines = [
        f"{texts.report.title}, {today()}: {outcomes[lesion.verdict.value]}",
        lesion_basis(lesion, len(names), texts),
        disagreement(lesion, texts),
    ]
    lines += [_line(name, picture, texts) for name, picture in zip(names, lesion.pictures, strict=True)]
    lines.append(texts.report.point.format(name=point_title(lesion.operating_point.name, texts)))
    lines += [words.lesion_untested, advice(lesion.verdict, texts)]
    return "\n".join(filter(None, [*lines, *_ending(meta, checkpoint_name, texts)]))


def dates_record(dates: TwoDates, names: Sequence[str], meta: Checkpoint, checkpoint_name: str, texts: Texts) -> str:
    """The same of two dates of one lesion; `names` are those of the earlier and of the later picture's file."""
    words, later = texts.batch, dates.later
    kinds = (words.earlier, words.later)
    lines = [f"{texts.report.title}, {today()}: {words.two_dates}"]
    for kind, name, picture in zip(kinds, names, (dates.earlier, later), strict=True):
        lines.append(f"{kind}: {_line(name, picture, texts)}")
    lines.append(texts.report.point.format(name=point_title(later.operating_point.name, texts)))
    lines += [*change_of_score(dates, texts), advice(later.verdict, texts)]
    return "\n".join([*lines, *_ending(meta, checkpoint_name, texts)])


def _line(name: str, picture: Analysis, texts: Texts) -> str:
    """One of several pictures: its file's `name`, its verdict and its score."""
    score = f", {texts.percent(picture.probability)}" if picture.assessable else ""
    return f"{name}: {texts.verdict.outcomes[picture.verdict.value]}{score}"


def _ending(meta: Checkpoint, checkpoint_name: str, texts: Texts) -> list[str]:
    """Which model says so, and what that is worth."""
    model = texts.report.model_short.format(
        name=checkpoint_name, version=__version__, weights=meta.weights_sha256[:16] or "—"
    )
    return [" ".join(filter(None, (model, fitted(meta, texts)))), texts.page.disclaimer]
