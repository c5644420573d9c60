"""Who may use the network when: single pictures first, batches in places of their own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PRIVATE: dict[str, Any] = {"api_visibility": "private"}
MODEL_EVENTS: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 2}
"""All events that analyse one picture share these places; more of them would only share the processor."""
QUEUE = 32
"""Jobs that may wait at a time, all clients together."""
BATCH_EVENTS: dict[str, Any] = {"concurrency_id": "batch", "concurrency_limit": 2}
"""Batches share these: however many there are, none takes the place of a single picture."""
LIVE: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last", "queue": False, **PRIVATE}
"""For controls that are dragged: the last position counts, nothing is run but arithmetic, the queue is not asked."""
LONGEST_WAIT = 20.0
"""Seconds that a batch gives way before its next picture: it is slow then, but gets on."""


class Precedence:
    """Lets single pictures go before those of a batch; threads share one."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._singles = 0

    @contextmanager
    def single(self) -> Iterator[None]:
        """While a single picture is analysed."""
        with self._changed:
            self._singles += 1
        try:
            yield
        finally:
            with self._changed:
                self._singles -= 1
                self._changed.notify_all()

    def give_way(self, seconds: float = LONGEST_WAIT) -> None:
        """Return when no single picture is being analysed, or after so many `seconds`."""
        with self._changed:
            self._changed.wait_for(lambda: self._singles == 0, seconds)


PRECEDENCE = Precedence()
"""One for the process, as the processor is."""
