"""One exception tree; every message says what went wrong, where, and what to do about it."""

from __future__ import annotations

import logging
import traceback

log = logging.getLogger(__name__)


class LesionDemoError(Exception):
    """Base of every error this package raises on purpose; its text is one sentence or two a user can act on."""


class ImageError(LesionDemoError):
    """A picture could not be read or is not usable."""


class DataError(LesionDemoError):
    """A data set is missing, empty, or not laid out as expected."""


class CheckpointError(LesionDemoError):
    """A checkpoint is missing, damaged, or made for something else."""


class GraphError(CheckpointError):
    """A network has no graph for ONNX Runtime, or not one of its own weights."""


class ReportError(LesionDemoError):
    """A report cannot be written as it was asked for."""


class CalibrationError(LesionDemoError):
    """A local calibration is missing, damaged, or made for another checkpoint."""


class DeviceError(LesionDemoError):
    """What was asked to compute on is not there."""


class TrainingError(LesionDemoError):
    """Training could not start or could not go on."""


def where_raised(error: BaseException) -> str:
    """The type of `error` and the lines of code that it came through, for a log; those of its cause come first.

    Not its text: that may hold the name of a picture, or whatever else a reader has typed in.
    """
    lines = [f"  {at.filename}, line {at.lineno}, in {at.name}" for at in traceback.extract_tb(error.__traceback__)]
    before = [where_raised(error.__cause__)] if error.__cause__ is not None else []
    return "\n".join([*before, type(error).__name__, *lines])


def reason(error: Exception, name: str) -> str:
    """The sentence that stands for the picture `name` which raised `error`, whatever that is, so that others go on.

    Where what nobody foresaw was raised is logged, too.
    """
    if isinstance(error, LesionDemoError):
        return str(error)
    log.error("A picture could not be analysed: %s", where_raised(error))
    if isinstance(error, MemoryError) or "memory" in str(error).lower():  # torch: a RuntimeError
        return f"“{name}” needs more memory than is free; please scale it down, or analyse it by itself."
    said = error.strerror if isinstance(error, OSError) else str(error)  # without the path of a file on the server
    detail = f"{type(error).__name__}: {said}" if said else type(error).__name__
    return f"“{name}” could not be analysed ({detail}); please copy or export it again."
