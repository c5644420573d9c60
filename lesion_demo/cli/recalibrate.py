"""`recalibrate`: fit a checkpoint's probabilities and thresholds to one clinic's labelled pictures."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lesion_demo.cli.arguments import add_checkpoint, add_class_map, add_device, parse_class_map
from lesion_demo.files import check_file
from lesion_demo.local_calibration import LocalCalibration

HELP = "fit probabilities and thresholds to 100 or more labelled pictures of one clinic"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        required=True,
        type=Path,
        metavar="DIR",
        help="the clinic's pictures: DIR/<class>/…, DIR/train|val|test/<class>/…, or with a manifest.csv",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="the JSON file to write")
    add_checkpoint(parser)
    parser.add_argument("--name", default="", help="of the clinic, for the page and reports (default: the folder's)")
    add_class_map(parser)
    parser.add_argument("--skip-corrupt", action="store_true", help="leave out pictures that cannot be read")
    add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Fit, write the file, print what changed, and return the exit code."""
    check_file(args.out, "--out")

    from lesion_demo.checkpoint import find_best_checkpoint, load_checkpoint
    from lesion_demo.evaluate.own_clinic import recalibrate
    from lesion_demo.local_calibration import write_local

    loaded = load_checkpoint(find_best_checkpoint(chosen=args.checkpoint))
    class_map = parse_class_map(args.class_map)
    local, warnings = recalibrate(
        loaded, args.data, name=args.name, class_map=class_map, skip_corrupt=args.skip_corrupt, device=args.device
    )
    write_local(args.out, local)
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    shipped = {point.name: point.threshold for point in loaded.meta.operating_points}
    print(summary(local, shipped))
    print(f"Use it: python -m lesion_demo app --checkpoint {loaded.folder} --calibration {args.out}")
    return 0


def summary(local: LocalCalibration, shipped: dict[str, float]) -> str:
    """The fit in lines, with the thresholds as `shipped` beside its own."""
    lines = [
        f"{local}, {local.malignant} of them malignant: slope {local.slope:.2f}, intercept {local.intercept:+.2f}."
    ]
    for point in local.points:
        sensitivity, specificity = (
            f"{share.value:.1%} ({share.low:.1%} to {share.high:.1%})"
            for share in (point.sensitivity, point.specificity)
        )
        lines.append(
            f"  {point.name:>9}: threshold {point.threshold:.3f} (shipped {shipped[point.name]:.3f}), cross-validated "
            f"sensitivity {sensitivity}, specificity {specificity}"
        )
    return "\n".join(lines)
