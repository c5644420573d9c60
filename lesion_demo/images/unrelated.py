"""Pictures that show no lesion, to see whether they are refused: drawn, or samples that packages bring along."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lesion_demo.errors import LesionDemoError
from lesion_demo.images import Pixels
from lesion_demo.images.lesion import find_lesion

Drawing = Callable[[np.random.Generator, int], Pixels]
"""A source of chance and a side in pixels → a square picture."""

WORDS = [
    "the",
    "of",
    "and",
    "patient",
    "skin",
    "history",
    "report",
    "date",
    "dose",
    "was",
    "not",
    "with",
    "from",
    "seen",
]
PHOTOGRAPHS = (
    ("gradio", "media_assets/images", ("cheetah.jpg", "cheetah1.jpg", "groot.jpeg", "lion.jpg", "tower.jpg")),
    ("sklearn", "datasets/images", ("china.jpg", "flower.jpg")),
    ("matplotlib", "mpl-data/sample_data", ("grace_hopper.jpg",)),
    (
        "skimage",
        "data",
        (
            "astronaut.png", "brick.png", "camera.png", "chelsea.png", "chessboard_RGB.png", "clock_motion.png",
            "coffee.png", "coins.png", "color.png", "grass.png", "gravel.png", "horse.png", "hubble_deep_field.jpg",
            "ihc.png", "logo.png", "moon.png", "motorcycle_left.png", "page.png", "retina.jpg", "rocket.jpg",
            "text.png",
        ),
    ),
)  # fmt: skip
"""Package, folder and files of sample pictures."""
CLOSE = (0.8, 0.6, 0.45, 0.35, 0.35, 0.25, 0.25, 0.25, 0.15, 0.15)
"""Sides of the squares of a sample picture that are looked at beside the whole, as shares of its shorter side."""
SMALLEST = 48
"""Side in pixels below which such a square is left out."""
FACES = ("skimage", "data/lfw_subset.npy")
"""Package and file of 100 grey faces, float [200, 25, 25] in 0–1; what follows them is no face."""
FACE_STEP = 5
LIT = 60.0
"""Mean (0–255) of the darkest channel above which a corner is no dermatoscope's ring."""
CORNER = 0.4
"""Side of the corner that is taken for plain skin, as a share of the picture's shorter side."""
CLOSE_UP = 0.5
"""Side of the middle that is a close-up of a lesion, likewise."""


def unrelated_pictures() -> Iterator[tuple[str, Pixels]]:
    """All that nothing was learnt from: (kind, picture).

    Raises:
        LesionDemoError: a package with sample pictures is not installed.
    """
    yield from (("photograph", image) for image in photographs(learnt=False))
    yield from faces()
    yield from drawings()


def photographs(*, learnt: bool) -> Iterator[Pixels]:
    """Sample photographs of the installed packages, each whole and in squares of it, see CLOSE: uint8 [H, W, 3].

    One half is there to learn from, the other to report; a file lies in one of them with all of its squares.

    Raises:
        LesionDemoError: one of the packages is not installed.
    """
    for package, folder, files in PHOTOGRAPHS:
        for file in files:
            if to_learn_from(file) == learnt:
                image = np.asarray(Image.open(_file_of(package, f"{folder}/{file}")).convert("RGB"))
                yield image
                yield from _close_ups(np.random.default_rng(0), image)


def to_learn_from(file: str) -> bool:
    """Does the half that is learnt from have this file? By the hash of its name, so that nobody chooses."""
    return hashlib.sha256(file.encode()).digest()[0] % 2 == 0


def faces(side: int = 250) -> Iterator[tuple[str, Pixels]]:
    """Some small grey faces, enlarged to `side` pixels."""
    for face in np.load(_file_of(*FACES))[:100:FACE_STEP]:
        small = Image.fromarray(np.rint(face * 255).astype(np.uint8))
        yield "face", np.asarray(small.resize((side, side), Image.Resampling.BICUBIC).convert("RGB"))


def drawings(count: int = 12, side: int = 320) -> Iterator[tuple[str, Pixels]]:
    """So many of each of DRAWINGS, under its name: uint8 [side, side, 3]."""
    for name, draw in DRAWINGS.items():
        for number in range(count):
            yield name, draw(np.random.default_rng(number), side)


def plain_skin(image: Pixels) -> Pixels | None:
    """A corner of a lesion's picture (uint8 [H, W, 3]) that holds nothing of the lesion; None where there is none.

    Sure only of what `find_lesion` is sure of: no lesion found, no corner.
    """
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    lesion = find_lesion(image[top : top + side, left : left + side], side)
    if lesion is None:
        return None
    part = round(CORNER * side)
    for y, x in ((0, 0), (0, side - part), (side - part, 0), (side - part, side - part)):
        corner = image[top + y : top + y + part, left + x : left + x + part]
        if not lesion[y : y + part, x : x + part].any() and corner.min(axis=2).mean() > LIT:
            return corner
    return None


