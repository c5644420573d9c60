"""What a run computes on: device, precision, and how many pictures fit."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from accelerate import Accelerator

from lesion_demo.config import StageConfig, TrainConfig


def make_accelerator(
    config: TrainConfig, *, tracker: str | None = None, tracker_folder: Path | None = None
) -> Accelerator:
    """For whatever device there is, in the precision that `config` asks for.

    Args:
        tracker: one of accelerate's, for the run's figures; what it writes goes into `tracker_folder`.
    """
    precision = config.precision
    if precision == "auto":
        if torch.cuda.is_available():
            precision = "bf16" if torch.cuda.is_bf16_supported() else "fp16"
        else:
            # Without AVX-512 bf16 a CPU emulates the type, slower than float32.
            supported = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
            precision = "bf16" if supported() else "no"
    # Said outright, or several processes on CPUs would each take themselves for the only one.
    cpu = not torch.accelerator.is_available()
    return Accelerator(
        cpu=cpu,
        mixed_precision=precision,
        step_scheduler_with_optimizer=False,
        log_with=tracker,
        project_dir=tracker_folder,
    )


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
