"""What a clinic's own labelled pictures buy: fits to 50, 100, 200 and 400 of them, judged on the rest, 20 draws each.

    python -m scripts.recalibration_curve --checkpoint DIR --data CLINIC --out RESULTS

CLINIC is a labelled folder, as `recalibrate` reads it, of a clinic that the checkpoint in DIR never saw. Pictures are
drawn by whole groups (lesion, patient, near-duplicates), so that the rest holds none of a lesion that was fitted to.
Run it from the project's folder. RESULTS gets recalibration_curve.json, recalibration_curve.png, and log_odds.npz,
from which a second run begins. On two cores and EfficientNet-B3 at 256 px: 30 pictures a second once, then seconds.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray
from scipy.special import expit

from lesion_demo.checkpoint import LoadedCheckpoint, load_checkpoint
from lesion_demo.config import OperatingPoint
from lesion_demo.errors import LesionDemoError
from lesion_demo.evaluate.calibration import calibration_error
from lesion_demo.evaluate.own_clinic import Sample, log_odds_of, read_sample
from lesion_demo.evaluate.plot_style import FAINT, dress, line, new_figure, set_title
from lesion_demo.evaluate.plots import write_plots
from lesion_demo.evaluate.recalibration import balance, fit_local
from lesion_demo.evaluate.scores import point_scores, score
from lesion_demo.files import write_json
from lesion_demo.run_folder import SPLIT_FILE

SIZES = (50, 100, 200, 400)
POINT = "sensitive"
PANELS = {
    "calibration_error": "Calibration error, balanced classes",
    "sensitivity": f"Sensitivity at “{POINT}”",
    "specificity": f"Specificity at “{POINT}”",
}
NAME = "recalibration_curve"


@dataclass(frozen=True)
class Judged:
    """On the pictures that were not drawn; each 0–1, the error with both classes weighing the same."""

    calibration_error: float
    sensitivity: float
    specificity: float


@dataclass(frozen=True)
class Draw:
    """One draw: how many pictures, the line fitted to them, and the rest with and without it."""

    pictures: int
    malignant: int
    slope: float
    intercept: float
    threshold: float
    fitted: Judged
    shipped: Judged


def draw(
    log_odds: NDArray[np.float64],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    points: Sequence[OperatingPoint],
    size: int,
    seed: int,
) -> Draw:
    """Fit to `size` of the pictures, drawn by whole groups, and judge the rest."""
    chosen = choose(labels, groups, size, seed)
    fit = fit_local(log_odds[chosen], labels[chosen], points, groups=groups[chosen].tolist())
    rest = ~chosen
    (shipped,) = (point.threshold for point in points if point.name == POINT)
    return Draw(
        pictures=int(chosen.sum()),
        malignant=int(labels[chosen].sum()),
        slope=fit.slope,
        intercept=fit.intercept,
        threshold=fit.thresholds[POINT],
        fitted=judge(labels[rest], groups[rest], fit.probabilities(log_odds[rest]), fit.thresholds[POINT]),
        shipped=judge(labels[rest], groups[rest], expit(log_odds[rest]), shipped),
    )


def choose(labels: NDArray[np.int64], groups: NDArray[np.int64], size: int, seed: int) -> NDArray[np.bool_]:
    """Which pictures [N] are drawn: whole groups, at most `size` pictures, both classes on either side."""
    generator = np.random.default_rng([seed, size])
    sizes = np.bincount(groups)
    for _ in range(1000):
        room, taken = size, []
        for group in generator.permutation(len(sizes)):
            if 0 < sizes[group] <= room:
                taken.append(group)
                room -= int(sizes[group])
        chosen = np.isin(groups, taken)
        if {len(np.unique(labels[chosen])), len(np.unique(labels[~chosen]))} == {2}:
            return chosen
    raise LesionDemoError(f"{len(labels)} pictures are too few to draw {size} of them and judge the rest: add some.")


def judge(
    labels: NDArray[np.int64], groups: NDArray[np.int64], probabilities: NDArray[np.float64], threshold: float
) -> Judged:
    error = calibration_error(labels, probabilities, weights=balance(labels, groups))
    scores = point_scores(labels, probabilities, threshold)
    return Judged(error, scores.sensitivity, scores.specificity)


def summarise(draws: Sequence[Draw]) -> dict[str, Any]:
    """Mean, and the tenth and ninetieth percentile, of every figure, fitted and as shipped; then every draw."""
    found: dict[str, Any] = {}
    for kind in ("fitted", "shipped"):
        values = {name: np.array([getattr(getattr(one, kind), name) for one in draws]) for name in PANELS}
        found[kind] = {
            name: {"mean": float(v.mean()), "low": float(np.quantile(v, 0.1)), "high": float(np.quantile(v, 0.9))}
            for name, v in values.items()
        }
    return found | {"draws": [asdict(one) for one in draws]}


def plot(sizes: Mapping[int, Mapping[str, Any]], title: str, note: str) -> Figure:
    """A panel each for calibration error, sensitivity and specificity, over the number of pictures."""
    figure = new_figure(12.4, 4.6)
    for axes, (name, label) in zip(figure.subplots(1, len(PANELS)), PANELS.items(), strict=True):
        panel(axes, sizes, name)
        dress(axes, label, "pictures fitted to")
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set_xticks(range(len(sizes)), [str(size) for size in sizes])
        axes.set_xlim(-0.4, len(sizes) - 0.6)
        if name == "calibration_error":
            axes.set_ylim(bottom=0)
            axes.legend(frameon=False, fontsize=10)
    set_title(figure, title, note)
    return figure


def panel(axes: Axes, sizes: Mapping[int, Mapping[str, Any]], name: str) -> None:
    """Every draw as a dot, the mean with its 10 to 90 % of draws, and the same pictures as shipped."""
    places = np.arange(len(sizes))
    for place, found in zip(places, sizes.values(), strict=True):
        values = [one["fitted"][name] for one in found["draws"]]
        axes.plot(place + np.linspace(-0.12, 0.12, len(values)), values, ".", color=FAINT, markersize=3, alpha=0.6)
    for index, (kind, label) in enumerate((("fitted", "fitted to them"), ("shipped", "as shipped"))):
        mean, low, high = (np.array([f[kind][name][key] for f in sizes.values()]) for key in ("mean", "low", "high"))
        bars = np.stack([mean - low, high - mean]).clip(0)
        axes.errorbar(places, mean, bars, marker="os"[index], capsize=3, label=label, **line(index))


def read_log_odds(loaded: LoadedCheckpoint, sample: Sample, cache: Path) -> NDArray[np.float64]:
    """Log-odds [N], from `cache` where they are of the same weights, temperature and pictures."""
    names = [picture.content_hash for picture in sample.pictures]
    key = f"{loaded.meta.weights_sha256} {loaded.meta.temperature}"
    if cache.is_file():
        stored = np.load(cache)
        if str(stored["key"]) == key and stored["names"].tolist() == names:
            return np.asarray(stored["log_odds"])
    log_odds = log_odds_of(loaded, sample.pictures)
    np.savez(cache, key=key, names=names, log_odds=log_odds)
    return log_odds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="DIR")
    parser.add_argument("--data", type=Path, required=True, metavar="CLINIC")
    parser.add_argument("--out", type=Path, required=True, metavar="RESULTS", help="a folder, made if need be")
    parser.add_argument("--draws", type=int, default=20, help="of each size (default: %(default)s)")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="in pictures (default: 50 100 200 400)")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    args.out.mkdir(parents=True, exist_ok=True)
    loaded = load_checkpoint(args.checkpoint)
    sample = read_sample(args.data, args.checkpoint / SPLIT_FILE)
    for warning in sample.warnings:
        print(f"warning: {warning}")
    log_odds, labels = read_log_odds(loaded, sample, args.out / "log_odds.npz"), sample.labels
    groups = np.unique(sample.groups, return_inverse=True)[1]
    sizes: dict[int, dict[str, Any]] = {}
    for size in sorted(args.sizes):
        points = loaded.meta.operating_points
        sizes[size] = summarise([draw(log_odds, labels, groups, points, size, seed) for seed in range(args.draws)])
        fitted, shipped = sizes[size]["fitted"], sizes[size]["shipped"]
        figures = (f"{name} {shipped[name]['mean']:.3f} → {fitted[name]['mean']:.3f}" for name in PANELS)
        print(f"{size:>5} pictures: {', '.join(figures)}", flush=True)
    result = {
        "checkpoint": args.checkpoint.name,
        "weights_sha256": loaded.meta.weights_sha256,
        "data": sample.pictures[0].source,
        "pictures": len(labels),
        "malignant": int(labels.sum()),
        "groups": len(set(sample.groups)),
        "roc_auc": score(labels, expit(log_odds)).roc_auc,
        "sizes": {str(size): found for size, found in sizes.items()},
    }
    write_json(args.out / f"{NAME}.json", result)
    note = (
        f"{result['data']}: {len(labels):,} pictures, {result['malignant']:,} malignant, ROC-AUC "
        f"{result['roc_auc']:.3f}; judged on those not drawn. Mean of {args.draws} draws, bars: 10 to 90 % of them."
    )
    write_plots(args.out, {NAME: plot(sizes, f"What a clinic’s own pictures buy: {args.checkpoint.name}", note)})
    print(f"{args.out / NAME}.json and .png are written.")


if __name__ == "__main__":
    main()
