"""Read every file once: its hash, a thumbnail to compare, and whether it can be decoded at all."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from lesion_demo.data.picture import Picture
from lesion_demo.errors import DataError, ImageError
from lesion_demo.files import sha256_of
from lesion_demo.images.load import load_image

SIDE = 64
"""Side of the stored thumbnails, pixels; every crop is cut from these, so a file is decoded once."""


@dataclass(frozen=True)
class Fingerprints:
    """What one reading of every file left; row i belongs to picture i.

    Attributes:
        content_hashes: SHA-256 of each file, hex; empty where the file could not be read at all.
        thumbnails: luminance uint8 [N, SIDE, SIDE], squashed to a square; zero where the picture is corrupt.
        corrupt: (index, reason) of each picture that could not be decoded to its end.
    """

    content_hashes: tuple[str, ...]
    thumbnails: NDArray[np.uint8]
    corrupt: tuple[tuple[int, str], ...]

    def subset(self, indices: Sequence[int]) -> Fingerprints:
        """The rows `indices`, in that order."""
        new_index = {old: new for new, old in enumerate(indices)}
        return Fingerprints(
            tuple(self.content_hashes[i] for i in indices),
            self.thumbnails[list(indices)],
            tuple((new_index[i], reason) for i, reason in self.corrupt if i in new_index),
        )


def fingerprint(pictures: Sequence[Picture], *, workers: int = 2) -> Fingerprints:
    """Read, hash and fully decode every picture once, with a progress bar, on `workers` threads.

    A picture that cannot be decoded to its end (truncated ones too) is listed as corrupt, not raised.
    """
    thumbnails = np.zeros((len(pictures), SIDE, SIDE), np.uint8)
    hashes: list[str] = []
    corrupt: list[tuple[int, str]] = []
    # Threads are enough: Pillow lets go of the interpreter lock while it decodes, hashlib while it hashes.
    with ThreadPoolExecutor(max(1, workers)) as pool:
        results = pool.map(_read, pictures)
        progress = tqdm(results, total=len(pictures), desc="Reading pictures", unit="picture", mininterval=1.0)
        for index, (content_hash, thumbnail, reason) in enumerate(progress):
            hashes.append(content_hash)
            if thumbnail is None:
                corrupt.append((index, reason))
            else:
                thumbnails[index] = thumbnail
    return Fingerprints(tuple(hashes), thumbnails, tuple(corrupt))


def hash_file(picture: Picture) -> str:
    """SHA-256 of the picture's file, hex.

    Raises:
        OSError: the file cannot be read.
    """
    return sha256_of(picture.path)


def hashed(pictures: Sequence[Picture]) -> list[Picture]:
    """`pictures` with their content's hash.

    Raises:
        DataError: one cannot be read.
    """
    if not pictures:
        return []

    def read(picture: Picture) -> Picture:
        try:
            return replace(picture, content_hash=hash_file(picture))
        except OSError as error:
            raise DataError(f"{picture.path} could not be read ({error}); restore it.") from error

    with ThreadPoolExecutor(2) as pool:
        return list(tqdm(pool.map(read, pictures), total=len(pictures), desc="Checking pictures", unit="picture"))


def _read(picture: Picture) -> tuple[str, NDArray[np.uint8] | None, str]:
    """Content hash, thumbnail (None if corrupt) and the reason it is corrupt."""
    content_hash = ""
    try:
        content = picture.path.read_bytes()
        content_hash = hashlib.sha256(content).hexdigest()
        pixels = load_image(content)
    except ImageError as error:
        return content_hash, None, str(error)
    except OSError as error:
        return content_hash, None, error.strerror or str(error)
    grey = Image.fromarray(pixels).convert("L")
    return content_hash, np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0)), ""
