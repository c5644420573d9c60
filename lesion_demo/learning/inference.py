"""Run a network over a loader, on one process or several."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from lesion_demo.learning.dataset import Sample
from lesion_demo.learning.metrics import malignant_probability


@dataclass(frozen=True)
class Predictions:
    """What a network said of N pictures, in their order.

    Attributes:
        logits: float64 [N, 2].
        labels: int64 [N].
    """

    logits: NDArray[np.float64]
    labels: NDArray[np.int64]

    def probabilities(self, temperature: float = 1.0) -> NDArray[np.float64]:
        """Probability of malignancy [N] in 0–1."""
        return malignant_probability(self.logits, temperature)


@torch.inference_mode()
def predict(model: nn.Module, loader: DataLoader[Sample], accelerator: Accelerator, title: str) -> Predictions:
    """Logits of every picture; each process sees its share, and all of them get the whole.

    `model` is the bare network; a loader prepared by `accelerator` splits its batches over the processes.
    """
    model.eval()
    logits, labels, order = [], [], []
    for images, targets, indices in tqdm(loader, title, leave=False, disable=not accelerator.is_main_process):
        images = images.to(accelerator.device, memory_format=torch.channels_last)
        with accelerator.autocast():
            output = model(images)  # [B, 2]
        gathered = accelerator.gather_for_metrics(
            (output.float(), targets.to(accelerator.device), indices.to(accelerator.device))
        )
        for store, tensor in zip((logits, labels, order), gathered, strict=True):
            store.append(tensor.cpu())
    by_index = torch.cat(order).argsort()
    return Predictions(torch.cat(logits)[by_index].double().numpy(), torch.cat(labels)[by_index].long().numpy())
