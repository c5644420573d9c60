"""`card`: what a checkpoint's files say of its model, as a README beside them."""

from __future__ import annotations

import argparse

from lesion_demo.cli.arguments import add_checkpoint
from lesion_demo.run_folder import CARD_FILE

HELP = "write a checkpoint's model card, README.md, from its own files"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_checkpoint(parser)


def run(args: argparse.Namespace) -> int:
    """Write the card, name what it lacks, and return the exit code."""
    from lesion_demo.card import model_card, read_facts
    from lesion_demo.checkpoint import find_best_checkpoint
    from lesion_demo.errors import CheckpointError
    from lesion_demo.files import check_file, replacing

    folder = find_best_checkpoint(chosen=args.checkpoint).resolve()
    facts = read_facts(folder)
    path = folder / CARD_FILE
    check_file(path, "The card")
    try:
        with replacing(path) as part:
            part.write_text(model_card(facts), encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise CheckpointError(
            f"Could not write {path} ({error}): free some space, or check that you may write there."
        ) from error
    print(f"The model card is {path}.")
    for gap in facts.gaps:
        print(f"  lacking: {gap.file}{f', {gap.part}' if gap.part else ''}{f' ({gap.damage})' if gap.damage else ''}")
    return 0
