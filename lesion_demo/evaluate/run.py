"""Choose temperature and operating points on validation; report on test, once, with intervals."""

from __future__ import annotations

import csv
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lesion_demo.arrays import malignant_probability
from lesion_demo.config import OperatingPoint
from lesion_demo.data.dataset import balanced_weights
from lesion_demo.data.picture import Picture
from lesion_demo.evaluate.calibration import choose_threshold, fit_bias, fit_temperature
from lesion_demo.evaluate.inference import Predictions
from lesion_demo.evaluate.plots import plot_evaluation, plot_history, write_plots
from lesion_demo.evaluate.referral import CONFIDENT_RATES, choose_margin
from lesion_demo.evaluate.scores import score
from lesion_demo.run_folder import HISTORY_FILE

PREVALENCE = 0.5
"""Of the population that `balanced_weights` makes out of the validation split."""

SENSITIVE = "sensitive"
SENSITIVITY = 0.95
"""What that operating point promises on the mean over clinics."""
FLOOR = 0.90
"""What it promises in each of them."""

NEVER = 1e-12
"""Thresholds lie so far inside of 0–1: one at an end would be none."""

ENOUGH = 100
"""Malignant validation pictures of a clinic from which a threshold can be told."""
MARGIN_TARGETS = {SENSITIVE: (0.97, 0.0)}
"""Sensitivity and specificity of the confident verdicts where they are others than CONFIDENT_RATES."""
MOST_UNCERTAIN = 0.2
"""Share of the pictures that a margin may leave uncertain: in a hard clinic no margin makes verdicts good."""


@dataclass(frozen=True)
class Calibration:
    """What the validation split decides, and the score that chooses between checkpoints.

    Attributes:
        referral_margins: by the name of the operating point, in log-odds.
    """

    temperature: float
    operating_points: tuple[OperatingPoint, ...]
    val_roc_auc: float
    referral_margins: dict[str, float]


@dataclass(frozen=True)
class EvaluatedSplit:
    """A split's pictures with the calibrated probability of malignancy, float64 [N], of each.

    Attributes:
        assessable: bool [N], False where the app would give no verdict; None where that was not looked at.
    """

    pictures: tuple[Picture, ...]
    probabilities: NDArray[np.float64]
    assessable: NDArray[np.bool_] | None = None

    @property
    def labels(self) -> NDArray[np.int64]:
        return np.array([picture.label for picture in self.pictures], dtype=np.int64)

    @property
    def groups(self) -> list[str]:
        """The lesion or patient that each picture is of; a picture that was never grouped is one of its own."""
        return [picture.group or picture.name for picture in self.pictures]

    def where(self, keep: Sequence[bool] | NDArray[np.bool_]) -> EvaluatedSplit:
        chosen = np.array(keep, dtype=bool)
        pictures = tuple(picture for picture, kept in zip(self.pictures, chosen, strict=True) if kept)
        return EvaluatedSplit(
            pictures, self.probabilities[chosen], None if self.assessable is None else self.assessable[chosen]
        )

    def mistakes(self, threshold: float, most: int) -> dict[str, list[int]]:
        """Places of up to `most` false positives and as many false negatives at `threshold`, the worst first."""
        rising, labels = np.argsort(self.probabilities, kind="stable"), self.labels
        called = self.probabilities >= threshold
        return {
            "false positive": [int(i) for i in rising[::-1] if called[i] and labels[i] == 0][:most],
            "false negative": [int(i) for i in rising if not called[i] and labels[i] == 1][:most],
        }

    def by_source(self) -> dict[str, EvaluatedSplit]:
        """The pictures of each source, by its name."""
        sources = np.array([picture.source for picture in self.pictures])
        return {str(source): self.where(sources == source) for source in sorted(set(sources))}


