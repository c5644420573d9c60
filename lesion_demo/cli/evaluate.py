"""`evaluate`: a checkpoint's figures again, on the splits it was made with, and its worst mistakes."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lesion_demo.cli.arguments import add_checkpoint, add_data, add_device, add_workers, whole
from lesion_demo.cli.stopping import exit_code
from lesion_demo.errors import DataError
from lesion_demo.files import check_file, write_json
from lesion_demo.results import RATES, Interval, Metrics, Report, to_json

if TYPE_CHECKING:
    from lesion_demo.checkpoint import LoadedCheckpoint

HELP = "report a checkpoint's figures on its test split, or on a folder from outside"


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
        "--familiarity",
        action="store_true",
        help="first learn again, from the run's training pictures, which pictures are familiar, and write it into the "
        "checkpoint; weights and operating points stay",
    )
    parser.add_argument(
        "--external",
        type=Path,
        metavar="DIR",
        help="report a labelled folder that had no part in training or in any choice, and write it into the "
        "checkpoint; with --data, its pictures that the run has in another crop are left out",
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
    parser.add_argument("--worst", type=whole, default=24, help="pictures of either kind of mistake in the gallery")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report here too")
    add_workers(parser)
    add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Evaluate, print the table, and return the exit code."""
    if not args.data and (args.choose or args.familiarity or args.external is None):
        raise DataError("Name the data sets of the checkpoint's run with --data, or an outside folder with --external.")

    from lesion_demo.audit.gallery import check_gallery
    from lesion_demo.checkpoint import find_best_checkpoint, load_checkpoint

    if args.json is not None:
        check_file(args.json, "--json", new_folder=True)
    if args.gallery is not None:
        check_gallery(args.gallery)
    loaded = load_checkpoint(find_best_checkpoint(chosen=args.checkpoint))
    if args.choose:
        from lesion_demo.evaluate.reevaluate import choose_again

        loaded = replace(loaded, meta=choose_again(loaded, args.data, workers=args.workers, device=args.device))
    if args.familiarity:
        from lesion_demo.evaluate.known import learn_known_again

        loaded = learn_known_again(loaded, args.data, workers=args.workers, device=args.device)
    print(f"{loaded.folder}: {loaded.meta.backbone}, temperature {loaded.meta.temperature:.3f}")
    if args.choose or args.familiarity:
        print_reports(loaded.meta.metrics)
    elif args.external is None and (stopped := _evaluate(loaded, args)):
        return stopped
    if args.external is not None:
        from lesion_demo.evaluate.outside import look_outside

        report = look_outside(
            loaded,
            args.external,
            args.data or (),
            photographs=args.photographs,
            workers=args.workers,
            device=args.device,
        )
        print_report(f"external, {args.external.resolve().name}", report)
    return 0


def _evaluate(loaded: LoadedCheckpoint, args: argparse.Namespace) -> int:
    """Report on the run's own pictures; gives the exit code."""
    from lesion_demo.audit.gallery import write_gallery
    from lesion_demo.evaluate.settle import evaluate

    metrics, split = evaluate(loaded, args.data, workers=args.workers, device=args.device)
    print_reports(metrics)
    if args.json is not None:
        write_json(args.json, to_json(metrics))
    if args.gallery is not None:
        try:
            count = write_gallery(args.gallery, loaded, split, worst=args.worst, device=args.device)
        except KeyboardInterrupt as stop:
            print(f"\nStopped; the mistakes so far are in {args.gallery}.")
            return exit_code(stop)
        print(f"{count} mistakes are in {args.gallery}.")
    return 0


def print_reports(metrics: Metrics) -> None:
    for name, report in metrics.tested.items():
        print_report(name.replace("_", " "), report)
    for part in ("test", "validation"):
        for source, report in metrics.by_source[part].items():
            print_report(f"{part}, {source}", report)


def print_report(title: str, report: Report) -> None:
    """One report as text, intervals in brackets."""
    print(f"\n{title}: {report.n} pictures, {report.n_malignant} malignant")
    print(
        f"  ROC-AUC {interval(report.roc_auc)}  PR-AUC {interval(report.pr_auc)}  "
        f"Brier {interval(report.brier)}  calibration error {report.calibration_error:.3f}"
    )
    for point in report.points:
        scores = "  ".join(f"{name} {interval(getattr(point, name))}" for name in RATES)
        cells = json.dumps(point.confusion and asdict(point.confusion)).replace('"', "")
        print(f"  {point.name:>9} at {point.threshold:.3f}: {scores}  {cells}")


def interval(found: Interval) -> str:
    """`0.913 [0.895, 0.931]`, or a dash where a class is absent."""
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]" if found.known else "—"
