"""An exported network without PyTorch: `python example.py PICTURE`, with numpy, pillow, safetensors and onnxruntime.

It lies beside graph.onnx, model.safetensors and checkpoint.json; where graph.xml is, too, openvino takes onnxruntime's
place. Cut a dark ring off a picture beforehand, and judge its quality: this does neither. For research and
teaching, not a medical device.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps
from safetensors import safe_open

Network = Callable[[np.ndarray], Mapping[str, np.ndarray]]


def prepared(picture: Image.Image, spec: dict[str, Any]) -> np.ndarray:
    """The network's input, float32 [1, 3, S, S]: the middle of an RGB picture, as in training."""
    if spec["grey_light"]:
        pixels = np.asarray(picture)
        light = np.maximum(((pixels / 255.0) ** 6).mean(axis=(0, 1)) ** (1 / 6), 1 / 255)
        picture = Image.fromarray(np.rint(pixels * (light.mean() / light)).clip(0, 255).astype(np.uint8))
    side = spec["image_size"]
    width, height = (int(side * length / min(picture.size)) for length in picture.size)
    left, top = round((width - side) / 2), round((height - side) / 2)
    small = picture.resize((width, height), Image.Resampling.BILINEAR).crop((left, top, left + side, top + side))
    values = (np.asarray(small) / 255 - spec["mean"]) / spec["std"]
    if spec["round_window"]:
        offset = np.arange(side) + 0.5 - side / 2
        values *= (side / 2 - np.hypot(offset[:, None], offset)).clip(0, 1)[..., None]
    return values.transpose(2, 0, 1)[None].astype(np.float32)


def opened(folder: Path) -> tuple[Network, str]:
    """What makes pixels [T, 3, S, S] into `logits` [T, 2] and `maps` [T, C, h, w], and the name of the head's layer."""
    if (folder / "graph.xml").is_file():
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # it would report to OpenVINO's maker
        import openvino

        model = openvino.Core().read_model(folder / "graph.xml")
        run = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        head = model.get_rt_info(["head"]).value
        return lambda pixels: run({"pixels": pixels}), head
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # it would report to its maker; counts before its import alone
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / "graph.onnx")
    head = session.get_modelmeta().custom_metadata_map["head"]
    names = [output.name for output in session.get_outputs()]
    return lambda pixels: dict(zip(names, session.run(names, {"pixels": pixels}), strict=True)), head


def ask(folder: Path, file: str) -> tuple[float, np.ndarray, dict[str, Any]]:
    """Probability of malignancy, what each place adds to the log-odds [h, w], and what checkpoint.json says."""
    about = json.loads((folder / "checkpoint.json").read_text(encoding="utf-8"))
    network, layer = opened(folder)
    inputs = prepared(ImageOps.exif_transpose(Image.open(file)).convert("RGB"), about["preprocess"])
    turns = range(about["preprocess"].get("turns", 1))
    turned = np.concatenate([np.rot90(inputs, turn, (2, 3)) for turn in turns])
    found = network(turned)
    logits, maps = found["logits"], found["maps"]
    odds = (logits[:, 1] - logits[:, 0]).mean() / about["temperature"]
    upright = np.mean([np.rot90(maps[turn], -turn, (1, 2)) for turn in turns], axis=0)
    with safe_open(folder / "model.safetensors", framework="np") as weights:
        head = weights.get_tensor(f"{layer}.weight").astype(np.float32)
    heat = np.einsum("c,chw->hw", head[1] - head[0], upright) / upright[0].size
    return float(1 / (1 + np.exp(-odds))), heat, about


if __name__ == "__main__":
    probability, heat, about = ask(Path(__file__).resolve().parent, sys.argv[1])
    print(f"probability of malignancy {probability:.4f}")
    for point in about["operating_points"]:
        concern = "higher" if probability >= point["threshold"] else "lower"
        print(f"{point['name']}, threshold {point['threshold']:.4f}: {concern} concern")
