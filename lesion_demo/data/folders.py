"""Data set folders: which pictures are there, what they show, and which split they stand in."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from lesion_demo.config import CLASSES
from lesion_demo.data.manifest import ID_COLUMNS, MANIFEST, MANIFEST_COLUMNS, is_missing, read_manifest
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
from lesion_demo.images.files import is_hidden_folder, picture_files, skipped_in_words, why_skipped
from lesion_demo.images.load import PICTURE_SUFFIXES

log = logging.getLogger(__name__)

SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""Folder name or manifest entry, in lower case → split."""
LAYOUT = "expected train|val|test / <class> / pictures, or a manifest.csv with columns file, split, label"

BENIGN_NAMES = (
    *("benign", "nevus", "naevus", "nevi", "naevi", "nv", "nev", "mole", "melanocytic nevus", "melanocytic nevi"),
    *("bkl", "bk", "benign keratosis", "benign keratosis like lesions", "pigmented benign keratosis", "pbk"),
    *("sk", "sek", "seborrheic keratosis", "seborrheic keratoses", "seborrhoeic keratosis", "lentigo", "solar lentigo"),
    *("df", "dermatofibroma", "vasc", "vascular lesion", "vascular lesions", "hemangioma", "haemangioma"),
    *("ak", "ack", "actinic keratosis", "actinic keratoses"),
)
MALIGNANT_NAMES = (
    *("malignant", "melanoma", "mel", "melanoma in situ", "melanoma metastasis", "lentigo maligna"),
    *("bcc", "basal cell carcinoma", "scc", "squamous cell carcinoma", "bowen disease", "bowens disease"),
    *("akiec", "carcinoma", "kaposi sarcoma", "merkel cell carcinoma", "cancer"),
)
"""Names that need no `--class-map`. `akiec` is malignant because HAM10000 files intraepithelial carcinoma (Bowen's
disease) under it; a plain actinic keratosis (`ak`, `ack`) is precancerous and counts as benign, as in PAD-UFES-20."""


@dataclass(frozen=True)
class Picture:
    """One labelled picture of a data set.

    Attributes:
        path: where it lies, absolute.
        file: the same below the data set's folder, with forward slashes.
        source: the name of the data set's folder, or of the link to it that was given; unique among the data sets that
            are scanned together.
        split: `train`, `val` or `test`.
        label: index into `lesion_demo.config.CLASSES`: 0 benign, 1 malignant.
        columns: the manifest's further columns; empty without a manifest.
        content_hash: SHA-256 of the file, hex; empty until it has been read.
        group: pictures that share it stay on one side of every split; empty until grouped.
        reason: why it was left out; empty where it is in use.
        near_duplicate_of_train: of a test picture, or one from a `val` folder: a `train` folder holds the same picture.
    """

    path: Path
    file: str
    source: str
    split: str
    label: int
    columns: Mapping[str, str] = field(default_factory=dict)
    content_hash: str = ""
    group: str = ""
    near_duplicate_of_train: bool = False
    reason: str = ""

    @property
    def name(self) -> str:
        """`source/file`: unique over all data sets, the same on every machine."""
        return f"{self.source}/{self.file}"


def scan(
    roots: Sequence[Path], class_map: Mapping[str, str] | None = None, table: LabelTable | None = None
) -> list[Picture]:
    """The pictures of several data sets, in the order of `roots`; each source name is unique (`data`, `data-2`, …).

    With a `table`, that labels the pictures of the one root.

    Raises:
        DataError: no root is given, several are beside a table, one is given twice, or one is not a
            data set (see `scan_folder`).
    """
    if not roots:
        raise DataError("No data set folder was given; name at least one with --data FOLDER.")
    if table is not None and len(roots) != 1:
        raise DataError(f"--labels is for one folder, and {len(roots)} are given with --data: name one.")
    check_roots(roots)
    pictures: list[Picture] = []
    for source, root in name_sources(roots).items():
        pictures += _scan_root(root, source, class_map, table=table)
    return pictures


