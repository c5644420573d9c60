"""Pictures decoded once into a file: the same pixels for every process, within the memory there is, and gone after."""

from __future__ import annotations

import errno
import pickle
from pathlib import Path

import numpy as np
import pytest

from lesion_demo.data import reader as module
from lesion_demo.data.folders import scan
from lesion_demo.data.reader import PictureReader, free_memory


def test_every_process_reads_the_pixels_that_one_has_decoded(
    phantom_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = scan([phantom_data])
    plain = [PictureReader()(picture) for picture in chosen]
    first, other = PictureReader(), PictureReader()
    assert not other.share(tmp_path / "run" / "decoded")
    assert first.cache(chosen, tmp_path / "run" / "decoded")
    assert other.share(tmp_path / "run" / "decoded")
    sent = pickle.loads(pickle.dumps(first))
    monkeypatch.setattr(module, "load_image", lambda path: pytest.fail(f"{path} is decoded again"))
    for reader in (first, other, sent):
        for picture, expected in zip(chosen, plain, strict=True):
            np.testing.assert_array_equal(reader(picture), expected)
    sent.close()
    assert (tmp_path / "run" / "decoded").is_file()  # only who wrote it takes it away
    first.close()
    assert not list((tmp_path / "run").iterdir())


def test_a_reader_of_its_own_leaves_nothing_behind(
    phantom_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.tempfile, "tempdir", str(tmp_path))
    chosen = scan([phantom_data])
    reader = PictureReader()
    assert reader.cache(chosen)
    assert list(tmp_path.iterdir())
    reader.close()
    assert not list(tmp_path.iterdir())
    assert reader(chosen[0]).ndim == 3


@pytest.mark.parametrize(("memory", "disk"), [(0.9, 10.0), (1.5, 1.5)])
def test_what_does_not_fit_is_decoded_as_it_is_drawn(
    phantom_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: float, disk: float
) -> None:
    chosen = scan([phantom_data])
    needed = sum(PictureReader()(picture).nbytes for picture in chosen)

    class Usage:
        free = disk * needed

    monkeypatch.setattr(module, "free_memory", lambda: memory * needed / module.CACHE_SHARE)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: Usage)
    reader = PictureReader()
    assert not reader.cache(chosen, tmp_path / "decoded")
    assert not list(tmp_path.iterdir())
    assert reader(chosen[0]).ndim == 3


@pytest.mark.parametrize(
    ("limit", "used"),
    [("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes")],
)
def test_a_containers_limit_counts_as_the_memory_there_is(tmp_path: Path, limit: str, used: str) -> None:
    everything = free_memory(tmp_path)
    assert everything > 3e6
    (tmp_path / "memory").mkdir()
    (tmp_path / used).write_text("1000000\n")
    (tmp_path / limit).write_text("3000000\n")
    assert free_memory(tmp_path) == 2e6
    (tmp_path / limit).write_text("max\n" if "max" in limit else "9223372036854771712\n")
    assert free_memory(tmp_path) > 3e6


def test_a_disk_that_fills_up_costs_time_and_no_training(
    phantom_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    chosen, file, load = scan([phantom_data]), tmp_path / "run" / "decoded", module.load_image

    class Full:
        """A picture that no longer fits on the disk."""

        nbytes, shape = 1, (1, 1, 3)

        def tobytes(self) -> bytes:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "load_image", lambda path: Full() if file.exists() else load(path))
    reader = PictureReader()
    with caplog.at_level("INFO"):
        assert not reader.cache(chosen, file)
    assert "The disk is full: decoded pictures are not kept" in caplog.text
    assert not list(file.parent.iterdir())
    assert reader(chosen[0]).ndim == 3
