"""Run a network over a loader, on one process or several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from lesion_demo.arrays import Floats, malignant_probability
from lesion_demo.data.dataset import MeasuredSample, Sample
from lesion_demo.data.delivery import delivered
from lesion_demo.images import Pixels
from lesion_demo.images.transforms import Transform
from lesion_demo.network.engine import in_turns
from lesion_demo.network.forward import Network

AT_ONCE = 16
"""Pictures per forward pass of those that are in memory already."""


@dataclass(frozen=True)
class Predictions:
    """What a network said of N pictures, in their order.

    Attributes:
        logits: float64 [N, 2], the mean over the turns, see `in_turns`.
        labels: int64 [N].
        spread: float64 [N], standard deviation of the log-odds over the turns; 0 with one.
        early: float64 [N, D], early features of the picture as it is, see `forward`; None where the network has none.
        measured: what was measured in each picture on the way to the network; empty where nothing was.
    """

    logits: Floats
    labels: NDArray[np.int64]
    spread: Floats | None = None
    early: Floats | None = None
    measured: tuple[Any, ...] = ()

    def probabilities(self, temperature: float = 1.0) -> Floats:
        """Probability of malignancy [N] in 0–1."""
        return malignant_probability(self.logits, temperature)

    def shifted(self, bias: float) -> Predictions:
        """What the network would have said had `bias` been added to its malignant output."""
        return replace(self, logits=self.logits + np.array([0.0, bias]))


@dataclass(frozen=True)
class Batch:
    """What a network said of B pictures; `indices` [B] are their places."""

    logits: Tensor
    labels: Tensor
    indices: Tensor
    spread: Tensor
    early: Tensor | None
    measured: list[Any]


@torch.inference_mode()
def predict_batches(
    network: Network,
    loader: DataLoader[Sample] | DataLoader[MeasuredSample],
    title: str,
    *,
    accelerator: Accelerator | None = None,
    turns: int = 1,
) -> Iterator[Batch]:
    """What is said of every picture, a batch at a time as soon as it is there, see `together`.

    Logits are averaged over so many quarter `turns` of a picture, see `in_turns`. Without an `accelerator`, on one
    process and in float32. With one, in its precision and on all its processes, of which each sees its share and gets
    the whole; then `loader` is one that it prepared, `network` the bare one.
    """
    quiet = accelerator is not None and not accelerator.is_main_process
    for images, targets, indices, *measured in tqdm(delivered(loader), title, len(loader), leave=False, disable=quiet):
        with nullcontext() if accelerator is None else accelerator.autocast():
            found = in_turns(network, images, turns, torch)
        device = found.logits.device
        spread = torch.zeros_like(found.logits[:, 0]) if found.spread is None else found.spread
        batch = (found.logits, targets.to(device), indices.to(device), spread)
        early = found.early
        if accelerator is not None:  # only to judge the network: its early features are of no use
            batch, early = accelerator.gather_for_metrics(batch), None
        logits, labels, places, spread = (tensor.cpu() for tensor in batch)
        yield Batch(logits, labels, places, spread, None if early is None else early.cpu(), *(measured or [[]]))


def together(batches: Sequence[Batch]) -> Predictions:
    """What `batches` say, in the order of the pictures."""
    order = torch.cat([batch.indices for batch in batches]).argsort()
    measured = [one for batch in batches for one in batch.measured]
    early = [batch.early for batch in batches if batch.early is not None]
    return Predictions(
        torch.cat([batch.logits for batch in batches])[order].double().numpy(),
        torch.cat([batch.labels for batch in batches])[order].long().numpy(),
        torch.cat([batch.spread for batch in batches])[order].double().numpy(),
        torch.cat(early)[order].double().numpy() if early else None,
        tuple(measured[place] for place in order.tolist()) if measured else (),
    )


@torch.inference_mode()
def early_features(network: Network, transform: Transform, pictures: Sequence[Pixels], title: str) -> Floats:
    """Early features [N, D] of N `pictures` uint8 [H, W, 3], of a network that has them, see `forward`."""
    found = []
    for start in tqdm(range(0, len(pictures), AT_ONCE), title, leave=False):
        batch = torch.stack([transform(picture) for picture in pictures[start : start + AT_ONCE]])
        early = network(batch).early
        assert early is not None
        found.append(early.cpu().double().numpy())
    return np.concatenate(found)


@torch.inference_mode()
def last_features(network: Network, loader: DataLoader[Sample], title: str) -> Floats | None:
    """Means of the last maps [N, C] of every picture, which a head would see; None where the network has no maps."""
    found = []
    for images, _, _ in tqdm(delivered(loader), title, len(loader), leave=False):
        maps = network(images).maps
        if maps is None:
            return None
        found.append(maps.mean(dim=(2, 3)).cpu().double().numpy())
    return np.concatenate(found)
