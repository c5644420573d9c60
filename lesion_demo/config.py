"""What a run is made of, as frozen dataclasses that read from and write to JSON; no torch here."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from lesion_demo.errors import LesionDemoError

CLASSES = ("benign", "malignant")
"""Class order of every label and every output column: 0 is benign, 1 is malignant."""

ENGINES = ("auto", "onnx", "torch")
"""What may run a network in use, see `serve.opened`."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Share = Annotated[float, Field(ge=0, le=1)]
InnerShare = Annotated[float, Field(gt=0, lt=1)]
STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
"""As `__pydantic_config__` of a dataclass that `from_dict` reads, and of all in it: nothing is guessed or ignored."""

T = TypeVar("T")


def to_dict(value: Any) -> dict[str, Any]:
    """A dataclass as plain JSON types: tuples become lists, and a number that is none becomes None."""
    result: dict[str, Any] = _plain(dataclasses.asdict(value))
    return result


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON knows no NaN
    return value


def from_dict(cls: type[T], values: Any) -> T:
    """The dataclass `cls` from what `to_dict` made, every value of the type, and in the range, that its field is of.

    Raises:
        LesionDemoError: a key is unknown, a required one is missing, or a value is not what it should be.
    """
    try:
        made: T = adapter(cls).validate_json(json.dumps(values), strict=True)  # type: ignore[arg-type]
        return made
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where, found = ".".join(map(str, first["loc"])) or "the whole", repr(first["input"])
        if first["type"] == "unexpected_keyword_argument":
            known = ", ".join(sorted(f.name for f in dataclasses.fields(cls)))  # type: ignore[arg-type]
            raise LesionDemoError(f"{cls.__name__} has no setting {where}; it has {known}.") from error
        if first["type"] == "missing":
            raise LesionDemoError(f"{cls.__name__} lacks {where}.") from error
        shown = found if len(found) <= 40 else f"{found[:40]}…"
        message = first["msg"].removeprefix("Value error, ").replace("Input", "it")
        raise LesionDemoError(f"{where} is {shown}: {message}.") from error
    except (TypeError, ValueError, RecursionError) as error:
        raise LesionDemoError(f"{cls.__name__} could not be read: {error}.") from error


@functools.cache
def adapter(cls: Any) -> TypeAdapter[Any]:
    """What reads and writes `cls`; made once, as that takes a while."""
    return TypeAdapter(cls)


def _no_switch(value: Any) -> Any:
    if isinstance(value, bool):  # Python takes true for 1
        raise ValueError("it should be 1 or 4")
    return value


Turns = Annotated[Literal[1, 4], BeforeValidator(_no_switch)]


@dataclass(frozen=True)
class PreprocessSpec:
    """How any picture becomes the network's input; saved in the checkpoint, used wherever the network is used.

    Attributes:
        image_size: side of the square input, pixels.
        crop_field_of_view: cut a dermatoscope's dark ring away first.
        round_window: show the network the same round field of every picture, whether it came with a ring or without:
            what lies outside is the mean colour. Only with `crop_field_of_view`.
        grey_light: make the light of what is left grey, in training and in use: its colour tells clinics apart.
        turns: in use, how many quarter turns of the picture the answer is the mean of, in log-odds: 1 for the picture
            as it is, or 4, so that it does not matter how the dermatoscope was held. Thresholds and calibration are
            chosen for this number and for no other; training itself looks once.
        mean, std: per channel, for values in 0–1.
    """

    image_size: Annotated[int, Field(ge=32, le=4096)] = 300
    crop_field_of_view: bool = True
    round_window: bool = False
    grey_light: bool = False
    turns: Turns = 1
    mean: Annotated[tuple[Share, ...], Field(min_length=3, max_length=3)] = IMAGENET_MEAN
    std: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(min_length=3, max_length=3)] = IMAGENET_STD


@dataclass(frozen=True)
class AugmentConfig:
    """Training augmentation: a probability for each step, 0 switches it off. Ranges are of the step itself.

    Attributes:
        ring: draws a dermatoscope's ring on the raw picture, before the lit field is cropped, on either class, so
            that neither the ring nor the enlargement that cropping leaves says anything about the class.
        artefact: draws hair, a ruler, pen marks, air bubbles or black bars on the raw picture, on either class.
        crop_scale, crop_ratio: area share and aspect ratio (width / height) of the random resized crop; `crop` is its
            probability. The wide ratio range hides which data set squashed its pictures and which cropped them.
        rotation_degrees: the rotation is uniform in ± this.
        softness: blurs, loses resolution or compresses (JPEG), one of the three.
        lighting: gamma and a smooth brightness gradient across the picture.
        colour_cast: a wrong white balance.
        exposure: too little light, or so much that highlights are lost.
        auto_augment: ImageNet AutoAugment (Cubuk et al. 2019, arXiv 1805.09501).
    """

    ring: float = 0.3
    artefact: float = 0.0
    crop: float = 1.0
    crop_scale: tuple[float, float] = (0.6, 1.0)
    crop_ratio: tuple[float, float] = (0.72, 1.39)
    horizontal_flip: float = 0.5
    vertical_flip: float = 0.5
    rotation: float = 0.5
    rotation_degrees: float = 45.0
    perspective: float = 0.2
    colour_jitter: float = 0.8
    lighting: float = 0.3
    colour_cast: float = 0.0
    exposure: float = 0.0
    softness: float = 0.2
    auto_augment: float = 0.5
    erasing: float = 0.2


