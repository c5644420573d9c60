"""A run under way: the network, its data and how far it has come."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from lesion_demo.config import TrainConfig, to_dict
from lesion_demo.data.dataset import LesionDataset, PictureReader, Sample, balanced_weights, train_loader
from lesion_demo.data.picture import Picture
from lesion_demo.images.transforms import eval_transform
from lesion_demo.network.depthwise import use_fast_depthwise
from lesion_demo.network.init import initialise
from lesion_demo.network.model import build_model
from lesion_demo.run_folder import CONFIG_FILE, STATE_FILE
from lesion_demo.train.state import Progress, load_state, read_settings

log = logging.getLogger(__name__)

CALIBRATION_PICTURES = 512


@dataclass
class Trainer:
    """One run under way; `net` is the bare network, `average` its moving average where the configuration has one."""

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

    def draw_seed(self) -> int:
        """Of the pictures of the epoch to come, for all processes: a resumed run draws what a whole one would have."""
        return (self.config.seed + self.config.draws) * 100_003 + self.progress.epoch

    def seed(self) -> int:
        """Of everything else that is random in the epoch to come, for this process."""
        return (
            (self.config.seed + self.config.draws) * 100_003 + self.progress.epoch * 97 + self.accelerator.process_index
        )


def start(
    config: TrainConfig,
    train: Sequence[Picture],
    val: Sequence[Picture],
    folder: Path,
    accelerator: Accelerator,
    reader: PictureReader,
    *,
    resume: bool,
) -> tuple[Trainer, dict[str, Any] | None]:
    """A trainer at the beginning, or where an earlier one stopped; then with what `save_state` saved."""
    set_seed(config.seed)
    net = build_model(config.backbone, dropout=config.dropout)
    state = load_state(folder) if resume and (folder / STATE_FILE).is_file() else None
    if resume and state is None:
        log.warning("No epoch of %s was finished: training starts from the beginning.", folder)
    if state is None:
        calibration = _calibration(config, train, reader) if config.init == "lite2" else None
        initialise(net, config.init, backbone=config.backbone, calibration=calibration, seed=config.seed)
    else:
        net.load_state_dict(state["net"])
    use_fast_depthwise(net)
    net.to(accelerator.device).to(memory_format=torch.channels_last)
    average = None
    if config.ema_decay > 0:
        average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay), use_buffers=True)
        if state is not None:
            average.load_state_dict(state["average"])
    progress = Progress() if state is None else state["progress"]
    return Trainer(config, folder, accelerator, net, average, train, val, reader, progress), state


def warn_of_init(config: TrainConfig) -> None:
    """Say so if the run that `config` goes on from drew the same pictures in the same variants, or prepared others.

    Raises:
        TrainingError: that run's configuration cannot be read.
    """
    path = Path(config.init) / CONFIG_FILE
    if not path.is_file():
        return
    before = read_settings(path)
    if before.get("seed", 0) + before.get("draws", 0) == config.seed + config.draws:
        log.warning(
            "The run in %s used the same seed and draws: with the same data, this run will see the same pictures in "
            "the same variants and memorise them. Use another --draws.",
            config.init,
        )
    seen, now = before.get("preprocess", {}), to_dict(config.preprocess)
    changed = [f"{name} {seen[name]}, now {now[name]}" for name in now if seen.get(name, now[name]) != now[name]]
    if changed:
        log.warning("The run in %s prepared its pictures differently: %s.", config.init, "; ".join(changed))


def _calibration(config: TrainConfig, train: Sequence[Picture], reader: PictureReader) -> DataLoader[Sample]:
    """Some hundred training pictures at the first stage's size, drawn as training draws them: float [B, 3, S, S]."""
    dataset = LesionDataset(train, eval_transform(config.preprocess, config.stages[0].image_size), reader)
    weights = balanced_weights(train, config.source_balance)
    count = min(CALIBRATION_PICTURES, len(train))
    loader = train_loader(dataset, weights, count=count, batch=min(64, count), workers=0, seed=config.seed)
    loader.collate_fn = _inputs_only
    return loader


def _inputs_only(samples: list[Sample]) -> Tensor:
    return torch.stack([inputs for inputs, _, _ in samples])
