"""A checkpoint with what runs its network: ONNX Runtime where it can, PyTorch where it must or is asked to."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lesion_demo.checkpoint import Checkpoint, LoadedCheckpoint, load_checkpoint, read_known_of, read_verified
from lesion_demo.config import ENGINES
from lesion_demo.errors import CheckpointError, DeviceError
from lesion_demo.network.engine import Engine
from lesion_demo.network.familiarity import FamiliarityModel
from lesion_demo.network.graph import OnnxEngine, has_runtime
from lesion_demo.run_folder import GRAPH_FILE

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ServedCheckpoint:
    """A checkpoint, ready to be asked.

    Attributes:
        known: which pictures are familiar to it; None where it cannot tell.
    """

    folder: Path
    meta: Checkpoint
    engine: Engine
    known: FamiliarityModel | None = None


def open_checkpoint(folder: Path, engine: str = "auto", device: str | None = None) -> ServedCheckpoint:
    """The checkpoint in `folder`, its files checked against their hashes.

    Args:
        engine: `onnx`, `torch`, or `auto`: ONNX Runtime where it is installed, there is a graph and `device` is none
            but the CPU.

    Raises:
        CheckpointError: it is missing or damaged, or nothing here can run it; GraphError: it is its graph.
        DeviceError: this machine has no such device, or the engine cannot use it.
    """
    if engine not in ENGINES:
        raise CheckpointError(f"Unknown engine {engine!r}: choose one of {', '.join(ENGINES)}.")
    if engine == "onnx" and device not in (None, "cpu"):
        raise DeviceError(f"ONNX Runtime runs on the CPU only, not on {device}: use --engine torch.")
    graph = device in (None, "cpu") and (folder / GRAPH_FILE).is_file() and has_runtime()
    if engine == "onnx" or (engine == "auto" and graph):
        meta = read_verified(folder)
        by_graph = OnnxEngine(folder, meta.weights_sha256)
        return ServedCheckpoint(folder, meta, by_graph, read_known_of(folder, meta, by_graph.early_size))
    if importlib.util.find_spec("torch") is None:
        raise CheckpointError(
            f"The network in {folder} cannot be run: PyTorch is not installed (it is in requirements.txt), and "
            f"ONNX Runtime needs {GRAPH_FILE}, which 'python -m lesion_demo export' makes on a machine with PyTorch."
        )
    return in_torch(load_checkpoint(folder), device)


def in_torch(loaded: LoadedCheckpoint, device: torch.device | str | None = None) -> ServedCheckpoint:
    """`loaded` with PyTorch to run it; its model is taken over and moved to `device`, see `pick_device`.

    Raises:
        DeviceError: this machine has none.
    """
    from lesion_demo.network.forward import TorchEngine

    return ServedCheckpoint(loaded.folder, loaded.meta, TorchEngine(loaded.model, device), loaded.known)
