"""How pictures are drawn: classes alike within each source, sources by size, the same again by seed."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from lesion_demo.config import PreprocessSpec
from lesion_demo.data.dataset import LesionDataset, balanced_weights, check_emphasis, train_loader
from lesion_demo.data.folders import scan
from lesion_demo.data.picture import Picture
from lesion_demo.data.reader import PictureReader
from lesion_demo.errors import TrainingError
from lesion_demo.images.transforms import eval_transform


def pictures(**counts: tuple[int, int]) -> list[Picture]:
    """Of each source so many benign and malignant pictures."""
    return [
        Picture(Path(f"{source}/{label}/{number}"), f"{label}/{number}", source, "train", label)
        for source, by_label in counts.items()
        for label, count in enumerate(by_label)
        for number in range(count)
    ]


def mass(chosen: list[Picture], weights: np.ndarray) -> dict[tuple[str, int], float]:
    sums: defaultdict[tuple[str, int], float] = defaultdict(float)
    for picture, weight in zip(chosen, weights, strict=True):
        sums[picture.source, picture.label] += float(weight)
    return dict(sums)


def test_classes_are_alike_within_each_source_and_sources_go_by_size() -> None:
    chosen = pictures(large=(80, 10), small=(2, 8))
    by_size = mass(chosen, balanced_weights(chosen, 1.0))
    assert by_size == pytest.approx({("large", 0): 0.45, ("large", 1): 0.45, ("small", 0): 0.05, ("small", 1): 0.05})
    alike = mass(chosen, balanced_weights(chosen, 0.0))
    assert alike == pytest.approx(dict.fromkeys(alike, 0.25))
    by_root = mass(chosen, balanced_weights(chosen, 0.5))
    assert by_root["large", 0] / by_root["small", 0] == pytest.approx(3.0)


def test_emphasis_draws_a_source_more_often_and_leaves_its_classes_alike() -> None:
    chosen = pictures(large=(80, 10), small=(2, 8))
    found = mass(chosen, balanced_weights(chosen, 0.0, {"small": 3.0, "unknown": 5.0}))
    assert found == pytest.approx({("large", 0): 0.125, ("large", 1): 0.125, ("small", 0): 0.375, ("small", 1): 0.375})


@pytest.mark.parametrize("factor", [-1.0, float("nan"), float("inf")])
def test_an_emphasis_that_is_no_factor_is_refused(factor: float) -> None:
    with pytest.raises(TrainingError, match=f"for small is {factor}: the factor must be 0 or more"):
        check_emphasis({"small": factor}, pictures(large=(80, 10), small=(2, 8)))


def test_an_emphasis_must_leave_something_to_draw() -> None:
    chosen = pictures(large=(80, 10), small=(2, 8))
    check_emphasis({"small": 0.0}, chosen)
    with pytest.raises(TrainingError, match="no pictures would be used"):
        check_emphasis({"small": 0.0, "large": 0.0}, chosen)


def test_an_emphasis_on_a_data_set_that_is_not_there_is_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    chosen = pictures(large=(80, 10), small=(2, 8))
    check_emphasis({"small": 2.0}, chosen)
    assert not caplog.records
    check_emphasis({"smal": 2.0}, chosen)
    assert "emphasis names smal, but the data sets are large, small: it has no effect." in caplog.text


def test_a_source_of_one_class_keeps_its_share() -> None:
    chosen = pictures(both=(5, 5), benign_only=(10, 0))
    assert mass(chosen, balanced_weights(chosen, 1.0))["benign_only", 0] == pytest.approx(0.5)


def test_draws_follow_the_weights_and_the_seed(phantom_data: Path) -> None:
    chosen = [picture for picture in scan([phantom_data]) if picture.split == "train"]
    dataset = LesionDataset(chosen, eval_transform(PreprocessSpec(image_size=32)), PictureReader())
    weights = np.array([3.0 if picture.label == 1 else 1.0 for picture in chosen])

    def labels(seed: int) -> list[int]:
        loader = train_loader(dataset, weights, count=400, batch=40, workers=0, seed=seed)
        return [int(label) for _, targets, _ in loader for label in targets]

    first = labels(0)
    assert len(first) == 400
    assert np.mean(first) == pytest.approx(0.75, abs=0.08)
    assert labels(0) == first
    assert labels(1) != first
