"""A look at a labelled folder that had no part in training or in any choice."""

from __future__ import annotations

import csv
import datetime
import hashlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lesion_demo.checkpoint import LoadedCheckpoint, save_meta
from lesion_demo.config import CLASSES
from lesion_demo.data.dataset import WORKERS
from lesion_demo.data.duplicates import near_duplicate_pairs
from lesion_demo.data.fingerprints import fingerprint, hashed
from lesion_demo.data.folders import scan_outside
from lesion_demo.data.grouping import grouped
from lesion_demo.data.picture import Picture
from lesion_demo.data.split_file import read_rows, read_split
from lesion_demo.errors import CheckpointError, DataError
from lesion_demo.evaluate.reporting import Scorer
from lesion_demo.evaluate.settle import judge_of, read_further
from lesion_demo.files import replacing, write_json
from lesion_demo.results import Report, to_json
from lesion_demo.run_folder import FURTHER_FILE, LOOKS_FILE, METRICS_FILE, SPLIT_FILE

log = logging.getLogger(__name__)

LOOKS_HEADER = ("time", "folder", "pictures", "fingerprint", "weights_sha256", "operating_points")


def look_outside(
    loaded: LoadedCheckpoint,
    root: Path,
    roots: Sequence[Path] = (),
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
        roots: the data sets of the run; pictures of `root` that show the same as one of theirs, in another crop or
            size, are left out. Without them only identical files are looked for.
        photographs: its pictures were taken without a dermatoscope.

    Raises:
        DataError: the folder is no data set, has a file of the checkpoint's own, or has no other picture than those
            that the run knows; or `roots` are not those of its `split.csv`.
        CheckpointError: the log could not be written. LesionDemoError: the report could not.
    """
    pictures = grouped(hashed(scan_outside(root)))
    name = pictures[0].source
    _check_outside(loaded.folder, root, pictures)
    pictures = _without_near_duplicates(loaded.folder, root, pictures, roots)
    _note_look(loaded, name, pictures)
    meta, scorer = loaded.meta, Scorer.of(loaded, workers=workers, device=device)
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
        if (folder / name).is_file()
        for row in read_rows(folder / name)
    }
    shared = [picture for picture in pictures if picture.content_hash in own]
    if shared:
        first = shared[0]
        raise DataError(
            f"{root} is not an outside data set: {len(shared)} of its {len(pictures)} pictures are the checkpoint's "
            "own, "
            f"{first.file} is {own[first.content_hash]}. Remove them, or evaluate on the test split."
        )


def _without_near_duplicates(
    folder: Path, root: Path, pictures: Sequence[Picture], roots: Sequence[Path]
) -> list[Picture]:
    """Those of `pictures` that show nothing that the run in `folder` has seen in another crop or size."""
    if not roots:
        log.warning(
            "Only identical files were looked for: with --data and the run's data sets, pictures of %s that the run "
            "has in another crop are found and left out, too.",
            root,
        )
        return list(pictures)
    own = [*read_split(folder / SPLIT_FILE, roots).pictures, *read_further(folder, roots)]
    prints = fingerprint([*own, *pictures])
    if unreadable := [reason for index, reason in prints.corrupt if index >= len(own)]:
        raise DataError(f"{len(unreadable)} pictures in {root} could not be decoded ({unreadable[0]}): remove them.")
    seen = {second - len(own) for first, second in near_duplicate_pairs(prints) if first < len(own) <= second}
    if len(seen) == len(pictures):
        raise DataError(
            f"{root} is not an outside data set: the run already has each of its pictures in another crop or size."
        )
    if seen:
        first = pictures[min(seen)]
        log.warning(
            "%d of %d pictures in %s were left out: the run has them in another crop or size. The first: %s.",
            *(len(seen), len(pictures), root, first.file),
        )
    return [picture for index, picture in enumerate(pictures) if index not in seen]


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
        raise CheckpointError(
            f"Could not write {path} ({error}); the pictures are not scored until the look can be recorded."
        ) from error
