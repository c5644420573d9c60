"""What runs a network: a batch of pixels in; early features, last maps and logits out. No torch here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from lesion_demo.config import CLASSES
from lesion_demo.decision import BENIGN, MALIGNANT

if TYPE_CHECKING:
    from torch import Tensor, nn

Array = NDArray[np.float32]
A = TypeVar("A", "NDArray[np.float32]", "Tensor")

AT_ONCE = 16
"""Pictures, each turn counted, that `in_turns` sends through in one pass."""


@dataclass(frozen=True)
class Forward(Generic[A]):
    """What one pass of N pictures gives, float32: arrays from an engine, tensors from a network in PyTorch.

    Attributes:
        early: [N, D], mean of every channel of a few early blocks, which familiarity is told by; None where the network
            has no row of blocks that is long enough.
        maps: [N, C, h, w], the last maps, which the head pools and weighs; None where it has none, as a ViT.
        logits: [N, 2], as `config.CLASSES`.
        spread: [N], standard deviation of the log-odds over the turns of `in_turns`; None after a single look.
    """

    early: A | None
    maps: A | None
    logits: A
    spread: A | None = None


@dataclass(frozen=True, eq=False)
class Head:
    """A head that is a mean over each map and one linear layer: log-odds = `weight` · means + `bias`.

    Attributes:
        weight: float32 [C].
    """

    weight: Array
    bias: float

    @classmethod
    def of(cls, weight: NDArray[np.floating], bias: NDArray[np.floating]) -> Head:
        """From the layer's own `weight` [2, C] and `bias` [2], of any precision: the malignant row less the benign."""
        malignant, benign = CLASSES.index(MALIGNANT), CLASSES.index(BENIGN)
        rows, biases = weight.astype(np.float32), bias.astype(np.float32)
        return cls(rows[malignant] - rows[benign], float(biases[malignant] - biases[benign]))


class Engine(Protocol):
    """Whatever runs a checkpoint's network. It keeps nothing between calls: threads may share one."""

    @property
    def head(self) -> Head | None:
        """The network's head; None where it is of another kind. Then `model` is to be differentiated."""

    @property
    def model(self) -> nn.Module | None:
        """The network in PyTorch; None where something else runs it, which has a `head`."""

    def __call__(self, pixels: Array) -> Forward[Array]:
        """Of normalised pictures [N, 3, S, S], as from `images.prepare`."""


def in_turns(network: Callable[[A], Forward[A]], pixels: A, turns: int, xp: ModuleType) -> Forward[A]:
    """What `network` says of square pictures [N, 3, S, S] turned by 0, 90, … degrees, `turns` times, as their mean.

    Logits are averaged, and with them the log-odds; so are the last maps, each turned back first. The early features
    are those of the picture as it is, as familiarity was learnt from such. A few pictures take one pass with all their
    turns; a full batch takes a pass for each turn, as its size was chosen for the memory.

    Args:
        xp: NumPy or PyTorch, whichever `pixels` are of.
    """
    if turns == 1:
        return network(pixels)
    turned = [xp.rot90(pixels, turn, (2, 3)) for turn in range(turns)]
    if len(pixels) * turns <= AT_ONCE:
        passes = _apart(network(xp.concatenate(turned)), turns)
    else:
        passes = [network(one) for one in turned]
    logits = xp.stack([one.logits for one in passes])  # [T, N, 2]
    maps = [xp.rot90(one.maps, -turn, (2, 3)) for turn, one in enumerate(passes) if one.maps is not None]
    odds = logits[..., 1] - logits[..., 0]
    spread = ((odds - odds.mean(0)) ** 2).mean(0) ** 0.5
    return Forward(passes[0].early, xp.stack(maps).mean(0) if maps else None, logits.mean(0), spread)


def _apart(found: Forward[A], parts: int) -> list[Forward[A]]:
    """What one pass found of `parts` batches that lay one behind the other."""
    size = len(found.logits) // parts

    def part(values: A | None, number: int) -> A | None:
        return None if values is None else values[number * size : (number + 1) * size]

    return [
        Forward(part(found.early, number), part(found.maps, number), found.logits[number * size : (number + 1) * size])
        for number in range(parts)
    ]
