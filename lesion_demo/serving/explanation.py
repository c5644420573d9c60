"""Where in a picture the network found its answer: Grad-CAM, without hooks, so that threads may share the network."""

from __future__ import annotations

import functools

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

COLOURS = "inferno"
"""Perceptually ordered: it rises evenly in lightness, and is readable without colour vision."""
OPACITY = 0.6
"""Of the hottest spot, by default."""
EPSILON = 1e-7
"""Kept out of a division by zero, as `grad-cam` does."""


def explain(model: nn.Module, inputs: Tensor, target: int) -> Heat:
    """Heat map [S, S] in 0–1 of where `inputs` (float32 [1, 3, S, S]) speak for class `target`.

    Grad-CAM: Selvaraju et al. 2017 (arXiv 1610.02391), scaled as in the `grad-cam` package. Only the head is
    differentiated, and no parameter collects a gradient. The scale is relative: the hottest spot is 1 however little
    it says. Where nothing speaks for the class, all of it is 0.

    Raises:
        TrainingError: Grad-CAM does not know the network's layout.
    """
    features, head = split_at_cam(model)
    with torch.no_grad():
        maps = features(inputs)  # [1, C, h, w]
    with torch.enable_grad():
        maps = maps.detach().requires_grad_()
        (gradients,) = torch.autograd.grad(head(maps)[:, target].sum(), maps)
    with torch.no_grad():
        weights = gradients.mean(dim=(2, 3), keepdim=True)  # [1, C, 1, 1]
        heat = _stretched((weights * maps).sum(dim=1, keepdim=True).relu())  # [1, 1, h, w]
        heat = nn.functional.interpolate(heat, inputs.shape[-2:], mode="bilinear", align_corners=False)
        result: Heat = _stretched(heat)[0, 0].cpu().numpy()
    return result


def _stretched(heat: Tensor) -> Tensor:
    """`heat`, any shape, with its least value at 0 and its greatest at 1 (all 0 where they are the same)."""
    heat = heat - heat.min()
    return heat / (heat.max() + EPSILON)


def place(heat: Heat, visible: tuple[int, int, int, int], shape: tuple[int, int]) -> Heat:
    """Heat map [H, W] over a whole picture of `shape` (H, W) from `heat` [S, S], which covers its `visible` square.

    Args:
        visible: left, top, width and height in pixels, as from `imaging.transforms.visible_part`. What lies outside
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
