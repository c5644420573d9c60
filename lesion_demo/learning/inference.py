"""Run a network over a loader, on one process or several."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from lesion_demo.learning.arrays import malignant_probability
from lesion_demo.learning.dataset import Sample

FLIPS: tuple[tuple[int, ...], ...] = ((), (3,), (2,), (2, 3))
"""The views of a picture: as it is, mirrored, upside down, and both; axes of [B, 3, S, S]. A lesion has no upside."""


@dataclass(frozen=True)
class Predictions:
    """What a network said of N pictures, in their order.

    Attributes:
        logits: float64 [N, 2], the mean over the views.
        labels: int64 [N].
        spread: float64 [N], standard deviation of the log-odds over the views; 0 with one view.
    """

    logits: NDArray[np.float64]
    labels: NDArray[np.int64]
    spread: NDArray[np.float64] | None = None

    def probabilities(self, temperature: float = 1.0) -> NDArray[np.float64]:
        """Probability of malignancy [N] in 0–1."""
        return malignant_probability(self.logits, temperature)


@torch.inference_mode()
def predict(
    model: nn.Module,
    loader: DataLoader[Sample],
    title: str,
    *,
    accelerator: Accelerator | None = None,
    views: int = 1,
) -> Predictions:
    """Logits of every picture, averaged over the first `views` of FLIPS: so many times the time.

    Without an `accelerator`, on one process and in float32. With one, in its precision and on all its processes, of
    which each sees its share and gets the whole; then `loader` is one that it prepared, `model` the bare network.
    """
    model.eval()
    device = next(model.parameters()).device
    quiet = accelerator is not None and not accelerator.is_main_process
    logits: list[Tensor] = []
    labels: list[Tensor] = []
    order: list[Tensor] = []
    spread: list[Tensor] = []
    for images, targets, indices in tqdm(loader, title, leave=False, disable=quiet):
        images = images.to(device, memory_format=torch.channels_last)  # [B, 3, S, S]
        with nullcontext() if accelerator is None else accelerator.autocast():
            seen = torch.stack([model(images.flip(axes)).float() for axes in FLIPS[:views]])  # [V, B, 2]
        odds = (seen[..., 1] - seen[..., 0]).std(dim=0, correction=0)
        batch = (seen.mean(dim=0), targets.to(device), indices.to(device), odds)
        if accelerator is not None:
            batch = accelerator.gather_for_metrics(batch)
        for store, tensor in zip((logits, labels, order, spread), batch, strict=True):
            store.append(tensor.cpu())
    by_index = torch.cat(order).argsort()
    return Predictions(
        torch.cat(logits)[by_index].double().numpy(),
        torch.cat(labels)[by_index].long().numpy(),
        torch.cat(spread)[by_index].double().numpy(),
    )
