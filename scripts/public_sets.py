"""The four public data sets: what has to be downloaded of each, what is in it, and how much of that there should be."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lesion_demo.config import CLASSES
from lesion_demo.data.class_names import BENIGN_NAMES, MALIGNANT_NAMES
from lesion_demo.errors import DataError
from scripts.downloads import Entry, by_stem, find_table, safe_name

PICTURES = (".jpg", ".jpeg", ".png")
UNKNOWN = ("", "nan", "na", "unknown", "unk")


@dataclass(frozen=True)
class Row:
    """One picture of a prepared set: where it comes from, and its line in the manifest."""

    entry: Entry
    name: str
    split: str
    dx: str
    columns: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Raises: DataError, nobody knows whether the diagnosis is benign or malignant."""
        malignant = self.dx.lower() in MALIGNANT_NAMES
        if not malignant and self.dx.lower() not in BENIGN_NAMES:
            raise DataError(f"{self.name} has the diagnosis {self.dx!r}, which is not known; name it in --leave-out.")
        return CLASSES[malignant]


@dataclass(frozen=True)
class Content:
    """What a set's downloads hold: rows to prepare, counts to hold against `Source.expected`, and what is left out."""

    rows: list[Row]
    counts: Counter[str]
    left_out: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Source:
    """One public data set.

    Attributes:
        title: what it is called.
        files: what has to be downloaded.
        licence: of the pictures.
        expected: what is counted → pictures, as published.
        read: the entries → what they hold.
    """

    title: str
    files: str
    licence: str
    expected: Mapping[str, int]
    read: Callable[[Sequence[Entry]], Content]


def _read_melanoma10k(entries: Sequence[Entry]) -> Content:
    """Split and class are the two folders that a picture lies in."""
    rows: dict[str, Row] = {}
    counts: Counter[str] = Counter()
    for entry in entries:
        place = tuple(part.lower() for part in entry.path.parts[-3:-1])
        if "/".join(place) in MELANOMA10K and entry.path.suffix.lower() in PICTURES:
            name = safe_name(entry.path.stem, entry.origin)
            row = rows.setdefault("/".join((*place, name)), Row(entry, name, place[0], place[1]))
            counts["/".join(place)] += row.entry is entry
    return Content(list(rows.values()), counts)


def _read_ham10000(entries: Sequence[Entry]) -> Content:
    table = find_table(entries, ("image_id", "lesion_id", "dx"), "HAM10000_metadata")
    kept = {"dx_type": "dx_type", "lesion_id": "lesion_id", "age": "age", "sex": "sex", "localization": "site"}
    rows = _rows(by_stem(entries, PICTURES), table, "image_id", lambda line: line["dx"].lower(), kept)
    return Content(rows, Counter(row.dx for row in rows))


def _read_padufes20(entries: Sequence[Entry]) -> Content:
    table = find_table(entries, ("img_id", "patient_id", "diagnostic"), "metadata.csv of PAD-UFES-20")
    kept = {name: name for name in ("patient_id", "lesion_id", "age")}
    kept |= {"gender": "sex", "region": "site", "fitspatrick": "fitzpatrick", "biopsed": "biopsied"}
    rows = _rows(by_stem(entries, PICTURES), table, "img_id", lambda line: line["diagnostic"].upper(), kept)
    return Content(rows, Counter(row.dx for row in rows))


