"""One labelled picture of a data set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Picture:
    """One labelled picture of a data set.

    Attributes:
        path: where it lies, absolute.
        file: the same below the data set's folder, with forward slashes.
        source: the name of the data set's folder, or of the link to it that was given; unique among the data sets that
            are scanned together.
        split: `train`, `val` or `test`.
        label: index into `lesion_demo.config.CLASSES`: 0 benign, 1 malignant.
        columns: the manifest's further columns; empty without a manifest.
        content_hash: SHA-256 of the file, hex; empty until it has been read.
        group: pictures that share it stay on one side of every split; empty until grouped.
        reason: why it was left out; empty where it is in use.
        near_duplicate_of_train: of a test picture, or one from a `val` folder: a `train` folder holds the same picture.
    """

    path: Path
    file: str
    source: str
    split: str
    label: int
    columns: Mapping[str, str] = field(default_factory=dict)
    content_hash: str = ""
    group: str = ""
    near_duplicate_of_train: bool = False
    reason: str = ""

    @property
    def name(self) -> str:
        """`source/file`: unique over all data sets, the same on every machine."""
        return f"{self.source}/{self.file}"


def by_source(pictures: Iterable[Picture]) -> dict[str, list[Picture]]:
    """`pictures` by the name of their data set, the names in alphabetical order."""
    found: dict[str, list[Picture]] = {}
    for picture in pictures:
        found.setdefault(picture.source, []).append(picture)
    return dict(sorted(found.items()))
