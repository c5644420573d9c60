"""A whole audit of a checkpoint: shortcuts, subgroups, quality, familiarity, uncertainty."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lesion_demo.arrays import Floats
from lesion_demo.audit.changes import audit_changes, blind_scores
from lesion_demo.audit.clinics import audit_clinics
from lesion_demo.audit.heat import explain_all, faithfulness, mask_file, where_it_points
from lesion_demo.audit.holdback import coverages, degraded, new_clinics, referrals, refused, untouched
from lesion_demo.audit.reasons import named_faults
from lesion_demo.audit.shortcuts import CHANGES
from lesion_demo.audit.subgroups import subgroups, traits
from lesion_demo.checkpoint import LoadedCheckpoint
from lesion_demo.config import OperatingPoint, Turns
from lesion_demo.data.dataset import WORKERS
from lesion_demo.data.picture import Picture, by_source
from lesion_demo.data.split_file import read_split
from lesion_demo.data.splits import Splits
from lesion_demo.evaluate.inference import early_features
from lesion_demo.evaluate.reporting import Scorer
from lesion_demo.evaluate.run import EvaluatedSplit
from lesion_demo.evaluate.settle import read_choices
from lesion_demo.images import Pixels
from lesion_demo.images.perturb import DEGRADATIONS, STRENGTHS
from lesion_demo.images.quality import check_quality
from lesion_demo.images.transforms import eval_transform
from lesion_demo.images.unrelated import plain_skin, unrelated_pictures
from lesion_demo.results import (
    Audit,
    ChangeResult,
    ClinicAudit,
    DegradationResult,
    NewClinicResult,
    UnrelatedResult,
    UntouchedResult,
)
from lesion_demo.run_folder import SPLIT_FILE

PICTURES = 200
"""Of the test split, by default, to draw changes on: more take longer than they tell."""
DESCRIBED = 500
"""Training pictures of a data set that stand for it where it alone is known."""
SKINS = 100
"""Corners of plain skin."""
TURNS: Turns = 4


@dataclass(frozen=True)
class Auditor:
    """What every part of an audit needs; `step` moves the progress bar.

    Attributes:
        photographs: data sets that were taken without a dermatoscope.
    """

    scorer: Scorer
    temperature: float
    point: OperatingPoint
    splits: Splits
    progress: tqdm
    photographs: Collection[str] = ()

    def step(self) -> None:
        self.progress.update()

    def evaluated(self, pictures: Sequence[Picture], turns: Turns | None = None) -> tuple[EvaluatedSplit, Floats]:
        """`pictures` with their probabilities, and the spread of their log-odds over the turns [N].

        Args:
            turns: 1 or 4; by default as many as the checkpoint's answer is the mean of.
        """
        spec = self.scorer.spec if turns is None else replace(self.scorer.spec, turns=turns)
        found = replace(self.scorer, spec=spec).predict(pictures, "test", None)
        self.step()
        spread = found.spread if found.spread is not None else np.zeros(len(pictures))
        return EvaluatedSplit(tuple(pictures), found.probabilities(self.temperature)), spread

    def changes(self, plain: EvaluatedSplit, keep: Callable[[ChangeResult], None]) -> Iterator[ChangeResult]:
        """What should not move a verdict, and how much it does."""
        for result in audit_changes(self.scorer, plain, list(CHANGES), temperature=self.temperature, point=self.point):
            keep(result)
            self.step()
            yield result

    def degradations(self, plain: EvaluatedSplit) -> Iterator[DegradationResult]:
        """What spoiling the pictures does to the checks and to the model."""
        for result in degraded(self.scorer, plain.pictures, temperature=self.temperature, point=self.point):
            self.step()
            yield result

    def familiarity(self) -> tuple[list[UntouchedResult], list[UnrelatedResult], list[NewClinicResult]]:
        """What is held back of validation pictures, of unrelated ones, and of pictures from elsewhere."""
        val, known = self.splits.of("val"), self.scorer.known
        seen = self.scorer.one_look.predict(val, "validation")
        as_they_are = untouched(val, seen.measured, known, seen.early)
        if known is None or seen.early is None:
            return as_they_are, [], []
        kinds, pictures = self._unrelated(val)
        strange = early_features(self.scorer.network, eval_transform(self.scorer.spec), pictures, "unrelated")
        held_back = refused(kinds, [check_quality(picture) for picture in pictures], strange, known)
        sources = sorted({picture.source for picture in val})
        by_source = {source: seen.early[[picture.source == source for picture in val]] for source in sources}
        self.step()
        return as_they_are, held_back, new_clinics(self._train_features(sources), by_source)

    def clinics(self, limit: int | None) -> ClinicAudit | None:
        """What the clinic adds to a verdict; None where validation holds no dermoscopic picture."""
        val = [picture for picture in self.splits.of("val") if picture.source not in self.photographs]
        found = None
        if val:
            per_source = len(val) if limit is None else limit
            found = audit_clinics(self.scorer, val, temperature=self.temperature, point=self.point, limit=per_source)
        self.step()
        return found

    def _train_features(self, sources: Sequence[str]) -> dict[str, Floats]:
        """Early features [K, D] of some training pictures of each of `sources`."""
        train = by_source(self.splits.of("train"))
        samples = {source: (own := train.get(source, []))[:: max(1, len(own) // DESCRIBED)] for source in sources}
        chosen = [picture for sample in samples.values() for picture in sample]
        early = self.scorer.one_look.predict(chosen, "training", None).early if chosen else np.empty((0, 0))
        assert early is not None
        ends = np.cumsum([len(sample) for sample in samples.values()])[:-1]
        return dict(zip(sources, np.split(early, ends), strict=True))

    def _unrelated(self, val: Sequence[Picture]) -> tuple[list[str], list[Pixels]]:
        dermoscopic = [picture for picture in val if picture.source not in self.photographs]
        mixed = sorted(dermoscopic, key=lambda picture: picture.content_hash)  # of every source, in no order of theirs
        corners = (plain_skin(self.scorer.reader(picture)) for picture in mixed[1::2])
        skins = list(islice((corner for corner in corners if corner is not None), SKINS))
        found = [*unrelated_pictures(), *(("plain skin", corner) for corner in skins)]
        return [kind for kind, _ in found], [picture for _, picture in found]


def audit(
    loaded: LoadedCheckpoint,
    roots: Sequence[Path],
    *,
    operating_point: str,
    limit: int | None = PICTURES,
    keep: Callable[[ChangeResult], None] = lambda result: None,
    workers: int = WORKERS,
    device: str | None = None,
) -> Audit:
    """What moves the verdicts of `loaded` on its test split (validation where there is none), and should not; and
    what is held back.

    Args:
        limit: about so many pictures of it, evenly, to draw changes on and to look at in four turns; None for
            all. What one look at each picture tells is told of all of them.
        keep: told of every change as soon as it is measured, should the audit be stopped.
        workers: processes that read, change and prepare pictures.
        device: see `pick_device`.

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
    scorer = Scorer.of(loaded, workers=workers, device=device)
    reader = scorer.reader
    reader.cache(tested, workers=workers)
    steps = len(CHANGES) + len(DEGRADATIONS) * len(STRENGTHS) + 7
    with tqdm(total=steps, desc="audit", unit="step") as progress:
        photographs = read_choices(loaded.folder).photographs
        auditor = Auditor(scorer, loaded.meta.temperature, point, splits, progress, photographs)
        whole, _ = auditor.evaluated(tested)
        plain = whole.where([number % step == 0 for number in range(len(tested))])
        averaged, spread = auditor.evaluated(plain.pictures, TURNS)
        changes = tuple(auditor.changes(plain, keep))
        spoilt = tuple(auditor.degradations(plain))
        planted = tuple(named_faults(scorer, plain.pictures))
        auditor.step()
        as_they_are, strange, clinics = auditor.familiarity()
        by_clinic = auditor.clinics(limit)
        outlined = [picture for picture in splits.of("val") if mask_file(picture).is_file()]
        outlined = outlined[:: max(1, len(outlined) // limit) if limit else 1]
        explained = list(explain_all(loaded, [*outlined, *plain.pictures], reader, point, device))
        faithful = faithfulness(loaded, explained, device)
        auditor.step()
        sources = {picture.source for picture in tested}
        train = [picture for picture in splits.of("train") if picture.source in sources]
        blind = blind_scores(train, tested, reader, workers=workers)
        auditor.step()
    return Audit(
        operating_point=point,
        pictures=len(plain.pictures),
        changes=changes,
        subgroups=tuple(subgroups(whole, traits(whole, reader, workers=workers), point)),
        blind_roc_auc=blind,
        untouched=tuple(as_they_are),
        degradations=spoilt,
        planted=planted,
        unrelated=tuple(strange),
        new_clinic=tuple(clinics),
        referrals=tuple(referrals(whole, points, [loaded.meta.margin_at(one) for one in points])),
        coverage=tuple(coverages(plain, averaged.probabilities, spread, point)),
        clinics=by_clinic,
        heat=tuple(where_it_points(explained)),
        faithfulness=tuple(faithful),
        seconds=time.monotonic() - started,
    )
