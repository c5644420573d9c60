"""Train in stages, one loop over all of them, on one process or several; every epoch is saved and can be resumed."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from lesion_demo.config import StageConfig, TrainConfig
from lesion_demo.data.dataset import (
    LesionDataset,
    Sample,
    balanced_weights,
    check_emphasis,
    delivered,
    train_loader,
)
from lesion_demo.data.picture import Picture
from lesion_demo.data.reader import PictureReader
from lesion_demo.errors import TrainingError
from lesion_demo.evaluate.inference import Predictions
from lesion_demo.images.transforms import train_transform
from lesion_demo.network.init import blend, blend_with_first
from lesion_demo.network.model import set_train_mode, set_trainable
from lesion_demo.network.weights import read_weights, write_weights
from lesion_demo.run_folder import AFTER, BEST_FILE, WEIGHTS_FILE
from lesion_demo.train.device import make_accelerator, micro_batch
from lesion_demo.train.estimate import in_words, stage_seconds
from lesion_demo.train.schedule import make_optimizer, set_rates
from lesion_demo.train.settings import check_settings
from lesion_demo.train.state import (
    DECODED_FILE,
    Progress,
    check_run,
    save_state,
    write_config,
)
from lesion_demo.train.trainer import Trainer, start, warn_of_init
from lesion_demo.train.validation import record, ringed_places, validate

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FitResult:
    """The network with its best weights, and how it got there."""

    model: nn.Module
    progress: Progress


def fit(
    config: TrainConfig,
    train: Sequence[Picture],
    val: Sequence[Picture],
    folder: Path,
    *,
    resume: bool = False,
    reader: PictureReader | None = None,
    accelerator: Accelerator | None = None,
) -> FitResult:
    """Train as `config` says and keep the weights with the best validation ROC-AUC, blended with the first on request.

    Writes `config.json`, `history.csv` and, for `resume`, a folder of that name into `folder` after every epoch.

    Raises:
        TrainingError: a setting makes no sense, the folder holds another run, the first weights cannot be had, the
            loss became NaN, …
    """
    check_settings(config)
    for stage in config.stages:
        check_emphasis(emphasis_in(stage, config), train)
    accelerator = accelerator or make_accelerator(config)
    if accelerator.is_main_process:
        check_run(folder, config, resume=resume)
        warn_of_init(config)
        devices = (accelerator.num_processes, accelerator.device.type, accelerator.mixed_precision)
        log.info("Processes: %d on %s, mixed precision: %s.", *devices)
    accelerator.wait_for_everyone()
    reader = reader or PictureReader()
    if config.cache:
        decoded = folder / DECODED_FILE
        with accelerator.local_main_process_first():
            if accelerator.is_local_main_process:
                reader.cache([*train, *val], decoded, workers=config.workers)
            else:
                reader.share(decoded)
    trainer, state = start(config, train, val, folder, accelerator, reader, resume=resume)
    if accelerator.is_main_process:
        write_config(folder, config)  # now, not before: a run that could not start claims nothing
    if not trainer.progress.history:
        _log_expected_duration(trainer)
        validate(trainer, config.stages[0], seconds=0.0, rates=(0.0, 0.0))
    while trainer.progress.stage < len(config.stages):
        _run_stage(trainer, config.stages[trainer.progress.stage], state)
        _next_stage(trainer)
        state = None
    best = folder / BEST_FILE
    if trainer.progress.best_epoch > 0 and not best.is_file():
        raise TrainingError(
            f"{best} is missing. It held the weights of the best epoch, {trainer.progress.best_epoch}: "
            "restore it, or start the run again under another name."
        )
    if best.is_file():
        last = copy.deepcopy(trainer.evaluated.state_dict())
        trainer.net.load_state_dict(read_weights(best))
        if config.last_share > 0:
            blend(trainer.net, last, config.last_share)
    if config.first_share > 0:
        blend_with_first(trainer.net, config.init, config.first_share, backbone=config.backbone)
    return FitResult(trainer.net, trainer.progress)


def _next_stage(trainer: Trainer) -> None:
    stages, progress = trainer.config.stages, trainer.progress
    size = stages[progress.stage].image_size
    if trainer.accelerator.is_main_process:  # for --init, should the run's folder be lost
        after = trainer.folder / AFTER / stages[progress.stage].name
        write_weights(after / WEIGHTS_FILE, trainer.evaluated.state_dict(), half=True)
    progress.next_stage()
    if progress.stage < len(stages) and stages[progress.stage].image_size != size:
        progress.best_auc = float("-inf")  # what was judged on smaller pictures does not compete


def _log_expected_duration(trainer: Trainer) -> None:
    config, accelerator = trainer.config, trainer.accelerator
    seconds = sum(
        stage_seconds(
            trainer.net,
            stage,
            accelerator,
            batch=micro_batch(config, stage, accelerator),
            train_count=stage.epoch_pictures or len(trainer.train),
            eval_count=len(trainer.val) + len(ringed_places(len(trainer.val))),
        )
        for stage in config.stages
    )
    if accelerator.is_main_process:
        log.info("Expected duration: at most about %s if nothing else runs on this machine.", in_words(seconds))


def _run_stage(trainer: Trainer, stage: StageConfig, state: dict[str, Any] | None) -> None:
    """Train through one stage, from its beginning or from `state`."""
    accelerator, progress = trainer.accelerator, trainer.progress
    set_trainable(trainer.net, train_backbone=stage.train_backbone, frozen_blocks=stage.frozen_blocks)
    optimizer = make_optimizer(trainer.net, stage, trainer.config.weight_decay)
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
        record(trainer, stage, "train", predictions, None, seconds=seconds, rates=rates)
        validate(trainer, stage, seconds=seconds, rates=rates)
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
    bar = tqdm(
        delivered(loader),
        f"epoch {trainer.progress.epoch + 1} ({stage.name}, {stage.image_size} px)",
        len(loader),
        leave=False,
        disable=not accelerator.is_main_process,
    )
    for number, (images, targets, _) in enumerate(bar):
        set_rates(optimizer, stage, (trainer.progress.stage_epoch + number / len(loader)) / stage.epochs)
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
    transform = train_transform(config.preprocess, stage.augment or config.augment, stage.image_size)
    return train_loader(
        LesionDataset(trainer.train, transform, trainer.reader),
        balanced_weights(trainer.train, config.source_balance, emphasis_in(stage, config)),
        count=stage.epoch_pictures or len(trainer.train),
        batch=micro_batch(config, stage, trainer.accelerator),
        workers=config.workers,
        seed=trainer.draw_seed(),
    )


def emphasis_in(stage: StageConfig, config: TrainConfig) -> dict[str, float]:
    """How many times as often `stage` draws a data set, by its name."""
    return dict(config.emphasis if stage.emphasis is None else stage.emphasis)


def _check_finite(loss: Tensor, trainer: Trainer) -> None:
    if not torch.isfinite(loss):
        raise TrainingError(
            f"The loss became {loss.item()} in epoch {trainer.progress.epoch + 1}. Try a lower learning rate, "
            "--clip-norm 2, or --precision no; --resume continues from the last finished epoch."
        )
