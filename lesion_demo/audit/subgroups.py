"""The same figures among some of the pictures: does the model hold without a ring, on dark skin, on new lesions?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from lesion_demo.config import OperatingPoint
from lesion_demo.data.dataset import WORKERS, PictureReader, measure_all
from lesion_demo.evaluate.intervals import roc_auc_of, share_if_any
from lesion_demo.evaluate.run import EvaluatedSplit
from lesion_demo.images import Pixels
from lesion_demo.images.look import Look
from lesion_demo.images.tone import tone_of, typology_angle
from lesion_demo.results import Subgroup

Mask = NDArray[np.bool_]
"""[N], True for the pictures that count."""


def appearance(image: Pixels) -> tuple[bool, float, str]:
    """Of `image` (uint8 [H, W, 3]): has it a ring, its mean brightness (0–255) inside of that, and its skin tone."""
    look = Look.of(image)
    ringed = (look.field.height, look.field.width) != look.shape
    return ringed, float(look.inside.mean()), tone_of(typology_angle(look))


def traits(split: EvaluatedSplit, reader: PictureReader, *, workers: int = WORKERS) -> dict[str, Mask]:
    """Masks by name: ringed or not, repeated in training or not, by brightness, skin tone, source and diagnosis."""
    found = measure_all(split.pictures, appearance, reader, "traits", workers=workers)
    ringed, brightness, tones = zip(*found, strict=True)
    light, ring = np.array(brightness), np.array(ringed)
    third, two_thirds = np.quantile(light, (1 / 3, 2 / 3))
    repeated = np.array([picture.near_duplicate_of_train for picture in split.pictures])
    masks = {
        "all": np.ones(len(ring), dtype=bool),
        "with a ring": ring,
        "without a ring": ~ring,
        "without ringed malignant": ~(ring & (split.labels == 1)),
        "near-duplicate in training": repeated,
        "no near-duplicate in training": ~repeated,
        "darkest third": light < third,
        "middle third": (light >= third) & (light < two_thirds),
        "lightest third": light >= two_thirds,
    }
    for title, values in (
        ("skin tone", tones),
        ("source", [picture.source for picture in split.pictures]),
        ("diagnosis", [picture.columns.get("dx", "") for picture in split.pictures]),
    ):
        masks |= {f"{title} {value}": np.array(values) == value for value in sorted(set(values)) if value}
    return masks


def subgroups(split: EvaluatedSplit, masks: Mapping[str, Mask], point: OperatingPoint) -> list[Subgroup]:
    """Sensitivity and specificity at `point`, and ROC-AUC, among the pictures of each mask."""
    called = split.probabilities >= point.threshold
    found = []
    for name, mask in masks.items():
        benign, malignant = mask & (split.labels == 0), mask & (split.labels == 1)
        own = split.where(mask)
        found.append(
            Subgroup(
                name,
                int(benign.sum()),
                int(malignant.sum()),
                share_if_any(called[malignant]),
                share_if_any(~called[benign]),
                roc_auc_of(own.labels, own.probabilities, own.groups),
            )
        )
    return found
