"""Every quality check as a line: measured, limit, result, and what to do where it failed."""

from __future__ import annotations

from html import escape

from lesion_demo.imaging.quality import OK, SEVERE, WARNING, QualityCheck, QualityReport
from lesion_demo.serving.wording import measured_line, retake
from lesion_demo.texts import Texts

SYMBOLS = {OK: "✓", WARNING: "⚠", SEVERE: "✕"}


def quality_html(report: QualityReport, texts: Texts) -> str:
    """A table with a row for each check of `report`."""
    words = texts.quality
    titles = "".join(f"<th scope='col'>{escape(title)}</th>" for title in (words.check, words.measured, words.result))
    rows = "".join(_row(check, texts) for check in report.checks)
    return f"<table class='checks'><thead><tr>{titles}</tr></thead><tbody>{rows}</tbody></table>"


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
