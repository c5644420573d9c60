"""A table of many pictures as Parquet, for programs: numbers are numbers there, and a name is as it is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from lesion_demo.errors import LesionDemoError
from lesion_demo.files import printable, replacing
from lesion_demo.serve.table import CsvRow, read_csv, unwritten, write_csv

SUFFIX = ".parquet"
COLUMNS = [field.name for field in fields(CsvRow)]
NUMBERS = ("probability", "threshold")
"""Columns of float64, null where a table in CSV has nothing; all others are text."""
GROUP_ROWS = 65_536
"""Of a row group: what is held in memory at once."""


def require_parquet(path: Path) -> None:
    """Raises LesionDemoError where `path` is to be Parquet and nothing here can write that."""
    if path.suffix == SUFFIX and find_spec("pyarrow") is None:
        raise LesionDemoError(
            "Parquet needs the package pyarrow: python -m pip install pyarrow, or write CSV and read that."
        )


def write_table(path: Path, rows: Iterable[CsvRow]) -> None:
    """Write `rows` into `path`: Parquet if it is called so, else CSV; what was there is replaced when all is written.

    Raises:
        LesionDemoError: the disk refused; a file that was there before is still there.
    """
    if path.suffix != SUFFIX:
        write_csv(path, rows)
        return
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    schema = pa.schema([(name, pa.float64() if name in NUMBERS else pa.string()) for name in COLUMNS])
    left = iter(rows)
    try:
        with replacing(path) as part, ParquetWriter(part, schema) as writer:
            while group := list(islice(left, GROUP_ROWS)):
                writer.write_table(pa.Table.from_pylist([_values(row) for row in group], schema))
    except OSError as error:
        raise unwritten(path, error) from error


def read_table(path: Path) -> list[CsvRow]:
    """The rows that `write_table` wrote into `path`.

    Raises:
        OSError: the file cannot be read. ValueError: it is no such table.
    """
    if path.suffix != SUFFIX:
        return read_csv(path)
    from pyarrow.parquet import read_table as read_parquet

    table = read_parquet(path)
    if table.column_names != COLUMNS:
        raise ValueError("it is no table of scores")
    return [CsvRow(**{name: _text(value) for name, value in row.items()}) for row in table.to_pylist()]


def _values(row: CsvRow) -> dict[str, Any]:
    found = {name: printable(getattr(row, name)) for name in COLUMNS}
    return found | {name: float(found[name]) if found[name] else None for name in NUMBERS}


def _text(value: str | float | None) -> str:
    """A cell as `CsvRow` has it."""
    return value if isinstance(value, str) else "" if value is None else f"{value:.6f}"
