"""From a picture to PyTorch's input: the training augmentation, and for everything else what `prepare` makes."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torchvision.transforms import RandomResizedCrop, v2

from lesion_demo.config import AugmentConfig, PreprocessSpec
from lesion_demo.images import Pixels
from lesion_demo.images.look import Look
from lesion_demo.images.perturb import draw_random_artefact, draw_random_ring, white_balance
from lesion_demo.images.prepare import middle, normalised, prepare, shown

Transform = Callable[[Pixels], Tensor]
"""A picture to the network's normalised input, float32 [3, S, S]. Those made here can be pickled, as worker processes
need where they are spawned."""
Step = Callable[[Pixels], Pixels]
"""A random variant of a picture uint8 [S, S, 3], of the same size."""
Matrix = NDArray[np.float64]
TO_LUMA = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
"""From RGB to luma and two axes of colour, YIQ; a turn of these two is a turn of the hue."""
TO_RGB = np.linalg.inv(TO_LUMA)
MOST_BILINEAR = 1.5
"""Above so many of its pixels for each of the result, a picture is scaled down first: bilinear sampling skips some."""
MARGIN = 0.22
"""Around a crop, as a share of its side: the outer square that is seen from one side."""


@dataclass(frozen=True)
class EvalTransform:
    """The middle of a picture's lit field, scaled to `side` pixels and normalised, see `prepare`."""

    spec: PreprocessSpec
    side: int

    def __call__(self, picture: Pixels | Look) -> Tensor:
        """A picture uint8 [H, W, 3], or a look at it, to float32 [3, S, S]."""
        return torch.from_numpy(prepare(picture, self.spec, self.side))


@dataclass(frozen=True)
class TrainTransform:
    """A random variant of a picture; every draw comes from torch's global generator, so a seed repeats it."""

    spec: PreprocessSpec
    augment: AugmentConfig
    side: int

    @cached_property
    def _steps(self) -> tuple[tuple[float, Step], ...]:
        return _colour_steps(self.augment)

    @cached_property
    def _erasing(self) -> v2.RandomErasing:
        return v2.RandomErasing(p=self.augment.erasing, scale=(0.02, 0.15), inplace=True)

    def __call__(self, picture: Pixels) -> Tensor:
        """A picture uint8 [H, W, 3] to float32 [3, S, S]."""
        return self.augmented(shown(self.with_artefacts(picture), self.spec))

    def with_artefacts(self, picture: Pixels) -> Pixels:
        """Perhaps with a drawn ring, hair or the like; may be `picture` itself."""
        for probability, draw in ((self.augment.artefact, draw_random_artefact), (self.augment.ring, draw_random_ring)):
            if _happens(probability):
                picture = draw(picture, np.random.default_rng(int(torch.randint(2**31, ()))))
        return picture

    def augmented(self, seen: Pixels) -> Tensor:
        """What `shown` gives of it, to float32 [3, S, S]; the first draws are those of `cropped_and_turned`."""
        cv2.setNumThreads(0)  # DataLoader's workers are as many as there are cores
        seen = cropped_and_turned(seen, self.augment, self.side)
        for probability, step in self._steps:
            if _happens(probability):
                seen = step(seen)
        output: Tensor = self._erasing(torch.from_numpy(normalised(seen, self.spec)))
        return output


def eval_transform(spec: PreprocessSpec, image_size: int | None = None) -> EvalTransform:
    """The one preprocessing of validation, test, app and explanation.

    `image_size` overrides the spec's, for the smaller pictures of an early training stage.
    """
    return EvalTransform(spec, image_size or spec.image_size)


def train_transform(spec: PreprocessSpec, augment: AugmentConfig, image_size: int | None = None) -> TrainTransform:
    """Training's augmentation by `augment`; `image_size` as for `eval_transform`."""
    return TrainTransform(spec, augment, image_size or spec.image_size)


def _happens(probability: float) -> bool:
    return probability > 0 and torch.rand(()).item() < probability


