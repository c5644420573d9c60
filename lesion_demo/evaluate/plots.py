"""Pictures of a run: every function takes data and returns a matplotlib `Figure`; `write_plots` saves them as PNG.

Figures are made with matplotlib's object interface, without pyplot and its global state. Colours are Okabe & Ito's,
which stay apart under every common colour blindness, and what a colour says a marker, a dash or a word says too.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import ArrayLike
from sklearn import metrics as sk

from lesion_demo.arrays import Floats, Ints, checked, has_both, need_both, need_pictures
from lesion_demo.config import CLASSES, OperatingPoint
from lesion_demo.errors import LesionDemoError
from lesion_demo.evaluate import intervals
from lesion_demo.evaluate.calibration import ReliabilityCurve, reliability_curve
from lesion_demo.evaluate.plot_style import (
    BLUE,
    FAINT,
    HEAT,
    INK,
    VERMILION,
    Row,
    add_legend,
    by_epoch,
    dress,
    history_note,
    line,
    mark_epoch,
    mark_points,
    mark_stages,
    new_figure,
    series,
    set_title,
    square,
)
from lesion_demo.evaluate.scores import PointScores, point_scores
from lesion_demo.files import replacing
from lesion_demo.results import Confusion

Curves: TypeAlias = Mapping[str, tuple[ArrayLike, ArrayLike]]
"""Name → (labels int [N], probabilities of malignancy float [N])."""

NAMES = {
    "accuracy": "Accuracy",
    "precision": "Precision",
    "recall": "Recall (sensitivity)",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "f1": "F1",
    "roc_auc": "ROC-AUC",
    "pr_auc": "PR-AUC",
    "loss": "Loss (log loss, nats)",
}
HISTORY_METRICS = ("accuracy", "precision", "recall", "f1", "roc_auc", "pr_auc")
DPI = 130


def write_plots(folder: Path, figures: Mapping[str, Figure]) -> list[Path]:
    """Saves each figure as `<folder>/<name>.png` (the folder is made if need be); the paths, in order.

    Raises:
        LesionDemoError: the disk refused.
    """
    paths = [folder / f"{name}.png" for name in figures]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, figure in zip(paths, figures.values(), strict=True):
            with replacing(path) as part:
                figure.savefig(part, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})
    except OSError as error:
        raise LesionDemoError(f"Could not write the plots to {folder} ({error}): free some disk space.") from error
    return paths


def plot_history(rows: Sequence[Row], *, kept_epoch: int | None = None) -> dict[str, Figure]:
    """The figures `validation_metrics`, `learning_curves` and, if it was measured, `ring_flips` of a `history.csv`.

    Args:
        rows: `epoch`, `stage`, `split` (`train` or `val`), `loss` and the metrics, as numbers or as text from the file;
            epoch 0 is the untrained network, with a `val` row only. A value that is missing or nan is left out.
        kept_epoch: the epoch whose weights were kept, to be marked.
    """
    figures = {
        "validation_metrics": plot_validation_metrics(rows, kept_epoch=kept_epoch),
        "learning_curves": plot_learning_curves(rows, kept_epoch=kept_epoch),
    }
    if len(series(rows, "val", "ring_flips")[0]):
        figures["ring_flips"] = plot_ring_flips(rows, kept_epoch=kept_epoch)
    return figures


def plot_evaluation(
    labels: ArrayLike, probabilities: ArrayLike, points: Sequence[OperatingPoint], *, name: str = "Test"
) -> dict[str, Figure]:
    """All figures of one evaluated set: `roc`, `precision_recall`, `reliability`, `thresholds`, `confusion_<point>`.

    With one class only there is no ROC and no precision-recall curve; these two are left out.
    """
    figures = {
        "reliability": plot_reliability({name: reliability_curve(labels, probabilities)}),
        "thresholds": plot_thresholds(labels, probabilities, points),
    }
    if has_both(checked(labels, probabilities, None)[0]):
        curves = {name: (labels, probabilities)}
        figures |= {"roc": plot_roc(curves, points), "precision_recall": plot_precision_recall(curves, points)}
    for point in points:
        confusion = point_scores(labels, probabilities, point.threshold).confusion
        title = f"{name}\nOperating point “{point.name}”, threshold {point.threshold:.2f}"
        figures[f"confusion_{point.name}"] = plot_confusion(confusion, title)
    return figures


def plot_validation_metrics(rows: Sequence[Row], *, kept_epoch: int | None = None) -> Figure:
    """One small panel for each of `HISTORY_METRICS` on the validation split by epoch, all on one scale."""
    figure = new_figure(9.0, 5.4)
    panels = figure.subplots(2, 3, sharex=True, sharey=True)
    for panel, metric in zip(panels.flat, HISTORY_METRICS, strict=True):
        epochs, values = series(rows, "val", metric)
        dress(panel, NAMES[metric])
        panel.plot(epochs, values, color=BLUE, linewidth=2, marker="o", markersize=3.5)
        mark_epoch(panel, epochs, values, kept_epoch)
        mark_stages(panel, rows)
        by_epoch(panel)
        panel.margins(y=0.08)
    for panel in panels[1]:
        panel.set_xlabel("Epoch")
    set_title(figure, "Validation by epoch", history_note(rows, kept_epoch))
    return figure


def plot_learning_curves(rows: Sequence[Row], *, kept_epoch: int | None = None) -> Figure:
    """Accuracy and loss of the training and the validation split by epoch, side by side."""
    figure = new_figure(9.0, 4.4)
    for panel, metric in zip(figure.subplots(1, 2), ("accuracy", "loss"), strict=True):
        dress(panel, NAMES[metric], "Epoch")
        for split, label, colour, dash in (("train", "Training", VERMILION, "--"), ("val", "Validation", BLUE, "-")):
            epochs, values = series(rows, split, metric)
            panel.plot(epochs, values, dash, color=colour, label=label, linewidth=2, marker="o", markersize=3.5)
        mark_epoch(panel, epochs, values, kept_epoch)
        mark_stages(panel, rows)
        by_epoch(panel)
    handles, names = panel.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper right", ncols=2, frameon=False, fontsize=10)
    set_title(figure, "Training and validation by epoch", history_note(rows, kept_epoch))
    return figure


def plot_ring_flips(rows: Sequence[Row], *, kept_epoch: int | None = None) -> Figure:
    """The share of validation verdicts that a drawn dermatoscope ring turns, by epoch; the AUC does not show it."""
    figure = new_figure(9.0, 3.6)
    axes = figure.subplots()
    dress(axes, "", "Epoch", "Share of verdicts turned")
    epochs, values = series(rows, "val", "ring_flips")
    axes.plot(epochs, values, color=BLUE, linewidth=2, marker="o", markersize=3.5)
    mark_epoch(axes, epochs, values, kept_epoch)
    mark_stages(axes, rows)
    by_epoch(axes)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    axes.set_ylim(bottom=0, top=max(0.1, 1.1 * values.max()))
    set_title(figure, "Verdicts that a drawn ring turns (validation)", history_note(rows, kept_epoch))
    return figure


def plot_roc(curves: Curves, points: Sequence[OperatingPoint] = ()) -> Figure:
    """ROC curves, with `points` marked on the first.

    Raises:
        DataError: a set lacks one of the classes.
    """
    figure, axes = square("ROC curve", "False positive rate (1 − specificity)", "Sensitivity")
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=":", label="Chance")
    for index, (name, (labels, probabilities)) in enumerate(curves.items()):
        y, p, _ = checked(labels, probabilities, None)
        need_both(y)
        x_values, y_values, _ = sk.roc_curve(y, p)
        area = sk.roc_auc_score(y, p)
        axes.plot(x_values, y_values, label=f"{textwrap.fill(name, 28)}\nROC-AUC {area:.3f}", **line(index))
    rates = _at_points(curves, points)
    mark_points(axes, points, [1 - rate.specificity for rate in rates], [rate.sensitivity for rate in rates])
    add_legend(figure)
    return figure


def plot_precision_recall(curves: Curves, points: Sequence[OperatingPoint] = ()) -> Figure:
    """Precision against sensitivity, with `points` marked on the first curve and its share of malignant pictures.

    Raises:
        DataError: a set lacks one of the classes.
    """
    figure, axes = square("Precision-recall curve", "Recall (sensitivity)", "Precision")
    for index, (name, (labels, probabilities)) in enumerate(curves.items()):
        y, p, _ = checked(labels, probabilities, None)
        need_both(y)
        precision, recall, _ = sk.precision_recall_curve(y, p)
        area = sk.average_precision_score(y, p)
        style = line(index)
        axes.axhline(y.mean(), color=style["color"], linewidth=1, linestyle=":")
        label = f"{textwrap.fill(name, 28)}\nPR-AUC {area:.3f}\n{100 * y.mean():.0f} % malignant (dotted)"
        axes.plot(recall, precision, label=label, drawstyle="steps-post", **style)
    rates = _at_points(curves, points)
    mark_points(axes, points, [rate.sensitivity for rate in rates], [rate.precision for rate in rates])
    add_legend(figure)
    return figure


def plot_confusion(matrix: Confusion, title: str) -> Figure:
    """Counts by truth (rows) and verdict (columns), shaded by the share of the row."""
    counts = np.array([[matrix.tn, matrix.fp], [matrix.fn, matrix.tp]])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = new_figure(6.4, 4.6)
    axes = figure.subplots()
    axes.imshow(shares, cmap=HEAT, vmin=0, vmax=1, aspect="auto")
    for row in range(2):
        for column in range(2):
            axes.text(column, row - 0.06, f"{counts[row, column]:,}", ha="center", va="center", fontsize=24, color=INK)
            share = f"{100 * shares[row, column]:.1f} % of {CLASSES[row]}"
            axes.text(column, row + 0.2, share, ha="center", va="center", fontsize=11, color=INK)
    axes.set_xticks([0, 1], CLASSES)
    axes.set_yticks([0, 1], [f"{name}\n({total:,})" for name, total in zip(CLASSES, counts.sum(axis=1), strict=True)])
    axes.tick_params(length=0, labelsize=11, labelcolor=INK)
    axes.set_xlabel("Verdict", fontsize=11, color=INK)
    axes.set_ylabel("Truth", fontsize=11, color=INK)
    axes.spines[:].set_visible(False)
    axes.set_xticks([0.5], minor=True)
    axes.set_yticks([0.5], minor=True)
    axes.grid(which="minor", color="white", linewidth=4)
    axes.tick_params(which="minor", length=0)
    set_title(figure, "\n".join(textwrap.fill(part, 46) for part in title.split("\n")))
    return figure


def plot_reliability(curves: Mapping[str, ReliabilityCurve]) -> Figure:
    """Share malignant against mean probability, with 95 % Wilson intervals (1927) of the share."""
    figure, axes = square("Reliability: does 30 % mean 30 %?", "Mean probability of malignancy", "Share malignant")
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=":", label="Perfectly calibrated")
    for index, (name, curve) in enumerate(curves.items()):
        low, high = intervals.wilson(curve.observed, curve.count)
        style = line(index)
        axes.vlines(curve.predicted, low, high, color=style["color"], linewidth=1.2, alpha=0.5)
        error = np.average(np.abs(curve.predicted - curve.observed), weights=curve.count)
        size = f"{curve.count.sum():,} pictures, {len(curve.count)} bins"
        label = f"{textwrap.fill(name, 28)}\ncalibration error {error:.3f}\n{size}"
        axes.plot(curve.predicted, curve.observed, marker="o", markersize=4.5, label=label, **style)
    add_legend(figure)
    return figure


def plot_thresholds(labels: ArrayLike, probabilities: ArrayLike, points: Sequence[OperatingPoint] = ()) -> Figure:
    """Scores of the verdicts against the threshold, with the operating points as vertical lines."""
    y, p, _ = checked(labels, probabilities, None)
    need_pictures(y)
    figure = new_figure(9.0, 4.8)
    axes = figure.subplots()
    dress(axes, "", "Threshold on the probability of malignancy", "Score")
    grid = np.linspace(0, 1, 201)
    for index, name in enumerate(intervals.RATES):
        values = _over_thresholds(name, y, p, grid)
        axes.plot(grid, values, label=NAMES[name], **line(index))
    for point in points:
        axes.axvline(point.threshold, color=FAINT, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    mark_points(axes, points, [point.threshold for point in points], [1.03] * len(points))
    axes.set(xlim=(-0.01, 1.01), ylim=(0, 1.06))
    add_legend(figure)
    set_title(figure, "Scores by threshold")
    return figure


def _at_points(curves: Curves, points: Sequence[OperatingPoint]) -> list[PointScores]:
    """Scores of the first curve at each operating point."""
    labels, probabilities = next(iter(curves.values()))
    return [point_scores(labels, probabilities, point.threshold) for point in points]


def _over_thresholds(name: str, y: Ints, p: Floats, grid: Floats) -> Floats:
    """The score `name` at each threshold of `grid` [G]; precision is nan where nothing is called malignant."""
    everything = np.ones((1, len(y)))
    values = np.array([intervals.at_threshold(name, threshold)(y, p, everything)[0] for threshold in grid])
    return np.where(grid > p.max(), np.nan, values) if name == "precision" else values
