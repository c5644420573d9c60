"""Many picture files through the network, a row for each, whatever happens to it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from lesion_demo.config import OperatingPoint
from lesion_demo.decision import decide
from lesion_demo.errors import CheckpointError, ImageError, reason
from lesion_demo.images.files import picture_files
from lesion_demo.images.load import load_picture
from lesion_demo.images.look import Look
from lesion_demo.images.prepare import Inputs
from lesion_demo.images.quality import QualityReport, check_quality
from lesion_demo.serve.classifier import BATCH_SIZE, Predictor, read_ahead
from lesion_demo.serve.guard import one_picture
from lesion_demo.serve.table import CsvRow

log = logging.getLogger(__name__)


def score_files(
    files: Sequence[str], predictor: Predictor, point: OperatingPoint | None, margin: float = 0.0
) -> Iterator[CsvRow]:
    """A row for each of `files`, in that order, as soon as its batch is done; what cannot be scored says why.

    Args:
        point: what the verdicts are found with. If it is None, the rows have no verdict, and nothing is measured that
            only a verdict needs.
        margin: closer to the threshold than this, in log-odds, a picture is `uncertain`.

    Raises:
        CheckpointError: the network is damaged.
    """
    batches = [files[start : start + BATCH_SIZE] for start in range(0, len(files), BATCH_SIZE)]
    reading = read_ahead(_read_batch(batch, predictor, judged=point is not None) for batch in batches)
    with tqdm(total=len(files), unit="picture") as progress:
        for rows, readable in reading:
            rows |= _judge(readable, predictor, point, margin)
            yield from (rows[place] for place in sorted(rows))
            progress.update(len(rows))


def find_files(paths: Sequence[str]) -> list[str]:
    """Every file to score among `paths` and below them, folders opened up in alphabetical order.

    A file that is named outright is taken whatever it is called; of a folder's, those with a picture's suffix. A
    folder that has none stands for itself, and so does a path that does not exist: both are reported later.
    """
    files: list[str] = []
    for path in paths:
        files += (_pictures_below(path) if Path(path).is_dir() else []) or [path]
    return files


def _pictures_below(folder: str) -> list[str]:
    """The pictures in `folder` and below, and the folders in it that may not be read."""
    found = picture_files(Path(folder))
    if found.skipped:
        log.warning("%s", found.in_words())
    return sorted(map(str, (*found.pictures, *found.closed)))


def _read_batch(
    files: Sequence[str], predictor: Predictor, *, judged: bool
) -> tuple[dict[int, CsvRow], list[_Readable]]:
    """Those of `files` that can be read, and of the others a row that says why not, by their places."""
    rows: dict[int, CsvRow] = {}
    readable: list[_Readable] = []
    for index, file in enumerate(files):
        try:
            readable.append(_Readable(index, file, *_read(file, predictor, judged=judged)))
        except Exception as error:  # noqa: BLE001  # one bad file never stops the rest
            rows[index] = CsvRow(file, error=reason(error, file))
    return rows, readable


class _Readable(NamedTuple):
    """A picture on its way to the network: its place in the batch, and `inputs` float32 [3, S, S].

    Its quality is None where no verdict is asked for.
    """

    place: int
    file: str
    inputs: Inputs
    quality: QualityReport | None
    first_of_several: bool


def _judge(
    pictures: Sequence[_Readable], predictor: Predictor, point: OperatingPoint | None, margin: float
) -> dict[int, CsvRow]:
    """Rows by their places; if the network refuses all at once, it is asked for one after the other.

    Raises:
        CheckpointError: the network itself is damaged, whatever the pictures.
    """
    rows: dict[int, CsvRow] = {}
    if not pictures:
        return rows
    try:
        stacked = np.stack([picture.inputs for picture in pictures])  # [N, 3, S, S]
        found = predictor.predict(stacked)
        findings = zip(pictures, found.probabilities, found.familiarity, strict=True)
        for (place, file, _, quality, several), probability, familiarity in findings:
            if point is None or quality is None:
                rows[place] = CsvRow.unjudged(file, float(probability), predictor.local, first_of_several=several)
                continue
            assessable = quality.assessable and (familiarity is None or familiarity.familiar)
            verdict = decide(float(probability), point, margin=margin, assessable=assessable)
            rows[place] = CsvRow.scored(
                file,
                float(probability),
                verdict,
                quality,
                familiarity,
                point,
                predictor.local,
                first_of_several=several,
            )
    except CheckpointError:
        raise
    except Exception as error:  # noqa: BLE001  # one bad file never stops the rest
        if len(pictures) == 1:
            return {pictures[0].place: CsvRow(pictures[0].file, error=reason(error, pictures[0].file))}
        for picture in pictures:
            rows |= _judge([picture], predictor, point, margin)
    return rows


def _read(file: str, predictor: Predictor, *, judged: bool) -> tuple[Inputs, QualityReport | None, bool]:
    """The network's input float32 [3, S, S] from the picture in `file`, whether it is fit to be judged (None unless it
    is to be `judged`), and whether there are more pictures in the file.

    Raises:
        ImageError: there is no readable picture there.
    """
    if Path(file).is_dir():
        raise ImageError(f"The folder {file} holds no pictures, or you are not allowed to read it.")
    loaded = load_picture(file, scaled=True)
    with one_picture(f"“{Path(file).name}”"):
        look = Look(loaded.pixels, loaded.whole)
        return predictor.prepare(look), check_quality(look) if judged else None, loaded.first_of_several
