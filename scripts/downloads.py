"""The files in a folder of downloads, as they lie there or inside archives, without unpacking anything to disk."""

from __future__ import annotations

import csv
import hashlib
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from lesion_demo.errors import DataError

_BLOCK = 1 << 20
_TABLE_SUFFIXES = ("", ".csv", ".tab", ".tsv", ".txt")
_UNREADABLE = (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError)
"""RuntimeError: the archive is encrypted; NotImplementedError: it is compressed in a way that Python does not know."""
Table = list[dict[str, str]]


@dataclass(frozen=True)
class Entry:
    """One file.

    Attributes:
        path: below the archive or folder that holds it, with forward slashes.
        origin: the archive or folder, for messages.
        size: bytes.
        open_bytes: gives the content; may raise any of `_UNREADABLE`.
    """

    path: PurePosixPath
    origin: str
    size: int
    open_bytes: Callable[[], bytes]

    def read(self) -> bytes:
        """The content.

        Raises:
            DataError: it is damaged.
        """
        try:
            return self.open_bytes()
        except _UNREADABLE as error:
            raise _damaged(f"{self.path} in {self.origin}", error) from error


def list_entries(folder: Path, stack: ExitStack) -> list[Entry]:
    """Every file below `folder`, those inside of zip archives, and of archives in them, included.

    Archives stay open until `stack` is closed.

    Raises:
        DataError: the folder does not exist, or an archive is damaged or still being downloaded.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; give --downloads the folder that your downloads lie in.")
    entries: list[Entry] = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        below = PurePosixPath(path.relative_to(folder).as_posix())
        if path.suffix.lower() in (".part", ".crdownload", ".download"):
            raise DataError(f"{path} looks unfinished; wait for the download to end, or delete it and start again.")
        if path.suffix.lower() == ".zip":
            entries += _in_archive(path, path.name, stack)
        else:
            entries.append(Entry(below, folder.name, path.stat().st_size, path.read_bytes))
    return entries


def _in_archive(source: Path | IO[bytes], name: str, stack: ExitStack) -> Iterator[Entry]:
    """The entries of one archive; one inside of another is first copied to a temporary file."""
    try:
        if isinstance(source, Path):
            archive = stack.enter_context(zipfile.ZipFile(source))
        else:
            copy = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115  (the stack is the context)
            shutil.copyfileobj(source, copy, _BLOCK)
            archive = stack.enter_context(zipfile.ZipFile(copy))
        for member in archive.infolist():
            path = PurePosixPath(member.filename)
            if member.is_dir() or "__MACOSX" in path.parts:
                continue
            if path.suffix.lower() == ".zip":
                with archive.open(member) as inner:
                    yield from _in_archive(inner, f"{name}/{path.name}", stack)
            else:
                yield Entry(path, name, member.file_size, partial(archive.read, member))
    except _UNREADABLE as error:
        raise _damaged(name, error) from error


def _damaged(name: str, error: Exception) -> DataError:
    return DataError(f"{name} cannot be read ({error}); download it again.")


def by_stem(entries: Sequence[Entry], suffixes: Collection[str]) -> dict[str, Entry]:
    """File name without its suffix → entry, of those that end in one of `suffixes` (lower case, with the dot).

    The same picture may be there twice, in an archive and unpacked beside it.

    Raises:
        DataError: two different files have one name.
    """
    found: dict[str, Entry] = {}
    for entry in entries:
        if entry.path.suffix.lower() not in suffixes:
            continue
        first = found.setdefault(entry.path.stem, entry)
        if first.size != entry.size:
            raise DataError(
                f"{entry.path.name} is there twice, in {first.origin} and in {entry.origin}, and the two differ; "
                f"keep the downloads of different releases in different folders."
            )
    return found


def find_table(entries: Sequence[Entry], columns: Sequence[str], what: str) -> Table:
    """The rows of the first table that has all `columns`: comma or tab separated, cells stripped, headers lower case.

    Raises:
        DataError: there is none; `what` says which file is meant.
    """
    for entry in entries:
        if entry.path.suffix.lower() in _TABLE_SUFFIXES and "metadata" in entry.path.name.lower():
            rows = _parse(entry)
            if rows and set(columns) <= set(rows[0]):
                return rows
    raise DataError(f"No table with the columns {', '.join(columns)} is among the downloads; add {what}.")


def _parse(entry: Entry) -> Table:
    try:
        text = entry.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{entry.path} in {entry.origin} is no UTF-8 text ({error.reason}); download it again."
        ) from error
    lines = text.splitlines()
    if not lines:
        return []
    reader = csv.reader(lines, delimiter="\t" if "\t" in lines[0] else ",")
    header = [name.strip().lower() for name in next(reader)]
    rows = (map(str.strip, row + [""] * (len(header) - len(row))) for row in reader if any(row))
    return [dict(zip(header, row, strict=False)) for row in rows]


def safe_name(name: str, table: str) -> str:
    """`name`, which a download gives and a file will be called by.

    Raises:
        DataError: it is more than letters, digits, dots, dashes and underscores.
    """
    if not re.fullmatch(r"\w[\w.\-]*", name, flags=re.ASCII):
        raise DataError(f"{table} names a picture {name!r}, which is no plain file name; download it again.")
    return name


def checksums(folder: Path) -> Iterator[tuple[str, int, Mapping[str, str]]]:
    """Name, bytes, and MD5 and SHA-256 in hex, of every archive and table below `folder`."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        if path.suffix.lower() != ".zip" and "metadata" not in path.name.lower():
            continue
        digests = {"md5": hashlib.md5(usedforsecurity=False), "sha256": hashlib.sha256()}
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                for digest in digests.values():
                    digest.update(block)
        yield path.name, path.stat().st_size, {name: digest.hexdigest() for name, digest in digests.items()}
