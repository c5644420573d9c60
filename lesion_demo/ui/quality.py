"""Every check as a line: measured, limit, result, what to do where it failed; then what else is in the picture."""

from __future__ import annotations

from html import escape

from lesion_demo.imaging.quality import OK, SEVERE, WARNING, QualityCheck
from lesion_demo.serving.analysis import Analysis
from lesion_demo.serving.familiarity import Familiarity
from lesion_demo.serving.model_card import ModelFacts
from lesion_demo.serving.wording import measured_line, retake
from lesion_demo.texts import Texts
from lesion_demo.ui.fragments import fine

SYMBOLS = {OK: "✓", WARNING: "⚠", SEVERE: "✕"}


FEW_TESTED = 30
"""Below so many pictures of a skin tone the audit says next to nothing about it."""


def quality_html(analysis: Analysis, facts: ModelFacts, texts: Texts) -> str:
    """A table with a row for each quality check of `analysis` and one for familiarity; then what else it shows."""
    words = texts.quality
    titles = "".join(f"<th scope='col'>{escape(title)}</th>" for title in (words.check, words.measured, words.result))
    rows = "".join(_row(check, texts) for check in analysis.quality.checks)
    if analysis.familiarity is not None:
        rows += _familiarity_row(analysis.familiarity, texts)
    present = [words.artefacts.get(found.name, found.name) for found in analysis.artefacts if found.present]
    note = words.artefacts_found.format(names=", ".join(present)) if present else words.no_artefacts
    table = f"<table class='checks'><thead><tr>{titles}</tr></thead><tbody>{rows}</tbody></table>"
    return table + fine(note) + fine(_skin_tone(analysis, facts, texts))


def _skin_tone(analysis: Analysis, facts: ModelFacts, texts: Texts) -> str:
    """The estimate, and a warning where the model was hardly tested on such skin."""
    words, tested = texts.quality, facts.tested_with(analysis.skin_tone)
    said = words.skin_tone.format(tone=words.tones.get(analysis.skin_tone, analysis.skin_tone))
    if tested is None or tested >= FEW_TESTED:
        return said
    return f"{said} {words.few_tested.format(pictures=texts.number(tested))}"


def _familiarity_row(familiarity: Familiarity, texts: Texts) -> str:
    words, severity = texts.quality, OK if familiarity.familiar else SEVERE
    limit = words.at_most.format(limit=texts.number(familiarity.limit, 1))
    said = words.bare_skin if familiarity.bare_skin else words.known[severity]
    result = f"<span aria-hidden='true'>{SYMBOLS[severity]}</span> {escape(said)}"
    return (
        f"<tr class='{severity}'><th scope='row'>{escape(words.familiarity)}</th>"
        f"<td>{escape(texts.number(familiarity.distance, 1))} <span class='limit'>{escape(limit)}</span></td>"
        f"<td>{result}</td></tr>"
    )


def _row(check: QualityCheck, texts: Texts) -> str:
    words = texts.quality
    value, limit = measured_line(check, texts)
    result = f"<span aria-hidden='true'>{SYMBOLS[check.severity]}</span> {escape(words.results[check.severity])}"
    row = (
        f"<tr class='{escape(check.severity)}'><th scope='row'>{escape(words.names.get(check.name, check.name))}</th>"
        f"<td>{escape(value)} <span class='limit'>{escape(limit)}</span></td><td>{result}</td></tr>"
    )
    if check.passed:
        return row
    return f"{row}<tr class='{escape(check.severity)} advice'><td colspan='3'>{escape(retake(check, texts))}</td></tr>"
