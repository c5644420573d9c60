"""How many times over a JPEG file has its whole picture decoded."""

from __future__ import annotations

import re

_MARKER = re.compile(rb"\xff[^\x00\xff]")
"""Within compressed data, a byte of 255 is followed by a zero; before a marker there may be more than one."""
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})


def count_scans(data: bytes, limit: int) -> int:
    """Scans of the first picture in the JPEG file `data`, counted up to `limit` and no further.

    A thumbnail lies inside of a segment, which is passed over, and the other pictures of an MPO file come after the end
    of the first: neither counts.
    """
    scans = place = 0
    while scans < limit and (found := _MARKER.search(data, place)):
        marker, place = data[found.start() + 1], found.end()
        if marker == _END_OF_IMAGE:
            break
        if marker not in _WITHOUT_LENGTH:
            place += int.from_bytes(data[place : place + 2], "big")
        scans += marker == _START_OF_SCAN
    return scans
