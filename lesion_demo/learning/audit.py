"""Does the network read the lesion, or what came along with it? Verdicts under changes that should not move them,
results by stratum, and how far one gets without looking at the lesion at all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from lesion_demo.config import OperatingPoint, PreprocessSpec
from lesion_demo.imaging.transforms import Picture as Pixels
from lesion_demo.learning.dataset import PictureReader
from lesion_demo.learning.evaluation import EvaluatedSplit, run_model
from lesion_demo.learning.folders import Picture
from lesion_demo.learning.intervals import share_of
from lesion_demo.learning.metrics import score
from lesion_demo.learning.shortcuts import CHANGES, Change
from lesion_demo.results import ChangeResult


def audit_change(
    model: nn.Module,
    spec: PreprocessSpec,
    plain: EvaluatedSplit,
    name: str,
    *,
    temperature: float,
    point: OperatingPoint,
    reader: PictureReader,
) -> ChangeResult:
    """Apply the change `name` of `CHANGES` to every picture of `plain` and compare the verdicts at `point`."""
    change: Change = CHANGES[name]

    def edit(image: Pixels, index: int) -> Pixels:
        return change(image, np.random.default_rng(index))

    predictions = run_model(model, spec, plain.pictures, title=name, reader=reader, edit=edit)
    changed = predictions.probabilities(temperature)
    turned = (changed >= point.threshold) != (plain.probabilities >= point.threshold)
    benign, malignant = plain.labels == 0, plain.labels == 1
    shift = changed - plain.probabilities
    return ChangeResult(
        name=name,
        n=len(turned),
        flips=share_of(turned),
        flips_benign=share_of(turned[benign]),
        flips_malignant=share_of(turned[malignant]),
        shift_benign=float(shift[benign].mean()),
        shift_malignant=float(shift[malignant].mean()),
    )


def blind_scores(train: Sequence[Picture], test: Sequence[Picture], reader: PictureReader) -> dict[str, float]:
    """ROC-AUC on `test` of logistic regressions that cannot see a lesion: 8 × 8 thumbnails, and border pixels alone.

    What they reach, any network can reach without medicine.
    """
    probes = {"8 × 8 thumbnail": _thumbnail, "border pixels": _border}
    train_labels, test_labels = ([picture.label for picture in pictures] for pictures in (train, test))
    scores = {}
    for name, describe in probes.items():
        classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000, class_weight="balanced"))
        classifier.fit([describe(reader(picture)) for picture in train], train_labels)
        probabilities = classifier.predict_proba([describe(reader(picture)) for picture in test])[:, 1]
        scores[name] = score(test_labels, probabilities).roc_auc
    return scores


def _block_means(image: Pixels, cells: int) -> NDArray[np.float64]:
    """Mean colour of a grid of cells: [cells, cells, 3] in 0–255."""
    rows = np.array_split(image.astype(np.float64), cells, axis=0)
    return np.array([[block.mean(axis=(0, 1)) for block in np.array_split(row, cells, axis=1)] for row in rows])


def _thumbnail(image: Pixels) -> NDArray[np.float64]:
    return _block_means(image, 8).ravel()


def _border(image: Pixels) -> NDArray[np.float64]:
    """Colours of the outermost of 16 × 16 cells."""
    cells = _block_means(image, 16)
    edge = np.ones((16, 16), dtype=bool)
    edge[1:-1, 1:-1] = False
    return cells[edge].ravel()
