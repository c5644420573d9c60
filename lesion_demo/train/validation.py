"""After each epoch: score the validation split, count what a drawn ring flips, keep the best weights."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from lesion_demo.config import StageConfig
from lesion_demo.data.dataset import Edit, LesionDataset, balanced_weights, eval_loader
from lesion_demo.data.picture import Picture
from lesion_demo.evaluate.inference import Predictions, predict_batches, together
from lesion_demo.evaluate.scores import score
from lesion_demo.images.perturb import draw_random_ring
from lesion_demo.images.transforms import eval_transform
from lesion_demo.network.forward import network_of
from lesion_demo.network.weights import write_weights
from lesion_demo.run_folder import BEST_FILE
from lesion_demo.train.state import HistoryRow, write_history
from lesion_demo.train.tracking import log_row
from lesion_demo.train.trainer import Trainer

log = logging.getLogger(__name__)

RING_PICTURES = 400
"""Validation pictures that get a ring drawn after each epoch; spread over the split, the same every time."""


def validate(trainer: Trainer, stage: StageConfig, *, seconds: float, rates: tuple[float, float]) -> None:
    """Score the validation split, keep the weights if they are the best yet, and write the history."""
    progress = trainer.progress
    predictions = _predict_val(trainer, stage, trainer.val, None)
    flips = _ring_flips(trainer, stage, predictions)
    row = record(trainer, stage, "val", predictions, flips, seconds=seconds, rates=rates)
    if progress.epoch > 0:
        if row.roc_auc > progress.stage_best + stage.min_improvement:
            progress.stage_best, progress.stale = row.roc_auc, 0
        else:
            progress.stale += 1
        if row.roc_auc > progress.best_auc:
            progress.best_auc, progress.best_epoch = row.roc_auc, progress.epoch
            if trainer.accelerator.is_main_process:
                write_weights(trainer.folder / BEST_FILE, trainer.evaluated.state_dict(), half=False)
    if trainer.accelerator.is_main_process:
        write_history(trainer.folder, progress.history)


def _predict_val(trainer: Trainer, stage: StageConfig, pictures: Sequence[Picture], edit: Edit | None) -> Predictions:
    config, accelerator = trainer.config, trainer.accelerator
    dataset = LesionDataset(pictures, eval_transform(config.preprocess, stage.image_size), trainer.reader, edit)
    loader = accelerator.prepare(eval_loader(dataset, workers=config.workers))
    return together(list(predict_batches(network_of(trainer.evaluated), loader, "validate", accelerator=accelerator)))


def ringed(image: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
    """`image` (uint8 [H, W, 3]) with the ring that belongs to `index`: the same one every time."""
    return draw_random_ring(image, np.random.default_rng(index))


def ringed_places(count: int) -> range:
    """Which of `count` validation pictures get a ring: all of a small split."""
    return range(0, count, max(1, count // RING_PICTURES))


def _ring_flips(trainer: Trainer, stage: StageConfig, plain: Predictions) -> float:
    """Share of verdicts at 0.5 that a ring turns, on RING_PICTURES of the validation split."""
    chosen = ringed_places(len(trainer.val))
    with_ring = _predict_val(trainer, stage, [trainer.val[i] for i in chosen], ringed)
    before = plain.probabilities()[list(chosen)] >= 0.5
    return float(np.mean(before != (with_ring.probabilities() >= 0.5)))


def record(
    trainer: Trainer,
    stage: StageConfig,
    split: str,
    predictions: Predictions,
    flips: float | None,
    *,
    seconds: float,
    rates: tuple[float, float],
) -> HistoryRow:
    """Append a row to the history and tell of it. Validation is scored with training's weights, at prevalence ½."""
    weights = balanced_weights(trainer.val, trainer.config.source_balance) if split == "val" else None
    scores = score(predictions.labels, predictions.probabilities(), weights=weights)
    row = HistoryRow(
        epoch=trainer.progress.epoch,
        stage=stage.name,
        split=split,
        **{name: value for name, value in asdict(scores).items() if name != "count"},
        ring_flips=math.nan if flips is None else flips,
        backbone_rate=rates[0] if stage.train_backbone else 0.0,
        head_rate=rates[1],
        seconds=seconds,
    )
    trainer.progress.history.append(row)
    log_row(trainer.accelerator, row)
    if trainer.accelerator.is_main_process:
        log.info(
            "epoch %d %s %s: loss %.4f, accuracy %.4f, AUC %.4f%s, %.0f s",
            row.epoch,
            row.stage,
            split,
            row.loss,
            row.accuracy,
            row.roc_auc,
            "" if flips is None else f", ring flips {flips:.3f}",
            seconds,
        )
    return row
