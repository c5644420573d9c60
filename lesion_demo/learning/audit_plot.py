"""The audit as a picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from lesion_demo.learning.audit import ChangeResult
from lesion_demo.learning.plot_style import BLUE, VERMILION, dress, new_figure, set_title


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
        values = [share.value for share in shares]
        axes.hlines(rows + offset, [share.low for share in shares], [share.high for share in shares], color=colour)
        axes.plot(values, rows + offset, marker, color=colour, markersize=5, label=title)
    axes.set_yticks(rows, [change.name for change in changes])
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlim(left=0)
    axes.legend(loc="lower right", frameon=True, framealpha=1, edgecolor="white", fontsize=10)
    set_title(figure, "What should not move a verdict", "Bars: 95 % intervals (Wilson).")
    return figure
