"""A network as an ONNX graph, which other programs can run. The graph refers to the weights where they lie already."""

from __future__ import annotations

import json
import struct
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lesion_demo.errors import GraphError
from lesion_demo.files import replacing, sha256_of
from lesion_demo.network.forward import early_size, forward, layout_of
from lesion_demo.network.graph import HEAD, PIXELS, WEIGHTS_SHA256, sealed
from lesion_demo.network.model import head_name
from lesion_demo.run_folder import GRAPH_FILE, WEIGHTS_FILE

if TYPE_CHECKING:
    import onnx

OPSET = 17
TYPES = {"F16": "FLOAT16", "F32": "FLOAT"}
"""What safetensors and ONNX call the types of weights."""


class _Parts(nn.Module):
    """A network whose output is a tuple, as an exporter wants it: early features where there are any, maps, logits."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        found = forward(self.model, pixels)
        return tuple(one for one in (found.early, found.maps, found.logits) if one is not None)


@dataclass(frozen=True)
class Stored:
    """A tensor in a safetensors file: its type there, and the bytes that it takes up."""

    dtype: str
    offset: int
    length: int


def write_graph(folder: Path, model: nn.Module, image_size: int) -> Path:
    """Write GRAPH_FILE into `folder`: pixels float32 [N, 3, S, S] → early, maps and logits, see `Forward`.

    It holds the network's build alone. Its weights are the bytes of WEIGHTS_FILE in the same folder (ONNX's "external
    data"), in half precision as they lie there, each behind a Cast to float32, which ONNX Runtime computes once when
    it loads the graph. It names the hash of that file, and the layer that is its head.

    Args:
        model: as the weights in `folder` were saved from it, in float32 and on the CPU; it is put into eval mode.
        image_size: S, pixels.

    Raises:
        GraphError: the package onnx is missing, the network cannot be exported, or the disk refused.
    """
    check_exportable(model)
    import onnx

    weights = folder / WEIGHTS_FILE
    graph = onnx.load_from_string(_traced(model, image_size))
    _refer(graph.graph, stored_tensors(weights))
    onnx.helper.set_model_props(graph, {WEIGHTS_SHA256: sha256_of(weights), HEAD: head_name(model)})
    path = folder / GRAPH_FILE
    try:
        with replacing(path) as part:
            part.write_bytes(sealed(graph.SerializeToString()))
    except OSError as error:
        raise GraphError(
            f"Could not write {path} ({error}): free some disk space, or choose another folder."
        ) from error
    return path


def check_exportable(model: nn.Module) -> None:
    """Raises GraphError where no graph can be made of `model`, or not here."""
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise GraphError("The package onnx is not installed: python -m pip install onnx, then export again.") from error
    layout = layout_of(model)
    if layout is None or layout.linear is None:
        raise GraphError(
            f"The heat map of {type(model).__name__} needs PyTorch, so no graph is made; it runs with PyTorch."
        )


def _traced(model: nn.Module, image_size: int) -> bytes:
    """`model` as a plain ONNX file, weights inside, every one under its own name.

    By PyTorch's older exporter: the newer one wants a further package, onnxscript.
    """
    parts = _Parts(model).eval()
    names = [*(["early"] if early_size(model) else []), "maps", "logits"]
    try:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            file = Path(folder) / GRAPH_FILE
            warnings.simplefilter("ignore", DeprecationWarning)  # of that exporter, and of what it uses itself
            torch.onnx.export(
                parts,
                (torch.zeros(2, 3, image_size, image_size),),
                file,
                dynamo=False,
                opset_version=OPSET,
                input_names=[PIXELS],
                output_names=names,
                dynamic_axes={name: {0: "N"} for name in (PIXELS, *names)},
                do_constant_folding=False,  # it would make new weights of those in the file,
                training=torch.onnx.TrainingMode.PRESERVE,  # and so would the fusing of batch norms
            )
            return file.read_bytes()
    except RuntimeError as error:  # all that the exporter raises is one
        why = str(error).strip().partition("\n")[0]
        raise GraphError(
            f"{type(model).__name__} cannot be exported as a graph ({why}); it runs with PyTorch."
        ) from error


def _refer(graph: onnx.GraphProto, stored: dict[str, Stored]) -> None:
    """Let every weight in `graph` that is `stored` be read from there; what is not stored stays in the graph."""
    from onnx import TensorProto, helper

    casts, weights = [], []
    for tensor in graph.initializer:
        place = stored.get(tensor.name.removeprefix("model."))
        if place is None or place.dtype not in TYPES:
            weights.append(tensor)
            continue
        half = place.dtype == "F16"
        name = f"{tensor.name}.half" if half else tensor.name
        outside = TensorProto(
            name=name,
            dims=tensor.dims,
            data_type=TensorProto.DataType.Value(TYPES[place.dtype]),
            data_location=TensorProto.EXTERNAL,
        )
        for key, value in (("location", WEIGHTS_FILE), ("offset", place.offset), ("length", place.length)):
            outside.external_data.add(key=key, value=str(value))
        weights.append(outside)
        if half:
            casts.append(helper.make_node("Cast", [name], [tensor.name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(weights)
    graph.node.extend(nodes)


def stored_tensors(path: Path) -> dict[str, Stored]:
    """Where each tensor lies in the safetensors file at `path`: 8 bytes that tell the header's length, header, data."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    places = {}
    for name, entry in header.items():
        first, end = entry["data_offsets"]
        places[name] = Stored(entry["dtype"], 8 + length + first, end - first)
    return places
