"""The checkpoint as programs and notebooks use it: whatever holds a picture in, an `Analysis` out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lesion_demo.checkpoint import Checkpoint, find_best_checkpoint
from lesion_demo.errors import CheckpointError, ImageError
from lesion_demo.images.load import LoadedPicture, load_picture, pixels_of
from lesion_demo.images.look import Look
from lesion_demo.serve.analysis import Analysis, Analyzer
from lesion_demo.serve.guard import one_picture
from lesion_demo.serve.local import with_calibration
from lesion_demo.serve.opened import open_checkpoint

PictureLike: TypeAlias = "str | Path | Image.Image | NDArray[np.uint8]"
"""A file's path, an image of Pillow's in any mode, or RGB uint8 [H, W, 3]."""


class Model:
    """A checkpoint, ready to be asked about pictures; threads may share one.

    Attributes:
        folder: the checkpoint's.
        meta: what it says of itself: operating points, preprocessing, figures.
    """

    def __init__(self, analyzer: Analyzer) -> None:
        self._analyzer = analyzer
        self.folder: Path = analyzer.folder
        self.meta: Checkpoint = analyzer.meta

    def __repr__(self) -> str:
        points = ", ".join(f"{point.name} {point.threshold:.3f}" for point in self.meta.operating_points)
        fitted = f"; {self.meta.local}" if self.meta.local is not None else ""
        return f"Model({str(self.folder)!r}: {self.meta.backbone}; thresholds: {points}{fitted})"

    def analyze(self, picture: PictureLike, operating_point: str | None = None) -> Analysis:
        """Everything about `picture`, judged at the operating point of that name (by default `sensitive`).

        Raises:
            ImageError: it cannot be read, is too large, too small or too oblong, or is no uint8 [H, W, 3].
            CheckpointError: there is no such operating point.
        """
        point = self._analyzer.point(operating_point) if operating_point is not None else None
        loaded = read(picture)
        with one_picture():
            found = self._analyzer.analyze(Look(loaded.pixels, loaded.whole), point)
        return replace(found, picture=loaded.pixels, first_of_several=loaded.first_of_several)


def load_model(
    folder: str | Path | None = None,
    calibration: str | Path | None = None,
    revision: str | None = None,
    engine: str = "auto",
) -> Model:
    """What `lesion_demo.load` says."""
    if revision is not None:
        from lesion_demo.hub import fetch

        folder = fetch(str(folder), revision)
    elif folder is not None and not Path(folder).exists():
        raise CheckpointError(
            f"There is no folder {folder}. If you mean a model on the Hub, give a revision: "
            f"load({str(folder)!r}, revision='main')."
        )
    shipped = open_checkpoint(find_best_checkpoint(chosen=folder), engine)
    fitted = with_calibration(shipped, None if calibration is None else Path(calibration))
    return Model(Analyzer(fitted, shipped.meta))


def read(picture: PictureLike) -> LoadedPicture:
    """`picture` in whatever form, checked and as RGB uint8 [H, W, 3], upright.

    Raises:
        ImageError: see `Model.analyze`.
    """
    if isinstance(picture, str | Path):
        return load_picture(picture, scaled=True)
    if isinstance(picture, Image.Image):
        return LoadedPicture(pixels_of(picture))
    array = np.asarray(picture)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
        raise ImageError(
            f"A picture must be a path, a Pillow image, or a uint8 RGB array [height, width, 3], not "
            f"{type(picture).__name__} with {array.dtype} {list(array.shape)}: convert it first."
        )
    return LoadedPicture(pixels_of(Image.fromarray(array)))
