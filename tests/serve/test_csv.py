"""The table as spreadsheet programs open it: no formula, every letter, every row."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from lesion_demo.serve.table import CsvRow, append_csv, as_text, write_csv

FORMULAS = [
    "=1+1.jpg",
    "+1.jpg",
    "-3.jpg",
    "@SUM(1).jpg",
    "\t=1.jpg",
    "\r=1.jpg",
    "\n.jpg",
    " =1.jpg",
    "＝1.jpg",
    "'=1.jpg",
]
NAMES = [*FORMULAS, "a.jpg", "'a.jpg", "0.jpg", "Jürgen 患者.jpg", 'a"b,c;d.jpg', "two\rlines.jpg", "two\nlines.jpg"]


def table(path: Path, names: list[str]) -> list[list[str]]:
    """All but the heading of a table whose rows came half at once and half one after the other."""
    rows = [CsvRow(name, error=f"{name} is empty.", calibration=name) for name in names]
    write_csv(path, rows[::2])
    for row in rows[1::2]:
        append_csv(path, row)
    with path.open(newline="", encoding="utf-8-sig") as file:
        heading, *found = csv.reader(file, strict=True)
    assert heading[0] == "file"
    return found


def test_no_cell_is_a_formula(tmp_path: Path) -> None:
    rows = table(tmp_path / "t.csv", NAMES)
    assert [row[0] for row in rows] == [as_text(name) for name in [*NAMES[::2], *NAMES[1::2]]]
    for cell in (cell for row in rows for cell in row):
        assert not cell.strip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝")), cell


@pytest.mark.parametrize("name", NAMES)
def test_the_name_can_be_had_back(name: str) -> None:
    kept = as_text(name)
    assert kept == (f"'{name}" if name in FORMULAS else name)
    assert kept in (name, f"'{name}")


def test_excel_finds_the_encoding_and_every_row_is_one(tmp_path: Path) -> None:
    rows = table(tmp_path / "t.csv", NAMES)
    content = (tmp_path / "t.csv").read_bytes()
    assert content.startswith(b"\xef\xbb\xbffile,")
    assert content.count(b"\xef\xbb\xbf") == 1, "nor does a row that is added begin with one"
    assert len(rows) == len(NAMES)
    assert {len(row) for row in rows} == {10}
    for line in content.replace(b"\r\n", b"").split(b'"')[::2]:  # what no quotes enclose
        assert b"\r" not in line
        assert b"\n" not in line
