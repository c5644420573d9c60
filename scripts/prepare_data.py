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
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from lesion_demo.config import CLASSES
from lesion_demo.data.manifest import MANIFEST
from lesion_demo.errors import DataError, LesionDemoError
from lesion_demo.images.load import load_image
from scripts.downloads import Entry, checksums, list_entries
from scripts.public_sets import SOURCES, Content, Row, Source

SIDE = 512
"""Default longest side in pixels: more than any preset trains at."""
MIN_SIDE = 64
QUALITY = 95


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
