"""The pictures of an experiment, small and in memory, with their lesions' masks and colours; what is done to them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from lesion_demo.config import PreprocessSpec
from lesion_demo.data.picture import Picture
from lesion_demo.files import replacing
from lesion_demo.images import Pixels, skin
from lesion_demo.images.lesion import find_lesion
from lesion_demo.images.load import load_image
from lesion_demo.images.look import Look

SIDE = 192
"""Shorter side, pixels, of the copies that the runs work on: a cut-out field still has the network's 128."""
SPEC = PreprocessSpec(image_size=128, round_window=True)
SOFT = 8.0
"""Added to values 0–255 before their logarithm is taken: the noise of black stays in bounds."""
CROP_SHARE = 0.62
"""Share of a crop's side that the lesion's longer side takes."""

Square = tuple[int, int, int, int]
"""Left, top, width, height in pixels of what the network is shown the middle of."""


@dataclass(frozen=True)
class Store:
    """Copies of pictures, in their order.

    Attributes:
        pixels: uint8 [H, W, 3] each, shorter side SIDE at most.
        squares: what of each is visible.
        masks: bool [s, s] over the square, True on the lesion; None where nothing stands out.
        colours: float32 [N, 2, 3]: mean and deviation of the logarithm of the visible skin's colour.
    """

    pixels: list[Pixels]
    squares: list[Square]
    masks: list[NDArray[np.bool_] | None]
    colours: NDArray[np.float32]

    def of(self, chosen: Sequence[int]) -> Store:
        """Those at the places `chosen`."""
        return Store(
            [self.pixels[i] for i in chosen],
            [self.squares[i] for i in chosen],
            [self.masks[i] for i in chosen],
            self.colours[list(chosen)],
        )


