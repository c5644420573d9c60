"""Where uploads and reports lie: in a folder of this process alone, locked while it lives, swept by age."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from lesion_demo.errors import LesionDemoError

PREFIX = "lesion-demo-uploads-"
"""Of every such folder's name, among the system's temporary files."""
REPORT_PREFIX = "report-"
"""Of the name of a folder, among the uploads, with a report that bears a case number."""
KEPT_SECONDS = 3000
"""An upload or a result goes when it was written longer ago; the page promises it within the hour."""
REPORT_SECONDS = 120
"""The same for a report, which the browser fetches as soon as it is made."""
SWEEP_SECONDS = 30
"""From one sweep to the next."""

_LOG = logging.getLogger(__name__)


def own_upload_folder() -> Path:
    """A new folder that no other user may read, locked until the process ends; to be removed before.

    A process that was killed leaves its folder behind, but not the lock: such folders are removed here, first.

    Raises:
        LesionDemoError: the disk refused.
    """
    parent = Path(tempfile.gettempdir())
    sweep_dead(parent)
    try:
        while True:
            folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
            # Before it was locked, another process may have taken it for a dead one's, and removed it.
            if _lock(folder) is not None and folder.exists():
                return folder
    except OSError as error:
        raise LesionDemoError(
            f"Could not make a folder in {parent} ({error}): make room there, or set TMPDIR."
        ) from error


def sweep_dead(parent: Path) -> None:
    """Remove the upload folders in `parent` whose process has ended."""
    for folder in parent.glob(f"{PREFIX}*"):
        if (lock := _lock(folder)) is not None:
            remove(folder)
            os.close(lock)


def _lock(folder: Path) -> int | None:
    """A lock on `folder` until the handle is closed or the process ends; None where it is another's, or gone."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def remove(folder: Path) -> None:
    """Delete `folder`, though a thread may be writing into it."""
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
        limit = REPORT_SECONDS if Path(directory).name.startswith(REPORT_PREFIX) else KEPT_SECONDS
        paths = [Path(directory, name) for name in names]
        if Path(directory) != folder:
            paths.append(Path(directory))
        for path in paths:
            if path not in kept:
                _delete_old(path, now - limit)


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
        _LOG.warning("Could not delete %s (%s): delete it by hand.", path, error)
