"""Divide pictures into training, validation and test so that no picture, lesion or patient stands on two sides."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lesion_demo.config import CLASSES
from lesion_demo.errors import DataError
from lesion_demo.learning.duplicates import near_duplicate_pairs
from lesion_demo.learning.fingerprints import fingerprint
from lesion_demo.learning.folders import Picture, scan
from lesion_demo.learning.grouping import group_pictures

logger = logging.getLogger(__name__)

SPLIT_NAMES = ("train", "val", "test")
DROPPED = "dropped"
CORRUPT = "corrupt"

Stratum = tuple[str, int]
"""Source and label: validation takes the same share of each."""


@dataclass(frozen=True)
class Splits:
    """Pictures with split, group, content hash and `near_duplicate_of_train` filled in.

    Attributes:
        pictures: those in use; `split` is `train`, `val` or `test`.
        dropped: training (and `val` folder) pictures left out because their group has a test (or `val` folder)
            picture; their `split` is `dropped`.
        corrupt: pictures that could not be decoded, with the reason; left out too; their `split` is `corrupt`.
    """

    pictures: tuple[Picture, ...]
    dropped: tuple[Picture, ...] = ()
    corrupt: tuple[tuple[Picture, str], ...] = ()

    def of(self, split: str) -> list[Picture]:
        """The pictures of `train`, `val` or `test`."""
        return [picture for picture in self.pictures if picture.split == split]

    def summary(self) -> str:
        """A table of sources, splits and class counts, with what was dropped and what repeats."""
        sources = sorted({p.source for p in (*self.pictures, *self.dropped)})
        counts = Counter((p.source, p.split, p.label) for p in (*self.pictures, *self.dropped))
        width = max(len(name) for name in ("source", *sources))
        lines = [f"{'source':<{width}}  {'split':<8}" + "".join(f"{name:>11}" for name in CLASSES)]
        for source in sources:
            for split in (*SPLIT_NAMES, DROPPED):
                row = [counts[source, split, label] for label in range(len(CLASSES))]
                if any(row):
                    lines.append(f"{source:<{width}}  {split:<8}" + "".join(f"{count:>11,}" for count in row))
        if self.dropped:
            lines.append(f"{len(self.dropped):,} pictures dropped: they repeat a test picture or one of a val folder.")
        for split in ("val", "test"):
            repeats = sum(picture.near_duplicate_of_train for picture in self.of(split))
            if repeats:
                lines.append(f"{repeats:,} {split} pictures have a near-duplicate in a train folder.")
        if self.corrupt:
            lines.append(f"{len(self.corrupt):,} corrupt pictures skipped.")
        return "\n".join(lines)


def prepare_splits(
    roots: Sequence[Path],
    *,
    class_map: Mapping[str, str] | None = None,
    val_fraction: float = 0.1,
    seed: int = 0,
    skip_corrupt: bool = False,
    workers: int = 2,
) -> Splits:
    """Scan, read, check, group and split the data sets `roots`.

    Raises:
        DataError: a data set is not laid out as expected, pictures are corrupt (unless `skip_corrupt`), or there are
            too few to split.
    """
    pictures = scan(roots, class_map)
    prints = fingerprint(pictures, workers=workers)
    reasons = dict(prints.corrupt)
    if reasons and not skip_corrupt:
        raise DataError(_corrupt_message([(pictures[index], reason) for index, reason in prints.corrupt]))
    sound = [index for index in range(len(pictures)) if index not in reasons]
    pictures = [replace(p, content_hash=content) for p, content in zip(pictures, prints.content_hashes, strict=True)]
    logger.info("Looking for near-duplicates among %d pictures.", len(sound))
    pairs = near_duplicate_pairs(prints.subset(sound))
    splits = make_splits([pictures[index] for index in sound], pairs, val_fraction=val_fraction, seed=seed)
    corrupt = tuple((replace(pictures[index], split=CORRUPT), reason) for index, reason in prints.corrupt)
    return replace(splits, corrupt=corrupt)


def _corrupt_message(corrupt: Sequence[tuple[Picture, str]]) -> str:
    shown = "; ".join(f"{picture.path} ({reason})" for picture, reason in corrupt[:3])
    more = f"; and {len(corrupt) - 3} more" if len(corrupt) > 3 else ""
    count = f"{len(corrupt)} picture{'s' if len(corrupt) > 1 else ''}"
    return (
        f"{count} could not be decoded: {shown}{more}. Replace or remove them, or leave them out with --skip-corrupt."
    )


def make_splits(
    pictures: Sequence[Picture], pairs: Iterable[tuple[int, int]], *, val_fraction: float, seed: int
) -> Splits:
    """Group `pictures`, drop what repeats a held-out picture, and draw validation where a source has none.

    Validation takes `val_fraction` of the training pictures of each (source, label), by whole groups. Training
    pictures in a group with a test picture, or with one from a `val` folder, are dropped, whatever their source; a
    `val` folder's pictures in a group with a test picture are dropped too.

    Args:
        pictures: as scanned, `content_hash` filled in.
        pairs: indices of near-duplicates (see `near_duplicate_pairs`).
        val_fraction: above 0, below 1.
        seed: the same seed and pictures give the same split, whatever the order of the sources.

    Raises:
        DataError: a class cannot have at least one training and one validation picture.
    """
    if not 0 < val_fraction < 1:
        raise DataError(f"The validation share is {val_fraction}; choose one above 0 and below 1, e.g. 0.1.")
    pairs = list(pairs)
    groups = group_pictures(pictures, pairs)
    repeats = _repeats_of_train(pictures, pairs)
    _warn_of_contradictions(pictures, pairs)
    pictures = [
        replace(p, group=group, near_duplicate_of_train=index in repeats)
        for index, (p, group) in enumerate(zip(pictures, groups, strict=True))
    ]
    kept, dropped = _drop_repeats(pictures)
    chosen = _choose_val_groups(kept, val_fraction, seed)
    placed = tuple(replace(p, split="val") if p.split == "train" and p.group in chosen else p for p in kept)
    _check_classes(placed)
    return Splits(placed, tuple(dropped))


def _repeats_of_train(pictures: Sequence[Picture], pairs: Iterable[tuple[int, int]]) -> set[int]:
    """Indices of test and `val` folder pictures of which a train folder holds a near-duplicate."""
    return {
        index
        for pair in pairs
        for index, other in (pair, pair[::-1])
        if pictures[index].split != "train" and pictures[other].split == "train"
    }


def _warn_of_contradictions(pictures: Sequence[Picture], pairs: Iterable[tuple[int, int]]) -> None:
    contradictions = [(i, j) for i, j in pairs if pictures[i].label != pictures[j].label]
    if contradictions:
        first, second = (pictures[index].path for index in contradictions[0])
        logger.warning(
            "%d near-duplicate pairs disagree on their class, e.g. %s and %s.", len(contradictions), first, second
        )


def _drop_repeats(pictures: Sequence[Picture]) -> tuple[list[Picture], list[Picture]]:
    """Pictures kept and dropped: in a group, test outranks val, and val outranks train."""
    rank = {split: index for index, split in enumerate(SPLIT_NAMES)}
    highest: dict[str, int] = {}
    for picture in pictures:
        highest[picture.group] = max(highest.get(picture.group, 0), rank[picture.split])
    kept: list[Picture] = []
    dropped: list[Picture] = []
    for picture in pictures:
        if rank[picture.split] == highest[picture.group]:
            kept.append(picture)
        else:
            dropped.append(replace(picture, split=DROPPED))
    return kept, dropped


def _choose_val_groups(pictures: Sequence[Picture], val_fraction: float, seed: int) -> set[str]:
    """Names of the groups that become validation, out of the sources that bring no `val` folder."""
    has_val = {picture.source for picture in pictures if picture.split == "val"}
    groups: dict[str, Counter[Stratum]] = defaultdict(Counter)
    fixed: set[str] = set()
    for picture in pictures:
        if picture.split != "train":
            continue
        groups[picture.group][picture.source, picture.label] += 1
        if picture.source in has_val:
            fixed.add(picture.group)
    sizes = sum((Counter(counts) for counts in groups.values()), Counter[Stratum]())
    targets = {
        stratum: min(n - 1, max(1, round(val_fraction * n)))  # at least one to either side
        for stratum, n in sizes.items()
        if stratum[0] not in has_val
    }
    names = sorted(name for name in groups if name not in fixed)
    order = [names[index] for index in np.random.default_rng(seed).permutation(len(names))]
    chosen = _draw_alike(order, groups, val_fraction, seed)
    chosen = _fill_up(order, groups, targets, chosen)
    return _every_class(order, groups, chosen, {picture.label for picture in pictures if picture.split == "val"})


def _draw_alike(
    order: Sequence[str], groups: Mapping[str, Counter[Stratum]], val_fraction: float, seed: int
) -> set[str]:
    """Out of every kind of group that is more than one picture, `val_fraction`: repeats are as common in val."""
    kinds: dict[tuple[tuple[Stratum, int], ...], list[str]] = defaultdict(list)
    for name in order:
        if groups[name].total() > 1:
            kinds[tuple(sorted(groups[name].items()))].append(name)
    generator = np.random.default_rng([seed, 1])
    chosen: set[str] = set()
    for _, names in sorted(kinds.items()):
        # Rounded up or down at random, so that rare kinds of groups have their chance too.
        chosen.update(names[: int(val_fraction * len(names) + generator.random())])
    return chosen


def _fill_up(
    order: Sequence[str], groups: Mapping[str, Counter[Stratum]], targets: Mapping[Stratum, int], chosen: set[str]
) -> set[str]:
    """`chosen` and further groups, or fewer, so that every stratum comes as near its target as its groups allow."""
    missing = Counter(targets)
    for name in chosen:
        missing.subtract(groups[name])
    by_size = sorted(order, key=lambda name: groups[name].total())  # a stable sort: seeded order among equals
    result = set(chosen)
    for name in (name for name in reversed(by_size) if name in chosen):
        if all(missing[stratum] <= -count for stratum, count in groups[name].items()):
            result.remove(name)
            missing.update(groups[name])
    for name in (name for name in by_size if name not in chosen):
        if all(2 * missing[stratum] >= count for stratum, count in groups[name].items()):
            result.add(name)
            missing.subtract(groups[name])
    return result


def _every_class(
    order: Sequence[str], groups: Mapping[str, Counter[Stratum]], chosen: set[str], in_val: set[int]
) -> set[str]:
    """`chosen`, with a class's smallest group moved to the side that has none of that class, if the other has more.

    `in_val` are the classes that `val` folders bring.
    """
    result = set(chosen)
    for label in range(len(CLASSES)):
        of_class = [name for name in order if any(label == other for _, other in groups[name])]
        if len(of_class) < 2:
            continue
        smallest = min(of_class, key=lambda name: groups[name].total())
        taken = result.intersection(of_class)
        if not taken and label not in in_val:
            result.add(smallest)
        elif len(taken) == len(of_class):
            result.remove(smallest)
    return result


def _check_classes(pictures: Sequence[Picture]) -> None:
    present = {(picture.split, picture.label) for picture in pictures}
    for split in ("train", "val"):
        for label, name in enumerate(CLASSES):
            if (split, label) not in present:
                raise DataError(
                    f"No {name} pictures are left for {split} after near-duplicates, lesions and patients were kept "
                    f"together; add {name} pictures of other lesions, or change --val-fraction."
                )
