"""Choices made on validation pictures, and the report on them and on test, for a run that ends or for a checkpoint."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lesion_demo.checkpoint import LoadedCheckpoint
from lesion_demo.config import CLASSES
from lesion_demo.data.dataset import WORKERS
from lesion_demo.data.folders import name_sources
from lesion_demo.data.picture import Picture, by_source
from lesion_demo.data.split_file import read_rows, read_split
from lesion_demo.data.splits import Splits
from lesion_demo.errors import CheckpointError
from lesion_demo.evaluate.inference import Predictions
from lesion_demo.evaluate.reporting import Judge, Scorer, summarise
from lesion_demo.evaluate.run import Calibration, EvaluatedSplit, calibrate, write_evaluation_plots
from lesion_demo.files import write_json
from lesion_demo.results import DataSet, Metrics, to_json
from lesion_demo.run_folder import CONFIG_FILE, FURTHER_FILE, METRICS_FILE, SPLIT_FILE

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Choices:
    """What a run's `config.json` says of the choices that are made on validation pictures.

    Attributes:
        photographs: data sets that were taken without a dermatoscope.
        source_balance: see `lesion_demo.config.TrainConfig`.
    """

    photographs: tuple[str, ...] = ()
    source_balance: float = 1.0


def read_choices(folder: Path) -> Choices:
    """Those of the run in `folder`, whatever else its configuration holds; the defaults where there is none.

    Raises:
        CheckpointError: the configuration cannot be read.
    """
    path = folder / CONFIG_FILE
    if not path.is_file():
        return Choices()
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
        return Choices(
            tuple(map(str, values.get("photographs", ()))), float(values.get("source_balance", Choices.source_balance))
        )
    except (OSError, AttributeError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is not a run's configuration ({error}): copy the checkpoint again.") from error


def settle(
    folder: Path,
    scorer: Scorer,
    val: Sequence[Picture],
    test: Sequence[Picture],
    choices: Choices,
    *,
    predictions: Predictions | None = None,
    kept_epoch: int | None = None,
) -> tuple[Calibration, Metrics]:
    """Choose on the pictures `val`, report on them and on `test`, and leave the report and its plots in `folder`.

    Args:
        predictions: what the network says of `val`, where that is known already.
    """
    predictions = predictions or scorer.predict(val, "validation")
    sources = {picture.source for picture in test}
    calibration = calibrate(predictions, val, choices.source_balance, sources, choices.photographs)
    evaluated = scorer.evaluated(val, predictions, calibration.temperature)
    tested = None
    if test:
        tested = scorer.score(test, calibration.temperature, "test")
    else:
        log.warning("There is no test split: the figures come from validation pictures only and are too good.")
    judge = Judge(calibration.operating_points, calibration.referral_margins, choices.photographs)
    metrics = summarise(tested, evaluated, judge)
    write_json(folder / METRICS_FILE, to_json(metrics))
    write_evaluation_plots(
        folder,
        tested or evaluated,
        calibration.operating_points,
        name="Test" if tested else "Validation",
        kept_epoch=kept_epoch,
    )
    return calibration, metrics


def evaluate(
    loaded: LoadedCheckpoint,
    roots: Sequence[Path],
    *,
    workers: int = WORKERS,
    device: str | None = None,
) -> tuple[Metrics, EvaluatedSplit]:
    """The report of `loaded` on the splits it was made with, at its own temperature and operating points.

    `workers` processes load the pictures, or this one if it is 0.

    Also returns the evaluated test split, or validation where there is no test.

    Raises:
        DataError: the data sets are not those of the checkpoint's `split.csv`.
    """
    splits = read_split(loaded.folder / SPLIT_FILE, roots)
    scorer = Scorer.of(loaded, workers=workers, device=device)
    further = read_further(loaded.folder, roots)
    val = scorer.score([*splits.of("val"), *further], loaded.meta.temperature, "validation")
    test = None
    if splits.of("test"):
        test = scorer.score(splits.of("test"), loaded.meta.temperature, "test")
    return summarise(test, val, judge_of(loaded)), test or val


def read_further(folder: Path, roots: Sequence[Path]) -> list[Picture]:
    """The pictures beyond the run's own on which its choices were made; none where `roots` lack a data set of theirs.

    Raises:
        DataError: as `read_split`.
    """
    path = folder / FURTHER_FILE
    if not path.is_file():
        return []
    needed = {row["source"] for row in read_rows(path)}
    if lacking := sorted(needed - set(name_sources(roots))):
        log.warning(
            "Without %s, on which choices were made, too: name it with --data to report it.", ", ".join(lacking)
        )
        return []
    return read_split(path, roots).of("val")


def judge_of(loaded: LoadedCheckpoint) -> Judge:
    """What `loaded` is reported at."""
    meta = loaded.meta
    margins = {point.name: meta.margin_at(point) for point in meta.operating_points}
    return Judge(meta.operating_points, margins, read_choices(loaded.folder).photographs)


def describe(splits: Splits) -> dict[str, DataSet]:
    """Per source: a fingerprint of its pictures and splits, and how many of each class stand in each split."""
    described = {}
    for source, pictures in by_source(splits.pictures).items():
        counts = Counter(f"{picture.split}/{CLASSES[picture.label]}" for picture in pictures)
        lines = sorted(f"{picture.content_hash} {picture.split}" for picture in pictures)
        described[source] = DataSet(
            fingerprint=hashlib.sha256("\n".join(lines).encode()).hexdigest(),
            counts=dict(sorted(counts.items())),
            dropped=sum(picture.source == source for picture in splits.dropped),
        )
    return described
