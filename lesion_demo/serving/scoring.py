"""Many picture files through the network, a row for each, whatever happens to it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from lesion_demo.config import OperatingPoint
from lesion_demo.errors import ImageError
from lesion_demo.imaging.loading import PICTURE_SUFFIXES, load_image
from lesion_demo.imaging.quality import QualityReport, check_quality
from lesion_demo.serving.decision import decide
from lesion_demo.serving.predictor import BATCH_SIZE, Predictor
from lesion_demo.serving.table import CsvRow


def score_files(paths: Sequence[str], predictor: Predictor, point: OperatingPoint, margin: float) -> list[CsvRow]:
    """A row for every file in `paths` and below its folders, in that order; what cannot be scored says why.

    Args:
        margin: closer to the threshold than this, in log-odds, a picture is `uncertain`.
    """
    files = find_files(paths)
    rows: list[CsvRow] = []
    with tqdm(total=len(files), unit="picture") as progress:
        for start in range(0, len(files), BATCH_SIZE):
            batch = files[start : start + BATCH_SIZE]
            rows += _score_batch(batch, predictor, point, margin)
            progress.update(len(batch))
    return rows


def find_files(paths: Sequence[str]) -> list[str]:
    """Every file to score, folders opened up in alphabetical order.

    A file that is named outright is taken whatever it is called; of a folder's, those with a picture's suffix. A
    folder that has none stands for itself, and so does a path that does not exist: both are reported later.
    """
    files: list[str] = []
    for path in paths:
        files += (_pictures_below(path) if Path(path).is_dir() else []) or [path]
    return files


def _pictures_below(folder: str) -> list[str]:
    """The pictures in `folder` and below, and the folders in it that may not be read."""
    found: list[str] = []
    for place, _, names in os.walk(folder, onerror=lambda error: found.append(str(error.filename))):
        found.extend(str(Path(place, name)) for name in names if Path(name).suffix.lower() in PICTURE_SUFFIXES)
    return sorted(found)


def _score_batch(files: Sequence[str], predictor: Predictor, point: OperatingPoint, margin: float) -> list[CsvRow]:
    """A row for each of `files`; those that can be read go through the network in one pass."""
    rows: dict[int, CsvRow] = {}
    readable: list[tuple[int, Tensor, QualityReport]] = []
    for index, file in enumerate(files):
        try:
            readable.append((index, *_read(file, predictor)))
        except ImageError as error:
            rows[index] = CsvRow(file, error=str(error))
    if readable:
        stacked = torch.stack([inputs for _, inputs, _ in readable])  # [N, 3, S, S]
        findings = zip(readable, predictor.predict(stacked), predictor.familiarity(stacked), strict=True)
        for (index, _, quality), probability, familiarity in findings:
            assessable = quality.assessable and (familiarity is None or familiarity.familiar)
            verdict = decide(float(probability), point, margin=margin, assessable=assessable)
            rows[index] = CsvRow.scored(
                files[index], float(probability), verdict, quality, familiarity, point, predictor.local
            )
    return [rows[index] for index in range(len(files))]


def _read(file: str, predictor: Predictor) -> tuple[Tensor, QualityReport]:
    """The network's input float32 [3, S, S] from the picture in `file`, and whether it is fit to be judged.

    Raises:
        ImageError: there is no readable picture there.
    """
    if Path(file).is_dir():
        raise ImageError(f"The folder {file} holds no pictures, or may not be read.")
    picture = load_image(file)
    return predictor.prepare(picture), check_quality(picture)
