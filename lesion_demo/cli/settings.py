"""The settings of a run, as flags of `train`: a recipe or a file, and what is to differ from it."""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from lesion_demo.config import PreprocessSpec, StageConfig, TrainConfig, from_dict
from lesion_demo.errors import DataError, LesionDemoError
from lesion_demo.recipes import PRESETS, RETIRED

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
    "ema_decay",
)


def add_settings(parser: argparse.ArgumentParser) -> None:
    names = ", ".join(sorted(PRESETS))
    parser.add_argument("--preset", help=f"named configuration, one of {names} (default: default)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="a config.json instead of a preset")
    parser.add_argument(
        "--photographs",
        action="append",
        default=[],
        metavar="NAME",
        help="the data set of this name was taken without a dermatoscope; may be repeated",
    )
    parser.add_argument("--stages", nargs="+", metavar="NAME", help="only these stages; 'head' freezes the backbone")
    parser.add_argument("--init", help="first weights: imagenet, lite2, none, or a checkpoint's folder")
    parser.add_argument("--backbone", help="a torchvision classification network")
    parser.add_argument("--epochs", type=int, help="at most this many epochs in every stage")
    parser.add_argument(
        "--length", type=float, default=1.0, metavar="FACTOR", help="use FACTOR times as many pictures in each epoch"
    )
    parser.add_argument("--epoch-pictures", type=int, metavar="N", help="pictures used in every epoch")
    parser.add_argument(
        "--learning-rate",
        type=float,
        metavar="RATE",
        help="peak learning rate of the head; the backbone's keeps its ratio to it",
    )
    parser.add_argument("--batch-size", type=int, help="pictures per optimiser step")
    parser.add_argument("--micro-batch", type=int, help="pictures per forward pass; gradients accumulate")
    parser.add_argument("--image-size", type=int, help="side of the network's input, pixels, in every stage")
    parser.add_argument("--precision", choices=("auto", "no", "fp16", "bf16"))
    parser.add_argument("--clip-norm", type=float, help="limit of the gradient's norm; 0 for none")
    parser.add_argument("--weight-decay", type=float)
    parser.add_argument("--ema-decay", type=float, help="evaluate and keep a moving average of the weights; 0 for none")
    parser.add_argument("--workers", type=int, help="processes that load pictures")
    parser.add_argument(
        "--val-fraction",
        action="append",
        default=[],
        metavar="SHARE",
        help="share of training pictures used for validation if there is no val folder; NAME=SHARE "
        "for one data set; may be repeated",
    )
    parser.add_argument("--seed", type=int, help="of the split and all else that is random")
    parser.add_argument("--draws", type=int, help="another number draws other pictures with the same split")


def resolve_config(args: argparse.Namespace, base: TrainConfig | None = None) -> TrainConfig:
    """The configuration that the arguments name, else `base`, else the preset `default`, with their overrides."""
    if args.config is not None:
        config = read_config_file(args.config)
    else:
        config = find_preset(args.preset or "default") if args.preset or base is None else base
    changes: dict[str, Any] = {name: getattr(args, name) for name in OVERRIDES if getattr(args, name) is not None}
    changes |= parse_shares(args.val_fraction, dict(config.val_fractions))
    preprocess = config.preprocess
    preset = args.config is None and (base is None or args.preset is not None)
    if preset and preprocess == PreprocessSpec(preprocess.image_size):  # it says nothing but a size
        preprocess = preprocess_of(args.init) or preprocess
    if args.image_size is not None:
        preprocess = replace(preprocess, image_size=args.image_size)
    changes["preprocess"] = preprocess
    if args.photographs:
        changes["photographs"] = tuple(dict.fromkeys((*config.photographs, *args.photographs)))
    return replace(config, stages=_stages(args, config.stages), **changes)


def _stages(args: argparse.Namespace, stages: tuple[StageConfig, ...]) -> tuple[StageConfig, ...]:
    """Those of `stages` that the arguments name, or all, each with what is to be the same in every stage."""
    if args.stages:
        known = [stage.name for stage in stages]
        if missing := set(args.stages).difference(known):
            names = ", ".join(known)
            raise LesionDemoError(f"No stage called {', '.join(sorted(missing))}; this configuration has {names}.")
        stages = tuple(stage for stage in stages if stage.name in args.stages)
    changes: dict[str, Any] = {
        name: value
        for name, value in (
            ("epochs", args.epochs), ("batch_size", args.batch_size), ("image_size", args.image_size),
            ("epoch_pictures", args.epoch_pictures),
        )
        if value is not None
    }  # fmt: skip
    return tuple(_lengthened(_at_rate(replace(stage, **changes), args.learning_rate), args.length) for stage in stages)


def _at_rate(stage: StageConfig, rate: float | None) -> StageConfig:
    """`stage` with the head's peak rate at `rate`, and the backbone's in proportion."""
    if rate is None:
        return stage
    if not 0 < rate < math.inf:
        raise LesionDemoError(f"--learning-rate {rate} is not valid; choose a number above 0, such as 0.0005.")
    share = stage.backbone_rate / stage.head_rate if stage.head_rate else 1.0
    return replace(stage, head_rate=rate, backbone_rate=rate * share)


def _lengthened(stage: StageConfig, factor: float) -> StageConfig:
    if factor == 1:
        return stage
    if not 0 < factor < math.inf:
        raise LesionDemoError(f"--length {factor} is not valid; choose a number above 0, such as 2.")
    if stage.epoch_pictures is None:
        raise LesionDemoError(
            f"--length needs a set number of pictures per epoch, but stage {stage.name} uses all pictures."
        )
    return replace(stage, epoch_pictures=max(1, round(stage.epoch_pictures * factor)))


def find_preset(name: str) -> TrainConfig:
    """The configuration called `name`.

    Raises:
        LesionDemoError: there is none, or none any more.
    """
    if name in RETIRED:
        raise LesionDemoError(
            f"The preset {name!r} no longer exists: use --preset clinics, which replaces the earlier five with one run."
        )
    if name not in PRESETS:
        raise LesionDemoError(f"There is no preset {name!r}; choose one of {', '.join(sorted(PRESETS))}.")
    return PRESETS[name]


def preprocess_of(init: str | None) -> PreprocessSpec | None:
    """How the checkpoint in the folder `init` prepares its pictures; None if that is no checkpoint's folder."""
    from lesion_demo.checkpoint import META_FILE, read_meta

    return read_meta(Path(init)).preprocess if init and (Path(init) / META_FILE).is_file() else None


def parse_shares(given: list[str], of_source: dict[str, float]) -> dict[str, Any]:
    """`0.1` and `NAME=0.3` as the settings `val_fraction` and `val_fractions`, the latter beside those `of_source`."""
    changes: dict[str, Any] = {}
    for text in given:
        name, equals, share = text.rpartition("=")
        try:
            number = float(share)
        except ValueError as error:
            raise DataError(
                f"--val-fraction {text!r} is neither a share, e.g. 0.1, nor of the form NAME=0.3."
            ) from error
        if equals:
            of_source = {**of_source, name: number}
            changes["val_fractions"] = tuple(of_source.items())
        else:
            changes["val_fraction"] = number
    return changes


def read_config_file(path: Path) -> TrainConfig:
    try:
        text = path.read_text(encoding="utf-8-sig")
        if not text.strip():
            raise LesionDemoError(f"The configuration {path} is empty: name another, or use --preset.")
        return from_dict(TrainConfig, json.loads(text))
    except (OSError, ValueError) as error:
        raise LesionDemoError(f"Could not read the configuration {path} ({error}).") from error
