"""Does the network read the lesion, or what came along with it? Verdicts under changes that should not move them,
results by subgroup, and how far one gets without looking at the lesion at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lesion_demo.arrays import Floats
from lesion_demo.audit.shortcuts import Changed
from lesion_demo.config import OperatingPoint
from lesion_demo.data.dataset import WORKERS, PictureReader, measure_all
from lesion_demo.data.picture import Picture
from lesion_demo.evaluate.intervals import share_if_any, share_of
from lesion_demo.evaluate.reporting import Scorer
from lesion_demo.evaluate.run import EvaluatedSplit
from lesion_demo.evaluate.scores import score
from lesion_demo.images import Pixels
from lesion_demo.results import ChangeResult


def audit_changes(
    scorer: Scorer, plain: EvaluatedSplit, names: Sequence[str], *, temperature: float, point: OperatingPoint
) -> Iterator[ChangeResult]:
    """Make each of the changes `names` of CHANGES to every picture of `plain` and compare the verdicts at `point`."""
    edits = [Changed(name) for name in names]
    for name, predictions in zip(names, scorer.edited(plain.pictures, edits, "changes"), strict=True):
        yield _compared(name, plain, predictions.probabilities(temperature), point)


def _compared(name: str, plain: EvaluatedSplit, changed: NDArray[np.float64], point: OperatingPoint) -> ChangeResult:
    turned = (changed >= point.threshold) != (plain.probabilities >= point.threshold)
    shift = changed - plain.probabilities
    benign, malignant = plain.labels == 0, plain.labels == 1
    return ChangeResult(
        name=name,
        n=len(turned),
        flips=share_of(turned),
        flips_benign=share_if_any(turned[benign]),
        flips_malignant=share_if_any(turned[malignant]),
        shift_benign=float(shift[benign].mean()) if benign.any() else None,
        shift_malignant=float(shift[malignant].mean()) if malignant.any() else None,
    )


PROBES = ("8 × 8 thumbnail", "border pixels")
"""What a classifier may see that shall see no lesion."""


def blind_scores(
    train: Sequence[Picture], test: Sequence[Picture], reader: PictureReader, *, workers: int = WORKERS
) -> dict[str, float]:
    """ROC-AUC on `test` of logistic regressions that cannot see a lesion: 8 × 8 thumbnails, and border pixels alone.

    What they reach, any network can reach without medicine. Every picture is read once, for both.
    """
    train_labels, test_labels = ([picture.label for picture in pictures] for pictures in (train, test))
    train_seen, test_seen = (
        measure_all(pictures, see_no_lesion, reader, "blind", workers=workers) for pictures in (train, test)
    )
    scores = {}
    for place, name in enumerate(PROBES):
        classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000, class_weight="balanced"))
        classifier.fit([seen[place] for seen in train_seen], train_labels)
        probabilities = classifier.predict_proba([seen[place] for seen in test_seen])[:, 1]
        scores[name] = score(test_labels, probabilities).roc_auc
    return scores


def see_no_lesion(image: Pixels) -> tuple[Floats, Floats]:
    """What each of PROBES sees of `image` (uint8 [H, W, 3])."""
    return _thumbnail(image), _border(image)


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
