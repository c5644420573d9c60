"""What each place of a picture adds to the answer: heat maps from the maps of the pass that gave the answer."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lesion_demo.config import PreprocessSpec
from lesion_demo.images import Pixels
from lesion_demo.images.prepare import Inputs, round_window
from lesion_demo.network.engine import Array, Engine, Forward

Heat = NDArray[np.float32]
"""Float32 [H, W] in -1 to 1, as it is drawn: 1 speaks most for malignant, -1 most against, 0 is left without colour."""

TENTH = 0.1
"""Of the area that the network saw: the share for which a place's strength is given."""
FULL = math.log(2)
"""Full colour, for every picture and every network: a tenth of the area this strong doubles the odds by itself, or
halves them. An answer of 10 % where the odds are even takes three such tenths."""
SILENT = math.log(1.1)
"""Where all that speaks for malignant raises the odds by less than a tenth in all, nothing is said to speak for it."""
OPACITY = 0.5
"""Of full colour."""
FOR = ((214, 69, 20), (255, 224, 90))
"""Weak and strong, RGB: warm, and the stronger the lighter."""
AGAINST = ((64, 120, 205), (16, 30, 110))
"""Cool, and the stronger the darker: so the two can be told apart without colour, too."""
EPSILON = 1e-7


@dataclass(frozen=True, eq=False)
class HeatMap:
    """What each place adds to the log-odds of malignancy, before calibration.

    Where the head is a mean over each map and one linear layer, the log-odds are a sum over the places of the last
    maps: place (y, x) adds ((w_malignant - w_benign) · maps[y, x]) / (h · w), and the bias is added once. So what lies
    inside of what the network saw (`inside`), what lies `outside`, and the `bias` sum to the log-odds. Of any other
    network the map is relative (Grad-CAM, 0 to 1 within each picture), and there are no such sums.

    Behind a round window, the corners of the last maps still add something, though nothing of the picture is there:
    they saw it from where they stand, and the zeros with which convolutions pad it. That is counted in `outside` and
    never drawn. Within the disc, padding still lends every place a little of its own; four turns (see `in_turns`)
    average it over the ring that the place lies on. Nothing further is taken off: less the map of an empty picture,
    the maps put less of their mass on the lesion, and would no longer sum to the answer.

    Attributes:
        values: float32 [S, S] over the square that the network saw: the log-odds that a tenth of what it saw would
            add, were it all like this place; or 0–1 where the map is relative. 0 outside.
        seen: bool [S, S], False outside the round window, where there is one.
        outside: log-odds that places outside add; `bias` is the head's. None where the map is relative.
    """

    values: NDArray[np.float32]
    seen: NDArray[np.bool_]
    outside: float | None = None
    bias: float | None = None

    @property
    def absolute(self) -> bool:
        """Is the scale the same for every picture?"""
        return self.outside is not None

    @property
    def speaks_for(self) -> float:
        """The sum of all that speaks for malignant: log-odds; in relative units where the map is relative."""
        return self._sum(self.values.clip(min=0))

    @property
    def speaks_against(self) -> float:
        """The sum of all that speaks against it, 0 or less."""
        return self._sum(self.values.clip(max=0))

    @property
    def silent(self) -> bool:
        """Does nothing that is worth mention speak for malignant?"""
        return self.speaks_for < SILENT if self.absolute else not self.values.any()

    @property
    def drawn(self) -> Heat:
        """The map as it is drawn, [S, S]. Where nothing speaks for malignant, what little there is has no colour."""
        scaled = self.values / FULL if self.absolute else self.values
        return scaled.clip(-1, 0 if self.silent else 1).astype(np.float32)

    def mass_on(self, mask: NDArray[np.bool_]) -> float | None:
        """Share (0–1) of what speaks for malignant that lies on `mask` [S, S]; None where nothing does."""
        positive = self.values.clip(min=0)
        return None if self.silent else float(positive[mask].sum() / positive.sum())

    @property
    def hottest(self) -> tuple[int, int]:
        """Row and column of the place that speaks most for malignant."""
        row, column = np.unravel_index(np.where(self.seen, self.values, -np.inf).argmax(), self.values.shape)
        return int(row), int(column)

    def _sum(self, values: NDArray[np.float32]) -> float:
        return float(values[self.seen].mean() / TENTH)


