"""Many pictures at once: files and zips in, one finding after the other out; one bad file never stops the rest."""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lesion_demo.config import OperatingPoint
from lesion_demo.errors import ImageError, LesionDemoError
from lesion_demo.imaging.loading import PICTURE_SUFFIXES, load_image
from lesion_demo.imaging.transforms import Picture
from lesion_demo.local_calibration import LocalCalibration
from lesion_demo.serving.analysis import Analysis, Analyzer
from lesion_demo.serving.report import render_pdf, report_json
from lesion_demo.serving.table import CsvRow
from lesion_demo.texts import Texts

MAX_PICTURES = 500
MAX_UNPACKED_BYTES = 1_000_000_000

_CHUNK = 1 << 16
_ENCRYPTED = 1  # the bit in a zip member's flags
_REFUSALS = (
    *(LesionDemoError, OSError, EOFError, ValueError, RuntimeError, OverflowError),
    *(zipfile.BadZipFile, struct.error, zlib.error),
)
"""Ours, and what `zipfile` raises on damaged zips, found by feeding it some."""


@dataclass(frozen=True)
class BatchItem:
    """A file to analyse: where it lies, or why it cannot be had.

    Attributes:
        name: as the reader knows it; of a zip's, the path inside.
    """

    name: str
    path: Path | None
    error: str = ""


@dataclass(frozen=True)
class BatchFinding:
    """What was found of one file, or why nothing was.

    Attributes:
        picture: uint8 [H, W, 3].
        local: what probability and threshold are fitted to; None as shipped.
    """

    item: BatchItem
    analysis: Analysis | None = None
    picture: Picture | None = None
    error: str = ""
    local: LocalCalibration | None = None

    @property
    def row(self) -> CsvRow:
        """Its line in a table."""
        if self.analysis is None:
            return CsvRow(self.item.name, error=self.error)
        found = self.analysis
        return CsvRow.scored(
            self.item.name, found.probability, found.verdict, found.quality, found.familiarity, found.operating_point,
            self.local,
        )  # fmt: skip


def open_inputs(
    paths: Sequence[Path], folder: Path, *, max_pictures: int = MAX_PICTURES, max_bytes: int = MAX_UNPACKED_BYTES
) -> list[BatchItem]:
    """The pictures among `paths`, zips unpacked into `folder`, which exists and is the caller's to delete.

    A zip's pictures come in the order of their names. What cannot be unpacked is an item with an error. Both limits
    are for all `paths` together; files take their places before zips do.

    Raises:
        LesionDemoError: there are more than `max_pictures` files, not counting zips.
    """
    zips = {path for path in paths if path.suffix.lower() == ".zip"}
    files = sum(path not in zips for path in paths)
    if files > max_pictures:
        raise LesionDemoError(f"These are {files} pictures: choose at most {max_pictures} at once.")
    room = _Room(max_pictures - files, max_bytes)
    items: list[BatchItem] = []
    for number, path in enumerate(paths):
        items += _unpack(path, folder / str(number), room) if path in zips else [BatchItem(path.name, path)]
    return items


@dataclass
class _Room:
    """What all zips together may still hold; fewer than 0 `bytes`: they held too much."""

    pictures: int
    bytes: int


def _unpack(archive: Path, folder: Path, room: _Room) -> list[BatchItem]:
    try:
        with zipfile.ZipFile(archive) as opened:
            members = sorted((one for one in opened.infolist() if _is_picture(one)), key=lambda one: one.filename)
            if len(members) > room.pictures:
                raise LesionDemoError(f"it holds {len(members)} pictures, only {room.pictures} more fit; divide it")
            room.pictures -= len(members)
            folder.mkdir(parents=True)
            items = list(_unpack_members(opened, members, archive.name, folder, room))
    except _REFUSALS as error:
        return [BatchItem(archive.name, None, f"The zip {archive.name} cannot be opened: {_reason(error)}.")]
    return items or [BatchItem(archive.name, None, f"The zip {archive.name} holds no pictures.")]


