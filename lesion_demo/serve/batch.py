"""Many pictures at once: files and zips in, one finding after the other out; one bad file never stops the rest."""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lesion_demo.config import OperatingPoint
from lesion_demo.errors import CheckpointError, LesionDemoError, reason
from lesion_demo.images import Pixels
from lesion_demo.images.files import why_skipped
from lesion_demo.local_calibration import LocalCalibration
from lesion_demo.serve.analysis import Analysis, Analyzer
from lesion_demo.serve.labels import distinct_labels
from lesion_demo.serve.pdf import render_pdf
from lesion_demo.serve.report import Circumstances, report_json
from lesion_demo.serve.table import CsvRow
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
        name: its label, which no other file of the batch has; of a zip's, the zip and the path inside.
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
    picture: Pixels | None = None
    error: str = ""
    local: LocalCalibration | None = None

    @property
    def row(self) -> CsvRow:
        """Its line in a table."""
        if self.analysis is None:
            return CsvRow(self.item.name, error=self.error)
        analysis = self.analysis
        return CsvRow.scored(
            self.item.name,
            analysis.probability,
            analysis.verdict,
            analysis.quality,
            analysis.familiarity,
            analysis.operating_point,
            self.local,
            first_of_several=analysis.first_of_several,
        )


def open_inputs(
    paths: Sequence[Path], folder: Path, *, max_pictures: int = MAX_PICTURES, max_bytes: int = MAX_UNPACKED_BYTES
) -> list[BatchItem]:
    """The pictures among `paths`, zips unpacked into `folder`, which exists and is the caller's to delete.

    A zip's pictures come in the order of their names. What cannot be unpacked is an item with an error. Both limits
    are for all `paths` together; files take their places before zips do. Of one name are never two: see `labels`.

    Raises:
        LesionDemoError: there are more than `max_pictures` files, not counting zips.
    """
    zips = {path for path in paths if path.suffix.lower() == ".zip"}
    files = sum(path not in zips for path in paths)
    if files > max_pictures:
        raise LesionDemoError(f"You chose {files} pictures: choose at most {max_pictures} at once.")
    room = _Room(max_pictures - files, max_bytes)
    items: list[BatchItem] = []
    for number, (path, label) in enumerate(zip(paths, distinct_labels(path.name for path in paths), strict=True)):
        items += _unpack(path, label, folder / str(number), room) if path in zips else [BatchItem(label, path)]
    return items


@dataclass
class _Room:
    """What all zips together may still hold; fewer than 0 `bytes`: they held too much."""

    pictures: int
    bytes: int


def _unpack(archive: Path, label: str, folder: Path, room: _Room) -> list[BatchItem]:
    try:
        with zipfile.ZipFile(archive) as opened:
            members = sorted((one for one in opened.infolist() if _is_picture(one)), key=lambda one: one.filename)
            if len(members) > room.pictures:
                raise LesionDemoError(
                    f"it holds {len(members)} pictures, but only {room.pictures} more are allowed; "
                    "split it into smaller zips"
                )
            room.pictures -= len(members)
            folder.mkdir(parents=True)
            items = list(_unpack_members(opened, members, label, folder, room))
    except _REFUSALS as error:
        return [BatchItem(label, None, f"The zip “{label}” cannot be opened: {_reason(error)}.")]
    return items or [BatchItem(label, None, f"The zip “{label}” holds no pictures.")]


def _unpack_members(
    opened: zipfile.ZipFile, members: Sequence[zipfile.ZipInfo], archive: str, folder: Path, room: _Room
) -> Iterator[BatchItem]:
    """Each of `members`, written under a name of our own: those inside may point anywhere."""
    labels = distinct_labels(member.filename for member in members)
    for number, (member, label) in enumerate(zip(members, labels, strict=True)):
        path = folder / f"{number}{PurePosixPath(member.filename).suffix.lower()}"
        name = f"{archive}/{label}"
        try:
            _extract(opened, member, path, room)
        except _REFUSALS as error:
            path.unlink(missing_ok=True)
            yield BatchItem(name, None, f"“{name}” cannot be unpacked: {_reason(error)}.")
        else:
            yield BatchItem(name, path)
        if room.bytes < 0:
            return