@dataclass(frozen=True)
class StageConfig:
    """One stretch of training with the same layers, rates and picture size.

    Attributes:
        name: `head` and `all` are the usual two; any word will do.
        epochs: at most this many.
        train_backbone: False freezes every layer but the head, batch-norm statistics included.
        frozen_blocks: with `train_backbone`, how many leading feature blocks stay frozen all the same.
        backbone_rate, head_rate: peak learning rates.
        schedule: `constant`, `cosine` (from the peak to `floor`) or `one_cycle` (first a quarter upwards, then cosine).
        floor: share (0–1) of the peak rates that the stage ends with, so that the next goes on where this one stopped.
        image_size: side of the training crops, pixels.
        batch_size: pictures per optimiser step, over all processes.
        epoch_pictures: pictures drawn per epoch; None draws as many as the training split holds.
        patience: stop when validation ROC-AUC has not improved by `min_improvement` for this many epochs; None never.
        augment, emphasis: in place of the run's; None keeps those.
    """

    name: str
    epochs: int
    train_backbone: bool = True
    frozen_blocks: int = 0
    backbone_rate: float = 1e-4
    head_rate: float = 5e-4
    schedule: str = "cosine"
    floor: float = 0.0
    image_size: int = 300
    batch_size: int = 256
    epoch_pictures: int | None = None
    patience: int | None = None
    min_improvement: float = 1e-4
    augment: AugmentConfig | None = None
    emphasis: tuple[tuple[str, float], ...] | None = None


HEAD_STAGE = StageConfig("head", epochs=3, train_backbone=False, schedule="constant")
FINE_TUNE_STAGE = StageConfig("all", epochs=50, patience=5)


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a run's outcome, beside the pictures themselves.

    Attributes:
        init: `imagenet`, `lite2`, `none`, or the folder of a checkpoint to start from.
        val_fraction: share of the training pictures' groups that becomes validation where a data set has none.
        val_fractions: pairs of a data set's name and its own share.
        source_balance: exponent a; a data set of n pictures is drawn in proportion to n**a. 1 draws every data set by
            its size, 0 all alike. Within each data set the classes are drawn alike.
        emphasis: pairs of a data set's name and a factor: training draws it so many times as often. Validation, the
            calibration and the thresholds weigh it as ever.
        photographs: data sets that were taken without a dermatoscope, so that the app can tell their like.
        micro_batch: pictures per forward pass and process; gradients accumulate to a stage's batch size.
            None picks it from the device's memory.
        precision: `no`, `fp16`, `bf16`, or `auto` for the best that the device has.
        clip_norm: gradient norm limit; 0 leaves gradients alone.
        last_share: share (0–1) of the last epoch's weights in the final ones, the rest being those of the best epoch:
            the mean of points on a run's way lies in a flatter place (Izmailov et al. 2018, arXiv 1803.05407).
        first_share: share (0–1) of the first weights in the final ones, where `init` is a checkpoint's folder: between
            the two a network keeps what either is good at (Wortsman et al. 2022, arXiv 2109.01903).
        seed: decides the split and, with `draws`, everything else that is random.
        draws: which pictures are drawn, and in which random variants. A run that goes on from another with the same
            split needs another number, or it sees the same ones again and learns them by heart.
        ema_decay: averages the weights over optimiser steps (0.999, say) and evaluates the average; 0 does not.
    """

    __pydantic_config__ = STRICT

    init: str = "imagenet"
    backbone: str = "efficientnet_b3"
    stages: tuple[StageConfig, ...] = (HEAD_STAGE, FINE_TUNE_STAGE)
    preprocess: PreprocessSpec = field(default_factory=PreprocessSpec)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    weight_decay: float = 5e-5
    label_smoothing: float = 0.0
    clip_norm: float = 0.0
    ema_decay: float = 0.0
    last_share: float = 0.0
    first_share: float = 0.0
    dropout: float = 0.3
    val_fraction: float = 0.1
    val_fractions: tuple[tuple[str, float], ...] = ()
    source_balance: float = 1.0
    emphasis: tuple[tuple[str, float], ...] = ()
    photographs: tuple[str, ...] = ()
    micro_batch: int | None = None
    precision: str = "auto"
    workers: int = 2
    cache: bool = True
    seed: int = 0
    draws: int = 0


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold on the calibrated probability of malignancy, chosen on validation pictures.

    Attributes:
        name: `accuracy`, `f1`, `balanced` or `sensitive`.
        threshold: a picture whose probability is at or above it (0–1) is called malignant.
    """

    name: Annotated[str, Field(min_length=1)]
    threshold: InnerShare
