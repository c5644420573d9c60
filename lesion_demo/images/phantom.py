"""Procedural pictures of skin lesions: drawn from random numbers, with no real picture behind them.

For tests, for examples that can be shown anywhere, and for a first run without data. A model trained on them knows
the caricature that is painted here, and nothing about skin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from lesion_demo.config import CLASSES
from lesion_demo.files import replacing
from lesion_demo.images.perturb import draw_ring

Field = NDArray[np.floating]
"""One number per pixel, [S, S]; the meaning stands with each."""
Painting = NDArray[np.floating]
"""RGB [S, S, 3] in 0–1, before noise and rounding."""
Colour = tuple[float, float, float]
"""RGB in 0–1."""

SKIN: tuple[Colour, ...] = ((0.93, 0.76, 0.68), (0.90, 0.68, 0.60), (0.85, 0.66, 0.52), (0.76, 0.56, 0.43))
BROWN: tuple[Colour, ...] = ((0.60, 0.39, 0.29), (0.52, 0.32, 0.24), (0.66, 0.46, 0.36))
DARK_BROWN: Colour = (0.30, 0.18, 0.13)
BLACK: Colour = (0.10, 0.07, 0.08)
RED: Colour = (0.68, 0.31, 0.30)
BLUE_GREY: Colour = (0.42, 0.46, 0.54)
WHITE_VEIL: Colour = (0.82, 0.78, 0.80)


@dataclass(frozen=True)
class _Shape:
    """Where a lesion lies; lengths as shares of the picture's side, angles in radians."""

    centre: tuple[float, float]
    radius: float
    elongation: float
    angle: float
    irregularity: float


def render_phantom(
    seed: int,
    *,
    malignant: bool,
    size: int = 300,
    ring: bool = False,
    hair: bool | None = None,
    brightness: float = 1.0,
    contrast: float = 1.0,
    dermatoscope: bool = False,
) -> NDArray[np.uint8]:
    """An artificial lesion as uint8 [size, size, 3], RGB; the same arguments give the same picture.

    A benign one is an even brown ellipse with a smooth border. A malignant one is lopsided, with a ragged border and
    patches of dark brown, black, red, blue-grey and white.

    Args:
        ring: look through a dermatoscope's round field.
        hair: draw hairs; None leaves it to chance (one picture in four).
        brightness: factor on every value; 0.2 is too dark to judge.
        contrast: factor on the distance from the mean colour; 0.2 is too flat to judge.
        dermatoscope: as if through its gel and lens, which hide the furrows of the skin and show a fine grain.
    """
    rng = np.random.default_rng((seed, int(malignant)))
    picture = _skin(rng, size, furrows=not dermatoscope)
    shape = _draw_shape(rng, malignant)
    depth = _depth(rng, size, shape)
    picture = _paint_malignant(rng, picture, depth, shape) if malignant else _paint_benign(rng, picture, depth, shape)
    picture *= _light(rng, size)[..., None]
    wants_hair = rng.random() < 0.25
    if wants_hair if hair is None else hair:
        picture = _draw_hairs(rng, picture)
    picture += rng.normal(0.0, 0.004 if dermatoscope else 0.010, picture.shape)
    if dermatoscope:
        picture = _through_dermatoscope(rng, picture)
    mean = picture.mean(axis=(0, 1), keepdims=True)
    picture = (mean + (picture - mean) * contrast) * brightness
    pixels = (np.clip(picture, 0.0, 1.0) * 255).astype(np.uint8)
    return draw_ring(pixels, radius=0.49, softness=0.02) if ring else pixels


def write_phantom_dataset(root: Path, *, train: int, val: int, test: int, seed: int, size: int) -> None:
    """Writes `root/{train,val,test}/{benign,malignant}/phantom_*.png`, square pictures of side `size` pixels.

    `train`, `val` and `test` count pictures per class; a split of 0 is left out. Every picture has its own seed, so no
    two are alike, in one split or across them.
    """
    number = 0
    for split, count in (("train", train), ("val", val), ("test", test)):
        for label in CLASSES:
            folder = root / split / label
            if count > 0:
                folder.mkdir(parents=True, exist_ok=True)
            for _ in range(count):
                picture_seed = seed * 1_000_003 + number
                pixels = render_phantom(picture_seed, malignant=label == "malignant", size=size)
                with replacing(folder / f"phantom_{number:05d}.png") as part:
                    Image.fromarray(pixels).save(part, "PNG")
                number += 1


