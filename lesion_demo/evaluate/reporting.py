"""The report of a checkpoint: test in full, and every operating point on the pictures of every source."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from torch import nn

from lesion_demo.arrays import Floats
from lesion_demo.checkpoint import LoadedCheckpoint
from lesion_demo.config import OperatingPoint, PreprocessSpec
from lesion_demo.data.dataset import (
    WORKERS,
    Edit,
    EditedDataset,
    LesionDataset,
    Measure,
    PictureReader,
    edited_loader,
    eval_loader,
)
from lesion_demo.data.picture import Picture
from lesion_demo.evaluate.inference import Batch, Predictions, last_features, predict_batches, together
from lesion_demo.evaluate.referral import distance_to_threshold
from lesion_demo.evaluate.run import EvaluatedSplit
from lesion_demo.evaluate.scores import report
from lesion_demo.images.quality import check_quality
from lesion_demo.images.transforms import eval_transform
from lesion_demo.network.familiarity import FamiliarityModel
from lesion_demo.network.forward import Network, graph_network, network_of, pick_device, place_model
from lesion_demo.network.graph import OnnxEngine, has_runtime
from lesion_demo.results import Metrics, OutcomeCounts, Outcomes, Report
from lesion_demo.run_folder import GRAPH_FILE


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

    def report(self, split: EvaluatedSplit) -> Report:
        """Everything about `split`, with intervals by group."""
        made = report(split.labels, split.probabilities, self.points, groups=split.groups)
        seen = np.array([picture.near_duplicate_of_train for picture in split.pictures])
        points = tuple(
            replace(found, outcomes=outcomes(split, point, self.margins[point.name]))
            for found, point in zip(made.points, self.points, strict=True)
        )
        return replace(
            made,
            points=points,
            seen_benign=int((seen & (split.labels == 0)).sum()),
            seen_malignant=int((seen & (split.labels == 1)).sum()),
            photographs=bool(split.pictures) and all(picture.source in self.photographs for picture in split.pictures),
        )


def summarise(test: EvaluatedSplit | None, val: EvaluatedSplit, judge: Judge) -> Metrics:
    """The report on the test split, where there is one, and on validation."""
    metrics = Metrics(validation_by_source=_by_source(val, judge))
    if test is None:
        return metrics
    return replace(
        metrics,
        test=judge.report(test),
        test_without_near_duplicates=judge.report(
            test.where([not picture.near_duplicate_of_train for picture in test.pictures])
        ),
        test_by_source=_by_source(test, judge),
    )


def _by_source(split: EvaluatedSplit, judge: Judge) -> dict[str, Report]:
    return {source: judge.report(own) for source, own in split.by_source().items()}


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


@dataclass(frozen=True)
class Scorer:
    """A network with all that is needed to say of pictures what the app would, in float32 as the app does.

    Attributes:
        known: which pictures are familiar; None where that cannot be told.
        graph: the same network for ONNX Runtime, which then runs in place of `model`.
        workers: processes that read and prepare pictures.
        device: see `pick_device`.
    """

    model: nn.Module
    spec: PreprocessSpec
    known: FamiliarityModel | None = None
    reader: PictureReader = field(default_factory=PictureReader)
    workers: int = WORKERS
    device: str | None = None
    graph: OnnxEngine | None = None

    @classmethod
    def of(cls, loaded: LoadedCheckpoint, *, workers: int = WORKERS, device: str | None = None) -> Scorer:
        """That of a checkpoint. On a CPU its graph runs, where it has one, in less than half the time."""
        graph = None
        if pick_device(device).type == "cpu" and (loaded.folder / GRAPH_FILE).is_file() and has_runtime():
            graph = OnnxEngine(loaded.folder, loaded.meta.weights_sha256)
        return cls(loaded.model, loaded.meta.preprocess, loaded.known, workers=workers, device=device, graph=graph)

    @property
    def network(self) -> Network:
        return graph_network(self.graph) if self.graph else network_of(place_model(self.model, self.device))

    def predict(
        self, pictures: Sequence[Picture], title: str, measure: Measure[Any] | None = check_quality
    ) -> Predictions:
        """What the network says of `pictures`; as `measured`, what `measure` finds: their quality reports."""
        (found,) = self.edited(pictures, (None,), title, measure)
        return found

    @property
    def one_look(self) -> Scorer:
        """The same without turns, for early features and quality, to which they would add nothing but time."""
        return replace(self, spec=replace(self.spec, turns=1))

    def last_features(self, pictures: Sequence[Picture], title: str) -> Floats | None:
        """Means of the last maps [N, C] of `pictures`; None where the network has no maps."""
        loader = eval_loader(LesionDataset(pictures, eval_transform(self.spec), self.reader), workers=self.workers)
        return last_features(self.network, loader, title)

    def edited(
        self, pictures: Sequence[Picture], edits: Sequence[Edit | None], title: str, measure: Measure[Any] | None = None
    ) -> Iterator[Predictions]:
        """What the network says of `pictures` under each of `edits`, as soon as it has seen them all under it.

        Each is read once and passed once. One loader for all edits: its workers go on to the next, instead of being
        started for each. As `measured`, what `measure` finds in a picture as it is then.
        """
        dataset = EditedDataset(pictures, eval_transform(self.spec), self.reader, edits, measure)
        loader = edited_loader(dataset, workers=self.workers)
        batches: list[Batch] = []
        for batch in predict_batches(self.network, loader, title, turns=self.spec.turns):
            batches.append(batch)
            if sum(len(one.indices) for one in batches) == len(pictures):
                yield together(batches)
                batches = []

    def score(self, pictures: Sequence[Picture], temperature: float, title: str) -> EvaluatedSplit:
        """`pictures` with their calibrated probabilities, and which of them get a verdict."""
        return self.evaluated(pictures, self.predict(pictures, title), temperature)

    def evaluated(self, pictures: Sequence[Picture], predictions: Predictions, temperature: float) -> EvaluatedSplit:
        """The same after `predict`: by the quality of a picture and by its likeness to those `known`."""
        judged = np.array([report.assessable for report in predictions.measured], dtype=bool)
        if self.known is not None and predictions.early is not None:
            judged &= ~self.known.refused(predictions.early)
        return EvaluatedSplit(tuple(pictures), predictions.probabilities(temperature), judged)
