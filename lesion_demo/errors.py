"""One exception tree; every message says what went wrong, where, and what to do about it."""

from __future__ import annotations

import logging

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


def reason(error: Exception, name: str) -> str:
    """The sentence that stands for the picture `name` which raised `error`, whatever that is, so that others go on.

    What nobody foresaw is logged, too.
    """
    if isinstance(error, LesionDemoError):
        return str(error)
    log.error("A picture could not be analysed.", exc_info=error)
    if isinstance(error, MemoryError) or "memory" in str(error).lower():  # torch: a RuntimeError
        return f"“{name}” needs more memory than there is; please scale it down, or analyse it by itself."
    detail = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return f"“{name}” could not be analysed ({detail}); please copy or export it again."
