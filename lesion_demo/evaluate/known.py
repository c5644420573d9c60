"""Which pictures are familiar to a network, learnt from its training pictures; for a run that ends or a checkpoint."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from lesion_demo.arrays import Floats
from lesion_demo.checkpoint import LoadedCheckpoint, save_known, save_meta
from lesion_demo.data.dataset import WORKERS, measure_all
from lesion_demo.data.picture import Picture, by_source
from lesion_demo.data.split_file import read_split
from lesion_demo.data.splits import Splits
from lesion_demo.errors import CheckpointError, LesionDemoError
from lesion_demo.evaluate.inference import early_features
from lesion_demo.evaluate.reporting import Scorer
from lesion_demo.evaluate.settle import evaluate, read_choices
from lesion_demo.files import write_json
from lesion_demo.images import Pixels
from lesion_demo.images.perturb import spoil
from lesion_demo.images.transforms import eval_transform
from lesion_demo.images.unrelated import close_up, photographs, plain_skin
from lesion_demo.network.familiarity import FamiliarityModel
from lesion_demo.network.fit_familiarity import Contrast, Crops, learn
from lesion_demo.results import Report, to_json
from lesion_demo.run_folder import METRICS_FILE, SPLIT_FILE

log = logging.getLogger(__name__)

KNOWN_PER_SOURCE = 1000
"""Training pictures of each data set, about, that familiarity is learnt from."""
CROPPED = 3
"""One in so many of them, and of the validation pictures, shows what bare skin looks like, too."""
CONTRASTED = 500
"""Training pictures below which they are not told from everyday ones: there are more features than a few can settle."""


def learn_known(
    scorer: Scorer, splits: Splits, photographed: Collection[str], val_features: Floats | None
) -> FamiliarityModel | None:
    """What the network of `scorer` has learnt from, by KNOWN_PER_SOURCE pictures of each data set.

    None if its layout forbids it: then it has no early features, nor of validation pictures `val_features` [N, D].

    Args:
        photographed: data sets that were taken without a dermatoscope.
    """
    if val_features is None:
        log.warning("The network has too few feature blocks to recognise unfamiliar pictures.")
        return None
    scorer, val = scorer.one_look, splits.of("val")
    chosen: list[Picture] = []
    for own in by_source(splits.of("train")).values():
        chosen += own[:: max(1, len(own) // KNOWN_PER_SOURCE)]
    train_features = scorer.predict(chosen, "familiarity, training", None).early
    assert train_features is not None
    train_photographs, val_photographs = (
        np.array([picture.source in photographed for picture in pictures]) for pictures in (chosen, val)
    )
    train_crops, val_crops = (_crops(scorer, pictures[::CROPPED]) for pictures in (chosen, val))
    return learn(
        train_features,
        val_features,
        contrast=_contrast(scorer, chosen[1::CROPPED]) if len(chosen) >= CONTRASTED else None,
        photographs=(train_photographs, val_photographs),
        crops=None if train_crops is None or val_crops is None else (train_crops, val_crops),
    )


def learn_known_again(
    loaded: LoadedCheckpoint, roots: Sequence[Path], *, workers: int = WORKERS, device: str | None = None
) -> LoadedCheckpoint:
    """Learn again which pictures are familiar to `loaded`, report, and save; all else in the checkpoint stays.

    Which pictures of an outside data set get an answer was counted with what was known before, so those counts go:
    `evaluate --external` makes them again.

    Raises:
        DataError: the data sets are not those of the checkpoint's `split.csv`.
        CheckpointError: the network cannot tell what is familiar, or the result could not be saved.
    """
    folder, splits = loaded.folder, read_split(loaded.folder / SPLIT_FILE, roots)
    scorer = Scorer.of(loaded, workers=workers, device=device)
    val_features = scorer.one_look.predict(splits.of("val"), "familiarity, validation", None).early
    known = learn_known(scorer, splits, read_choices(folder).photographs, val_features)
    if known is None:
        raise CheckpointError(f"{loaded.meta.backbone} cannot tell which pictures are familiar: leave it as it is.")
    loaded = replace(loaded, known=known)
    metrics, _ = evaluate(loaded, roots, workers=workers, device=device)
    external = {name: _without_outcomes(report) for name, report in loaded.meta.metrics.external.items()}
    metrics = replace(metrics, external=external)
    write_json(folder / METRICS_FILE, to_json(metrics))
    meta = save_meta(folder, replace(save_known(folder, loaded.meta, known), metrics=metrics))
    return replace(loaded, meta=meta)


def _without_outcomes(report: Report) -> Report:
    return replace(report, points=tuple(replace(point, outcomes=None) for point in report.points))


def _contrast(scorer: Scorer, pictures: Sequence[Picture]) -> Contrast | None:
    """Everyday pictures, and spoilt copies of `pictures`; None where the packages that have them are not installed."""
    try:
        everyday = list(photographs(learnt=True))
    except LesionDemoError as error:
        log.warning("Pictures are not told from everyday ones, but by their distance alone. %s", error)
        return None
    (spoilt,) = scorer.edited(pictures, (spoil,), "familiarity, spoilt")
    assert spoilt.early is not None
    features = early_features(scorer.network, eval_transform(scorer.spec), everyday, "familiarity, everyday")
    return Contrast(features, spoilt.early)


def _crops(scorer: Scorer, pictures: Sequence[Picture]) -> Crops | None:
    """Bare skin in the corners of `pictures`, and close-ups of their lesions; None where no corner is surely bare."""
    found = measure_all(pictures, skin_and_middle, scorer.reader, "corners", workers=scorer.workers)
    pairs = [pair for pair in found if pair is not None]
    if not pairs:
        return None
    transform = eval_transform(scorer.spec)
    skins, middles = ([pair[place] for pair in pairs] for place in (0, 1))
    features = (early_features(scorer.network, transform, part, "familiarity, crops") for part in (skins, middles))
    return Crops(*features)


def skin_and_middle(image: Pixels) -> tuple[Pixels, Pixels] | None:
    """A corner of bare skin of `image` (uint8 [H, W, 3]) and a close-up of its lesion; None where no corner is bare."""
    skin = plain_skin(image)
    # Copies, because a part that is only a view would keep its whole picture in memory.
    return None if skin is None else (skin.copy(), close_up(image).copy())
