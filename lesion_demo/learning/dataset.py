"""Pictures as a torch data set, drawn so that classes are balanced within each source."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler

from lesion_demo.errors import TrainingError
from lesion_demo.imaging.transforms import Transform
from lesion_demo.learning.folders import Picture
from lesion_demo.learning.reader import PictureReader

log = logging.getLogger(__name__)

Edit = Callable[[NDArray[np.uint8], int], NDArray[np.uint8]]
"""A change made to a picture (uint8 [H, W, 3]) before its transform, given its index."""
Sample = tuple[Tensor, int, int]
"""Input float32 [3, S, S], label, index into the pictures."""


class LesionDataset(Dataset[Sample]):
    """`pictures` through `transform`, after an optional `edit` of the raw picture."""

    def __init__(
        self, pictures: Sequence[Picture], transform: Transform, reader: PictureReader, edit: Edit | None = None
    ) -> None:
        self.pictures = pictures
        self.transform = transform
        self.reader = reader
        self.edit = edit

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Sample:
        image = self.reader(self.pictures[index])
        if self.edit is not None:
            image = self.edit(image, index)
        return self.transform(image), self.pictures[index].label, index


def balanced_weights(
    pictures: Sequence[Picture], source_balance: float = 1.0, emphasis: Mapping[str, float] | None = None
) -> NDArray[np.float64]:
    """A weight [N] per picture, of sum 1: classes alike within each source, sources by (number of pictures)**balance.

    `emphasis` multiplies a source's share by its name.

    Then the source says nothing about the class. The same weights make validation figures speak of that population,
    whose prevalence is one half.
    """
    sources = Counter(picture.source for picture in pictures)
    cells = Counter((picture.source, picture.label) for picture in pictures)
    classes = Counter(source for source, _ in cells)
    factors = emphasis or {}
    shares = {source: factors.get(source, 1.0) * count**source_balance for source, count in sources.items()}
    weights = np.array([shares[p.source] / (classes[p.source] * cells[p.source, p.label]) for p in pictures])
    return weights / weights.sum()


def check_emphasis(emphasis: Mapping[str, float], pictures: Sequence[Picture]) -> None:
    """Before hours of training: warns of a data set that there is none of.

    Raises:
        TrainingError: a factor is not a finite number of 0 or more, or nothing would be left to draw.
    """
    sources = sorted({picture.source for picture in pictures})
    for source, factor in emphasis.items():
        if not (math.isfinite(factor) and factor >= 0):
            raise TrainingError(f"emphasis draws {source} {factor} times as often: the factor must be 0 or more.")
        if source not in sources:
            log.warning("emphasis names %s, but the data sets are %s: it has no effect.", source, ", ".join(sources))
    if sources and all(emphasis.get(source) == 0 for source in sources):
        raise TrainingError("emphasis has the factor 0 for every data set: nothing is left to draw.")


def train_loader(
    dataset: LesionDataset, weights: NDArray[np.float64], *, count: int, batch: int, workers: int, seed: int
) -> DataLoader[Sample]:
    """Draws `count` pictures by weight, with replacement; `seed` decides the draws and their augmentation."""
    draws = torch.Generator().manual_seed(seed)
    sampler = WeightedRandomSampler(weights.tolist(), count, replacement=True, generator=draws)
    return DataLoader(
        dataset,
        batch_size=batch,
        sampler=sampler,
        num_workers=workers,
        generator=torch.Generator().manual_seed(seed + 1),
        drop_last=count >= batch,
    )


def eval_loader(dataset: LesionDataset, *, batch: int = 32, workers: int = 2) -> DataLoader[Sample]:
    """Every picture once, in order."""
    return DataLoader(dataset, batch_size=batch, shuffle=False, num_workers=workers)
