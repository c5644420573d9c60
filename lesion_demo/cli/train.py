"""`train`: the full pipeline on image folders."""

from __future__ import annotations

import argparse
import datetime
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lesion_demo.cli.arguments import add_class_map, add_data
from lesion_demo.cli.stopping import exit_code
from lesion_demo.config import PreprocessSpec, StageConfig, TrainConfig, from_dict
from lesion_demo.data.archive import unpacked
from lesion_demo.data.folders import check_roots, name_sources
from lesion_demo.data.table import LabelTable
from lesion_demo.errors import DataError, LesionDemoError
from lesion_demo.expected import TOLERANCE, compare, read_expected
from lesion_demo.files import check_folder
from lesion_demo.recipes import PRESETS, RETIRED
from lesion_demo.results import Metrics
from lesion_demo.run_folder import CONFIG_FILE

if TYPE_CHECKING:
    from lesion_demo.train.tracking import Tracking

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
    "ema_decay",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_data(parser, required=False)  # --resume knows them, and --promote needs none
    add_class_map(parser)
    parser.add_argument("--labels", type=Path, metavar="FILE", help="a spreadsheet (CSV) that labels the pictures")
    for name, what in (
        ("image", "names the picture"),
        ("label", "holds the diagnosis"),
        ("group", "tells which pictures stay together, such as a patient's number"),
    ):
        parser.add_argument(
            f"--{name}-column", default="", metavar="HEADER", help=f"the column of --labels that {what}"
        )
    parser.add_argument(
        "--photographs",
        action="append",
        default=[],
        metavar="NAME",
        help="the data set of this name was taken without a dermatoscope; may be repeated",
    )
    names = ", ".join(sorted(PRESETS))
    parser.add_argument("--preset", help=f"named configuration, one of {names} (default: default)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="a config.json instead of a preset")
    parser.add_argument("--run", metavar="NAME", help="name of the run's folder (default: backbone and time)")
    parser.add_argument("--out", type=Path, default=Path("checkpoints"), metavar="DIR", help="where runs are kept")
    parser.add_argument(
        "--tracker",
        metavar="NAME",
        help="send the figures of every epoch, and no more, to one of accelerate's trackers: tensorboard writes files "
        "into the run's folder, trackio keeps them on this machine, wandb and others send them to their makers",
    )
    parser.add_argument(
        "--tracker-pictures",
        action="store_true",
        help="send the worst mistakes on validation to --tracker as pictures, too: with wandb, comet_ml and others, "
        "patients' pictures leave this machine",
    )
    parser.add_argument(
        "--audit",
        action="store_true",
        help="in the end audit the checkpoint, write its card, and compare it with what the recipe reached before",
    )
    parser.add_argument(
        "--promote",
        action="store_true",
        help="have the page show the run whatever the others scored; without --data, one that is there already",
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on with --run where it stopped; nothing else is needed"
    )
    parser.add_argument("--stages", nargs="+", metavar="NAME", help="only these stages; 'head' freezes the backbone")
    parser.add_argument("--skip-corrupt", action="store_true", help="leave out pictures that cannot be read")
    parser.add_argument("--init", help="first weights: imagenet, lite2, none, or a checkpoint's folder")
    parser.add_argument("--backbone", help="a torchvision classification network")
    parser.add_argument("--epochs", type=int, help="at most this many epochs in every stage")
    parser.add_argument(
        "--length", type=float, default=1.0, metavar="FACTOR", help="draw so many times as many pictures in each epoch"
    )
    parser.add_argument("--epoch-pictures", type=int, metavar="N", help="pictures drawn in every epoch")
    parser.add_argument(
        "--learning-rate", type=float, metavar="RATE", help="peak of the head's; the backbone's keeps its ratio to it"
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
        help="share of training that validates where there is no val; NAME=SHARE for one data set; may be repeated",
    )
    parser.add_argument("--seed", type=int, help="of the split and all else that is random")
    parser.add_argument("--draws", type=int, help="another number draws other pictures with the same split")


def run(args: argparse.Namespace) -> int:
    """Train, print what came out, and return the exit code."""
    if args.promote:
        check_promotion(args)
    if args.data is None and not args.resume:
        if args.promote:
            return show(args.out / args.run, promoting=True)
        raise DataError("Name the pictures to train on: --data DIR.")
    if args.data is not None:
        args.data = [unpacked(path) for path in args.data]
        check_roots(args.data)
    table = label_table(args)
    from lesion_demo.train.run import train

    if args.resume:
        folder, config, data, class_map, table = resumed(args)
    else:
        config, data, class_map = resolve_config(args), args.data or [], parse_class_map(args.class_map)
        check_photographs(args.photographs, data)
        folder = args.out / (args.run or f"{config.backbone}-{datetime.datetime.now():%Y%m%d-%H%M%S}")
    check_folder(folder, "--out")
    tracking = tracking_of(args)
    try:
        checkpoint = train(
            config,
            data,
            folder,
            class_map=class_map,
            skip_corrupt=args.skip_corrupt,
            resume=args.resume,
            table=table,
            tracking=tracking,
        )
    except KeyboardInterrupt as stop:
        went_on = (folder / CONFIG_FILE).is_file()
        saved = f"Every finished epoch is saved: go on with --resume --run {folder.name}."
        print(f"\nStopped. {saved if went_on else 'Training had not begun, and nothing was written.'}")
        return exit_code(stop)
    if checkpoint is not None:
        print(f"Validation ROC-AUC {checkpoint.val_roc_auc:.4f}. The checkpoint is in {folder}.")
        if args.audit:
            complete(folder, data)
            print("\n".join(against_expected(config, checkpoint.metrics)))
        return show(folder, promoting=args.promote)
    return 0


def tracking_of(args: argparse.Namespace) -> Tracking | None:
    """Where the run is to be followed.

    Raises:
        LesionDemoError: pictures are to go to no tracker.
    """
    from lesion_demo.train.tracking import Tracking

    if args.tracker is None:
        if args.tracker_pictures:
            raise LesionDemoError("--tracker-pictures needs --tracker NAME: to which one?")
        return None
    return Tracking(args.tracker, args.tracker_pictures)


def complete(folder: Path, data: Sequence[Path]) -> None:
    """Audit the checkpoint in `folder` on its data sets, and write its card, as the commands `audit` and `card` do."""
    from lesion_demo.cli import audit, card

    chosen = ["--checkpoint", str(folder)]
    for command, arguments in ((audit, [*chosen, *(f"--data={root}" for root in data)]), (card, chosen)):
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        command.run(parser.parse_args(arguments))


def against_expected(config: TrainConfig, metrics: Metrics) -> list[str]:
    """How a run's figures compare with those that its recipe once reached, in a line or more."""
    recipe = next((name for name, one in PRESETS.items() if one == config), None)
    expected = None if recipe is None else read_expected(recipe)
    if expected is None:
        why = "these are not a recipe's settings" if recipe is None else f"no run of {recipe} is written down"
        return [f"There are no figures to compare with: {why}."]
    differences = list(compare(metrics, expected))
    return differences or [f"Every ROC-AUC is within {TOLERANCE} of what {recipe} is expected to reach."]


def label_table(args: argparse.Namespace) -> LabelTable | None:
    """The table that the arguments name.

    Raises:
        DataError: a column is named without a table, or the table is no file.
    """
    columns = (args.image_column, args.label_column, args.group_column)
    if args.labels is None:
        if any(columns):
            raise DataError("--image-column, --label-column and --group-column need the table: --labels FILE.")
        return None
    if not args.labels.is_file():
        raise DataError(f"--labels {args.labels} is not a file; check the path.")
    return LabelTable(str(args.labels.absolute()), *columns)


def check_photographs(names: Sequence[str], data: Sequence[Path]) -> None:
    """Raises DataError if one of the `names` given with --photographs is no data set's."""
    known = name_sources(data)
    if strangers := [name for name in names if name not in known]:
        raise DataError(
            f"--photographs {strangers[0]}: no data set is called that; those given are {', '.join(known)}."
        )


def check_promotion(args: argparse.Namespace) -> None:
    """Before hours of training: could the page show the run at all?"""
    from lesion_demo.checkpoint import CHECKPOINTS

    if args.out.resolve() != CHECKPOINTS.resolve():
        raise LesionDemoError(
            f"--promote is for runs in {CHECKPOINTS}, where the page looks: leave --out away, or show the run with "
            "'python -m lesion_demo app --checkpoint DIR'."
        )
    if args.data is None and not args.run:
        raise LesionDemoError("--promote needs --run NAME, or pictures to train on: which run is the page to show?")


def show(folder: Path, *, promoting: bool) -> int:
    """Name the command that shows the run in `folder`, having made it the page's if `promoting`."""
    from lesion_demo.checkpoint import how_to_show, promote

    if promoting:
        promote(folder)
    print(how_to_show(folder))
    return 0


def resumed(args: argparse.Namespace) -> tuple[Path, TrainConfig, list[Path], dict[str, str], LabelTable | None]:
    """Folder, configuration, data sets, class map and table of the run that `--resume` goes on with.

    Raises:
        LesionDemoError: there is no such run, or a flag asks for something else than it was started with.
    """
    from lesion_demo.train.state import check_run, read_config, read_start

    if not args.run:
        raise LesionDemoError("--resume needs --run NAME: which run is to go on?")
    folder = args.out / args.run
    config = read_config(folder)
    check_run(folder, resolve_config(args, config), resume=True)
    start = read_start(folder)
    if start is None and not args.data:
        raise LesionDemoError(
            f"{folder} does not tell where its data sets are: name them with --data, as at its start."
        )
    asked = parse_class_map(args.class_map)
    if start is None:
        return folder, config, args.data, asked, label_table(args)
    data, class_map = args.data or [Path(root) for root in start.data], dict(start.class_map)
    if asked and asked != class_map:
        was = " ".join(f"--class-map {name}={label}" for name, label in class_map.items()) or "none"
        raise LesionDemoError(f"{folder} was started with another class map ({was}): leave it as it was.")
    if label_table(args) not in (None, start.table):
        raise LesionDemoError(f"{folder} was started with another table of labels: leave --labels away.")
    return folder, config, data, class_map, start.table


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
            ("epochs", args.epochs), ("batch_size", args.batch_size), ("image_size", args.image_size),
            ("epoch_pictures", args.epoch_pictures),
        )
        if value is not None
    }  # fmt: skip
    stages = tuple(
        _lengthened(_at_rate(replace(stage, **stage_changes), args.learning_rate), args.length) for stage in stages
    )
    if args.photographs:
        changes["photographs"] = tuple(dict.fromkeys((*config.photographs, *args.photographs)))
    return replace(config, stages=stages, **changes)


