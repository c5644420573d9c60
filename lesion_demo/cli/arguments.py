"""Arguments that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path


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


def add_checkpoint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--checkpoint", type=Path, metavar="DIR", help="default: see checkpoints/shown.json")
