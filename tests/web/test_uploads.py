"""The folder for uploads: one a process, locked while it lives, swept by age, gone when the process ends, however."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import fake_app
import httpx
import pytest
from fake_app import Served, served
from filelock import FileLock
from gradio_client import Client, handle_file
from PIL import Image

from lesion_demo.images.phantom import render_phantom
from lesion_demo.web import uploads as module
from lesion_demo.web.guard import JOBS
from lesion_demo.web.uploads import (
    KEPT_SECONDS,
    LOCK,
    PREFIX,
    own_upload_folder,
    remove,
    sweep,
    sweep_dead,
    swept,
)

HOUR = 3600


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("picture") / "lesion.jpg"
    Image.fromarray(render_phantom(3, malignant=True, size=160)).save(path)
    return path


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_sweep_takes_dead_folders_and_spares_living_ones_links_and_strangers(tmp_path: Path) -> None:
    living, dead, stranger = (tmp_path / name for name in (f"{PREFIX}a", f"{PREFIX}b", "lesion-demo-clone"))
    for folder in (living, dead, stranger):
        (folder / "inner").mkdir(parents=True)
        (folder / "inner" / "lesion.jpg").write_bytes(b"x")
        (folder / LOCK).touch()
    (tmp_path / f"{PREFIX}link").symlink_to(stranger)
    held = FileLock(living / LOCK)
    held.acquire()
    sweep_dead(tmp_path)
    assert not dead.exists()
    assert files(living) == files(stranger) == {"inner/lesion.jpg", LOCK}
    held.release()  # as the kernel does for a process that is killed
    sweep_dead(tmp_path)
    assert not living.exists()
    assert files(stranger) == {"inner/lesion.jpg", LOCK}


def test_a_folder_that_is_a_moment_old_is_left_to_who_makes_it(tmp_path: Path) -> None:
    folder = tmp_path / f"{PREFIX}new"
    folder.mkdir()
    sweep_dead(tmp_path)
    assert folder.is_dir()
    assert files(folder) == set()
    os.utime(folder, (0, 0))
    sweep_dead(tmp_path)
    assert not folder.exists()


def test_another_users_folder_is_not_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever made it chose what its lock is, and when to let go of it."""
    folder = tmp_path / f"{PREFIX}trap"
    folder.mkdir()
    (folder / LOCK).write_text("x")
    monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)
    sweep_dead(tmp_path)
    assert (folder / LOCK).read_text() == "x"


def test_an_own_folder_is_locked_kept_and_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = own_upload_folder()
    sweep(folder, (), time.time() + HOUR)
    sweep_dead(tmp_path)
    assert files(folder) == {LOCK}
    remove(folder)
    assert not folder.exists()


def test_the_page_starts_where_the_system_has_no_posix(tmp_path: Path) -> None:
    """As on Windows: none of the modules that only Unix has, and no SIGHUP."""
    code = """
import signal, sys
import gradio, matplotlib, torch  # they look for these modules, too, and know what to do without
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None
del signal.SIGHUP
import os
del os.getuid
from lesion_demo.web import launch, page, uploads
folder = uploads.own_upload_folder()
launch.end_on_signals(folder)
assert folder.is_dir()
uploads.remove(folder)
assert not folder.exists()
"""
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(fake_app.PROJECT)}
    subprocess.run([sys.executable, "-c", code], env=environment, timeout=120, check=True)