def scan_folder(root: Path, class_map: Mapping[str, str] | None = None) -> list[Picture]:
    """The pictures of one data set, ordered by split, class folder and file name (or as its manifest has them).

    A data set is `train|val|test / <class> / picture` (`valid` and `validation` mean `val`), or a folder with a
    `manifest.csv` of columns file, split, label and any more.

    Args:
        root: the data set's folder.
        class_map: class name → `benign` or `malignant`; goes before the names known by themselves.

    Raises:
        DataError: the folder is missing, empty, or not laid out like that; a class is unknown; a class folder or a
            split lacks pictures of a class; a file that the manifest lists is missing.
    """
    return scan([root], class_map)


def scan_outside(root: Path, class_map: Mapping[str, str] | None = None) -> list[Picture]:
    """The pictures of a labelled folder that had no part in training, in whatever split it files them.

    Beside the layouts of `scan_folder`, of which it need not have a training split, class folders may stand in it
    directly.

    Raises:
        DataError: as `scan_folder`.
    """
    (source, root), *_ = name_sources([root]).items()
    return _scan_root(root, source, class_map, outside=True)


def name_sources(roots: Sequence[Path]) -> dict[str, Path]:
    """Source name → absolute folder. A name that comes again gets `-2`, `-3`, … in the order of `roots`.

    A link gives its own name, not that of the folder it leads to.

    Raises:
        DataError: a folder is given twice.
    """
    sources: dict[str, Path] = {}
    for given in (Path(root).expanduser() for root in roots):
        root = given.resolve()
        if root in sources.values():
            raise DataError(f"Data set folder {root} is given twice; name it once.")
        own_name = root.name if given.name in ("", "..") else given.name
        name, count = own_name, 2
        while name in sources:
            name, count = f"{own_name}-{count}", count + 1
        sources[name] = root
    return sources


def check_roots(roots: Sequence[Path]) -> None:
    """See that each of the data sets `roots` is a folder, before anything is read.

    Raises:
        DataError: one is not.
    """
    for root in (Path(root).expanduser().absolute() for root in roots):
        if not root.exists():
            raise DataError(f"Data set folder {root} does not exist; check the path ({LAYOUT}).")
        if not root.is_dir():
            raise DataError(f"{root} is not a folder; name the data set's folder ({LAYOUT}).")


def _scan_root(
    root: Path,
    source: str,
    class_map: Mapping[str, str] | None,
    *,
    outside: bool = False,
    table: LabelTable | None = None,
) -> list[Picture]:
    check_roots([root])
    labels = _label_table(class_map)
    if table is None and (root / ISIC_TABLE).is_file() and not (root / MANIFEST).is_file() and not _has_splits(root):
        table = LabelTable(str(root / ISIC_TABLE))
    if table is not None:
        pictures = _from_table(root, source, labels, table, "test" if outside else "train")
    elif (root / MANIFEST).is_file():
        pictures = _from_manifest(root, source, labels)
    else:
        pictures = _from_folders(root, source, labels, outside)
    if not pictures:
        raise DataError(f"{root} holds no pictures; {LAYOUT}.")
    if not outside:
        _check_splits(root, pictures)
    return pictures


def _check_splits(root: Path, pictures: Sequence[Picture]) -> None:
    """Raises DataError if there is no training split, or a split has pictures of one class only."""
    labels_of: dict[str, set[int]] = {}
    for picture in pictures:
        labels_of.setdefault(picture.split, set()).add(picture.label)
    if "train" not in labels_of:
        raise DataError(f"{root} has no training pictures (only {', '.join(sorted(labels_of))}); {LAYOUT}.")
    for split, labels in labels_of.items():
        if len(labels) < len(CLASSES):
            missing = ", ".join(name for index, name in enumerate(CLASSES) if index not in labels)
            raise DataError(
                f"The {split} split of {root} has no {missing} pictures; add some, or check the class names."
            )


# --- class names -----------------------------------------------------------------------------------------------------


def _plain_name(name: str) -> str:
    """Lower case, with underscores, dashes and apostrophes out of the way."""
    composed = unicodedata.normalize("NFC", name)  # a Mac's file system takes letters and accents apart
    return re.sub(r"[\s_\-]+", " ", composed.replace("'", "").replace("’", "")).strip().lower()


