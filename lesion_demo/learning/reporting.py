"""The report of a checkpoint: test in full, and every operating point on the pictures of every source."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import nn

from lesion_demo.config import OperatingPoint, PreprocessSpec, to_dict
from lesion_demo.imaging.quality import check_quality
from lesion_demo.imaging.transforms import eval_transform
from lesion_demo.learning.arrays import Bools
from lesion_demo.learning.dataset import LesionDataset, PictureReader, eval_loader
from lesion_demo.learning.evaluation import EvaluatedSplit, run_model
from lesion_demo.learning.familiarity import KnownPictures, describe_all
from lesion_demo.learning.folders import Picture
from lesion_demo.learning.inference import Predictions
from lesion_demo.learning.metrics import Report, report
from lesion_demo.learning.referral import distance_to_threshold
from lesion_demo.results import OutcomeCounts, Outcomes


@dataclass(frozen=True)
class SourceReport(Report):
    """The result on pictures of one source.

    Attributes:
        seen_benign, seen_malignant: pictures that training showed too, in another crop or copy: figures of them
            flatter.
        photographs: taken without a dermatoscope.
    """

    seen_benign: int = 0
    seen_malignant: int = 0
    photographs: bool = False


@dataclass(frozen=True)
class Judge:
    """What a report is made at.

    Attributes:
        margins: by the point's name, in log-odds: closer to its threshold the answer is `uncertain`.
        photographs: sources that were taken without a dermatoscope.
    """

    points: Sequence[OperatingPoint]
    margins: Mapping[str, float]
    photographs: Collection[str] = ()

    def report(self, split: EvaluatedSplit) -> SourceReport:
        """Everything about `split`, with intervals by group."""
        made = report(split.labels, split.probabilities, self.points, groups=split.groups)
        seen = np.array([picture.near_duplicate_of_train for picture in split.pictures])
        points = tuple(
            replace(found, outcomes=outcomes(split, point, self.margins[point.name]))
            for found, point in zip(made.points, self.points, strict=True)
        )
        return SourceReport(
            **{**vars(made), "points": points},
            seen_benign=int((seen & (split.labels == 0)).sum()),
            seen_malignant=int((seen & (split.labels == 1)).sum()),
            photographs=bool(split.pictures) and all(picture.source in self.photographs for picture in split.pictures),
        )


def summarise(test: EvaluatedSplit | None, val: EvaluatedSplit, judge: Judge) -> dict[str, Any]:
    """The report, ready for `metrics.json`: test in full, without near-duplicates of training pictures, and by source;
    then validation by source, which is not independent of the choices made on it."""
    metrics: dict[str, Any] = {}
    if test is not None:
        distinct = test.where([not picture.near_duplicate_of_train for picture in test.pictures])
        metrics["test"] = to_dict(judge.report(test))
        metrics["test_without_near_duplicates"] = to_dict(judge.report(distinct))
        metrics["test_by_source"] = _by_source(test, judge)
    metrics["validation_by_source"] = _by_source(val, judge)
    return metrics


def _by_source(split: EvaluatedSplit, judge: Judge) -> dict[str, Any]:
    return {source: to_dict(judge.report(own)) for source, own in split.by_source().items()}


def outcomes(split: EvaluatedSplit, point: OperatingPoint, margin: float) -> Outcomes | None:
    """The four answers at `point` by the truth; None where it was not looked at which pictures get an answer."""
    if split.assessable is None:
        return None
    unsure = distance_to_threshold(split.probabilities, point.threshold) < margin
    called = split.probabilities >= point.threshold
    judged = split.assessable

    def of(label: int) -> OutcomeCounts:
        own = split.labels == label
        return OutcomeCounts(
            benign=int((own & judged & ~unsure & ~called).sum()),
            malignant=int((own & judged & ~unsure & called).sum()),
            uncertain=int((own & judged & unsure).sum()),
            not_assessable=int((own & ~judged).sum()),
        )

    return Outcomes(of(0), of(1))


def assessable(
    model: nn.Module,
    spec: PreprocessSpec,
    known: KnownPictures | None,
    pictures: Sequence[Picture],
    reader: PictureReader,
    title: str,
    workers: int = 2,
) -> Bools:
    """bool [N]: would the app give a verdict, by the quality of the picture and by its likeness to those `known`?"""
    sound = np.array([check_quality(reader(picture)).assessable for picture in pictures], dtype=bool)
    if known is None:
        return sound
    loader = eval_loader(LesionDataset(pictures, eval_transform(spec), reader), workers=workers)
    features = describe_all(model, loader, title)
    return sound & ~known.refused(features)


@dataclass(frozen=True)
class Scorer:
    """A network with all that is needed to say of pictures what the app would."""

    model: nn.Module
    spec: PreprocessSpec
    known: KnownPictures | None
    reader: PictureReader
    views: int = 1
    workers: int = 2

    def predict(self, pictures: Sequence[Picture], title: str) -> Predictions:
        return run_model(
            self.model,
            self.spec,
            pictures,
            title=title,
            reader=self.reader,
            views=self.views,
            workers=self.workers,
        )

    def score(self, pictures: Sequence[Picture], temperature: float, title: str) -> EvaluatedSplit:
        """`pictures` with their calibrated probabilities, and which of them get a verdict."""
        return self.evaluated(pictures, self.predict(pictures, title), temperature, title)

    def evaluated(
        self, pictures: Sequence[Picture], predictions: Predictions, temperature: float, title: str
    ) -> EvaluatedSplit:
        judged = assessable(
            self.model, self.spec, self.known, pictures, self.reader, f"{title}, fit to be judged", self.workers
        )
        return EvaluatedSplit(tuple(pictures), predictions.probabilities(temperature), judged)
