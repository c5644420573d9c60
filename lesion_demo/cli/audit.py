"""`audit`: what moves a checkpoint's verdicts though it should not."""

from __future__ import annotations

import argparse
from pathlib import Path

from lesion_demo.cli.arguments import add_checkpoint, add_data, add_device, add_workers
from lesion_demo.cli.stopping import exit_code
from lesion_demo.files import check_file, check_folder, write_json
from lesion_demo.run_folder import AUDIT_FILE, STOPPED_AUDIT_FILE

HELP = "measure how far a checkpoint's verdicts depend on rings, hair, light, … and on no lesion at all"
"""What had been measured when an audit was stopped; nothing reads it but people."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_checkpoint(parser)
    add_data(parser)
    parser.add_argument("--operating-point", default="balanced", metavar="NAME")
    parser.add_argument(
        "--pictures",
        type=int,
        default=200,
        metavar="N",
        help="apply the changes to about N evenly spaced pictures of the test split; 0 for all (default: 200)",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where audit.json and plots/ go (default: the checkpoint)"
    )
    add_workers(parser)
    add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Audit, write JSON and plots, print every table, and return the exit code."""
    from lesion_demo.audit.plots import plot_all
    from lesion_demo.audit.run import audit
    from lesion_demo.card import audit_text, read_facts
    from lesion_demo.checkpoint import find_best_checkpoint, load_checkpoint
    from lesion_demo.evaluate.plots import write_plots
    from lesion_demo.results import ChangeResult, to_json

    chosen = find_best_checkpoint(chosen=args.checkpoint)
    folder = args.out or chosen
    check_file(folder / AUDIT_FILE, "--out", new_folder=True)
    check_folder(folder / "plots", "--out")
    loaded = load_checkpoint(chosen)
    changes: list[ChangeResult] = []
    try:
        found = audit(
            loaded,
            args.data,
            operating_point=args.operating_point,
            limit=args.pictures or None,
            keep=changes.append,
            workers=args.workers,
            device=args.device,
        )
    except KeyboardInterrupt as stop:
        kept = f"the {len(changes)} changes measured so far are in {folder / STOPPED_AUDIT_FILE}"
        if changes:
            measured = [to_json(change) for change in changes]
            write_json(folder / STOPPED_AUDIT_FILE, {"operating_point": args.operating_point, "changes": measured})
        print(f"\nStopped: {kept if changes else 'nothing was measured yet'}; {folder / AUDIT_FILE} is as it was.")
        return exit_code(stop)
    write_json(folder / AUDIT_FILE, to_json(found))
    write_plots(folder / "plots", plot_all(found))
    print(audit_text(read_facts(folder, loaded.meta)))
    print(f"{loaded.folder} at '{found.operating_point.name}', {found.pictures} pictures, {found.seconds:.0f} s.")
    return 0
