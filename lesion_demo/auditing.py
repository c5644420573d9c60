"""A whole audit of a checkpoint: shortcuts, strata, quality, familiarity, uncertainty."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from torch import nn
from tqdm import tqdm

from lesion_demo.checkpoint import LoadedCheckpoint
from lesion_demo.config import OperatingPoint, PreprocessSpec
from lesion_demo.imaging.perturb import DEGRADATIONS, STRENGTHS
from lesion_demo.imaging.quality import check_quality
from lesion_demo.imaging.transforms import Picture as Pixels
from lesion_demo.imaging.transforms import eval_transform
from lesion_demo.imaging.unrelated import plain_skin, unrelated_pictures
from lesion_demo.learning.audit import Audit, ChangeResult, audit_change, blind_scores
from lesion_demo.learning.audit_trust import (
    NewClinicResult,
    StrangerResult,
    UntouchedResult,
    coverages,
    degraded,
    new_clinics,
    referrals,
    refused,
    untouched,
)
from lesion_demo.learning.dataset import LesionDataset, PictureReader, eval_loader
from lesion_demo.learning.evaluation import EvaluatedSplit, run_model
from lesion_demo.learning.familiarity import Floats, KnownPictures, describe_all, describe_pictures
from lesion_demo.learning.folders import Picture
from lesion_demo.learning.shortcuts import CHANGES
from lesion_demo.learning.split_file import read_split
from lesion_demo.learning.splits import Splits
from lesion_demo.learning.strata import strata, traits
from lesion_demo.pipeline import SPLIT_FILE, read_choices

PICTURES = 200
"""Of the test split, by default, to draw changes on: more take longer than they tell."""
DESCRIBED = 500
"""Training pictures of a data set that stand for it where it alone is known."""
SKINS = 100
"""Corners of plain skin."""
VIEWS = 4


@dataclass(frozen=True)
class Auditor:
    """What every part of an audit needs; `step` moves the progress bar.

    Attributes:
        photographs: data sets that were taken without a dermatoscope.
    """

    model: nn.Module
    spec: PreprocessSpec
    temperature: float
    known: KnownPictures | None
    point: OperatingPoint
    splits: Splits
    reader: PictureReader
    progress: tqdm
    keep: Callable[[ChangeResult], None]
    photographs: Collection[str] = ()

    def step(self) -> None:
        self.progress.update()

    def evaluated(self, pictures: Sequence[Picture], views: int = 1) -> tuple[EvaluatedSplit, Floats]:
        """`pictures` with their probabilities, and the spread of their log-odds over the views [N]."""
        found = run_model(self.model, self.spec, pictures, title="test", reader=self.reader, views=views)
        self.step()
        spread = found.spread if found.spread is not None else np.zeros(len(pictures))
        return EvaluatedSplit(tuple(pictures), found.probabilities(self.temperature)), spread

    def changes(self, plain: EvaluatedSplit) -> list[ChangeResult]:
        """What should not move a verdict, and how much it does."""
        found = []
        for name in CHANGES:
            result = audit_change(
                self.model,
                self.spec,
                plain,
                name,
                temperature=self.temperature,
                point=self.point,
                reader=self.reader,
            )
            self.keep(result)
            found.append(result)
            self.step()
        return found

    def familiarity(self) -> tuple[list[UntouchedResult], list[StrangerResult], list[NewClinicResult]]:
        """What is held back of validation pictures, of strangers, and of pictures from elsewhere."""
        val = self.splits.of("val")
        if self.known is None:
            return untouched(val, None, None, self.reader), [], []
        features = self._described(val)
        kinds, pictures = self._strangers(val)
        strange = describe_pictures(self.model, eval_transform(self.spec), pictures, "strangers")
        found = refused(kinds, [check_quality(picture) for picture in pictures], strange, self.known)
        sources = sorted({picture.source for picture in val})
        train = {source: self._described(self._sample(source)) for source in sources}
        by_source = {source: features[[picture.source == source for picture in val]] for source in sources}
        self.step()
        return untouched(val, self.known, features, self.reader), found, new_clinics(train, by_source)

    def _sample(self, source: str) -> list[Picture]:
        own = [picture for picture in self.splits.of("train") if picture.source == source]
        return own[:: max(1, len(own) // DESCRIBED)]

    def _strangers(self, val: Sequence[Picture]) -> tuple[list[str], list[Pixels]]:
        dermoscopic = [picture for picture in val if picture.source not in self.photographs]
        mixed = sorted(dermoscopic, key=lambda picture: picture.content_hash)  # of every source, in no order of theirs
        corners = (plain_skin(self.reader(picture)) for picture in mixed[1::2])
        skins = list(islice((corner for corner in corners if corner is not None), SKINS))
        found = [*unrelated_pictures(), *(("plain skin", corner) for corner in skins)]
        return [kind for kind, _ in found], [picture for _, picture in found]

    def _described(self, pictures: Sequence[Picture]) -> Floats:
        dataset = LesionDataset(pictures, eval_transform(self.spec), self.reader)
        return describe_all(self.model, eval_loader(dataset), "features")


def audit(
    loaded: LoadedCheckpoint,
    roots: Sequence[Path],
    *,
    operating_point: str,
    limit: int | None = PICTURES,
    keep: Callable[[ChangeResult], None] = lambda result: None,
) -> Audit:
    """What moves the verdicts of `loaded` on its test split (validation where there is none), and should not; and
    what is held back.

    Args:
        limit: about so many pictures of it, evenly, to draw changes on and to look at from several views; None for
            all. What one look at each picture tells is told of all of them.
        keep: told of every change as soon as it is measured, should the audit be stopped.

    Raises:
        DataError: the data sets are not those of the checkpoint's `split.csv`. CheckpointError: no such point.
        LesionDemoError: a package with sample pictures is missing.
    """
    started = time.monotonic()
    point, points = loaded.meta.operating_point(operating_point), loaded.meta.operating_points
    if loaded.known is not None:
        next(unrelated_pictures())  # finds out now, not in a quarter of an hour, what is not installed
    splits = read_split(loaded.folder / SPLIT_FILE, roots)
    tested = splits.of("test") or splits.of("val")
    step = max(1, len(tested) // limit) if limit else 1
    reader = PictureReader()
    reader.cache(tested)
    steps = len(CHANGES) + len(DEGRADATIONS) * len(STRENGTHS) + 4
    with tqdm(total=steps, desc="audit", unit="step") as progress:
        auditor = Auditor(
            loaded.model,
            loaded.meta.preprocess,
            loaded.meta.temperature,
            loaded.known,
            point,
            splits,
            reader,
            progress,
            keep,
            read_choices(loaded.folder).photographs,
        )
        whole, _ = auditor.evaluated(tested)
        plain = whole.where([number % step == 0 for number in range(len(tested))])
        averaged, spread = auditor.evaluated(plain.pictures, VIEWS)
        changes = auditor.changes(plain)
        spoilt = degraded(
            loaded.model,
            loaded.meta.preprocess,
            plain.pictures,
            temperature=loaded.meta.temperature,
            point=point,
            reader=reader,
            tick=auditor.step,
        )
        untouched_, strange, clinics = auditor.familiarity()
        sources = {picture.source for picture in tested}
        train = [picture for picture in splits.of("train") if picture.source in sources]
        blind = blind_scores(train, tested, reader)
        auditor.step()
    return Audit(
        operating_point=point,
        pictures=len(plain.pictures),
        changes=tuple(changes),
        strata=tuple(strata(whole, traits(whole, reader), point)),
        blind_roc_auc=blind,
        untouched=tuple(untouched_),
        degradations=tuple(spoilt),
        strangers=tuple(strange),
        new_clinic=tuple(clinics),
        referrals=tuple(referrals(whole, points, [loaded.meta.margin_at(one) for one in points])),
        coverage=tuple(coverages(plain, averaged.probabilities, spread, point)),
        seconds=time.monotonic() - started,
    )
