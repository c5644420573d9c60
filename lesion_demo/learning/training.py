"""Train in stages, one loop over all of them, on one process or several; every epoch is saved and can be resumed."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader
from tqdm import tqdm

from lesion_demo.config import StageConfig, TrainConfig
from lesion_demo.errors import TrainingError
from lesion_demo.imaging.artefacts import draw_random_ring
from lesion_demo.imaging.transforms import eval_transform, train_transform
from lesion_demo.learning.dataset import (
    LesionDataset,
    PictureReader,
    Sample,
    balanced_weights,
    eval_loader,
    train_loader,
)
from lesion_demo.learning.folders import Picture
from lesion_demo.learning.inference import Predictions, predict
from lesion_demo.learning.metrics import malignant_probability, score
from lesion_demo.learning.model import backbone_parameters, build_model, head_parameters, set_train_mode, set_trainable
from lesion_demo.learning.run_state import (
    BEST_FILE,
    HistoryRow,
    Progress,
    load_state,
    open_run,
    save_state,
    write_history,
)
from lesion_demo.learning.warm_start import initialise
from lesion_demo.learning.weights import read_weights, write_weights

log = logging.getLogger(__name__)

CALIBRATION_PICTURES = 512
RING_PICTURES = 400
"""Validation pictures that get a ring drawn after each epoch; spread over the split, the same every time."""


@dataclass(frozen=True)
class FitResult:
    """The network with its best weights, and how it got there."""

    model: nn.Module
    progress: Progress


@dataclass
class Trainer:
    """One run under way; `net` is the bare network, `average` its moving average where the configuration asks for one."""

    config: TrainConfig
    folder: Path
    accelerator: Accelerator
    net: nn.Module
    average: AveragedModel | None
    train: Sequence[Picture]
    val: Sequence[Picture]
    reader: PictureReader
    progress: Progress

    @property
    def evaluated(self) -> nn.Module:
        """The network that validation judges and that is kept."""
        return self.net if self.average is None else self.average.module

    def seed(self) -> int:
        """Of the epoch to come: a resumed run draws what an uninterrupted one would have drawn."""
        return self.config.seed * 100_003 + self.progress.epoch * 97 + self.accelerator.process_index


def fit(
    config: TrainConfig,
    train: Sequence[Picture],
    val: Sequence[Picture],
    folder: Path,
    *,
    resume: bool = False,
    reader: PictureReader | None = None,
) -> FitResult:
    """Train as `config` says and keep the weights with the best validation ROC-AUC.

    Writes `config.json`, `history.csv` and, for `resume`, a folder of that name into `folder` after every epoch.

    Raises:
        TrainingError: the folder holds another run, the first weights cannot be had, the loss became NaN, …
    """
    accelerator = make_accelerator(config)
    if accelerator.is_main_process:
        open_run(folder, config, resume=resume)
    accelerator.wait_for_everyone()
    reader = reader or PictureReader()
    if config.cache:
        reader.cache([*train, *val], workers=config.workers)
    trainer = _start(config, train, val, folder, accelerator, reader, resume)
    state = load_state(folder) if resume and trainer.progress.epoch > 0 else None
    if not trainer.progress.history:
        _validate(trainer, config.stages[0], seconds=0.0, rates=(0.0, 0.0))
    while trainer.progress.stage < len(config.stages):
        _run_stage(trainer, config.stages[trainer.progress.stage], state)
        _next_stage(trainer)
        state = None
    best = folder / BEST_FILE
    if best.is_file():
        trainer.net.load_state_dict(read_weights(best))
    return FitResult(trainer.net, trainer.progress)


def _next_stage(trainer: Trainer) -> None:
    stages, progress = trainer.config.stages, trainer.progress
    size = stages[progress.stage].image_size
    progress.next_stage()
    if progress.stage < len(stages) and stages[progress.stage].image_size != size:
        progress.best_auc = float("-inf")  # what was judged on smaller pictures does not compete


def make_accelerator(config: TrainConfig) -> Accelerator:
    """For whatever device there is, in the precision that `config` asks for."""
    precision = config.precision
    if precision == "auto":
        if torch.cuda.is_available():
            precision = "bf16" if torch.cuda.is_bf16_supported() else "fp16"
        else:
            # Without AVX-512 bf16 a CPU emulates the type, slower than float32.
            supported = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
            precision = "bf16" if supported() else "no"
    return Accelerator(mixed_precision=precision, step_scheduler_with_optimizer=False)


def _start(
    config: TrainConfig,
    train: Sequence[Picture],
    val: Sequence[Picture],
    folder: Path,
    accelerator: Accelerator,
    reader: PictureReader,
    resume: bool,
) -> Trainer:
    """A trainer at the beginning, or where an earlier one stopped."""
    set_seed(config.seed)
    net = build_model(config.backbone, dropout=config.dropout)
    progress = Progress()
    state: dict[str, Any] | None = None
    try:
        state = load_state(folder) if resume else None
    except TrainingError:
        log.warning("No epoch of %s was finished: starting it from the beginning.", folder)
    if state is None:
        initialise(
            net,
            config.init,
            backbone=config.backbone,
            calibration=_calibration(config, train, reader) if config.init == "lite2" else None,
        )
    else:
        net.load_state_dict(state["net"])
        progress = state["progress"]
    net.to(accelerator.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = None
    if config.ema_decay > 0:
        average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay), use_buffers=True)
        if state is not None:
            average.load_state_dict(state["average"])
    return Trainer(config, folder, accelerator, net, average, train, val, reader, progress)


def _calibration(config: TrainConfig, train: Sequence[Picture], reader: PictureReader) -> DataLoader[Sample]:
    """Some hundred training pictures at the first stage's size, drawn as training draws them: float [B, 3, S, S]."""
    dataset = LesionDataset(train, eval_transform(config.preprocess, config.stages[0].image_size), reader)
    weights = balanced_weights(train, config.source_balance)
    count = min(CALIBRATION_PICTURES, len(train))
    loader = train_loader(dataset, weights, count=count, batch=min(64, count), workers=0, seed=config.seed)
    loader.collate_fn = _inputs_only  # type: ignore[assignment]
    return loader


