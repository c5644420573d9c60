"""Gradio imported without what only its developers and editors need, which is more than half of the work."""

from __future__ import annotations

import gc
import inspect
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quick_import() -> Iterator[None]:
    """Within the block, Gradio is imported in half the time; it is for one thread, at the start of a process.

    At each import Gradio parses the source of every component and writes a stub file for editors beside it, but not
    for a component whose source it cannot find. Imports create many objects and hardly any garbage, so none is looked
    for meanwhile, and what they created is left out of every later search.
    """
    find, collected = inspect.getfile, gc.isenabled()

    def getfile(thing: object) -> str:
        if isinstance(thing, type) and thing.__module__.partition(".")[0] == "gradio":
            raise OSError("no stub file is wanted")
        return find(thing)  # type: ignore[arg-type]

    inspect.getfile = getfile  # type: ignore[assignment]
    gc.disable()
    try:
        yield
    finally:
        inspect.getfile = find
        gc.freeze()
        if collected:
            gc.enable()
