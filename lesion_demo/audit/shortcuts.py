"""Changes to a picture that should not move its verdict; each at a moderate setting, grey light at its full one,
too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import Image, ImageFilter

from lesion_demo.images import Pixels, perturb
from lesion_demo.images.light import grey_light
from lesion_demo.images.perturb import compress, draw_ring

Change = Callable[[Pixels, np.random.Generator], Pixels]
"""A picture uint8 [H, W, 3] and a source of chance → the changed picture."""


def _ring(image: Pixels, rng: np.random.Generator, **options: object) -> Pixels:
    return draw_ring(image, **options)  # type: ignore[arg-type]


def _gains(image: Pixels, rng: np.random.Generator, *, gains: tuple[float, float, float]) -> Pixels:
    return np.clip(np.rint(image * np.array(gains)), 0, 255).astype(np.uint8)


def _grey_light(image: Pixels, rng: np.random.Generator, *, share: float) -> Pixels:
    return grey_light(image, share)


def _jpeg(image: Pixels, rng: np.random.Generator, *, quality: int) -> Pixels:
    return compress(image, rng, quality)


def _blur(image: Pixels, rng: np.random.Generator, *, share: float) -> Pixels:
    radius = share * min(image.shape[:2])
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))


def _resized(image: Pixels, rng: np.random.Generator, *, side: int) -> Pixels:
    height, width = image.shape[:2]
    scale = side / min(height, width)
    return np.asarray(Image.fromarray(image).resize((round(width * scale), round(height * scale))))


def _stretched(image: Pixels, rng: np.random.Generator, *, ratio: float) -> Pixels:
    """Wider by `ratio`, then the middle of it: as if what was squashed had been cropped."""
    height, width = image.shape[:2]
    wide = np.asarray(Image.fromarray(image).resize((round(width * ratio), height)))
    left = (wide.shape[1] - width) // 2
    return wide[:, left : left + width]


def _cropped(image: Pixels, rng: np.random.Generator, *, share: float) -> Pixels:
    height, width = image.shape[:2]
    top, left = round(height * (1 - share) / 2), round(width * (1 - share) / 2)
    return image[top : height - top, left : width - left]


def _mirrored(image: Pixels, rng: np.random.Generator) -> Pixels:
    return np.ascontiguousarray(image[:, ::-1])


def _turned(image: Pixels, rng: np.random.Generator) -> Pixels:
    return np.ascontiguousarray(np.rot90(image))


CHANGES: dict[str, Change] = {
    "ring, centred, soft": partial(_ring, radius=0.5, softness=0.06),
    "ring, centred, hard": partial(_ring, radius=0.5, softness=0.004),
    "ring, off centre": partial(_ring, radius=0.5, centre=(0.57, 0.45), softness=0.02),
    "ring, corners only": partial(_ring, radius=0.62, softness=0.02),
    "ring, small field": partial(_ring, radius=0.38, softness=0.02),
    "black bars": perturb.draw_bars,
    "ruler": perturb.draw_ruler,
    "pen marks": perturb.draw_pen_marks,
    "hair": perturb.draw_hair,
    "air bubbles": perturb.draw_bubbles,
    "warm light": partial(_gains, gains=(1.08, 1.0, 0.9)),
    "cold light": partial(_gains, gains=(0.92, 1.0, 1.08)),
    "grey light, half-way": partial(_grey_light, share=0.5),
    "grey light": partial(_grey_light, share=1.0),
    "brighter": partial(_gains, gains=(1.15, 1.15, 1.15)),
    "darker": partial(_gains, gains=(0.8, 0.8, 0.8)),
    "JPEG quality 30": partial(_jpeg, quality=30),
    "blur": partial(_blur, share=0.005),
    "stretched 4:3": partial(_stretched, ratio=4 / 3),
    "cropped to 85 %": partial(_cropped, share=0.85),
    "mirrored": _mirrored,
    "turned by 90°": _turned,
    "80 pixels": partial(_resized, side=80),
    "1,000 pixels": partial(_resized, side=1000),
}


@dataclass(frozen=True)
class Changed:
    """The edit that makes the change `name` of CHANGES; what is chance in it hangs on the picture's place alone."""

    name: str

    def __call__(self, image: Pixels, index: int) -> Pixels:
        return CHANGES[self.name](image, np.random.default_rng(index))
