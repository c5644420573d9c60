"""Batches from other processes: what stops them, what is said of it, and that nobody waits for them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from torch.utils.data import DataLoader

from lesion_demo.config import PreprocessSpec
from lesion_demo.data.dataset import LesionDataset, eval_loader
from lesion_demo.data.delivery import delivered
from lesion_demo.data.picture import Picture
from lesion_demo.data.reader import PictureReader
from lesion_demo.errors import DataError, ImageError
from lesion_demo.images.transforms import eval_transform

KEPT_ERROR = """
import gc
from torch.utils.data import DataLoader
from lesion_demo.data.delivery import delivered

class Numbers(list):
    def __getitem__(self, index):
        return 1 / (index - 5)

def fail():
    try:
        list(delivered(DataLoader(Numbers(range(400)), num_workers=1)))
    except ZeroDivisionError as error:
        kept = error  # in a circle with its traceback and this frame

gc.disable()  # which would end it, sooner or later
fail()
print("at its end", flush=True)
"""


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
    + [(signal.SIGKILL, "A process that reads pictures was killed, .* try again with --workers 0")]
    + [(signal.SIGBUS, "ran out of shared memory .* use --workers 0")],
)
def test_signals_to_stop_are_for_the_command_and_not_for_its_workers(number: signal.Signals, said: str | None) -> None:
    batches = delivered(DataLoader(list(range(40)), num_workers=1))  # type: ignore[arg-type]
    next(batches)
    (worker,) = multiprocessing.active_children()
    assert worker.pid is not None
    os.kill(worker.pid, number)
    time.sleep(0.3)  # an error here would be one out of nowhere
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


def test_a_process_ends_although_an_error_keeps_its_workers() -> None:
    ended = subprocess.run([sys.executable, "-c", KEPT_ERROR], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "at its end\n", "")