def _inputs_only(samples: list[Sample]) -> Tensor:
    return torch.stack([inputs for inputs, _, _ in samples])


def _run_stage(trainer: Trainer, stage: StageConfig, state: dict[str, Any] | None) -> None:
    """Train through one stage, from its beginning or from `state`."""
    accelerator, progress = trainer.accelerator, trainer.progress
    set_trainable(trainer.net, train_backbone=stage.train_backbone, frozen_blocks=stage.frozen_blocks)
    optimizer = _optimizer(trainer, stage)
    if state is not None and state["optimizer"] is not None:
        optimizer.load_state_dict(state["optimizer"])
    model, optimizer = accelerator.prepare(trainer.net, optimizer)
    if state is not None and state["scaler"] is not None and accelerator.scaler is not None:
        accelerator.scaler.load_state_dict(state["scaler"])
    while progress.stage_epoch < stage.epochs and not _gone_stale(stage, progress):
        started = time.monotonic()
        rates, predictions = _train_epoch(trainer, stage, model, optimizer)
        progress.epoch += 1
        progress.stage_epoch += 1
        seconds = time.monotonic() - started
        _record(trainer, stage, "train", predictions, None, seconds=seconds, rates=rates)
        _validate(trainer, stage, seconds=seconds, rates=rates)
        if accelerator.is_main_process:
            save_state(
                trainer.folder,
                progress,
                net=trainer.net.state_dict(),
                optimizer=optimizer.state_dict(),
                average=None if trainer.average is None else trainer.average.state_dict(),
                scaler=None if accelerator.scaler is None else accelerator.scaler.state_dict(),
            )
        accelerator.wait_for_everyone()
    trainer.net = accelerator.unwrap_model(model, keep_fp32_wrapper=False)
    accelerator.free_memory()


