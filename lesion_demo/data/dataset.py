"""Pictures as a torch data set, drawn so that classes are balanced within each source."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler, default_collate
from tqdm import tqdm

from lesion_demo.data.delivery import delivered
from lesion_demo.data.picture import Picture
from lesion_demo.data.reader import PictureReader
from lesion_demo.errors import TrainingError
from lesion_demo.images.transforms import Transform

log = logging.getLogger(__name__)

Edit = Callable[[NDArray[np.uint8], int], NDArray[np.uint8]]
"""A change made to a picture (uint8 [H, W, 3]) before its transform, given its index."""
Sample = tuple[Tensor, int, int]
"""Input float32 [3, S, S], label, index into the pictures."""
MeasuredSample = tuple[Tensor, int, int, Any]
"""The same, and what was measured in the picture."""
T = TypeVar("T")
Measure = Callable[[NDArray[np.uint8]], T]
"""Whatever is found in a picture uint8 [H, W, 3]; picklable, as an `Edit` is: workers may be processes of their own."""
BATCH = 32
"""Pictures per forward pass where nothing is learnt."""
WORKERS = 2
"""Processes that read and prepare pictures, by default."""


@dataclass(frozen=True, eq=False)
class LesionDataset(Dataset[Sample]):
    """`pictures` through `transform`, after an optional `edit` of the raw picture."""

    pictures: Sequence[Picture]
    transform: Transform
    reader: PictureReader
    edit: Edit | None = None

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Sample:
        image = self.reader(self.pictures[index])
        if self.edit is not None:
            image = self.edit(image, index)
        return self.transform(image), self.pictures[index].label, index


@dataclass(frozen=True, eq=False)
class EditedDataset(Dataset[MeasuredSample]):
    """Every picture of `pictures` under each of `edits`, edit by edit: a sample, and what `measure` finds in it."""

    pictures: Sequence[Picture]
    transform: Transform
    reader: PictureReader
    edits: Sequence[Edit | None]
    measure: Measure[Any] | None

    def __len__(self) -> int:
        return len(self.edits) * len(self.pictures)

    def __getitem__(self, index: int) -> MeasuredSample:
        number, place = divmod(index, len(self.pictures))
        image, edit = self.reader(self.pictures[place]), self.edits[number]
        if edit is not None:
            image = edit(image, place)
        measured = None if self.measure is None else self.measure(image)
        return self.transform(image), self.pictures[place].label, place, measured


@dataclass(frozen=True, eq=False)
class MeasuredDataset(Dataset[T]):
    """What `measure` finds in each of `pictures`."""

    pictures: Sequence[Picture]
    reader: PictureReader
    measure: Measure[T]

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> T:
        return self.measure(self.reader(self.pictures[index]))


def measure_all(
    pictures: Sequence[Picture], measure: Measure[T], reader: PictureReader, title: str, *, workers: int = WORKERS
) -> list[T]:
    """What `measure` finds in each of `pictures`, which `workers` processes read; without a network."""
    dataset = MeasuredDataset(pictures, reader, measure)
    loader = DataLoader(dataset, batch_size=BATCH, num_workers=workers, collate_fn=list)
    batches = tqdm(delivered(loader), title, len(loader), leave=False)
    return [found for batch in batches for found in batch]


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
            raise TrainingError(f"emphasis for {source} is {factor}: the factor must be 0 or more.")
        if source not in sources:
            log.warning("emphasis names %s, but the data sets are %s: it has no effect.", source, ", ".join(sources))
    if sources and all(emphasis.get(source) == 0 for source in sources):
        raise TrainingError("emphasis has the factor 0 for every data set: no pictures would be used.")


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


def eval_loader(dataset: LesionDataset, *, workers: int = WORKERS) -> DataLoader[Sample]:
    """Every picture once, in order."""
    return DataLoader(dataset, batch_size=BATCH, shuffle=False, num_workers=workers)


def edited_loader(dataset: EditedDataset, *, workers: int = WORKERS) -> DataLoader[MeasuredSample]:
    """Everything once, in order; no batch holds pictures under two edits. What was measured comes as a list."""
    count = len(dataset.pictures)
    starts = [start for first in range(0, len(dataset), count) for start in range(first, first + count, BATCH)]
    batches = [list(range(start, min(start + BATCH, (start // count + 1) * count))) for start in starts]
    return DataLoader(dataset, batch_sampler=batches, num_workers=workers, collate_fn=_collate)


def _collate(samples: Sequence[MeasuredSample]) -> tuple[Tensor, Tensor, Tensor, list[Any]]:
    images, labels, places = default_collate([sample[:3] for sample in samples])
    return images, labels, places, [sample[3] for sample in samples]
