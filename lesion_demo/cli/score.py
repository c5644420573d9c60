"""`score`: files and folders of pictures to a CSV table, without a browser."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from lesion_demo.cli.arguments import add_calibration, add_checkpoint, add_device, add_engine
from lesion_demo.cli.stopping import exit_code
from lesion_demo.errors import CheckpointError
from lesion_demo.files import check_file

HELP = "write the probability and verdict of every picture to a CSV file"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a picture, or a folder, searched with all below it")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="the CSV file to write")
    add_checkpoint(parser)
    add_calibration(parser)
    parser.add_argument("--operating-point", metavar="NAME", help="which threshold to judge at (default: sensitive)")
    add_engine(parser)
    add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Score, write the table, print a line, and return the exit code: 1 where a row holds an error.

    When it is stopped, or the network turns out to be damaged, the table holds what was scored until then.
    """
    check_file(args.out, "--out")

    from lesion_demo.checkpoint import find_best_checkpoint
    from lesion_demo.decision import DEFAULT_OPERATING_POINT
    from lesion_demo.serve.classifier import Predictor
    from lesion_demo.serve.local import with_calibration
    from lesion_demo.serve.opened import open_checkpoint
    from lesion_demo.serve.scoring import find_files, score_files
    from lesion_demo.serve.table import CsvRow, write_csv

    shipped = open_checkpoint(find_best_checkpoint(chosen=args.checkpoint), args.engine, args.device)
    loaded = with_calibration(shipped, args.calibration)
    point = loaded.meta.operating_point(args.operating_point or DEFAULT_OPERATING_POINT)
    predictor = Predictor(loaded)
    files = find_files(args.paths)
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