def calibrate(
    predictions: Predictions,
    pictures: Sequence[Picture],
    source_balance: float,
    tested: Collection[str] = (),
    photographs: Collection[str] = (),
) -> Calibration:
    """What validation decides, weighted to a prevalence of one half in each source.

    `accuracy` is a figure of one population, so its threshold is chosen on the sources `tested` that the report will be
    on, if there are any: where a logistic regression on them is undecided. The most accurate threshold itself lies on a
    plateau, where a few pictures move it far; on held-out halves of validation pictures it did worse. `sensitive` keeps
    its promise on the mean over the dermoscopic clinics, see `choose_sensitive`. Every threshold has a referral margin
    of its own.

    Args:
        photographs: sources that were taken without a dermatoscope.
    """
    labels, weights = predictions.labels, balanced_weights(pictures, source_balance)
    temperature = fit_temperature(predictions.logits, labels, weights=weights)
    probabilities = predictions.probabilities(temperature)
    reported = np.array([picture.source in tested for picture in pictures])
    if len(set(labels[reported])) < 2:
        reported = np.ones(len(pictures), dtype=bool)
    bias = fit_bias(predictions.logits[reported], labels[reported], weights=weights[reported])
    clinics = [picture.source for picture in pictures]
    thresholds = {
        "accuracy": float(malignant_probability([[0.0, -bias]], temperature)[0]),
        "f1": choose_threshold("f1", labels, probabilities, weights=weights),
        "balanced": choose_threshold("balanced", labels, probabilities, weights=weights),
        SENSITIVE: choose_sensitive(labels, probabilities, clinics, weights=weights, photographs=photographs),
    }
    return Calibration(
        temperature=temperature,
        operating_points=tuple(
            OperatingPoint(name, float(np.clip(threshold, NEVER, 1 - NEVER))) for name, threshold in thresholds.items()
        ),
        val_roc_auc=score(labels, probabilities, weights=weights).roc_auc,
        referral_margins={
            name: choose_margin(
                labels,
                probabilities,
                threshold,
                weights=weights,
                targets=MARGIN_TARGETS.get(name, CONFIDENT_RATES),
                most=MOST_UNCERTAIN,
            )
            for name, threshold in thresholds.items()
        },
    )


def choose_sensitive(
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    clinics: Sequence[str],
    *,
    weights: NDArray[np.float64],
    photographs: Collection[str] = (),
) -> float:
    """The largest threshold with SENSITIVITY on the mean over clinics, each alike, and with FLOOR in each of them.

    95 % in each at any price let one clinic's hardest pictures decide: a few of them moved the threshold to where in
    another clinic nine of ten benign lesions were called malignant. Where no dermoscopic clinic has ENOUGH malignant
    pictures, the mean is over all pictures as `weights` [N] have them.

    Args:
        clinics: the source [N] of each picture.
        photographs: sources that were taken without a dermatoscope, which are no part of the mean.
    """
    sources, malignant = np.array(clinics), labels == 1
    counts = {str(source): int((malignant & (sources == source)).sum()) for source in sorted(set(sources))}
    enough = [source for source, count in counts.items() if count >= ENOUGH and source not in photographs]
    if not enough:
        return choose_threshold(SENSITIVE, labels, probabilities, weights=weights, sensitivity_target=SENSITIVITY)
    alike = {source: (malignant & (sources == source)) / counts[source] for source in enough}  # sensitivity alone
    wanted = [(sum(alike.values()), SENSITIVITY), *((own, FLOOR) for own in alike.values())]
    return min(
        choose_threshold(SENSITIVE, labels, probabilities, weights=own + ~malignant, sensitivity_target=target)
        for own, target in wanted
    )


def write_evaluation_plots(
    folder: Path, split: EvaluatedSplit, points: Sequence[OperatingPoint], *, name: str, kept_epoch: int | None = None
) -> None:
    """Every plot of a run into `folder`/plots: those of the history, if there is one, and those of `split`."""
    figures = plot_evaluation(split.labels, split.probabilities, points, name=name)
    history = folder / HISTORY_FILE
    if history.is_file():
        with history.open(newline="", encoding="utf-8") as file:
            figures |= plot_history(list(csv.DictReader(file)), kept_epoch=kept_epoch)
    write_plots(folder / "plots", figures)
