"""Which files of a folder, or of a zip, are pictures to look at, and which kinds of file were passed over."""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from lesion_demo.images.load import PICTURE_SUFFIXES

HIDDEN = "hidden or system file"
HIDDEN_FOLDER = "hidden or system folder"
MASK = "mask of a lesion"
NO_FILE = "pipe, socket or device"
SEEN_FOLDER = "link to a folder that was searched already"

_SYSTEM_NAMES = frozenset(
    {"__macosx", "#recycle", "$recycle.bin", "system volume information", "lost+found", "network trash folder"}
    | {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"}
)
"""In lower case. What starts with a dot (`._x.jpg`, `.Trashes`) is one of them."""
_MASK = re.compile(r"_(superpixels|segmentation|attribute_[a-z_]+|masks?)$", re.IGNORECASE)
"""How a picture's outlines are named in the ISIC archive, HAM10000 and elsewhere."""


@dataclass(frozen=True)
class FoundFiles:
    """What lies in a folder and below it.

    Attributes:
        folder: where was looked.
        pictures: the picture files, sorted.
        skipped: kind of file or folder → how many of it were passed over.
        closed: the folders that may not be read, sorted.
    """

    folder: Path
    pictures: tuple[Path, ...]
    skipped: Mapping[str, int] = field(default_factory=dict)
    closed: tuple[Path, ...] = ()

    def in_words(self) -> str:
        """A sentence that names what was passed over; empty if nothing was."""
        return skipped_in_words(self.folder, self.skipped)


def skipped_in_words(folder: Path, skipped: Mapping[str, int]) -> str:
    """`Skipped in DIR: 3 × .jxl, 1 × mask of a lesion.`, or nothing."""
    if not skipped:
        return ""
    kinds = ", ".join(f"{count:,} × {kind}" for kind, count in sorted(skipped.items()))
    unread = [kind for kind in skipped if kind in (".jxl", ".cr2", ".nef", ".arw", ".dng", ".psd")]
    hint = f" To use {' and '.join(sorted(unread))} files, export them as JPEG or PNG first." if unread else ""
    return f"Skipped in {folder}: {kinds}.{hint}"


def is_hidden_folder(name: str) -> bool:
    """Does a folder of this `name` belong to the system or a program, like Synology's `@eaDir` of thumbnails?"""
    return name.startswith("@") or _is_hidden(name)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in _SYSTEM_NAMES


def why_skipped(file: PurePath) -> str:
    """The kind of `file`, a path below the folder or zip that it came in, if it is to be passed over; else ''."""
    *folders, name = (part for part in file.parts if part not in ("..", file.anchor))
    if any(map(is_hidden_folder, folders)) or _is_hidden(name):
        return HIDDEN
    if file.suffix.lower() not in PICTURE_SUFFIXES:
        return file.suffix.lower() or "file without a suffix"
    return MASK if _MASK.search(file.stem) else ""


def picture_files(folder: Path) -> FoundFiles:
    """The pictures in `folder`, at any depth: links are followed, and no folder is searched twice.

    Hidden and system files and folders, lesion masks, and whatever has no picture's suffix are passed over and counted.
    """
    pictures: list[Path] = []
    closed: list[Path] = []
    skipped: Counter[str] = Counter()
    seen = {_identity(folder)}

    def note_closed(error: OSError) -> None:
        closed.append(Path(error.filename))

    for place, folders, files in os.walk(folder, followlinks=True, onerror=note_closed):
        skipped[HIDDEN_FOLDER] += sum(map(is_hidden_folder, folders))
        searched = sorted(name for name in folders if not is_hidden_folder(name))
        folders[:] = [name for name in searched if _first_time(Path(place, name), seen)]
        skipped[SEEN_FOLDER] += len(searched) - len(folders)
        for path in (Path(place, name) for name in files):
            kind = why_skipped(PurePath(path.name)) or _odd_kind(path)
            skipped[kind] += bool(kind)
            if not kind:
                pictures.append(path)
    return FoundFiles(folder, tuple(sorted(pictures)), dict(+skipped), tuple(sorted(closed)))


def _identity(folder: Path) -> tuple[int, int]:
    """Device and inode: the same for a folder and all links to it."""
    try:
        found = folder.stat()
    except OSError:  # whoever opens it is told why
        return -1, hash(folder)
    return found.st_dev, found.st_ino


def _first_time(folder: Path, seen: set[tuple[int, int]]) -> bool:
    identity = _identity(folder)
    if identity in seen:
        return False
    seen.add(identity)
    return True


def _odd_kind(path: Path) -> str:
    """What `path` is if reading it could block or never end. A link to nothing is reported by whoever reads it."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return ""
    return "" if stat.S_ISREG(mode) else NO_FILE
