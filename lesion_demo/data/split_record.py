"""`split.json`: what a run's split file was made from, so that no later start uses it for something else."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lesion_demo.config import CLASSES, from_dict, to_dict
from lesion_demo.data.picture import Picture
from lesion_demo.data.splits import Splits
from lesion_demo.errors import DataError, LesionDemoError
from lesion_demo.files import read_json, sha256_of, write_json

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SplitRecord:
    """What a split file was made from; it stands beside it, as `split.json`.

    Attributes:
        data: names of the data sets, in their order.
        class_map: pairs of a class name and the class that it was mapped to.
        val_fraction, val_fractions, seed: as in `lesion_demo.config.TrainConfig`.
        earlier: SHA-256 of the split file of the checkpoint that the run started from, hex; empty where there is none.
        fingerprint: SHA-256 of the split file itself, hex.
    """

    data: tuple[str, ...]
    class_map: tuple[tuple[str, str], ...] = ()
    val_fraction: float = 0.1
    val_fractions: tuple[tuple[str, float], ...] = ()
    seed: int = 0
    earlier: str = ""
    fingerprint: str = ""


def write_record(path: Path, record: SplitRecord) -> None:
    """Keep `record` beside the split file at `path`, with that file's fingerprint.

    Raises:
        DataError: the disk refused.
    """
    values = to_dict(record) | {"fingerprint": sha256_of(path)}
    write_json(path.with_suffix(".json"), values, DataError)


def check_record(path: Path, wanted: SplitRecord) -> None:
    """See that the split file at `path` was made from what this run is given, as far as a record tells.

    Raises:
        DataError: it was made from something else, or the record is damaged or another file's.
    """
    place = path.with_suffix(".json")
    remedy = f"Start under another --run, or remove {path.name} and {place.name} to divide the pictures anew."
    if not place.is_file():
        log.warning("%s does not record what it was made from, and is used unchanged.", path)
        return
    try:
        found = from_dict(SplitRecord, read_json(place))
    except (OSError, ValueError, LesionDemoError) as error:
        raise DataError(f"{place} is damaged ({error}). {remedy}") from error
    if found.fingerprint != sha256_of(path):
        raise DataError(f"{path} is not the file that {place.name} describes. {remedy}")
    before, now = to_dict(found), to_dict(wanted)
    compared = (
        set(_TOLD) if wanted.earlier else set(_TOLD) - {"earlier"}
    )  # those sides stay, whatever it starts from now
    differing = [name for name in _TOLD if name in compared and now[name] != before[name]]
    if differing:
        said = "; ".join(f"{_TOLD[name]} {_shown(before[name])}, now {_shown(now[name])}" for name in differing)
        raise DataError(f"{path} was made with other settings: {said}. {remedy}")


_TOLD = {
    "data": "the data sets",
    "class_map": "the class map",
    "val_fraction": "the validation share",
    "val_fractions": "the validation shares of single data sets",
    "seed": "the seed",
    "earlier": "the first checkpoint's split",
}


def _shown(value: Any) -> str:
    """`[["a", "benign"]]` → `a=benign`; a hash's first digits; nothing → `none`."""
    if isinstance(value, list):
        return ", ".join("=".join(map(str, one)) if isinstance(one, list) else str(one) for one in value) or "none"
    return value[:12] or "none" if isinstance(value, str) else str(value)


def check_labels(splits: Splits, scanned: Sequence[Picture], path: Path) -> None:
    """See that the data sets, as `scanned`, still say of every picture what the split file at `path` says.

    Raises:
        DataError: a picture has another class now, or the file knows nothing of a data set.
    """
    labels = {picture.name: picture.label for picture in (*splits.pictures, *splits.dropped)}
    corrupt = {picture.name for picture, _ in splits.corrupt}
    strangers = {picture.source for picture in scanned} - {name.split("/", 1)[0] for name in {*labels, *corrupt}}
    if strangers:
        raise DataError(f"{path} does not include the data set {sorted(strangers)[0]!r}; start under another --run.")
    changed = [picture for picture in scanned if labels.get(picture.name, picture.label) != picture.label]
    if changed:
        now, before = CLASSES[changed[0].label], CLASSES[1 - changed[0].label]
        raise DataError(
            f"{len(changed):,} pictures have another class than when {path} was made ({changed[0].name} was {before} "
            f"and is {now}): start under another --run, or map the classes as before."
        )
    new = sum(picture.name not in labels and picture.name not in corrupt for picture in scanned)
    if new:
        log.warning("%d pictures were added to the folders after %s was made, and are not used.", new, path)
