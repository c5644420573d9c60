"""Are a checkpoint's files the ones that its description vouches for?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from lesion_demo.errors import CheckpointError
from lesion_demo.files import sha256_of
from lesion_demo.run_folder import META_FILE

FLOATS = ("F16", "F32", "F64")
"""What safetensors calls the types of numbers that may be none."""


def check_hash(path: Path, expected: str) -> None:
    """See that the SHA-256 of the file at `path` is the `expected` one, hex.

    Raises:
        CheckpointError: it is missing, cannot be read, or is another.
    """
    try:
        if not path.is_file():
            raise CheckpointError(f"{path} is missing: copy the checkpoint again.")
        actual = sha256_of(path)
    except OSError as error:
        raise CheckpointError(f"{path} could not be read ({error}): copy the checkpoint again.") from error
    if actual != expected:
        raise CheckpointError(
            f"{path} is not the file that {META_FILE} describes (truncated, or from another run): copy it again."
        )


def check_numbers(path: Path) -> None:
    """See that all weights at `path` are finite. A hash vouches for what was saved, not for what it is worth.

    Raises:
        CheckpointError: one is not, or it is no safetensors file.
    """
    try:
        with safe_open(path, framework="np") as stored:
            names = [name for name in stored.keys() if stored.get_slice(name).get_dtype() in FLOATS]  # noqa: SIM118
            odd = next((name for name in names if not np.isfinite(stored.get_tensor(name)).all()), None)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} is damaged or not a safetensors file ({error}): copy it again.") from error
    if odd is not None:
        raise CheckpointError(f"{path} is damaged ({odd} holds what is no number): train again, or take another.")