def _label_table(class_map: Mapping[str, str] | None) -> dict[str, int]:
    """Plain class name → label, the explicit ones over the known ones.

    Raises:
        DataError: `class_map` maps a name to something other than a class.
    """
    table = dict.fromkeys(BENIGN_NAMES, 0) | dict.fromkeys(MALIGNANT_NAMES, 1)
    for name, target in (class_map or {}).items():
        if target.lower() not in CLASSES:
            raise DataError(
                f"--class-map {name}={target}: {target!r} is not a class; "
                f"use {name}={CLASSES[0]} or {name}={CLASSES[1]}."
            )
        table[_plain_name(name)] = CLASSES.index(target.lower())
    return table


def _check_names(where: Path, found: Iterable[str], labels: Mapping[str, int]) -> None:
    """Raises DataError if one of the class names `found` is unknown."""
    names = sorted(set(found))
    unknown = [name for name in names if _plain_name(name) not in labels]
    if unknown:
        hint = " ".join(f'--class-map "{name}={CLASSES[0]}"' for name in unknown[:3])
        raise DataError(
            f"{where} has classes {', '.join(map(repr, names))}; "
            f"{', '.join(map(repr, unknown))} {'is' if len(unknown) == 1 else 'are'} not known. "
            f"Map each to {' or '.join(CLASSES)}, e.g. {hint}."
        )


# --- folders ---------------------------------------------------------------------------------------------------------


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder} may not be read ({error.strerror}); change its permissions or remove it.") from error


def _subfolders(folder: Path) -> list[Path]:
    return [path for path in _entries(folder) if path.is_dir() and not is_hidden_folder(path.name)]


def _loose_pictures(folder: Path) -> int:
    """How many pictures lie in `folder` itself."""
    return sum(not why_skipped(Path(path.name)) and path.is_file() for path in _entries(folder))


def _from_folders(root: Path, source: str, labels: Mapping[str, int], outside: bool = False) -> list[Picture]:
    split_folders = [(SPLITS[path.name.lower()], path) for path in _subfolders(root) if path.name.lower() in SPLITS]
    if outside and not split_folders:
        split_folders = [("test", root)]
    class_folders = [(split, path) for split, folder in split_folders for path in _subfolders(folder)]
    if not class_folders:
        found = ", ".join(path.name for path in _subfolders(root)) or "none"
        raise DataError(f"{root} holds no pictures in class folders (folders found: {found}); {LAYOUT}.")
    _check_names(root, (path.name for _, path in class_folders), labels)
    pictures: list[Picture] = []
    skipped: Counter[str] = Counter()
    for split, folder in class_folders:
        files = _class_pictures(folder, skipped)
        label = labels[_plain_name(folder.name)]
        pictures += [Picture(path, path.relative_to(root).as_posix(), source, split, label) for path in files]
    skipped["picture outside of the class folders"] = sum(
        map(_loose_pictures, (root, *(path for _, path in split_folders)))
    )
    unused = [path.name for path in _subfolders(root) if path.name.lower() not in SPLITS]
    skipped.update(f"folder {name}, which is no split" for name in unused)
    _log_skipped(root, skipped)
    return pictures


def _class_pictures(folder: Path, skipped: Counter[str]) -> tuple[Path, ...]:
    """The pictures below `folder`; what else lies there is added to `skipped`."""
    found = picture_files(folder)
    if found.closed:
        raise DataError(f"{found.closed[0]} may not be read; change its permissions or remove it.")
    if not found.pictures:
        kinds = ", ".join(sorted(suffix[1:] for suffix in PICTURE_SUFFIXES))
        raise DataError(
            f"{folder} holds no pictures ({kinds}); fill the folder or remove it. {found.in_words()}".strip()
        )
    skipped.update(found.skipped)
    return found.pictures


def _log_skipped(root: Path, skipped: Counter[str]) -> None:
    if +skipped:
        log.warning("%s", skipped_in_words(root, +skipped))


# --- manifest --------------------------------------------------------------------------------------------------------


