"""A checkpoint's temperature, operating points and margins chosen again on validation pictures, without training."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lesion_demo.checkpoint import Checkpoint, LoadedCheckpoint, save_meta
from lesion_demo.data.dataset import WORKERS
from lesion_demo.data.fingerprints import hashed
from lesion_demo.data.folders import name_sources, scan
from lesion_demo.data.grouping import grouped
from lesion_demo.data.picture import Picture
from lesion_demo.data.split_file import read_split, write_split
from lesion_demo.data.splits import Splits
from lesion_demo.evaluate.reporting import Scorer
from lesion_demo.evaluate.settle import describe, read_choices, settle
from lesion_demo.run_folder import FURTHER_FILE, SPLIT_FILE

log = logging.getLogger(__name__)


def choose_again(
    loaded: LoadedCheckpoint, roots: Sequence[Path], *, workers: int = WORKERS, device: str | None = None
) -> Checkpoint:
    """Choose temperature, operating points and margins of `loaded` again, report, and save; the weights stay.

    Choices are made on the checkpoint's own validation pictures and on all of the data sets among `roots` that its run
    did not have, their test splits apart. What the run was trained on in another crop is marked, see `Report`.

    Raises:
        DataError: the data sets are not those of the checkpoint's `split.csv`, or a further one is no data set.
        CheckpointError: the result could not be saved.
    """
    folder, meta = loaded.folder, loaded.meta
    splits = read_split(folder / SPLIT_FILE, roots)
    further = _further(splits, roots)
    scorer = Scorer.of(loaded, workers=workers, device=device)
    val = [*splits.of("val"), *further]
    calibration, metrics = settle(folder, scorer, val, splits.of("test"), read_choices(folder))
    if further:
        write_split(folder / FURTHER_FILE, Splits(tuple(further)))
    return save_meta(
        folder,
        replace(
            meta,
            temperature=calibration.temperature,
            operating_points=calibration.operating_points,
            referral_margin=calibration.referral_margins["balanced"],
            referral_margins=calibration.referral_margins,
            metrics=metrics,
            data=describe(replace(splits, pictures=(*splits.pictures, *further))),
        ),
    )


def _further(splits: Splits, roots: Sequence[Path]) -> list[Picture]:
    """The pictures of the data sets among `roots` that the run did not have, as validation pictures."""
    used = (*splits.pictures, *splits.dropped, *(picture for picture, _ in splits.corrupt))
    known = {picture.source for picture in used}
    further: list[Picture] = []
    for source, root in name_sources(roots).items():
        if source not in known:
            further += [replace(picture, source=source) for picture in scan([root]) if picture.split != "test"]
    hashes = {picture.content_hash: picture.split for picture in used}
    files = {name: picture.split for picture in used for name in (picture.file, picture.name)}
    kept = []
    for picture in hashed(further):
        twin = hashes.get(picture.content_hash) or files.get(picture.columns.get("same_as", ""))
        if twin in (None, "train"):  # a picture of validation would count twice; one of test decides nothing
            kept.append(replace(picture, split="val", near_duplicate_of_train=twin == "train"))
    if len(kept) < len(further):
        log.info("%d pictures were left out: the run validates or tests on them.", len(further) - len(kept))
    return grouped(kept)
