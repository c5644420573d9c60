"""What one picture can do to a program is told of that picture, and ends nothing else."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from lesion_demo.errors import ImageError, where_raised
from lesion_demo.images.load import out_of_memory

log = logging.getLogger(__name__)

_LACK_OF_MEMORY = ("out of memory", "not enough memory", "can't allocate memory", "Failed to allocate memory")
"""What torch says of it, in an error of no type of its own but on a GPU; and, last, ONNX Runtime."""


@contextmanager
def one_picture(name: str = "The picture") -> Iterator[None]:
    """The `with` block deals with one picture, called `name`: what fails in it for want of memory, or in a library.

    Raises:
        ImageError: in place of MemoryError and RuntimeError; every other error stays what it is.
    """
    try:
        yield
    except MemoryError as error:
        raise out_of_memory(name) from error
    except RuntimeError as error:
        if any(sign in str(error) for sign in _LACK_OF_MEMORY):
            raise out_of_memory(name) from error
        log.error("A picture could not be analysed: %s", where_raised(error))
        raise ImageError(f"{name} could not be analysed; please export it again, or choose another.") from error
