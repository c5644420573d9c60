"""See that a run can be what its configuration says, before any picture is read and before hours have passed."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lesion_demo.config import CLASSES, StageConfig, TrainConfig, to_dict
from lesion_demo.data.held_out import Shares
from lesion_demo.data.picture import Picture
from lesion_demo.errors import DataError, TrainingError
from lesion_demo.images.load import MIN_SIDE
from lesion_demo.network.forward import check_heat_map
from lesion_demo.network.init import check_blends
from lesion_demo.network.model import build_model
from lesion_demo.train.schedule import rate_factor

log = logging.getLogger(__name__)

PRECISIONS = ("auto", "no", "fp16", "bf16")
FEW = 20
"""Validation pictures of a class below which no threshold can be chosen: 95 % of fewer than 20 is all of them."""
LARGEST_SEED = 1_000_000_000
"""Together with `draws` and the number of epochs it stays below what NumPy takes."""
MOST_REPEATS = 10
"""Times that an epoch may show every training picture, before a recipe is made for more data than there is."""


def check_settings(config: TrainConfig) -> int:
    """See that every setting makes sense by itself; how many parameters the network has.

    Raises:
        TrainingError, DataError: one does not; the first is named, with its value.
    """
    try:
        problem = next(_problems(config), None)
    except TypeError as error:  # a file may hold anything
        raise TrainingError(f"A setting has the wrong type ({error}): correct the configuration.") from error
    if problem is not None:
        raise TrainingError(problem)
    shares_of(config)
    check_blends(config.init, first_share=config.first_share, last_share=config.last_share)
    model = build_model(config.backbone, dropout=config.dropout).to("meta")  # sizes alone: no pixel is computed
    for size in sorted({config.preprocess.image_size, *(stage.image_size for stage in config.stages)}):
        check_heat_map(model, size, config.backbone)
    return sum(parameter.numel() for parameter in model.parameters())


def shares_of(config: TrainConfig) -> Shares:
    """How much of each data set validates.

    Raises:
        DataError: a share is out of range.
    """
    return Shares(config.val_fraction, dict(config.val_fractions), config.seed)


def _problems(config: TrainConfig) -> Iterator[str]:
    if not config.stages:
        yield "The configuration has no stages: nothing would be trained."
    for stage in config.stages:
        yield from _stage_problems(stage)
    for name, value in dataclasses.asdict(config.augment).items():
        if isinstance(value, float | int) and name != "rotation_degrees" and not 0 <= value <= 1:
            yield f"augment.{name} is {value}: a probability lies between 0 and 1."
    least: dict[str, float] = {"micro_batch": 1, "workers": 0, "clip_norm": 0, "weight_decay": 0, "ema_decay": 0}
    yield from _too_small(config, least | {"label_smoothing": 0, "dropout": 0}, "")
    yield from _too_small(config.preprocess, {"image_size": MIN_SIDE}, "preprocess.")
    for name in ("seed", "draws"):
        if not 0 <= getattr(config, name) <= LARGEST_SEED:
            yield f"{name} is {getattr(config, name)}: it must lie between 0 and {LARGEST_SEED:,}."
    for name in ("ema_decay", "label_smoothing", "dropout"):
        if getattr(config, name) >= 1:
            yield f"{name} is {getattr(config, name)}: it must lie below 1."
    if config.precision not in PRECISIONS:
        yield f"precision is {config.precision!r}: use {', '.join(PRECISIONS)}."
    for source, factor in config.emphasis:
        if not (math.isfinite(factor) and factor >= 0):
            yield f"emphasis for {source} is {factor}: the factor must be 0 or more."


def _stage_problems(stage: StageConfig) -> Iterator[str]:
    if stage.epochs < 1:
        yield f"Stage {stage.name} has {stage.epochs} epochs, which would train nothing: use --epochs 1 or more."
    least = {"image_size": MIN_SIDE, "batch_size": 1, "epoch_pictures": 1, "patience": 1, "frozen_blocks": 0}
    yield from _too_small(stage, least | {"backbone_rate": 0, "head_rate": 0}, f"{stage.name}.")
    rate_factor(stage.schedule, 0)


def _too_small(part: Any, least: Mapping[str, float], where: str) -> Iterator[str]:
    for name, limit in least.items():
        value = getattr(part, name)
        if value is not None and not (math.isfinite(value) and value >= limit):
            yield f"{where}{name} is {value}: it must be {limit:g} or more."


def check_amount(config: TrainConfig, train: Sequence[Picture], val: Sequence[Picture]) -> None:
    """Say so if there are too few pictures for what `config` means to do with them.

    Raises:
        DataError: the recipe is for far more pictures, and validation has too few to choose thresholds by.
    """
    counts = Counter(picture.label for picture in val)
    for stage in config.stages:
        epoch = stage.epoch_pictures or len(train)
        if stage.batch_size >= epoch:
            log.warning(
                "Stage %s makes only one optimiser step per epoch: its batch size is %d and an epoch has %d pictures. "
                "Use --batch-size 16, or --preset quick.",
                *(stage.name, stage.batch_size, epoch),
            )
    drawn = max(stage.epoch_pictures or 0 for stage in config.stages)
    hungry = drawn > MOST_REPEATS * len(train)
    way_out = "Add pictures, or use --preset quick, which is for a few hundred."
    if hungry:
        said = f"An epoch of this recipe uses {drawn:,} pictures, but there are only {len(train):,} training pictures"
    if min(counts[label] for label in range(len(CLASSES))) < FEW:
        counted = " and ".join(f"{counts[label]:,} {name}" for label, name in enumerate(CLASSES))
        few = f"{counted} validation pictures are too few to choose four thresholds (at least {FEW} of each are needed)"
        if hungry:
            raise DataError(f"{said}; {few}. {way_out}")
        log.warning("%s: this run's figures will be unreliable. A larger --val-fraction may help. %s", few, way_out)
    elif hungry:
        log.warning("%s. %s", said, way_out)


def differences(before: TrainConfig, now: TrainConfig) -> list[str]:
    """What `now` sets otherwise: `seed 1 instead of 0`, `stages.all.epochs 5 instead of 3`."""
    old, new = _flat(to_dict(before)), _flat(to_dict(now))
    # A stage that only one of them has is told by the list of stages.
    names = [name for name in new if name in old and new[name] != old[name]]
    return [f"{name} {new[name]} instead of {old[name]}" for name in names]


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """Nested settings by their paths; a stage is called by its name, and their names are a setting, too."""
    flat: dict[str, Any] = {}
    if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
        value = {str(one.get("name", number)): one for number, one in enumerate(value)}
        flat[path] = ", ".join(value)
    if not isinstance(value, dict):
        return {path: value}
    for name, one in value.items():
        flat |= _flat(one, f"{path}.{name}".lstrip("."))
    return flat
