"""Draw on a picture what has nothing to do with the lesion, to train against it and to measure what it does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Picture = NDArray[np.uint8]
"""RGB uint8 [H, W, 3]."""


def draw_ring(
    image: Picture,
    *,
    centre: tuple[float, float] = (0.5, 0.5),
    radius: float = 0.5,
    aspect: float = 1.0,
    softness: float = 0.02,
    darkness: float = 0.0,
) -> Picture:
    """A copy of `image` (uint8 [H, W, 3]) seen through a dermatoscope's round field, dark outside it.

    Args:
        centre: of the field, as shares of width and height.
        radius: of the field, as a share of the shorter side.
        aspect: horizontal over vertical radius; 300 × 300 pictures are often squashed, and so are their rings.
        softness: width of the edge, as a share of the shorter side.
        darkness: luminance of the ring (0–255).
    """
    height, width = image.shape[:2]
    side = min(height, width)
    stretch = float(np.sqrt(aspect))
    x = (np.arange(width, dtype=np.float32) + 0.5 - centre[0] * width) / (side * stretch)
    y = (np.arange(height, dtype=np.float32) + 0.5 - centre[1] * height) * (stretch / side)
    distance = np.sqrt(x[None, :] ** 2 + y[:, None] ** 2)
    lit = np.clip((radius - distance) / max(softness, 1e-3) + 0.5, 0.0, 1.0)[..., None]
    return (image * lit + darkness * (1.0 - lit)).astype(np.uint8)


def draw_random_ring(image: Picture, rng: np.random.Generator) -> Picture:
    """A copy of `image` (uint8 [H, W, 3]) with a ring as dermatoscopes leave it: any size that still shows a lesion.

    The radius runs from a small disc to a field that only touches the corners, the small ones, which enlarge the most,
    more often; hard and soft edges, centred and not.
    """
    return draw_ring(
        image,
        centre=(rng.normal(0.5, 0.04), rng.normal(0.5, 0.04)),
        radius=rng.triangular(0.34, 0.34, 0.66),
        aspect=float(np.exp(rng.uniform(-0.3, 0.3))),
        softness=float(np.exp(rng.uniform(np.log(0.004), np.log(0.12)))),
        darkness=rng.uniform(0.0, 18.0),
    )


def draw_bars(image: Picture, rng: np.random.Generator, *, share: float = 0.1) -> Picture:
    """A copy with black bars of `share` of the height above and below, as in video frames."""
    height = image.shape[0]
    bar = max(1, round(share * height))
    barred = image.copy()
    barred[:bar] = 0
    barred[height - bar :] = 0
    return barred


def draw_ruler(image: Picture, rng: np.random.Generator) -> Picture:
    """A copy with the ticks of a dermatoscope's scale along one edge."""
    edge = int(rng.integers(4))
    canvas, draw, side = _canvas(np.rot90(image, edge))
    width, height = canvas.size
    spacing = 0.03 * side
    for tick in range(int(width * 0.8 / spacing)):
        x = 0.1 * width + tick * spacing
        length = (0.06 if tick % 5 == 0 else 0.03) * side
        draw.line(
            [(x, height * 0.93 - length), (x, height * 0.93)], fill=(25, 25, 30), width=max(1, round(0.005 * side))
        )
    return np.ascontiguousarray(np.rot90(np.asarray(canvas), -edge))


def draw_pen_marks(image: Picture, rng: np.random.Generator) -> Picture:
    """A copy with three short strokes of a surgeon's violet pen around the middle."""
    canvas, draw, side = _canvas(image)
    width, height = canvas.size
    for angle in rng.uniform(0, 2 * np.pi, 3):
        x, y = width / 2 + 0.38 * side * np.cos(angle), height / 2 + 0.38 * side * np.sin(angle)
        dx, dy = 0.07 * side * np.sin(angle), -0.07 * side * np.cos(angle)
        draw.line([(x - dx, y - dy), (x + dx, y + dy)], fill=(92, 60, 140), width=max(2, round(0.02 * side)))
    return np.asarray(canvas.filter(ImageFilter.GaussianBlur(0.003 * side)))


def draw_hair(
    image: Picture, rng: np.random.Generator, *, count: int = 14, colour: tuple[int, int, int] = (40, 28, 22)
) -> Picture:
    """A copy with slightly curved hairs of an RGB `colour` (0–255) across it."""
    canvas, draw, side = _canvas(image)
    width, height = canvas.size
    steps = np.linspace(0, 1, 24)
    for _ in range(count):
        start, end = rng.uniform(-0.1, 1.1, 2), rng.uniform(-0.1, 1.1, 2)
        bend = (start + end) / 2 + rng.normal(0, 0.12, 2)
        curve = np.outer((1 - steps) ** 2, start) + np.outer(2 * steps * (1 - steps), bend) + np.outer(steps**2, end)
        points = [(float(x * width), float(y * height)) for x, y in curve]
        draw.line(points, fill=colour, width=max(1, round(rng.uniform(0.003, 0.008) * side)))
    return np.asarray(canvas)


def draw_bubbles(image: Picture, rng: np.random.Generator, *, count: int = 8) -> Picture:
    """A copy with air bubbles of the immersion fluid: bright rims, a light centre."""
    canvas, _, side = _canvas(image, "RGBA")
    width, height = canvas.size
    glass = Image.new("RGBA", canvas.size)
    draw = ImageDraw.Draw(glass)
    for _ in range(count):
        radius = rng.uniform(0.012, 0.04) * side
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        box = [(x - radius, y - radius), (x + radius, y + radius)]
        draw.ellipse(box, fill=(255, 255, 255, 50), outline=(250, 250, 250, 210), width=max(1, round(0.006 * side)))
    return np.asarray(Image.alpha_composite(canvas, glass).convert("RGB"))


def draw_random_artefact(image: Picture, rng: np.random.Generator) -> Picture:
    """A copy with one of the things above: in half of the cases hair, which moves a network most."""
    if rng.random() < 0.5:
        lightness = rng.uniform(0.08, 0.85)  # from black over brown to fair
        colour = (round(210 * lightness), round(170 * lightness), round(125 * lightness))
        return draw_hair(image, rng, count=int(rng.integers(2, 30)), colour=colour)
    kind = int(rng.integers(4))
    if kind == 0:
        return draw_bars(image, rng, share=rng.uniform(0.03, 0.16))
    if kind == 1:
        return draw_bubbles(image, rng, count=int(rng.integers(1, 16)))
    return draw_ruler(image, rng) if kind == 2 else draw_pen_marks(image, rng)


def _canvas(image: Picture, mode: str = "RGB") -> tuple[Image.Image, ImageDraw.ImageDraw, int]:
    """A drawable copy of `image`, its pen, and its shorter side in pixels."""
    canvas = Image.fromarray(np.ascontiguousarray(image)).convert(mode)
    return canvas, ImageDraw.Draw(canvas), min(image.shape[:2])
