"""Which groups validate: decided by a hash of each, so that more data moves none of those that were there before."""

from __future__ import annotations

import hashlib
import logging
import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from lesion_demo.config import CLASSES
from lesion_demo.data.picture import Picture
from lesion_demo.errors import DataError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shares:
    """How much of the training pictures becomes validation where a data set has none of its own.

    Attributes:
        usual: share (above 0, below 1) of a data set's groups.
        of_source: data sets with another share, by name.
        seed: another one makes another choice.

    Raises:
        DataError: a share is out of range.
    """

    usual: float
    of_source: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        for name, share in {"": self.usual, **self.of_source}.items():
            if not 0 < share < 1:
                where = f" of {name}" if name else ""
                raise DataError(f"The validation share{where} is {share}; choose one above 0 and below 1, e.g. 0.1.")

    def of(self, source: str) -> float:
        return self.of_source.get(source, self.usual)

    def warn_of_strangers(self, sources: Collection[str]) -> None:
        """Say so if a share is of a data set that is not among `sources`."""
        for name in self.of_source:
            if name not in sources:
                log.warning(
                    "There is no data set %s to hold pictures out of; the data sets are %s.",
                    name,
                    ", ".join(sorted(sources)),
                )


USUAL = Shares(0.1)


def choose_val_groups(pictures: Sequence[Picture], shares: Shares, kept: Mapping[str, str] | None = None) -> set[str]:
    """Names of the groups of training `pictures` that become validation.

    A group has a place in 0–1 by the content hash of its picture from the first-named data set among its own (the
    smallest hash, if that has several), and validates if that lies below the share: the largest of its data sets'.
    Data sets that bring a `val` folder leave their groups in training.

    Args:
        pictures: those in use, `group` and `content_hash` filled in, in the order in which the data sets are named.
        kept: groups whose side (`train` or `val`) was decided before, and stands.
    """
    kept = kept or {}
    has_val = {picture.source for picture in pictures if picture.split == "val"}
    members: dict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        if picture.split == "train":
            members[picture.group].append(picture)
    places = {name: _place(own, shares.seed) for name, own in members.items()}
    chosen = {name for name, own in members.items() if kept.get(name) == "val"}
    free = [name for name, own in members.items() if name not in kept and own[0].source not in has_val]
    for name in free:
        if places[name] < max(shares.of(picture.source) for picture in members[name]):
            chosen.add(name)
    labels = {name: {picture.label for picture in own} for name, own in members.items()}
    in_val = {picture.label for picture in pictures if picture.split == "val"}
    return _every_class(chosen, sorted(free, key=lambda name: places[name]), labels, in_val)


def _place(members: Sequence[Picture], seed: int) -> float:
    """Of a group, in 0–1: as good as random, and the same on every machine."""
    first = min(picture.content_hash for picture in members if picture.source == members[0].source)
    digest = hashlib.sha256(f"{seed} {first}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _every_class(chosen: set[str], free: Sequence[str], labels: Mapping[str, set[int]], in_val: set[int]) -> set[str]:
    """`chosen`, with one group moved for each class that would stand on one side alone, where that is possible.

    Args:
        free: groups that may be moved, by their place.
        labels: which classes each group has.
        in_val: classes that `val` folders bring.
    """
    result = set(chosen)

    def count(label: int, *, val: bool) -> float:
        own = sum(label in labels[name] for name in labels if (name in result) == val)
        return math.inf if val and label in in_val else own

    def may_leave(name: str, *, val: bool) -> bool:
        return (name in result) == val and all(count(label, val=val) > 1 for label in labels[name])

    for label in range(len(CLASSES)):
        for val, order in ((True, free), (False, free[::-1])):  # those that come nearest to the share's limit
            if count(label, val=val) == 0:
                movable = (name for name in order if label in labels[name] and may_leave(name, val=not val))
                result ^= {name for name in [next(movable, "")] if name}
    return result
