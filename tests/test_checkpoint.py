"""What a checkpoint keeps, and what it says when it is not one."""

from __future__ import annotations

import errno
import json
import os
import random
import resource
import shutil
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lesion_demo.checkpoint import Checkpoint, load_checkpoint, read_meta, read_verified, save_checkpoint
from lesion_demo.config import OperatingPoint, PreprocessSpec
from lesion_demo.errors import CheckpointError
from lesion_demo.files import sha256_of
from lesion_demo.network.model import build_model
from lesion_demo.network.weights import round_to_half
from lesion_demo.results import Metrics, Report

BACKBONE = "mobilenet_v3_small"


def meta(auc: float = 0.9) -> Checkpoint:
    points = (OperatingPoint("sensitive", 0.3),)
    return Checkpoint(BACKBONE, PreprocessSpec(image_size=64), 1.3, points, auc, metrics=Metrics(Report(2, 1)))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints") / "run"
    torch.manual_seed(0)
    save_checkpoint(folder, build_model(BACKBONE), meta())
    return folder


@pytest.fixture
def copied(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "run"))


def edit(folder: Path, **changes: object) -> None:
    path = folder / "checkpoint.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_it_comes_back_as_it_was(saved: Path) -> None:
    torch.manual_seed(0)
    model = build_model(BACKBONE).eval()
    round_to_half(model)
    loaded = load_checkpoint(saved)
    assert (loaded.meta.temperature, loaded.meta.preprocess.image_size) == (1.3, 64)
    assert loaded.meta.operating_point("sensitive").threshold == 0.3
    assert loaded.meta.packages["torch"] == torch.__version__.partition("+")[0]
    images = torch.randn(2, 3, 64, 64)
    assert torch.equal(loaded.model(images), model(images))


def test_no_pickle_and_half_the_size(saved: Path) -> None:
    assert {path.name for path in saved.iterdir()} == {"model.safetensors", "checkpoint.json"}
    parameters = sum(parameter.numel() for parameter in build_model(BACKBONE).parameters())
    assert (saved / "model.safetensors").stat().st_size < 2.3 * parameters


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 99}, "newer than"),
        ({"schema_version": None}, "damaged"),
        ({"temper": 1}, "has no setting temper"),
        ({"classes": ["malignant", "benign"]}, "has the classes"),
        ({"backbone": "resnet18"}, "do not fit the backbone resnet18"),
        ({"backbone": "resnet_1000"}, "not a torchvision"),
        ({"weights_sha256": "0" * 64}, "truncated, or from another run"),
    ],
)
def test_what_is_wrong_with_the_description(copied: Path, changes: dict[str, object], message: str) -> None:
    edit(copied, **changes)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(copied)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_read_is_a_sentence(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CheckpointError, match="could not be read"):
        load_checkpoint(Path("n" * 5000))
    with pytest.raises(CheckpointError, match="No checkpoint in"):
        load_checkpoint(copied / "checkpoint.json")
    os.mkfifo(copied / "pipe")
    (copied / "folder").mkdir()
    for odd in ("pipe", "folder"):
        (copied / "checkpoint.json").rename(copied / "kept")
        (copied / odd).rename(copied / "checkpoint.json")
        with pytest.raises(CheckpointError, match="No checkpoint in"):
            load_checkpoint(copied)
        (copied / "checkpoint.json").rename(copied / odd)
        (copied / "kept").rename(copied / "checkpoint.json")

    def forbidden(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "read_bytes", forbidden)
    with pytest.raises(CheckpointError, match=r"could not be read .*Permission denied"):
        load_checkpoint(copied)
    monkeypatch.setattr(Path, "read_text", forbidden)
    with pytest.raises(CheckpointError, match=r"could not be read .*Permission denied"):
        read_meta(copied)


def test_missing_and_truncated_files(copied: Path) -> None:
    weights = copied / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="truncated"):
        load_checkpoint(copied)
    weights.unlink()
    with pytest.raises(CheckpointError, match=r"model\.safetensors is missing"):
        load_checkpoint(copied)
    (copied / "checkpoint.json").write_text("{")
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(copied)
    with pytest.raises(CheckpointError, match="No checkpoint in"):
        read_meta(copied / "nowhere")


def test_weights_that_a_hash_vouches_for_are_looked_at_all_the_same(copied: Path) -> None:
    """Whoever made them may have made the hash, too."""
    weights = copied / "model.safetensors"
    whole = weights.read_bytes()
    (length,) = struct.unpack("<Q", whole[:8])
    wrong = {
        "cut off": whole[:1000],
        "no header": b"\0" * 8,
        "a giant header": struct.pack("<Q", 2**62) + whole[8:],
        "a header beyond the end": struct.pack("<Q", len(whole)) + whole[8:],
        "a header that is no JSON": whole[:8] + b"x" * length + whole[8 + length :],
        "a pickle": b"\x80\x04K\x01.",
        "not a number": whole[:-2] + b"\x00\x7e",
        "infinity": whole[:-2] + b"\x00\x7c",
    }
    for name, content in wrong.items():
        weights.write_bytes(content)
        edit(copied, weights_sha256=sha256_of(weights))
        for read in (load_checkpoint, read_verified):
            with pytest.raises(CheckpointError, match=r"model\.safetensors is damaged") as caught:
                read(copied)
            assert "\n" not in str(caught.value), name


def test_files_that_are_swapped_turned_or_linked_elsewhere_are_refused(copied: Path, tmp_path: Path) -> None:
    weights, chance = copied / "model.safetensors", random.Random(0)
    whole = weights.read_bytes()
    for _ in range(5):
        place = chance.randrange(len(whole))
        weights.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << chance.randrange(8)]) + whole[place + 1 :])
        with pytest.raises(CheckpointError, match=r"model\.safetensors is not the file that"):
            load_checkpoint(copied)
    weights.unlink()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "other").write_text("root:x:0:0")
    for target, said in (("pipe", "is missing"), ("nothing", "is missing"), ("other", "is not the file that")):
        weights.symlink_to(tmp_path / target)
        with pytest.raises(CheckpointError, match=rf"model\.safetensors {said}"):
            load_checkpoint(copied)
        weights.unlink()
    weights.symlink_to("model.safetensors")
    with pytest.raises(CheckpointError, match=r"model\.safetensors (is missing|could not be read)"):
        load_checkpoint(copied)


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file can grow beyond 100 kB, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_loses_nothing(copied: Path, small_disk: None) -> None:
    before = (copied / "model.safetensors").read_bytes()
    with pytest.raises(CheckpointError, match="Free some disk space"):
        save_checkpoint(copied, build_model(BACKBONE), meta())
    assert (copied / "model.safetensors").read_bytes() == before
    assert {path.name for path in copied.iterdir()} == {"model.safetensors", "checkpoint.json"}
    load_checkpoint(copied)


def test_an_unknown_operating_point_lists_those_there_are() -> None:
    with pytest.raises(CheckpointError, match="it has sensitive"):
        replace(meta()).operating_point("lucky")
