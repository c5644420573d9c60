"""A whole run: folders → splits → training → calibration and report → checkpoint."""

from __future__ import annotations

import csv
import datetime
import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from lesion_demo.checkpoint import Checkpoint, LoadedCheckpoint, save_checkpoint
from lesion_demo.config import CLASSES, TrainConfig
from lesion_demo.errors import CheckpointError
from lesion_demo.imaging.strangers import close_up, plain_skin
from lesion_demo.imaging.transforms import Transform, eval_transform
from lesion_demo.learning.dataset import LesionDataset, PictureReader, balanced_weights, eval_loader
from lesion_demo.learning.device import make_accelerator
from lesion_demo.learning.evaluation import (
    PREVALENCE,
    Calibration,
    EvaluatedSplit,
    calibrate,
    run_model,
    write_evaluation_plots,
)
from lesion_demo.learning.familiarity import (
    Crops,
    KnownPictures,
    can_describe,
    describe_all,
    describe_pictures,
    learn,
)
from lesion_demo.learning.folders import Picture, name_sources, scan
from lesion_demo.learning.inference import Predictions
from lesion_demo.learning.metrics import fit_bias
from lesion_demo.learning.model import head_layer
from lesion_demo.learning.reporting import Judge, Scorer, summarise
from lesion_demo.learning.run_state import CONFIG_FILE, Start, check_run, claiming, write_json, write_start
from lesion_demo.learning.settings import check_amount, check_settings, shares_of
from lesion_demo.learning.split_file import read_sides, read_split, write_split
from lesion_demo.learning.split_record import SplitRecord, check_labels, check_record, file_hash, write_record
from lesion_demo.learning.splits import Splits, prepare_splits
from lesion_demo.learning.table import LabelTable
from lesion_demo.learning.training import FitResult, fit
from lesion_demo.learning.warm_start import NO_FOLDERS, check_first_weights
from lesion_demo.learning.weights import WEIGHTS_FILE, round_to_half, write_weights
from lesion_demo.shown import SPLIT_FILE as SPLIT_FILE
from lesion_demo.shown import fingerprint

log = logging.getLogger(__name__)

FURTHER_FILE = "further.csv"
"""Pictures of data sets that the run did not have, on which choices were made again; like `split.csv`, all `val`."""
METRICS_FILE = "metrics.json"
KNOWN_PER_SOURCE = 1000
"""Training pictures of each data set, about, that familiarity is learnt from."""
CROPPED = 3
"""One in so many of them, and of the validation pictures, shows what bare skin looks like, too."""


def train(
    config: TrainConfig,
    roots: Sequence[Path],
    folder: Path,
    *,
    class_map: Mapping[str, str] | None = None,
    skip_corrupt: bool = False,
    resume: bool = False,
    table: LabelTable | None = None,
) -> Checkpoint | None:
    """Run `config` on the data sets at `roots` and leave a complete checkpoint in `folder`.

    On several processes every one takes part in training; the first alone evaluates, saves and returns the checkpoint.

    A `table` labels the pictures of the one root. A start that fails before training leaves nothing in `folder`.

    Raises:
        DataError: a data set is not usable. TrainingError: see `fit`. CheckpointError: the result could not be saved.
    """
    check_settings(config)
    accelerator = make_accelerator(config)
    with claiming(folder) if accelerator.is_main_process else nullcontext():
        with accelerator.main_process_first():  # the others read what it has written
            if accelerator.is_main_process:
                check_run(folder, config, resume=resume)
            if not resume:
                check_first_weights(config.init, config.backbone)
            splits = open_splits(config, roots, folder, class_map=class_map, skip_corrupt=skip_corrupt, table=table)
        train, val = splits.of("train"), splits.of("val")
        check_amount(config, train, val)
        if accelerator.is_main_process:
            places = tuple(str(Path(root).expanduser().absolute()) for root in roots)
            write_start(folder, Start(places, _pairs(class_map), table))
        with _logging_to(folder):
            log.info("%s", splits.summary())
            with closing(PictureReader()) as reader:
                result = fit(config, train, val, folder, resume=resume, reader=reader, accelerator=accelerator)
                return finish(config, splits, result, folder, reader) if accelerator.is_main_process else None


def _pairs(class_map: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((class_map or {}).items()))


