"""How long a picture takes by PyTorch and by ONNX Runtime, on this processor: medians of runs in pairs.

python -m scripts.bench --pairs 9                # the checkpoint that the page shows, all cores
python -m scripts.bench --threads 1 --batch 16   # on one thread
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from lesion_demo.checkpoint import find_best_checkpoint
from lesion_demo.errors import LesionDemoError
from lesion_demo.images.phantom import render_phantom
from lesion_demo.serve.analysis import Analyzer
from lesion_demo.serve.classifier import Predictor
from lesion_demo.serve.opened import open_checkpoint

ENGINES = ("torch", "onnx")
INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
SIDE = 300
"""Of the artificial pictures, pixels."""


def processor() -> str:
    """Its name, the cores that this process may use, and which of the INSTRUCTIONS it knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # no Linux
        return f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    about = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    known = [one for one in INSTRUCTIONS if one in about.get("flags", "").split()]
    name = about.get("model name", platform.machine())
    return f"{name}, {len(os.sched_getaffinity(0))} cores, {' '.join(known) or 'none of ' + ' '.join(INSTRUCTIONS)}"


def paired(tasks: dict[str, Callable[[], object]], pairs: int) -> dict[str, list[float]]:
    """Seconds that each task took, `pairs` times; they take turns, and turns at being first."""
    for task in tasks.values():
        task()  # what is done once is done
    taken: dict[str, list[float]] = {name: [] for name in tasks}
    for number in range(pairs):
        for name in list(tasks) if number % 2 else reversed(list(tasks)):
            start = time.perf_counter()
            tasks[name]()
            taken[name].append(time.perf_counter() - start)
    return taken


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--checkpoint", type=Path, help="default: the one that the page shows; it must have a graph")
    parser.add_argument("--pairs", type=int, default=9, help="runs of each engine (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=16, help="pictures at once (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="default: as many as there are cores")
    options = parser.parse_args(arguments)
    if options.threads:
        os.environ["OMP_NUM_THREADS"] = str(options.threads)  # before either engine is loaded
    folder = find_best_checkpoint(chosen=options.checkpoint)
    try:
        served = {name: open_checkpoint(folder, name, "cpu") for name in ENGINES}
    except LesionDemoError as error:
        raise SystemExit(f"error: {error}") from error
    pictures = [render_phantom(seed, malignant=seed % 2 == 0, size=SIDE) for seed in range(options.batch)]
    predictors = {name: Predictor(one) for name, one in served.items()}
    analyzers = {name: Analyzer(one) for name, one in served.items()}
    inputs = np.stack([predictors["onnx"].prepare(picture) for picture in pictures])
    works: dict[str, dict[str, Callable[[], object]]] = {
        "network, one picture": {name: partial(one.predict, inputs[:1]) for name, one in predictors.items()},
        f"network, {len(inputs)} at once": {name: partial(one.predict, inputs) for name, one in predictors.items()},
        "everything, one picture": {name: partial(one.analyze, pictures[0]) for name, one in analyzers.items()},
    }
    meta = served["onnx"].meta
    print(f"{processor()}; threads: {options.threads or 'all'}")
    print(f"{folder.name}: {meta.backbone}, {meta.preprocess.image_size} px, turns: {meta.preprocess.turns}\n")
    print(f"| median of {options.pairs} pairs | PyTorch, ms | ONNX Runtime, ms | times as fast |")
    print("| --- | --- | --- | --- |")
    for work, tasks in works.items():
        taken = paired(tasks, options.pairs)
        ratio = statistics.median(old / new for old, new in zip(taken["torch"], taken["onnx"], strict=True))
        by_torch, by_graph = (1000 * statistics.median(taken[name]) for name in ENGINES)
        print(f"| {work} | {by_torch:.1f} | {by_graph:.1f} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
