"""How long a configuration will take on this machine, measured on a few batches of noise."""

from __future__ import annotations

import copy
import time

import torch
from accelerate import Accelerator
from torch import nn

from lesion_demo.config import StageConfig
from lesion_demo.network.model import set_train_mode, set_trainable


def stage_seconds(
    net: nn.Module, stage: StageConfig, accelerator: Accelerator, *, batch: int, train_count: int, eval_count: int
) -> float:
    """Expected seconds of all of a stage's epochs, loading apart; `net` is left as it was.

    Args:
        batch: pictures per forward pass.
        train_count: pictures drawn per epoch, by all processes together.
        eval_count: pictures looked at after each epoch, by all processes together.
    """
    probe = copy.deepcopy(net)
    set_trainable(probe, train_backbone=stage.train_backbone, frozen_blocks=stage.frozen_blocks)
    images = torch.randn(batch, 3, stage.image_size, stage.image_size, device=accelerator.device)
    images = images.to(memory_format=torch.channels_last)  # [B, 3, S, S]
    train = min(_train_step(probe, images, accelerator) for _ in range(2))  # the first one warms up
    evaluation = min(_forward(probe, images, accelerator) for _ in range(2))
    seconds = train_count * train + eval_count * evaluation
    return stage.epochs * seconds / (batch * accelerator.num_processes)


def _train_step(net: nn.Module, images: torch.Tensor, accelerator: Accelerator) -> float:
    set_train_mode(net)
    started = time.monotonic()
    with accelerator.autocast():
        loss = net(images).float().square().mean()
    loss.backward()
    return _elapsed(started, accelerator)


@torch.no_grad()
def _forward(net: nn.Module, images: torch.Tensor, accelerator: Accelerator) -> float:
    net.eval()
    started = time.monotonic()
    with accelerator.autocast():
        net(images)
    return _elapsed(started, accelerator)


def _elapsed(started: float, accelerator: Accelerator) -> float:
    if accelerator.device.type == "cuda":
        torch.cuda.synchronize()
    return time.monotonic() - started


def in_words(seconds: float) -> str:
    """`95.0` → `2 minutes`; from two hours on, in hours."""
    minutes = max(1, round(seconds / 60))
    return f"{minutes / 60:.1f} hours" if minutes >= 120 else f"{minutes} minute{'s' if minutes > 1 else ''}"