def _extract(opened: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, room: _Room) -> None:
    """Write `member` to `path`, or raise when there is no room; the size that it claims to have counts for nothing."""
    if member.flag_bits & _ENCRYPTED:
        raise LesionDemoError("it is encrypted; create the zip again without a password")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # Of bzip2 and LZMA, `zipfile` unpacks all that a chunk holds at once: 82 bytes may become 90 MB.
        raise LesionDemoError(
            "its compression method is not supported; create the zip again with the usual one, Deflate"
        )
    with opened.open(member) as source, path.open("wb") as target:
        while room.bytes >= 0 and (chunk := source.read(_CHUNK)):
            room.bytes -= len(chunk)
            target.write(chunk)
    if room.bytes < 0:
        raise LesionDemoError("from here on, the pictures exceed the total size allowed at once; split the zip")


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error) if isinstance(error, LesionDemoError) else "it is damaged or of an unknown kind; make it anew"


def _is_picture(member: zipfile.ZipInfo) -> bool:
    name = member.filename.replace("\\", "/")  # as some programs write it on Windows
    return not member.is_dir() and not why_skipped(PurePosixPath(name))


def analyze_batch(analyzer: Analyzer, items: Iterable[BatchItem], point: OperatingPoint) -> Iterator[BatchFinding]:
    """A finding for each item as soon as it is there; the next is begun when it is asked for.

    Raises:
        CheckpointError: the network is damaged, whatever the pictures.
    """
    for item in items:
        if item.path is None:
            yield BatchFinding(item, error=item.error)
            continue
        try:
            analysis, picture = analyzer.analyze_file(item.path, point)
            finding = BatchFinding(item, analysis, picture, local=analyzer.meta.local)
        except CheckpointError:
            raise
        except Exception as error:  # noqa: BLE001  # one bad file never stops the rest
            # A zip's picture lies under a name of ours, which the reader has never seen.
            named = reason(error, item.name).replace(f"“{item.path.name}”", f"“{item.name}”")
            finding = BatchFinding(item, error=named)
        yield finding


class ReportArchive:
    """A zip that fills up with a PDF and a JSON report for each picture, called by its label, in `path`."""

    def __init__(self, path: Path, analyzer: Analyzer, texts: Texts) -> None:
        self.path = path
        self._subject = (analyzer.meta, analyzer.folder.name, texts)

    def add(self, finding: BatchFinding, picture: Pixels) -> None:
        """Append the reports on `finding`, with `picture` (uint8 [h, w, 3], it may be a smaller copy) in the PDF."""
        if finding.analysis is None:
            return
        name = finding.item.name
        circumstances = Circumstances(file=name, dermoscopic=not finding.analysis.photograph)
        findings = report_json(finding.analysis, picture, *self._subject, circumstances)
        pdf = render_pdf(finding.analysis, picture, *self._subject, circumstances)
        with _whole(self.path), zipfile.ZipFile(self.path, "a", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{name}.pdf", pdf)
            archive.writestr(f"{name}.json", json.dumps(findings, ensure_ascii=False, indent=2))


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """Should the block fail to add to the zip at `path`, for want of room, say, then it is as it was.

    Raises:
        LesionDemoError: the disk refused.
    """
    directory, start = b"", 0
    if path.is_file():
        with zipfile.ZipFile(path) as archive:
            start = archive.start_dir  # from here on, what is added takes the place of the list of members
        with path.open("rb") as file:
            file.seek(start)
            directory = file.read()
    try:
        yield
    except OSError as error:
        if directory:
            with path.open("r+b") as file:
                file.seek(start)
                file.write(directory)
                file.truncate()
        else:
            path.unlink(missing_ok=True)
        why = error.strerror or error
        raise LesionDemoError(f"The reports could not be written ({why}): free some disk space.") from error