def open_splits(
    config: TrainConfig,
    roots: Sequence[Path],
    folder: Path,
    *,
    class_map: Mapping[str, str] | None = None,
    skip_corrupt: bool = False,
    table: LabelTable | None = None,
) -> Splits:
    """The run's splits: those written in `folder` before, or new ones, written there with what they were made from.

    Raises:
        DataError: a data set is not usable, or those splits were made from something else.
    """
    path = folder / SPLIT_FILE
    before = Path(config.init) / SPLIT_FILE
    record = SplitRecord(
        data=tuple(name_sources(roots)),
        class_map=_pairs(class_map),
        val_fraction=config.val_fraction,
        val_fractions=config.val_fractions,
        seed=config.seed,
        earlier=file_hash(before) if before.is_file() else "",
    )
    if path.is_file():
        check_record(path, record)
        scanned = scan(roots, class_map, table)  # a wrong folder is told before every picture is read
        splits = read_split(path, roots)
        check_labels(splits, scanned, path)
        return splits
    if config.init not in NO_FOLDERS and not before.is_file():
        log.warning("%s has no %s: what it has learnt from may be validation here.", config.init, SPLIT_FILE)
    splits = prepare_splits(
        roots,
        class_map=class_map,
        shares=shares_of(config),
        earlier=read_sides(before) if before.is_file() else None,
        skip_corrupt=skip_corrupt,
        workers=config.workers,
        table=table,
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_split(path, splits)
    write_record(path, record)
    return splits


def finish(config: TrainConfig, splits: Splits, result: FitResult, folder: Path, reader: PictureReader) -> Checkpoint:
    """Calibrate, report and save what training made. All figures are those of the weights as saved."""
    round_to_half(result.model)
    val = tuple(splits.of("val"))
    before = run_model(result.model, config.preprocess, val, title="validation, bias", reader=reader)
    correct_bias(result.model, before, balanced_weights(val, config.source_balance))
    write_weights(folder / WEIGHTS_FILE, result.model.state_dict(), half=True)  # before anything is said of them
    log.info("The weights are saved. Should what follows fail, --resume goes on from here.")
    known = learn_known(result.model, config, splits, reader)
    scorer = Scorer(result.model, config.preprocess, known, reader)
    choices = Choices(config.photographs, config.source_balance)
    calibration, metrics = settle(
        folder, scorer, val, splits.of("test"), choices, kept_epoch=result.progress.best_epoch
    )
    meta = Checkpoint(
        backbone=config.backbone,
        preprocess=config.preprocess,
        temperature=calibration.temperature,
        operating_points=calibration.operating_points,
        val_roc_auc=calibration.val_roc_auc,
        prevalence=PREVALENCE,
        referral_margin=calibration.referral_margins["balanced"],
        referral_margins=calibration.referral_margins,
        trained_at=datetime.date.today().isoformat(),
        metrics=metrics,
        data=describe(splits),
        val_pictures=fingerprint(
            ((picture.content_hash, CLASSES[picture.label], picture.source) for picture in val), config.source_balance
        ),
    )
    return save_checkpoint(folder, result.model, meta, known)


def settle(
    folder: Path,
    scorer: Scorer,
    val: Sequence[Picture],
    test: Sequence[Picture],
    choices: Choices,
    *,
    kept_epoch: int | None = None,
) -> tuple[Calibration, dict[str, Any]]:
    """Choose on the pictures `val`, report on them and on `test`, and leave the report and its plots in `folder`."""
    predictions = scorer.predict(val, "validation")
    sources = {picture.source for picture in test}
    calibration = calibrate(predictions, val, choices.source_balance, sources, choices.photographs)
    evaluated = scorer.evaluated(val, predictions, calibration.temperature, "validation")
    tested = None
    if test:
        tested = scorer.score(test, calibration.temperature, "test")
    else:
        log.warning("There is no test split: the report stands on validation alone, which flatters.")
    judge = Judge(calibration.operating_points, calibration.referral_margins, choices.photographs)
    metrics = summarise(tested, evaluated, judge)
    write_json(folder / METRICS_FILE, metrics)
    write_evaluation_plots(
        folder,
        tested or evaluated,
        calibration.operating_points,
        name="Test" if tested else "Validation",
        kept_epoch=kept_epoch,
    )
    return calibration, metrics


def correct_bias(model: nn.Module, predictions: Predictions, weights: NDArray[np.float64]) -> None:
    """Shift the malignant output of `model` to suit its validation `predictions`, weighted by `weights` [N].

    The bias is of the head itself, so nothing that uses the checkpoint need know of it.
    """
    bias = head_layer(model).bias.detach()  # the same memory
    bias[1] += fit_bias(predictions.logits, predictions.labels, weights=weights)
    round_to_half(model)


def learn_known(model: nn.Module, config: TrainConfig, splits: Splits, reader: PictureReader) -> KnownPictures | None:
    """What `model` has learnt from, by KNOWN_PER_SOURCE pictures of each data set; None if its layout forbids it."""
    if not can_describe(model):
        log.warning("%s has too few feature blocks to tell a familiar picture from a strange one.", config.backbone)
        return None
    train = splits.of("train")
    chosen: list[Picture] = []
    for source in sorted({picture.source for picture in train}):
        own = [picture for picture in train if picture.source == source]
        chosen += own[:: max(1, len(own) // KNOWN_PER_SOURCE)]
    transform = eval_transform(config.preprocess)
    parts = (("training", chosen), ("validation", splits.of("val")))
    train_features, val_features = (
        describe_all(model, eval_loader(LesionDataset(pictures, transform, reader)), f"familiarity, {name}")
        for name, pictures in parts
    )
    train_photographs, val_photographs = (
        np.array([picture.source in config.photographs for picture in pictures]) for _, pictures in parts
    )
    train_crops, val_crops = (_crops(model, transform, pictures[::CROPPED], reader) for _, pictures in parts)
    crops = None if train_crops is None or val_crops is None else (train_crops, val_crops)
    return learn(train_features, val_features, photographs=(train_photographs, val_photographs), crops=crops)


def _crops(model: nn.Module, transform: Transform, pictures: Sequence[Picture], reader: PictureReader) -> Crops | None:
    """Bare skin in the corners of `pictures`, and close-ups of their lesions; None where no corner is surely bare."""
    images = map(reader, pictures)
    # Copies, because a part that is only a view would keep its whole picture in memory.
    pairs = [(skin.copy(), close_up(image).copy()) for image in images if (skin := plain_skin(image)) is not None]
    if not pairs:
        return None
    skins, middles = ([pair[place] for pair in pairs] for place in (0, 1))
    return Crops(*(describe_pictures(model, transform, part, "familiarity, crops") for part in (skins, middles)))


def evaluate(
    loaded: LoadedCheckpoint, roots: Sequence[Path], *, views: int = 1
) -> tuple[dict[str, Any], EvaluatedSplit]:
    """The report of `loaded` on the splits it was made with, at its own temperature and operating points.

    Probabilities are averaged over so many mirrored `views` (1 to 4); calibration and thresholds are those of one.

    Also returns the evaluated test split, or validation where there is no test.

    Raises:
        DataError: the data sets are not those of the checkpoint's `split.csv`.
    """
    splits = read_split(loaded.folder / SPLIT_FILE, roots)
    scorer = Scorer(loaded.model, loaded.meta.preprocess, loaded.known, PictureReader(), views)
    further = read_further(loaded.folder, roots)
    val = scorer.score([*splits.of("val"), *further], loaded.meta.temperature, "validation")
    test = None
    if splits.of("test"):
        test = scorer.score(splits.of("test"), loaded.meta.temperature, "test")
    return summarise(test, val, judge_of(loaded)), test or val


def read_further(folder: Path, roots: Sequence[Path]) -> list[Picture]:
    """The pictures beyond the run's own on which its choices were made; none where `roots` lack a data set of theirs.

    Raises:
        DataError: as `read_split`.
    """
    path = folder / FURTHER_FILE
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
        needed = {row["source"] for row in csv.DictReader(file)}
    if lacking := sorted(needed - set(name_sources(roots))):
        log.warning(
            "Without %s, on which choices were made, too: name it with --data to report it.", ", ".join(lacking)
        )
        return []
    return read_split(path, roots).of("val")


def judge_of(loaded: LoadedCheckpoint) -> Judge:
    """What `loaded` is reported at."""
    meta = loaded.meta
    margins = {point.name: meta.margin_at(point) for point in meta.operating_points}
    return Judge(meta.operating_points, margins, read_choices(loaded.folder).photographs)


@dataclass(frozen=True)
class Choices:
    """What a run's `config.json` says of the choices that are made on validation pictures.

    Attributes:
        photographs: data sets that were taken without a dermatoscope.
        source_balance: see `lesion_demo.config.TrainConfig`.
    """

    photographs: tuple[str, ...] = ()
    source_balance: float = 1.0


def read_choices(folder: Path) -> Choices:
    """Those of the run in `folder`, whatever else its configuration holds; the defaults where there is none.

    Raises:
        CheckpointError: the configuration cannot be read.
    """
    path = folder / CONFIG_FILE
    if not path.is_file():
        return Choices()
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
        return Choices(
            tuple(map(str, values.get("photographs", ()))), float(values.get("source_balance", Choices.source_balance))
        )
    except (OSError, AttributeError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is no run's configuration ({error}): copy the checkpoint again.") from error


def describe(splits: Splits) -> dict[str, Any]:
    """Per source: a fingerprint of its pictures and splits, and how many of each class stand in each split."""
    described: dict[str, Any] = {}
    for source in sorted({picture.source for picture in splits.pictures}):
        pictures = [picture for picture in splits.pictures if picture.source == source]
        counts = Counter(f"{picture.split}/{CLASSES[picture.label]}" for picture in pictures)
        lines = sorted(f"{picture.content_hash} {picture.split}" for picture in pictures)
        described[source] = {
            "fingerprint": hashlib.sha256("\n".join(lines).encode()).hexdigest(),
            "counts": dict(sorted(counts.items())),
            "dropped": sum(picture.source == source for picture in splits.dropped),
        }
    return described


@contextmanager
def _logging_to(folder: Path) -> Iterator[None]:
    """Keep the log beside the run's results, too."""
    resume = folder / "resume"
    resume.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(resume / "train.log")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger = logging.getLogger("lesion_demo")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()
