"""`push`: a checkpoint and its card to a model on the Hugging Face Hub; nothing that names a picture."""

from __future__ import annotations

import argparse
from pathlib import Path, PurePosixPath

from lesion_demo.cli.arguments import add_checkpoint
from lesion_demo.cli.deploy import CHECKPOINT
from lesion_demo.cli.uploading import Upload, add_dry_run, listed, matching, upload
from lesion_demo.hub import NAME
from lesion_demo.run_folder import CARD_FILE

HELP = "upload a checkpoint and its card to a model on the Hugging Face Hub, or list what would be uploaded"
TERMS = "LICENSE.md"
"""The terms of the weights, beside the run's folder."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=model_name, metavar="OWNER/MODEL", help="it is created if it does not exist")
    add_checkpoint(parser)
    parser.add_argument("--public", action="store_true", help="let everybody see it (default: private)")
    add_dry_run(parser)


def model_name(text: str) -> str:
    """OWNER/MODEL."""
    if not NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a model: give owner and name, as in clinic/lesions")
    return text


def run(args: argparse.Namespace) -> int:
    """List what goes to the model and, with a token, upload it."""
    from huggingface_hub import HfApi

    from lesion_demo.checkpoint import find_best_checkpoint, read_verified

    folder = find_best_checkpoint(chosen=args.checkpoint)
    read_verified(folder)
    files = model_files(folder)
    if TERMS not in [file.place for file in files]:
        print(f"There is no {TERMS} beside the run's folder: the card names no licence. Say on the Hub what it is.")
    token = listed(files, f"{'public' if args.public else 'private'} model {args.model}", dry_run=args.dry_run)
    if token is None:
        return 0
    api = HfApi(token=token)
    for stranger in upload(api, args.model, files, public=args.public, kind="model"):
        print(f"Left in the model, though it is no part of the checkpoint: {stranger}")
    commit = api.model_info(args.model).sha
    print(f"Uploaded: lesion_demo.load({args.model!r}, revision={commit!r}) loads it.")
    return 0


def model_files(folder: Path) -> list[Upload]:
    """What of the checkpoint in `folder` goes to the Hub, by name; the card is made anew, with the Hub's head.

    Raises:
        CheckpointError: `checkpoint.json` is missing or damaged.
    """
    from lesion_demo.card import card_head, model_card, read_facts

    facts = read_facts(folder.resolve())
    terms = list(matching(folder.resolve().parent, [TERMS], PurePosixPath()))
    head = card_head(facts, TERMS if terms else "")
    run = [file for file in matching(folder.resolve(), CHECKPOINT, PurePosixPath()) if file.place != CARD_FILE]
    card = Upload(CARD_FILE, f"{head}\n{model_card(facts)}".encode())
    return sorted([card, *run, *terms], key=lambda one: one.place)
