"""Draw on a picture, or spoil it: to train against what has nothing to do with the lesion, and to measure what it does.

First what lies on a picture, as a ring or hair; then the ways it is taken badly, each at three strengths.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from lesion_demo.images import Pixels

Values = NDArray[np.float64]

STRENGTHS = ("mild", "moderate", "strong")
"""What the three strengths of a degradation are called, in their order."""
REFERENCE = 256
"""Lengths in pixels are of a picture whose shorter side has so many, and scale with it."""


def draw_ring(
    image: Pixels,
    *,
    centre: tuple[float, float] = (0.5, 0.5),
    radius: float = 0.5,
    aspect: float = 1.0,
    softness: float = 0.02,
    darkness: float = 0.0,
) -> Pixels:
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
    lit = x[None, :] ** 2 + y[:, None] ** 2
    np.subtract(radius, np.sqrt(lit, out=lit), out=lit)  # in place, which takes half of the time
    lit /= max(softness, 1e-3)
    lit += 0.5
    np.clip(lit, 0.0, 1.0, out=lit)
    ringed, dark, one = np.empty_like(image), darkness * (1.0 - lit), np.empty_like(lit)
    for channel in range(3):
        np.multiply(image[..., channel], lit, out=one)
        one += dark
        ringed[..., channel] = one
    return ringed


def draw_random_ring(image: Pixels, rng: np.random.Generator) -> Pixels:
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


def draw_bars(image: Pixels, rng: np.random.Generator, *, share: float = 0.1) -> Pixels:
    """A copy with black bars of `share` of the height above and below, as in video frames."""
    height = image.shape[0]
    bar = max(1, round(share * height))
    barred = image.copy()
    barred[:bar] = 0
    barred[height - bar :] = 0
    return barred


def draw_ruler(image: Pixels, rng: np.random.Generator) -> Pixels:
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


def draw_pen_marks(image: Pixels, rng: np.random.Generator) -> Pixels:
    """A copy with three short strokes of a surgeon's violet pen around the middle."""
    canvas, draw, side = _canvas(image)
    width, height = canvas.size
    for angle in rng.uniform(0, 2 * np.pi, 3):
        x, y = width / 2 + 0.38 * side * np.cos(angle), height / 2 + 0.38 * side * np.sin(angle)
        dx, dy = 0.07 * side * np.sin(angle), -0.07 * side * np.cos(angle)
        draw.line([(x - dx, y - dy), (x + dx, y + dy)], fill=(92, 60, 140), width=max(2, round(0.02 * side)))
    return np.asarray(canvas.filter(ImageFilter.GaussianBlur(0.003 * side)))


def draw_hair(
    image: Pixels, rng: np.random.Generator, *, count: int = 14, colour: tuple[int, int, int] = (40, 28, 22)
) -> Pixels:
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


def draw_bubbles(image: Pixels, rng: np.random.Generator, *, count: int = 8) -> Pixels:
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


def draw_random_artefact(image: Pixels, rng: np.random.Generator) -> Pixels:
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


@dataclass(frozen=True)
class Degradation:
    """One way to spoil a picture.

    Attributes:
        unit: of the strengths.
        strengths: mild, moderate and strong, see STRENGTHS.
        apply: (picture uint8 [H, W, 3], source of chance, strength) → the spoilt picture, uint8 [h, w, 3].
        checks: names of the checks of `images.quality` that ought to warn: any of them is right.
    """

    name: str
    unit: str
    strengths: tuple[float, float, float]
    apply: Callable[[Pixels, np.random.Generator, float], Pixels]
    checks: tuple[str, ...]


def raise_to_gamma(image: Pixels, rng: np.random.Generator, exponent: float) -> Pixels:
    """Darker in the middle of the scale: 255 × (value / 255) ** exponent."""
    return _rounded(255 * (image / 255) ** exponent)


def dim(image: Pixels, rng: np.random.Generator, gain: float) -> Pixels:
    """Every value times `gain`, below 1, as with less light."""
    return _rounded(image * gain)


def flatten(image: Pixels, rng: np.random.Generator, factor: float) -> Pixels:
    """Every value's distance from the mean colour times `factor`, as behind haze or a dirty lens."""
    mean = image.mean(axis=(0, 1))
    return _rounded(mean + (image - mean) * factor)


def blur(image: Pixels, rng: np.random.Generator, sigma: float) -> Pixels:
    """A Gaussian of standard deviation `sigma` pixels of REFERENCE, as out of focus."""
    radius = sigma * min(image.shape[:2]) / REFERENCE
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))


def shake(image: Pixels, rng: np.random.Generator, length: float) -> Pixels:
    """The mean along a straight line of `length` pixels of REFERENCE in a random direction, as of a hand that moves."""
    height, width = image.shape[:2]
    kernel = _line(length * min(height, width) / REFERENCE, rng.uniform(0, np.pi))
    reach = kernel.shape[0] // 2
    padded = np.pad(image, ((reach, reach), (reach, reach), (0, 0)), mode="edge").astype(np.float32)
    total = np.zeros(image.shape, np.float32)
    for row, column in np.argwhere(kernel > 0):
        total += np.float32(kernel[row, column]) * padded[row : row + height, column : column + width]
    return _rounded(total)


def overexpose(image: Pixels, rng: np.random.Generator, gain: float) -> Pixels:
    """Every value times `gain`, above 1, and clipped at 255: the highlights are lost."""
    return _rounded(image * gain)


