"""An exported network without PyTorch: `python example.py PICTURE`, with numpy, onnxruntime, pillow and safetensors.

It lies beside graph.onnx, model.safetensors and checkpoint.json. Cut a dark ring off a picture beforehand, and judge
its quality: this does neither. For research and teaching, not a medical device.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps
from safetensors import safe_open

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # it would report what it runs to its maker; counts before its import alone
import onnxruntime


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


def ask(folder: Path, file: str) -> tuple[float, np.ndarray, dict[str, Any]]:
    """Probability of malignancy, what each place adds to the log-odds [h, w], and what checkpoint.json says."""
    about = json.loads((folder / "checkpoint.json").read_text(encoding="utf-8"))
    session = onnxruntime.InferenceSession(folder / "graph.onnx")
    inputs = prepared(ImageOps.exif_transpose(Image.open(file)).convert("RGB"), about["preprocess"])
    turns = range(about["preprocess"].get("turns", 1))
    turned = np.concatenate([np.rot90(inputs, turn, (2, 3)) for turn in turns])
    logits, maps = session.run(["logits", "maps"], {"pixels": turned})  # [T, 2], [T, C, h, w]
    odds = (logits[:, 1] - logits[:, 0]).mean() / about["temperature"]
    upright = np.mean([np.rot90(maps[turn], -turn, (1, 2)) for turn in turns], axis=0)
    with safe_open(folder / "model.safetensors", framework="np") as weights:
        head = weights.get_tensor(session.get_modelmeta().custom_metadata_map["head"] + ".weight").astype(np.float32)
    heat = np.einsum("c,chw->hw", head[1] - head[0], upright) / upright[0].size
    return float(1 / (1 + np.exp(-odds))), heat, about


if __name__ == "__main__":
    probability, heat, about = ask(Path(__file__).resolve().parent, sys.argv[1])
    print(f"probability of malignancy {probability:.4f}")
    for point in about["operating_points"]:
        concern = "higher" if probability >= point["threshold"] else "lower"
        print(f"{point['name']}, threshold {point['threshold']:.4f}: {concern} concern")