def _read_isic2018(entries: Sequence[Entry]) -> Content:
    """Task 1 has no diagnoses; the ISIC Archive's table has them. Pictures without a usable one are left out."""
    table = find_table(entries, ("isic_id",), "metadata.csv of the ISIC Archive, which has the diagnoses")
    training = [entry for entry in entries if ISIC2018_FOLDER in f"{entry.origin}/{entry.path}".lower()]
    pictures = {name: entry for name, entry in by_stem(training, PICTURES).items() if re.fullmatch(r"ISIC_\d+", name)}
    kept = {name: name for name in ("lesion_id", "patient_id", "sex")}
    kept |= {"age_approx": "age", "anatom_site_general": "site"}
    rows = _rows(pictures, table, "isic_id", isic_diagnosis, kept)
    left_out = Counter(row.dx.replace("?", "diagnosis ") for row in rows if row.dx.startswith("?"))
    left_out["not in the table"] = len(pictures.keys() - {row.name for row in rows})
    return Content([row for row in rows if not row.dx.startswith("?")], Counter(pictures=len(pictures)), +left_out)


def isic_diagnosis(line: Mapping[str, str]) -> str:
    """`mel`, `nv` or `bkl` from a line of the ISIC Archive's table, of either release; else `?` and what stands there.

    Newer tables have the levels diagnosis_1 (benign or malignant) to diagnosis_5, older ones one column `diagnosis`.
    """
    levels = [line.get(name, "") for name in (*(f"diagnosis_{level}" for level in range(5, 0, -1)), "diagnosis")]
    filled = [level for level in levels if level.lower() not in UNKNOWN]
    for level in filled:
        for dx, pattern in ISIC_DIAGNOSES.items():
            if re.search(pattern, level.lower()):
                return dx
    return f"?{filled[0] if filled else 'missing'}"


def _rows(
    pictures: Mapping[str, Entry],
    table: Sequence[Mapping[str, str]],
    key: str,
    diagnosis: Callable[[Mapping[str, str]], str],
    kept: Mapping[str, str],
) -> list[Row]:
    """A row for every line of `table` whose picture is there; `kept`: column → its name in the manifest."""
    rows = []
    for line in table:
        name = safe_name(Path(line[key]).stem, "The table")
        if name in pictures:
            columns = {new: "" if line.get(old, "").lower() in UNKNOWN else line[old] for old, new in kept.items()}
            rows.append(Row(pictures[name], name, "train", diagnosis(line), columns))
    return rows


ISIC_DIAGNOSES = {
    "mel": r"\bmelanoma\b|lentigo maligna",
    "nv": r"\bna?evus\b",
    "bkl": r"seborrho?eic keratosis|pigmented benign keratosis|lentigo|(lichen planus.like|lichenoid) keratosis",
}
ISIC2018_FOLDER = "isic2018_task1-2_training_input"
MELANOMA10K = {"train/benign": 5000, "train/malignant": 4605, "test/benign": 500, "test/malignant": 500}
SOURCES = {
    "melanoma10k": Source(
        "Melanoma Skin Cancer Dataset of 10000 Images",
        "archive.zip from Kaggle, with melanoma_cancer_dataset/{train,test}/{benign,malignant}/",
        "not established: do not pass the pictures on",
        MELANOMA10K,
        _read_melanoma10k,
    ),
    "ham10000": Source(
        "HAM10000",
        "HAM10000_images_part_1.zip, HAM10000_images_part_2.zip and HAM10000_metadata from Harvard Dataverse",
        "CC BY-NC: no commercial use",
        {"nv": 6705, "mel": 1113, "bkl": 1099, "bcc": 514, "akiec": 327, "vasc": 142, "df": 115},
        _read_ham10000,
    ),
    "isic2018": Source(
        "ISIC 2018, task 1",
        "ISIC2018_Task1-2_Training_Input.zip from the challenge's page and metadata.csv from the ISIC Archive",
        "CC BY-NC: no commercial use",
        {"pictures": 2594},
        _read_isic2018,
    ),
    "padufes20": Source(
        "PAD-UFES-20",
        "the whole set from Mendeley Data, with metadata.csv and imgs_part_1.zip to imgs_part_3.zip",
        "CC BY 4.0: name the authors",
        {"BCC": 845, "ACK": 730, "NEV": 244, "SEK": 235, "SCC": 192, "MEL": 52},
        _read_padufes20,
    ),
}
