"""Command line of the bench: see the package."""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

from lesion_demo.checkpoint import find_best_checkpoint
from scripts.bench.growth import TEXTS
from scripts.bench.rows import PARTS, Bench
from scripts.bench.timing import line, markdown, processor

HEADS = ("work", "ours", "against", "theirs", "ratio", "goal")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="How fast everything is here, against baselines.")
    parser.add_argument(
        "parts",
        nargs="*",
        choices=[*PARTS, *TEXTS, []],
        metavar="PART",
        help=f"{', '.join(PARTS)} make the table; {', '.join(TEXTS)} tell more",
    )
    parser.add_argument("--checkpoint", type=Path, help="default: the one that the page shows; it must have a graph")
    parser.add_argument("--pairs", type=int, default=5, help="runs of either side (default: %(default)s)")
    options = parser.parse_args(arguments)
    logging.disable(logging.WARNING)
    folder = find_best_checkpoint(chosen=options.checkpoint)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(folder, options.pairs, Path(scratch))
        meta = bench.served.meta
        print(f"{processor()}\n{folder.name}: {meta.backbone}, {meta.preprocess.image_size} px, ONNX Runtime")
        rows = [name for name in options.parts or PARTS if name in PARTS]
        if rows:
            print(f"medians of {options.pairs} pairs\n\n{markdown(HEADS, [])}", flush=True)
        for name in rows:
            for row in PARTS[name](bench):
                print(line(astuple(row)), flush=True)
        for name in options.parts:
            for text in TEXTS[name](bench) if name in TEXTS else ():
                print(f"\n{text}", flush=True)
    print(f"\n{time.monotonic() - started:.0f} seconds in all")


if __name__ == "__main__":
    main()
