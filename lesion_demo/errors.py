"""One exception tree; every message says what went wrong, where, and what to do about it."""


class LesionDemoError(Exception):
    """Base of every error this package raises on purpose; its text is one sentence or two a user can act on."""


class ImageError(LesionDemoError):
    """A picture could not be read or is not usable."""


class DataError(LesionDemoError):
    """A data set is missing, empty, or not laid out as expected."""


class CheckpointError(LesionDemoError):
    """A checkpoint is missing, damaged, or made for something else."""


class CalibrationError(LesionDemoError):
    """A local calibration is missing, damaged, or made for another checkpoint."""


class TrainingError(LesionDemoError):
    """Training could not start or could not go on."""
