"""A run's figures, as it goes, to one of accelerate's trackers: numbers alone, and pictures only where asked for."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers
from numpy.typing import NDArray
from PIL import Image, ImageOps

from lesion_demo.config import TrainConfig, to_dict
from lesion_demo.data.reader import PictureReader
from lesion_demo.errors import TrainingError
from lesion_demo.evaluate.run import EvaluatedSplit
from lesion_demo.run_folder import RESUME
from lesion_demo.train.state import HistoryRow

log = logging.getLogger(__name__)

PROJECT = "lesion-demo"
TRACKING_FOLDER = RESUME / "tracking"
"""In the run's folder, for trackers that write files."""
WORST = 8
"""Pictures of either kind of mistake."""
SIDE = 256
"""Of those pictures, pixels."""
_NO_MORE_THAN_NUMBERS = {
    "console": "off", "disable_code": True, "disable_git": True, "x_disable_meta": True, "x_disable_machine_info": True,
}  # fmt: skip
"""wandb's settings: by itself it sends the log, the command with its paths, the code and the machine's name, too."""


@dataclass(frozen=True)
class Tracking:
    """Where a run is followed: the `name` of one of accelerate's trackers, and whether `pictures` go there, too."""

    name: str
    pictures: bool = False


def check_tracking(tracking: Tracking) -> None:
    """Find out before the work that there is no such tracker, or none that takes pictures.

    Raises:
        TrainingError: so it is.
    """
    name = tracking.name
    known = LOGGER_TYPE_TO_CLASS.get(name)
    if known is None:
        raise TrainingError(f"There is no tracker {name!r}; choose one of {', '.join(sorted(LOGGER_TYPE_TO_CLASS))}.")
    if known.__module__.startswith("accelerate.") and name not in map(str, get_available_trackers()):
        raise TrainingError(
            f"The tracker {name} needs a package that is not installed: 'pip install {_package(name)}'."
        )
    if tracking.pictures and not hasattr(known, "log_images"):
        raise TrainingError(
            f"The tracker {name} cannot log pictures: leave out --tracker-pictures, or choose another tracker."
        )


def _package(name: str) -> str:
    return {"comet_ml": "comet-ml"}.get(name, name)


@contextmanager
def tracked(accelerator: Accelerator, tracking: Tracking | None, folder: Path, config: TrainConfig) -> Iterator[None]:
    """Within the block, `log_row` sends figures to the tracker that `accelerator` was made with; then it is closed.

    Raises:
        TrainingError: it cannot be started, for want of a login, say.
    """
    if tracking is None:
        yield
        return
    own: dict[str, Any] = {
        "wandb": {"name": folder.name, "dir": str(folder / RESUME), "settings": _NO_MORE_THAN_NUMBERS},
        "trackio": {"name": folder.name},
    }
    try:
        accelerator.init_trackers(PROJECT, config=_numbers(to_dict(config)), init_kwargs=own)
    except Exception as error:
        raise TrainingError(
            f"The tracker {tracking.name} could not be started ({_in_short(error)}): fix this, or train without a "
            "tracker."
        ) from error
    try:
        yield
    finally:
        for tracker in accelerator.trackers:
            with _forgiving(accelerator):
                tracker.finish()


def log_row(accelerator: Accelerator, row: HistoryRow) -> None:
    """Send the figures of an epoch on a split, if the run is followed; a tracker that fails does not end the run."""
    values = {
        f"{row.split}/{name}": value
        for name, value in asdict(row).items()
        if isinstance(value, float) and math.isfinite(value)
    }
    with _forgiving(accelerator):
        accelerator.log(values, step=row.epoch)


def log_mistakes(
    accelerator: Accelerator, split: EvaluatedSplit, threshold: float, reader: PictureReader, *, epoch: int
) -> None:
    """Send the worst mistakes, squares of SIDE pixels without a name, to a tracker that takes pictures.

    Args:
        threshold: at or above it a picture of `split` is called malignant.
        epoch: the last one.
    """
    for kind, chosen in split.mistakes(threshold, WORST).items():
        if not chosen:
            continue
        shown = np.stack([_square(reader(split.pictures[i])) for i in chosen])  # [N, SIDE, SIDE, 3]
        for tracker in accelerator.trackers:
            layout = {"dataformats": "NHWC"} if tracker.name == "tensorboard" else {}
            with _forgiving(accelerator):
                tracker.log_images({f"worst mistakes/{kind}s": shown}, step=epoch, **layout)


def _square(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(ImageOps.pad(Image.fromarray(pixels), (SIDE, SIDE)))


@contextmanager
def _forgiving(accelerator: Accelerator) -> Iterator[None]:
    """What a tracker raises within the block is logged, and it is not asked again: hours of training are worth more."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  # of another's package, and maybe of its network
        log.warning(
            "The tracker failed (%s): the run continues without it, and history.csv has all figures.", _in_short(error)
        )
        accelerator.trackers = []


def _in_short(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), "").rstrip(".") or type(error).__name__


def _numbers(values: Any, name: str = "") -> dict[str, int | float | bool]:
    """The numbers and switches among a run's settings, by their paths: words may be paths, or a clinic's name."""
    if isinstance(values, int | float):
        return {name: values}
    inner = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    found: dict[str, int | float | bool] = {}
    for key, value in inner:
        found |= _numbers(value, f"{name}.{key}" if name else str(key))
    return found