def _unpack_members(
    opened: zipfile.ZipFile, members: Sequence[zipfile.ZipInfo], archive: str, folder: Path, room: _Room
) -> Iterator[BatchItem]:
    """Each of `members`, written under a name of our own: those inside may point anywhere."""
    for number, member in enumerate(members):
        path = folder / f"{number}{PurePosixPath(member.filename).suffix.lower()}"
        name = f"{archive}/{member.filename}"
        try:
            _extract(opened, member, path, room)
        except _REFUSALS as error:
            path.unlink(missing_ok=True)
            yield BatchItem(name, None, f"“{member.filename}” cannot be unpacked: {_reason(error)}.")
        else:
            yield BatchItem(name, path)
        if room.bytes < 0:
            return


def _extract(opened: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, room: _Room) -> None:
    """Write `member` to `path`, or raise when there is no room; the size that it claims to have counts for nothing."""
    if member.flag_bits & _ENCRYPTED:
        raise LesionDemoError("it is encrypted; make the zip anew without a password")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # Of bzip2 and LZMA, `zipfile` unpacks all that a chunk holds at once: 82 bytes may become 90 MB.
        raise LesionDemoError("its compression is unusual; make the zip anew with the usual one, Deflate")
    with opened.open(member) as source, path.open("wb") as target:
        while room.bytes >= 0 and (chunk := source.read(_CHUNK)):
            room.bytes -= len(chunk)
            target.write(chunk)
    if room.bytes < 0:
        raise LesionDemoError("from here on, the pictures take more space than is allowed at once; divide the zip")


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error) if isinstance(error, LesionDemoError) else "it is damaged or of an unknown kind; make it anew"


def _is_picture(member: zipfile.ZipInfo) -> bool:
    name = PurePosixPath(member.filename)
    hidden = any(part.startswith(("__MACOSX", ".")) and part != ".." for part in name.parts)
    return not member.is_dir() and not hidden and name.suffix.lower() in PICTURE_SUFFIXES


def analyze_batch(analyzer: Analyzer, items: Iterable[BatchItem], point: OperatingPoint) -> Iterator[BatchFinding]:
    """A finding for each item as soon as it is there; the next is begun when it is asked for."""
    for item in items:
        if item.path is None:
            yield BatchFinding(item, error=item.error)
            continue
        try:
            picture = load_image(item.path)
        except ImageError as error:
            # A zip's picture lies under a name of ours, which the reader has never seen.
            named = str(error).replace(f"“{item.path.name}”", f"“{PurePosixPath(item.name).name}”")
            yield BatchFinding(item, error=named)
        else:
            yield BatchFinding(item, analyzer.analyze(picture, point), picture, local=analyzer.meta.local)


class ReportArchive:
    """A zip that fills up with a PDF and a JSON report for each picture, in `path`."""

    def __init__(self, path: Path, analyzer: Analyzer, texts: Texts) -> None:
        self.path = path
        self._subject = (analyzer.meta, analyzer.folder.name, texts)
        self._names: set[str] = set()

    def add(self, finding: BatchFinding, picture: Picture) -> None:
        """Append the reports on `finding`, with `picture` (uint8 [h, w, 3], it may be a smaller copy) in the PDF."""
        if finding.analysis is None:
            return
        name = self._free_name(finding.item.name)
        findings = report_json(finding.analysis, picture, *self._subject)
        with zipfile.ZipFile(self.path, "a", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{name}.pdf", render_pdf(finding.analysis, picture, *self._subject))
            archive.writestr(f"{name}.json", json.dumps(findings, ensure_ascii=False, indent=2))

    def _free_name(self, name: str) -> str:
        stem = "_".join(part for part in PurePosixPath(name).parts if part not in ("..", "/"))
        free, number = stem, 2
        while free in self._names:
            free, number = f"{stem}_{number}", number + 1
        self._names.add(free)
        return free
