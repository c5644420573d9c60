"""What the page makes of a request: which files of the server's disk it may name, and what a session is given."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.blocks import BlocksConfig
from gradio.utils import get_upload_folder

from lesion_demo.errors import where_raised

log = logging.getLogger(__name__)


class _UndescribedInSessions(BlocksConfig):
    """The page's parts, of which no session gets a description of its own.

    Gradio makes one of every component at a session's first request and again at every event, which takes 16 ms for a
    new client of this page, and reads it nowhere: it is meant for links to a state, which this page has not.
    """

    def __copy__(self) -> BlocksConfig:
        """What a session starts with."""
        config: BlocksConfig = super().__copy__()
        config.config_for_block = lambda *_: {}  # type: ignore[method-assign]
        return config


class GuardedBlocks(gr.Blocks):
    """A page none of whose functions is ever given another file, and of whose failures no log tells what was typed in.

    Gradio itself looks only at the files whose payload says that it is one (`meta`), and follows no links; and it
    prints every error with the values that came with it. All calls of all functions, from the page, from programs,
    queued or not, come through `process_api`, so none can be forgotten.

    Args:
        examples: a folder of files that may be named beside the uploads.
        refusal: what is said of any other, whether it exists or not.
        failure: what is said to a program where something else went wrong; the page has words of its own.
    """

    def __init__(self, examples: Path, refusal: str, failure: str, **options: Any) -> None:
        super().__init__(**options)
        self.default_config = _UndescribedInSessions(self)  # nothing is in it yet
        self._examples, self._refusal, self._failure = examples, refusal, failure

    async def process_api(self, *args: Any, **options: Any) -> dict[str, Any]:
        """As Gradio's, see `_process`; an error is logged by its type and place alone.

        Raises:
            gr.Error: whatever happened.
        """
        try:
            return await self._process(*args, **options)
        except gr.Error as error:
            error.print_exception = False  # Gradio's own name the value that they refuse
            raise
        except Exception as error:  # noqa: BLE001  # Gradio would print it with what was sent
            log.error("A request failed: %s", where_raised(error))
            raise gr.Error(escape(self._failure), visible=False, print_exception=False) from None

    async def _process(self, block_fn: Any, inputs: list[Any], *args: Any, **options: Any) -> dict[str, Any]:
        """As Gradio's, for inputs that name no file or files of ours.

        Without the queue, none at all: what is not queued is not counted among the pictures analysed at a time.

        Raises:
            gr.Error: some input, or what an event says of itself, names another.
        """
        if options.get("iterator") is None:  # a later step of a batch has the same inputs, perhaps swept meanwhile
            event = options.get("event_data")
            queued = options.get("event_id") is not None
            for path in named_files([inputs, None if event is None else event._data]):
                if not queued or not is_ours(path, [self._examples]):
                    raise gr.Error(escape(self._refusal), print_exception=False)
        return await super().process_api(block_fn, inputs, *args, **options)


def named_files(payload: object) -> Iterator[object]:
    """What stands for a file's path anywhere in `payload`, as it came from JSON."""
    waiting = [payload]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            if item.get("path") is not None:
                yield item["path"]
            waiting += item.values()
        elif isinstance(item, list | tuple):
            waiting += item


def is_ours(path: object, folders: Iterable[Path] = ()) -> bool:
    """Is `path` that of a regular file among the uploads or in `folders`, wherever links lead?"""
    if not isinstance(path, str):
        return False
    try:
        real = Path(os.path.realpath(path))
    except (OSError, ValueError):  # such as one with a NUL in it
        return False
    homes = [folder.resolve() for folder in (Path(get_upload_folder()), *folders)]
    return any(real.is_relative_to(home) for home in homes) and os.path.isfile(real)  # noqa: PTH113 never raises
