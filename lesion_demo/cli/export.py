"""`export`: a checkpoint's network as an ONNX graph, for serving without PyTorch and for other programs."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lesion_demo.cli.arguments import add_checkpoint
from lesion_demo.errors import GraphError, ImageError, LesionDemoError
from lesion_demo.files import check_folder
from lesion_demo.run_folder import GRAPH_FILE

if TYPE_CHECKING:
    from lesion_demo.images import Pixels

HELP = "write a checkpoint's network as graph.onnx, which ONNX Runtime and other programs run without PyTorch"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_checkpoint(parser)
    parser.add_argument(
        "--out", type=Path, metavar="DIR",
        help="write a folder with graph, weights, settings, example (default: the graph alone, beside the weights)",
    )  # fmt: skip
    parser.add_argument(
        "--check", type=Path, metavar="DIR",
        help="compare the graph with PyTorch on the pictures in this folder (default: on a few artificial ones)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Export, compare, print the largest difference, and return the exit code."""
    if args.out is not None:
        check_folder(args.out, "--out")

    from lesion_demo.checkpoint import find_best_checkpoint, load_checkpoint
    from lesion_demo.network.export import write_graph
    from lesion_demo.serve.package import TOLERANCE, largest_difference, write_package

    pictures = _phantoms() if args.check is None else _pictures(args.check)
    loaded = load_checkpoint(find_best_checkpoint(chosen=args.checkpoint))
    folder = args.out or loaded.folder
    if args.out is None:
        write_graph(folder, loaded.model, loaded.meta.preprocess.image_size)
    else:
        write_package(loaded, folder)
    path = folder / GRAPH_FILE
    try:
        count, difference = largest_difference(loaded, folder, pictures)
    except LesionDemoError:
        path.unlink()  # what was not compared is not kept
        raise
    print(
        f"{path} ({path.stat().st_size / 1e3:,.0f} kB). On {count:,} pictures its probability of malignancy differs "
        f"from PyTorch's by {difference:.1g} at most."
    )
    if not difference <= TOLERANCE:
        path.unlink()
        raise GraphError(f"That is more than {TOLERANCE:g}, so {path} was deleted; this network runs with PyTorch.")
    return 0


def _phantoms() -> Iterator[Pixels]:
    from lesion_demo.images.phantom import render_phantom

    return (render_phantom(seed, malignant=seed % 2 == 0) for seed in range(8))


def _pictures(folder: Path) -> Iterator[Pixels]:
    """The pictures in `folder` and below.

    Raises:
        ImageError: there is none, or one cannot be read.
    """
    from lesion_demo.images.files import picture_files
    from lesion_demo.images.load import load_picture

    files = picture_files(folder).pictures
    if not files:
        raise ImageError(f"--check {folder}: there is no such folder with pictures.")
    return (load_picture(file).pixels for file in files)