def _uniform(low: float, high: float) -> float:
    """A draw from torch's global generator."""
    return low + (high - low) * torch.rand(()).item()


def cropped_and_turned(picture: Pixels, augment: AugmentConfig, side: int) -> Pixels:
    """A random part of `picture` [h, w, 3], mirrored, turned and seen from one side: [S, S, 3].

    All of it is one matrix, and the pixels are read once. What lies outside the picture is its mirror image, so that no
    black corners appear for the network to read.
    """
    across = down = left = top = 0.0
    if _happens(augment.crop):
        size = torch.empty(3, *picture.shape[:2], device="meta")
        top, left, down, across = RandomResizedCrop.get_params(size, list(augment.crop_scale), list(augment.crop_ratio))
        if max(across, down) > MOST_BILINEAR * side:
            picture, x, y = _scaled_down(picture, min(1.0, side / across), min(1.0, side / down))
            left, top, across, down = left * x, top * y, across * x, down * y
    else:
        picture = middle(picture, side)
        across = down = side
    moves = _random_moves(augment)
    if not moves and across == down == side:
        return picture
    matrix = np.array([[across / 2, 0, left + across / 2], [0, down / 2, top + down / 2], [0, 0, 1]])
    for move in moves:
        matrix = matrix @ move
    centred = np.array([[2 / side, 0, 1 / side - 1], [0, 2 / side, 1 / side - 1], [0, 0, 1]])  # of a pixel
    to_source = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]]) @ matrix @ centred
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return _pixels(cv2.warpPerspective(picture, to_source, (side, side), flags=how, borderMode=cv2.BORDER_REFLECT_101))


def _scaled_down(picture: Pixels, across: float, down: float) -> tuple[Pixels, float, float]:
    """`picture` scaled to about these shares of its width and height, and the shares to the pixel."""
    height, width = picture.shape[:2]
    columns, rows = max(1, round(across * width)), max(1, round(down * height))
    return _pixels(cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA)), columns / width, rows / height


def _random_moves(augment: AugmentConfig) -> list[Matrix]:
    """What is drawn of mirroring, turning and a view from one side, in this order: [3, 3] each.

    Each goes back from a place of its result to one of what it is given, both squares from -1 to 1.
    """
    moves = []
    if _happens(augment.horizontal_flip):
        moves.append(np.diag([-1.0, 1, 1]))
    if _happens(augment.vertical_flip):
        moves.append(np.diag([1.0, -1, 1]))
    if _happens(augment.rotation):
        angle = math.radians(_uniform(-augment.rotation_degrees, augment.rotation_degrees))
        cos, sin = math.cos(angle), math.sin(angle)
        moves.append(np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]]))
    if _happens(augment.perspective):
        moves.append(_side_view())
    return moves


def _side_view(most: float = 0.25) -> Matrix:
    """A view from one side, as `v2.RandomPerspective` has it of the crop with MARGIN around it.

    Each corner goes inwards by up to `most` of half the side, either way.
    """
    outer = (1 + 2 * MARGIN) * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float32)
    seen = outer * (1 - most * torch.rand(4, 2).numpy())
    return np.asarray(cv2.getPerspectiveTransform(seen, outer), np.float64)


def _colour_steps(augment: AugmentConfig) -> tuple[tuple[float, Step], ...]:
    """What changes the values of a square picture, and how probable each step is, in their order."""
    auto_augment = partial(_by_pillow, v2.AutoAugment(v2.AutoAugmentPolicy.IMAGENET))
    return (
        (augment.auto_augment, auto_augment),
        (augment.colour_jitter, jitter_colours),
        (augment.lighting, light_from_one_side),
        (augment.colour_cast, cast_colour),
        (augment.exposure, expose),
        (augment.softness, soften),
    )


def _by_pillow(step: Callable[[Image.Image], Image.Image], picture: Pixels) -> Pixels:
    return np.asarray(step(Image.fromarray(picture)))


