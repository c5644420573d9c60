"""From a picture to PyTorch's input: the training augmentation, and for everything else what `prepare` makes."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from torch import Tensor, nn
from torchvision.transforms import v2

from lesion_demo.config import AugmentConfig, PreprocessSpec
from lesion_demo.images import Pixels
from lesion_demo.images.look import Look
from lesion_demo.images.perturb import draw_random_artefact, draw_random_ring, white_balance
from lesion_demo.images.prepare import middle, normalised, prepare, shown

Transform = Callable[[Pixels], Tensor]
"""A picture to the network's normalised input, float32 [3, S, S]. Those made here can be pickled, as worker processes
need where they are spawned."""
TO_LUMA = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
"""From RGB to luma and two axes of colour, YIQ; a turn of these two is a turn of the hue."""


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
    def _steps(self) -> v2.Compose:
        return v2.Compose(_augmentations(self.spec, self.augment, self.side))

    def __call__(self, picture: Pixels) -> Tensor:
        """A picture uint8 [H, W, 3] to float32 [3, S, S]."""
        for probability, draw in ((self.augment.artefact, draw_random_artefact), (self.augment.ring, draw_random_ring)):
            if probability > 0 and torch.rand(()) < probability:
                picture = draw(picture, np.random.default_rng(int(torch.randint(2**31, ()))))
        output: Tensor = self._steps(Image.fromarray(shown(picture, self.spec)))
        return output


def eval_transform(spec: PreprocessSpec, image_size: int | None = None) -> EvalTransform:
    """The one preprocessing of validation, test, app and explanation.

    `image_size` overrides the spec's, for the smaller pictures of an early training stage.
    """
    return EvalTransform(spec, image_size or spec.image_size)


def train_transform(spec: PreprocessSpec, augment: AugmentConfig, image_size: int | None = None) -> TrainTransform:
    """Training's augmentation by `augment`; `image_size` as for `eval_transform`."""
    return TrainTransform(spec, augment, image_size or spec.image_size)


def _augmentations(spec: PreprocessSpec, augment: AugmentConfig, side: int) -> list[nn.Module]:
    """The steps after the lit-field crop, for a Pillow picture in RGB; those switched off are left out.

    Pillow works on bytes, which is twice as fast on a processor as tensors of float32.
    """
    resized = [
        v2.RandomResizedCrop(side, scale=augment.crop_scale, ratio=augment.crop_ratio)
        if augment.crop > 0
        else _Middle(side)
    ]
    optional: list[tuple[float, nn.Module]] = [
        (augment.horizontal_flip, v2.RandomHorizontalFlip(1.0)),
        (augment.vertical_flip, v2.RandomVerticalFlip(1.0)),
        (augment.rotation, Rotation(augment.rotation_degrees)),
        (augment.perspective, Perspective()),
        (augment.auto_augment, v2.AutoAugment(v2.AutoAugmentPolicy.IMAGENET)),
        (augment.colour_jitter, ColourJitter()),
        (augment.lighting, SimulatedLighting()),
        (augment.colour_cast, ColourCast()),
        (augment.exposure, Exposure()),
        (augment.softness, v2.RandomChoice([Blur(), LossOfResolution(), JpegArtefacts()])),
    ]
    erasing = [v2.RandomErasing(p=augment.erasing, scale=(0.02, 0.15))] if augment.erasing > 0 else []
    chosen = [v2.RandomApply([step], p=p) for p, step in optional if p > 0]
    return [*resized, *chosen, _Normalised(spec), *erasing]


def _uniform(low: float, high: float) -> float:
    """A draw from torch's global generator."""
    return low + (high - low) * float(torch.rand(()))


class _Middle(nn.Module):
    """The middle of the picture, as `prepare` scales it."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, picture: Image.Image) -> Image.Image:
        """Any size → [S, S]."""
        return Image.fromarray(middle(np.asarray(picture), self.side))


class _Normalised(nn.Module):
    """The network's input, as `prepare` makes it."""

    def __init__(self, spec: PreprocessSpec) -> None:
        super().__init__()
        self.spec = spec

    def forward(self, picture: Image.Image) -> Tensor:
        """[S, S] → float32 [3, S, S]."""
        return torch.from_numpy(normalised(np.asarray(picture), self.spec))


def _mirrored(picture: Image.Image) -> tuple[Image.Image, int]:
    """`picture` with a mirrored margin, so that no black corners appear for the network to read, and its width."""
    margin = int(0.22 * min(picture.size))  # a square turned by 45° needs (√2 − 1) / 2
    return Image.fromarray(np.pad(np.asarray(picture), ((margin, margin), (margin, margin), (0, 0)), "reflect")), margin


class Rotation(nn.Module):
    """A turn by an angle of up to so many degrees either way."""

    def __init__(self, degrees: float) -> None:
        super().__init__()
        self.degrees = degrees

    def forward(self, picture: Image.Image) -> Image.Image:
        """RGB → the same size."""
        angle = math.radians(_uniform(-self.degrees, self.degrees))
        mirrored, margin = _mirrored(picture)
        cos, sin, x, y = math.cos(angle), math.sin(angle), picture.width / 2, picture.height / 2
        back = (cos, sin, margin + x - cos * x - sin * y, -sin, cos, margin + y + sin * x - cos * y)
        return mirrored.transform(picture.size, Image.Transform.AFFINE, back, Image.Resampling.BILINEAR)


