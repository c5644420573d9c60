"""How every plot looks: colours, lines, titles, legends and the marks for operating points, stages and epochs."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from lesion_demo.arrays import Floats
from lesion_demo.config import OperatingPoint

BLUE, VERMILION, GREEN, PURPLE, ORANGE = "#0072B2", "#D55E00", "#009E73", "#B5609A", "#C98A00"
"""After Okabe & Ito 2008, the last two darkened for thin lines on white."""
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE)
DASHES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (6, 2, 1, 2)), (0, (1.5, 1.5)), (0, (8, 2, 1, 2, 1, 2)))
INK, FAINT, GRID = "#222222", "#6B6B6B", "#E4E4E4"
HEAT = LinearSegmentedColormap.from_list("heat", ["#FFFFFF", "#8FBFE0"])  # light enough for dark digits on it
MARKERS = {"accuracy": "o", "f1": "s", "balanced": "^", "sensitive": "D"}

Row = Mapping[str, object]


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, inches, that arranges itself so that nothing is clipped."""
    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)
    figure = Figure(figsize=(width, height), layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def square(title: str, x_label: str, y_label: str) -> tuple[Figure, Axes]:
    """A figure with one square plot of 0–1 by 0–1, and room for a legend at its right."""
    figure = new_figure(8.4, 5.4)
    axes = figure.subplots()
    dress(axes, title, x_label, y_label)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.set_box_aspect(1)
    return figure, axes


def dress(axes: Axes, title: str = "", x_label: str = "", y_label: str = "") -> None:
    """Labels, a light grid, and no frame where no axis is."""
    axes.set_title(title, loc="left", fontsize=12, color=INK, pad=8)
    axes.set_xlabel(x_label, fontsize=11, color=INK)
    axes.set_ylabel(y_label, fontsize=11, color=INK)
    axes.tick_params(labelsize=10, labelcolor=INK, color=FAINT)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def line(index: int) -> dict[str, Any]:
    """Colour, dash and width of the line number `index`: two lines differ in more than the colour."""
    return {"color": COLOURS[index % len(COLOURS)], "linestyle": DASHES[index % len(DASHES)], "linewidth": 2.0}


def set_title(figure: Figure, title: str, note: str = "") -> None:
    """A title above everything, and a small note below everything."""
    figure.suptitle(title, x=0.012, ha="left", fontsize=13, color=INK)
    if note:
        figure.supxlabel(note, x=0.012, ha="left", fontsize=9.5, color=FAINT)


def add_legend(figure: Figure) -> None:
    """One legend at the right, outside the plot, where it covers nothing."""
    figure.legend(loc="outside right upper", frameon=False, fontsize=10, labelspacing=0.9, handlelength=2.6)


def mark_points(axes: Axes, points: Sequence[OperatingPoint], x: Sequence[float], y: Sequence[float]) -> None:
    """A marker for each operating point, named in the legend; points of one threshold share a marker."""
    for index, point in enumerate(points):
        same = [f"“{other.name}”" for other in points if other.threshold == point.threshold]
        if same[0] != f"“{point.name}”":
            continue
        label = textwrap.fill(", ".join(same), 24) + f"\nthreshold {point.threshold:.2f}"
        style: dict[str, Any] = {"markerfacecolor": "white", "markeredgecolor": INK, "markeredgewidth": 1.5}
        marker = MARKERS.get(point.name, "P")
        axes.plot(x[index], y[index], marker, markersize=8, label=label, zorder=5, clip_on=False, **style)


def by_epoch(axes: Axes) -> None:
    """Whole numbers on the epoch axis."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def series(rows: Sequence[Row], split: str, metric: str) -> tuple[Floats, Floats]:
    """Epochs and values of one metric on one split, both [E], by epoch; rows without the value are left out."""
    pairs = sorted(
        (number(row["epoch"]), number(row.get(metric)))
        for row in rows
        if row["split"] == split and np.isfinite(number(row.get(metric)))
    )
    return np.array([epoch for epoch, _ in pairs]), np.array([value for _, value in pairs])


def number(value: object) -> float:
    """A cell of the history as a float; nan where it is empty."""
    return float("nan") if value is None or value == "" else float(str(value))


def stage_spans(rows: Sequence[Row]) -> list[tuple[str, int, int]]:
    """(stage, first epoch, last epoch) in order; epoch 0, before any training, belongs to none."""
    spans: list[tuple[str, int, int]] = []
    epochs = {int(number(row["epoch"])): str(row.get("stage") or "") for row in rows}
    for epoch, stage in sorted(epochs.items()):
        if epoch == 0:
            continue
        if spans and spans[-1][0] == stage:
            spans[-1] = (stage, spans[-1][1], epoch)
        else:
            spans.append((stage, epoch, epoch))
    return spans


def mark_stages(axes: Axes, rows: Sequence[Row]) -> None:
    """A dotted line between two stages of training; `history_note` names them."""
    for _, first, _ in stage_spans(rows)[1:]:
        axes.axvline(first - 0.5, color=FAINT, linewidth=1, linestyle=":", zorder=1)


def mark_epoch(axes: Axes, epochs: Floats, values: Floats, kept: int | None) -> None:
    """A circle around the value of the kept epoch, and that value above the plot."""
    here = epochs == kept
    axes.set_title(" ".join(f"{value:.3f}" for value in values[here]), loc="right", fontsize=11, color=FAINT, pad=8)
    axes.plot(epochs[here], values[here], "o", markersize=9, fillstyle="none", color=INK, markeredgewidth=1.5, zorder=5)


def history_note(rows: Sequence[Row], kept: int | None) -> str:
    """What the marks in a history plot mean, in a sentence or two."""
    spans = [
        f"{name} ({first}–{last})" if last > first else f"{name} ({first})" for name, first, last in stage_spans(rows)
    ]
    parts = [f"Stages (epochs): {', '.join(spans)}." if spans else ""]
    parts.append("Dotted: a new stage." if len(spans) > 1 else "")
    parts.append("Epoch 0: before training." if any(number(row["epoch"]) == 0 for row in rows) else "")
    parts.append(f"Circled, and in figures: epoch {kept}, whose weights were kept." if kept is not None else "")
    return textwrap.fill(" ".join(part for part in parts if part), 120)