def open_store(pictures: Sequence[Picture], folder: Path) -> Store:
    """The store of `pictures`, from `folder` where it was made before for the same ones."""
    key = hashlib.sha256("\n".join(picture.content_hash for picture in pictures).encode()).hexdigest()[:16]
    path = folder / f"pictures-{key}.npz"
    if not path.is_file():
        _write_store(path, pictures)
    with np.load(path) as kept:
        flat, shapes, squares, found = kept["flat"], kept["shapes"], kept["squares"], kept["found"]
        bits, colours = kept["bits"], kept["colours"]
    ends = np.cumsum(shapes.prod(axis=1) * 3)
    pixels = [part.reshape(*shape, 3) for part, shape in zip(np.split(flat, ends[:-1]), shapes, strict=True)]
    masks: list[NDArray[np.bool_] | None] = []
    starts = np.cumsum([0, *(-(-side * side // 8) for side in squares[:, 2])])
    for index, (_, _, side, _) in enumerate(squares):
        packed = bits[starts[index] : starts[index + 1]]
        mask = np.unpackbits(packed, count=side * side).reshape(side, side).astype(bool)
        masks.append(mask if found[index] else None)
    return Store(pixels, [(int(a), int(b), int(c), int(d)) for a, b, c, d in squares], masks, colours)


def _write_store(path: Path, pictures: Sequence[Picture]) -> None:
    parts: list[Pixels] = []
    shapes, squares, found, bits, colours = [], [], [], [], []
    for picture in tqdm(pictures, "shrink, find the lesion", unit="picture"):
        pixels = shrink(load_image(picture.path))
        square = Look.of(pixels).visible(SPEC).corner_and_size
        seen = cut(pixels, square)
        mask = find_lesion(seen, square[2])
        parts.append(pixels.reshape(-1))
        shapes.append(pixels.shape[:2])
        squares.append(square)
        found.append(mask is not None)
        bits.append(np.packbits(mask if mask is not None else np.zeros(seen.shape[:2], bool)))
        colours.append(_colour(seen, mask))
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part, part.open("wb") as file:
        np.savez(
            file, flat=np.concatenate(parts), shapes=np.array(shapes), squares=np.array(squares),
            found=np.array(found), bits=np.concatenate(bits), colours=np.array(colours, np.float32),
        )  # fmt: skip


def shrink(picture: Pixels) -> Pixels:
    """`picture` (uint8 [H, W, 3]) with a shorter side of SIDE pixels at most."""
    height, width = picture.shape[:2]
    scale = SIDE / min(height, width)
    if scale >= 1:
        return picture
    size = (round(width * scale), round(height * scale))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


def cut(pixels: Pixels, square: Square) -> Pixels:
    """The part of `pixels` in `square`; a view."""
    left, top, width, height = square
    return pixels[top : top + height, left : left + width]


def _colour(seen: Pixels, mask: NDArray[np.bool_] | None) -> NDArray[np.float32]:
    """Mean and deviation [2, 3] of the logarithm of `seen`, within its disc and off its lesion."""
    shown = skin.disc(seen.shape[0])
    if mask is not None and (shown & ~mask).sum() > 100:
        shown = shown & ~mask
    values = np.log(seen[shown].astype(np.float32) + SOFT)
    return np.stack([values.mean(axis=0), values.std(axis=0)])


def recolour(pixels: Pixels, own: NDArray[np.float32], other: NDArray[np.float32]) -> Pixels:
    """`pixels` with the skin's colour `own` [2, 3] made `other`: mean and spread per channel (Reinhard et al. 2001)."""
    values = np.log(np.arange(256, dtype=np.float32) + SOFT)
    table = np.empty((256, 3), np.uint8)
    for channel in range(3):
        gain = np.clip(other[1, channel] / max(own[1, channel], 1e-3), 0.75, 1.33)
        moved = np.exp((values - own[0, channel]) * gain + other[0, channel]) - SOFT
        table[:, channel] = moved.round().clip(0, 255)
    return np.stack([table[pixels[..., channel], channel] for channel in range(3)], axis=-1)


def even_light(pixels: Pixels, square: Square) -> Pixels:
    """Shades of grey: the light of what is visible made grey (Finlayson & Trezzi 2004, Minkowski norm 6)."""
    seen = cut(pixels, square).reshape(-1, 3).astype(np.float32)
    light = ((seen**6).mean(axis=0) + 1e-6) ** (1 / 6)
    gains = light.mean() / light
    table = (np.arange(256)[:, None] * gains).round().clip(0, 255).astype(np.uint8)  # [256, 3]
    return np.stack([table[pixels[..., channel], channel] for channel in range(3)], axis=-1)


def paint_out(pixels: Pixels, square: Square, mask: NDArray[np.bool_]) -> Pixels:
    """A copy whose lesion is covered with the skin from around it."""
    return _put(pixels, square, skin.paint_out(cut(pixels, square), mask))


def transplant(
    lesion: tuple[Pixels, Square, NDArray[np.bool_]], host: tuple[Pixels, Square, NDArray[np.bool_]]
) -> Pixels:
    """The picture `host` with the lesion of the picture `lesion` in place of its own, in its light."""
    pixels, square, mask = host
    return _put(pixels, square, skin.transplant(cut(lesion[0], lesion[1]), lesion[2], cut(pixels, square), mask))


def lesion_square(square: Square, mask: NDArray[np.bool_] | None) -> Square:
    """The part of `square` about the lesion, of which it takes CROP_SHARE; all of it where none is known."""
    if mask is None:
        return square
    left, top, side, _ = square
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    height, width = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    new = int(min(side, max(0.35 * side, max(height, width) / CROP_SHARE)))
    x = int(np.clip((columns[0] + columns[-1]) // 2 - new // 2, 0, side - new))
    y = int(np.clip((rows[0] + rows[-1]) // 2 - new // 2, 0, side - new))
    return left + x, top + y, new, new


def _put(pixels: Pixels, square: Square, seen: Pixels) -> Pixels:
    copy = pixels.copy()
    cut(copy, square)[:] = seen
    return copy