def close_up(image: Pixels) -> Pixels:
    """The middle of a picture (uint8 [H, W, 3]), of half its shorter side: enlarged about as a corner of skin is."""
    height, width = image.shape[:2]
    side = min(height, width)
    part = max(1, round(CLOSE_UP * side))
    top, left = (height - part) // 2, (width - part) // 2
    return image[top : top + part, left : left + part]


def _file_of(package: str, file: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise LesionDemoError(
            f"The audit uses sample pictures from the package {package}, which is not installed: "
            "run 'pip install -r requirements-dev.txt'."
        )
    return Path(spec.origin).parent / file


def _close_ups(rng: np.random.Generator, image: Pixels) -> Iterator[Pixels]:
    shorter = min(image.shape[:2])
    for side in (round(share * shorter) for share in CLOSE):
        if side >= SMALLEST:
            top, left = (int(rng.integers(length - side + 1)) for length in image.shape[:2])
            yield image[top : top + side, left : left + side]


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in rng.integers(0, 256, 3))
    return red, green, blue


def _flat(rng: np.random.Generator, side: int) -> Pixels:
    return np.tile(np.array(_colour(rng), dtype=np.uint8), (side, side, 1))


def _gradient(rng: np.random.Generator, side: int) -> Pixels:
    first, last = (np.array(_colour(rng), dtype=np.float64) for _ in range(2))
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[0:side, 0:side] / side - 0.5
    share = np.clip(x * np.cos(angle) + y * np.sin(angle) + 0.5, 0, 1)[..., None]
    return (first * (1 - share) + last * share).astype(np.uint8)


def _noise(rng: np.random.Generator, side: int) -> Pixels:
    cells = int(rng.choice([side, side // 4, side // 16]))
    small = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
    return np.asarray(small.resize((side, side), Image.Resampling.BILINEAR))


def _document(rng: np.random.Generator, side: int) -> Pixels:
    canvas = Image.new("RGB", (side, side), (int(rng.integers(235, 256)),) * 3)
    draw, size = ImageDraw.Draw(canvas), int(rng.integers(9, 22))
    font = ImageFont.load_default(size)
    for top in range(size, side - size, round(size * 1.5)):
        line = " ".join(rng.choice(WORDS, 12))
        draw.text((size, top), line, fill=(30, 30, 40), font=font)
    return np.asarray(canvas)


def _screenshot(rng: np.random.Generator, side: int) -> Pixels:
    canvas = Image.new("RGB", (side, side), (245, 246, 248))
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(12)
    accent = _colour(rng)
    draw.rectangle((0, 0, side, side // 10), fill=accent)
    draw.rectangle((0, side // 10, side // 4, side), fill=(225, 228, 233))
    for row in range(7):
        top = side // 10 + 12 + row * side // 9
        draw.text((10, top), str(rng.choice(WORDS)), fill=(60, 60, 70), font=font)
        right = side // 4 + 20 + int(rng.uniform(0.2, 0.65) * side)
        draw.rounded_rectangle((side // 4 + 14, top, right, top + side // 14), 5, fill=(255, 255, 255), outline=accent)
    return np.asarray(canvas)


def _sketch(rng: np.random.Generator, side: int) -> Pixels:
    canvas = Image.new("RGB", (side, side), (255, 255, 255))
    draw = ImageDraw.Draw(canvas)
    for _ in range(int(rng.integers(4, 12))):
        (left, right), (top, bottom) = np.sort(rng.integers(0, side, 2)), np.sort(rng.integers(0, side, 2))
        shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        shape((int(left), int(top), int(right), int(bottom)), outline=_colour(rng), width=int(rng.integers(2, 6)))
    return np.asarray(canvas)


def _stripes(rng: np.random.Generator, side: int) -> Pixels:
    first, last = (np.array(_colour(rng), dtype=np.uint8) for _ in range(2))
    period = int(rng.integers(4, 40))
    y, x = np.mgrid[0:side, 0:side] // period
    chosen = ((x + y) if rng.random() < 0.5 else x) % 2 == 0
    return np.where(chosen[..., None], first, last)


DRAWINGS: dict[str, Drawing] = {
    "flat colour": _flat,
    "gradient": _gradient,
    "noise": _noise,
    "document": _document,
    "screenshot": _screenshot,
    "sketch": _sketch,
    "stripes": _stripes,
}
