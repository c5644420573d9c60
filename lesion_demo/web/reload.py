"""A page that is loaded anew finds its last picture again, by a random token that its tab alone knows."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from pathlib import Path

from lesion_demo.web.view import Choices
from lesion_demo.web.zoom import History

SECONDS = 1800
"""How long a picture is found again after its last answer; the file itself is deleted within the hour."""
MOST = 1000
"""Pictures that are remembered at a time, all visitors together; the oldest goes first."""

Last = tuple[History, Choices]
"""What was on display, as the names of files, and the controls as they stood."""


class Remembered:
    """The last picture of each tab, in memory only; threads share one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: OrderedDict[str, tuple[float, Last]] = OrderedDict()

    def keep(self, token: str, last: Last) -> None:
        with self._lock:
            self._last[token] = (time.monotonic(), last)
            self._last.move_to_end(token)
            while len(self._last) > MOST:
                self._last.popitem(last=False)

    def find(self, token: str) -> Last | None:
        """What was kept by `token`; None where nothing was, it is too old, or the picture's file is gone."""
        with self._lock:
            kept, (history, choices) = self._last.get(token, (0.0, ((), None)))
        path = history[-1].path if history else None
        if choices is None or path is None or time.monotonic() - kept > SECONDS or not Path(path).is_file():
            return None
        return history, choices


REMEMBERED = Remembered()
"""One for the process: a page in another language finds the picture, too."""
