"""The engines beside one another: how fast, and how far from PyTorch in float32 on real pictures."""

from __future__ import annotations

import csv
import importlib.util
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from lesion_demo.images.load import load_image
from lesion_demo.network.engine import Array, Forward, in_turns
from lesion_demo.network.openvino import runtime
from lesion_demo.serve.classifier import Predictor
from lesion_demo.serve.explanation import Explainer
from lesion_demo.serve.opened import open_checkpoint
from scripts.bench.rows import Bench
from scripts.bench.timing import markdown, median_ms

REAL = 500
Run = Callable[[Array], Forward[Array]]


def engines(bench: Bench) -> Iterator[str]:
    """PyTorch, ONNX Runtime as it is served, and OpenVINO in two precisions where it is installed."""
    runs: dict[str, Run] = {
        "PyTorch, float32": open_checkpoint(bench.checkpoint, "torch", "cpu").engine,
        "ONNX Runtime, float32": bench.served.engine,
    }
    if importlib.util.find_spec("openvino") is not None:
        runs |= {f"OpenVINO, {name}": _openvino(bench.checkpoint, name) for name in ("f32", "bf16")}
    predictor, spec = Predictor(bench.served), bench.served.meta.preprocess
    files = _real(bench.checkpoint) or bench.files
    inputs = [predictor.prepare(load_image(file))[None] for file in files]
    said = {name: [_say(run, one, bench) for one in inputs] for name, run in runs.items()}
    expected, rows = said["PyTorch, float32"], []
    sixteen = np.concatenate(inputs[:16])
    for name, run in runs.items():
        apart = max(abs(own[0] - other[0]) for own, other in zip(said[name], expected, strict=True))
        alike = min(np.corrcoef(own[1], other[1])[0, 1] for own, other in zip(said[name], expected, strict=True))
        one, all_at_once = median_ms(partial(run, inputs[0])), median_ms(partial(run, sixteen), 5)
        rows.append((name, f"{one:.1f}", f"{16000 / all_at_once:.0f}", f"{apart:.5f}", f"{alike:.5f}"))
    yield (
        f"{len(files)} {'pictures of the validation split' if files is not bench.files else 'artificial pictures'}, "
        f"{spec.turns} turns each; differences from PyTorch in float32."
    )
    heads = ("engine", "one look, ms", "looks/s, 16 at once", "probability, greatest difference")
    yield markdown((*heads, "heat maps, least correlation"), rows)


def _say(run: Run, inputs: Array, bench: Bench) -> tuple[float, Array]:
    """Probability and heat map of one picture [1, 3, S, S]."""
    meta = bench.served.meta
    found = in_turns(run, inputs, meta.preprocess.turns, np)
    odds = float(found.logits[0, 1] - found.logits[0, 0]) / meta.temperature + meta.intercept
    heat = Explainer(bench.served.engine, meta.preprocess).explain(inputs, found)
    return 1 / (1 + float(np.exp(-odds))), heat.values[::8, ::8].ravel()


def _real(checkpoint: Path) -> list[Path]:
    """REAL pictures of the checkpoint's validation split, evenly drawn; none where the data is not here."""
    data = Path(os.environ.get("LESION_DATA") or Path(__file__).parents[3] / "shared" / "data")
    with (checkpoint / "split.csv").open(newline="", encoding="utf-8") as file:
        names = [data / row["source"] / row["file"] for row in csv.DictReader(file) if row["split"] == "val"]
    files = [name for name in names if name.is_file()]
    return files[:: max(1, len(files) // REAL)][:REAL]


def _openvino(folder: Path, precision: str) -> Run:
    hints = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
    model = runtime().Core().compile_model(str(folder / "graph.onnx"), "CPU", hints)

    def run(pixels: Array) -> Forward[Array]:
        found = model(np.ascontiguousarray(pixels))
        return Forward(*(np.array(found[name], np.float32) for name in ("early", "maps", "logits")))

    return run
