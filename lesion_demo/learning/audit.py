"""Does the network read the lesion, or what came along with it? Verdicts under changes that should not move them,
results by stratum, and how far one gets without looking at the lesion at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from lesion_demo.config import OperatingPoint, PreprocessSpec
from lesion_demo.imaging.transforms import Picture as Pixels
from lesion_demo.learning.audit_trust import (
    Coverage,
    DegradationResult,
    NewClinicResult,
    ReferralResult,
    StrangerResult,
    UntouchedResult,
)
from lesion_demo.learning.dataset import PictureReader
from lesion_demo.learning.evaluation import EvaluatedSplit, run_model
from lesion_demo.learning.folders import Picture
from lesion_demo.learning.intervals import share_of
from lesion_demo.learning.metrics import score
from lesion_demo.learning.shortcuts import CHANGES, Change
from lesion_demo.learning.strata import Stratum
from lesion_demo.results import Interval


@dataclass(frozen=True)
class ChangeResult:
    """What one change did to N pictures' verdicts at one operating point.

    Attributes:
        flips: share of verdicts turned, of all pictures; `flips_benign` and `flips_malignant` of those of a class.
        shift_benign, shift_malignant: mean change of the probability of malignancy in a class.
    """

    name: str
    n: int
    flips: Interval
    flips_benign: Interval
    flips_malignant: Interval
    shift_benign: float
    shift_malignant: float


@dataclass(frozen=True)
class Audit:
    """Everything found about a checkpoint, at one operating point; `config.to_dict` makes it JSON.

    Attributes:
        pictures: how many were changed, spoilt and looked at from several views; `strata`, `blind_roc_auc` and
            `referrals` are of the whole split.
        blind_roc_auc: what classifiers that see no lesion reach.
        untouched: what is held back of validation pictures as they are, by source.
        degradations: what spoiling the pictures does to the checks and to the model.
        strangers: pictures that show no lesion, by kind; empty where the checkpoint cannot tell.
        new_clinic: validation pictures of other data sets that pass where melanoma10k alone is known, by source.
        referrals: the three zones at each operating point.
        coverage: scores of confidence compared.
        seconds: that all of it took.
    """

    operating_point: OperatingPoint
    pictures: int
    changes: tuple[ChangeResult, ...]
    strata: tuple[Stratum, ...]
    blind_roc_auc: dict[str, float]
    untouched: tuple[UntouchedResult, ...]
    degradations: tuple[DegradationResult, ...]
    strangers: tuple[StrangerResult, ...]
    new_clinic: tuple[NewClinicResult, ...]
    referrals: tuple[ReferralResult, ...]
    coverage: tuple[Coverage, ...]
    seconds: float


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
