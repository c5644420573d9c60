"""Pictures below a folder, labelled by a table as people have it."""

from __future__ import annotations

import logging
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from lesion_demo.config import CLASSES
from lesion_demo.data.class_names import plain_name
from lesion_demo.data.manifest import ID_COLUMNS, is_missing
from lesion_demo.data.picture import Picture
from lesion_demo.data.table import (
    IMAGE_NAMES,
    ISIC_TABLE,
    LABEL_NAMES,
    LabelTable,
    find_column,
    plain_header,
    read_table,
)
from lesion_demo.errors import DataError
from lesion_demo.images.files import picture_files, skipped_in_words
from lesion_demo.images.load import PICTURE_SUFFIXES

log = logging.getLogger(__name__)

UNKNOWN = "diagnoses that are not known"


def label_pictures(root: Path, source: str, labels: Mapping[str, int], table: LabelTable, split: str) -> list[Picture]:
    """The pictures below `root` that `table` labels, all in `split`; one message tells of all its problems."""
    header, rows = read_table(table.path)
    image = find_column(table.path, header, table.image, IMAGE_NAMES, "--image-column")
    label = find_column(table.path, header, table.label, LABEL_NAMES, "--label-column")
    ids = _id_columns(table, header)
    places = _places(root)
    archive = table.path.name == ISIC_TABLE
    problems: dict[str, list[str]] = {}
    pictures: dict[Path, Picture] = {}
    names: Counter[str] = Counter()
    undecided = 0
    for number, row in rows:
        name, diagnosis = row[image], row[label]
        if archive and plain_name(diagnosis) in ("", "indeterminate"):
            undecided += 1
            continue
        files = _where(name, places)
        problem = _row_problem(name, diagnosis, files, labels, pictures)
        if problem:
            shown = diagnosis if problem == UNKNOWN else name
            problems.setdefault(problem, []).append(f"{shown!r} (line {number})")
            continue
        names[diagnosis] += 1
        columns = {own: "" if is_missing(row[index]) else row[index] for own, index in ids.items()}
        file = files[0].relative_to(root).as_posix()
        pictures[files[0]] = Picture(files[0], file, source, split, labels[plain_name(diagnosis)], columns)
    if problems:
        raise DataError(_problems_in_words(table.path, problems))
    for name, count in sorted(names.items()):
        counted = f"{count} picture{'' if count == 1 else 's'}"
        log.info("%s: %s → %s, %s", table.path.name, name, CLASSES[labels[plain_name(name)]], counted)
    unlisted = len({path for files in places.values() for path in files} - set(pictures)) - undecided
    left_out = {f"picture without a class in {table.path.name}": undecided, "picture that is not in it": unlisted}
    if skipped := +Counter(left_out):
        log.warning("%s", skipped_in_words(root, skipped))
    return list(pictures.values())


def _row_problem(
    name: str, diagnosis: str, files: Sequence[Path], labels: Mapping[str, int], taken: Mapping[Path, Picture]
) -> str:
    """What is wrong with a row; empty if nothing is."""
    if not name:
        return "rows without a picture's name"
    if not diagnosis:
        return "pictures without a diagnosis"
    if plain_name(diagnosis) not in labels:
        return UNKNOWN
    if not files:
        return "pictures that are not in the folder"
    if len(files) > 1:
        return "names that fit several files"
    return "pictures listed twice" if files[0] in taken else ""


def _problems_in_words(path: Path, problems: Mapping[str, Sequence[str]]) -> str:
    told = []
    for problem, cases in problems.items():
        more = ", …" if len(cases) > 3 else ""
        told.append(f"{len(cases):,} {problem}: {', '.join(cases[:3])}{more}")
    advice = "Correct these rows or remove them"
    if UNKNOWN in problems:
        unknown = sorted({case.rpartition(" (")[0].strip("'\"") for case in problems[UNKNOWN]})
        maps = " ".join(f'--class-map "{name}={CLASSES[0]}"' for name in unknown)
        advice += f"; map each diagnosis to {' or '.join(CLASSES)}, e.g. {maps}"
    return f"{path}: {'; '.join(told)}. {advice}."


def _key(name: str) -> str:
    """The last part of a picture's path, without a picture's suffix, whatever system spelt it."""
    last = _plain_path(name).name
    stem, dot, suffix = last.rpartition(".")
    return stem if dot and f".{suffix}" in PICTURE_SUFFIXES else last


def _places(root: Path) -> dict[str, list[Path]]:
    """Where the pictures below `root` lie, by `_key`."""
    places: dict[str, list[Path]] = {}
    for path in picture_files(root).pictures:
        places.setdefault(_key(path.name), []).append(path)
    return places


def _where(name: str, places: Mapping[str, Sequence[Path]]) -> Sequence[Path]:
    """Files that a row's `name` fits: of several in different folders, those in the folders that it names, too."""
    files = places.get(_key(name), [])
    folders = _plain_path(name).parts[:-1]
    if len(files) < 2 or not folders:
        return files
    return [path for path in files if _plain_path(str(path)).parts[:-1][-len(folders) :] == folders]


def _plain_path(name: str) -> PurePosixPath:
    """A path as it compares, whatever system spelt it."""
    return PurePosixPath(unicodedata.normalize("NFC", name).replace("\\", "/").casefold())


def _id_columns(table: LabelTable, header: Sequence[str]) -> dict[str, int]:
    """`lesion_id`, `patient_id` → index of the column that holds it; the column `table.group` is one of them."""
    plain = [plain_header(name) for name in header]
    ids = {name: plain.index(plain_header(name)) for name in ID_COLUMNS if plain_header(name) in plain}
    if table.group:
        group = find_column(table.path, header, table.group, (), "--group-column")
        if group not in ids.values():
            free = next((name for name in reversed(ID_COLUMNS) if name not in ids), None)
            if free is None:
                raise DataError(f"{table.path} already has lesion_id and patient_id: leave out --group-column.")
            ids[free] = group
    return ids
