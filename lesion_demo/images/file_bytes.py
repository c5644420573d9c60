"""The bytes of a picture file, or an `ImageError` that says why there are none."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from lesion_demo.errors import ImageError

MAX_PIXELS = 100_000_000
"""Width × height beyond which a picture is refused unread: decoded, it would fill the memory."""
MAX_BYTES = 1 << 30
"""A larger file is refused unread (100 megapixels of 16-bit RGB are 0.6 GB)."""


def read_bytes(source: str | Path | bytes | BinaryIO, name: str) -> bytes:
    """The content of `source`, a path or a file's content, known not to be empty; `name` is for the messages.

    Raises:
        ImageError: it is missing, empty, too large, no regular file, or may not be read.
    """
    if isinstance(source, bytes):
        data = source
    elif isinstance(source, str | Path):
        data = _read_path(Path(source), name)
    else:
        data = source.read()
    if not data:
        raise ImageError(f"{name} is empty; please copy or export it again.")
    if len(data) > MAX_BYTES:
        raise too_large(name, f"{len(data) / 2**30:.1f} GB")
    return data


def _read_path(path: Path, name: str) -> bytes:
    try:
        if path.is_dir():
            raise ImageError(f"{name} is a folder; please choose a picture file.")
        if path.exists() and not path.is_file():  # a pipe keeps one waiting, and /dev/zero has no end
            raise ImageError(f"{name} is not a regular file; please choose a picture file.")
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise too_large(name, f"{size / 2**30:.1f} GB")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ImageError(f"{name} does not exist; please check its path.") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        why = error.strerror if isinstance(error, OSError) else error  # not the path: it may be one on a server
        raise ImageError(
            f"{name} could not be read from disk ({why}); please check the path and your permission to read it."
        ) from error


def too_large(name: str, size: str) -> ImageError:
    """What to say of the picture called `name`, whose `size` is beyond the limits."""
    limit = MAX_PIXELS // 10**6
    return ImageError(f"{name} is too large ({size}); please scale it down below {limit} megapixels.")
