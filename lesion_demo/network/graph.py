"""A checkpoint's network run by ONNX Runtime, on the CPU, from the graph beside its weights. No torch here."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from lesion_demo.errors import GraphError
from lesion_demo.network.engine import Array, Forward, Head
from lesion_demo.run_folder import GRAPH_FILE, WEIGHTS_FILE

PIXELS = "pixels"
"""The graph's input; its outputs are called as the attributes of `Forward`."""
WEIGHTS_SHA256, HEAD = "weights_sha256", "head"
"""Keys of the graph's metadata: the hash of the weights that it was made for, and the head's linear layer, by name."""


_SEAL = b"\x72\x4a\x0a\x06sha256\x12\x40"
"""How a model's last entry of metadata begins in a file: 74 bytes, of which the key takes 8 and the value 66."""


def sealed(graph: bytes) -> bytes:
    """The file of a `graph` with the hash of all that stands before it as its last entry of metadata.

    A graph may be changed in a way that no program notices: a bit in a constant, and every answer is another.
    """
    return graph + _SEAL + hashlib.sha256(graph).hexdigest().encode()


def _is_sealed(file: bytes) -> bool:
    return sealed(file[: -len(_SEAL) - 64]) == file


_ELSEWHERE = b"location"
_BESIDE = b"\x6a\x1d\x0a\x08location\x12\x11" + WEIGHTS_FILE.encode()
"""How a graph's file says that a tensor lies in the weights beside it: an entry of `external_data` with its length."""


def _reads_only_its_weights(file: bytes) -> bool:
    """Does every tensor that lies outside of the graph's `file` lie in the weights beside it?

    ONNX Runtime before 1.24, the newest for Python 3.10, reads any file of the machine that a graph names.
    """
    return file.count(_ELSEWHERE) == file.count(_BESIDE)


class OnnxEngine:
    """A graph in ONNX Runtime, which computes in float32. Threads may share it.

    Pictures that come together are shared out over as many threads as there are cores, or as OMP_NUM_THREADS says.
    Each picture has one thread: that is no slower than several that wait for one another at every layer, and a lone
    picture leaves the other cores to whoever measures it meanwhile.

    Attributes:
        early_size: D, how many early features it gives of a picture; 0 where it gives none.
    """

    model = None

    def __init__(self, folder: Path, weights_sha256: str) -> None:
        """Loads the graph in `folder`, whose weights have this hash.

        Raises:
            GraphError: there is none, it was made for other weights, it is damaged, or ONNX Runtime is missing.
        """
        path = folder / GRAPH_FILE
        if not path.is_file():
            raise GraphError(f"There is no {GRAPH_FILE} in {folder}: {_again(folder)}.")
        if not has_runtime():
            raise GraphError("ONNX Runtime is not installed: python -m pip install onnxruntime, or use --engine torch.")
        try:
            file = path.read_bytes()
        except OSError as error:
            raise GraphError(f"{path} could not be read ({error.strerror}): {_again(folder)}.") from error
        if not _is_sealed(file):
            raise GraphError(f"{path} is not as it was made (changed, cut off or an old one): {_again(folder)}.")
        if not _reads_only_its_weights(file):
            raise GraphError(f"{path} names another file than {WEIGHTS_FILE}: {_again(folder)}.")
        onnxruntime = _runtime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3  # errors; they are raised, too
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime's own have no common class
            why = str(error).strip().partition("\n")[0]
            raise GraphError(f"{path} cannot be loaded ({why}): {_again(folder)}.") from error
        about = self._session.get_modelmeta().custom_metadata_map
        if about.get(WEIGHTS_SHA256) != weights_sha256:
            raise GraphError(f"{path} was not made for the {WEIGHTS_FILE} beside it: {_again(folder)}.")
        outputs = {output.name: output.shape for output in self._session.get_outputs()}
        self._names = list(outputs)
        self._threads = _threads()
        self.early_size = int(outputs["early"][1]) if "early" in outputs else 0
        self.head: Head | None = _head(folder / WEIGHTS_FILE, about[HEAD])

    def __call__(self, pixels: Array) -> Forward[Array]:
        parts = np.array_split(pixels, max(1, min(len(pixels), self._threads)))
        if len(parts) == 1:
            values = self._run(pixels)
        else:
            with ThreadPoolExecutor(len(parts)) as pool:
                values = [np.concatenate(one) for one in zip(*pool.map(self._run, parts), strict=True)]
        found = dict(zip(self._names, values, strict=True))
        return Forward(found.get("early"), found["maps"], found["logits"])

    def _run(self, pixels: Array) -> list[Array]:
        try:
            values: list[Array] = self._session.run(self._names, {PIXELS: np.ascontiguousarray(pixels)})
        except Exception as error:  # as above; to a caller it is what PyTorch would raise
            raise RuntimeError(f"ONNX Runtime: {error}") from error
        return values


def _head(weights: Path, layer: str) -> Head:
    """The head that the `layer` of that name in the file `weights` is."""
    try:
        with safe_open(weights, framework="np") as stored:
            return Head.of(stored.get_tensor(f"{layer}.weight"), stored.get_tensor(f"{layer}.bias"))
    except SafetensorError as error:
        raise GraphError(f"{weights} has no layer {layer} ({error}): {_again(weights.parent)}.") from error


def _runtime() -> Any:
    """ONNX Runtime, kept from reporting what it runs to its maker, as its packages do by default since 1.29."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # counts when it is imported, and not later
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # on Windows it does not ask the environment
    return onnxruntime


def has_runtime() -> bool:
    """Is ONNX Runtime installed?"""
    return importlib.util.find_spec("onnxruntime") is not None


def _threads() -> int:
    """How many threads the environment wants; where it does not say, one for each core that this process may use."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdecimal() and int(wanted) > 0:
        return int(wanted)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _again(folder: Path) -> str:
    return f"make it with 'python -m lesion_demo export --checkpoint {folder}', or use --engine torch"
