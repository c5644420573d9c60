"""How many checks passed; each as a line: measured, limit, result, advice; then what else is in the picture."""

from __future__ import annotations

from dataclasses import dataclass

from lesion_demo.card import ModelFacts
from lesion_demo.images.quality import OK, SEVERE, WARNING, QualityCheck, QualityReport
from lesion_demo.serve.analysis import Analysis
from lesion_demo.serve.familiarity import Familiarity
from lesion_demo.serve.phrases import artefact_note, familiarity_result, measured_line, retake, tone_note
from lesion_demo.texts import Texts
from lesion_demo.web.templates import render

SYMBOLS = {OK: "✓", WARNING: "⚠", SEVERE: "✕"}
FEW_TESTED = 30
"""Below so many pictures of a skin tone the audit says next to nothing about it."""


@dataclass(frozen=True)
class Row:
    """A line of the table, and advice under it where the check failed."""

    severity: str
    name: str
    value: str
    limit: str
    result: str
    advice: str = ""

    @property
    def symbol(self) -> str:
        return SYMBOLS[self.severity]


def quality_html(analysis: Analysis, facts: ModelFacts, texts: Texts) -> str:
    """How many quality checks `analysis` passed, familiarity among them, a row for each, and what else it shows."""
    rows = [_row(check, texts) for check in analysis.quality.checks]
    if analysis.familiarity is not None:
        rows.append(_familiarity_row(analysis.familiarity, analysis.quality, texts))
    found = {"artefacts": artefact_note(analysis, texts), "skin_tone": _skin_tone(analysis, facts, texts)}
    failed = [row.name for row in rows if row.severity != OK]
    words = texts.quality
    summary = (words.some_failed if failed else words.all_passed).format(
        failed=texts.number(len(failed)), total=texts.number(len(rows)), names=", ".join(failed)
    )
    return render("quality.html", texts=texts, rows=rows, failed=failed, summary=summary, **found)


def _skin_tone(analysis: Analysis, facts: ModelFacts, texts: Texts) -> str:
    """The estimate, and a warning where the model was hardly tested on such skin."""
    said, tested = tone_note(analysis, texts), facts.tested_with(analysis.skin_tone)
    if tested is None or tested >= FEW_TESTED:
        return said
    return f"{said} {texts.quality.few_tested.format(pictures=texts.number(tested))}"


def _familiarity_row(familiarity: Familiarity, quality: QualityReport, texts: Texts) -> Row:
    words, severity = texts.quality, OK if familiarity.familiar else SEVERE
    limit = words.at_most.format(limit=texts.number(familiarity.limit, 1))
    said = familiarity_result(familiarity, quality, texts)
    return Row(severity, words.familiarity, texts.number(familiarity.distance, 1), limit, said)


def _row(check: QualityCheck, texts: Texts) -> Row:
    words, (value, limit) = texts.quality, measured_line(check, texts)
    advice = "" if check.passed else retake(check, texts)
    return Row(
        check.severity, words.names.get(check.name, check.name), value, limit, words.results[check.severity], advice
    )
