"""What a description of a model is made of, before it is laid out as Markdown or HTML. All of it is plain text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lesion_demo.texts import Texts


@dataclass(frozen=True)
class Table:
    """A caption, the columns' headings, and rows as long as they; a row's first cell names it."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Plot:
    """A PNG file, a title, and what it shows for those who cannot see it."""

    path: Path
    title: str
    alt: str


@dataclass(frozen=True)
class Section:
    """Laid out in the order of its attributes; `name` is for programs."""

    name: str
    title: str
    paragraphs: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    plots: tuple[Plot, ...] = ()


@dataclass(frozen=True)
class Headline:
    """One figure that comes first."""

    label: str
    value: str


@dataclass(frozen=True)
class Description:
    """A whole model: what it is, what to do with it and what not, figures at a glance, then everything."""

    title: str
    summary: tuple[str, ...]
    warnings: tuple[Section, ...]
    headline_title: str
    headline_note: str
    headlines: tuple[Headline, ...]
    details: tuple[Section, ...]


def table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[str]], texts: Texts) -> Table:
    """A table with headings by key; a column that has no figure in any row is left out."""
    cells = [tuple(row) for row in rows]
    kept = [
        place for place in range(len(columns)) if place == 0 or any(row[place] != texts.about.dash for row in cells)
    ]
    header = tuple(texts.about.columns[columns[place]] for place in kept)
    return Table(caption, header, tuple(tuple(row[place] for place in kept) for row in cells))
