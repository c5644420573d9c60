"""Divide pictures into training, validation and test so that no picture, lesion or patient stands on two sides."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lesion_demo.config import CLASSES
from lesion_demo.data.duplicates import near_duplicate_pairs
from lesion_demo.data.fingerprints import fingerprint
from lesion_demo.data.folders import scan
from lesion_demo.data.grouping import (
    RELATIONS,
    Link,
    crowds_in_words,
    explain,
    group_pictures,
    ids_in_words,
    in_words,
    links_between,
)
from lesion_demo.data.held_out import USUAL, Shares, choose_val_groups
from lesion_demo.data.picture import Picture
from lesion_demo.data.table import LabelTable
from lesion_demo.errors import DataError

logger = logging.getLogger(__name__)

SPLIT_NAMES = ("train", "val", "test")
DROPPED = "dropped"
CORRUPT = "corrupt"
_CALLED = {"train": "earlier training picture", "val": "validation picture", "test": "test picture"}


@dataclass(frozen=True)
class Splits:
    """Pictures with split, group, content hash and `near_duplicate_of_train` filled in.

    Attributes:
        pictures: those in use; `split` is `train`, `val` or `test`.
        dropped: pictures left out because their group has one of a side that goes before theirs, `reason` says which;
            their `split` is `dropped`.
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
            kinds = Counter(_kind(picture.reason) for picture in self.dropped)
            counted = ", ".join(f"{count:,} × {kind}" for kind, count in kinds.most_common())
            example = self.dropped[0]
            lines.append(
                f"{len(self.dropped):,} pictures dropped: {counted}. The first: {example.name}, {example.reason}."
            )
        for split in ("val", "test"):
            repeats = sum(picture.near_duplicate_of_train for picture in self.of(split))
            if repeats:
                lines.append(f"{repeats:,} {split} pictures have a near-duplicate in a train folder.")
        if self.corrupt:
            lines.append(f"{len(self.corrupt):,} corrupt pictures skipped.")
        return "\n".join(lines)


def _kind(reason: str) -> str:
    """The first relation that `reason`, of a dropped picture, tells of."""
    found = next((relation for relation in RELATIONS if reason.startswith(relation)), reason)
    return found.removesuffix(" of").removesuffix(" as")


def prepare_splits(
    roots: Sequence[Path],
    *,
    class_map: Mapping[str, str] | None = None,
    shares: Shares = USUAL,
    earlier: Mapping[str, str] | None = None,
    skip_corrupt: bool = False,
    workers: int = 2,
    table: LabelTable | None = None,
) -> Splits:
    """Scan, read, check, group and split the data sets `roots`; see `make_splits`.

    Raises:
        DataError: a data set is not laid out as expected, pictures are corrupt (unless `skip_corrupt`), or there are
            too few to split.
    """
    pictures = scan(roots, class_map, table)
    shares.warn_of_strangers({picture.source for picture in pictures})
    prints = fingerprint(pictures, workers=workers)
    reasons = dict(prints.corrupt)
    if reasons and not skip_corrupt:
        raise DataError(_corrupt_message([(pictures[index], reason) for index, reason in prints.corrupt]))
    sound = [index for index in range(len(pictures)) if index not in reasons]
    pictures = [replace(p, content_hash=content) for p, content in zip(pictures, prints.content_hashes, strict=True)]
    logger.info("Looking for near-duplicates among %d pictures.", len(sound))
    pairs = near_duplicate_pairs(prints.subset(sound))
    splits = make_splits([pictures[index] for index in sound], pairs, shares, earlier=earlier)
    corrupt = tuple((replace(pictures[i], split=CORRUPT, reason=reason), reason) for i, reason in prints.corrupt)
    return replace(splits, corrupt=corrupt)


def _corrupt_message(corrupt: Sequence[tuple[Picture, str]]) -> str:
    shown = "; ".join(f"{picture.path} ({reason})" for picture, reason in corrupt[:3])
    more = f"; and {len(corrupt) - 3} more" if len(corrupt) > 3 else ""
    count = f"{len(corrupt)} picture{'s' if len(corrupt) > 1 else ''}"
    return (
        f"{count} could not be decoded: {shown}{more}. Replace or remove them, or leave them out with --skip-corrupt."
    )