def _noise(rng: np.random.Generator, size: int, cells: int) -> Field:
    """Smooth noise [size, size] of mean 0 and standard deviation 1, with about `cells` bumps across.

    The coarse grid does not depend on `size`, so that one seed looks alike at every size.
    """
    grid = rng.normal(size=(cells + 3, cells + 3)).astype(np.float32)
    margin = size / cells
    large = Image.fromarray(grid).resize((round(size + 2 * margin),) * 2, Image.Resampling.BICUBIC)
    start = round(margin)
    field = np.asarray(large)[start : start + size, start : start + size]
    return (field - field.mean()) / (field.std() + 1e-6)


def _fractal(rng: np.random.Generator, size: int, cells: Sequence[int], fade: float = 0.55) -> Field:
    """A sum of `_noise` of growing fineness, each `fade` times as strong as the one before; mean 0, deviation 1."""
    field = sum((_noise(rng, size, n) * fade**i for i, n in enumerate(cells)), np.zeros((size, size), np.float32))
    return field / (field.std() + 1e-6)


def _coordinates(size: int) -> tuple[Field, Field]:
    """x [1, size] and y [size, 1] of the pixel centres in 0–1."""
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size
    return axis[None, :], axis[:, None]


def _smooth_step(values: Field, width: float) -> Field:
    """0–1: 0 below −width / 2, 1 above width / 2, smooth between."""
    t = np.clip(values / width + 0.5, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def _mix(picture: Painting, colour: Colour, share: Field) -> Painting:
    """`picture` [S, S, 3] blended towards `colour` by `share` (0–1)."""
    return picture + share[..., None] * (np.asarray(colour, np.float32) - picture)


def _pick(rng: np.random.Generator, palette: Sequence[Colour]) -> Colour:
    """A colour between two neighbours of the palette."""
    place = rng.uniform(0.0, len(palette) - 1.0)
    low = min(int(place), len(palette) - 2)
    a, b = np.asarray(palette[low]), np.asarray(palette[low + 1])
    red, green, blue = a + (place - low) * (b - a) + rng.normal(0.0, 0.012, 3)
    return float(red), float(green), float(blue)


def _through_dermatoscope(rng: np.random.Generator, picture: Painting) -> Painting:
    """`picture` [S, S, 3] as a lens close to the skin shows it: bright, of less contrast, and with a fine grain.

    Lightness and colour have a grain each: pigment and blood lie in patterns of their own. Without the second, the
    shipped checkpoint takes every phantom for a photograph.
    """
    size = picture.shape[0]
    mean = picture.mean(axis=(0, 1), keepdims=True)
    light, colour = (_fractal(rng, size, (16, 32, 64, 128), fade=0.7)[..., None] for _ in range(2))
    grain = (1.0 + 0.03 * light * np.array([0.6, 1.0, 1.05])) * (1.0 + 0.018 * colour * np.array([0.3, -1.0, 0.8]))
    bright = np.clip((mean + 0.85 * (picture - mean)) * grain, 0.0, 1.0) ** 0.8
    image = Image.fromarray((bright * 255).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(size / 600)), np.float32) / 255


def _skin(rng: np.random.Generator, size: int, *, furrows: bool) -> Painting:
    """Bare skin [size, size, 3]: one tone, slow flush, and, if wanted, the fine net of `furrows`."""
    picture = np.broadcast_to(np.asarray(_pick(rng, SKIN), np.float32), (size, size, 3)).copy()
    picture *= 1.0 + 0.035 * _fractal(rng, size, (2, 4, 8))[..., None]
    picture = _mix(picture, RED, 0.05 * np.clip(_fractal(rng, size, (3, 6)), 0.0, 2.0))
    if not furrows:
        return picture
    lines = np.abs(_noise(rng, size, 34)) + np.abs(_noise(rng, size, 46))
    picture *= 1.0 - 0.030 * np.exp(-3.0 * lines)[..., None]
    picture *= 1.0 + 0.010 * _noise(rng, size, 90)[..., None]
    return picture


