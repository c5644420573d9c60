"""Data set folders: which pictures are there, what they show, and which split they stand in."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from lesion_demo.config import CLASSES
from lesion_demo.errors import DataError
from lesion_demo.imaging.loading import PICTURE_SUFFIXES

SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""Folder name or manifest entry, in lower case → split."""
MANIFEST = "manifest.csv"
MANIFEST_COLUMNS = ("file", "split", "label")
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
        source: the data set's folder name, unique among the data sets scanned together.
        split: `train`, `val` or `test`.
        label: index into `lesion_demo.config.CLASSES`: 0 benign, 1 malignant.
        columns: the manifest's further columns; empty without a manifest.
        content_hash: SHA-256 of the file, hex; empty until it has been read.
        group: pictures that share it stay on one side of every split; empty until grouped.
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

    @property
    def name(self) -> str:
        """`source/file`: unique over all data sets, the same on every machine."""
        return f"{self.source}/{self.file}"


def scan(roots: Sequence[Path], class_map: Mapping[str, str] | None = None) -> list[Picture]:
    """The pictures of several data sets, in the order of `roots`; each source name is unique (`data`, `data-2`, …).

    Raises:
        DataError: no root is given, one is given twice, or one is not a data set (see `scan_folder`).
    """
    if not roots:
        raise DataError("No data set folder was given; name at least one with --data FOLDER.")
    pictures: list[Picture] = []
    for source, root in name_sources(roots).items():
        pictures += _scan_root(root, source, class_map)
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

    Raises:
        DataError: a folder is given twice.
    """
    sources: dict[str, Path] = {}
    for root in (Path(root).expanduser().resolve() for root in roots):
        if root in sources.values():
            raise DataError(f"Data set folder {root} is given twice; name it once.")
        name, count = root.name, 2
        while name in sources:
            name, count = f"{root.name}-{count}", count + 1
        sources[name] = root
    return sources


def _scan_root(root: Path, source: str, class_map: Mapping[str, str] | None, *, outside: bool = False) -> list[Picture]:
    if not root.exists():
        raise DataError(f"Data set folder {root} does not exist; check the path ({LAYOUT}).")
    if not root.is_dir():
        raise DataError(f"{root} is not a folder; name the data set's folder ({LAYOUT}).")
    labels = _label_table(class_map)
    has_manifest = (root / MANIFEST).is_file()
    pictures = _from_manifest(root, source, labels) if has_manifest else _from_folders(root, source, labels, outside)
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
    return re.sub(r"[\s_\-]+", " ", name.replace("'", "").replace("’", "")).strip().lower()


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


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not _hidden(path.name))


def _pictures_in(folder: Path) -> list[Path]:
    """The picture files below `folder`, at any depth, sorted."""
    found: list[Path] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not _hidden(name)]
        found += [
            Path(parent, name) for name in files if not _hidden(name) and Path(name).suffix.lower() in PICTURE_SUFFIXES
        ]
    return sorted(found)


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
    for split, folder in class_folders:
        files = _pictures_in(folder)
        if not files:
            kinds = ", ".join(sorted(suffix[1:] for suffix in PICTURE_SUFFIXES))
            raise DataError(f"{folder} holds no pictures ({kinds}); fill the folder or remove it.")
        label = labels[_plain_name(folder.name)]
        pictures += [Picture(path, path.relative_to(root).as_posix(), source, split, label) for path in files]
    return pictures


# --- manifest --------------------------------------------------------------------------------------------------------


def _from_manifest(root: Path, source: str, labels: Mapping[str, int]) -> list[Picture]:
    rows = _read_manifest(root / MANIFEST)
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
    return pictures


def _read_manifest(path: Path) -> list[dict[str, str]]:
    """The rows, every cell a stripped string.

    Raises:
        DataError: the file is not readable as UTF-8 CSV, or lacks a column.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restkey="")
            missing = [name for name in MANIFEST_COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise DataError(f"{path} lacks the column {', '.join(missing)}; it needs file, split and label.")
            return [{key: (value or "").strip() for key, value in row.items() if key} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} could not be read ({error}); save it as UTF-8 CSV.") from error
