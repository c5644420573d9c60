"""What files are called wherever a reader meets them: in a table, in a CSV file, as reports, in a sentence."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable

MAX_BYTES = 200
"""Of one part of a label, in UTF-8: file systems take 255, and a report's suffix and a number are to follow."""

_FORBIDDEN = frozenset('<>:"|?*')
"""Windows refuses them in names, and reports are unpacked there, too."""
_RESERVED = frozenset({"con", "prn", "aux", "nul"} | {f"{port}{n}" for port in ("com", "lpt") for n in "123456789¹²³"})
"""Windows takes them for devices, whatever suffix follows."""
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode's categories of what has no shape of its own: it hides, turns the text around, or cannot be written."""


def distinct_labels(names: Iterable[str]) -> list[str]:
    """A label for each of `names` (paths with / or \\), safe as a file's path, and no two of them alike.

    Names that differ by no more than case, Unicode's normal form, or what no file name may hold look alike, and would
    overwrite each other's reports on many a disk. Such files are told apart by a number, in the order of `names`:
    `IMG_1.JPG (1)`, `img_1.jpg (2)`. All others keep their names.
    """
    cleaned = [_clean(name) for name in names]
    often = Counter(map(_look, cleaned))
    taken = {look for look, count in often.items() if count == 1}
    numbers: Counter[str] = Counter()
    labels = []
    for name in cleaned:
        look, label = _look(name), name
        while often[look] > 1 and (label == name or _look(label) in taken):
            numbers[look] += 1
            label = f"{name} ({numbers[look]})"
        taken.add(_look(label))
        labels.append(label)
    return labels


def _look(label: str) -> str:
    """The same for labels that a reader or a disk may take for one."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", label).casefold())


def _clean(name: str) -> str:
    parts = (_clean_part(part) for part in name.replace("\\", "/").split("/"))
    return "/".join(part for part in parts if part) or "_"


def _clean_part(part: str) -> str:
    """A file's or folder's name without what is forbidden or cannot be seen; empty for `.` and `..`."""
    seen = "".join("_" if c in _FORBIDDEN or unicodedata.category(c) in _UNSEEN else c for c in part)
    seen = " ".join(seen.split()).rstrip(". ")
    if seen.partition(".")[0].strip().lower() in _RESERVED:
        seen = f"_{seen}"
    return f"{seen[:30]}…{seen[-20:]}" if len(seen.encode()) > MAX_BYTES else seen
