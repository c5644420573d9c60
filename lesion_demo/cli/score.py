"""`score`: files and folders of pictures to a CSV table, without a browser."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from lesion_demo.cli.arguments import add_calibration, add_checkpoint, add_device
from lesion_demo.cli.stopping import exit_code
from lesion_demo.errors import CheckpointError
from lesion_demo.files import check_file

if TYPE_CHECKING:
    from lesion_demo.config import OperatingPoint
    from lesion_demo.serve.analysis import Analyzer

HELP = "write the probability and verdict of every picture to a CSV file"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a picture, or a folder, searched with all below it")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="the CSV file to write")
    parser.add_argument(
        "--one-lesion", action="store_true",
        help="the pictures, 2 to 5, show one lesion: print one answer for it, and add it to the table as a last line",
    )  # fmt: skip
    add_checkpoint(parser)
    add_calibration(parser)
    parser.add_argument("--operating-point", metavar="NAME", help="which threshold to judge at (default: sensitive)")
    add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Score, write the table, print a line, and return the exit code: 1 where a row holds an error.

    When it is stopped, or the network turns out to be damaged, the table holds what was scored until then.
    """
    check_file(args.out, "--out")

    from lesion_demo.checkpoint import find_best_checkpoint, load_checkpoint
    from lesion_demo.decision import DEFAULT_OPERATING_POINT
    from lesion_demo.serve.analysis import Analyzer
    from lesion_demo.serve.classifier import Predictor
    from lesion_demo.serve.local import with_calibration
    from lesion_demo.serve.scoring import find_files, score_files
    from lesion_demo.serve.several import require_count
    from lesion_demo.serve.table import CsvRow, write_csv

    files = find_files(args.paths)
    if args.one_lesion:
        require_count(len(files))
    loaded = with_calibration(load_checkpoint(find_best_checkpoint(chosen=args.checkpoint)), args.calibration)
    point = loaded.meta.operating_point(args.operating_point or DEFAULT_OPERATING_POINT)
    if args.one_lesion:
        return _score_lesion(files, Analyzer(loaded, device=args.device), point, args.out)
    predictor = Predictor(loaded, args.device)
    rows: list[CsvRow] = []
    try:
        for row in score_files(files, predictor, point, loaded.meta.margin_at(point)):
            rows.append(row)
    except (KeyboardInterrupt, CheckpointError) as stop:
        if rows:
            write_csv(args.out, rows)
        table = f"their rows are in {args.out}" if rows else f"{args.out} was not written"
        print(f"\nStopped after {len(rows)} of {len(files)} pictures: {table}.")
        if isinstance(stop, CheckpointError):
            raise
        return exit_code(stop)
    write_csv(args.out, rows)
    failed = sum(bool(row.error) for row in rows)
    counts = Counter(row.verdict for row in rows if row.verdict)
    verdicts = ", ".join(f"{count} {verdict.replace('_', ' ')}" for verdict, count in counts.items())
    print(
        f"{len(rows) - failed} scored at the operating point {point.name} (threshold {point.threshold:.3f})"
        f"{': ' if verdicts else ''}{verdicts}; {failed} failed{': see the error column' if failed else ''}. "
        f"The table is {args.out}.{f' {loaded.meta.local}.' if loaded.meta.local else ''}"
    )
    return 1 if failed else 0


def _score_lesion(files: list[str], analyzer: Analyzer, point: OperatingPoint, out: Path) -> int:
    """Write a row for each of `files`, and one for the lesion that they show; print its answer.

    Raises:
        ImageError: fewer than two of them can be read; the table then says why.
    """
    from lesion_demo.serve.batch import BatchItem, analyze_batch
    from lesion_demo.serve.several import Several
    from lesion_demo.serve.table import write_csv

    findings = list(analyze_batch(analyzer, [BatchItem(file, Path(file)) for file in files], point))
    rows = [finding.row for finding in findings]
    write_csv(out, rows)
    readable = [finding.analysis for finding in findings if finding.analysis is not None]
    row = Several.of(readable, point, analyzer.margin_at(point)).row(analyzer.meta.local)
    write_csv(out, [*rows, row])
    print(
        f"One lesion: {row.verdict.replace('_', ' ')}, {float(row.probability):.3f} ({row.note}) at the operating "
        f"point {point.name} (threshold {point.threshold:.3f}). The table is {out}."
        f"{f' {analyzer.meta.local}.' if analyzer.meta.local else ''}"
    )
    return 1 if len(readable) < len(files) else 0
