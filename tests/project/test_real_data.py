"""The shipped checkpoint and the scanner on the real data sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lesion_demo.checkpoint import LoadedCheckpoint
from lesion_demo.data.folders import scan
from lesion_demo.data.picture import Picture
from lesion_demo.data.split_file import read_split
from lesion_demo.evaluate.scores import point_scores, score
from lesion_demo.images.load import load_image
from lesion_demo.images.perturb import draw_ring
from lesion_demo.images.unrelated import close_up, plain_skin
from lesion_demo.serve.classifier import Predictor

pytestmark = pytest.mark.data
SOURCES = ("melanoma10k", "ham10000", "padufes20", "isic2018")


@pytest.fixture(scope="module")
def validation(data_root: Path, shipped: LoadedCheckpoint) -> list[Picture]:
    """40 benign and 40 malignant pictures of melanoma10k's validation split: the shipped weights never saw them."""
    splits = read_split(shipped.folder / "split.csv", [data_root / source for source in SOURCES])
    val = [picture for picture in splits.of("val") if picture.source == "melanoma10k"]
    return [picture for label in (0, 1) for picture in [p for p in val if p.label == label][::10][:40]]


def test_hardly_a_picture_it_never_saw_is_unfamiliar(validation: list[Picture], shipped: LoadedCheckpoint) -> None:
    predictor = Predictor(shipped)
    inputs = np.stack([predictor.prepare(load_image(picture.path)) for picture in validation])
    found = predictor.predict(inputs).familiarity
    assert np.mean([one is not None and one.familiar for one in found]) >= 0.9


def test_bare_skin_is_refused_and_a_close_up_of_a_lesion_is_not(
    validation: list[Picture], shipped: LoadedCheckpoint
) -> None:
    predictor = Predictor(shipped)
    pictures = [load_image(picture.path) for picture in validation]
    skins = [skin for picture in pictures if (skin := plain_skin(picture)) is not None]
    for shown, least, most in ((skins, 0.8, 1.0), ([close_up(picture) for picture in pictures], 0.0, 0.2)):
        found = predictor.predict(np.stack([predictor.prepare(picture) for picture in shown])).familiarity
        assert least <= np.mean([one is not None and one.bare_skin for one in found]) <= most


def test_the_shipped_checkpoint_ranks_pictures_it_never_saw(
    validation: list[Picture], shipped: LoadedCheckpoint
) -> None:
    pictures = [load_image(picture.path) for picture in validation]
    labels = np.array([picture.label for picture in validation])
    probabilities = np.asarray(Predictor(shipped).probabilities(pictures))
    threshold = shipped.meta.operating_point("balanced").threshold
    assert score(labels, probabilities).roc_auc > 0.90
    assert point_scores(labels, probabilities, threshold).accuracy > 0.80

    ringed = np.asarray(Predictor(shipped).probabilities([draw_ring(p, radius=0.5) for p in pictures]))
    flipped = (ringed >= threshold) != (probabilities >= threshold)
    assert flipped.mean() <= 0.05  # a model that has learned the ring calls every ringed picture malignant
    assert (ringed - probabilities)[labels == 0].mean() < 0.1


def test_the_shipped_split_keeps_lesions_and_patients_together(data_root: Path, shipped: LoadedCheckpoint) -> None:
    splits = read_split(shipped.folder / "split.csv", [data_root / source for source in SOURCES])
    side = {(picture.source, picture.file): picture.split for picture in (*splits.pictures, *splits.dropped)}
    found = [p for source in SOURCES for p in scan([data_root / source])]
    pictures = [p for p in found if (p.source, p.file) in side]  # a data set may have grown since
    assert len(side) == len(pictures)
    seen: dict[tuple[str, ...], set[str]] = {}
    for picture in pictures:
        for column in ("lesion_id", "patient_id"):
            if picture.columns.get(column):
                key = (picture.source, column, picture.columns[column])
                seen.setdefault(key, set()).add(side[picture.source, picture.file])
        if picture.columns.get("same_as"):
            twin = side["melanoma10k", picture.columns["same_as"].removeprefix("melanoma10k/")]
            assert {twin, side[picture.source, picture.file]} in ({"train"}, {"val"}, {"dropped"})
    assert seen
    assert [key for key, sides in seen.items() if len(sides - {"dropped"}) > 1] == []
