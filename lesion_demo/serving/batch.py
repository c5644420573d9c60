"""Many pictures at once: files and zips in, one finding after the other out; one bad file never stops the rest."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lesion_demo.config import OperatingPoint
from lesion_demo.errors import ImageError, LesionDemoError
from lesion_demo.imaging.loading import PICTURE_SUFFIXES, load_image
from lesion_demo.imaging.transforms import Picture
from lesion_demo.serving.analysis import Analysis, Analyzer
from lesion_demo.serving.report import render_pdf, report_json
from lesion_demo.serving.table import CsvRow
from lesion_demo.texts import Texts

MAX_PICTURES = 500
MAX_UNPACKED_BYTES = 1_000_000_000


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
    """

    item: BatchItem
    analysis: Analysis | None = None
    picture: Picture | None = None
    error: str = ""

    @property
    def row(self) -> CsvRow:
        """Its line in a table."""
        if self.analysis is None:
            return CsvRow(self.item.name, error=self.error)
        found = self.analysis
        return CsvRow.scored(self.item.name, found.probability, found.verdict, found.quality, found.operating_point)


def open_inputs(
    paths: Sequence[Path],
    folder: Path,
    *,
    max_pictures: int = MAX_PICTURES,
    max_bytes: int = MAX_UNPACKED_BYTES,
) -> list[BatchItem]:
    """The pictures among `paths`, zips unpacked into `folder`, which exists.

    A zip's pictures come in the order of their names. What cannot be unpacked is an item with an error.

    Raises:
        LesionDemoError: there are more than `max_pictures`.
    """
    items: list[BatchItem] = []
    for number, path in enumerate(paths):
        if path.suffix.lower() == ".zip":
            items += _unpack(path, folder / str(number), max_pictures, max_bytes)
        else:
            items.append(BatchItem(path.name, path))
    if len(items) > max_pictures:
        raise LesionDemoError(f"These are {len(items)} pictures: choose at most {max_pictures} at once.")
    return items


def _unpack(archive: Path, folder: Path, max_pictures: int, max_bytes: int) -> list[BatchItem]:
    """The pictures of a zip, written under names of our own: those inside may point anywhere."""
    items = []
    try:
        with zipfile.ZipFile(archive) as opened:
            members = sorted((one for one in opened.infolist() if _is_picture(one)), key=lambda one: one.filename)
            if len(members) > max_pictures or sum(one.file_size for one in members) > max_bytes:
                reason = f"it holds more than {max_pictures} pictures or {max_bytes / 1e6:.0f} MB; divide it"
                return [BatchItem(archive.name, None, f"The zip {archive.name} was not opened: {reason}.")]
            folder.mkdir(parents=True)
            for number, member in enumerate(members):
                path = folder / f"{number}{PurePosixPath(member.filename).suffix.lower()}"
                path.write_bytes(opened.read(member))
                items.append(BatchItem(f"{archive.name}/{member.filename}", path))
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:  # RuntimeError: encrypted
        items.append(BatchItem(archive.name, None, f"The zip {archive.name} cannot be opened ({error}): make it anew."))
    return items or [BatchItem(archive.name, None, f"The zip {archive.name} holds no pictures.")]


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
            yield BatchFinding(item, error=str(error))
            continue
        yield BatchFinding(item, analyzer.analyze(picture, point), picture)


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
