"""Is a picture like those that a network has learnt from? Its distance to them in the network's early features.

Mahalanobis distance (Lee et al. 2018, arXiv 1807.03888) to the training pictures' mean colours, edges and textures, as
the mean over the picture of every channel of three early blocks, with Ledoit & Wolf's covariance (2004). Late features
were trained to forget all but the class: in them, a cat is a lesion. docs/EXPERIMENTS.md has the comparison.

Bare skin is what most of every picture shows, so no distance tells it; a logistic regression on the same features does,
which has learnt from corners without lesion against whole pictures and close-ups of lesions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
from lesion_demo.imaging.transforms import Picture as Pixels
from lesion_demo.imaging.transforms import Transform
from lesion_demo.learning.arrays import Bools
from lesion_demo.learning.dataset import Sample

BLOCKS = (2, 3, 4)
"""Children of the network's `features` whose channels are averaged; chosen by the share of strangers refused."""
REFUSED = 0.02
"""Share of validation pictures that are refused in all, and of dermoscopic ones that are taken for photographs."""
BARE_REFUSED = 0.005
"""Share of validation pictures that may be taken for bare skin."""
CLOSE_UPS_REFUSED = 0.1
"""Share of close-ups of validation pictures' lesions that may be."""
FEW = 50
"""Training photographs, dermoscopic pictures or corners of bare skin, below which what tells them is not learnt."""
AT_ONCE = 16
"""Pictures per forward pass."""
PENALTY = 0.1
"""scikit-learn's C: the inverse strength of regularisation, for features of spread 1."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Crops:
    """Features of parts of some pictures: `skin` [K, D] of corners without lesion, `lesion` [K, D] of the middles."""

    skin: Floats
    lesion: Floats


@dataclass(frozen=True)
class KnownPictures:
    """Where the pictures that a network knows lie in its features.

    Attributes:
        mean: float64 [D].
        precision: inverse covariance, float64 [D, D].
        limit: up to this distance a picture is familiar.
        photograph: float64 [D + 1], weights and bias: above 0 a picture was taken without a dermatoscope. None where
            there were too few such pictures to learn from, or too few others.
        bare: float64 [D + 1], likewise: above 0 a picture shows skin without a lesion.
    """

    mean: Floats
    precision: Floats
    limit: float
    photograph: Floats | None = None
    bare: Floats | None = None

    def distances(self, features: Floats) -> Floats:
        """Mahalanobis distance [N], 0 or more, of `features` [N, D] from `describe`."""
        offset = features - self.mean
        return np.asarray(np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", offset, self.precision, offset), 0.0)))

    def photographs(self, features: Floats) -> Bools:
        """Which of `features` [N, D] are of pictures taken without a dermatoscope, [N]."""
        return _beyond(features, self.photograph)

    def bare_skin(self, features: Floats) -> Bools:
        """Which of `features` [N, D] are of skin without a lesion, [N]."""
        return _beyond(features, self.bare)

    def refused(self, features: Floats) -> Bools:
        """Which of `features` [N, D] are of pictures that get no verdict: too far away, or bare skin; [N]."""
        return (self.distances(features) > self.limit) | self.bare_skin(features)


def _beyond(features: Floats, direction: Floats | None) -> Bools:
    if direction is None:
        return np.zeros(len(features), dtype=bool)
    return np.asarray(features @ direction[:-1] + direction[-1] > 0)


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


@torch.inference_mode()
def described_size(model: nn.Module) -> int:
    """D, how many numbers `describe` finds in a picture."""
    device = next(model.parameters()).device
    mode = model.training
    size = describe(model.eval(), torch.zeros(1, 3, 64, 64, device=device)).shape[1]
    model.train(mode)
    return size


def describe_all(model: nn.Module, loader: DataLoader[Sample], title: str) -> Floats:
    """`describe` for every picture of `loader`, in its order: [N, D]."""
    device = next(model.parameters()).device
    model.eval()
    batches = [
        describe(model, images.to(device, memory_format=torch.channels_last))
        for images, _, _ in tqdm(loader, title, leave=False)
    ]
    return np.concatenate(batches)


@torch.inference_mode()
def describe_pictures(model: nn.Module, transform: Transform, pictures: Sequence[Pixels], title: str) -> Floats:
    """`describe` for `pictures`, uint8 [H, W, 3] each: [N, D]."""
    device = next(model.parameters()).device
    model.eval()
    starts = tqdm(range(0, len(pictures), AT_ONCE), title, leave=False)
    inputs = (torch.stack([transform(picture) for picture in pictures[start : start + AT_ONCE]]) for start in starts)
    return np.concatenate([describe(model, batch.to(device, memory_format=torch.channels_last)) for batch in inputs])


def learn(
    train: Floats,
    val: Floats,
    *,
    photographs: tuple[Bools, Bools] | None = None,
    crops: tuple[Crops, Crops] | None = None,
) -> KnownPictures:
    """What is known after `train` [N, D], with limits that refuse REFUSED of `val` [M, D] in all.

    Args:
        photographs: which of `train` [N] and of `val` [M] were taken without a dermatoscope.
        crops: parts of training and of validation pictures.
    """
    known = KnownPictures(train.mean(axis=0), LedoitWolf().fit(train).precision_, limit=np.inf)
    if crops is not None and len(crops[0].skin) >= FEW:
        known = replace(known, bare=_bare_direction(train, crops[0], val, crops[1]))
    if photographs is not None and _can_be_told(*photographs):
        known = replace(known, photograph=_photograph_direction(train, photographs[0], val[~photographs[1]]))
    bare = known.bare_skin(val)
    left = max(0.0, REFUSED * len(val) - bare.sum()) / max(1, (~bare).sum())
    return replace(known, limit=float(np.quantile(known.distances(val[~bare]), 1 - left)))


def _can_be_told(train: Bools, val: Bools) -> bool:
    """Are there enough of both kinds to tell photographs (True) from dermoscopic pictures?"""
    return bool(min(train.sum(), (~train).sum()) >= FEW and not val.all())


def _photograph_direction(train: Floats, photographs: Bools, dermoscopic: Floats) -> Floats:
    """What tells `photographs`; its bias is such that it takes REFUSED of `dermoscopic` for one."""
    weights = _telling(train, photographs, np.where(photographs, 1 / photographs.sum(), 1 / (~photographs).sum()))
    return np.append(weights, -np.quantile(dermoscopic @ weights, 1 - REFUSED))


def _bare_direction(train: Floats, train_crops: Crops, val: Floats, val_crops: Crops) -> Floats:
    """What tells corners of skin; its bias is such that it takes few of `val` and of close-ups for some.

    Close-ups are half of what it is taught against: else it would tell enlargement, not the lesion.
    """
    skin, close, whole = len(train_crops.skin), len(train_crops.lesion), len(train)
    features = np.concatenate([train_crops.skin, train_crops.lesion, train])
    mass = np.repeat([1 / skin, 0.5 / close, 0.5 / whole], [skin, close, whole])
    weights = _telling(features, np.arange(len(features)) < skin, mass)
    limit = max(
        float(np.quantile(val @ weights, 1 - BARE_REFUSED)),
        float(np.quantile(val_crops.lesion @ weights, 1 - CLOSE_UPS_REFUSED)) if len(val_crops.lesion) else -np.inf,
    )
    return np.append(weights, -limit)


def _telling(features: Floats, wanted: Bools, mass: Floats) -> Floats:
    """Weights [D] of a logistic regression that tells `wanted` [N] of `features` [N, D], each of weight `mass` [N]."""
    mean, spread = features.mean(axis=0), features.std(axis=0) + 1e-9
    regression = LogisticRegression(C=PENALTY, max_iter=3000)
    regression.fit((features - mean) / spread, wanted, sample_weight=mass / mass.mean())
    return np.asarray(regression.coef_[0] / spread)


def write_known(path: Path, known: KnownPictures) -> None:
    """Save to a safetensors file, whole or not at all."""
    values = {"mean": known.mean, "precision": known.precision, "limit": np.array([known.limit])}
    directions = {"photograph": known.photograph, "bare": known.bare}
    values |= {name: direction for name, direction in directions.items() if direction is not None}
    with replacing(path) as part:
        save_file(values, part)
        part.chmod(0o644)  # as the weights beside it: a server may run as another user


def read_known(path: Path) -> KnownPictures:
    """What `write_known` wrote.

    Raises:
        CheckpointError: the file is damaged.
    """
    try:
        values = load_file(path)
        directions = (values.get("photograph"), values.get("bare"))
        known = KnownPictures(values["mean"], values["precision"], float(values["limit"][0]), *directions)
    except (OSError, SafetensorError, KeyError, IndexError) as error:
        raise CheckpointError(f"{path} is damaged ({error}): copy the checkpoint again.") from error
    size = known.mean.size
    sizes_agree = all(direction is None or direction.shape == (size + 1,) for direction in directions)
    if known.mean.shape != (size,) or known.precision.shape != (size, size) or not sizes_agree:
        raise CheckpointError(f"{path} is damaged (sizes do not agree): copy the checkpoint again.")
    if not all(np.isfinite(value).all() for value in values.values()):
        raise CheckpointError(f"{path} is damaged (it holds what is no number): copy the checkpoint again.")
    return known
