"""Draw on a picture what has nothing to do with the lesion, to train against it and to measure what it does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def draw_ring(
    image: NDArray[np.uint8],
    *,
    centre: tuple[float, float] = (0.5, 0.5),
    radius: float = 0.5,
    aspect: float = 1.0,
    softness: float = 0.02,
    darkness: float = 0.0,
) -> NDArray[np.uint8]:
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


def draw_random_ring(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A copy of `image` (uint8 [H, W, 3]) with a ring as dermatoscopes leave it: any size that still shows a lesion.

    The radius runs from a small disc to a field that only touches the corners; hard and soft edges, centred and not.
    """
    return draw_ring(
        image,
        centre=(rng.normal(0.5, 0.03), rng.normal(0.5, 0.03)),
        radius=rng.uniform(0.36, 0.66),
        aspect=float(np.exp(rng.uniform(-0.3, 0.3))),
        softness=float(np.exp(rng.uniform(np.log(0.004), np.log(0.12)))),
        darkness=rng.uniform(0.0, 18.0),
    )
