"""Is a picture like those that a network has learnt from? Its distance to them in the network's early features.

Mahalanobis distance (Lee et al. 2018, arXiv 1807.03888) to the training pictures' mean colours, edges and textures, as
the mean over the picture of every channel of three early blocks, see `forward`. Late features were trained to forget
all but the class: in them, a cat is a lesion. To the distance is added how much more a picture looks like everyday
ones than like lesions, where that was learnt. docs/EXPERIMENTS.md has the comparison.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from lesion_demo.arrays import Bools, Floats
from lesion_demo.errors import CheckpointError
from lesion_demo.files import replacing

DIRECTIONS = ("photograph", "bare", "unrelated")
"""What a file may have beside mean, precision and limit."""


@dataclass(frozen=True)
class FamiliarityModel:
    """Where the pictures that a network knows lie in its features.

    Attributes:
        mean: float64 [D].
        precision: inverse covariance, float64 [D, D].
        limit: up to this distance a picture is familiar.
        photograph: float64 [D + 1], weights and bias: above 0 a picture was taken without a dermatoscope. None where
            there were too few such pictures to learn from, or too few others.
        bare: float64 [D + 1], likewise: above 0 a picture shows skin without a lesion.
        unrelated: float64 [D + 1], likewise, but added to the distance: above 0 a picture looks more like everyday ones
            than validation pictures do on average. None where that was not learnt, as in files of older versions.
    """

    mean: Floats
    precision: Floats
    limit: float
    photograph: Floats | None = None
    bare: Floats | None = None
    unrelated: Floats | None = None

    def distances(self, features: Floats) -> Floats:
        """Distances [N], 0 or more, of `features` [N, D], early ones of `forward`: see `unrelated`."""
        distances = mahalanobis(features, self.mean, self.precision)
        return distances if self.unrelated is None else np.maximum(distances + _along(features, self.unrelated), 0.0)

    def photographs(self, features: Floats) -> Bools:
        """Which of `features` [N, D] are of pictures taken without a dermatoscope, [N]."""
        return _beyond(features, self.photograph)

    def bare_skin(self, features: Floats) -> Bools:
        """Which of `features` [N, D] are of skin without a lesion, [N]."""
        return _beyond(features, self.bare)

    def refused(self, features: Floats) -> Bools:
        """Which of `features` [N, D] are of pictures that get no verdict: too far away, or bare skin; [N]."""
        return (self.distances(features) > self.limit) | self.bare_skin(features)


def mahalanobis(features: Floats, mean: Floats, precision: Floats) -> Floats:
    """Mahalanobis distance [N], 0 or more, of `features` [N, D] to `mean` [D], by the inverse covariance [D, D]."""
    offset = features - mean
    return np.asarray(np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", offset, precision, offset), 0.0)))


def _along(features: Floats, direction: Floats) -> Floats:
    return np.asarray(features @ direction[:-1] + direction[-1])


def _beyond(features: Floats, direction: Floats | None) -> Bools:
    return np.zeros(len(features), dtype=bool) if direction is None else _along(features, direction) > 0


def write_known(path: Path, known: FamiliarityModel) -> None:
    """Save to a safetensors file, whole or not at all."""
    values = {"mean": known.mean, "precision": known.precision, "limit": np.array([known.limit])}
    directions = {name: getattr(known, name) for name in DIRECTIONS}
    values |= {name: direction for name, direction in directions.items() if direction is not None}
    with replacing(path) as part:
        save_file(values, part)
        part.chmod(0o644)  # as the weights beside it: a server may run as another user


def read_known(path: Path) -> FamiliarityModel:
    """What `write_known` wrote.

    Raises:
        CheckpointError: the file is damaged.
    """
    try:
        values = load_file(path)
        directions = {name: values.get(name) for name in DIRECTIONS}
        known = FamiliarityModel(values["mean"], values["precision"], float(values["limit"][0]), **directions)
    except (OSError, SafetensorError, KeyError, IndexError) as error:
        raise CheckpointError(f"{path} is damaged ({error}): copy the checkpoint again.") from error
    size = known.mean.size
    sizes_agree = all(direction is None or direction.shape == (size + 1,) for direction in directions.values())
    if known.mean.shape != (size,) or known.precision.shape != (size, size) or not sizes_agree:
        raise CheckpointError(f"{path} is damaged (sizes do not agree): copy the checkpoint again.")
    if not all(np.isfinite(value).all() for value in values.values()):
        raise CheckpointError(
            f"{path} is damaged (it contains values that are not numbers): copy the checkpoint again."
        )
    return known