def make_splits(
    pictures: Sequence[Picture],
    pairs: Iterable[tuple[int, int]],
    shares: Shares,
    *,
    earlier: Mapping[str, str] | None = None,
) -> Splits:
    """Group `pictures`, drop what repeats a held-out picture, and choose validation where a source has none.

    Validation takes about its share of every data set, by whole groups, see `choose_val_groups`. Training pictures in
    a group with a test picture, or with one from a `val` folder, are dropped, whatever their source; a `val` folder's
    pictures in a group with a test picture are dropped too.

    Args:
        pictures: as scanned, data set by data set, `content_hash` filled in.
        pairs: indices of near-duplicates (see `near_duplicate_pairs`).
        earlier: content hash → `train`, `val` or `test`, of the run whose weights this one starts from: what that was
            trained on is never held out, with its whole group, and what it held out stays so.

    Raises:
        DataError: a class cannot have at least one training and one validation picture.
    """
    pairs = list(pairs)
    links = links_between(pictures, pairs)
    repeats = _repeats_of_train(pictures, pairs)
    _warn_of_contradictions(pictures, pairs)
    for line in ids_in_words(pictures):
        logger.info("%s", line)
    for line in crowds_in_words(pictures):
        logger.warning("%s", line)
    grouped = [
        replace(p, group=group, near_duplicate_of_train=index in repeats)
        for index, (p, group) in enumerate(zip(pictures, group_pictures(pictures, links), strict=True))
    ]
    placed, sides = _place_as_before(grouped, links, earlier or {})
    placed = _drop_repeats(placed, links)
    used = [picture for picture in placed if picture.split != DROPPED]
    chosen = choose_val_groups(used, shares, sides)
    used = [replace(p, split="val") if p.split == "train" and p.group in chosen else p for p in used]
    _check_classes(used)
    return Splits(tuple(used), tuple(picture for picture in placed if picture.split == DROPPED))


def _place_as_before(
    pictures: Sequence[Picture], links: Sequence[Link], earlier: Mapping[str, str]
) -> tuple[list[Picture], dict[str, str]]:
    """`pictures` with their `earlier` test pictures in test again, and the groups whose side is decided by it.

    Test and `val` folder pictures of a group that was trained on are dropped.
    """
    before = {index: earlier[p.content_hash] for index, p in enumerate(pictures) if p.content_hash in earlier}
    trained = {pictures[index].group for index, side in before.items() if side == "train"}
    validated = {pictures[index].group for index, side in before.items() if side == "val"} - trained
    ways = explain(links, [index for index, side in before.items() if side == "train"])
    placed: list[Picture] = []
    for index, picture in enumerate(pictures):
        if picture.group in trained and picture.split != "train":
            own = "a training picture of the checkpoint that this run starts from"
            reason = in_words(ways[index], pictures, _CALLED["train"]) if index in ways else own
            picture = replace(picture, split=DROPPED, reason=reason)
        elif picture.group not in trained and before.get(index) == "test":
            picture = replace(picture, split="test")
        placed.append(picture)
    if before:
        counts = Counter(before.values())
        logger.info(
            "The checkpoint that this run starts from knows %d of these pictures: %s. They stay on their sides.",
            len(before),
            ", ".join(f"{counts[name]:,} {name}" for name in SPLIT_NAMES),
        )
    return placed, dict.fromkeys(validated, "val") | dict.fromkeys(trained, "train")


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


def _drop_repeats(pictures: Sequence[Picture], links: Sequence[Link]) -> list[Picture]:
    """`pictures`, of which some are dropped: in a group, test outranks val, and val outranks train."""
    rank = {split: index for index, split in enumerate((DROPPED, *SPLIT_NAMES))}
    highest: dict[str, int] = {}
    for picture in pictures:
        highest[picture.group] = max(highest.get(picture.group, 0), rank[picture.split])
    stays = [rank[picture.split] in (0, highest[picture.group]) for picture in pictures]
    held = [index for index, p in enumerate(pictures) if stays[index] and p.split in ("val", "test")]
    ways = explain(links, held)
    result = list(pictures)
    for index in (index for index, stay in enumerate(stays) if not stay):
        target = pictures[ways[index][-1][1]]
        reason = in_words(ways[index], pictures, _CALLED[target.split])
        result[index] = replace(pictures[index], split=DROPPED, reason=reason)
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
