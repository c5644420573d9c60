"""`split.csv`: which picture a run used for what, so that another run, or a report, uses it in the same way."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from lesion_demo.config import CLASSES
from lesion_demo.data.fingerprints import hash_file
from lesion_demo.data.folders import check_roots, name_sources
from lesion_demo.data.picture import Picture
from lesion_demo.data.splits import CORRUPT, DROPPED, SPLIT_NAMES, Splits
from lesion_demo.errors import DataError
from lesion_demo.files import replacing

KEPT_COLUMNS = ("dx",)
"""Manifest columns that a split file keeps, empty where a data set has none."""
SPLIT_HEADER = ("source", "file", "content_hash", "split", "label", "group", "near_duplicate_of_train", *KEPT_COLUMNS)
REASON = "reason"
"""A further column: why a picture was left out. Older files have none."""


def read_rows(path: Path, columns: Sequence[str] = SPLIT_HEADER) -> list[dict[str, str]]:
    """The rows of the split file at `path`, whose pictures need not be there; all of them have these `columns`.

    Raises:
        DataError: it is no split file.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            reader = csv.DictReader(file)
            if missing := [name for name in columns if name not in (reader.fieldnames or ())]:
                raise ValueError(f"it lacks the column {', '.join(missing)}")
            rows = list(reader)
        if cut := next((number for number, row in enumerate(rows, 2) if None in map(row.get, columns)), None):
            raise ValueError(f"row {cut} is cut short")
    except (OSError, csv.Error, ValueError) as error:
        raise DataError(
            f"{path} could not be read as a split file ({error}): restore it, or make the split again."
        ) from error
    return rows


def read_sides(path: Path) -> dict[str, str]:
    """Content hash → `train`, `val` or `test`, of the pictures in use in the split file at `path`.

    Raises:
        DataError: it is no split file.
    """
    rows = read_rows(path, ("content_hash", "split"))
    return {row["content_hash"]: row["split"] for row in rows if row["split"] in SPLIT_NAMES}


def write_split(path: Path, splits: Splits) -> None:
    """Write `splits` as CSV, at once or not at all: one row per picture, SPLIT_HEADER and REASON as columns.

    Raises:
        OSError: the disk refused.
    """
    pictures = [*splits.pictures, *splits.dropped, *(picture for picture, _ in splits.corrupt)]
    path.parent.mkdir(parents=True, exist_ok=True)
    # Before Python 3.13, a CR in a name gets quotes only where everything does, and a reader takes it for a line's end.
    quoted = any("\r" in picture.file for picture in pictures)
    with replacing(path) as part, part.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL)
        writer.writerow((*SPLIT_HEADER, REASON))
        writer.writerows(_to_row(picture) for picture in pictures)


def _to_row(picture: Picture) -> list[str]:
    row = [picture.source, picture.file, picture.content_hash, picture.split, CLASSES[picture.label], picture.group]
    kept = [picture.columns.get(name, "") for name in KEPT_COLUMNS]
    return [*row, str(int(picture.near_duplicate_of_train)), *kept, picture.reason]


def read_split(path: Path, roots: Sequence[Path]) -> Splits:
    """The splits that `write_split` wrote, with the files of the same data sets `roots` (moved or not).

    Pictures keep KEPT_COLUMNS of their manifest's columns; files that came to the folders since are disregarded.

    Raises:
        DataError: the file is missing or no split file, a data set is not among `roots`, or a picture in use is
            missing or changed.
    """
    check_roots(roots)
    sources = name_sources(roots)
    pictures = [_from_row(row, sources, path) for row in read_rows(path)]
    used = [picture for picture in pictures if picture.split in SPLIT_NAMES]
    with ThreadPoolExecutor(2) as pool:
        progress = tqdm(pool.map(_check_content, used), total=len(used), desc="Checking pictures", unit="picture")
        deque(progress, maxlen=0)
    return Splits(
        tuple(used),
        tuple(picture for picture in pictures if picture.split == DROPPED),
        tuple((p, p.reason or "corrupt when the split was made") for p in pictures if p.split == CORRUPT),
    )


def _from_row(row: Mapping[str, str], sources: Mapping[str, Path], path: Path) -> Picture:
    if row["source"] not in sources:
        raise DataError(
            f"{path} was made with a data set folder {row['source']!r}, but the folders given are "
            f"{', '.join(map(repr, sources))}; name the same folders in the same order."
        )
    if row["label"] not in CLASSES:
        raise DataError(f"{path} has the class {row['label']!r}, not {' or '.join(CLASSES)}: make the split again.")
    return Picture(
        path=sources[row["source"]] / row["file"],
        file=row["file"],
        source=row["source"],
        split=row["split"],
        label=CLASSES.index(row["label"]),
        columns={name: row[name] for name in KEPT_COLUMNS if row[name]},
        content_hash=row["content_hash"],
        group=row["group"],
        near_duplicate_of_train=row["near_duplicate_of_train"] == "1",
        reason=row.get(REASON) or "",
    )


def _check_content(picture: Picture) -> None:
    try:
        content_hash = hash_file(picture)
    except OSError as error:
        raise DataError(f"{picture.path}, part of the split, could not be read ({error}); restore it.") from error
    if content_hash != picture.content_hash:
        raise DataError(f"{picture.path} has changed since the split was made; restore it, or make the split again.")
