"""The same network for OpenVINO: written from the graph, and run again, to be compared with PyTorch."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np

from lesion_demo.errors import GraphError
from lesion_demo.network.engine import Array, Forward, Head
from lesion_demo.network.graph import HEAD, PIXELS
from lesion_demo.run_folder import GRAPH_FILE

OPENVINO_FILE = "graph.xml"
"""How the network is built; `graph.bin` beside it holds the weights, in float32."""


def require_openvino() -> None:
    """Raises GraphError where OpenVINO is not installed."""
    if importlib.util.find_spec("openvino") is None:
        raise GraphError("OpenVINO is not installed: python -m pip install openvino, or choose --format onnx.")


def runtime() -> Any:
    """OpenVINO, kept from reporting to its maker, as it does by default as soon as it is imported."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # as if it were not installed
    import openvino

    return openvino


def write_openvino(folder: Path) -> None:
    """Write the graph in `folder` once more, in OpenVINO's format.

    Raises:
        GraphError: OpenVINO cannot read it, or the disk refused.
    """
    openvino = runtime()
    try:
        model = openvino.Core().read_model(folder / GRAPH_FILE)
        model.set_rt_info(model.get_rt_info(["framework", HEAD]).value, HEAD)  # where the example looks for it
        openvino.save_model(model, folder / OPENVINO_FILE, compress_to_fp16=False)  # else it rounds what it joins
    except (OSError, RuntimeError) as error:
        why = str(error).strip().rpartition("\n")[2]
        raise GraphError(f"OpenVINO could not write {folder / OPENVINO_FILE} ({why}).") from error


class OpenVinoEngine:
    """What `write_openvino` wrote, run on the CPU in float32."""

    model = None

    def __init__(self, folder: Path, head: Head | None) -> None:
        """`head` is that of the graph in the same folder."""
        precise = {"INFERENCE_PRECISION_HINT": "f32"}  # by default it is bfloat16 where the processor has it
        self._network = runtime().Core().compile_model(folder / OPENVINO_FILE, "CPU", precise)
        self._names = {name for output in self._network.outputs for name in output.names}
        self.head = head

    def __call__(self, pixels: Array) -> Forward[Array]:
        found = self._network({PIXELS: np.ascontiguousarray(pixels)})
        return Forward(found["early"] if "early" in self._names else None, found["maps"], found["logits"])
