"""The pictures that are timed: artificial ones, as anybody may have them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from lesion_demo.images.phantom import render_phantom

SIDE = 300
"""Pixels, of an ordinary one."""
DIFFERENT = 40
"""Of many files, so many show different lesions."""


def write_pictures(folder: Path, count: int) -> list[Path]:
    """So many JPEG files of SIDE pixels, half of them malignant."""
    files = [folder / f"{seed:04}.jpg" for seed in range(count)]
    for seed, file in enumerate(files[:DIFFERENT]):
        Image.fromarray(render_phantom(seed, malignant=seed % 2 == 0, size=SIDE)).save(file, quality=92)
    for number, file in enumerate(files[DIFFERENT:]):
        shutil.copy(files[number % DIFFERENT], file)
    return files


def write_large(folder: Path, megapixels: float, seed: int = 1) -> Path:
    """A JPEG file of so many megapixels, 4:3, with a camera's noise."""
    width = round((megapixels * 1e6 * 4 / 3) ** 0.5)
    small = Image.fromarray(render_phantom(seed, malignant=True, size=600)).resize((width, width * 3 // 4))
    noise = np.random.default_rng(seed).normal(0, 3, (512, 512, 1))
    pixels = np.asarray(small, np.float32)
    rows, columns = (-(-side // 512) for side in pixels.shape[:2])
    noisy = pixels + np.tile(noise, (rows, columns, 1))[: pixels.shape[0], : pixels.shape[1]]
    file = folder / f"{megapixels:g}-megapixels-{seed}.jpg"
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(file, quality=92)
    return file
