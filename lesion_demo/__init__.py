"""A dermoscopy classifier that shows its shortcuts, its calibration and its limits.

    import lesion_demo

    model = lesion_demo.load("checkpoints/clinics")
    print(model.analyze("lesion.jpg"))

Importing it takes no time; `load` brings in what runs the network: ONNX Runtime, or PyTorch.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lesion_demo.api import Model
    from lesion_demo.errors import LesionDemoError
    from lesion_demo.serve.analysis import Analysis

__version__ = "0.1.0"
__all__ = ["Analysis", "LesionDemoError", "Model", "__version__", "load"]

_HOMES = {
    "Analysis": "lesion_demo.serve.analysis",
    "LesionDemoError": "lesion_demo.errors",
    "Model": "lesion_demo.api",
}
"""Where the names above are defined; each is imported when it is first asked for."""


def load(
    folder: str | Path | None = None,
    *,
    revision: str | None = None,
    calibration: str | Path | None = None,
    engine: str = "auto",
) -> Model:
    """A checkpoint, ready to be asked about pictures.

    Args:
        folder: the checkpoint's, or, with a `revision`, the name of a model on the Hugging Face Hub, OWNER/MODEL. By
            default it is the one that the environment variable LESION_CHECKPOINT names, else, in a copy of the project,
            the run that the page shows. An installed package comes without any.
        revision: which state of the model on the Hub: a commit, which is the same one for ever, or a branch or a tag,
            whose commit is then said. Without it nothing is fetched from anywhere.
        calibration: the file that `recalibrate` wrote for a clinic; by default the checkpoint is used as shipped.
        engine: `onnx` for ONNX Runtime, on the CPU; `torch` for PyTorch; `auto` for the first where it is installed and
            the checkpoint has a graph, else for the second.

    Raises:
        CheckpointError: there is none, it cannot be fetched, it is damaged, or the engine is not installed.
        CalibrationError: the calibration is missing, damaged, or of another checkpoint.
    """
    from lesion_demo.api import load_model

    return load_model(folder, calibration, revision, engine)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
