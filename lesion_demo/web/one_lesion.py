"""Several pictures of one lesion, on the page: one answer or a comparison of two dates, and a row for each picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from PIL import Image

from lesion_demo.checkpoint import Checkpoint
from lesion_demo.images import Pixels
from lesion_demo.serve.analysis import Analysis
from lesion_demo.serve.batch import BatchFinding
from lesion_demo.serve.phrases import SYMBOLS, change_of_score, disagreement, lesion_basis
from lesion_demo.serve.record import dates_record, lesion_record
from lesion_demo.serve.several import FEWEST, Several
from lesion_demo.serve.two_dates import TwoDates
from lesion_demo.texts import Texts
from lesion_demo.web.batch_table import remarks, thumbnail
from lesion_demo.web.picture import jpeg_data
from lesion_demo.web.templates import render
from lesion_demo.web.verdict import bar_of

Seen = tuple[BatchFinding, Pixels | None]
"""What was found of a file, and its picture for display; None where there is none."""
COMPARED_SIDE = 512
"""Pixels, of each of two pictures that are laid over one another."""


@dataclass(frozen=True)
class Row:
    """One picture: its thumbnail as HTML, what is said of it, its file's name, and why it is to be doubted."""

    image: Markup
    kind: str
    symbol: str
    title: str
    score: str
    name: str
    remarks: str


def judged_together(seen: Sequence[Seen]) -> Several | None:
    """The pictures as those of one lesion, at the operating point that they were analysed for; None where too few could
    be read."""
    analyses = [finding.analysis for finding, _ in seen if finding.analysis is not None]
    if len(analyses) < FEWEST:
        return None
    return Several.of(analyses, analyses[0].operating_point, analyses[0].margin)


def lesion_html(lesion: Several, seen: Sequence[Seen], meta: Checkpoint, checkpoint_name: str, texts: Texts) -> str:
    """Warnings, the answer for the lesion, a text for the record, and the pictures."""
    words, outcome = texts.batch, lesion.verdict
    names = [finding.item.name for finding, _ in seen if finding.analysis is not None]
    outside = any(picture.photograph for picture in lesion.assessed)
    return render(
        "lesion.html",
        texts=texts,
        disagreement=disagreement(lesion, texts),
        scope=words.lesion_scope if outside else "",
        outcome=outcome.value,
        symbol=SYMBOLS[outcome],
        basis=lesion_basis(lesion, len(seen), texts),
        bar=bar_of(lesion, texts, words.average_label) if lesion.assessable else None,
        record=lesion_record(lesion, names, meta, checkpoint_name, texts),
        rows=[_row(finding, shown, texts) for finding, shown in seen],
    )


def dates_html(seen: Sequence[Seen], meta: Checkpoint, checkpoint_name: str, texts: Texts) -> str:
    """Both pictures, `seen` and readable, the earlier one first: what changed in the score, and both results."""
    readable = [(finding, finding.analysis, shown) for finding, shown in seen if finding.analysis and shown is not None]
    dates = TwoDates(*(analysis for _, analysis, _ in readable))
    outside = any(picture.photograph and picture.assessable for picture in (dates.earlier, dates.later))
    names = (texts.batch.earlier, texts.batch.later)
    return render(
        "dates.html",
        texts=texts,
        scope=texts.batch.lesion_scope if outside else "",
        outcome=dates.later.verdict.value,
        symbol=SYMBOLS[dates.later.verdict],
        change=change_of_score(dates, texts),
        record=dates_record(dates, [finding.item.name for finding, _, _ in readable], meta, checkpoint_name, texts),
        pictures=[(name, _compared(shown, one)) for name, (_, one, shown) in zip(names, readable, strict=True)],
        rows=[_row(finding, shown, texts) for finding, _, shown in readable],
    )


def _compared(shown: Pixels, analysis: Analysis) -> str:
    """The square of a picture that the model saw, as JPEG in base 64: of one size, whatever the picture's."""
    scale = shown.shape[1] / analysis.shape[1]
    left, top, width, height = (round(scale * value) for value in analysis.visible)
    square = Image.fromarray(shown[top : top + height, left : left + width])
    return jpeg_data(np.asarray(square.resize((COMPARED_SIDE, COMPARED_SIDE), Image.Resampling.LANCZOS)))


def unreadable_html(seen: Sequence[Seen], texts: Texts) -> str:
    """That too few pictures could be read, and the pictures."""
    return render("lesion.html", texts=texts, outcome="", rows=[_row(finding, shown, texts) for finding, shown in seen])


def _row(finding: BatchFinding, shown: Pixels | None, texts: Texts) -> Row:
    analysis, name = finding.analysis, finding.item.name
    if analysis is None or shown is None:
        return Row(Markup(), "error", "✕", texts.batch.unreadable, "", name, finding.error)
    return Row(
        image=Markup(thumbnail(shown)),
        kind=analysis.verdict.value,
        symbol=SYMBOLS[analysis.verdict],
        title=texts.verdict.outcomes[analysis.verdict.value],
        score=texts.percent(analysis.probability) if analysis.assessable else "",
        name=name,
        remarks=remarks(analysis, texts),
    )
