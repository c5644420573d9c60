"""What was found, as plain text to paste into a patient's record."""

from __future__ import annotations

from lesion_demo import __version__
from lesion_demo.checkpoint import Checkpoint
from lesion_demo.prevalence import DEFAULT_PREVALENCE, at_prevalence
from lesion_demo.serve.analysis import Analysis
from lesion_demo.serve.phrases import (
    artefact_note,
    comparison,
    fitted,
    lead,
    out_of_scope,
    point_title,
    reasons,
    said_by,
    tone_note,
)
from lesion_demo.serve.report import today
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
    words, found = texts.verdict, []
    found.append(f"{texts.report.title}, {today()}: {words.outcomes[analysis.verdict.value]}")
    if analysis.assessable:
        if number := lead(analysis, meta, texts, prevalence):
            found += [number.sentence, number.warning, number.basis]
        after = at_prevalence(analysis.probability, meta.prevalence, prevalence)
        found += [words.post_test.format(probability=texts.percent(after)), comparison(analysis, texts)]
    found.append(texts.report.point.format(name=point_title(analysis.operating_point.name, texts)))
    why = reasons(analysis, texts)
    found.append(f"{texts.quality.heading}: {' '.join(why) if why else texts.quality.results['ok']}")
    found.append(f"{artefact_note(analysis, texts)} {tone_note(analysis, texts)}")
    found.append(out_of_scope(analysis, texts, dermoscopic=dermoscopic))
    found.append(said_by(analysis, texts, dermoscopic=dermoscopic))
    found.append(words.advice[analysis.verdict.value])
    model = texts.report.model_short.format(
        name=checkpoint_name, version=__version__, weights=meta.weights_sha256[:16] or "—"
    )
    found += [" ".join(filter(None, (model, fitted(meta, texts)))), texts.page.disclaimer]
    return "\n".join(filter(None, found))
