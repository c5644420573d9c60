"""Does the network read the lesion, or what came along with it? Verdicts under changes that should not move them,
results by stratum, and how far one gets without looking at the lesion at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from lesion_demo.config import OperatingPoint, PreprocessSpec
from lesion_demo.imaging.field_of_view import find_field_of_view
from lesion_demo.imaging.transforms import Picture as Pixels
from lesion_demo.learning.dataset import PictureReader
from lesion_demo.learning.evaluation import EvaluatedSplit, run_model
from lesion_demo.learning.folders import Picture
from lesion_demo.learning.intervals import Interval, wilson
from lesion_demo.learning.metrics import score
from lesion_demo.learning.shortcuts import CHANGES, Change


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
        pictures: how many were looked at.
        blind_roc_auc: what classifiers that see no lesion reach on the same pictures.
    """

    operating_point: OperatingPoint
    pictures: int
    changes: tuple[ChangeResult, ...]
    strata: tuple[Stratum, ...]
    blind_roc_auc: dict[str, float]


@dataclass(frozen=True)
class Stratum:
    """Sensitivity or specificity among some of the pictures, by one trait of theirs; None where no picture counts."""

    name: str
    n_benign: int
    n_malignant: int
    sensitivity: Interval | None
    specificity: Interval | None


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
        flips=_share(turned),
        flips_benign=_share(turned[benign]),
        flips_malignant=_share(turned[malignant]),
        shift_benign=float(shift[benign].mean()),
        shift_malignant=float(shift[malignant].mean()),
    )


def _share(hits: NDArray[np.bool_]) -> Interval:
    """The share of `hits` [N] that are true, with its 95 % interval."""
    share = hits.mean(keepdims=True)
    low, high = wilson(share, np.array([len(hits)]))
    return Interval(float(share[0]), float(low[0]), float(high[0]))


def traits(split: EvaluatedSplit, reader: PictureReader) -> dict[str, NDArray[np.bool_]]:
    """Masks [N] by name: ringed or not, repeated in training or not, by source, diagnosis and brightness."""
    ringed, brightness = [], []
    for picture in split.pictures:
        image = reader(picture)
        box = find_field_of_view(image)
        ringed.append((box.width, box.height) != (image.shape[1], image.shape[0]))
        brightness.append(float(image[box.top : box.bottom, box.left : box.right].mean()))
    third, two_thirds = np.quantile(brightness, (1 / 3, 2 / 3))
    light = np.array(brightness)
    repeated = np.array([picture.near_duplicate_of_train for picture in split.pictures])
    masks = {
        "with a ring": np.array(ringed),
        "without a ring": ~np.array(ringed),
        "near-duplicate in training": repeated,
        "no near-duplicate in training": ~repeated,
        "darkest third": light < third,
        "middle third": (light >= third) & (light < two_thirds),
        "lightest third": light >= two_thirds,
    }
    for title, values in (
        ("source", [picture.source for picture in split.pictures]),
        ("diagnosis", [picture.columns.get("dx", "") for picture in split.pictures]),
    ):
        masks |= {f"{title} {value}": np.array(values) == value for value in sorted(set(values)) if value}
    return masks


def audit_strata(split: EvaluatedSplit, masks: Mapping[str, NDArray[np.bool_]], point: OperatingPoint) -> list[Stratum]:
    """Sensitivity and specificity at `point` among the pictures of each mask."""
    called = split.probabilities >= point.threshold
    strata = []
    for name, mask in masks.items():
        benign, malignant = mask & (split.labels == 0), mask & (split.labels == 1)
        strata.append(
            Stratum(
                name,
                int(benign.sum()),
                int(malignant.sum()),
                _share(called[malignant]) if malignant.any() else None,
                _share(~called[benign]) if benign.any() else None,
            )
        )
    return strata


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
