"""`train`: the full pipeline on image folders."""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lesion_demo.cli.arguments import add_class_map, add_data, parse_class_map
from lesion_demo.cli.settings import add_settings, resolve_config
from lesion_demo.cli.showing import check_promotion, how_to_show, promote
from lesion_demo.cli.stopping import exit_code
from lesion_demo.config import TrainConfig
from lesion_demo.data.archive import unpacked
from lesion_demo.data.folders import check_roots, name_sources
from lesion_demo.data.table import LabelTable
from lesion_demo.errors import DataError, LesionDemoError
from lesion_demo.expected import TOLERANCE, compare, read_expected
from lesion_demo.files import check_folder
from lesion_demo.recipes import PRESETS
from lesion_demo.results import Metrics
from lesion_demo.run_folder import CONFIG_FILE

if TYPE_CHECKING:
    from lesion_demo.train.tracking import Tracking

HELP = "train on image folders and leave a tuned checkpoint"


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
    parser.add_argument("--run", metavar="NAME", help="name of the run's folder (default: backbone and time)")
    parser.add_argument("--out", type=Path, default=Path("checkpoints"), metavar="DIR", help="where runs are kept")
    parser.add_argument(
        "--tracker",
        metavar="NAME",
        help="send the figures of every epoch to one of accelerate's trackers: tensorboard writes files "
        "into the run's folder, trackio keeps them on this machine, wandb and others send them to an outside service",
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
        help="at the end, audit the checkpoint, write its card, and compare it with the recipe's earlier results",
    )
    parser.add_argument(
        "--promote",
        action="store_true",
        help="make the page use this run whatever the others scored; without --data, an existing run",
    )
    parser.add_argument("--resume", action="store_true", help="continue --run where it stopped; nothing else is needed")
    parser.add_argument("--skip-corrupt", action="store_true", help="leave out pictures that cannot be read")
    add_settings(parser)


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
        saved = f"Every finished epoch is saved: continue with --resume --run {folder.name}."
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
            raise LesionDemoError("--tracker-pictures needs a tracker: add --tracker NAME.")
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
            raise DataError("--image-column, --label-column and --group-column need a table: add --labels FILE.")
        return None
    if not args.labels.is_file():
        raise DataError(f"--labels {args.labels} is not a file; check the path.")
    return LabelTable(str(args.labels.absolute()), *columns)


def check_photographs(names: Sequence[str], data: Sequence[Path]) -> None:
    """Raises DataError if one of the `names` given with --photographs is no data set's."""
    known = name_sources(data)
    if strangers := [name for name in names if name not in known]:
        raise DataError(
            f"--photographs {strangers[0]}: there is no such data set; the data sets are {', '.join(known)}."
        )


def show(folder: Path, *, promoting: bool) -> int:
    """Name the command that shows the run in `folder`, having made it the page's if `promoting`."""
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
        raise LesionDemoError("--resume needs to know which run to continue: add --run NAME.")
    folder = args.out / args.run
    config = read_config(folder)
    check_run(folder, resolve_config(args, config), resume=True)
    start = read_start(folder)
    if start is None and not args.data:
        raise LesionDemoError(
            f"{folder} does not record where its data sets are: name them with --data, as when it was started."
        )
    asked = parse_class_map(args.class_map)
    if start is None:
        return folder, config, args.data, asked, label_table(args)
    data, class_map = args.data or [Path(root) for root in start.data], dict(start.class_map)
    if asked and asked != class_map:
        was = " ".join(f"--class-map {name}={label}" for name, label in class_map.items()) or "none"
        raise LesionDemoError(f"{folder} was started with another class map ({was}): use that one.")
    if label_table(args) not in (None, start.table):
        raise LesionDemoError(f"{folder} was started with another table of labels: leave out --labels.")
    return folder, config, data, class_map, start.table