class Perspective(nn.Module):
    """The picture seen from one side, as `v2.RandomPerspective` has it."""

    def __init__(self) -> None:
        super().__init__()
        self.step = v2.RandomPerspective(0.25, p=1.0)

    def forward(self, picture: Image.Image) -> Image.Image:
        """RGB → the same size."""
        moved: Image.Image = self.step(_mirrored(picture)[0])
        return v2.functional.center_crop(moved, [picture.height, picture.width])


class ColourJitter(nn.Module):
    """Brightness, contrast, saturation and hue at once, as one matrix that every colour is multiplied by.

    Attributes:
        most: the first three are a factor of 1 ± this; `hue`: a turn of ± this share of the circle.
    """

    def __init__(self, most: float = 0.3, hue: float = 0.04) -> None:
        super().__init__()
        self.most = most
        self.hue = hue

    def forward(self, picture: Image.Image) -> Image.Image:
        """RGB → the same size."""
        brightness, contrast, saturation = (_uniform(1 - self.most, 1 + self.most) for _ in range(3))
        angle = 2 * math.pi * _uniform(-self.hue, self.hue)
        cos, sin = saturation * math.cos(angle), saturation * math.sin(angle)
        turn = np.array([[1, 0, 0], [0, cos, sin], [0, -sin, cos]])
        matrix = brightness * contrast * np.linalg.inv(TO_LUMA) @ turn @ TO_LUMA  # [3, 3]
        grey = brightness * (1 - contrast) * float(np.asarray(picture.convert("L")).mean())
        rows = np.concatenate([matrix, np.full((3, 1), grey)], axis=1)  # [3, 4]
        return picture.convert("RGB", tuple(rows.ravel().tolist()))


class SimulatedLighting(nn.Module):
    """A gamma, and a smooth brightness gradient in a random direction: a lamp from one side."""

    def __init__(self, gamma: float = 0.4, gradient: float = 0.35) -> None:
        super().__init__()
        self.gamma = gamma
        self.gradient = gradient

    def forward(self, picture: Image.Image) -> Image.Image:
        """RGB → the same size."""
        angle, gamma, strength = (_uniform(-1, 1) for _ in range(3))
        across = np.linspace(-1, 1, picture.width, dtype=np.float32) * np.float32(math.cos(math.pi * angle))
        down = np.linspace(-1, 1, picture.height, dtype=np.float32) * np.float32(math.sin(math.pi * angle))
        lamp = 1 + np.float32(self.gradient * strength) * (across[None, :] + down[:, None])
        table = 255 * (np.arange(256, dtype=np.float32) / 255) ** np.float32(math.exp(self.gamma * gamma))
        lit = table[np.asarray(picture)] * lamp[..., None]  # [H, W, 3]
        return Image.fromarray(np.minimum(lit, 255, out=lit).astype(np.uint8))


class ColourCast(nn.Module):
    """A wrong white balance in a random hue, see `lesion_demo.images.perturb.white_balance`."""

    def __init__(self, most: float = 2.0) -> None:
        super().__init__()
        self.most = most

    def forward(self, picture: Image.Image) -> Image.Image:
        """RGB → the same size."""
        turn, strength = torch.rand(2).tolist()
        return _times(picture, white_balance(self.most**strength, 2 * math.pi * turn))


class Exposure(nn.Module):
    """Every value times a gain, log-uniform, and clipped: above 1 the highlights are lost."""

    def __init__(self, least: float = 0.4, most: float = 1.8) -> None:
        super().__init__()
        self.least = least
        self.most = most

    def forward(self, picture: Image.Image) -> Image.Image:
        """RGB → the same size."""
        return _times(picture, np.full(3, self.least * (self.most / self.least) ** _uniform(0, 1)))


def _times(picture: Image.Image, gains: NDArray[np.float64]) -> Image.Image:
    """`picture` times `gains` [3] of R, G and B."""
    table = np.rint(gains[:, None] * np.arange(256)).clip(0, 255)  # [3, 256]
    return picture.point(table.astype(int).ravel().tolist())


class Blur(nn.Module):
    """A Gaussian of a random standard deviation, in pixels."""

    def __init__(self, least: float = 0.3, most: float = 1.5) -> None:
        super().__init__()
        self.least = least
        self.most = most

    def forward(self, picture: Image.Image) -> Image.Image:
        """RGB → the same size."""
        return picture.filter(ImageFilter.GaussianBlur(_uniform(self.least, self.most)))


class LossOfResolution(nn.Module):
    """Scales down and up again, as small pictures and enlarged crops do."""

    def __init__(self, least: float = 0.25) -> None:
        super().__init__()
        self.least = least

    def forward(self, picture: Image.Image) -> Image.Image:
        """RGB → the same size."""
        scale = _uniform(self.least, 1)
        width, height = (max(8, round(side * scale)) for side in picture.size)
        small = picture.resize((width, height), Image.Resampling.BILINEAR)
        return small.resize(picture.size, Image.Resampling.BILINEAR)


class JpegArtefacts(nn.Module):
    """Compresses and reads back, at a random quality."""

    def __init__(self, lowest: int = 15, highest: int = 90) -> None:
        super().__init__()
        self.lowest = lowest
        self.highest = highest

    def forward(self, picture: Image.Image) -> Image.Image:
        """RGB → the same size."""
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=int(torch.randint(self.lowest, self.highest + 1, ())))
        return Image.open(file).convert("RGB")
