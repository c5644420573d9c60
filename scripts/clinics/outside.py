"""Right for the right reasons: how much of what speaks for a class lies outside the lesion."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from lesion_demo.images import Pixels
from lesion_demo.images.look import Look
from lesion_demo.images.prepare import round_window, shown_box
from lesion_demo.images.transforms import TrainTransform, cropped_and_turned
from scripts.clinics.pictures import Square, cut

STRIDE_16 = 6
"""So many blocks of EfficientNet-B3 lead to its maps of a sixteenth of the picture's side."""
WIDER = 6
"""Pixels of the network's input by which a lesion's mask is widened: its border counts as the lesion."""


def augmented_with_lesion(
    transform: TrainTransform, pixels: Pixels, square: Square, mask: NDArray[np.bool_]
) -> tuple[Tensor, Tensor]:
    """A variant of `pixels` as `transform` makes it, float32 [3, S, S], and where its lesion lies in it, bool [S, S].

    The mask takes the same turns, as both are drawn from the same state of the generator.
    """
    pixels = transform.with_artefacts(pixels)
    drawn = np.zeros_like(pixels)
    cut(drawn, square)[mask] = 255
    box = shown_box(Look.of(pixels), transform.spec)
    before = torch.get_rng_state()
    moved = cropped_and_turned(box.cut(drawn), transform.augment, transform.side)
    torch.set_rng_state(before)
    return transform.augmented(box.cut(pixels)), torch.from_numpy(
        (moved[..., 0] > 127) & (round_window(len(moved)) > 0)
    )


def logits_and_outside(net: nn.Module, inputs: Tensor, lesion: Tensor) -> tuple[Tensor, Tensor]:
    """Logits [B, 2] of pictures [B, 3, S, S], and how much of what speaks for either class lies off the lesion.

    That is a share, 0–1, of the widened `lesion` (bool [B, S, S]): the mean of that in the last maps, and that of
    gradient × activation at stride 16.
    """
    blocks, layer = net.features, net.classifier[-1]  # type: ignore[index]
    middle = blocks[:STRIDE_16](inputs)  # type: ignore[index, operator]
    last = blocks[STRIDE_16:](middle)  # type: ignore[index, operator]
    logits = net.classifier(net.avgpool(last).flatten(1))  # type: ignore[operator]
    odds = (logits[:, 1] - logits[:, 0]).float().sum()
    (gradient,) = torch.autograd.grad(odds, middle, create_graph=True)
    weights = (layer.weight[1] - layer.weight[0]).float()  # type: ignore[union-attr, index]
    spoken = ((gradient.float() * middle.float()).sum(dim=1), torch.einsum("bchw,c->bhw", last.float(), weights))
    return logits, torch.stack([_outside(cells, lesion) for cells in spoken]).mean()


def _outside(cells: Tensor, lesion: Tensor) -> Tensor:
    """Mean share off the lesion of what places [B, h, w] say, whichever way."""
    wide = functional.max_pool2d(lesion[:, None].float(), 2 * WIDER + 1, 1, WIDER)
    inside = functional.adaptive_avg_pool2d(wide, cells.shape[-2:])[:, 0]
    size = cells.abs()
    return ((size * (1 - inside)).sum(dim=(1, 2)) / size.sum(dim=(1, 2)).clamp(min=1e-6)).mean()
