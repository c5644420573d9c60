"""A page that is loaded anew finds its last picture again, by a random token that its tab alone knows."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from lesion_demo.web.places import LIVE, MODEL_EVENTS, PRIVATE
from lesion_demo.web.verdict import CUSTOM
from lesion_demo.web.view import Choices, Request
from lesion_demo.web.zoom import History

if TYPE_CHECKING:
    from lesion_demo.web.events import Panel

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


def connect_reload(panel: Panel, shown: str, ended: str, words: str) -> None:
    """Remember the picture on display with each answer, and let the hidden button `restore` bring it back.

    Args:
        shown: JavaScript that puts what the page shows in the place of an event's last value.
        ended: JavaScript that says that the session has ended; `words`: the same, for the server's log.
    """

    def remember(history: History, *values: Any) -> None:
        request = Request.of(*values)
        if request.analyzed:
            REMEMBERED.keep(request.screen.id, (history, request.choices))

    def restore(screen: dict[str, Any]) -> list[Any]:
        last = REMEMBERED.find(str(screen["id"]))
        if last is None:
            raise gr.Error(words, print_exception=False)
        history, choices = last
        threshold = gr.update(value=choices.threshold, visible=choices.point == CUSTOM)
        return [history[-1].path, history, choices.point, threshold, choices.dermoscopic, choices.prevalence]

    controls = [panel.point, panel.threshold, panel.dermoscopic, panel.prevalence]
    moved = [panel.judge.click, *(control.input for control in controls)]  # type: ignore[attr-defined]
    gr.on(moved, remember, [panel.closer.history, *panel.asking], None, js=shown, **LIVE)
    restored = panel.restore.click(
        restore, panel.screen, [panel.picture, panel.closer.history, *controls], js="() => [lesion.resume()]",
        show_progress="hidden", **MODEL_EVENTS, **PRIVATE,
    )  # fmt: skip
    # The box for the dermatoscope stands as it stood, whoever said so.
    restored.success(None, js="() => { lesion.again(); lesion.correct(); }", **PRIVATE)
    restored.failure(None, js=ended, **PRIVATE)