def _draw_shape(rng: np.random.Generator, malignant: bool) -> _Shape:
    low, high = (0.20, 0.36) if malignant else (0.14, 0.32)
    return _Shape(
        centre=(rng.uniform(0.34, 0.66), rng.uniform(0.34, 0.66)),
        radius=rng.uniform(low, high),
        elongation=rng.uniform(1.1, 1.6) if malignant else rng.uniform(1.0, 1.45),
        angle=rng.uniform(0.0, np.pi),
        irregularity=rng.uniform(0.13, 0.22) if malignant else rng.uniform(0.02, 0.05),
    )


def _depth(rng: np.random.Generator, size: int, shape: _Shape) -> Field:
    """How deep inside the lesion a pixel lies: 1 at its centre, 0 on its border, negative outside."""
    x, y = _coordinates(size)
    dx, dy = x - shape.centre[0], y - shape.centre[1]
    along = dx * np.cos(shape.angle) + dy * np.sin(shape.angle)
    across = dy * np.cos(shape.angle) - dx * np.sin(shape.angle)
    stretch = np.sqrt(shape.elongation)
    distance = np.hypot(along / stretch, across * stretch) / shape.radius
    ragged = _fractal(rng, size, (3, 6, 12, 24, 48), fade=0.55)
    return (1.0 - distance + shape.irregularity * ragged).astype(np.float32)


def _paint_benign(rng: np.random.Generator, picture: Painting, depth: Field, shape: _Shape) -> Painting:
    """One brown, a little darker towards the middle, with a fine regular net that fades into a soft even border."""
    size = picture.shape[0]
    inside = _smooth_step(depth, rng.uniform(0.16, 0.34))
    picture = _mix(picture, _pick(rng, BROWN), inside * rng.uniform(0.70, 0.90))
    picture = _mix(picture, DARK_BROWN, inside * np.clip(depth, 0.0, 1.0) * rng.uniform(0.10, 0.45))
    mottle = 1.0 + 0.04 * inside * _fractal(rng, size, (10, 20))
    net = _smooth_step(depth - 0.05, 0.3) * _net(rng, size, cells=int(rng.integers(24, 38)), jitter=0.55)
    return picture * (mottle * (1.0 - rng.uniform(0.05, 0.20) * net))[..., None]


def _paint_malignant(rng: np.random.Generator, picture: Painting, depth: Field, shape: _Shape) -> Painting:
    """Brown of several depths, then black, red, blue-grey and white patches, off centre, and an uneven border."""
    size = picture.shape[0]
    # The border is sharp on one side and washed out on the other.
    inside = _smooth_step(depth, 0.20) * (0.80 + 0.20 * np.clip(_toward(rng, size, shape), -1.0, 1.0))
    picture = _mix(picture, _pick(rng, BROWN), inside * 0.88)
    dark = _smooth_step(_fractal(rng, size, (3, 6, 12, 24)) + _toward(rng, size, shape), 2.6)
    picture = _mix(picture, DARK_BROWN, inside * dark * rng.uniform(0.75, 0.95))
    net = inside * (1.0 - dark) * _net(rng, size, cells=int(rng.integers(14, 24)), jitter=0.95)
    picture *= (1.0 - rng.uniform(0.10, 0.28) * net)[..., None]
    patches = ((RED, 1.0, 0.55, (3, 6, 12)), (BLUE_GREY, 0.9, 0.75, (3, 6, 12, 24)), (BLACK, 1.1, 0.85, (6, 12, 24)))
    for colour, level, strength, cells in patches:
        noise = _fractal(rng, size, cells) + 0.5 * _toward(rng, size, shape)
        share = _smooth_step(noise - level - rng.uniform(-0.3, 0.3), 1.3) * _smooth_step(depth - 0.12, 0.3)
        picture = _mix(picture, colour, share * strength)
    veil = _smooth_step(_fractal(rng, size, (3, 6, 12)) - 1.2, 1.4) * _smooth_step(depth - 0.25, 0.3)
    picture = _mix(picture, WHITE_VEIL, veil * rng.uniform(0.30, 0.55))
    return picture * (1.0 + 0.06 * inside * _fractal(rng, size, (16, 32, 64)))[..., None]