def reflect(image: Pixels, rng: np.random.Generator, share: float) -> Pixels:
    """Soft-edged white reflections of a lamp, one to five, over about `share` (0–1) of the picture."""
    height, width = image.shape[:2]
    count = int(rng.integers(1, 6))
    areas = rng.dirichlet(np.full(count, 4.0)) * share * height * width
    spots = Image.new("L", (width, height))
    draw = ImageDraw.Draw(spots)
    for area in areas:
        stretch = np.exp(rng.uniform(-0.5, 0.5))
        across, down = np.sqrt(area / np.pi) * stretch, np.sqrt(area / np.pi) / stretch
        x = rng.uniform(min(across, width / 2), max(width - across, width / 2))
        y = rng.uniform(min(down, height / 2), max(height - down, height / 2))
        draw.ellipse([(x - across, y - down), (x + across, y + down)], fill=255)
    soft = spots.filter(ImageFilter.GaussianBlur(0.008 * min(height, width)))
    opacity = np.asarray(soft, np.float32)[..., None] / 255
    return _rounded(image * (1 - opacity) + 255 * opacity)


def compress(image: Pixels, rng: np.random.Generator, quality: float) -> Pixels:
    """Through a JPEG file of `quality` (1–95, as Pillow and libjpeg count it)."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=round(quality))
    return np.asarray(Image.open(file).convert("RGB"))


def shrink(image: Pixels, rng: np.random.Generator, side: float) -> Pixels:
    """The shorter side has `side` pixels; a picture that has no more stays as it is."""
    height, width = image.shape[:2]
    scale = side / min(height, width)
    if scale >= 1:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))


def tint(image: Pixels, rng: np.random.Generator, ratio: float) -> Pixels:
    """A wrong white balance of up to `ratio`, in a random hue: see `white_balance`."""
    return _rounded(image * white_balance(ratio, rng.uniform(0, 2 * np.pi)))


def white_balance(ratio: float, hue: float) -> Values:
    """Gains [3] of R, G and B that differ by a factor of up to `ratio` (1 or more), towards `hue` (radians).

    They are a circle in log chromaticity, exp(ln(ratio) / √3 × cos(hue − 0°, 120°, 240°)), so that their product is 1
    and the largest over the smallest is `ratio` at most, and √3 / 2 of its logarithm at least.
    """
    return np.asarray(np.exp(np.log(ratio) / np.sqrt(3) * np.cos(hue - np.array([0, 2, 4]) * np.pi / 3)))


DEGRADATIONS = (
    Degradation("gamma", "exponent", (1.5, 2.0, 3.0), raise_to_gamma, ("brightness", "shadows", "colour")),
    Degradation("less light", "gain", (0.6, 0.4, 0.25), dim, ("brightness", "shadows")),
    Degradation("less contrast", "factor", (0.6, 0.4, 0.25), flatten, ("contrast",)),
    Degradation("Gaussian blur", "px at 256, σ", (1.0, 2.0, 4.0), blur, ("sharpness",)),
    Degradation("motion blur", "px at 256, length", (4.0, 8.0, 16.0), shake, ("sharpness", "motion")),
    Degradation("clipped highlights", "gain", (1.4, 1.8, 2.5), overexpose, ("overexposure", "glare")),
    Degradation("reflections", "share", (0.05, 0.15, 0.3), reflect, ("glare",)),
    Degradation("JPEG", "quality", (40, 20, 10), compress, ("compression",)),
    Degradation("downscaling", "px, shorter side", (160, 100, 64), shrink, ("size",)),
    Degradation("colour cast", "ratio of gains", (1.3, 1.7, 2.5), tint, ("colour",)),
)


def spoil(image: Pixels, index: int) -> Pixels:
    """A copy of `image` with one of DEGRADATIONS, each in turn by `index`, at mild or moderate strength."""
    rng = np.random.default_rng(index)
    degradation = DEGRADATIONS[index % len(DEGRADATIONS)]
    return degradation.apply(image, rng, degradation.strengths[int(rng.integers(2))])


def _line(length: float, angle: float) -> Values:
    """A kernel [k, k], k odd, of sum 1: a line through the middle, `length` pixels long, at `angle` (radians)."""
    reach = int(np.ceil(length / 2)) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    along = np.linspace(-length / 2, length / 2, 2 * int(np.ceil(length)) + 1)
    x, y = reach + along * np.cos(angle), reach + along * np.sin(angle)
    column, row = np.floor(x).astype(int), np.floor(y).astype(int)
    right, below = x - column, y - row
    np.add.at(kernel, (row, column), (1 - right) * (1 - below))
    np.add.at(kernel, (row, column + 1), right * (1 - below))
    np.add.at(kernel, (row + 1, column), (1 - right) * below)
    np.add.at(kernel, (row + 1, column + 1), right * below)
    return kernel / kernel.sum()


def _rounded(values: NDArray[np.floating]) -> Pixels:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _canvas(image: Pixels, mode: str = "RGB") -> tuple[Image.Image, ImageDraw.ImageDraw, int]:
    """A drawable copy of `image`, its pen, and its shorter side in pixels."""
    canvas = Image.fromarray(np.ascontiguousarray(image)).convert(mode)
    return canvas, ImageDraw.Draw(canvas), min(image.shape[:2])
