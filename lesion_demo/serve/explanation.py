"""Where in a picture the network found its answer: heat maps from the maps of the pass that gave the answer."""

from __future__ import annotations

import copy
import functools
import threading

import numpy as np
import torch
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from lesion_demo.images.transforms import Picture
from lesion_demo.network.forward import Cut, Forward, layout_of, to_device_of

Heat = NDArray[np.float32]
"""Float32 [H, W] in 0–1: 1 where most speaks for the class that was asked about."""

METHODS = ("gradcam", "gradcam++", "hirescam", "eigencam")
DEFAULT_METHOD = METHODS[0]

COLOURS = "inferno"
"""Perceptually ordered: it rises evenly in lightness, and is readable without colour vision."""
OPACITY = 0.6
"""Of the hottest spot, by default."""
EPSILON = 1e-7
PLUS_PLUS_EPSILON = 1e-6
"""Both keep a division from being one by zero; their sizes are those of the `grad-cam` package."""


class Explainer:
    """Heat maps of a network's answers; threads may share one.

    Where the head is a mean over each map and one linear layer, as in an EfficientNet, a logit is a weighted sum of all
    the maps' values, and its gradient the layer's weight over their number: the same for every picture. So no gradient
    is computed there, and the maps of the pass that gave the answer suffice. Every other network is differentiated
    through the `grad-cam` package, which hooks it: on a copy of its own, for one picture at a time.
    """

    def __init__(self, model: nn.Module, *, by_gradients: bool = False) -> None:
        """For `model`, which stays as it is.

        Args:
            by_gradients: differentiate, whatever the head is.

        Raises:
            TrainingError: no heat map can be made of the network.
        """
        layout = layout_of(model)
        self._linear = None if layout is None or by_gradients else layout.linear
        if self._linear is None:
            # Only here: it brings scikit-learn and half of SciPy, which an EfficientNet's map does without.
            from pytorch_grad_cam.activations_and_gradients import ActivationsAndGradients

            cut = Cut(copy.deepcopy(model).requires_grad_(False)).eval()
            self._hooks = ActivationsAndGradients(cut, [cut.layer], cut.reshape)
            self._one_at_a_time = threading.Lock()

    def heats(self, inputs: Tensor, found: Forward, target: int) -> dict[str, Heat]:
        """Heat maps [S, S] of where `inputs` (float32 [1, 3, S, S]) speak for class `target`, by each of METHODS.

        Scaled as in the `grad-cam` package. The scale is relative: the hottest spot is 1 however little it says. Where
        nothing speaks for the class, all of it is 0, but for EigenCAM, which asks for no class. `_weighed` says how the
        methods differ.

        Args:
            found: what the network's pass over `inputs` gave.
        """
        size = (inputs.shape[-2], inputs.shape[-1])
        if self._linear is None or found.maps is None:
            return heats_of(*self._differentiated(inputs, target), size)
        maps = found.maps.float().cpu()
        weights = self._linear.weight[target].detach().float().cpu() / (maps.shape[2] * maps.shape[3])
        return heats_of(maps, weights[None, :, None, None].expand_as(maps), size)

    def _differentiated(self, inputs: Tensor, target: int) -> tuple[Tensor, Tensor]:
        """The last maps [1, C, h, w], and the gradients of the logit `target` with respect to them."""
        with self._one_at_a_time, torch.enable_grad():
            logits = self._hooks(to_device_of(self._hooks.model, inputs).requires_grad_())
            logits[:, target].sum().backward()
            maps, gradients = self._hooks.activations[0], self._hooks.gradients[0]
            self._hooks.clear()
        return maps.float(), gradients.float()


@torch.no_grad()
def heats_of(maps: Tensor, gradients: Tensor, size: tuple[int, int]) -> dict[str, Heat]:
    """A heat map of `size` by each of METHODS, from the last maps and a logit's gradients there, both [1, C, h, w]."""
    heats = torch.stack([_weighed(method, maps, gradients) for method in METHODS])  # [M, 1, h, w]
    heats = nn.functional.interpolate(_stretched(heats.relu()), size, mode="bilinear", align_corners=False)
    return dict(zip(METHODS, _stretched(heats)[:, 0].numpy(), strict=True))  # [M, S, S]