def _from_manifest(root: Path, source: str, labels: Mapping[str, int]) -> list[Picture]:
    rows = read_manifest(root / MANIFEST)
    _check_names(root / MANIFEST, (row["label"] for row in rows), labels)
    pictures: list[Picture] = []
    seen: set[str] = set()
    for number, row in enumerate(rows, start=2):  # line 1 is the header
        where = f"{root / MANIFEST}, line {number}"
        file = PurePosixPath(row["file"].replace("\\", "/")).as_posix()
        path = root / file
        if not path.is_file():
            raise DataError(f"{where}: file {row['file']!r} is not in {root}; restore it or remove the row.")
        if row["split"].lower() not in SPLITS:
            raise DataError(f"{where}: split {row['split']!r} is unknown; use train, val or test.")
        if file in seen:
            raise DataError(f"{where}: file {row['file']!r} is listed twice; keep one row.")
        seen.add(file)
        columns = {key: value for key, value in row.items() if key not in MANIFEST_COLUMNS}
        split, label = SPLITS[row["split"].lower()], labels[_plain_name(row["label"])]
        pictures.append(Picture(path, file, source, split, label, columns))
    found = picture_files(root)
    unlisted = sum(path.relative_to(root).as_posix() not in seen for path in found.pictures)
    unread = Counter(dict(found.skipped))
    unread.pop(".csv", None)  # the manifest itself, for one
    _log_skipped(root, unread + Counter({f"picture that is not in {MANIFEST}": unlisted}))
    return pictures


# --- a table of one's own --------------------------------------------------------------------------------------------


def _has_splits(root: Path) -> bool:
    return any(path.name.lower() in SPLITS for path in _subfolders(root))


def _from_table(root: Path, source: str, labels: Mapping[str, int], table: LabelTable, split: str) -> list[Picture]:
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
        if archive and _plain_name(diagnosis) in ("", "indeterminate"):
            undecided += 1
            continue
        found = places.get(_key(name), [])
        problem = _row_problem(name, diagnosis, found, labels, pictures)
        if problem:
            shown = diagnosis if problem == UNKNOWN else name
            problems.setdefault(problem, []).append(f"{shown!r} (line {number})")
            continue
        names[diagnosis] += 1
        columns = {own: "" if is_missing(row[index]) else row[index] for own, index in ids.items()}
        file = found[0].relative_to(root).as_posix()
        pictures[found[0]] = Picture(found[0], file, source, split, labels[_plain_name(diagnosis)], columns)
    if problems:
        raise DataError(_problems_in_words(table.path, problems))
    for name, count in sorted(names.items()):
        log.info("%s: %s → %s, %d pictures", table.path.name, name, CLASSES[labels[_plain_name(name)]], count)
    unlisted = len({path for found in places.values() for path in found} - set(pictures)) - undecided
    left_out = {f"picture that {table.path.name} gives no class": undecided, "picture that is not in it": unlisted}
    _log_skipped(root, Counter({kind: max(0, count) for kind, count in left_out.items()}))
    return list(pictures.values())


UNKNOWN = "diagnoses that are not known"


def _row_problem(
    name: str, diagnosis: str, found: Sequence[Path], labels: Mapping[str, int], taken: Mapping[Path, Picture]
) -> str:
    """What is wrong with a row; empty if nothing is."""
    if not name:
        return "rows without a picture's name"
    if not diagnosis:
        return "pictures without a diagnosis"
    if _plain_name(diagnosis) not in labels:
        return UNKNOWN
    if not found:
        return "pictures that are not in the folder"
    if len(found) > 1:
        return "names that fit several files"
    return "pictures listed twice" if found[0] in taken else ""


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
    last = PurePosixPath(unicodedata.normalize("NFC", name).replace("\\", "/")).name.casefold()
    stem, dot, suffix = last.rpartition(".")
    return stem if dot and f".{suffix}" in PICTURE_SUFFIXES else last


def _places(root: Path) -> dict[str, list[Path]]:
    """Where the pictures below `root` lie, by `_key`."""
    places: dict[str, list[Path]] = {}
    for path in picture_files(root).pictures:
        places.setdefault(_key(path.name), []).append(path)
    return places


def _id_columns(table: LabelTable, header: Sequence[str]) -> dict[str, int]:
    """`lesion_id`, `patient_id` → index of the column that holds it; the column `table.group` is one of them."""
    plain = [plain_header(name) for name in header]
    ids = {name: plain.index(plain_header(name)) for name in ID_COLUMNS if plain_header(name) in plain}
    if table.group:
        group = find_column(table.path, header, table.group, (), "--group-column")
        if group not in ids.values():
            free = next((name for name in reversed(ID_COLUMNS) if name not in ids), None)
            if free is None:
                raise DataError(f"{table.path} has lesion_id and patient_id already: leave --group-column away.")
            ids[free] = group
    return ids
