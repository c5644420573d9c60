"""Public downloads to data sets that training reads: pictures of a handy size, class folders, and a manifest.csv.

    python -m scripts.prepare_data ham10000 --downloads DOWNLOADS --out DATA

DOWNLOADS is a folder with the files as they came, zipped or unpacked; DATA/ham10000 is made. The others are
melanoma10k, isic2018 and padufes20; docs/data.md says where to get each and under which licence. Nothing is fetched.
Run it from the project's folder. One core takes some minutes for a set, and longest for isic2018's large pictures.
"""

from __future__ import annotations

import argparse
import csv
import io
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from lesion_demo.config import CLASSES
from lesion_demo.data.class_names import BENIGN_NAMES, MALIGNANT_NAMES
from lesion_demo.data.manifest import MANIFEST
from lesion_demo.errors import DataError, LesionDemoError
from lesion_demo.images.load import load_image
from scripts.downloads import Entry, by_stem, checksums, find_table, list_entries, safe_name

SIDE = 512
"""Default longest side in pixels: more than any preset trains at."""
MIN_SIDE = 64
QUALITY = 95
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


# --- the sets --------------------------------------------------------------------------------------------------------


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


# --- from downloads to a data set ------------------------------------------------------------------------------------


def differences(content: Content, expected: Mapping[str, int]) -> str:
    """What was counted other than as published, in words; empty where all is there."""
    odd = [key for key in {**expected, **content.counts} if content.counts[key] != expected.get(key, 0)]
    return ", ".join(f"{key} {content.counts[key]:,} instead of {expected.get(key, 0):,}" for key in odd)


def write_set(target: Path, rows: Sequence[Row], side: int) -> None:
    """Write the pictures and the manifest to the folder `target`, which is there in the end, whole, or not at all.

    Raises:
        DataError: `target` is there already, or a picture is damaged.
        OSError: the disk is full or write-protected.
    """
    if target.exists():
        raise DataError(f"{target} is there already; move it away or delete it, or choose another --out.")
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of a process that was killed
    try:
        _write_files(part, rows, side)
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write_files(folder: Path, rows: Sequence[Row], side: int) -> None:
    lines = []
    for number, row in enumerate(rows, start=1):
        data, suffix = shrink(row.entry, side)
        file = Path(row.split, row.label, row.name + suffix)
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(data)
        lines.append({"file": file.as_posix(), "split": row.split, "label": row.label, "dx": row.dx, **row.columns})
        if number % 500 == 0:
            print(f"{number:,} of {len(rows):,} pictures", flush=True)
    if rows[0].columns:
        with (folder / MANIFEST).open("w", newline="", encoding="utf-8") as table:
            writer = csv.DictWriter(table, list(lines[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(lines)


def shrink(entry: Entry, side: int) -> tuple[bytes, str]:
    """The picture as a file of at most `side` pixels each way, and its suffix; a small JPEG stays as it is.

    Raises:
        DataError: it is damaged or no picture.
    """
    data = entry.read()
    try:
        with Image.open(io.BytesIO(data)) as original:
            small = original.format == "JPEG" and max(original.size) <= side
        if small:
            return data, ".jpg"
        image = Image.fromarray(load_image(data))
    except (UnidentifiedImageError, LesionDemoError) as error:
        raise DataError(f"{entry.path} in {entry.origin} is damaged or no picture; download it again.") from error
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    image.save(content, "JPEG", quality=QUALITY, subsampling=0)
    return content.getvalue(), ".jpg"


def prepare(source: Source, args: argparse.Namespace) -> None:
    """Raises: DataError, see `list_entries`, `find_table` and `write_set`; or a count differs and not --partial."""
    with ExitStack() as stack:
        content = source.read(list_entries(args.downloads, stack))
        unwanted = _read_names(args.leave_out, content.rows) if args.leave_out else set()
        rows = [row for row in content.rows if row.name not in unwanted]
        if not rows:
            raise DataError(f"{args.downloads} holds no pictures of {source.title}; it needs {source.files}.")
        odd = differences(content, source.expected)
        if odd and not args.partial:
            raise DataError(
                f"{source.title} is not as published: {odd}. It needs {source.files}; download what is missing, or "
                f"give --partial to go on with what is there."
            )
        for line in _summary(source, content, rows, odd):
            print(line)
        for name, size, digests in checksums(args.downloads):
            print(f"{name}: {size:,} bytes", *(f"  {kind} {value}" for kind, value in digests.items()), sep="\n")
        write_set(args.out / args.set, rows, args.side)
    print(f"{args.out / args.set} is ready: --data {args.out / args.set}")


def _read_names(path: Path, rows: Sequence[Row]) -> set[str]:
    names = {Path(name).stem for name in path.read_text(encoding="utf-8", errors="replace").split()}
    if strangers := sorted(names - {row.name for row in rows}):
        raise DataError(f"{path} names {strangers[0]!r}, which is not among the pictures; correct or remove it.")
    return names


def _summary(source: Source, content: Content, rows: Sequence[Row], odd: str) -> Iterator[str]:
    labels = Counter(row.label for row in rows)
    yield f"{source.title}: {len(rows):,} pictures, " + ", ".join(f"{labels[name]:,} {name}" for name in CLASSES)
    yield f"Licence of the pictures: {source.licence}"
    if odd:
        yield f"warning: not as published: {odd}"
    for reason, count in content.left_out.most_common():
        yield f"left out: {count:,} ({reason})"
    if unwanted := len(content.rows) - len(rows):
        yield f"left out: {unwanted:,} (named by --leave-out)"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.prepare_data", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("set", choices=SOURCES, help="which of the sets")
    parser.add_argument("--downloads", type=Path, required=True, metavar="DIR", help="where the downloads lie")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="DIR/SET is made")
    parser.add_argument("--side", type=int, default=SIDE, help="longest side in pixels (default: %(default)s)")
    parser.add_argument("--leave-out", type=Path, metavar="FILE", help="names of pictures to leave out, one a line")
    parser.add_argument("--partial", action="store_true", help="go on although pictures are missing or too many")
    args = parser.parse_args(arguments)
    if args.side < MIN_SIDE:
        parser.error(f"--side {args.side} is too small; give {MIN_SIDE} pixels or more.")
    try:
        prepare(SOURCES[args.set], args)
    except LesionDemoError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; what was written is removed again.", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"error: {error.filename or args.out}: {error.strerror}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
