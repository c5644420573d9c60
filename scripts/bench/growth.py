"""Where the time of a picture goes, how cost grows, and how far the network is from what the processor can do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import nn

from lesion_demo.images.artefacts import find_artefacts
from lesion_demo.images.load import load_image, load_picture
from lesion_demo.images.look import Look
from lesion_demo.images.prepare import prepare
from lesion_demo.images.quality import check_quality
from lesion_demo.images.tone import typology_angle
from lesion_demo.network.model import build_model
from lesion_demo.serve.classifier import Predictor
from lesion_demo.serve.explanation import Explainer
from lesion_demo.serve.scoring import score_files
from scripts.bench.engines import engines
from scripts.bench.pictures import DIFFERENT, write_large
from scripts.bench.rows import Bench, our_step, plain_step, silently
from scripts.bench.site import analyze_by_clients, open_site
from scripts.bench.timing import markdown, median_ms, seconds

LOSS_STEPS, LOSS_BATCH, LOSS_SIDE = 100, 8, 96
BACKBONES = ("efficientnet_b0", "efficientnet_b3", "resnet50")


def profile(bench: Bench) -> Iterator[str]:
    """Each part of `analyze` by itself, one after the other, and all of it."""
    predictor, analyzer, file = Predictor(bench.served), bench.analyzer(), bench.files[0]
    loaded, spec = load_picture(file, scaled=True), bench.served.meta.preprocess
    inputs = predictor.prepare(loaded.pixels)[None]
    found = predictor.predict(inputs).forward
    look = Look(loaded.pixels)
    _ = look.lesion, look.thinned
    parts: dict[str, Callable[[], object]] = {
        "reading the file": partial(load_picture, file, scaled=True),
        "lit field": lambda: Look(loaded.pixels).field,
        "the network's input": partial(prepare, look, spec),
        "lesion": lambda: Look(loaded.pixels).lesion,
        "quality": partial(check_quality, look),
        "artefacts": partial(find_artefacts, look),
        "skin tone": partial(typology_angle, look),
        "network, one look": partial(bench.served.engine, inputs),
        f"network, {spec.turns} turns": partial(predictor.predict, inputs),
        "heat map": partial(Explainer(bench.served.engine, spec).explain, inputs, found),
        "analyze, as a whole": partial(analyzer.analyze_file, file),
    }
    yield markdown(("part", "ms"), [(name, f"{median_ms(task):.1f}") for name, task in parts.items()])


def growth(bench: Bench) -> Iterator[str]:
    """Pictures, megapixels, batch, threads and backbones."""
    predictor, point = Predictor(bench.served), bench.served.meta.operating_points[0]
    names = list(map(str, bench.files))
    rows = []
    for count in (10, 100, 1_000, 10_000):
        some = (names * (count // len(names) + 1))[:count]
        taken = seconds(lambda some=some: silently(lambda: list(score_files(some, predictor, point, 0.5))))
        rows.append((count, f"{taken:.1f}", f"{count / taken:.1f}"))
    yield markdown(("pictures scored", "seconds", "pictures/s"), rows)
    analyzer, rows = bench.analyzer(), []
    for megapixels in (0.1, 1, 3, 12, 24, 48):
        file = write_large(bench.scratch, megapixels)
        rows.append((megapixels, f"{median_ms(partial(analyzer.analyze_file, file), 5):.0f}"))
    yield markdown(("megapixels", "analyze, ms"), rows)
    yield markdown(("pictures at once", "threads", "ms", "pictures/s"), list(_batches(bench)))
    yield markdown(("backbone", "ms, one picture of 256 px by PyTorch"), list(_backbones()))


def clients(bench: Bench) -> Iterator[str]:
    """Clients of one page that ask at the same time, each for its own picture, again and again."""
    rows = []
    with open_site(bench.checkpoint) as site:
        site.analyze_plainly(bench.files[0])
        for count in (1, 2, 4, 8, 16, 32, 64):
            rate = analyze_by_clients(site, bench.files, count, max(2, 32 // count))
            rows.append((count, f"{rate:.1f}", f"{1000 * count / rate:.0f}", f"{site.memory():.0f}"))
    yield markdown(("clients at once", "analyses/s", "ms until an answer, mean", "resident, MB"), rows)


def losses(bench: Bench) -> Iterator[str]:
    """The loss of our training and of the plain loop, on the same pictures and from the same weights.

    The plain loop runs twice: what its seed for dropout changes is the noise to compare with.
    """
    files = bench.files[:DIFFERENT]
    spec = replace(bench.served.meta.preprocess, round_window=False)
    pixels = torch.from_numpy(np.stack([prepare(load_image(file), spec, LOSS_SIDE) for file in files]))
    labels, curves = (torch.arange(DIFFERENT) + 1) % 2, []
    for make, seed in ((our_step, 1), (plain_step, 1), (plain_step, 2)):
        torch.manual_seed(0)
        step, drawn = make(), np.random.default_rng(0)
        torch.manual_seed(seed)
        batches = [drawn.choice(DIFFERENT, LOSS_BATCH, replace=False) for _ in range(LOSS_STEPS)]
        curves.append(np.array([step(pixels[batch], labels[batch]) for batch in batches]))
    each = LOSS_STEPS // 5
    rows = [
        (f"{first + 1} to {first + each}", *(f"{curve[first : first + each].mean():.3f}" for curve in curves))
        for first in range(0, LOSS_STEPS, each)
    ]
    yield markdown(("steps", "mean loss, ours", "plain loop", "plain loop, another seed"), rows)


def roofline(bench: Bench) -> Iterator[str]:
    """Work and traffic of one look against what this processor reaches at multiplying and at copying."""
    side = bench.served.meta.preprocess.image_size
    flops, moved = _work_of(build_model("efficientnet_b3"), side)
    peak, bandwidth = _peak_flops(), _bandwidth()
    one = np.zeros((1, 3, side, side), np.float32)
    rows = []
    for threads in (1, 2):
        taken = median_ms(partial(_session(bench.checkpoint, threads).run, None, {"pixels": one})) / 1000
        share = flops / taken / peak[threads]
        rows.append((threads, f"{1000 * taken:.1f}", f"{flops / taken / 1e9:.0f}", f"{100 * share:.0f} %"))
    yield (
        f"One look: {flops / 1e9:.2f} GFLOP, {moved / 1e6:.0f} MB of weights and activations read and written; "
        f"{flops / moved:.1f} FLOP per byte. Peaks measured here: {peak[1] / 1e9:.0f} and {peak[2] / 1e9:.0f} GFLOP/s "
        f"in float32 on 1 and 2 threads, {bandwidth / 1e9:.0f} GB/s. At that bandwidth the traffic takes "
        f"{1000 * moved / bandwidth:.1f} ms, the arithmetic {1000 * flops / peak[2]:.1f} ms "
        "on 2 threads."
    )
    yield markdown(("threads", "ms", "GFLOP/s", "of the peak"), rows)


TEXTS = {one.__name__: one for one in (profile, growth, clients, losses, roofline, engines)}


def _session(folder: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    return onnxruntime.InferenceSession(folder / "graph.onnx", options, providers=["CPUExecutionProvider"])


def _batches(bench: Bench) -> Iterator[tuple[object, ...]]:
    side = bench.served.meta.preprocess.image_size
    for threads in (1, 2):
        session = _session(bench.checkpoint, threads)
        for size in (1, 4, 16, 64):
            pixels = np.zeros((size, 3, side, side), np.float32)
            taken = median_ms(partial(session.run, None, {"pixels": pixels}), 3)
            yield size, threads, f"{taken:.0f}", f"{1000 * size / taken:.0f}"


def _backbones() -> Iterator[tuple[str, str]]:
    pixels = torch.zeros(1, 3, 256, 256)
    for name in BACKBONES:
        model = build_model(name).eval()
        with torch.inference_mode():
            yield name, f"{median_ms(partial(model, pixels), 7):.1f}"


def _work_of(model: nn.Module, side: int) -> tuple[float, float]:
    """FLOPs of one look (a multiplication and an addition are two), and bytes if every layer reads and writes memory.

    Of convolutions and linear layers; what an engine fuses into them moves nothing of its own.
    """
    work = [0.0, 0.0]

    def count(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        weights = layer.weight.numel()  # type: ignore[operator, union-attr]
        places = output[0, 0].numel() if output.dim() == 4 else 1
        work[0] += 2.0 * weights * places
        work[1] += 4.0 * (weights + inputs[0].numel() + output.numel())

    for layer in model.eval().modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    with torch.inference_mode():
        model(torch.zeros(1, 3, side, side))
    return work[0], work[1]


def _peak_flops(size: int = 2048) -> dict[int, float]:
    """Of multiplying large matrices in float32, by threads."""
    usual, peaks = torch.get_num_threads(), {}
    left, right = torch.rand(size, size), torch.rand(size, size)
    for threads in (1, 2):
        torch.set_num_threads(threads)
        peaks[threads] = 2 * size**3 / (median_ms(partial(torch.mm, left, right), 7) / 1000)
    torch.set_num_threads(usual)
    return peaks


def _bandwidth(size: int = 1 << 28) -> float:
    """Bytes a second, read and written, of copying more than the caches hold."""
    source, target = torch.ones(size // 4), torch.empty(size // 4)
    start = time.perf_counter()
    for _ in range(5):
        target.copy_(source)
    return 5 * 2 * size / (time.perf_counter() - start)