def _gone_stale(stage: StageConfig, progress: Progress) -> bool:
    return stage.patience is not None and progress.stale >= stage.patience


def _optimizer(trainer: Trainer, stage: StageConfig) -> torch.optim.Optimizer:
    """AdamW over what is trainable, in two groups: backbone, head."""
    backbone = [p for p in backbone_parameters(trainer.net) if p.requires_grad]
    groups = [
        {"params": backbone, "peak": stage.backbone_rate},
        {"params": head_parameters(trainer.net), "peak": stage.head_rate},
    ]
    return torch.optim.AdamW(groups, lr=stage.head_rate, weight_decay=trainer.config.weight_decay)


def rate_factor(schedule: str, done: float) -> float:
    """Share of the peak learning rate (0–1) when the share `done` (0–1) of a stage is behind.

    Raises:
        TrainingError: no such schedule.
    """
    if schedule == "constant":
        return 1.0
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done))
    if schedule == "one_cycle":  # Smith & Topin 2018, arXiv 1708.07120
        rise = 0.25
        return 0.04 + 0.96 * done / rise if done < rise else 0.5 * (1 + math.cos(math.pi * (done - rise) / (1 - rise)))
    raise TrainingError(f"Learning-rate schedule {schedule!r} is unknown: use constant, cosine or one_cycle.")


