"""A checkpoint's figures anew, without training: chosen again on validation pictures, or looked at from outside."""

from __future__ import annotations

import csv
import datetime
import hashlib
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from lesion_demo.checkpoint import Checkpoint, LoadedCheckpoint, save_meta
from lesion_demo.config import CLASSES
from lesion_demo.data.dataset import WORKERS, PictureReader
from lesion_demo.data.fingerprints import hash_file
from lesion_demo.data.folders import name_sources, scan, scan_outside
from lesion_demo.data.grouping import group_pictures
from lesion_demo.data.picture import Picture
from lesion_demo.data.split_file import SPLIT_HEADER, read_split, write_split
from lesion_demo.data.splits import Splits
from lesion_demo.errors import CheckpointError, DataError
from lesion_demo.evaluate.reporting import Scorer
from lesion_demo.evaluate.settle import describe, judge_of, read_choices, settle
from lesion_demo.files import replacing, write_json
from lesion_demo.results import Report, to_json
from lesion_demo.run_folder import FURTHER_FILE, LOOKS_FILE, METRICS_FILE, SPLIT_FILE

log = logging.getLogger(__name__)

LOOKS_HEADER = ("time", "folder", "pictures", "fingerprint", "weights_sha256", "operating_points")


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
    scorer = Scorer(loaded.model, meta.preprocess, loaded.known, PictureReader(), workers=workers, device=device)
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
    found: list[Picture] = []
    for source, root in name_sources(roots).items():
        if source not in known:
            found += [replace(picture, source=source) for picture in scan([root]) if picture.split != "test"]
    hashes = {picture.content_hash: picture.split for picture in used}
    files = {name: picture.split for picture in used for name in (picture.file, picture.name)}
    kept = []
    for picture in _hashed(found):
        twin = hashes.get(picture.content_hash) or files.get(picture.columns.get("same_as", ""))
        if twin in (None, "train"):  # a picture of validation would count twice; one of test decides nothing
            kept.append(replace(picture, split="val", near_duplicate_of_train=twin == "train"))
    if len(kept) < len(found):
        log.info("%d pictures were left out: the run validates or tests on them.", len(found) - len(kept))
    return _grouped(kept)


def look_outside(
    loaded: LoadedCheckpoint,
    root: Path,
    *,
    photographs: bool = False,
    workers: int = WORKERS,
    device: str | None = None,
) -> Report:
    """The report on a labelled folder that had no part in training or in any choice, written beside the others.

    Every look is written down in `external.csv` before it is taken: a second one, after something was changed in the
    light of the first, is no longer from outside.

    Args:
        root: see `scan_outside`.
        photographs: its pictures were taken without a dermatoscope.

    Raises:
        DataError: the folder is no data set, or has a picture of the checkpoint's own.
        CheckpointError: the log could not be written. LesionDemoError: the report could not.
    """
    pictures = _grouped(_hashed(scan_outside(root)))
    name = pictures[0].source
    _check_outside(loaded.folder, root, pictures)
    _note_look(loaded, name, pictures)
    meta = loaded.meta
    scorer = Scorer(loaded.model, meta.preprocess, loaded.known, PictureReader(), workers=workers, device=device)
    judge = replace(judge_of(loaded), photographs=(name,) if photographs else ())
    report = judge.report(scorer.score(pictures, meta.temperature, name))
    metrics = replace(meta.metrics, external={**meta.metrics.external, name: report})
    write_json(loaded.folder / METRICS_FILE, to_json(metrics))
    save_meta(loaded.folder, replace(meta, metrics=metrics))
    return report


def _check_outside(folder: Path, root: Path, pictures: Sequence[Picture]) -> None:
    """Raises DataError if one of `pictures` is, byte for byte, one that the run in `folder` used or left out."""
    own = {
        row["content_hash"]: f"{row['source']}/{row['file']}"
        for name in (SPLIT_FILE, FURTHER_FILE)
        for row in _rows(folder / name)
    }
    shared = [picture for picture in pictures if picture.content_hash in own]
    if shared:
        first = shared[0]
        raise DataError(
            f"{root} is not from outside: {len(shared)} of its {len(pictures)} pictures are the checkpoint's own, "
            f"{first.file} is {own[first.content_hash]}. Remove them, or evaluate on the test split."
        )


def _rows(path: Path) -> list[dict[str, str]]:
    """The rows of a split file, whose pictures need not be there; none without the file.

    Raises:
        DataError: it is no split file.
    """
    if not path.is_file():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if missing := [name for name in SPLIT_HEADER if name not in (reader.fieldnames or ())]:
                raise ValueError(f"it lacks the column {', '.join(missing)}")
            return list(reader)
    except (OSError, csv.Error, ValueError) as error:
        raise DataError(f"{path} could not be read as a split file ({error}); copy the checkpoint again.") from error


def _note_look(loaded: LoadedCheckpoint, name: str, pictures: Sequence[Picture]) -> None:
    """Add a line to the checkpoint's log of looks."""
    path = loaded.folder / LOOKS_FILE
    lines = sorted(f"{picture.content_hash} {CLASSES[picture.label]}" for picture in pictures)
    row = (
        datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        name,
        len(pictures),
        hashlib.sha256("\n".join(lines).encode()).hexdigest(),
        loaded.meta.weights_sha256,
        "; ".join(f"{point.name} {point.threshold:.6f}" for point in loaded.meta.operating_points),
    )
    try:
        before = path.read_text(encoding="utf-8") if path.is_file() else ""
        with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
            file.write(before)
            csv.writer(file, lineterminator="\n").writerows([row] if before else [LOOKS_HEADER, row])
    except OSError as error:
        raise CheckpointError(f"Could not write {path} ({error}); without it no look is taken.") from error


def _hashed(pictures: Sequence[Picture]) -> list[Picture]:
    """`pictures` with their content's hash."""
    if not pictures:
        return []

    def read(picture: Picture) -> Picture:
        try:
            return replace(picture, content_hash=hash_file(picture))
        except OSError as error:
            raise DataError(f"{picture.path} could not be read ({error}); restore it.") from error

    with ThreadPoolExecutor(2) as pool:
        return list(tqdm(pool.map(read, pictures), total=len(pictures), desc="Checking pictures", unit="picture"))


def _grouped(pictures: Sequence[Picture]) -> list[Picture]:
    """`pictures` with their group, as far as manifests and content tell it."""
    groups = group_pictures(pictures, [])
    return [replace(picture, group=group) for picture, group in zip(pictures, groups, strict=True)]
