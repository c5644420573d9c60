"""A table of labels as people have it: which column names the picture, which its diagnosis, which the patient."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lesion_demo.errors import DataError

ISIC_TABLE = "metadata.csv"
"""What the ISIC archive puts beside its pictures."""
IMAGE_NAMES = (
    *("image", "image_id", "isic_id", "image_name", "img_id", "file", "file_name", "filename", "picture", "bild"),
)
LABEL_NAMES = ("label", "class", "benign_malignant", "diagnosis_1", "dx", "diagnosis", "diagnostic", "diagnose")
_SEPARATORS = (",", ";", "\t")


@dataclass(frozen=True)
class LabelTable:
    """A table that labels the pictures of a folder; a column that is empty is found by its usual names.

    Attributes:
        file: the table.
        image, label, group: headers of the columns with the picture's name, its diagnosis, and what keeps pictures
            together.
    """

    file: str
    image: str = ""
    label: str = ""
    group: str = ""

    @property
    def path(self) -> Path:
        return Path(self.file)


def read_table(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header of the CSV file at `path`, and its rows with their numbers in it; empty rows are passed over.

    Commas, semicolons or tabs stand between the cells, which are stripped; a line `sep=;` may go before. The text is
    UTF-8, UTF-16 (Excel's "Unicode text") or, where it is neither, Windows-1252. Every row is as long as the header.

    Raises:
        DataError: the file cannot be read, or is no CSV.
    """
    try:
        content = path.read_bytes()
        if content.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
            raise DataError(
                f"{path} is a workbook: open it in Excel or LibreOffice, choose “Save as”, “CSV UTF-8”, and name that."
            )
        lines = _decoded(content).splitlines(keepends=True)
        hint = re.fullmatch(r'"?sep=(.)"?', lines[0].strip("\r\n")) if lines else None
        body = lines[1:] if hint else lines
        first = next((line for line in body if line.strip()), "")
        reader = csv.reader(body, delimiter=hint[1] if hint else max(_SEPARATORS, key=first.count))
        rows = [(reader.line_num + bool(hint), [cell.strip() for cell in row]) for row in reader]
    except (OSError, UnicodeError, csv.Error) as error:
        raise DataError(f"{path} could not be read ({error}); save it as UTF-8 CSV.") from error
    filled = [(number, row) for number, row in rows if any(row)]
    if not filled:
        return [], []
    header = filled[0][1]
    return header, [(number, (row + [""] * len(header))[: len(header)]) for number, row in filled[1:]]


def _decoded(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        if b"\0" in content:
            raise
        return content.decode("cp1252")  # what Excel writes as plain CSV in Western Europe


def plain_header(name: str) -> str:
    """Lower case, letters and digits alone: without blanks, underscores and byte-order marks."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFC", name).casefold())


def find_column(path: Path, header: Sequence[str], asked: str, usual: Sequence[str], option: str) -> int:
    """Index of the column called `asked`, else of the first of the names `usual`.

    Raises:
        DataError: there is none.
    """
    plain = [plain_header(name) for name in header]
    for name in (asked,) if asked else usual:
        if plain_header(name) in plain:
            return plain.index(plain_header(name))
    said = f"has no column {asked!r}" if asked else "has no column with a usual name for it"
    raise DataError(f"{path} {said}; its columns are {', '.join(map(repr, header)) or 'none'}: name one with {option}.")
