"""Where uploads and reports lie: in a folder of this process alone, locked while it lives, swept by age."""

from __future__ import annotations

import logging
import os
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lesion_demo.errors import LesionDemoError

PREFIX = "lesion-demo-uploads-"
"""Of every such folder's name, among the system's temporary files."""
LOCK = "lock"
"""The file in such a folder that its process keeps locked."""
KEPT_SECONDS = 3000
"""An upload or a result goes when it was written longer ago; the page promises it within the hour."""
SWEEP_SECONDS = 30
"""From one sweep to the next."""

_LOG = logging.getLogger(__name__)
_held: dict[Path, FileLock] = {}
"""Locks of this process, by their folders: a lock that nothing refers to is released."""


def own_upload_folder() -> Path:
    """This process's folder, which no other user may read, locked until the process ends; to be removed before.

    A process that was killed leaves its folder behind, but not the lock: such folders are removed here, first.

    Raises:
        LesionDemoError: the disk refused.
    """
    if _held:
        return next(iter(_held))
    parent = Path(tempfile.gettempdir())
    sweep_dead(parent)
    try:
        while True:
            folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
            # Before it was locked, another process may have taken it for a dead one's, and removed it.
            if (lock := _lock(folder)) is not None and folder.exists():
                _held[folder] = lock
                return folder
    except OSError as error:
        raise LesionDemoError(
            f"Could not make a folder in {parent} ({error}): free some space there, or set TMPDIR."
        ) from error


def sweep_dead(parent: Path) -> None:
    """Remove the upload folders in `parent` whose process has ended."""
    for folder in parent.glob(f"{PREFIX}*"):
        if _is_own(folder) and _has_begun(folder) and (lock := _lock(folder)) is not None:
            lock.release()  # Windows deletes no file that is open
            remove(folder)


def _is_own(folder: Path) -> bool:
    """Is it a folder, no link to one, and this user's? In another's, a lock might be a link to who knows what."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and (not hasattr(os, "getuid") or found.st_uid == os.getuid())


def _has_begun(folder: Path) -> bool:
    """Was it ever locked? One that is a moment old may be about to be."""
    try:
        return (folder / LOCK).exists() or folder.stat().st_mtime < time.time() - KEPT_SECONDS
    except OSError:
        return False  # its owner has removed it


def _lock(folder: Path) -> FileLock | None:
    """A lock on `folder` until it is released or the process ends; None where it is another's, or gone."""
    lock = FileLock(folder / LOCK, mode=0o600, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except (OSError, Timeout):
        return None
    return lock


def remove(folder: Path) -> None:
    """Delete `folder`, though a thread may be writing into it."""
    if (lock := _held.pop(folder, None)) is not None:
        lock.release()
    for _ in range(50):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.02)
    _LOG.warning("Could not remove %s: remove it by hand.", folder)


@contextmanager
def swept(folder: Path, kept: Collection[Path]) -> Iterator[None]:
    """While the block runs, what has become too old in `folder` is deleted, except the files `kept`."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(SWEEP_SECONDS):
            sweep(folder, kept, time.time())

    sweeper = threading.Thread(target=run, name="sweeper", daemon=True)
    sweeper.start()
    try:
        yield
    finally:
        stop.set()
        sweeper.join(1)


def sweep(folder: Path, kept: Collection[Path], now: float) -> None:
    """Delete every file in `folder` that is too old at `now` (seconds since the epoch), and every empty folder.

    Gradio's `delete_cache` knows neither an upload that was broken off nor what other libraries write. The time of the
    last change of the inode counts, as a copy has its original's time of writing.
    """
    for directory, _, names in os.walk(folder, topdown=False):
        paths = [Path(directory, name) for name in names]
        if Path(directory) == folder:
            paths = [path for path in paths if path.name != LOCK]
        else:
            paths.append(Path(directory))
        for path in paths:
            if path not in kept:
                _delete_old(path, now - KEPT_SECONDS)


def _delete_old(path: Path, limit: float) -> None:
    """Delete a file or an empty folder last changed before `limit`."""
    try:
        if path.lstat().st_ctime >= limit:
            return
        if not path.is_dir() or path.is_symlink():
            path.unlink()
        elif not any(path.iterdir()):
            path.rmdir()
    except FileNotFoundError:
        pass  # Its owner was faster.
    except OSError as error:
        # The folder alone: an upload has the name that its sender gave it.
        _LOG.warning("Could not delete a file in %s (%s): delete it by hand.", path.parent, error.strerror)
