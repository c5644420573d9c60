"""Which pictures must stay on one side of a split, and why."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from lesion_demo.data.manifest import ID_COLUMNS, SAME_AS
from lesion_demo.data.picture import Picture

NEAR_DUPLICATE = "a near-duplicate of"
SAME_FILE = "the same file as"
SAME_LESION = "the same lesion as"
SAME_PATIENT = "the same patient as"
NAMED_SAME = "by same_as the same picture as"
_BY_COLUMN = dict(zip(ID_COLUMNS, (SAME_LESION, SAME_PATIENT), strict=True))
RELATIONS = (NEAR_DUPLICATE, SAME_FILE, SAME_LESION, SAME_PATIENT, NAMED_SAME)
_TRANSITIVE = (SAME_FILE, SAME_LESION, SAME_PATIENT)
"""Relations that hold of the ends of a chain, too, if they hold of every two neighbours in it."""
CROWD_SHARE, CROWD = 0.25, 10
"""An id that more than this share of a data set's pictures have, and so many of them, may mean "not known"."""


@dataclass(frozen=True)
class Link:
    """Two pictures, by their indices, that must stay together; `relation` is one of the constants above."""

    first: int
    second: int
    relation: str


def links_between(pictures: Sequence[Picture], pairs: Iterable[tuple[int, int]]) -> list[Link]:
    """What joins `pictures`: the near-duplicate `pairs`, equal content, and what the manifests' columns tell.

    Those are equal `lesion_id` or `patient_id` within a source, and `same_as`, which names another picture.
    """
    near = (Link(i, j, NEAR_DUPLICATE) for i, j in pairs if not _same_file(pictures[i], pictures[j]))
    return [*_known_links(pictures), *near]


def _same_file(one: Picture, other: Picture) -> bool:
    return bool(one.content_hash) and one.content_hash == other.content_hash


def group_pictures(pictures: Sequence[Picture], links: Iterable[Link]) -> list[str]:
    """A group name [N] per picture: pictures that must stay on one side of a split share it.

    The name is the first member's `source/file`.
    """
    ends = np.array([(link.first, link.second) for link in links], dtype=np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(ends)), ends.T), shape=(len(pictures), len(pictures)))
    _, places = connected_components(graph, directed=False)
    names: dict[int, str] = {}
    for place, picture in zip(places, pictures, strict=True):
        names[place] = min(names.get(place, picture.name), picture.name)
    return [names[place] for place in places]


def grouped(pictures: Sequence[Picture]) -> list[Picture]:
    """`pictures` with their group, as far as manifests and content tell it."""
    groups = group_pictures(pictures, links_between(pictures, []))
    return [replace(picture, group=group) for picture, group in zip(pictures, groups, strict=True)]


def _known_links(pictures: Sequence[Picture]) -> Iterator[Link]:
    """Links that content and manifests tell of."""
    first: dict[tuple[str, ...], int] = {}
    by_name = {picture.name: index for index, picture in enumerate(pictures)}
    by_file = {picture.file: index for index, picture in enumerate(pictures)}
    for index, picture in enumerate(pictures):
        keys: list[tuple[str, ...]] = [(SAME_FILE, picture.content_hash)]
        keys += [(relation, picture.columns.get(name, ""), picture.source) for name, relation in _BY_COLUMN.items()]
        for key in (key for key in keys if key[1]):
            other = first.setdefault(key, index)
            if other != index:
                yield Link(other, index, key[0])
        same_as = picture.columns.get(SAME_AS, "").replace("\\", "/")
        # Either `source/file`, or a file of another source that has it.
        twin = by_name.get(same_as, by_file.get(same_as))
        if twin is not None and twin != index:
            yield Link(index, twin, NAMED_SAME)


def explain(links: Iterable[Link], targets: Iterable[int]) -> dict[int, list[tuple[str, int]]]:
    """Of every picture that `links` lead from to one of `targets`: the shortest way there.

    A way is a list of steps, (relation, index of the picture that it leads to); the last leads to a target.
    """
    neighbours: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for link in links:
        neighbours[link.first].append((link.relation, link.second))
        neighbours[link.second].append((link.relation, link.first))
    ways: dict[int, list[tuple[str, int]]] = {index: [] for index in targets}
    waiting = deque(ways)
    while waiting:
        here = waiting.popleft()
        for relation, other in neighbours[here]:
            if other not in ways:
                way = ways[here]
                merge = bool(way) and way[0][0] == relation and relation in _TRANSITIVE
                ways[other] = [(relation, way[0][1]), *way[1:]] if merge else [(relation, here), *way]
                waiting.append(other)
    return {index: way for index, way in ways.items() if way}


def in_words(way: Sequence[tuple[str, int]], pictures: Sequence[Picture], target: str) -> str:
    """`the same patient as a/3.jpg, a near-duplicate of the test picture b/1.jpg`; `target` is what the last one is."""
    *through, (relation, last) = way
    steps = [f"{relation} {pictures[index].name}" for relation, index in through]
    return ", ".join([*steps, f"{relation} the {target} {pictures[last].name}"])


def ids_in_words(pictures: Sequence[Picture]) -> list[str]:
    """A line for each source and id column that has ids: how many lesions or patients there are."""
    lines = []
    for source in dict.fromkeys(picture.source for picture in pictures):
        own = [picture for picture in pictures if picture.source == source]
        for column in ID_COLUMNS:
            counts = Counter(picture.columns[column] for picture in own if picture.columns.get(column))
            if counts:
                what = column.removesuffix("_id")
                lines.append(
                    f"{source}: {counts.total():,} of {len(own):,} pictures have a {column}; "
                    f"they are of {len(counts):,} {what}{'s' if len(counts) != 1 else ''}."
                )
    return lines


def crowds_in_words(pictures: Sequence[Picture]) -> list[str]:
    """A line for each id that so many pictures share that it may stand for "not known"."""
    sizes = Counter(picture.source for picture in pictures)
    ids = Counter(
        (p.source, column, p.columns[column]) for p in pictures for column in ID_COLUMNS if p.columns.get(column)
    )
    return [
        f"{source}: {count:,} of {sizes[source]:,} pictures have the {column} {value!r} and stay together; if it means "
        "that none is known, leave the cell empty."
        for (source, column, value), count in ids.items()
        if count >= CROWD and count > CROWD_SHARE * sizes[source]
    ]