def micro_batch(config: TrainConfig, stage: StageConfig, accelerator: Accelerator) -> int:
    """Pictures per forward pass and process: as configured, or what the device's memory holds."""
    per_process = max(1, stage.batch_size // accelerator.num_processes)
    if config.micro_batch is not None:
        return min(config.micro_batch, per_process)
    if accelerator.device.type != "cuda":
        return min(32, per_process)
    # An EfficientNet-B3 keeps some 70 MB per 300-pixel picture for the backward pass, in mixed precision.
    memory = torch.cuda.get_device_properties(accelerator.device).total_memory * 0.7
    fitting = int(memory / (70e6 * (stage.image_size / 300) ** 2))
    return min(per_process, max(1, 2 ** int(math.log2(max(1, fitting)))))


def _train_epoch(
    trainer: Trainer, stage: StageConfig, model: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[tuple[float, float], Predictions]:
    """One epoch; returns the last learning rates (backbone, head) and what the network said on the way."""
    config, accelerator = trainer.config, trainer.accelerator
    loader = accelerator.prepare(_epoch_loader(trainer, stage))
    set_seed(trainer.seed())
    set_train_mode(trainer.net)
    steps = math.ceil(stage.batch_size / (micro_batch(config, stage, accelerator) * accelerator.num_processes))
    accelerator.gradient_accumulation_steps = steps
    loss_function = nn.CrossEntropyLoss(label_smoothing=config.label_smoothing)
    logits, labels = [], []
    bar = tqdm(loader, f"epoch {trainer.progress.epoch + 1} ({stage.name}, {stage.image_size} px)", leave=False,
               disable=not accelerator.is_main_process)
    for number, (images, targets, _) in enumerate(bar):
        _set_rates(optimizer, stage, (trainer.progress.stage_epoch + number / len(loader)) / stage.epochs)
        with accelerator.accumulate(model):
            output = model(images.to(memory_format=torch.channels_last))  # [B, 3, S, S] → [B, 2]
            loss = loss_function(output.float(), targets)
            _check_finite(loss, trainer)
            accelerator.backward(loss)
            if accelerator.sync_gradients and config.clip_norm > 0:
                accelerator.clip_grad_norm_(trainer.net.parameters(), config.clip_norm)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if accelerator.sync_gradients and trainer.average is not None:
            trainer.average.update_parameters(trainer.net)
        logits.append(output.detach().float())
        labels.append(targets)
    rates = (optimizer.param_groups[0]["lr"], optimizer.param_groups[1]["lr"])
    gathered = accelerator.gather((torch.cat(logits), torch.cat(labels)))
    return rates, Predictions(gathered[0].double().cpu().numpy(), gathered[1].cpu().numpy())


def _epoch_loader(trainer: Trainer, stage: StageConfig) -> DataLoader[Sample]:
    config = trainer.config
    transform = train_transform(config.preprocess, config.augment, stage.image_size)
    return train_loader(
        LesionDataset(trainer.train, transform, trainer.reader),
        balanced_weights(trainer.train, config.source_balance),
        count=stage.epoch_pictures or len(trainer.train),
        batch=micro_batch(config, stage, trainer.accelerator),
        workers=config.workers,
        seed=config.seed * 100_003 + trainer.progress.epoch,
    )


def _set_rates(optimizer: torch.optim.Optimizer, stage: StageConfig, done: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * rate_factor(stage.schedule, done)


def _check_finite(loss: Tensor, trainer: Trainer) -> None:
    if not torch.isfinite(loss):
        raise TrainingError(
            f"The loss became {loss.item()} in epoch {trainer.progress.epoch + 1}. Try a lower learning rate, "
            "--clip-norm 2, or --precision no; --resume goes back to the last finished epoch."
        )


def _validate(trainer: Trainer, stage: StageConfig, *, seconds: float, rates: tuple[float, float]) -> None:
    """Score the validation split, keep the weights if they are the best yet, and write the history."""
    progress = trainer.progress
    predictions = _predict_val(trainer, stage, trainer.val, None)
    flips = _ring_flips(trainer, stage, predictions)
    row = _record(trainer, stage, "val", predictions, flips, seconds=seconds, rates=rates)
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


def _predict_val(trainer: Trainer, stage: StageConfig, pictures: Sequence[Picture], edit: Any) -> Predictions:
    config, accelerator = trainer.config, trainer.accelerator
    dataset = LesionDataset(pictures, eval_transform(config.preprocess, stage.image_size), trainer.reader, edit)
    loader = accelerator.prepare(eval_loader(dataset, workers=config.workers))
    return predict(trainer.evaluated, loader, accelerator, "validate")


def ringed(image: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
    """`image` (uint8 [H, W, 3]) with the ring that belongs to `index`: the same one every time."""
    return draw_random_ring(image, np.random.default_rng(index))


def _ring_flips(trainer: Trainer, stage: StageConfig, plain: Predictions) -> float:
    """Share of verdicts at 0.5 that a ring turns, on RING_PICTURES of the validation split."""
    chosen = range(0, len(trainer.val), max(1, len(trainer.val) // RING_PICTURES))
    with_ring = _predict_val(trainer, stage, [trainer.val[i] for i in chosen], ringed)
    before = plain.probabilities()[list(chosen)] >= 0.5
    return float(np.mean(before != (with_ring.probabilities() >= 0.5)))


def _record(
    trainer: Trainer,
    stage: StageConfig,
    split: str,
    predictions: Predictions,
    flips: float | None,
    *,
    seconds: float,
    rates: tuple[float, float],
) -> HistoryRow:
    """Append a row to the history and log it. Validation is scored with training's weights, at a prevalence of ½."""
    weights = balanced_weights(trainer.val, trainer.config.source_balance) if split == "val" else None
    scores = score(predictions.labels, malignant_probability(predictions.logits), weights=weights)
    row = HistoryRow(
        epoch=trainer.progress.epoch,
        stage=stage.name,
        split=split,
        loss=scores.loss,
        accuracy=scores.accuracy,
        precision=scores.precision,
        recall=scores.recall,
        f1=scores.f1,
        roc_auc=scores.roc_auc,
        pr_auc=scores.pr_auc,
        ring_flips=math.nan if flips is None else flips,
        backbone_rate=rates[0] if stage.train_backbone else 0.0,
        head_rate=rates[1],
        seconds=seconds,
    )
    trainer.progress.history.append(row)
    if trainer.accelerator.is_main_process:
        log.info(
            "epoch %d %s %s: loss %.4f, accuracy %.4f, AUC %.4f%s, %.0f s",
            row.epoch, row.stage, split, row.loss, row.accuracy, row.roc_auc,
            "" if flips is None else f", ring flips {flips:.3f}", seconds,
        )
    return row
