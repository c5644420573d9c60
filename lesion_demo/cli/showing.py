"""Which run the page is to show, for `train`: could it be this one, and which command shows it?"""

from __future__ import annotations

import argparse
from pathlib import Path

from lesion_demo.errors import CheckpointError, LesionDemoError


def check_promotion(args: argparse.Namespace) -> None:
    """Before hours of training: could the page show the run at all?"""
    from lesion_demo.checkpoint import CHECKPOINTS

    if args.out.resolve() != CHECKPOINTS.resolve():
        raise LesionDemoError(
            f"--promote works only for runs in {CHECKPOINTS}, where the page looks: leave out --out, or show the run "
            "with 'python -m lesion_demo app --checkpoint DIR'."
        )
    if args.data is None and not args.run:
        raise LesionDemoError(
            "--promote needs to know which run the page should show: add --run NAME, or --data DIR to train one."
        )


def promote(folder: Path) -> None:
    """Have the page show the run in `folder`, whatever the others beside it scored.

    Raises:
        CheckpointError: there is no checkpoint in it, or the disk refused.
    """
    from lesion_demo.checkpoint import load_checkpoint, runs_in
    from lesion_demo.shown import promoted, write_shown

    load_checkpoint(folder)
    write_shown(folder.parent, promoted(runs_in(folder.parent), folder))


def how_to_show(folder: Path) -> str:
    """A sentence with the command that shows the run in `folder` on the page, and why no shorter one does."""
    from lesion_demo.checkpoint import CHECKPOINTS, find_best_checkpoint, run_in

    own = f"'python -m lesion_demo app --checkpoint {folder}'"
    try:
        shown = find_best_checkpoint()
    except CheckpointError as error:
        return f"{own} shows it. Without --checkpoint: {error}"
    if shown.resolve() == folder.resolve():
        return "'python -m lesion_demo app' shows it."
    if folder.resolve().parent != CHECKPOINTS.resolve():
        return f"{own} shows it."
    ours, theirs = run_in(folder), run_in(shown)
    if ours.compares_with(theirs):
        why = f"which scored {theirs.val_roc_auc:.4f} on the same validation pictures"
    else:
        why = "which was validated on other pictures, so that the two scores do not compare"
    lasting = f"'python -m lesion_demo train --run {folder.name} --promote'"
    return (
        f"'python -m lesion_demo app' goes on showing {shown.name}, {why}. {own} shows this one, and {lasting} does so "
        "for good."
    )
