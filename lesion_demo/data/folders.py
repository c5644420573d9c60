"""Data set folders: which pictures are there, what they show, and which split they stand in."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from lesion_demo.config import CLASSES
from lesion_demo.data.class_names import check_names, labels_by_name, plain_name
from lesion_demo.data.labelled import label_pictures
from lesion_demo.data.manifest import MANIFEST, MANIFEST_COLUMNS, read_manifest
from lesion_demo.data.picture import Picture
from lesion_demo.data.table import ISIC_TABLE, LabelTable
from lesion_demo.errors import DataError
from lesion_demo.files import printable
from lesion_demo.images.files import is_hidden_folder, picture_files, skipped_in_words, why_skipped
from lesion_demo.images.load import PICTURE_SUFFIXES

log = logging.getLogger(__name__)

SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""Folder name or manifest entry, in lower case → split."""
LAYOUT = "expected train|val|test / <class> / pictures, or a manifest.csv with columns file, split, label"


def scan(
    roots: Sequence[Path], class_map: Mapping[str, str] | None = None, table: LabelTable | None = None
) -> list[Picture]:
    """The pictures of data sets in the order of `roots`; each source name is unique (`data`, `data-2`, …).

    A data set is `train|val|test / <class> / picture` (`valid` and `validation` mean `val`), or a folder with a
    `manifest.csv` of columns file, split, label and any more. Its pictures are ordered by split, class folder and file
    name, or as its manifest has them.

    Args:
        class_map: class name → `benign` or `malignant`; goes before the names known by themselves.
        table: labels the pictures of the one root.

    Raises:
        DataError: no root is given, several are beside a table, or one is given twice; a folder is missing, empty, or
            not laid out like that; a class is unknown; a class folder or a split lacks pictures of a class; a file that
            the manifest lists is missing.
    """
    if not roots:
        raise DataError("No data set folder was given; name at least one with --data FOLDER.")
    if table is not None and len(roots) != 1:
        raise DataError(f"--labels works with one folder, but --data gives {len(roots)}: name one.")
    check_roots(roots)
    pictures: list[Picture] = []
    for source, root in name_sources(roots).items():
        pictures += _scan_root(root, source, class_map, table=table)
    return pictures


def scan_outside(root: Path, class_map: Mapping[str, str] | None = None) -> list[Picture]:
    """The pictures of a labelled folder that had no part in training, in whatever split it files them.

    Beside the layouts of `scan`, of which it need not have a training split, class folders may stand in it
    directly.

    Raises:
        DataError: as `scan`.
    """
    (source, root), *_ = name_sources([root]).items()
    return _scan_root(root, source, class_map, outside=True)


def name_sources(roots: Sequence[Path]) -> dict[str, Path]:
    """Source name → absolute folder. A name that comes again gets `-2`, `-3`, … in the order of `roots`.

    A link gives its own name, not that of the folder it leads to. Reports and the page show it, so that bytes in it
    that are not UTF-8 become escapes.

    Raises:
        DataError: a folder is given twice.
    """
    sources: dict[str, Path] = {}
    for given in (Path(root).expanduser() for root in roots):
        root = given.resolve()
        if root in sources.values():
            raise DataError(f"Data set folder {root} is given twice; name it once.")
        own_name = printable(root.name if given.name in ("", "..") else given.name)
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
    labels = labels_by_name(class_map)
    if table is None and (root / ISIC_TABLE).is_file() and not (root / MANIFEST).is_file() and not _has_splits(root):
        table = LabelTable(str(root / ISIC_TABLE))
    if table is not None:
        pictures = label_pictures(root, source, labels, table, "test" if outside else "train")
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


# --- folders ---------------------------------------------------------------------------------------------------------


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder} cannot be read ({error.strerror}); change its permissions or remove it.") from error


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
        names = ", ".join(path.name for path in _subfolders(root)) or "none"
        raise DataError(f"{root} holds no pictures in class folders (folders found: {names}); {LAYOUT}.")
    check_names(root, (path.name for _, path in class_folders), labels)
    pictures: list[Picture] = []
    skipped: Counter[str] = Counter()
    for split, folder in class_folders:
        files = _class_pictures(folder, skipped)
        label = labels[plain_name(folder.name)]
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
    files = picture_files(folder)
    if files.closed:
        raise DataError(f"{files.closed[0]} may not be read; change its permissions or remove it.")
    if not files.pictures:
        kinds = ", ".join(sorted(suffix[1:] for suffix in PICTURE_SUFFIXES))
        raise DataError(
            f"{folder} holds no pictures ({kinds}); fill the folder or remove it. {files.in_words()}".strip()
        )
    skipped.update(files.skipped)
    return files.pictures


def _log_skipped(root: Path, skipped: Counter[str]) -> None:
    if +skipped:
        log.warning("%s", skipped_in_words(root, +skipped))


def _has_splits(root: Path) -> bool:
    return any(path.name.lower() in SPLITS for path in _subfolders(root))


# --- manifest --------------------------------------------------------------------------------------------------------


def _from_manifest(root: Path, source: str, labels: Mapping[str, int]) -> list[Picture]:
    rows = read_manifest(root / MANIFEST)
    check_names(root / MANIFEST, (row["label"] for row in rows), labels)
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
        split, label = SPLITS[row["split"].lower()], labels[plain_name(row["label"])]
        pictures.append(Picture(path, file, source, split, label, columns))
    files = picture_files(root)
    unlisted = sum(path.relative_to(root).as_posix() not in seen for path in files.pictures)
    unread = Counter(dict(files.skipped))
    unread.pop(".csv", None)  # the manifest itself, for one
    _log_skipped(root, unread + Counter({f"picture that is not in {MANIFEST}": unlisted}))
    return pictures
