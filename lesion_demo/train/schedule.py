"""The optimiser of a stage and how its learning rates go."""

from __future__ import annotations

import math

import torch
from torch import nn

from lesion_demo.config import StageConfig
from lesion_demo.errors import TrainingError
from lesion_demo.network.model import backbone_parameters, head_parameters


def rate_factor(schedule: str, done: float, floor: float = 0.0) -> float:
    """Share of the peak learning rate (0–1) when the share `done` (0–1) of a stage is behind, and `floor` at its end.

    Raises:
        TrainingError: no such schedule.
    """
    if schedule == "constant":
        return 1.0
    if schedule == "cosine":
        return _descent(done, floor)
    if schedule == "one_cycle":  # Smith & Topin 2018, arXiv 1708.07120
        rise = 0.25
        return 0.04 + 0.96 * done / rise if done < rise else _descent((done - rise) / (1 - rise), floor)
    raise TrainingError(f"Learning-rate schedule {schedule!r} is unknown: use constant, cosine or one_cycle.")


def _descent(done: float, floor: float) -> float:
    """From 1 to `floor` along half a cosine."""
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * done))


def make_optimizer(net: nn.Module, stage: StageConfig, weight_decay: float) -> torch.optim.Optimizer:
    """AdamW over what is trainable, in two groups: backbone, head."""
    backbone = [p for p in backbone_parameters(net) if p.requires_grad]
    groups = [
        {"params": backbone, "peak": stage.backbone_rate},
        {"params": head_parameters(net), "peak": stage.head_rate},
    ]
    return torch.optim.AdamW(groups, lr=stage.head_rate, weight_decay=weight_decay)


def set_rates(optimizer: torch.optim.Optimizer, stage: StageConfig, done: float) -> None:
    """Set every group's learning rate for when the share `done` (0–1) of the stage is behind."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * rate_factor(stage.schedule, done, stage.floor)
