"""Batches from processes that read pictures: how these end, and what is said when they fail."""

from __future__ import annotations

import atexit
import multiprocessing
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import islice
from multiprocessing.process import BaseProcess
from typing import TypeVar
from weakref import WeakSet

from lesion_demo.errors import DataError, LesionDemoError

T = TypeVar("T")
_LACK_OF_SHARED_MEMORY = ("shared memory", "</torch_", "Bus error")
"""What torch says of it, in an error of no type of its own."""
_DEAD_WORKER = ("is killed by signal", "exited unexpectedly")


def delivered(loader: Iterable[T]) -> Iterator[T]:
    """The batches of `loader`; what goes wrong in the processes that make them is told in a sentence.

    Raises:
        LesionDemoError: a picture cannot be read.
        DataError: there is too little shared memory, as in a container by default (64 MB with Docker), or such a
            process was killed.
    """
    workers: list[BaseProcess] = []
    try:
        with _workers_keep_on(workers):
            batches = iter(loader)
            first = list(islice(batches, 1))  # accelerate's loader starts its processes only now
        yield from first
        yield from batches
    except LesionDemoError as error:  # of another process it comes with the whole way that it went there
        last = str(error).rstrip().splitlines()[-1]
        raise type(error)(last.removeprefix(f"{type(error).__module__}.{type(error).__name__}: ")) from error
    except RuntimeError as error:
        bus_error = any(worker.exitcode == -signal.SIGBUS for worker in workers)
        if bus_error or any(sign in str(error) for sign in _LACK_OF_SHARED_MEMORY):
            raise DataError(
                "The processes that read pictures ran out of shared memory (/dev/shm): use --workers 0, or give the "
                "container more, as in 'docker run --shm-size 1g'."
            ) from error
        if any(sign in str(error) for sign in _DEAD_WORKER):
            raise DataError(
                "A process that reads pictures was killed, perhaps because memory ran out: try again with --workers 0."
            ) from error
        raise


@contextmanager
def _workers_keep_on(workers: list[BaseProcess]) -> Iterator[None]:
    """Processes started in this block, which are added to `workers`, are not stopped by signals, but by our end.

    Ctrl-C, `timeout` and SLURM send their signal to every process at once. Workers that died of it would end this
    process with torch's error, before it could save and say what is kept. A signal mask is inherited.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    others = multiprocessing.active_children()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        workers.extend(child for child in multiprocessing.active_children() if child not in others)
        _to_end_with_us().update(workers)
        _no_error_out_of_nowhere()


def _no_error_out_of_nowhere() -> None:
    """Take back torch's handler of SIGCHLD: when a worker dies, it raises its error in whatever this process is doing.

    Without it, the loader finds out by itself within five seconds, when it is asked for the next batch.
    """
    torch_set_it = getattr(signal.getsignal(signal.SIGCHLD), "__module__", "").startswith("torch.utils.data.")
    if torch_set_it and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


@cache
def _to_end_with_us() -> WeakSet[BaseProcess]:
    """Workers that SIGTERM does not end, to be killed where they are still there when this process ends.

    An error keeps the loader that raised it, and so its workers. At exit, multiprocessing sends them SIGTERM and
    waits for them: without this, for ever.
    """
    workers: WeakSet[BaseProcess] = WeakSet()

    def kill() -> None:
        for worker in list(workers):
            worker.kill()

    atexit.register(kill)
    return workers