def _toward(rng: np.random.Generator, size: int, shape: _Shape) -> Field:
    """A ramp across the lesion in a random direction: about −1 at one edge, 1 at the other."""
    x, y = _coordinates(size)
    angle = rng.uniform(0.0, 2.0 * np.pi)
    ramp = (x - shape.centre[0]) * np.cos(angle) + (y - shape.centre[1]) * np.sin(angle)
    return np.clip(ramp / shape.radius, -1.5, 1.5).astype(np.float32)


def _net(rng: np.random.Generator, size: int, *, cells: int, jitter: float) -> Field:
    """A pigment network: 1 on its lines, 0 in its holes.

    The lines are the borders between the cells of points on a bent honeycomb grid, `cells` across, each moved by up to
    `jitter` / 2 steps (Worley 1996, "A cellular texture basis function"): 0 is a regular mesh, 1 a broken one.
    """
    across = 2 * cells + 8  # of the grid, which is turned and so must reach beyond the picture
    moved = 0.5 + jitter * (rng.random((2, across, across)) - 0.5)
    moved[0] += 0.5 * (np.arange(across) % 2)[:, None]  # every other row by half a step: a honeycomb
    x, y = _coordinates(size)
    angle = rng.uniform(0.0, np.pi)
    u = cells * ((x - 0.5) * np.cos(angle) - (y - 0.5) * np.sin(angle)) + 0.35 * _noise(rng, size, 5) + across / 2
    v = cells * ((x - 0.5) * np.sin(angle) + (y - 0.5) * np.cos(angle)) + 0.35 * _noise(rng, size, 5) + across / 2
    column, row = u.astype(np.intp), v.astype(np.intp)
    nearest = np.full((size, size), np.inf)
    second = nearest.copy()
    for down in (-1, 0, 1):
        for right in (-2, -1, 0, 1):
            spot_u, spot_v = moved[:, row + down, column + right]
            distance = np.hypot(column + right + spot_u - u, row + down + spot_v - v)
            second = np.minimum(second, np.maximum(nearest, distance))
            nearest = np.minimum(nearest, distance)
    return np.exp(-(((second - nearest) / 0.22) ** 2)).astype(np.float32)


def _light(rng: np.random.Generator, size: int) -> Field:
    """Factor of an uneven lamp, around 1, brighter on one side and falling off to the corners."""
    x, y = _coordinates(size)
    angle = rng.uniform(0.0, 2.0 * np.pi)
    slope = rng.uniform(0.0, 0.12) * (np.cos(angle) * (x - 0.5) + np.sin(angle) * (y - 0.5))
    corners = rng.uniform(0.05, 0.30) * ((x - 0.5) ** 2 + (y - 0.5) ** 2)
    return (rng.uniform(0.93, 1.05) * (1.0 + slope - corners)).astype(np.float32)


def _draw_hairs(rng: np.random.Generator, picture: Painting) -> Painting:
    """`picture` with 4 to 12 dark, bent, tapering hairs, most of them lying one way."""
    size = picture.shape[0]
    x, y = _coordinates(size)
    main_angle = rng.uniform(0.0, np.pi)
    for _ in range(int(rng.integers(4, 13))):
        angle = main_angle + rng.normal(0.0, 0.35)
        dx, dy = x - rng.uniform(0.05, 0.95), y - rng.uniform(0.05, 0.95)
        along = dx * np.cos(angle) + dy * np.sin(angle)
        across = dy * np.cos(angle) - dx * np.sin(angle) - rng.normal(0.0, 0.5) * along**2
        length = rng.uniform(0.15, 0.55)
        width = rng.uniform(0.0025, 0.0045) * np.clip(1.0 - (along / length) ** 2, 0.0, 1.0)
        share = np.clip((width - np.abs(across)) * size + 0.5, 0.0, 1.0) * (width > 0)
        picture = _mix(picture, (0.16, 0.11, 0.09), (share * 0.85).astype(np.float32))
    return picture
