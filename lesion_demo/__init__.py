"""A dermoscopy classifier that shows its shortcuts, its calibration and its limits."""

__version__ = "0.1.0"
