"""How pictures are drawn: classes alike within each source, sources by size, the same again by seed."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import DataLoader

from lesion_demo.config import PreprocessSpec
from lesion_demo.data.dataset import (
    LesionDataset,
    balanced_weights,
    check_emphasis,
    delivered,
    eval_loader,
    train_loader,
)
from lesion_demo.data.folders import scan
from lesion_demo.data.picture import Picture
from lesion_demo.data.reader import PictureReader
from lesion_demo.errors import DataError, ImageError, TrainingError
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


SHARED_MEMORY = [
    "Caught RuntimeError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n  …\n"
    "RuntimeError: unable to allocate shared memory(shm) for file </torch_18093_309_0>: No space left on device (28)\n",
    "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that dataloader's workers are out of "
    "shared memory. Please try to raise your shared memory limit.",
]
"""What torch 2.14 raises in a mount of 8 MB, and what others do."""


def failing(error: Exception) -> Iterator[int]:
    yield 1
    raise error


@pytest.mark.parametrize("said", SHARED_MEMORY)
def test_too_little_shared_memory_is_a_sentence(said: str) -> None:
    batches = delivered(failing(RuntimeError(said)))
    assert next(batches) == 1
    with pytest.raises(DataError, match="use --workers 0, or give the container more"):
        next(batches)
    with pytest.raises(RuntimeError, match="odd"):
        list(delivered(failing(RuntimeError("odd"))))


@pytest.mark.parametrize(
    ("number", "said"),
    [(number, None) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    + [(signal.SIGKILL, "A process that reads pictures was killed, .* try again with --workers 0")],
)
def test_signals_to_stop_are_for_the_command_and_not_for_its_workers(number: signal.Signals, said: str | None) -> None:
    batches = delivered(DataLoader(list(range(40)), num_workers=1))  # type: ignore[arg-type]
    next(batches)
    (worker,) = multiprocessing.active_children()
    assert worker.pid is not None
    os.kill(worker.pid, number)
    if said is None:
        assert len(list(batches)) == 39
        return
    with pytest.raises(DataError, match=said):
        list(batches)


def test_a_picture_that_another_process_cannot_read_is_one_sentence(tmp_path: Path) -> None:
    lost = Picture(tmp_path / "gone.png", "gone.png", "a", "train", 0)
    dataset = LesionDataset([lost], eval_transform(PreprocessSpec(image_size=32)), PictureReader())
    for workers in (0, 1):
        with pytest.raises(ImageError) as caught:
            list(delivered(eval_loader(dataset, workers=workers)))
        assert str(caught.value) == "“gone.png” does not exist; please check its path."
