"""Pictures → calibrated probabilities of malignancy, one or many."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from lesion_demo.arrays import malignant_probability
from lesion_demo.checkpoint import LoadedCheckpoint
from lesion_demo.errors import CheckpointError
from lesion_demo.images import Pixels
from lesion_demo.images.look import Look
from lesion_demo.images.prepare import Inputs, prepare
from lesion_demo.network.engine import Array, Forward, in_turns
from lesion_demo.serve.familiarity import Familiarity
from lesion_demo.serve.opened import ServedCheckpoint, in_torch

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

BATCH_SIZE = 16
"""Pictures per forward pass."""


@dataclass(frozen=True)
class Prediction:
    """What is said of N pictures.

    Attributes:
        probabilities: of malignancy, float64 [N] in 0–1, calibrated.
        spread: standard deviation of the calibrated log-odds over the turns, [N]; None after a single look.
        familiarity: how unlike the training pictures each is; None where nothing is known.
        forward: what the network gave, the mean of its turns.
    """

    probabilities: NDArray[np.float64]
    spread: NDArray[np.float64] | None
    familiarity: tuple[Familiarity | None, ...]
    forward: Forward[Array]


class Predictor:
    """A checkpoint's network, preprocessing and temperature. It keeps nothing between calls: threads may share one."""

    def __init__(self, loaded: LoadedCheckpoint | ServedCheckpoint, device: torch.device | str | None = None) -> None:
        """Takes over `loaded`; one that has no engine yet is run by PyTorch on `device`, see `pick_device`."""
        served = loaded if isinstance(loaded, ServedCheckpoint) else in_torch(loaded, device)
        self.engine = served.engine
        self._folder = served.folder
        self._known = served.known
        self.local = served.meta.local
        self._temperature, self._intercept = served.meta.temperature, served.meta.intercept
        self._spec = served.meta.preprocess

    def prepare(self, picture: Pixels | Look) -> Inputs:
        """The network's input float32 [3, S, S] from a picture uint8 [H, W, 3] or a look at it."""
        return prepare(picture, self._spec)

    def predict(self, inputs: Inputs) -> Prediction:
        """Everything about inputs float32 [N, 3, S, S] that the network tells, in the checkpoint's number of turns.

        Raises:
            CheckpointError: the network's answer is not a number.
        """
        found = in_turns(self.engine, inputs, self._spec.turns, np)
        spread = None if found.spread is None else found.spread.astype(np.float64) / self._temperature
        return Prediction(self._calibrated(found.logits), spread, self._familiarity(found), found)

    def _calibrated(self, logits: Array) -> NDArray[np.float64]:
        if not np.isfinite(logits).all():
            raise CheckpointError(
                f"The network in {self._folder} gives results that are not numbers: its weights are damaged."
            )
        found = malignant_probability(logits, self._temperature, self._intercept)
        if not np.isfinite(found).all():
            raise CheckpointError(
                f"The temperature of {self._folder}, {self._temperature}, does not give valid probabilities."
            )
        return found

    def _familiarity(self, found: Forward[Array]) -> tuple[Familiarity | None, ...]:
        if self._known is None or found.early is None:
            return (None,) * len(found.logits)
        known, features = self._known, found.early.astype(np.float64)
        each = zip(known.distances(features), known.photographs(features), known.bare_skin(features), strict=True)
        return tuple(
            Familiarity(float(distance), known.limit, bool(photo), bool(bare)) for distance, photo, bare in each
        )

    def probabilities(self, pictures: Iterable[Pixels], batch_size: int = BATCH_SIZE) -> NDArray[np.float64]:
        """Calibrated probabilities of malignancy [N] in 0–1, for N pictures uint8 [H, W, 3] of any sizes.

        `pictures` is read a batch at a time, so that it may be a generator over more of them than memory holds.
        """
        inputs = (self.prepare(picture) for picture in pictures)
        batches = read_ahead(_batches(inputs, batch_size))
        results = [self.predict(np.stack(batch)).probabilities for batch in batches]
        return np.concatenate(results) if results else np.empty(0)


def read_ahead(items: Iterable[T]) -> Iterator[T]:
    """`items`, each made in another thread while the one before it is in use; what that raises is raised here."""
    iterator, end = iter(items), object()
    with ThreadPoolExecutor(1) as aside:
        ahead = aside.submit(next, iterator, end)
        while (item := ahead.result()) is not end:
            ahead = aside.submit(next, iterator, end)
            yield cast(T, item)


def _batches(inputs: Iterator[Inputs], size: int) -> Iterator[list[Inputs]]:
    while batch := list(islice(inputs, size)):
        yield batch
