"""`manifest.csv`: a data set's table, however its header is spelt."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from lesion_demo.data.table import plain_header, read_table
from lesion_demo.errors import DataError

MANIFEST = "manifest.csv"
MANIFEST_COLUMNS = ("file", "split", "label")
ID_COLUMNS = ("lesion_id", "patient_id")
"""Pictures of one data set that share such an id stay on one side of every split."""
SAME_AS = "same_as"
_UNDERSTOOD = (*MANIFEST_COLUMNS, *ID_COLUMNS, SAME_AS, "dx")
_LIKE_AN_ID = re.compile(r"(patient|subject|person|lesion)s?(id|ids|nr|no|num|number|code|key|uid|identifier)?")
_MISSING = frozenset(
    {"", "na", "n/a", "nan", "nat", "none", "null", "nil", "unknown", "unk", "missing", "undefined", "anonymous"}
    | {"not available", "not known", "not given", "not recorded", "no id", "unbekannt", "keine", "k.a", "k. a"}
)


def read_manifest(path: Path) -> list[dict[str, str]]:
    """The rows: every cell a stripped string, missing ids empty, and the columns that have a meaning by their own name.

    `Patient_ID`, ` patient id` and `PatientID` are all `patient_id`; other columns keep their names.

    Raises:
        DataError: the file is not readable as CSV (see `read_table`), lacks a column, has one twice, or has one that
            looks like an id but is not called one.
    """
    given, cells = read_table(path)
    header = _understand(path, given)
    rows = [{name: cell for name, cell in zip(header, row, strict=True) if name} for _, row in cells]
    for row in rows:
        row.update({name: "" for name in ID_COLUMNS if name in row and is_missing(row[name])})
    return rows


def is_missing(value: str) -> bool:
    """Does the id `value` say that there is none: `NA`, `n/a`, `-`, `None`, `unknown`, `0` and the like?"""
    plain = value.strip().casefold()
    # Zeros are what databases and spreadsheets put where nothing is known.
    return plain.strip(" .,;:_-/#<>()[]?*'\"") in _MISSING or re.fullmatch(r"[+-]?0+([.,]0*)?", plain) is not None


def _understand(path: Path, header: Sequence[str]) -> list[str]:
    """The names in `header`, those with a meaning as `_UNDERSTOOD` spells them."""
    meanings = {plain_header(name): name for name in _UNDERSTOOD}
    names = [meanings.get(plain_header(name), name.strip()) for name in header]
    missing = [name for name in MANIFEST_COLUMNS if name not in names]
    if missing:
        raise DataError(f"{path} lacks the column {', '.join(missing)}; it needs file, split and label.")
    for name in _UNDERSTOOD:
        spellings = [spelt for spelt, meant in zip(header, names, strict=True) if meant == name]
        if len(spellings) > 1:
            raise DataError(f"{path} has the column {name} twice ({', '.join(map(repr, spellings))}); keep one.")
    for name in names:
        found = _LIKE_AN_ID.fullmatch(plain_header(name))
        if found and name not in ID_COLUMNS:
            meant = "lesion_id" if found[1] == "lesion" else "patient_id"
            raise DataError(
                f"{path} has a column {name!r}: if it identifies {found[1]}s, call it {meant}, so that each stays on "
                f"one side of a split; if it means something else, give it another name."
            )
    return names
