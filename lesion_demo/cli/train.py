"""`train`: the full pipeline on image folders."""

from __future__ import annotations

import argparse
import datetime
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from lesion_demo.cli.arguments import add_class_map, add_data
from lesion_demo.config import TrainConfig, from_dict
from lesion_demo.errors import DataError, LesionDemoError
from lesion_demo.presets import PRESETS

HELP = "train on image folders and leave a tuned checkpoint"
OVERRIDES = (
    "init",
    "backbone",
    "seed",
    "draws",
    "micro_batch",
    "precision",
    "workers",
    "clip_norm",
    "weight_decay",
    "val_fraction",
    "ema_decay",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_data(parser)
    add_class_map(parser)
    parser.add_argument("--preset", choices=sorted(PRESETS), default="default", help="named configuration")
    parser.add_argument("--config", type=Path, metavar="FILE", help="a config.json instead of a preset")
    parser.add_argument("--run", metavar="NAME", help="name of the run's folder (default: backbone and time)")
    parser.add_argument("--out", type=Path, default=Path("checkpoints"), metavar="DIR", help="where runs are kept")
    parser.add_argument("--resume", action="store_true", help="go on with --run where it stopped")
    parser.add_argument("--stages", nargs="+", metavar="NAME", help="only these stages; 'head' freezes the backbone")
    parser.add_argument("--skip-corrupt", action="store_true", help="leave out pictures that cannot be read")
    parser.add_argument("--init", help="first weights: imagenet, lite2, none, or a checkpoint's folder")
    parser.add_argument("--backbone", help="a torchvision classification network")
    parser.add_argument("--epochs", type=int, help="at most this many epochs in every stage")
    parser.add_argument("--batch-size", type=int, help="pictures per optimiser step")
    parser.add_argument("--micro-batch", type=int, help="pictures per forward pass; gradients accumulate")
    parser.add_argument("--image-size", type=int, help="side of the network's input, pixels, in every stage")
    parser.add_argument("--precision", choices=("auto", "no", "fp16", "bf16"))
    parser.add_argument("--clip-norm", type=float, help="limit of the gradient's norm; 0 for none")
    parser.add_argument("--weight-decay", type=float)
    parser.add_argument("--ema-decay", type=float, help="evaluate and keep a moving average of the weights; 0 for none")
    parser.add_argument("--workers", type=int, help="processes that load pictures")
    parser.add_argument("--val-fraction", type=float, help="share of training that validates where there is no val")
    parser.add_argument("--seed", type=int, help="of the split and all else that is random")
    parser.add_argument("--draws", type=int, help="another number draws other pictures with the same split")


def run(args: argparse.Namespace) -> int:
    """Train, print what came out, and return the exit code."""
    from lesion_demo.pipeline import train

    config = resolve_config(args)
    name = args.run or f"{config.backbone}-{datetime.datetime.now():%Y%m%d-%H%M%S}"
    if args.resume and not args.run:
        raise LesionDemoError("--resume needs --run NAME: which run is to go on?")
    folder = args.out / name
    try:
        checkpoint = train(
            config,
            args.data,
            folder,
            class_map=parse_class_map(args.class_map),
            skip_corrupt=args.skip_corrupt,
            resume=args.resume,
        )
    except KeyboardInterrupt:
        print(f"\nStopped. Every finished epoch is saved: go on with --resume --run {name}.")
        return 130
    if checkpoint is not None:
        print(
            f"Validation ROC-AUC {checkpoint.val_roc_auc:.4f}. The checkpoint is in {folder}; 'python app.py' shows it."
        )
    return 0


def resolve_config(args: argparse.Namespace) -> TrainConfig:
    """The configuration that the arguments name, with their overrides."""
    config = PRESETS[args.preset] if args.config is None else read_config(args.config)
    changes: dict[str, Any] = {name: getattr(args, name) for name in OVERRIDES if getattr(args, name) is not None}
    if args.image_size is not None:
        changes["preprocess"] = replace(config.preprocess, image_size=args.image_size)
    stages = config.stages
    if args.stages:
        stages = tuple(stage for stage in stages if stage.name in args.stages)
        missing = set(args.stages) - {stage.name for stage in stages}
        if missing:
            names = ", ".join(stage.name for stage in config.stages)
            raise LesionDemoError(f"No stage called {', '.join(sorted(missing))}; this configuration has {names}.")
    stage_changes = {
        name: value
        for name, value in (
            ("epochs", args.epochs), ("batch_size", args.batch_size), ("image_size", args.image_size)
        )
        if value is not None
    }  # fmt: skip
    return replace(config, stages=tuple(replace(stage, **stage_changes) for stage in stages), **changes)


def read_config(path: Path) -> TrainConfig:
    try:
        return from_dict(TrainConfig, json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise LesionDemoError(f"Could not read the configuration {path} ({error}).") from error


def parse_class_map(pairs: list[str]) -> dict[str, str]:
    """`NAME=CLASS` strings as a dictionary."""
    parsed = {}
    for pair in pairs:
        name, equals, label = pair.partition("=")
        if not equals or not name or not label:
            raise DataError(f"--class-map {pair!r} is not of the form NAME=benign or NAME=malignant.")
        parsed[name] = label
    return parsed
