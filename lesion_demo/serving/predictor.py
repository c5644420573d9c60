"""Pictures → calibrated probabilities of malignancy, one or many."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lesion_demo.checkpoint import LoadedCheckpoint
from lesion_demo.errors import CheckpointError
from lesion_demo.imaging.transforms import Picture, eval_transform
from lesion_demo.learning.arrays import malignant_probability
from lesion_demo.learning.familiarity import describe
from lesion_demo.serving.familiarity import Familiarity

BATCH_SIZE = 16
"""Pictures per forward pass."""


class Predictor:
    """A checkpoint's network, preprocessing and temperature. It keeps nothing between calls: threads may share one."""

    def __init__(self, loaded: LoadedCheckpoint, device: torch.device | str | None = None) -> None:
        """Takes over `loaded.model` and moves it to `device`; by default a CUDA device, if there is one."""
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.model = loaded.model.to(self.device).to(memory_format=torch.channels_last).eval()
        self._folder = loaded.folder
        self._known = loaded.known
        self.local = loaded.meta.local
        self._temperature, self._intercept = loaded.meta.temperature, loaded.meta.intercept
        self._transform = eval_transform(loaded.meta.preprocess)

    def prepare(self, picture: Picture) -> Tensor:
        """The network's input float32 [3, S, S], on the CPU, from a picture uint8 [H, W, 3]."""
        return self._transform(picture)

    def to_device(self, inputs: Tensor) -> Tensor:
        """`inputs` [N, 3, S, S] where the network is, in the memory layout it computes fastest in."""
        return inputs.to(self.device, memory_format=torch.channels_last)

    def predict(self, inputs: Tensor) -> NDArray[np.float64]:
        """Calibrated probabilities of malignancy [N] in 0–1, for inputs float32 [N, 3, S, S], in one forward pass.

        The network computes in float32, as it did when the thresholds were chosen.

        Raises:
            CheckpointError: the network's answer is not a number.
        """
        with torch.inference_mode():
            return self.calibrated(self.model(self.to_device(inputs)))

    def calibrated(self, logits: Tensor) -> NDArray[np.float64]:
        """Calibrated probabilities of malignancy [N] in 0–1 from the network's `logits` [N, 2].

        Raises:
            CheckpointError: they are not numbers.
        """
        if not logits.isfinite().all():
            raise CheckpointError(f"The network in {self._folder} answers with no number: its weights are damaged.")
        found = malignant_probability(logits.cpu().numpy(), self._temperature, self._intercept)
        if not np.isfinite(found).all():
            raise CheckpointError(f"The temperature of {self._folder}, {self._temperature}, gives no probability.")
        return found

    def familiarity(self, inputs: Tensor) -> list[Familiarity | None]:
        """For each of `inputs` [N, 3, S, S], how unlike the training pictures it is; None where nothing is known."""
        if self._known is None:
            return [None] * len(inputs)
        known, features = self._known, describe(self.model, self.to_device(inputs))
        found = zip(known.distances(features), known.photographs(features), known.bare_skin(features), strict=True)
        return [
            Familiarity(float(distance), known.limit, bool(photograph), bool(bare))
            for distance, photograph, bare in found
        ]

    def probabilities(self, pictures: Iterable[Picture], batch_size: int = BATCH_SIZE) -> NDArray[np.float64]:
        """Calibrated probabilities of malignancy [N] in 0–1, for N pictures uint8 [H, W, 3] of any sizes.

        `pictures` is read a batch at a time, so that it may be a generator over more of them than memory holds.
        """
        inputs = (self.prepare(picture) for picture in pictures)
        results = [self.predict(torch.stack(batch)) for batch in _batches(inputs, batch_size)]
        return np.concatenate(results) if results else np.empty(0)


def _batches(inputs: Iterator[Tensor], size: int) -> Iterator[list[Tensor]]:
    while batch := list(islice(inputs, size)):
        yield batch
