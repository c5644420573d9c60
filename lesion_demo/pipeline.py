"""A whole run: folders → splits → training → calibration and report → checkpoint."""

from __future__ import annotations

import datetime
import hashlib
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from lesion_demo.checkpoint import Checkpoint, LoadedCheckpoint, save_checkpoint
from lesion_demo.config import CLASSES, PreprocessSpec, TrainConfig
from lesion_demo.imaging.strangers import close_up, plain_skin
from lesion_demo.imaging.transforms import Transform, eval_transform
from lesion_demo.learning.dataset import LesionDataset, PictureReader, balanced_weights, eval_loader
from lesion_demo.learning.device import make_accelerator
from lesion_demo.learning.evaluation import (
    PREVALENCE,
    EvaluatedSplit,
    calibrate,
    run_model,
    summarise,
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
from lesion_demo.learning.run_state import Start, check_run, claiming, write_json, write_start
from lesion_demo.learning.settings import check_amount, check_settings, shares_of
from lesion_demo.learning.split_file import read_sides, read_split, write_split
from lesion_demo.learning.split_record import SplitRecord, check_labels, check_record, file_hash, write_record
from lesion_demo.learning.splits import Splits, prepare_splits
from lesion_demo.learning.training import FitResult, fit
from lesion_demo.learning.warm_start import NO_FOLDERS, check_first_weights
from lesion_demo.learning.weights import WEIGHTS_FILE, round_to_half, write_weights
from lesion_demo.shown import SPLIT_FILE as SPLIT_FILE
from lesion_demo.shown import fingerprint

log = logging.getLogger(__name__)

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
) -> Checkpoint | None:
    """Run `config` on the data sets at `roots` and leave a complete checkpoint in `folder`.

    On several processes every one takes part in training; the first alone evaluates, saves and returns the checkpoint.

    A start that fails before training leaves nothing in `folder`.

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
            splits = open_splits(config, roots, folder, class_map=class_map, skip_corrupt=skip_corrupt)
        train, val = splits.of("train"), splits.of("val")
        check_amount(config, train, val)
        if accelerator.is_main_process:
            write_start(
                folder, Start(tuple(str(Path(root).expanduser().absolute()) for root in roots), _pairs(class_map))
            )
        with _logging_to(folder):
            log.info("%s", splits.summary())
            reader = PictureReader()
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
        splits = read_split(path, roots)
        check_labels(splits, scan(roots, class_map), path)
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
    predictions = run_model(result.model, config.preprocess, val, title="validation", reader=reader)
    calibration = calibrate(predictions, val, config.source_balance, {picture.source for picture in splits.of("test")})
    evaluated = EvaluatedSplit(val, predictions.probabilities(calibration.temperature))
    test = None
    if splits.of("test"):
        test = _evaluated(result.model, config.preprocess, splits.of("test"), calibration.temperature, reader, "test")
    else:
        log.warning("There is no test split: the report stands on validation alone, which flatters.")
    metrics = summarise(test, evaluated, calibration.operating_points)
    write_json(folder / METRICS_FILE, metrics)
    write_evaluation_plots(
        folder,
        test or evaluated,
        calibration.operating_points,
        name="Test" if test else "Validation",
        kept_epoch=result.progress.best_epoch,
    )
    meta = Checkpoint(
        backbone=config.backbone,
        preprocess=config.preprocess,
        temperature=calibration.temperature,
        operating_points=calibration.operating_points,
        val_roc_auc=calibration.val_roc_auc,
        prevalence=PREVALENCE,
        referral_margin=calibration.referral_margin,
        trained_at=datetime.date.today().isoformat(),
        metrics=metrics,
        data=describe(splits),
        val_pictures=fingerprint(
            ((picture.content_hash, CLASSES[picture.label], picture.source) for picture in val), config.source_balance
        ),
    )
    return save_checkpoint(folder, result.model, meta, learn_known(result.model, config, splits, reader))


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
    reader = PictureReader()
    temperature = loaded.meta.temperature
    val = _evaluated(loaded.model, loaded.meta.preprocess, splits.of("val"), temperature, reader, "validation", views)
    test = None
    if splits.of("test"):
        test = _evaluated(loaded.model, loaded.meta.preprocess, splits.of("test"), temperature, reader, "test", views)
    return summarise(test, val, loaded.meta.operating_points), test or val


def _evaluated(
    model: nn.Module,
    spec: PreprocessSpec,
    pictures: Sequence[Picture],
    temperature: float,
    reader: PictureReader,
    title: str,
    views: int = 1,
) -> EvaluatedSplit:
    predictions = run_model(model, spec, pictures, title=title, reader=reader, views=views)
    return EvaluatedSplit(tuple(pictures), predictions.probabilities(temperature))


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
