"""Fit a checkpoint to one clinic: labelled pictures → log-odds → line, thresholds and their cross-validated figures."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lesion_demo.arrays import logistic, margins
from lesion_demo.checkpoint import LoadedCheckpoint
from lesion_demo.config import CLASSES
from lesion_demo.data.duplicates import near_duplicate_pairs
from lesion_demo.data.fingerprints import fingerprint
from lesion_demo.data.folders import scan_outside
from lesion_demo.data.grouping import group_pictures, links_between
from lesion_demo.data.picture import Picture
from lesion_demo.data.split_file import read_sides
from lesion_demo.errors import DataError
from lesion_demo.evaluate.recalibration import cross_validate, fit_local, local_points
from lesion_demo.evaluate.reporting import Scorer
from lesion_demo.evaluate.scores import score
from lesion_demo.local_calibration import LocalCalibration, require_name
from lesion_demo.run_folder import SPLIT_FILE

LEAST_PICTURES = 100
LEAST_OF_CLASS = 20
"""Lesions of either class: of fewer malignant ones, a threshold that misses 5 % misses none."""
WEAK_ROC_AUC = 0.75


@dataclass(frozen=True)
class Sample:
    """A clinic's labelled pictures, each with its group, and what is to be known of them before they are relied on."""

    pictures: tuple[Picture, ...]
    warnings: tuple[str, ...] = ()

    @property
    def labels(self) -> NDArray[np.int64]:
        return np.array([picture.label for picture in self.pictures], dtype=np.int64)

    @property
    def groups(self) -> list[str]:
        return [picture.group for picture in self.pictures]


def recalibrate(
    loaded: LoadedCheckpoint,
    root: Path,
    *,
    name: str = "",
    class_map: Mapping[str, str] | None = None,
    skip_corrupt: bool = False,
    device: str | None = None,
) -> tuple[LocalCalibration, tuple[str, ...]]:
    """The checkpoint fitted to the pictures at `root`, and warnings, a sentence each.

    Args:
        name: of the clinic; the folder's, if there is none.

    Raises:
        DataError: as `read_sample`; the pictures are too few; or the checkpoint ranks them the wrong way round.
        CalibrationError: `name` is not one.
    """
    name = name or Path(root).resolve().name
    require_name(name)
    sample = read_sample(root, loaded.folder / SPLIT_FILE, class_map=class_map, skip_corrupt=skip_corrupt)
    check_size(root, sample)
    meta, labels = loaded.meta, sample.labels
    log_odds = log_odds_of(loaded, sample.pictures, device)
    auc = score(labels, logistic(log_odds)).roc_auc
    if auc <= 0.5:
        raise DataError(
            f"The checkpoint tells the malignant from the benign pictures of {root} no better than chance (ROC-AUC "
            f"{auc:.2f}), which calibration cannot correct; check that the class names are not swapped."
        )
    points, groups, prevalence = meta.operating_points, sample.groups, meta.prevalence
    fit = fit_local(log_odds, labels, points, groups=groups, prevalence=prevalence)
    tested = cross_validate(log_odds, labels, points, groups=groups, prevalence=prevalence)
    local = LocalCalibration(
        name=name,
        pictures=len(labels),
        malignant=int(labels.sum()),
        fitted_on=datetime.date.today().isoformat(),
        weights_sha256=meta.weights_sha256,
        temperature=meta.temperature,
        prevalence=meta.prevalence,
        slope=fit.slope,
        intercept=fit.intercept,
        points=local_points(fit, tested),
    )
    weak = f"It tells malignant from benign poorly here (ROC-AUC {auc:.2f}): no calibration mends that."
    return local, (*sample.warnings, *([weak] if auc < WEAK_ROC_AUC else []))


def read_sample(
    root: Path, split_file: Path, *, class_map: Mapping[str, str] | None = None, skip_corrupt: bool = False
) -> Sample:
    """The pictures at `root` but those that the checkpoint learnt from, by the content hashes in its `split_file`.

    Pictures of one lesion or patient, and near-duplicates, share a group.

    Raises:
        DataError: the folder is not laid out as expected, one file is filed under both classes, or pictures cannot be
            decoded (unless `skip_corrupt`).
    """
    pictures = scan_outside(root, class_map)
    prints = fingerprint(pictures)
    warnings: list[str] = []
    if prints.corrupt:
        index, reason = prints.corrupt[0]
        count = f"{len(prints.corrupt)} of {len(pictures)} pictures cannot be read, the first {pictures[index].path}"
        if not skip_corrupt:
            raise DataError(f"{count} ({reason}): replace or remove them, or leave them out with --skip-corrupt.")
        warnings.append(f"{count}: left out.")
    sides = read_sides(split_file) if split_file.is_file() else {}
    if not sides:
        warnings.append(f"{split_file} is missing: whether the checkpoint has learnt from these pictures is not known.")
    corrupt = {index for index, _ in prints.corrupt}
    known = {index for index, content in enumerate(prints.content_hashes) if sides.get(content) == "train"}
    if known - corrupt:
        count = f"{len(known - corrupt)} of {len(pictures)} pictures"
        warnings.append(f"{count} are among those that the checkpoint has learnt from: left out.")
    kept = [index for index in range(len(pictures)) if index not in corrupt | known]
    prints = prints.subset(kept)
    chosen = [replace(pictures[i], content_hash=hash_) for i, hash_ in zip(kept, prints.content_hashes, strict=True)]
    _require_one_class_each(chosen)
    groups = group_pictures(chosen, links_between(chosen, near_duplicate_pairs(prints))) if chosen else []
    return Sample(tuple(replace(one, group=group) for one, group in zip(chosen, groups, strict=True)), tuple(warnings))


def _require_one_class_each(pictures: Sequence[Picture]) -> None:
    seen: dict[str, Picture] = {}
    for picture in pictures:
        first = seen.setdefault(picture.content_hash, picture)
        if first.label != picture.label:
            raise DataError(
                f"{picture.path} is the same file as {first.path}, but one is labelled {CLASSES[picture.label]}, the "
                f"other {CLASSES[first.label]}: keep the correct one."
            )


def check_size(root: Path, sample: Sample) -> None:
    """Is it enough to fit to? Pictures are counted, and lesions of either class.

    Raises:
        DataError: it is not; the message says what there is and how much it takes.
    """
    lesions = [len({p.group for p in sample.pictures if p.label == label}) for label in range(len(CLASSES))]
    if len(sample.pictures) < LEAST_PICTURES or min(lesions) < LEAST_OF_CLASS:
        counts = " and ".join(f"{count} {name}" for count, name in zip(lesions, CLASSES, strict=True))
        left_out = f" ({' '.join(sample.warnings)})" if sample.warnings else ""
        raise DataError(
            f"{root} has {len(sample.pictures)} usable pictures of {counts} lesions; a fit needs at least "
            f"{LEAST_PICTURES} "
            f"pictures and {LEAST_OF_CLASS} lesions of each class: add some.{left_out}"
        )


def log_odds_of(
    loaded: LoadedCheckpoint, pictures: Sequence[Picture], device: str | None = None
) -> NDArray[np.float64]:
    """Log-odds of malignancy [N] of `pictures`, as `loaded` gives them."""
    predictions = Scorer.of(loaded, device=device).predict(pictures, "log-odds", None)
    return margins(predictions.logits) / loaded.meta.temperature + loaded.meta.intercept
