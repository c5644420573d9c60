"""Files that are written whole or not at all, and the question beforehand whether they can be.

Names of files need not be UTF-8. What a program reads back (`split.csv`) keeps their bytes by `surrogateescape`; JSON
escapes them by itself; what people read (tables, reports, logs, a terminal) shows escapes, see `printable`.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lesion_demo.errors import LesionDemoError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EROFS, errno.EACCES, errno.EPERM)


def printable(name: str) -> str:
    """`name` of a file or folder, with escapes for bytes that are not UTF-8: `caf\\udce9`."""
    return name.encode("utf-8", "backslashreplace").decode()


def disk_is_full(error: BaseException) -> bool:
    """Is that, or a quota, what `error` tells?"""
    return isinstance(error, OSError) and error.errno in _FULL


def refused_by_disk(error: OSError) -> str:
    """What to say of `error` where it tells of a full disk, or of a place that may not be used; else nothing."""
    where = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
    if disk_is_full(error):
        return f"The disk is full ({where}): free some space, or choose another place."
    return (
        f"A file may not be used ({where}): change its rights, or choose another." if error.errno in _FORBIDDEN else ""
    )


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to, which takes the place of `path` when the block ends; if it fails, `path` is as it was.

    A link is followed, and its target replaced. What is no regular file, such as a pipe or a device, is not replaced:
    what was written goes into it when the block ends.

    Raises:
        OSError: the disk refused, or `path` is a folder.
    """
    mode = _mode(path)
    if mode is None or stat.S_ISREG(mode):
        with _beside(Path(os.path.realpath(path)), mode) as part:
            yield part
    elif stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    else:
        with tempfile.TemporaryDirectory() as folder:
            part = Path(folder) / "part"
            yield part
            with part.open("rb") as source, os.fdopen(os.open(path, os.O_WRONLY), "wb") as target:
                shutil.copyfileobj(source, target)


@contextmanager
def _beside(target: Path, mode: int | None) -> Iterator[Path]:
    """A path beside `target`, which it replaces once it is safe on the disk, with the permissions in `mode`."""
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)  # of a process that was killed
    try:
        yield part
        _sync(part, os.O_RDWR)
        if mode is not None:
            part.chmod(stat.S_IMODE(mode))
        os.replace(part, target)
        with suppress(OSError):  # not every file system does this for folders, and the file is in its place
            _sync(target.parent, os.O_RDONLY)
    finally:
        part.unlink(missing_ok=True)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _mode(path: Path) -> int | None:
    """What kind of file `path` is, links followed, and its permissions; None where there is none."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None


def read_json(path: Path) -> Any:
    """What the file at `path` says.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no JSON, or says something twice.
    """
    try:
        return json.loads(
            path.read_text(encoding="utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_without_repeats
        )
    except RecursionError as error:
        raise ValueError(str(error)) from error


def _refuse_constant(name: str) -> float:
    raise ValueError(f"JSON does not allow {name}")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; of a key that is there twice, either value might be meant."""
    for key, count in Counter(key for key, _ in pairs).items():
        if count > 1:
            raise ValueError(f"{key} appears {count} times")
    return dict(pairs)


def write_json(
    path: Path,
    value: Any,
    kind: type[LesionDemoError] = LesionDemoError,
    advice: str = "free some disk space, or choose another place",
) -> None:
    """Write `value`, of JSON's types, into `path`, whole or not at all; its folder is made where it is missing.

    Raises:
        LesionDemoError: the disk refused; it is of the `kind` asked for, and ends with the `advice`.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            part.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        why = error.strerror or error
        raise kind(f"Could not write {path} ({why}): {advice}.") from error


def check_file(path: Path, what: str, *, new_folder: bool = False) -> None:
    """Find out before the work, rather than after it, that its result could not be written to the file `path`.

    Args:
        what: names the option that `path` was given for, such as `--out`.
        new_folder: its folder will be made where it is missing.

    Raises:
        LesionDemoError: `path` is a folder, is write-protected, or lies in a folder that is missing or write-protected.
    """
    try:
        mode = _mode(path)
    except OSError as error:
        raise LesionDemoError(f"{what} {path} cannot be written ({error.strerror}): choose another.") from error
    if mode is not None and stat.S_ISDIR(mode):
        raise LesionDemoError(f"{what} {path} is a folder: name a file in it.")
    if mode is not None and (stat.S_ISSOCK(mode) or not os.access(path, os.W_OK)):
        raise LesionDemoError(f"{what} {path} is not writable: choose another.")
    if mode is None or stat.S_ISREG(mode):
        folder = Path(os.path.realpath(path)).parent
        if not folder.exists() and not new_folder:
            raise LesionDemoError(f"{what} {path}: the folder {folder} does not exist; create it first.")
        check_folder(folder, what)


def check_folder(path: Path, what: str) -> None:
    """Find out beforehand that files could not be written to the folder `path`, or that it could not be made.

    Raises:
        LesionDemoError: it, or the folder that it is to be made in, is no folder or is write-protected.
    """
    nearest = next(folder for folder in (path, *path.absolute().parents) if os.path.lexists(folder))
    if not nearest.is_dir():
        raise LesionDemoError(f"{what} {path}: {nearest} is not a folder; choose another.")
    try:
        with tempfile.TemporaryFile(dir=nearest) as file:
            file.write(bytes(4096))  # on a full disk, an empty file may be made all the same
    except OSError as error:
        raise LesionDemoError(
            f"{what} {path}: the folder {nearest} cannot be written to ({error.strerror}); choose another."
        ) from error
