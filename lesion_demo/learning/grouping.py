"""Which pictures must stay on one side of a split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from lesion_demo.learning.folders import Picture


def group_pictures(pictures: Sequence[Picture], pairs: Iterable[tuple[int, int]]) -> list[str]:
    """A group name [N] per picture: pictures that must stay on one side of a split share it.

    Joined are the `pairs`, equal content, and, by the manifests' columns, equal `lesion_id` or `patient_id` within a
    source, and a picture with the one its `same_as` names. The name is the first member's `source/file`.
    """
    parents = list(range(len(pictures)))

    def root(index: int) -> int:
        while parents[index] != index:
            parents[index] = index = parents[parents[index]]
        return index

    for i, j in (*pairs, *_known_pairs(pictures)):
        parents[root(i)] = root(j)
    names: dict[int, str] = {}
    for index, picture in enumerate(pictures):
        member = root(index)
        names[member] = min(names.get(member, picture.name), picture.name)
    return [names[root(index)] for index in range(len(pictures))]


def _known_pairs(pictures: Sequence[Picture]) -> Iterator[tuple[int, int]]:
    """Pairs that content and manifests tell of."""
    last: dict[tuple[str, ...], int] = {}
    by_name = {picture.name: index for index, picture in enumerate(pictures)}
    by_file = {picture.file: index for index, picture in enumerate(pictures)}
    for index, picture in enumerate(pictures):
        keys = [("content", picture.content_hash)]
        keys += [(column, picture.columns.get(column, "")) for column in ("lesion_id", "patient_id")]
        for column, value in keys:
            if value:
                key = (column, value) if column == "content" else (column, value, picture.source)
                yield last.setdefault(key, index), index
        same_as = picture.columns.get("same_as", "")
        # Either `source/file`, or a file of another source that has it.
        other = by_name.get(same_as, by_file.get(same_as))
        if other is not None:
            yield index, other
