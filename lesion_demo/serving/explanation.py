"""Where in a picture the network found its answer: heat maps without hooks, so that threads may share the network."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from lesion_demo.imaging.transforms import Picture
from lesion_demo.learning.model import split_at_cam

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


@dataclass(frozen=True)
class Explanation:
    """What one forward pass of the network says of one picture, and where it found it.

    Attributes:
        logits: float32 [2], as from the network itself.
        maps: float32 [1, C, h, w], detached: the last features, which the head pools and weighs.
        heats: a heat map [S, S] for each of METHODS.
    """

    logits: Tensor
    maps: Tensor
    heats: dict[str, Heat]


def explain_all(model: nn.Module, inputs: Tensor, target: int) -> Explanation:
    """Heat maps [S, S] of where `inputs` (float32 [1, 3, S, S]) speak for class `target`, by each of METHODS.

    All from one forward pass; then only the head is differentiated, and no parameter collects a gradient. Scaled as in
    the `grad-cam` package. The scale is relative: the hottest spot is 1 however little it says. Where nothing speaks
    for the class, all of it is 0, but for EigenCAM, which asks for no class. `_weighed` says how the methods differ.

    Raises:
        TrainingError: Grad-CAM does not know the network's layout.
    """
    features, head = split_at_cam(model)
    with torch.no_grad():
        maps = features(inputs)  # [1, C, h, w]
    with torch.enable_grad():
        maps = maps.detach().requires_grad_()
        logits = head(maps)  # [1, 2]
        (gradients,) = torch.autograd.grad(logits[:, target].sum(), maps)
    with torch.no_grad():
        maps = maps.detach()
        heats = torch.stack([_weighed(method, maps, gradients) for method in METHODS])  # [M, 1, h, w]
        heats = nn.functional.interpolate(
            _stretched(heats.relu()), inputs.shape[-2:], mode="bilinear", align_corners=False
        )
        found = _stretched(heats)[:, 0].cpu().numpy()  # [M, S, S]
    return Explanation(logits.detach()[0], maps, dict(zip(METHODS, found, strict=True)))


def explain(model: nn.Module, inputs: Tensor, target: int, method: str = DEFAULT_METHOD) -> Heat:
    """One heat map [S, S] in 0–1, see `explain_all`."""
    return explain_all(model, inputs, target).heats[method]


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
