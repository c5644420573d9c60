"""A checkpoint elsewhere: no lesion that it was trained on is counted, in whatever data set a copy of it lies."""

from __future__ import annotations

from pathlib import Path

from lesion_demo.data.picture import Picture
from lesion_demo.data.splits import Splits
from scripts.elsewhere import unseen


def picture(name: str, split: str, group: str) -> Picture:
    source, file = name.split("/")
    return Picture(Path(name), file, source, split, 0, group=group)


def test_only_other_data_sets_are_judged_and_no_lesion_trained_on() -> None:
    trained = Splits((picture("own/a", "train", "a"), picture("own/b", "val", "b"), picture("own/c", "train", "c")))
    other = Splits(
        (
            picture("own/a", "val", "a"),  # of the data set trained on
            picture("other/a", "val", "a"),  # a crop of own/a, which was trained on
            picture("other/b", "val", "b"),  # a crop of own/b, which was not
            picture("other/d", "val", "d"),
            picture("other/e", "train", "e"),
            picture("own/c", "train", "c"),
        )
    )
    assert [one.name for one in unseen(other, trained)] == ["other/b", "other/d"]
