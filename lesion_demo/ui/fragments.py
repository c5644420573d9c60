"""Findings as pieces of HTML. Whatever comes in from outside is escaped here."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

from lesion_demo.checkpoint import Checkpoint
from lesion_demo.config import OperatingPoint
from lesion_demo.imaging.quality import QualityCheck
from lesion_demo.serving.analysis import MALIGNANT, Analysis
from lesion_demo.ui import strings


def header() -> str:
    return f"<h1>{escape(strings.TITLE)}</h1><p class='disclaimer'>{escape(strings.DISCLAIMER)}</p>"


def empty_card() -> str:
    """What stands in the verdict's place before there is a picture."""
    return _card("empty", f"<h2>{escape(strings.EMPTY_HEADING)}</h2><p>{escape(strings.EMPTY_TEXT)}</p>")


def error_card(message: str) -> str:
    """One sentence on why the picture could not be read."""
    heading = f"<h2><span aria-hidden='true'>✕</span> {escape(strings.UNREADABLE_HEADING)}</h2>"
    return _card("error", f"{heading}<p>{escape(message)}</p>")


def verdict_card(analysis: Analysis, meta: Checkpoint) -> str:
    """Warnings first, then the verdict, the probability against the threshold, and what to make of them."""
    verdict, point = analysis.verdict, analysis.operating_point
    probability, threshold = percent(analysis.probability), percent(point.threshold)
    symbol, comparison = ("▲", strings.ABOVE) if verdict == MALIGNANT else ("●", strings.BELOW)
    notes = [
        comparison.format(probability=probability, threshold=threshold),
        strings.ADVICE[verdict],
    ]
    fine_print = [measured(meta, point), strings.PREVALENCE.format(prevalence=percent(meta.prevalence, digits=0))]
    return warning_panel(analysis.quality.warnings) + _card(
        verdict,
        f"<p class='overline'>{escape(strings.VERDICT_LABEL)}</p>"
        f"<h2><span aria-hidden='true'>{symbol}</span> {escape(verdict.capitalize())}</h2>"
        + probability_bar(analysis.probability, point.threshold)
        + "".join(f"<p>{escape(note)}</p>" for note in notes)
        + f"<p class='fine'>{escape(' '.join(filter(None, fine_print)))}</p>",
    )


def warning_panel(warnings: Iterable[QualityCheck]) -> str:
    """What is wrong with the picture and what to do about it; empty where nothing is."""
    items = "".join(f"<li>{escape(check.advice)}</li>" for check in warnings)
    if not items:
        return ""
    heading = f"<h2><span aria-hidden='true'>⚠</span> {escape(strings.WARNING_HEADING)}</h2>"
    return _card("warning", f"{heading}<p>{escape(strings.WARNING_LEAD)}</p><ul>{items}</ul>")


def probability_bar(probability: float, threshold: float) -> str:
    """A bar from 0 to 100 %: filled up to `probability`, with a mark at `threshold` (both 0–1), and both in words."""
    this, limit = percent(probability), percent(threshold)
    text = f"{strings.PROBABILITY_LABEL} {this}, {strings.THRESHOLD_LABEL} {limit}"
    return (
        f"<div class='bar' role='img' aria-label='{escape(text)}'>"
        f"<span class='bar-label' style='--at:{threshold:.4f}'>{escape(strings.THRESHOLD_LABEL)} {limit}</span>"
        f"<div class='bar-track'><div class='bar-fill' style='--at:{probability:.4f}'></div>"
        f"<div class='bar-mark' style='--at:{threshold:.4f}'></div></div>"
        f"<span class='bar-label' style='--at:{probability:.4f}'>{escape(strings.PROBABILITY_LABEL)} {this}</span>"
        "</div>"
    )


def percent(share: float, digits: int = 1) -> str:
    """`share` (0–1) as a percentage; what would be rounded to 0 or 100 is told apart from it."""
    step = 10.0**-digits
    if 0 < share * 100 < step:
        return f"under {step:.{digits}f} %"
    if 100 - step < share * 100 < 100:
        return f"over {100 - step:.{digits}f} %"
    return f"{share:.{digits}%}".replace("%", " %")


def measured(meta: Checkpoint, point: OperatingPoint) -> str:
    """How `point` did on the checkpoint's test pictures, as a sentence; empty where it was not tested."""
    report: dict[str, Any] = meta.metrics.get("test", {})
    for scores in report.get("points", []):
        if scores["name"] == point.name:
            return strings.MEASURED.format(
                pictures=f"{report['n']:,}",
                sensitivity=percent(scores["sensitivity"]["value"]),
                alarms=percent(1 - scores["specificity"]["value"]),
            )
    return ""


def model_line(meta: Checkpoint, name: str) -> str:
    text = strings.MODEL_LINE.format(backbone=meta.backbone, name=name, roc_auc=f"{meta.val_roc_auc:.3f}")
    return f"<p class='fine'>{escape(text)}</p>"


def heat_caption(empty: bool) -> str:
    """What the heat map means; `empty` says that all of it is 0."""
    return f"<p class='fine'>{escape(strings.HEAT_EMPTY) if empty else strings.HEAT_CAPTION}</p>"


def _card(kind: str, content: str) -> str:
    return f"<section class='card {kind}'>{content}</section>"