def _at_rate(stage: StageConfig, rate: float | None) -> StageConfig:
    """`stage` with the head's peak rate at `rate`, and the backbone's in proportion."""
    if rate is None:
        return stage
    if not 0 < rate < math.inf:
        raise LesionDemoError(f"--learning-rate {rate} teaches nothing; choose a number above 0, such as 0.0005.")
    share = stage.backbone_rate / stage.head_rate if stage.head_rate else 1.0
    return replace(stage, head_rate=rate, backbone_rate=rate * share)


def _lengthened(stage: StageConfig, factor: float) -> StageConfig:
    if factor == 1:
        return stage
    if not 0 < factor < math.inf:
        raise LesionDemoError(f"--length {factor} is no number of times; choose a number above 0, such as 2.")
    if stage.epoch_pictures is None:
        raise LesionDemoError(f"--length needs a number of pictures per epoch; stage {stage.name} draws all there are.")
    return replace(stage, epoch_pictures=max(1, round(stage.epoch_pictures * factor)))


def find_preset(name: str) -> TrainConfig:
    """The configuration called `name`.

    Raises:
        LesionDemoError: there is none, or none any more.
    """
    if name in RETIRED:
        raise LesionDemoError(
            f"The preset {name!r} no longer exists: 'clinics' trains in one run what took five. Use --preset clinics."
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


def parse_class_map(pairs: list[str]) -> dict[str, str]:
    """`NAME=CLASS` strings as a dictionary."""
    parsed = {}
    for pair in pairs:
        name, equals, label = pair.partition("=")
        if not equals or not name or not label:
            raise DataError(f"--class-map {pair!r} is not of the form NAME=benign or NAME=malignant.")
        parsed[name] = label
    return parsed
