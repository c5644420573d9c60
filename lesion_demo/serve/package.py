"""A checkpoint for other programs: its graph, a folder that they can use without PyTorch, and whether both agree."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from lesion_demo.checkpoint import LoadedCheckpoint
from lesion_demo.errors import GraphError
from lesion_demo.images import Pixels
from lesion_demo.network.export import check_exportable, write_graph
from lesion_demo.network.openvino import OPENVINO_FILE, OpenVinoEngine
from lesion_demo.run_folder import CARD_FILE, GRAPH_FILE, KNOWN_FILE, META_FILE, WEIGHTS_FILE
from lesion_demo.serve.classifier import BATCH_SIZE, Predictor
from lesion_demo.serve.opened import open_checkpoint

TOLERANCE = 1e-3
"""Of a probability: the graph may differ from PyTorch by so much."""
EXAMPLE = Path(__file__).with_name("example.py")
LICENCE = "LICENSE.md"


def write_package(loaded: LoadedCheckpoint, out: Path) -> None:
    """Fill the folder `out` with all that a program needs: graph, weights, what they mean, and an example.

    Raises:
        GraphError: the network cannot be exported, `out` is the checkpoint's own folder, or the disk refused.
    """
    if out.resolve() == loaded.folder.resolve():
        raise GraphError(f"{out} is the checkpoint's own folder: to write the graph there, leave out --out.")
    check_exportable(loaded.model)  # before anything is copied
    names = (WEIGHTS_FILE, META_FILE, KNOWN_FILE, CARD_FILE)
    files = [*(loaded.folder / name for name in names), loaded.folder.parent / LICENCE, EXAMPLE]
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in (GRAPH_FILE, OPENVINO_FILE):
            (out / name).unlink(missing_ok=True)
        for file in files:
            if file.is_file():
                shutil.copyfile(file, out / file.name)
    except OSError as error:
        raise GraphError(f"Could not write to {out} ({error}): free some space, or choose another --out.") from error
    write_graph(out, loaded.model, loaded.meta.preprocess.image_size)


def largest_difference(
    loaded: LoadedCheckpoint, folder: Path, pictures: Iterable[Pixels], *, openvino: bool = False
) -> tuple[int, float]:
    """How many `pictures` uint8 [H, W, 3] there were, and by how much PyTorch and the graph in `folder` differ at most.

    The difference is of the calibrated probability of malignancy, 0–1. With `openvino`, that runs the graph instead of
    ONNX Runtime.
    """
    served = open_checkpoint(folder, "onnx")
    if openvino:
        served = replace(served, engine=OpenVinoEngine(folder, served.engine.head))
    both = Predictor(loaded, "cpu"), Predictor(served)
    count, largest, rest = 0, 0.0, iter(pictures)
    while batch := list(islice(rest, BATCH_SIZE)):
        by_torch, by_graph = (one.probabilities(batch) for one in both)
        count, largest = count + len(batch), max(largest, float(np.abs(by_torch - by_graph).max()))
    return count, largest
