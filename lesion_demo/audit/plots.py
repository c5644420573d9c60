"""The audit as a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from lesion_demo.evaluate.plot_style import BLUE, INK, VERMILION, dress, new_figure, set_title
from lesion_demo.results import Audit, ChangeResult, Coverage, DegradationResult, Interval, UnrelatedResult

DASHES = ("-", "--", ":")


def plot_all(audit: Audit) -> dict[str, Figure]:
    """Every picture of an audit, by name; those without figures are left out."""
    figures = {"audit": plot_audit(audit.changes)}
    if audit.degradations:
        figures["degradations"] = plot_degradations(audit.degradations)
    if audit.unrelated:
        figures["unrelated"] = plot_unrelated(audit.unrelated)
    if audit.coverage:
        figures["coverage"] = plot_coverage(audit.coverage)
    return figures


def plot_audit(changes: Sequence[ChangeResult]) -> Figure:
    """Share of verdicts that each change turned, benign and malignant pictures apart, with 95 % intervals."""
    figure = new_figure(8.4, 0.8 + 0.34 * len(changes))
    axes = figure.subplots()
    dress(axes, "", "Verdicts turned")
    rows = np.arange(len(changes))[::-1].astype(float)
    for offset, colour, marker, title, shares in (
        (0.14, BLUE, "o", "benign pictures", [change.flips_benign for change in changes]),
        (-0.14, VERMILION, "D", "malignant pictures", [change.flips_malignant for change in changes]),
    ):
        there = [(row, share) for row, share in zip(rows + offset, shares, strict=True) if share is not None]
        heights, bars = [row for row, _ in there], [share for _, share in there]
        axes.hlines(heights, [bar.low for bar in bars], [bar.high for bar in bars], color=colour)
        axes.plot([bar.value for bar in bars], heights, marker, color=colour, markersize=5, label=title)
    axes.set_yticks(rows, [change.name for change in changes])
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlim(left=0)
    axes.legend(loc="lower right", frameon=True, framealpha=1, edgecolor="white", fontsize=10)
    set_title(figure, "What should not move a verdict", "Bars: 95 % intervals (Wilson).")
    return figure


def plot_degradations(results: Sequence[DegradationResult]) -> Figure:
    """A panel for each way to spoil a picture: pictures rightly warned about, and ROC-AUC, by strength."""
    names = list(dict.fromkeys(result.name for result in results))
    columns = 4
    rows = -(-len(names) // columns)
    figure = new_figure(10.4, 1.2 + 2.3 * rows)
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for axes, name in zip(grid.flat, names, strict=False):
        own = [result for result in results if result.name == name]
        dress(axes, name, own[0].unit)
        ticks = np.arange(len(own))
        axes.plot(ticks, [result.warned.value for result in own], "o-", color=BLUE, label="rightly warned about")
        axes.plot(
            ticks, [_value(result.roc_auc) for result in own], "D--", color=VERMILION, label="ROC-AUC, all of them"
        )
        axes.set_xticks(ticks, [f"{result.strength:g}" for result in own])
        axes.set_ylim(-0.03, 1.03)
    for axes in list(grid.flat)[len(names) :]:
        axes.set_visible(False)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower right", frameon=False, fontsize=10)
    set_title(figure, "Pictures spoilt on purpose", "What is warned about, and what it costs the model.")
    return figure


def _value(found: Interval | None) -> float:
    """NaN, which is not drawn, where there is nothing."""
    return math.nan if found is None else found.value


def plot_unrelated(results: Sequence[UnrelatedResult]) -> Figure:
    """Share refused of each kind of picture that shows no lesion, with 95 % intervals."""
    figure = new_figure(7.4, 1.2 + 0.4 * len(results))
    axes = figure.subplots()
    dress(axes, "", "Refused")
    rows = np.arange(len(results))[::-1].astype(float)
    shares = [result.refused for result in results]
    axes.hlines(rows, [share.low for share in shares], [share.high for share in shares], color=BLUE)
    axes.plot([share.value for share in shares], rows, "o", color=BLUE, markersize=6)
    axes.set_yticks(rows, [f"{result.kind} ({result.n})" for result in results])
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlim(0, 1.02)
    set_title(figure, "Pictures that show no lesion", "Bars: 95 % intervals (Wilson); in brackets, how many.")
    return figure


def plot_coverage(curves: Sequence[Coverage]) -> Figure:
    """Accuracy of the pictures kept, over the share that is kept, for each score of confidence."""
    figure = new_figure(7.0, 4.6)
    axes = figure.subplots()
    dress(axes, "Accuracy among the pictures kept", "Share of pictures kept")
    for curve, colour, dash in zip(curves, (BLUE, VERMILION, INK), DASHES, strict=False):
        axes.plot(curve.coverage, curve.accuracy, dash, color=colour, label=f"{curve.name} (area {curve.area:.3f})")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlim(0, 1)
    axes.legend(loc="lower left", frameon=False, fontsize=10)
    set_title(figure, "Leaving out the least sure", "At the audit's operating point.")
    return figure
