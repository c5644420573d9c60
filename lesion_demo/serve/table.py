"""What was found of many pictures, as a table."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from typing import TextIO

from lesion_demo.config import OperatingPoint
from lesion_demo.decision import Outcome
from lesion_demo.errors import LesionDemoError
from lesion_demo.files import replacing
from lesion_demo.images.quality import QualityReport
from lesion_demo.local_calibration import LocalCalibration
from lesion_demo.serve.familiarity import Familiarity, shows_bare_skin

OK = "ok"
UNFAMILIAR = "unlike training pictures"
BARE_SKIN = "no lesion"
PHOTOGRAPH = "photograph, not dermoscopy"
FIRST_OF_SEVERAL = "first picture of several in the file"

_FORMULA = re.compile(r"'*\s*[=+\-@\t\r\n＝＋－＠]")
"""How a cell begins that a spreadsheet program may run as a formula, and one that was kept from it."""


@dataclass(frozen=True)
class CsvRow:
    """One picture in a table; its fields, in their order, are the columns.

    In a file, `'` stands before a text that a spreadsheet program may take for a formula, see `as_text`.

    Attributes:
        file: the path as it was given to `score`; on the page, the file's label, which no other has.
        probability: calibrated, of malignancy: six decimals, or empty.
        verdict: `benign`, `malignant`, `uncertain`, `not_assessable`, or empty.
        quality: `ok`, or the names of the checks that the picture failed, joined by '; '.
        familiarity: `ok`, `unlike training pictures`, `no lesion` on bare skin, or `photograph, not dermoscopy`, which
            the figures were not measured on; empty where the checkpoint cannot tell.
        error: why there is no probability, or empty.
        operating_point, threshold: what the verdict was found with. They are empty, and so are verdict, quality and
            familiarity, where only probabilities were asked for.
        calibration: the clinic that probability and threshold are fitted to; empty where they are the checkpoint's own.
        note: `first picture of several in the file`, of which the others were not looked at, or empty.
    """

    file: str
    probability: str = ""
    verdict: str = ""
    quality: str = ""
    familiarity: str = ""
    error: str = ""
    operating_point: str = ""
    threshold: str = ""
    calibration: str = ""
    note: str = ""

    @classmethod
    def unjudged(
        cls, file: str, probability: float, local: LocalCalibration | None = None, *, first_of_several: bool = False
    ) -> CsvRow:
        """The row of a picture with a `probability` of malignancy (0–1), and nothing else that is found of it."""
        return cls(
            file=file,
            probability=f"{probability:.6f}",
            calibration="" if local is None else str(local),
            note=FIRST_OF_SEVERAL if first_of_several else "",
        )

    @classmethod
    def scored(
        cls,
        file: str,
        probability: float,
        verdict: Outcome,
        quality: QualityReport,
        familiarity: Familiarity | None,
        point: OperatingPoint,
        local: LocalCalibration | None = None,
        *,
        first_of_several: bool = False,
    ) -> CsvRow:
        """The row of a picture with a `probability` of malignancy (0–1), judged at `point`, with a clinic's fit."""
        return replace(
            cls.unjudged(file, probability, local, first_of_several=first_of_several),
            verdict=verdict.value,
            quality="; ".join(check.name for check in quality.warnings) or OK,
            familiarity="" if familiarity is None else _in_a_word(familiarity, quality),
            operating_point=point.name,
            threshold=f"{point.threshold:.6f}",
        )


def _in_a_word(familiarity: Familiarity, quality: QualityReport) -> str:
    if shows_bare_skin(familiarity, quality):
        return BARE_SKIN
    if not familiarity.familiar:
        return UNFAMILIAR
    return PHOTOGRAPH if familiarity.photograph else OK


def as_text(cell: str) -> str:
    """`cell`, with `'` before it if it begins as a formula does: `'=1+1.jpg`, `'-3.jpg`.

    A name that has the sign of its own gets a second one, so that a program may always take the first away again.
    """
    return f"'{cell}" if _FORMULA.match(cell) else cell


def _from_text(cell: str) -> str:
    """What `as_text` made `cell` of."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell[1:]) else cell


def write_csv(path: Path, rows: Iterable[CsvRow]) -> None:
    """Write a heading and `rows` into `path`; a file that was there is replaced when all is written.

    As spreadsheet programs have it: UTF-8 after a byte-order mark, lines that end in CR LF (RFC 4180), and no cell that
    is a formula. Bytes of a file name that are not UTF-8 are written as escapes, so that one odd name does not spoil
    the table.

    Raises:
        LesionDemoError: the disk refused; a file that was there before is still there.
    """
    try:
        with replacing(path) as part, _opened(part, "w", "utf-8-sig") as file:
            writer = csv.writer(file)
            writer.writerow(field.name for field in fields(CsvRow))
            writer.writerows(map(_cells, rows))
    except OSError as error:
        raise unwritten(path, error) from error


def read_csv(path: Path) -> list[CsvRow]:
    """The rows that `write_csv` wrote into `path`, such that it writes the same file of them.

    Raises:
        OSError: the file cannot be read. ValueError: it is no such table.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        heading, *rows = list(csv.reader(file, strict=True)) or [[]]
    if heading != [field.name for field in fields(CsvRow)] or any(len(row) != len(heading) for row in rows):
        raise ValueError("it is not a table of scores")
    return [CsvRow(*map(_from_text, row)) for row in rows]


def append_csv(path: Path, row: CsvRow) -> None:
    """Add `row` to what `write_csv` wrote into `path`.

    Raises:
        LesionDemoError: the disk refused.
    """
    try:
        with _opened(path, "a", "utf-8") as file:
            csv.writer(file).writerow(_cells(row))
    except OSError as error:
        raise unwritten(path, error) from error


def _cells(row: CsvRow) -> list[str]:
    return [as_text(cell) for cell in astuple(row)]


def _opened(path: Path, mode: str, encoding: str) -> TextIO:
    return path.open(mode, newline="", encoding=encoding, errors="backslashreplace")  # type: ignore[return-value]


def unwritten(path: Path, error: OSError) -> LesionDemoError:
    """What to say where the disk refused a table."""
    why = error.strerror or error
    return LesionDemoError(
        f"Could not write the table {path.name} ({why}): free some disk space, or choose another place."
    )
