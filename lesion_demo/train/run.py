"""A whole run: folders → splits → training → calibration and report → checkpoint."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import nn

from lesion_demo.checkpoint import Checkpoint, save_checkpoint
from lesion_demo.config import CLASSES, TrainConfig
from lesion_demo.data.dataset import PictureReader, balanced_weights
from lesion_demo.data.folders import name_sources, scan
from lesion_demo.data.split_file import read_sides, read_split, write_split
from lesion_demo.data.split_record import SplitRecord, check_labels, check_record, write_record
from lesion_demo.data.splits import Splits, prepare_splits
from lesion_demo.data.table import LabelTable
from lesion_demo.errors import GraphError
from lesion_demo.evaluate.calibration import fit_bias
from lesion_demo.evaluate.inference import Predictions
from lesion_demo.evaluate.known import learn_known
from lesion_demo.evaluate.reporting import Scorer
from lesion_demo.evaluate.run import PREVALENCE, EvaluatedSplit
from lesion_demo.evaluate.settle import Choices, describe, settle
from lesion_demo.files import sha256_of
from lesion_demo.network.export import write_graph
from lesion_demo.network.init import NO_FOLDERS, check_first_weights
from lesion_demo.network.model import head_layer
from lesion_demo.network.weights import round_to_half, write_weights
from lesion_demo.run_folder import LOG_FILE, SPLIT_FILE, WEIGHTS_FILE
from lesion_demo.shown import fingerprint
from lesion_demo.train.device import make_accelerator
from lesion_demo.train.loop import FitResult, fit
from lesion_demo.train.settings import check_amount, check_settings, shares_of
from lesion_demo.train.state import Start, check_room, check_run, claiming, write_start
from lesion_demo.train.tracking import TRACKING_FOLDER, Tracking, check_tracking, log_mistakes, tracked

log = logging.getLogger(__name__)


def train(
    config: TrainConfig,
    roots: Sequence[Path],
    folder: Path,
    *,
    class_map: Mapping[str, str] | None = None,
    skip_corrupt: bool = False,
    resume: bool = False,
    table: LabelTable | None = None,
    tracking: Tracking | None = None,
) -> Checkpoint | None:
    """Run `config` on the data sets at `roots` and leave a complete checkpoint in `folder`.

    On several processes every one takes part in training; the first alone evaluates, saves and returns the checkpoint.

    A `table` labels the pictures of the one root. With `tracking`, the figures of every epoch go to a tracker, too. A
    start that fails before training leaves nothing in `folder`.

    Raises:
        DataError: a data set is not usable. TrainingError: see `fit`. CheckpointError: the result could not be saved.
    """
    parameters = check_settings(config)
    check_room(folder, parameters, averaged=config.ema_decay > 0, resume=resume)
    if tracking is None:
        accelerator = make_accelerator(config)
    else:
        check_tracking(tracking)
        accelerator = make_accelerator(config, tracker=tracking.name, tracker_folder=folder / TRACKING_FOLDER)
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
        with _logging_to(folder), tracked(accelerator, tracking, folder, config):
            log.info("%s", splits.summary())
            with closing(PictureReader()) as reader:
                result = fit(config, train, val, folder, resume=resume, reader=reader, accelerator=accelerator)
                shown = accelerator if tracking is not None and tracking.pictures else None
                return finish(config, splits, result, folder, reader, shown) if accelerator.is_main_process else None


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
        earlier=sha256_of(before) if before.is_file() else "",
    )
    if path.is_file():
        check_record(path, record)
        scanned = scan(roots, class_map, table)  # a wrong folder is told before every picture is read
        splits = read_split(path, roots)
        check_labels(splits, scanned, path)
        return splits
    if config.init not in NO_FOLDERS and not before.is_file():
        log.warning(
            "%s has no %s: pictures it was trained on may be used for validation here.", config.init, SPLIT_FILE
        )
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


def finish(
    config: TrainConfig,
    splits: Splits,
    result: FitResult,
    folder: Path,
    reader: PictureReader,
    shown: Accelerator | None = None,
) -> Checkpoint:
    """Calibrate, report and save what training made. All figures are those of the weights as saved.

    The network sees the validation pictures once, with its weights rounded as they are saved: the bias that is
    corrected afterwards shifts what it said of each by the same. The tracker of `shown` gets its worst mistakes.
    """
    round_to_half(result.model)
    val = tuple(splits.of("val"))
    scorer = Scorer(result.model, config.preprocess, reader=reader, workers=config.workers)
    before = scorer.predict(val, "validation")
    predictions = before.shifted(correct_bias(result.model, before, balanced_weights(val, config.source_balance)))
    write_weights(folder / WEIGHTS_FILE, result.model.state_dict(), half=True)  # before anything is said of them
    log.info("The weights are saved. If a later step fails, --resume continues from here.")
    known = learn_known(scorer, splits, config.photographs, predictions.early)
    choices = Choices(config.photographs, config.source_balance)
    calibration, metrics = settle(
        folder,
        replace(scorer, known=known),
        val,
        splits.of("test"),
        choices,
        predictions=predictions,
        kept_epoch=result.progress.best_epoch,
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
    saved = save_checkpoint(folder, result.model, meta, known)
    add_graph(folder, result.model, saved)
    if shown is not None:
        split = EvaluatedSplit(val, predictions.probabilities(calibration.temperature))
        threshold = saved.operating_point("balanced").threshold
        log_mistakes(shown, split, threshold, reader, epoch=result.progress.epoch)
    return saved


def add_graph(folder: Path, model: nn.Module, meta: Checkpoint) -> None:
    """Write the graph of `model` beside its weights; where that cannot be, the checkpoint is whole without it."""
    try:
        write_graph(folder, model.cpu(), meta.preprocess.image_size)
    except GraphError as error:
        log.warning("The checkpoint has no graph for ONNX Runtime: %s", error)


def correct_bias(model: nn.Module, predictions: Predictions, weights: NDArray[np.float64]) -> float:
    """Shift the malignant output of `model` to suit its validation `predictions`, weighted by `weights` [N].

    The bias is of the head itself, so nothing that uses the checkpoint need know of it. Returns by how much it was
    shifted, rounded as it is saved.
    """
    bias = head_layer(model).bias.detach()  # the same memory
    before = float(bias[1])
    bias[1] += fit_bias(predictions.logits, predictions.labels, weights=weights)
    round_to_half(model)
    return float(bias[1]) - before


@contextmanager
def _logging_to(folder: Path) -> Iterator[None]:
    """Keep the log beside the run's results, too."""
    path = folder / LOG_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger = logging.getLogger("lesion_demo")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()
