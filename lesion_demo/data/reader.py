"""Pictures as they are read in training: decoded once into a file that every process on the machine maps."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from lesion_demo.data.picture import Picture
from lesion_demo.files import disk_is_full, replacing
from lesion_demo.images.load import load_image

log = logging.getLogger(__name__)

CACHE_SHARE = 0.4
"""Decoded pictures are kept where they take at most this share of the memory that is free."""
INDEX_SUFFIX = ".json"
CGROUP = Path("/sys/fs/cgroup")


class PictureReader:
    """Reads pictures as uint8 [H, W, 3], from a memory-mapped file where they were decoded before.

    The pages of the file exist once, however many processes read them, and the system takes them back where memory is
    short. A copy that was sent to another process maps the same file.
    """

    def __init__(self) -> None:
        self._file: Path | None = None
        self._owner = False
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._places: dict[str, tuple[int, int, int]] = {}
        self._bytes: NDArray[np.uint8] | None = None

    def __call__(self, picture: Picture) -> NDArray[np.uint8]:
        place = self._places.get(str(picture.path))
        if place is None or self._file is None:
            return load_image(picture.path)
        start, height, width = place
        if self._bytes is None:
            self._bytes = np.memmap(self._file, dtype=np.uint8, mode="r")
        return np.array(self._bytes[start : start + height * width * 3]).reshape(height, width, 3)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_bytes": None, "_temporary": None, "_owner": False}

    def cache(self, pictures: Sequence[Picture], file: Path | None = None, *, workers: int = 2) -> bool:
        """Decode `pictures` into `file` (a temporary one if None) if they fit; says whether they did.

        They fit in CACHE_SHARE of the memory that is free, and in half of the room on the disk. `close` removes the
        file, and so does the next `cache` into the same place after a kill.
        """
        if not pictures:
            return False
        needed = _estimated_bytes(pictures)
        if needed > CACHE_SHARE * free_memory():
            return False
        if file is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="lesion-demo-")
            file = Path(self._temporary.name) / "decoded"
        file.parent.mkdir(parents=True, exist_ok=True)
        if needed > shutil.disk_usage(file.parent).free / 2:
            log.info("No space beside %s to keep decoded pictures: each picture is decoded whenever it is used.", file)
            return False
        self._file, self._owner = file, True
        try:
            self._places = _decode(pictures, file, workers)
        except OSError as error:
            self.close()
            if not disk_is_full(error):
                raise
            log.info(
                "The disk is full: decoded pictures are not kept, and each picture is decoded whenever it is used."
            )
            return False
        return True

    def share(self, file: Path) -> bool:
        """Read what another process's `cache` has decoded into `file`; False where it decoded nothing."""
        if not _index(file).is_file():
            return False
        values = json.loads(_index(file).read_text(encoding="utf-8"))
        self._places = {path: (start, height, width) for path, (start, height, width) in values.items()}
        self._file = file
        return True

    def close(self) -> None:
        """Forget what was decoded, and remove the file if this reader wrote it: pictures are decoded anew then."""
        if self._owner and self._file is not None:
            self._file.unlink(missing_ok=True)
            _index(self._file).unlink(missing_ok=True)
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None
        self._file, self._owner, self._places, self._bytes = None, False, {}, None


def _decode(pictures: Sequence[Picture], file: Path, workers: int) -> dict[str, tuple[int, int, int]]:
    """Write `pictures` into `file`, one behind the other, and beside it where each begins, its height and width."""
    _index(file).unlink(missing_ok=True)
    places: dict[str, tuple[int, int, int]] = {}
    with file.open("wb") as stream, ThreadPoolExecutor(max(1, workers)) as pool:
        arrays = pool.map(lambda picture: load_image(picture.path), pictures)
        for picture, array in tqdm(zip(pictures, arrays, strict=True), "decode", len(pictures), unit="picture"):
            places[str(picture.path)] = (stream.tell(), *array.shape[:2])
            stream.write(array.tobytes())
    with replacing(_index(file)) as part:
        part.write_text(json.dumps(places), encoding="utf-8")
    return places


def _index(file: Path) -> Path:
    return file.with_name(file.name + INDEX_SUFFIX)


def _estimated_bytes(pictures: Sequence[Picture]) -> float:
    """Decoded size of all, extrapolated from a dozen spread over them."""
    some = pictures[:: max(1, len(pictures) // 12)]
    return float(np.mean([load_image(picture.path).nbytes for picture in some])) * len(pictures)


def free_memory(cgroup: Path = CGROUP) -> float:
    """Bytes of memory that can be had without swapping, within a container's limit.

    Linux and the container's control group (version 2 or 1) say; elsewhere 4 GB are assumed.
    """
    try:
        with open("/proc/meminfo") as lines:  # noqa: PTH123
            fields = dict(line.split(":", 1) for line in lines)
        free = float(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):
        free = 4e9
    for limit, used in (
        (cgroup / "memory.max", cgroup / "memory.current"),
        (cgroup / "memory" / "memory.limit_in_bytes", cgroup / "memory" / "memory.usage_in_bytes"),
    ):
        if limit.is_file() and used.is_file() and (most := limit.read_text().strip()) != "max":
            free = min(free, max(0.0, float(most) - float(used.read_text())))
    return free
