"""Replacing a file whole or not at all; what is a link, a pipe or a device stays one."""

from __future__ import annotations

import ast
import errno
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import PROJECT

from lesion_demo.config import TrainConfig
from lesion_demo.errors import LesionDemoError, TrainingError
from lesion_demo.files import check_file, check_folder, replacing, write_json
from lesion_demo.train.state import write_config

PACKAGE = PROJECT / "lesion_demo"


def write(path: Path, text: str = "new") -> None:
    with replacing(path) as part:
        part.write_text(text)


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_a_file_is_replaced_when_the_block_ends_and_not_before(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("old")
    with replacing(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert names(tmp_path) == ["table.csv"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("old")

    def half_written() -> None:
        with replacing(path) as part:
            part.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        half_written()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["table.csv"]


def test_it_is_on_the_disk_before_it_takes_the_place_of_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def noted(name: str, function: Callable[..., None]) -> Callable[..., None]:
        def call(*args: object) -> None:
            calls.append(name)
            function(*args)

        return call

    monkeypatch.setattr("lesion_demo.files.os.fsync", noted("fsync", os.fsync))
    monkeypatch.setattr("lesion_demo.files.os.replace", noted("replace", os.replace))
    write(tmp_path / "table.csv")
    assert calls == ["fsync", "replace", "fsync"]  # the file, and the folder that now names it


def test_permissions_stay(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("old")
    path.chmod(0o600)
    write(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("there", [True, False], ids=["to a file", "to nothing yet"])
def test_links_are_followed(tmp_path: Path, there: bool) -> None:
    target, middle, link = tmp_path / "far" / "target.csv", tmp_path / "middle", tmp_path / "link.csv"
    target.parent.mkdir()
    if there:
        target.write_text("old")
    middle.symlink_to("far/target.csv")
    link.symlink_to(middle)
    write(link)
    assert link.is_symlink()
    assert middle.is_symlink()
    assert not target.is_symlink()
    assert target.read_text() == "new"
    assert names(target.parent) == ["target.csv"]


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "circle"
    path.symlink_to(path)
    with pytest.raises(OSError, match="symbolic links"):
        write(path)
    assert path.is_symlink()
    with pytest.raises(LesionDemoError, match="symbolic links"):
        check_file(path, "--out")


def test_a_part_left_by_a_killed_process_is_never_written_through(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "table.csv.part").symlink_to(tmp_path / "precious")
    write(tmp_path / "table.csv")
    assert (tmp_path / "precious").read_text() == "precious"
    assert names(tmp_path) == ["precious", "table.csv"]


@pytest.mark.parametrize("linked", [False, True])
def test_a_pipe_is_written_into(tmp_path: Path, linked: bool) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    path = pipe
    if linked:
        path = tmp_path / "link"
        path.symlink_to(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
    reader.start()
    check_file(path, "--out")
    write(path, "x" * 100_000)
    reader.join(10)
    assert read == ["x" * 100_000]
    assert pipe.is_fifo()
    assert path.is_symlink() == linked


def test_a_terminal_is_written_into(tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    try:
        path = Path(os.ttyname(theirs))
        check_file(path, "--out")
        write(path)
        assert os.read(ours, 100) == b"new"
        assert path.is_char_device()
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_device_stays_a_device(tmp_path: Path) -> None:
    path = tmp_path / "null"
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))  # one of our own that swallows all
        path.open("wb").close()
    except OSError as error:
        pytest.skip(f"devices cannot be made and opened here: {error}")
    check_file(path, "--out")
    write(path)
    assert path.is_char_device()
    assert names(tmp_path) == ["null"]


def test_what_cannot_be_written_is_said_beforehand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.touch()
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone" / "file")
    for path, reason in (
        (tmp_path, "--out .* is a folder"),
        (tmp_path / "missing" / "x.csv", "does not exist"),
        (tmp_path / "nowhere", "gone does not exist"),
        (file / "x.csv", "Not a directory"),
    ):
        with pytest.raises(LesionDemoError, match=reason):
            check_file(path, "--out")
    for path in (file, file / "plots", tmp_path / "nowhere" / "plots"):
        with pytest.raises(LesionDemoError, match="is not a folder"):
            check_folder(path, "--out")
    check_file(tmp_path / "x.csv", "--out")
    check_folder(tmp_path / "not" / "yet", "--out")
    assert names(tmp_path) == ["file", "nowhere"]

    def refused(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    class Full:
        """A file that may be made on a full disk, and not written."""

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None: ...

        def write(self, content: bytes) -> None:
            if content:
                raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("lesion_demo.files.tempfile.TemporaryFile", lambda **_: Full())
    with pytest.raises(LesionDemoError, match="No space left on device"):
        check_folder(tmp_path / "not" / "yet", "--out")
    monkeypatch.setattr("lesion_demo.files.tempfile.TemporaryFile", refused)
    with pytest.raises(LesionDemoError, match="cannot be written to \\(Permission denied\\)"):
        check_folder(tmp_path / "not" / "yet", "--out")
    with pytest.raises(LesionDemoError, match="cannot be written to"):
        check_file(tmp_path / "x.csv", "--out")


WRITERS = {"write_text", "write_bytes", "savefig", "save", "save_file"}
FRESH = {"serve/batch.py", "web/picture.py", "web/report_download.py"}
"""Modules that write to folders which they have just made, where nothing can be in the way."""


def writes(path: Path) -> list[str]:
    """The calls in a module that write a file other than a `part` of `replacing`, or a `file` in memory."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        called, arguments = ast.unparse(node.func), [ast.unparse(argument) for argument in node.args]
        owner, _, name = called.rpartition(".")
        opening = name == "open" and any(mode.strip("'\"") in ("w", "wb", "a", "ab", "x", "xb") for mode in arguments)
        if (name in WRITERS or opening) and not {"part", "file"} & {owner, *arguments}:
            found.append(f"{path.name}: {called}({', '.join(arguments)})")
    return found


def test_every_file_is_written_whole_or_not_at_all() -> None:
    others = [path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).as_posix() not in FRESH]
    assert [call for path in others for call in writes(path)] == []


def test_json_that_cannot_be_written_is_no_reason_to_resume_a_training(tmp_path: Path) -> None:
    with pytest.raises(LesionDemoError, match="choose another place") as caught:
        write_json(tmp_path, {})  # what evaluate --json and audit write with
    assert "--resume" not in str(caught.value)
    (tmp_path / "config.json").mkdir()
    with pytest.raises(TrainingError, match="Continue training with --resume"):
        write_config(tmp_path, TrainConfig())
