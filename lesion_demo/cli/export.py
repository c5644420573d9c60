"""`export`: a checkpoint's network as an ONNX graph, for serving without PyTorch and for other programs."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lesion_demo.cli.arguments import add_checkpoint
from lesion_demo.errors import GraphError, ImageError, LesionDemoError
from lesion_demo.files import check_folder
from lesion_demo.run_folder import GRAPH_FILE, SPLIT_FILE

if TYPE_CHECKING:
    from lesion_demo.checkpoint import LoadedCheckpoint
    from lesion_demo.images import Pixels

HELP = "write a checkpoint's network as graph.onnx, which ONNX Runtime and other programs run without PyTorch"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_checkpoint(parser)
    parser.add_argument(
        "--out", type=Path, metavar="DIR",
        help="write a folder with graph, weights, settings, example (default: the graph alone, beside the weights)",
    )  # fmt: skip
    parser.add_argument(
        "--format", choices=("onnx", "openvino"), default="onnx",
        help="with --out: `openvino` adds the same network for OpenVINO, which you install yourself (default: onnx)",
    )  # fmt: skip
    compared = parser.add_mutually_exclusive_group()
    compared.add_argument(
        "--check", type=Path, metavar="DIR",
        help="compare the graph with PyTorch on the pictures in this folder (default: on 8 artificial ones)",
    )  # fmt: skip
    compared.add_argument(
        "--data", type=Path, action="append", metavar="DIR",
        help="compare them on the checkpoint's own validation pictures: name all data sets of its training, in order",
    )  # fmt: skip
    parser.add_argument(
        "--pictures", type=count, default=500, metavar="N",
        help="with --check or --data: compare on N of the pictures, evenly spread, or on all if fewer (default: 500)",
    )  # fmt: skip


def count(text: str) -> int:
    """A number of 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Export, compare, print the largest difference, and return the exit code."""
    from lesion_demo.network.openvino import OPENVINO_FILE, require_openvino, write_openvino

    if args.format == "openvino":
        require_openvino()
        if args.out is None:
            raise GraphError("--format openvino fills a folder of its own: name it with --out DIR.")
    if args.out is not None:
        check_folder(args.out, "--out")

    from lesion_demo.checkpoint import find_best_checkpoint, load_checkpoint
    from lesion_demo.network.export import write_graph
    from lesion_demo.serve.package import write_package

    loaded = load_checkpoint(find_best_checkpoint(chosen=args.checkpoint))
    pictures = _pictures(args, loaded.folder)
    folder = args.out or loaded.folder
    if args.out is None:
        write_graph(folder, loaded.model, loaded.meta.preprocess.image_size)
    else:
        write_package(loaded, folder)
    path = folder / GRAPH_FILE
    if args.format == "openvino":
        write_openvino(folder)
        path = folder / OPENVINO_FILE
    _compare(loaded, path, pictures)
    return 0


def _compare(loaded: LoadedCheckpoint, path: Path, pictures: Iterable[Pixels]) -> None:
    """Print by how much the graph at `path` differs from PyTorch; one that was not compared or differs is deleted.

    Raises:
        LesionDemoError: it could not be compared, or differs too much.
    """
    from lesion_demo.serve.package import TOLERANCE, largest_difference

    try:
        compared, difference = largest_difference(loaded, path.parent, pictures, openvino=path.name != GRAPH_FILE)
    except LesionDemoError:
        path.unlink()  # what was not compared is not kept
        raise
    print(
        f"{path} ({path.stat().st_size / 1e3:,.0f} kB). On {compared:,} pictures its probability of malignancy differs "
        f"from PyTorch's by {difference:.1g} at most."
    )
    if not difference <= TOLERANCE:
        path.unlink()
        raise GraphError(f"That is more than {TOLERANCE:g}, so {path} was deleted; this network runs with PyTorch.")


def _pictures(args: argparse.Namespace, checkpoint: Path) -> Iterator[Pixels]:
    """What the two engines are compared on.

    Raises:
        LesionDemoError: there are no such pictures, or one cannot be read.
    """
    from tqdm import tqdm

    from lesion_demo.images.load import load_picture
    from lesion_demo.images.phantom import render_phantom

    if args.check is None and args.data is None:
        return (render_phantom(seed, malignant=seed % 2 == 0) for seed in range(8))
    files = _in_folder(args.check) if args.data is None else _validation(args.data, checkpoint)
    wanted = min(args.pictures, len(files))
    chosen = (files[number * len(files) // wanted] for number in range(wanted))
    return (load_picture(file).pixels for file in tqdm(chosen, "Comparing with PyTorch", wanted, unit="picture"))


def _in_folder(folder: Path) -> Sequence[Path]:
    """The pictures in `folder` and below; raises ImageError if there is none."""
    from lesion_demo.images.files import picture_files

    files = picture_files(folder).pictures
    if not files:
        raise ImageError(f"--check {folder}: there is no such folder with pictures.")
    return files


def _validation(roots: Sequence[Path], checkpoint: Path) -> Sequence[Path]:
    """The validation pictures of the run in the folder `checkpoint`, in the data sets `roots`.

    Raises:
        DataError: the run has no `split.csv`, or the data sets are not those of the run.
    """
    from lesion_demo.data.split_file import read_split

    return [picture.path for picture in read_split(checkpoint / SPLIT_FILE, roots).of("val")]
