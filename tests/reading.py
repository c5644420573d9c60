"""HTML as it is read."""

from __future__ import annotations

import re
from html import unescape


def plain(html: str) -> str:
    """What a reader reads, in one line."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html))).strip()
