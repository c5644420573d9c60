"""Arguments that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path

from lesion_demo.config import ENGINES
from lesion_demo.errors import DataError

DEVICES = ("cpu", "cuda", "mps")


def add_data(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    parser.add_argument(
        "--data",
        action="append",
        required=required,
        type=Path,
        metavar="DIR",
        help="a data set: DIR/train|val|test/<class>/…, or with a manifest.csv; may be repeated",
    )


def add_calibration(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="FILE",
        help="what recalibrate wrote for your clinic (default: as shipped)",
    )


def add_class_map(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--class-map",
        action="append",
        default=[],
        metavar="NAME=CLASS",
        help="map a class folder to benign or malignant; may be repeated",
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--device",
        choices=DEVICES,
        help="device for the network (default: cuda if PyTorch is used and finds one, else cpu)",
    )


def add_engine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--engine", choices=ENGINES, default="auto",
        help="what runs the network: onnx (ONNX Runtime, on the CPU), torch (PyTorch), or auto: onnx where it is "
        "installed, the checkpoint has a graph, and no other --device is named (default: auto)",
    )  # fmt: skip


def add_workers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--workers", type=whole, default=2, metavar="N", help="processes that read pictures; 0: none (default: 2)"
    )


def whole(text: str) -> int:
    """A number of 0 or more."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 0 or more")
    return int(text)


def add_checkpoint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--checkpoint", type=Path, metavar="DIR", help="default: see checkpoints/shown.json")


def parse_class_map(pairs: list[str]) -> dict[str, str]:
    """`NAME=CLASS` strings as a dictionary."""
    parsed = {}
    for pair in pairs:
        name, equals, label = pair.partition("=")
        if not equals or not name or not label:
            raise DataError(f"--class-map {pair!r} is not of the form NAME=benign or NAME=malignant.")
        parsed[name] = label
    return parsed
