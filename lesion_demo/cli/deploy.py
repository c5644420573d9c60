"""`deploy`: the page and one checkpoint, to a Space on Hugging Face; nothing else that lies in the folder."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from lesion_demo.cli.arguments import add_checkpoint
from lesion_demo.cli.uploading import Upload, add_dry_run, listed, matching, upload
from lesion_demo.errors import LesionDemoError
from lesion_demo.hub import NAME
from lesion_demo.run_folder import (  # fmt: skip
    AUDIT_FILE,
    CARD_FILE,
    CONFIG_FILE,
    GRAPH_FILE,
    HISTORY_FILE,
    KNOWN_FILE,
    META_FILE,
    METRICS_FILE,
    WEIGHTS_FILE,
)

HELP = "upload the page and one checkpoint to a Space on Hugging Face, or list what would be uploaded"
PROJECT = Path(__file__).resolve().parent.parent.parent

CODE = (
    "app.py",
    "LICENSE",
    "assets/screenshot*.png",
    "lesion_demo/**/*.py",
    "lesion_demo/card/templates/*.md",
    "lesion_demo/expected.json",
    "lesion_demo/translations/*.json",
    "lesion_demo/web/*.css",
    "lesion_demo/web/*.js",
    "lesion_demo/web/templates/*.html",
    "lesion_demo/audit/templates/*.html",
    "lesion_demo/web/examples/phantom_*.jpg",
)
"""What goes to a Space, beside the checkpoint, requirements.txt and README.md; all else stays, whatever it is."""
PLOTS = (
    *("roc", "precision_recall", "reliability", "thresholds", "confusion_*", "learning_curves", "validation_metrics"),
    *("audit", "ring_flips", "degradations", "unrelated", "coverage"),
)
CHECKPOINT = (
    *(META_FILE, WEIGHTS_FILE, GRAPH_FILE, KNOWN_FILE, CONFIG_FILE, HISTORY_FILE, METRICS_FILE, AUDIT_FILE, CARD_FILE),
    *(f"plots/{name}.png" for name in PLOTS),
)
"""Of a run's folder. `split.csv` and its kin stay: they name pictures, lesions and patients."""
ZERO_GPU = {"torch": "torch>=2.8,<2.12", "torchvision": "torchvision>=0.23,<0.27"}
"""What ZeroGPU has; elsewhere the newest will do."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("space", type=space_name, metavar="OWNER/SPACE", help="it is created if it does not exist")
    add_checkpoint(parser)
    parser.add_argument("--public", action="store_true", help="let everybody see it (default: private)")
    parser.add_argument(
        "--model", action="append", default=[], metavar="OWNER/NAME",
        help="a model on the Hub that the Space should list; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--dataset", action="append", default=[], metavar="OWNER/NAME",
        help="a data set on the Hub that the Space should list; may be repeated",
    )  # fmt: skip
    add_dry_run(parser)


def space_name(text: str) -> str:
    """OWNER/SPACE."""
    if not NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a Space: give owner and name, as in clinic/lesion-demo")
    return text


def run(args: argparse.Namespace) -> int:
    """List what goes to the Space and, with a token, upload it."""
    from huggingface_hub import HfApi

    from lesion_demo.checkpoint import find_best_checkpoint, read_verified

    folder = find_best_checkpoint(chosen=args.checkpoint)
    read_verified(folder)
    files = space_files(PROJECT, folder, models=args.model, datasets=args.dataset)
    token = listed(files, f"{'public' if args.public else 'private'} Space {args.space}", dry_run=args.dry_run)
    if token is None:
        return 0
    for stranger in upload(HfApi(token=token), args.space, files, public=args.public):
        print(f"Left in the Space, though it is no part of the page: {stranger}")
    print(f"Uploaded; the Space builds now: https://huggingface.co/spaces/{args.space}")
    return 0


def space_files(
    project: Path, checkpoint: Path, *, models: Sequence[str] = (), datasets: Sequence[str] = ()
) -> list[Upload]:
    """Everything that goes to a Space, by name: the page of `project` with the run in the folder `checkpoint`.

    Args:
        models: on the Hub, for the Space to name; so are `datasets`.

    Raises:
        LesionDemoError: the project's files are not there, as in an installed package.
    """
    try:
        readme = (project / "README.md").read_text(encoding="utf-8")
        requirements = (project / "requirements.txt").read_text(encoding="utf-8")
    except OSError as error:
        raise LesionDemoError(f"{error.filename} cannot be read: deploy from a copy of the whole project.") from error
    run_place = PurePosixPath("checkpoints", checkpoint.resolve().name)
    found = [
        Upload("README.md", with_metadata(readme, models, datasets).encode()),
        Upload("requirements.txt", for_zero_gpu(requirements).encode()),
        *matching(project, CODE, PurePosixPath()),
        *matching(checkpoint, CHECKPOINT, run_place),
        *matching(project, ["checkpoints/LICENSE.md"], PurePosixPath()),
    ]
    return sorted(found, key=lambda one: one.place)


def for_zero_gpu(requirements: str) -> str:
    """`requirements` with PyTorch in the range that ZeroGPU has."""
    names = [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in requirements.splitlines()]
    return "".join(f"{ZERO_GPU.get(name, line)}\n" for name, line in zip(names, requirements.splitlines(), strict=True))


def with_metadata(readme: str, models: Sequence[str], datasets: Sequence[str]) -> str:
    """`readme`, whose head names these models and data sets on the Hub."""
    for key, values in (("models", models), ("datasets", datasets)):
        readme = re.sub(rf"^{key}: \[\]$", f"{key}: [{', '.join(values)}]", readme, count=1, flags=re.MULTILINE)
    return readme
