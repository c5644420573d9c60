"""`score`: files and folders of pictures to a table, without a browser; a large archive in parts."""

from __future__ import annotations

import argparse
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lesion_demo.cli.arguments import add_calibration, add_checkpoint, add_device, add_engine
from lesion_demo.cli.stopping import exit_code
from lesion_demo.errors import CheckpointError, LesionDemoError
from lesion_demo.files import check_file, check_folder

if TYPE_CHECKING:
    from lesion_demo.config import OperatingPoint
    from lesion_demo.serve.analysis import Analyzer
    from lesion_demo.serve.classifier import Predictor
    from lesion_demo.serve.opened import ServedCheckpoint
    from lesion_demo.serve.table import CsvRow

HELP = "write the probability and verdict of every picture to a table, CSV or Parquet"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="a picture, or a folder that is searched with its subfolders"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="the table to write: Parquet if FILE ends in .parquet, else CSV"
    )
    parser.add_argument(
        "--parts", type=Path, metavar="DIR",
        help="score in parts, a file in DIR for each 512 pictures; after an interruption, the same command "
        "continues; when all parts are done, the whole table is written to --out",
    )  # fmt: skip
    parser.add_argument(
        "--parts-format", choices=("csv", "parquet"), default="csv", help="of the files in DIR (default: csv)"
    )
    parser.add_argument(
        "--one-lesion", action="store_true",
        help="the 2 to 5 pictures show one lesion: print one result for it, and add it as the table's last line",
    )  # fmt: skip
    parser.add_argument(
        "--shard", type=share, metavar="I/N",
        help="with --parts: score only the I-th share of N, while other processes, on any machine, score the others",
    )  # fmt: skip
    parser.add_argument(
        "--probabilities-only", action="store_true",
        help="faster: do not check quality and familiarity, and leave verdict, quality, familiarity, operating_point "
        "and threshold empty in the table",
    )  # fmt: skip
    add_checkpoint(parser)
    add_calibration(parser)
    parser.add_argument("--operating-point", metavar="NAME", help="which threshold to use (default: sensitive)")
    add_engine(parser)
    add_device(parser)


def share(text: str) -> tuple[int, int]:
    """I/N, such as 2/8: the number of a share, from 1, and how many there are."""
    found = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", text)
    if found is None or int(found[1]) > int(found[2]):
        raise argparse.ArgumentTypeError(f"{text!r} is not a shard: write 2/8 for the second of eight")
    return int(found[1]), int(found[2])


@dataclass(frozen=True)
class Work:
    """Pictures to score, and with what; without a `point`, they get no verdict."""

    files: list[str]
    loaded: ServedCheckpoint
    predictor: Predictor
    point: OperatingPoint | None

    def rows(self, files: Sequence[str]) -> Iterator[CsvRow]:
        from lesion_demo.serve.scoring import score_files

        margin = 0.0 if self.point is None else self.loaded.meta.margin_at(self.point)
        return score_files(files, self.predictor, self.point, margin)


def run(args: argparse.Namespace) -> int:
    """Score, write the table, print a line, and return the exit code: 1 where a row holds an error.

    When it is stopped, or the network turns out to be damaged, the table holds what was scored until then, and the
    folder for parts every part that was finished.
    """
    check_places(args)

    from lesion_demo.checkpoint import find_best_checkpoint
    from lesion_demo.decision import DEFAULT_OPERATING_POINT
    from lesion_demo.serve.analysis import Analyzer
    from lesion_demo.serve.classifier import Predictor
    from lesion_demo.serve.local import with_calibration
    from lesion_demo.serve.opened import open_checkpoint
    from lesion_demo.serve.scoring import find_files
    from lesion_demo.serve.several import require_count

    files = find_files(args.paths)
    if args.one_lesion:
        require_count(len(files))
    shipped = open_checkpoint(find_best_checkpoint(chosen=args.checkpoint), args.engine, args.device)
    loaded = with_calibration(shipped, args.calibration)
    point = loaded.meta.operating_point(args.operating_point or DEFAULT_OPERATING_POINT)
    if args.one_lesion:
        return _score_lesion(files, Analyzer(loaded), point, args.out)
    work = Work(files, loaded, Predictor(loaded), None if args.probabilities_only else point)
    return score_whole(work, args.out) if args.parts is None else score_parts(work, args)