class Explainer:
    """Heat maps of a network's answers; threads may share one.

    Where the head is a mean over each map and one linear layer, as in an EfficientNet, the maps of the pass that gave
    the answer suffice. Every other network is differentiated, see `GradCam`.
    """

    def __init__(self, engine: Engine, spec: PreprocessSpec) -> None:
        """For the network that `engine` runs, which stays as it is, and sees pictures as `spec` says.

        Raises:
            TrainingError: no heat map can be made of the network.
        """
        self._spec = spec
        self._head = engine.head
        if self._head is None:
            # Only here: it brings PyTorch, scikit-learn and half of SciPy, which an EfficientNet's map does without.
            from lesion_demo.network.grad_cam import GradCam

            assert engine.model is not None
            self._grad_cam = GradCam(engine.model)

    def explain(self, inputs: Inputs, found: Forward[Array]) -> HeatMap:
        """Where `inputs` (float32 [1, 3, S, S]) speak for malignant, and where against.

        Args:
            found: what the network said of `inputs`, in all their turns.
        """
        side = inputs.shape[-1]
        seen = round_window(side) > 0 if self._spec.round_window else np.ones((side, side), bool)
        if self._head is None:
            cam = self._grad_cam(inputs, self._spec.turns)
            return HeatMap(_stretched(_enlarged(_stretched(cam), side)) * seen, seen)
        assert found.maps is not None, "a head is of maps"
        cells = np.einsum("c,chw->hw", self._head.weight, found.maps[0])
        spread = _enlarged(cells, side)
        spread = spread + cells.mean() - spread.mean()  # a side that is no multiple of the maps' weighs their edges
        outside = float((spread * ~seen).mean())
        return HeatMap(spread * seen * np.float32(TENTH * seen.mean()), seen, outside, self._head.bias)


def _enlarged(cells: Array, side: int) -> Array:
    """`cells` [h, w] as [side, side]; with a side that is a multiple of theirs, their mean stays the same."""
    return np.asarray(Image.fromarray(cells).resize((side, side), Image.Resampling.BILINEAR))


def _stretched(heat: Array) -> Array:
    """`heat` with its least value at 0 and its greatest at 1 (all 0 where they are the same)."""
    heat = heat - heat.min()
    return heat / (heat.max() + np.float32(EPSILON))


def place(heat: Heat, visible: tuple[int, int, int, int], shape: tuple[int, int]) -> Heat:
    """Heat map [H, W] over a whole picture of `shape` (H, W) from `heat` [S, S], which covers its `visible` square.

    Args:
        visible: left, top, width and height in pixels, see `images.look.Look.visible`. What lies outside
            was not seen by the network, and is 0.
    """
    left, top, width, height = visible
    placed = np.zeros(shape, dtype=np.float32)
    resized = Image.fromarray(heat).resize((width, height), Image.Resampling.BILINEAR)
    placed[top : top + height, left : left + width] = np.asarray(resized)
    return placed


def overlay(picture: Pixels, heat: Heat, opacity: float = OPACITY) -> Pixels:
    """`picture` (uint8 [H, W, 3]) under the colours of `heat` ([H, W] in -1 to 1): the stronger, the less transparent.

    Args:
        opacity: of full colour, 0–1; where `heat` is 0, the picture is unchanged.
    """
    share = (opacity * np.abs(heat.clip(-1, 1)))[..., None].astype(np.float32)
    return np.rint(picture + share * (colours(heat) - picture)).astype(np.uint8)


def colours(heat: Heat) -> NDArray[np.float32]:
    """RGB [..., 3] in 0–255 of `heat` [...] in -1 to 1, as if it were opaque."""
    strength = np.abs(heat.clip(-1, 1))[..., None]
    ends = np.where((heat >= 0)[..., None, None], np.array(FOR), np.array(AGAINST))  # [..., 2, 3]
    mixed: NDArray[np.float32] = (ends[..., 0, :] + strength * (ends[..., 1, :] - ends[..., 0, :])).astype(np.float32)
    return mixed