def test_whatever_is_older_than_fifty_minutes_goes(tmp_path: Path) -> None:
    old = ("tmpabc123", "0f3a/lesion.jpg", "batch-x/results.csv", "batch-x/reports.zip", "unpacked-y/0/3.jpg")
    for name in (*old, "examples/phantom.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (0, 0))  # a copy has its original's time; it was not uploaded in 1970
    example = tmp_path / "examples/phantom.jpg"
    now = time.time()
    sweep(tmp_path, {example}, now)
    assert files(tmp_path) == {*old, "examples/phantom.jpg"}
    sweep(tmp_path, {example}, now + KEPT_SECONDS + 1)
    assert files(tmp_path) == {"examples/phantom.jpg"}
    assert KEPT_SECONDS + module.SWEEP_SECONDS < HOUR
    sweep(tmp_path, {example}, time.time() + KEPT_SECONDS + 1)
    assert [path.name for path in tmp_path.iterdir()] == ["examples"]  # empty folders follow their files


def test_sweeper_runs_beside_the_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SWEEP_SECONDS", 0.02)
    monkeypatch.setattr(module, "KEPT_SECONDS", 0.05)
    (tmp_path / "tmp123").write_bytes(b"x")
    with swept(tmp_path, kept=()):
        end = time.monotonic() + 10
        while (tmp_path / "tmp123").exists() and time.monotonic() < end:
            time.sleep(0.02)
    assert not (tmp_path / "tmp123").exists()


def test_folder_goes_though_a_thread_writes_into_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, delete, late = tmp_path / "uploads", shutil.rmtree, iter([b"x"])

    def rmtree(path: Path, ignore_errors: bool) -> None:
        delete(path, ignore_errors)
        for content in late:
            path.mkdir()
            (path / "report.json").write_bytes(content)

    monkeypatch.setattr(shutil, "rmtree", rmtree)
    folder.mkdir()
    remove(folder)
    assert not folder.exists()


def test_second_app_leaves_the_first_its_uploads_and_a_closed_terminal_leaves_none(
    tmp_path: Path, picture: Path
) -> None:
    """The second is given the same port at another address, as one that starts a second later may find it free."""
    dead = tmp_path / "tmp" / f"{PREFIX}dead"
    dead.mkdir(parents=True)
    (dead / "lesion.jpg").write_bytes(b"x")
    (dead / LOCK).touch()
    with served(tmp_path, "--allow-host", "demo.example") as app:
        assert not dead.exists()
        assert status(app, "demo.example") == status(app, "localhost") == 200
        assert status(app, "evil.example") == 421
        uploaded = upload(app, picture)
        command = [sys.executable, fake_app.__file__, "--host", "127.0.0.2", "--port", app.address.rpartition(":")[2]]
        second = subprocess.run(command, env=app.environment, capture_output=True, text=True, timeout=120, check=False)
        assert second.returncode == 1
        assert second.stderr.count("\n") == 1
        assert "choose another --port or --host" in second.stderr
        assert uploaded.read_bytes() == picture.read_bytes()
        assert stat.S_IMODE(app.uploads().stat().st_mode) == 0o700
        assert stat.S_IMODE(uploaded.stat().st_mode) & 0o077 == 0
        app.process.send_signal(signal.SIGHUP)
        assert app.process.wait(60) == 0
        assert app.left() == []


def test_ends_within_eight_seconds_under_load(tmp_path: Path, picture: Path) -> None:
    """Pictures that take half a minute each are being analysed, a batch too, and an upload is under way."""
    with served(tmp_path, seconds=30) as app:
        client = Client(app.address, verbose=False)
        for _ in range(3):
            client.submit(handle_file(picture), api_name="/analyze")
        client.submit([handle_file(picture)] * 4, api_name="/analyze_batch")
        claims = [f"1.1.1.{number}" for number in range(JOBS + 1)]  # which uvicorn would believe of loopback
        functions = httpx.get(f"{app.address}/config").json()["dependencies"]
        (analyze,) = (one["id"] for one in functions if one["api_name"] == "analyze")
        assert 429 in [asked(app, analyze, claim) for claim in claims]
        threading.Thread(target=endless_upload, args=[app], daemon=True).start()
        end = time.monotonic() + 30
        while not any(app.uploads().glob("tmp*")) and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(1)
        begun = time.monotonic()
        app.process.terminate()
        assert app.process.wait(60) == 0
        assert time.monotonic() - begun < 8
        assert app.left() == []


def status(app: Served, host: str) -> int:
    return httpx.get(app.address, headers={"Host": host}).status_code


def asked(app: Served, function: int, forwarded: str) -> int:
    """What is answered to a job that was passed on for another, as it claims."""
    body = {"fn_index": function, "data": [], "session_hash": forwarded}
    headers = {"X-Forwarded-For": forwarded}
    return httpx.post(f"{app.address}/gradio_api/queue/join", json=body, headers=headers).status_code


def upload(app: Served, file: Path) -> Path:
    with file.open("rb") as content:
        answer = httpx.post(f"{app.address}/gradio_api/upload", files={"files": (file.name, content)})
    return Path(answer.raise_for_status().json()[0])


def endless_upload(app: Served) -> None:
    boundary = b"frontier"

    def body() -> Iterator[bytes]:
        yield b'--%s\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\n' % boundary
        for _ in range(300):
            yield b"x" * 1000
            time.sleep(0.1)

    headers = {"Content-Type": f"multipart/form-data; boundary={boundary.decode()}"}
    with suppress(httpx.HTTPError):  # the app ends meanwhile, as it should
        httpx.post(f"{app.address}/gradio_api/upload", content=body(), headers=headers, timeout=60)