def jitter_colours(picture: Pixels, most: float = 0.3, hue: float = 0.04) -> Pixels:
    """Brightness, contrast, saturation and hue at once, as one matrix that every colour is multiplied by.

    Args:
        most: the first three are a factor of 1 ± this; `hue`: a turn of ± this share of the circle.
    """
    brightness, contrast, saturation = (_uniform(1 - most, 1 + most) for _ in range(3))
    angle = 2 * math.pi * _uniform(-hue, hue)
    cos, sin = saturation * math.cos(angle), saturation * math.sin(angle)
    turn = np.array([[1, 0, 0], [0, cos, sin], [0, -sin, cos]])
    matrix = brightness * contrast * TO_RGB @ turn @ TO_LUMA  # [3, 3]
    grey = brightness * (1 - contrast) * float(TO_LUMA[0] @ cv2.mean(picture)[:3])
    return _pixels(cv2.transform(picture, np.column_stack([matrix, np.full(3, grey)])))


def light_from_one_side(picture: Pixels, gamma: float = 0.4, gradient: float = 0.35) -> Pixels:
    """A gamma, and a smooth brightness gradient in a random direction: a lamp from one side."""
    angle, exponent, strength = (_uniform(-1, 1) for _ in range(3))
    height, width = picture.shape[:2]
    across = np.linspace(-1, 1, width, dtype=np.float32) * np.float32(math.cos(math.pi * angle))
    down = np.linspace(-1, 1, height, dtype=np.float32) * np.float32(math.sin(math.pi * angle))
    lamp = 1 + np.float32(gradient * strength) * (across[None, :] + down[:, None])
    table = 255 * (np.arange(256, dtype=np.float32) / 255) ** np.float32(math.exp(gamma * exponent))
    return _pixels(cv2.multiply(cv2.LUT(picture, table), cv2.merge([lamp] * 3), dtype=cv2.CV_8U))


def cast_colour(picture: Pixels, most: float = 2.0) -> Pixels:
    """A wrong white balance in a random hue, see `lesion_demo.images.perturb.white_balance`."""
    turn, strength = torch.rand(2).tolist()
    return _times(picture, white_balance(most**strength, 2 * math.pi * turn))


def expose(picture: Pixels, least: float = 0.4, most: float = 1.8) -> Pixels:
    """Every value times a gain, log-uniform, and clipped: above 1 the highlights are lost."""
    return _times(picture, np.full(3, least * (most / least) ** _uniform(0, 1)))


def _times(picture: Pixels, gains: NDArray[np.float64]) -> Pixels:
    """`picture` times `gains` [3] of R, G and B."""
    return _pixels(cv2.transform(picture, np.diag(gains)))


def soften(picture: Pixels) -> Pixels:
    """Blurred, of less resolution, or compressed, one of the three."""
    return (random_blur, random_resolution, random_jpeg)[int(torch.randint(3, ()))](picture)


def random_blur(picture: Pixels, least: float = 0.3, most: float = 1.5) -> Pixels:
    """A Gaussian of a random standard deviation, in pixels."""
    return _pixels(cv2.GaussianBlur(picture, (0, 0), _uniform(least, most)))


def random_resolution(picture: Pixels, least: float = 0.25) -> Pixels:
    """Scaled down and up again, as small pictures and enlarged crops are."""
    scale = _uniform(least, 1)
    height, width = picture.shape[:2]
    small = cv2.resize(picture, [max(8, round(scale * side)) for side in (width, height)], interpolation=cv2.INTER_AREA)
    return _pixels(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR))


def random_jpeg(picture: Pixels, lowest: int = 15, highest: int = 90) -> Pixels:
    """Through a JPEG file of a random quality."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=int(torch.randint(lowest, highest + 1, ())))
    return np.asarray(Image.open(file).convert("RGB"))


def _pixels(result: object) -> Pixels:
    """What OpenCV makes of bytes are bytes, which its types do not say."""
    assert isinstance(result, np.ndarray)
    return result
