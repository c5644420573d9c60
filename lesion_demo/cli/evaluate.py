"""`evaluate`: a checkpoint's figures again, on the splits it was made with, and its worst mistakes."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lesion_demo.cli.arguments import add_checkpoint, add_data
from lesion_demo.cli.stopping import exit_code
from lesion_demo.config import to_dict
from lesion_demo.errors import DataError, LesionDemoError
from lesion_demo.files import check_file

if TYPE_CHECKING:
    from lesion_demo.checkpoint import LoadedCheckpoint

HELP = "report a checkpoint's figures on its test split, or on a folder from outside"

WHOLE = ("test", "test_without_near_duplicates")
"""Keys of the metrics that hold one report each."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_checkpoint(parser)
    add_data(parser, required=False)
    parser.add_argument(
        "--choose",
        action="store_true",
        help="first choose temperature, operating points and margins again, on the validation pictures and on those of "
        "any further --data, and write them into the checkpoint; nothing is trained",
    )
    parser.add_argument(
        "--external",
        type=Path,
        metavar="DIR",
        help="report a labelled folder that had no part in training or in any choice, and write it into the checkpoint",
    )
    parser.add_argument(
        "--photographs", action="store_true", help="the pictures of --external were taken without a dermatoscope"
    )
    parser.add_argument(
        "--gallery",
        type=Path,
        metavar="DIR",
        help="write the worst mistakes with their heat maps here; a folder outside the project",
    )
    parser.add_argument("--worst", type=int, default=24, help="pictures of either kind of mistake in the gallery")
    parser.add_argument(
        "--views", type=int, choices=(1, 2, 4), default=1, help="average over mirrored copies: so many times the time"
    )
    parser.add_argument("--workers", type=int, default=2, help="processes that load pictures (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report here too")


def run(args: argparse.Namespace) -> int:
    """Evaluate, print the table, and return the exit code."""
    if args.workers < 0:
        raise LesionDemoError(f"--workers {args.workers}: name 0 or more processes.")
    if not args.data and (args.choose or args.external is None):
        raise DataError("Name the data sets of the checkpoint's run with --data, or a folder from outside: --external.")

    from lesion_demo.checkpoint import find_best_checkpoint, load_checkpoint
    from lesion_demo.gallery import check_gallery

    if args.json is not None:
        check_file(args.json, "--json", new_folder=True)
    if args.gallery is not None:
        check_gallery(args.gallery)
    loaded = load_checkpoint(find_best_checkpoint(chosen=args.checkpoint))
    if args.choose:
        from lesion_demo.figures import choose_again

        loaded = replace(loaded, meta=choose_again(loaded, args.data, workers=args.workers))
    print(f"{loaded.folder}: {loaded.meta.backbone}, temperature {loaded.meta.temperature:.3f}")
    if args.choose:
        print_reports(loaded.meta.metrics)
    elif args.data and (stopped := _evaluate(loaded, args)):
        return stopped
    if args.external is not None:
        from lesion_demo.figures import look_outside

        report = look_outside(loaded, args.external, photographs=args.photographs, workers=args.workers)
        print_report(f"external, {args.external.resolve().name}", to_dict(report))
    return 0


def _evaluate(loaded: LoadedCheckpoint, args: argparse.Namespace) -> int:
    """Report on the run's own pictures; gives the exit code."""
    from lesion_demo.gallery import write_gallery
    from lesion_demo.learning.run_state import write_json
    from lesion_demo.pipeline import evaluate

    metrics, split = evaluate(loaded, args.data, views=args.views, workers=args.workers)
    print_reports(metrics)
    if args.json is not None:
        write_json(args.json, metrics)
    if args.gallery is not None:
        try:
            count = write_gallery(args.gallery, loaded, split, worst=args.worst)
        except KeyboardInterrupt as stop:
            print(f"\nStopped; the mistakes so far are in {args.gallery}.")
            return exit_code(stop)
        print(f"{count} mistakes are in {args.gallery}.")
    return 0


def print_reports(metrics: Mapping[str, Any]) -> None:
    for title, report in flatten(metrics):
        print_report(title, report)


def flatten(metrics: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The reports in `metrics`, with a title each."""
    reports = [(name.replace("_", " "), metrics[name]) for name in WHOLE if name in metrics]
    for part in ("test", "validation"):
        by_source = metrics.get(f"{part}_by_source", {})
        reports += [(f"{part}, {source}", by_source[source]) for source in by_source]
    return reports


def print_report(title: str, report: Mapping[str, Any]) -> None:
    """One report as text, intervals in brackets."""
    print(f"\n{title}: {report['n']} pictures, {report['n_malignant']} malignant")
    print(
        f"  ROC-AUC {interval(report['roc_auc'])}  PR-AUC {interval(report['pr_auc'])}  "
        f"Brier {interval(report['brier'])}  calibration error {report['calibration_error']:.3f}"
    )
    names = ("accuracy", "sensitivity", "specificity", "precision", "f1")
    for point in report["points"]:
        scores = "  ".join(f"{name} {interval(point[name])}" for name in names)
        cells = json.dumps(point["confusion"]).replace('"', "")
        print(f"  {point['name']:>9} at {point['threshold']:.3f}: {scores}  {cells}")


def interval(value: Mapping[str, float | None]) -> str:
    """`0.913 [0.895, 0.931]`, or a dash where a class is absent."""
    if value["value"] is None:
        return "—"
    return f"{value['value']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"
