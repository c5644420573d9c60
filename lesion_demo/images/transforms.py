"""From a picture to PyTorch's input: the training augmentation, and for everything else what `prepare` makes."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms import v2

from lesion_demo.config import AugmentConfig, PreprocessSpec
from lesion_demo.images import Pixels
from lesion_demo.images.look import Look
from lesion_demo.images.perturb import draw_random_artefact, draw_random_ring, white_balance
from lesion_demo.images.prepare import middle, prepare, round_window, shown

Transform = Callable[[Pixels], Tensor]
"""A picture to the network's normalised input, float32 [3, S, S]. Those made here can be pickled, as worker processes
need where they are spawned."""


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
        output: Tensor = self._steps(_as_tensor(shown(picture, self.spec)))
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
    """The steps after the lit-field crop, for uint8 [3, H, W]; those switched off are left out."""
    resized = [
        v2.RandomResizedCrop(side, scale=augment.crop_scale, ratio=augment.crop_ratio, antialias=True)
        if augment.crop > 0
        else _Middle(side)
    ]
    optional: list[tuple[float, nn.Module]] = [
        (augment.horizontal_flip, v2.RandomHorizontalFlip(1.0)),
        (augment.vertical_flip, v2.RandomVerticalFlip(1.0)),
        (augment.rotation, _Reflected(v2.RandomRotation(augment.rotation_degrees, v2.InterpolationMode.BILINEAR))),
        (augment.perspective, _Reflected(v2.RandomPerspective(0.25, p=1.0))),
        (augment.auto_augment, v2.AutoAugment(v2.AutoAugmentPolicy.IMAGENET)),
        (augment.colour_jitter, v2.ColorJitter(brightness=0.3, contrast=0.3, saturation=0.3, hue=0.04)),
        (augment.lighting, SimulatedLighting()),
        (augment.colour_cast, ColourCast()),
        (augment.exposure, Exposure()),
        (augment.softness, v2.RandomChoice([v2.GaussianBlur(5, (0.3, 1.5)), LossOfResolution(), JpegArtefacts()])),
    ]
    erasing = [v2.RandomErasing(p=augment.erasing, scale=(0.02, 0.15))] if augment.erasing > 0 else []
    chosen = [v2.RandomApply([step], p=p) for p, step in optional if p > 0]
    return [*resized, *chosen, *_normalise(spec), *erasing, *_window(spec)]


def _normalise(spec: PreprocessSpec) -> list[nn.Module]:
    return [v2.ToDtype(torch.float32, scale=True), v2.Normalize(list(spec.mean), list(spec.std))]


def _window(spec: PreprocessSpec) -> list[nn.Module]:
    return [RoundWindow()] if spec.round_window else []


def _as_tensor(picture: Pixels) -> Tensor:
    """uint8 [H, W, 3] → uint8 [3, H, W], its own memory."""
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))


class _Middle(nn.Module):
    """The middle of the picture, as `prepare` scales it."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, picture: Tensor) -> Tensor:
        """uint8 [3, h, w] → uint8 [3, S, S]."""
        return _as_tensor(middle(picture.permute(1, 2, 0).numpy(), self.side))


class _Reflected(nn.Module):
    """Runs a geometric step on a mirrored margin, so that no black corners appear for the network to read."""

    def __init__(self, step: nn.Module) -> None:
        super().__init__()
        self.step = step

    def forward(self, picture: Tensor) -> Tensor:
        """uint8 [3, H, W] → the same."""
        height, width = picture.shape[-2:]
        margin = int(0.22 * min(height, width))  # a square turned by 45° needs (√2 − 1) / 2
        padded = v2.functional.pad(picture, [margin] * 4, padding_mode="reflect")
        moved: Tensor = v2.functional.center_crop(self.step(padded), [height, width])
        return moved


class RoundWindow(nn.Module):
    """Leaves the largest disc of a normalised picture as it is, and makes the rest zero: the mean colour."""

    def forward(self, picture: Tensor) -> Tensor:
        """float [3, S, S] → the same."""
        return picture * torch.from_numpy(round_window(picture.shape[-1]))


class SimulatedLighting(nn.Module):
    """A gamma, and a smooth brightness gradient in a random direction: a lamp from one side."""

    def __init__(self, gamma: float = 0.4, gradient: float = 0.35) -> None:
        super().__init__()
        self.gamma = gamma
        self.gradient = gradient

    def forward(self, picture: Tensor) -> Tensor:
        """uint8 [3, H, W] → the same."""
        height, width = picture.shape[-2:]
        angle, gamma, strength = (torch.rand(3) * 2 - 1).tolist()
        y = torch.linspace(-1, 1, height)[:, None] * float(np.sin(np.pi * angle))
        x = torch.linspace(-1, 1, width)[None, :] * float(np.cos(np.pi * angle))
        lamp = 1 + self.gradient * strength * (x + y)
        lit = (picture / 255) ** float(np.exp(self.gamma * gamma)) * lamp
        return (lit.clamp(0, 1) * 255).to(torch.uint8)


class ColourCast(nn.Module):
    """A wrong white balance in a random hue, see `lesion_demo.images.perturb.white_balance`."""

    def __init__(self, most: float = 2.0) -> None:
        super().__init__()
        self.most = most

    def forward(self, picture: Tensor) -> Tensor:
        """uint8 [3, H, W] → the same."""
        turn, strength = torch.rand(2).tolist()
        gains = torch.from_numpy(white_balance(self.most**strength, 2 * np.pi * turn)).float()
        return (picture * gains[:, None, None]).round().clamp(0, 255).to(torch.uint8)


class Exposure(nn.Module):
    """Every value times a gain, log-uniform, and clipped: above 1 the highlights are lost."""

    def __init__(self, least: float = 0.4, most: float = 1.8) -> None:
        super().__init__()
        self.least = least
        self.most = most

    def forward(self, picture: Tensor) -> Tensor:
        """uint8 [3, H, W] → the same."""
        gain = self.least * (self.most / self.least) ** float(torch.rand(()))
        return (picture * gain).round().clamp(0, 255).to(torch.uint8)


class LossOfResolution(nn.Module):
    """Scales down and up again, as small pictures and enlarged crops do."""

    def __init__(self, least: float = 0.25) -> None:
        super().__init__()
        self.least = least

    def forward(self, picture: Tensor) -> Tensor:
        """uint8 [3, H, W] → the same."""
        size = list(picture.shape[-2:])
        scale = self.least + (1 - self.least) * float(torch.rand(()))
        small = v2.functional.resize(picture, [max(8, round(side * scale)) for side in size], antialias=True)
        large: Tensor = v2.functional.resize(small, size, antialias=True)
        return large


class JpegArtefacts(nn.Module):
    """Compresses and reads back, at a random quality."""

    def __init__(self, lowest: int = 15, highest: int = 90) -> None:
        super().__init__()
        self.lowest = lowest
        self.highest = highest

    def forward(self, picture: Tensor) -> Tensor:
        """uint8 [3, H, W] → the same."""
        quality = int(torch.randint(self.lowest, self.highest + 1, ()))
        file = io.BytesIO()
        Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy()).save(file, "JPEG", quality=quality)
        return _as_tensor(np.asarray(Image.open(file)))