def _weighed(method: str, maps: Tensor, gradients: Tensor) -> Tensor:
    """The channels of `maps` [1, C, h, w] summed up by `method` into one map [1, h, w], not yet scaled.

    - gradcam: each channel by its mean gradient (Selvaraju et al. 2017, arXiv 1610.02391).
    - gradcam++: by its rising gradients, each weighed so that several lesions, or a large one, count in full
      (Chattopadhyay et al. 2018, arXiv 1710.11063, eq. 19).
    - hirescam: each value by its own gradient (Draelos & Carin 2020, arXiv 2011.08891). Where the head is a mean and
      one linear layer, as in an EfficientNet or ResNet, it is Grad-CAM by its definition.
    - eigencam: the first principal component (Muhammad & Yeasin 2020, arXiv 2008.00299). It does not ask about a
      class, but shows what varies most. Its sign is arbitrary; it is turned so that the extreme is positive
      (Chung & Ying 2025, Appl. Sci. 15, 7562, eq. 13), as a picture should not look inverted by chance.
    """
    if method == "eigencam":
        return _principal_component(maps)
    if method == "hirescam":
        return (gradients * maps).sum(dim=1)
    if method == "gradcam":
        weights = gradients.mean(dim=(2, 3), keepdim=True)  # [1, C, 1, 1]
    else:
        square = gradients**2
        share = square / (2 * square + maps.sum(dim=(2, 3), keepdim=True) * square * gradients + PLUS_PLUS_EPSILON)
        weights = (gradients.relu() * share).sum(dim=(2, 3), keepdim=True)
    return (weights * maps).sum(dim=1)


def _principal_component(maps: Tensor) -> Tensor:
    """Scores [1, h, w] of the pixels of `maps` [1, C, h, w] on their first principal component.

    From the small Gram matrix [h·w, h·w], in float64: a singular value decomposition of [h·w, C] takes far longer.
    """
    pixels = maps[0].nan_to_num(0.0, 0.0, 0.0).flatten(1).T.double()  # [h·w, C]; a damaged network has no components
    pixels = pixels - pixels.mean(dim=0)
    values, vectors = torch.linalg.eigh(pixels @ pixels.T)  # ascending
    scores = vectors[:, -1] * values[-1].clamp(min=0).sqrt()
    if scores.min().abs() > scores.max().abs():
        scores = -scores
    return scores.to(maps.dtype).reshape(1, *maps.shape[-2:])


def _stretched(heats: Tensor) -> Tensor:
    """Each of `heats` [M, 1, h, w] with its least value at 0 and its greatest at 1 (all 0 where they are the same)."""
    heats = heats - heats.amin(dim=(1, 2, 3), keepdim=True)
    return heats / (heats.amax(dim=(1, 2, 3), keepdim=True) + EPSILON)


def place(heat: Heat, visible: tuple[int, int, int, int], shape: tuple[int, int]) -> Heat:
    """Heat map [H, W] over a whole picture of `shape` (H, W) from `heat` [S, S], which covers its `visible` square.

    Args:
        visible: left, top, width and height in pixels, see `imaging.look.Look.visible`. What lies outside
            was not seen by the network, and is 0.
    """
    left, top, width, height = visible
    placed = np.zeros(shape, dtype=np.float32)
    resized = Image.fromarray(heat).resize((width, height), Image.Resampling.BILINEAR)
    placed[top : top + height, left : left + width] = np.asarray(resized)
    return placed


def overlay(picture: Picture, heat: Heat, opacity: float = OPACITY) -> Picture:
    """`picture` (uint8 [H, W, 3]) under the colours of `heat` ([H, W] in 0–1): the hotter, the less transparent.

    Args:
        opacity: of the hottest spot, 0–1; where `heat` is 0, the picture is unchanged.
    """
    colours = _colour_table()[np.rint(np.clip(heat, 0.0, 1.0) * 255).astype(np.uint8)]  # [H, W, 3] in 0–255
    share = (opacity * np.clip(heat, 0.0, 1.0))[..., None].astype(np.float32)
    return np.rint(picture + share * (colours - picture)).astype(np.uint8)


@functools.cache
def _colour_table() -> NDArray[np.float32]:
    """RGB [256, 3] in 0–255."""
    return np.asarray(colormaps[COLOURS](np.arange(256))[:, :3] * 255, dtype=np.float32)
