"""Is a picture like those that a network has learnt from? Its distance to them in the network's early features.

Mahalanobis distance (Lee et al. 2018, arXiv 1807.03888) to the training pictures' mean colours, edges and textures, as
the mean over the picture of every channel of three early blocks, with Ledoit & Wolf's covariance (2004). Late features
were trained to forget all but the class: in them, a cat is a lesion. docs/EXPERIMENTS.md has the comparison.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from sklearn.covariance import LedoitWolf
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from lesion_demo.errors import CheckpointError
from lesion_demo.files import replacing
from lesion_demo.learning.arrays import Bools
from lesion_demo.learning.dataset import Sample

BLOCKS = (2, 3, 4)
"""Children of the network's `features` whose channels are averaged; chosen by the share of strangers refused."""
REFUSED = 0.02
"""Share of validation pictures that the limit refuses, and of dermoscopic ones that are taken for photographs."""
FEW = 50
"""Training photographs below which what tells them from dermoscopy is not learnt."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class KnownPictures:
    """Where the pictures that a network knows lie in its features.

    Attributes:
        mean: float64 [D].
        precision: inverse covariance, float64 [D, D].
        limit: up to this distance a picture is familiar.
        photograph: float64 [D + 1], weights and bias: above 0 a picture was taken without a dermatoscope. None where
            there were too few such pictures to learn from.
    """

    mean: Floats
    precision: Floats
    limit: float
    photograph: Floats | None = None

    def distances(self, features: Floats) -> Floats:
        """Mahalanobis distance [N], 0 or more, of `features` [N, D] from `describe`."""
        offset = features - self.mean
        return np.asarray(np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", offset, self.precision, offset), 0.0)))

    def photographs(self, features: Floats) -> Bools:
        """Which of `features` [N, D] are of pictures taken without a dermatoscope, [N]."""
        if self.photograph is None:
            return np.zeros(len(features), dtype=bool)
        return np.asarray(features @ self.photograph[:-1] + self.photograph[-1] > 0)


def can_describe(model: nn.Module) -> bool:
    """Has the network a row of feature blocks that is long enough, as an EfficientNet has and a ResNet has not?"""
    features = getattr(model, "features", None)
    return isinstance(features, nn.Sequential) and len(features) > BLOCKS[-1]


@torch.inference_mode()
def describe(model: nn.Module, inputs: Tensor) -> Floats:
    """Mean of every channel of BLOCKS, float64 [N, D], for normalised pictures float32 [N, 3, S, S].

    The network is one that `can_describe`.
    """
    found = []
    for number, block in enumerate(list(model.get_submodule("features").children())[: BLOCKS[-1] + 1]):
        inputs = block(inputs)
        if number in BLOCKS:
            found.append(inputs.mean(dim=(2, 3)))
    return torch.cat(found, dim=1).double().cpu().numpy()


def describe_all(model: nn.Module, loader: DataLoader[Sample], title: str) -> Floats:
    """`describe` for every picture of `loader`, in its order: [N, D]."""
    device = next(model.parameters()).device
    model.eval()
    batches = [
        describe(model, images.to(device, memory_format=torch.channels_last))
        for images, _, _ in tqdm(loader, title, leave=False)
    ]
    return np.concatenate(batches)


def learn(
    train: Floats, val: Floats, train_photographs: Bools | None = None, val_photographs: Bools | None = None
) -> KnownPictures:
    """What is known after `train` [N, D], with the limit that refuses REFUSED of `val` [M, D].

    Args:
        train_photographs, val_photographs: which of them were taken without a dermatoscope, [N] and [M].
    """
    estimate = LedoitWolf().fit(train)
    known = KnownPictures(train.mean(axis=0), estimate.precision_, limit=np.inf)
    limit = float(np.quantile(known.distances(val), 1 - REFUSED))
    direction = None
    if train_photographs is not None and val_photographs is not None and train_photographs.sum() >= FEW:
        direction = _photograph_direction(train, train_photographs, val[~val_photographs])
    return KnownPictures(known.mean, known.precision, limit, direction)


def _photograph_direction(train: Floats, photographs: Bools, dermoscopic: Floats) -> Floats:
    """Logistic regression of `photographs` on `train`, its bias such that it takes REFUSED of `dermoscopic` for one."""
    mean, spread = train.mean(axis=0), train.std(axis=0) + 1e-9
    fitted = LogisticRegression(C=0.1, max_iter=3000, class_weight="balanced").fit((train - mean) / spread, photographs)
    weights = fitted.coef_[0] / spread
    return np.append(weights, -np.quantile(dermoscopic @ weights, 1 - REFUSED))


def write_known(path: Path, known: KnownPictures) -> None:
    """Save to a safetensors file, whole or not at all."""
    values = {"mean": known.mean, "precision": known.precision, "limit": np.array([known.limit])}
    if known.photograph is not None:
        values["photograph"] = known.photograph
    with replacing(path) as part:
        save_file(values, part)


def read_known(path: Path) -> KnownPictures:
    """What `write_known` wrote.

    Raises:
        CheckpointError: the file is damaged.
    """
    try:
        values = load_file(path)
        known = KnownPictures(values["mean"], values["precision"], float(values["limit"][0]), values.get("photograph"))
    except (OSError, SafetensorError, KeyError, IndexError) as error:
        raise CheckpointError(f"{path} is damaged ({error}): copy the checkpoint again.") from error
    size = len(known.mean)
    if known.precision.shape != (size, size) or (known.photograph is not None and len(known.photograph) != size + 1):
        raise CheckpointError(f"{path} is damaged (sizes do not agree): copy the checkpoint again.")
    return known
