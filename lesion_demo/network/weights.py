"""Network weights on disk: safetensors only, half precision for what ships, written whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lesion_demo.errors import CheckpointError
from lesion_demo.files import replacing


def write_weights(path: Path, weights: Mapping[str, Tensor], *, half: bool) -> None:
    """Write a state dict to `path`, atomically; with `half`, its weights (not batch-norm statistics) as float16.

    Batch-norm variances can exceed float16's 65,504, and are few.

    Raises:
        CheckpointError: the disk refused.
    """
    tensors = {name: _stored(name, value, half) for name, value in weights.items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            save_file(tensors, part)
            part.chmod(0o644)  # safetensors keeps it from everyone else; a server may run as another user
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"Could not write {path} ({error}). Free some disk space or choose another folder; "
            "the previous file is unchanged."
        ) from error


def _stored(name: str, value: Tensor, half: bool) -> Tensor:
    value = value.detach().cpu().contiguous()
    shrink = half and value.is_floating_point() and not name.endswith(("running_mean", "running_var"))
    return value.to(torch.float16) if shrink else value.clone()


def read_weights(path: Path) -> dict[str, Tensor]:
    """The state dict that `write_weights` wrote, floating point as float32.

    Raises:
        CheckpointError: the file is missing, truncated or not safetensors.
    """
    if not path.is_file():
        raise CheckpointError(
            f"No weights at {path}: train with 'python -m lesion_demo train --data DIR', or name another folder."
        )
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} is damaged or not a safetensors file ({error}): copy it again.") from error
    return {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}


def load_into(model: nn.Module, path: Path, *, backbone: str) -> None:
    """Put the weights at `path` into `model`, every one of them.

    Raises:
        CheckpointError: as `read_weights`, or the weights belong to another backbone.
    """
    try:
        model.load_state_dict(read_weights(path))
    except RuntimeError as error:
        raise CheckpointError(
            f"The weights at {path} do not fit the backbone {backbone}: give the right backbone."
        ) from error


@torch.no_grad()
def round_to_half(model: nn.Module) -> None:
    """Give `model` exactly the values that `write_weights(half=True)` keeps, still as float32."""
    state = model.state_dict()
    model.load_state_dict({name: _stored(name, value, half=True).to(value.dtype) for name, value in state.items()})