def check_places(args: argparse.Namespace) -> None:
    """Raises LesionDemoError where nothing could be written or read, or it is not said where, or as what."""
    from lesion_demo.serve.parquet import require_parquet

    if packed := [path for path in args.paths if path.lower().endswith(".zip") and Path(path).is_file()]:
        raise LesionDemoError(f"{packed[0]} is a zip file: unpack it, and name the folder.")
    if args.out is None and args.parts is None:
        raise LesionDemoError("Give a file for the table (--out FILE) or a folder for its parts (--parts DIR).")
    if args.one_lesion and (args.out is None or args.parts is not None):
        raise LesionDemoError("--one-lesion writes a single table: name it with --out FILE, and leave out --parts.")
    if args.probabilities_only and (args.one_lesion or args.operating_point):
        raise LesionDemoError("--probabilities-only gives no verdict: leave out --one-lesion and --operating-point.")
    if args.shard is not None and args.parts is None:
        raise LesionDemoError("--shard needs --parts DIR, a folder that all processes share.")
    require_parquet(Path(f"part.{args.parts_format}"))
    if args.out is not None:
        require_parquet(args.out)
        check_file(args.out, "--out")
    if args.parts is not None:
        check_folder(args.parts, "--parts")


def score_whole(work: Work, out: Path) -> int:
    """One process, one table."""
    from lesion_demo.serve.parquet import write_table

    rows: list[CsvRow] = []
    try:
        for row in work.rows(work.files):
            rows.append(row)
    except (KeyboardInterrupt, CheckpointError) as stop:
        if rows:
            write_table(out, rows)
        table = f"their rows are in {out}" if rows else f"{out} was not written"
        print(f"\nStopped after {len(rows)} of {len(work.files)} pictures: {table}.")
        if isinstance(stop, CheckpointError):
            raise
        return exit_code(stop)
    write_table(out, rows)
    return report(work, rows, f"The table is {out}.")


def score_parts(work: Work, args: argparse.Namespace) -> int:
    """One shard of the parts that are not there yet, and the whole table once all are."""
    from lesion_demo.serve.parquet import write_table
    from lesion_demo.serve.parts import Plan, begin, join, missing, part_path, rows_of

    folder, plan = args.parts, Plan.of(work.files, work.loaded, work.point, f".{args.parts_format}")
    begin(folder, plan)
    own = plan.numbers(*(args.shard or shard_of_process()))
    try:
        for number in missing(folder, plan, own):
            write_table(part_path(folder, plan, number), work.rows(plan.files_of(number, work.files)))
    except KeyboardInterrupt as stop:
        left = len(missing(folder, plan, own))
        print(f"\nStopped: {len(own) - left} of {len(own)} parts are in {folder}; the same command goes on from there.")
        return exit_code(stop)
    left = len(missing(folder, plan, range(plan.parts)))
    if left:
        where = f"Of {plan.parts} parts in {folder}, {left} are left for other shards."
    elif args.out is None:
        where = f"All {plan.parts} parts are in {folder}."
    else:
        join(folder, plan, args.out)
        where = f"The table is {args.out}."
    code = report(work, rows_of(folder, plan, own), where)
    # A launcher ends all processes when one fails, and a picture that cannot be read is no reason for that.
    return 0 if left and args.shard is None else code


def shard_of_process() -> tuple[int, int]:
    """This process's share where `accelerate launch` or `torchrun` has started several, else all."""
    return int(os.environ.get("RANK", 0)) + 1, int(os.environ.get("WORLD_SIZE", 1))


def report(work: Work, rows: Iterable[CsvRow], where: str) -> int:
    """Print what came out and `where` it is, and return the exit code."""
    outcomes = Counter("failed" if row.error else row.verdict for row in rows)
    failed = outcomes.pop("failed", 0)
    said = ", ".join(f"{count} {verdict.replace('_', ' ')}" for verdict, count in outcomes.items() if verdict)
    point = work.point
    how = f"at the operating point {point.name} (threshold {point.threshold:.3f})" if point else "without verdicts"
    local = f" {work.loaded.meta.local}." if work.loaded.meta.local else ""
    print(
        f"{outcomes.total()} scored {how}{': ' if said else ''}{said}; "
        f"{failed} failed{': see the error column' if failed else ''}. {where}{local}"
    )
    return 1 if failed else 0


def _score_lesion(files: list[str], analyzer: Analyzer, point: OperatingPoint, out: Path) -> int:
    """Write a row for each of `files`, and one for the lesion that they show; print its answer.

    Raises:
        ImageError: fewer than two of them can be read; the table then says why.
    """
    from lesion_demo.serve.batch import BatchItem, analyze_batch
    from lesion_demo.serve.parquet import write_table
    from lesion_demo.serve.several import Several

    findings = list(analyze_batch(analyzer, [BatchItem(file, Path(file)) for file in files], point))
    rows = [finding.row for finding in findings]
    write_table(out, rows)
    readable = [finding.analysis for finding in findings if finding.analysis is not None]
    row = Several.of(readable, point, analyzer.margin_at(point)).row(analyzer.meta.local)
    write_table(out, [*rows, row])
    print(
        f"One lesion: {row.verdict.replace('_', ' ')}, {float(row.probability):.3f} ({row.note}) at the operating "
        f"point {point.name} (threshold {point.threshold:.3f}). The table is {out}."
        f"{f' {analyzer.meta.local}.' if analyzer.meta.local else ''}"
    )
    return 1 if len(readable) < len(files) else 0
