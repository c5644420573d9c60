"""Which `checkpoint.json` is read: the schemas there have been, and what a file of each must have."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from lesion_demo.errors import CheckpointError, LesionDemoError
from lesion_demo.files import read_json

SCHEMA_VERSION = 5
_CAME_WITH = {
    "referral_margin": 2,
    "preprocess.round_window": 3,
    "preprocess.grey_light": 3,
    "val_pictures": 3,
    "referral_margins": 4,
    "preprocess.turns": 5,
}
"""The schema from which on a file must have these; it must have all others in any case."""


def read_values(path: Path) -> dict[str, Any]:
    """What the file at `path` says, of a schema that this version knows.

    Raises:
        CheckpointError: it is missing, no JSON, or of a newer schema.
    """
    try:
        if not path.is_file():
            raise CheckpointError(
                f"No checkpoint in {path.parent}: train with 'python -m lesion_demo train --data DIR', or name another."
            )
        values = read_json(path)
        if not isinstance(values, dict) or type(values.get("schema_version")) is not int:
            raise ValueError("it has no schema_version")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} could not be read ({error}): copy the checkpoint again.") from error
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged ({error}): copy the checkpoint again.") from error
    if (found := values["schema_version"]) > SCHEMA_VERSION:
        raise CheckpointError(
            f"{path} has schema {found}, newer than schema {SCHEMA_VERSION}, which this version reads: update "
            "lesion-demo."
        )
    return values


def require_all(values: dict[str, Any], names: Collection[str]) -> None:
    """A value that is not there is no default: whoever wrote the file wrote it down.

    Args:
        names: all that a file may have; `preprocess.turns` is the key `turns` in `preprocess`.

    Raises:
        LesionDemoError: one is missing that the file's schema has.
    """
    for name in sorted(names):
        outer, _, key = name.rpartition(".")
        place = values.get(outer) if outer else values
        if isinstance(place, dict) and key not in place and values["schema_version"] >= _CAME_WITH.get(name, 1):
            raise LesionDemoError(f"it lacks {name}.")
