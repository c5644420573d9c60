"""One short training run of an experiment, from the `lite2` warm start."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from accelerate.utils import set_seed
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler
from tqdm import tqdm

from lesion_demo.config import StageConfig
from lesion_demo.data.dataset import balanced_weights
from lesion_demo.data.picture import Picture
from lesion_demo.images.transforms import eval_transform, train_transform
from lesion_demo.network.depthwise import use_fast_depthwise
from lesion_demo.network.forward import forward
from lesion_demo.network.init import initialise
from lesion_demo.network.model import build_model, head_layer
from lesion_demo.recipes import CLINICS_AUGMENT
from lesion_demo.train.schedule import make_optimizer, set_rates
from scripts.clinics.experiment import Experiment
from scripts.clinics.outside import STRIDE_16, augmented_with_lesion, logits_and_outside
from scripts.clinics.pictures import (
    SPEC,
    Pixels,
    Square,
    Store,
    cut,
    even_light,
    lesion_square,
    paint_out,
    recolour,
    transplant,
)

log = logging.getLogger(__name__)

BATCH = 64
RATE = 1.2e-3
CLIP = 2.0
AVERAGE = 0.98
"""Decay per step of the moving average of the weights that is scored beside the last ones."""
AUGMENT = replace(CLINICS_AUGMENT, colour_cast=0.0, exposure=0.0, softness=0.2)
LOOKS = 12
CALIBRATION = 512
DIAGNOSES = ("nv", "bkl", "mel", "bcc", "akiec", "df", "vasc")


class Example(NamedTuple):
    """One picture in V variants: inputs float32 [V, 3, S, S] and where its lesion may lie, bool [S, S]; target 0–1;
    group, look and diagnosis as indices, −1 where there is none."""

    inputs: Tensor
    lesion: Tensor
    target: float
    label: int
    look: int
    diagnosis: int


@dataclass(frozen=True)
class Material:
    """Training pictures with their copies. `looks` [N] is the cluster of each."""

    pictures: Sequence[Picture]
    store: Store
    looks: NDArray[np.int64]


def prepared(experiment: Experiment, store: Store, index: int, pixels: Pixels | None = None) -> Pixels:
    """What training and use alike do to a copy (or to the changed one, `pixels`) before the transform."""
    pixels = store.pixels[index] if pixels is None else pixels
    square = store.squares[index]
    if experiment.even_light:
        pixels = even_light(pixels, square)
    if experiment.crop:
        pixels = cut(pixels, lesion_square(square, store.masks[index]))
    return pixels


class Training(Dataset[Example]):
    """Pictures as `experiment` changes them, then the augmentation that all runs share."""

    def __init__(self, experiment: Experiment, material: Material) -> None:
        self.experiment, self.material = experiment, material
        self.transform = train_transform(SPEC, AUGMENT)
        sources = np.array([picture.source for picture in material.pictures])
        masked = np.array([mask is not None for mask in material.store.masks])
        self.sources = sources
        self.others = {name: np.flatnonzero((sources != name) & masked) for name in set(sources)}

    def __len__(self) -> int:
        return len(self.material.pictures)

    def __getitem__(self, index: int) -> Example:
        experiment, store, picture = self.experiment, self.material.store, self.material.pictures[index]
        target = float(picture.label)
        pixels, square, mask = store.pixels[index], store.squares[index], store.masks[index]
        chance = torch.rand(4).tolist()
        if mask is not None and chance[0] < experiment.transplant:
            other = self._another(index)
            pixels = transplant((pixels, square, mask), self._whole(other))
            square = store.squares[other]
        elif mask is not None and chance[0] < experiment.transplant + experiment.painted:
            pixels, target = paint_out(pixels, square, mask), 0.5
        if chance[1] < experiment.recolour:
            pixels = recolour(pixels, store.colours[index], store.colours[self._another(index)])
        if chance[2] < experiment.grey:
            pixels = even_light(pixels, square)
        inputs, lesion = self._augmented(index, prepared(experiment, store, index, pixels))
        if experiment.consistency > 0:
            again, _ = self._augmented(index, prepared(experiment, store, index))
            inputs = torch.cat([inputs, again])
        diagnosis = _diagnosis(picture) if target in (0.0, 1.0) else -1
        return Example(inputs, lesion, target, picture.label, int(self.material.looks[index]), diagnosis)

    def _augmented(self, index: int, pixels: Pixels) -> tuple[Tensor, Tensor]:
        """A variant [1, 3, S, S] of a picture, and its lesion; where that is not asked for or unknown, everywhere."""
        mask = self.material.store.masks[index]
        if self.experiment.outside > 0 and mask is not None:
            inputs, lesion = augmented_with_lesion(self.transform, pixels, self.material.store.squares[index], mask)
            return inputs[None], lesion
        return self.transform(pixels)[None], torch.ones(SPEC.image_size, SPEC.image_size, dtype=torch.bool)

    def _another(self, index: int) -> int:
        others = self.others[self.sources[index]]
        return int(others[int(torch.randint(len(others), ()))])

    def _whole(self, index: int) -> tuple[Pixels, Square, NDArray[np.bool_]]:
        mask = self.material.store.masks[index]
        assert mask is not None
        return self.material.store.pixels[index], self.material.store.squares[index], mask


class Seen(Dataset[Tensor]):
    """Pictures of a store as the network sees them in use: float32 [3, S, S]."""

    def __init__(self, experiment: Experiment, store: Store) -> None:
        self.experiment, self.store, self.transform = experiment, store, eval_transform(SPEC)

    def __len__(self) -> int:
        return len(self.store.pixels)

    def __getitem__(self, index: int) -> Tensor:
        return self.transform(prepared(self.experiment, self.store, index))


def _diagnosis(picture: Picture) -> int:
    if picture.source == "melanoma10k":
        return DIAGNOSES.index("mel") if picture.label == 1 else -1
    name = {"nev": "nv", "sek": "bkl"}.get(picture.columns.get("dx", "").lower(), picture.columns.get("dx", "").lower())
    return DIAGNOSES.index(name) if name in DIAGNOSES else -1


def first_network(experiment: Experiment, material: Material, seed: int) -> nn.Module:
    """EfficientNet-B3 from Lite2's weights; batch norms measured on pictures drawn as the plain run draws them."""
    set_seed(seed)
    net = build_model("efficientnet_b3", dropout=0.3)
    seen = Seen(experiment, material.store)
    weights = torch.from_numpy(balanced_weights(material.pictures, 0.5))
    chosen = torch.multinomial(weights, CALIBRATION, replacement=True, generator=torch.Generator().manual_seed(seed))
    batches = [torch.stack([seen[int(index)] for index in part]) for part in chosen.split(64)]
    initialise(net, "lite2", backbone="efficientnet_b3", calibration=batches, seed=seed)
    # What comes after the place of a gradient that is itself learnt from needs convolutions that can be derived twice.
    use_fast_depthwise(net.features[:STRIDE_16] if experiment.outside > 0 else net)  # type: ignore[operator, index]
    return net.to(memory_format=torch.channels_last)


def find_looks(net: nn.Module, store: Store, seed: int = 0) -> NDArray[np.int64]:
    """A cluster [N] for every picture, by the early features of the first network, which know nothing of lesions."""
    net.eval()
    loader = DataLoader(Seen(Experiment(""), store), batch_size=32, num_workers=1)
    with torch.inference_mode():
        early = [forward(net, batch).early for batch in tqdm(loader, "looks", leave=False)]
    features = torch.cat([one for one in early if one is not None]).double().numpy()
    features = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-9)
    _, _, axes = np.linalg.svd(features[::10], full_matrices=False)
    reduced = features @ axes[:16].T
    return np.asarray(KMeans(LOOKS, n_init=4, random_state=seed).fit_predict(reduced / reduced.std(axis=0)))


def draw_weights(experiment: Experiment, material: Material) -> NDArray[np.float64]:
    """A weight [N] of sum 1 for every training picture."""
    plain = balanced_weights(material.pictures, 0.5)
    if not experiment.looks:
        return plain
    looks = [replace(p, source=str(look)) for p, look in zip(material.pictures, material.looks, strict=True)]
    within = balanced_weights(looks, 0.0)  # every look alike, classes alike within
    labels = np.array([picture.label for picture in material.pictures])
    for look in range(LOOKS):
        here = material.looks == look
        rarer = min((here & (labels == 0)).sum(), (here & (labels == 1)).sum())
        within[here] *= math.sqrt(rarer)
    return np.asarray(within / within.sum())


class Losses:
    """The loss of a batch, as `experiment` has it."""

    def __init__(self, experiment: Experiment, features: int) -> None:
        self.experiment = experiment
        self.diagnoses = nn.Linear(features, len(DIAGNOSES))
        self.groups = torch.full((LOOKS, 2), 1 / (2 * LOOKS))

    def __call__(self, logits: Tensor, pooled: Tensor, batch: Example, done: float) -> Tensor:
        """Logits [B · V, 2] and pooled features [B · V, C] of a batch [B] in V variants → a number."""
        variants = batch.inputs.shape[1]
        target = batch.target.repeat_interleave(variants)
        targets = torch.stack([1 - target, target], dim=1).float()
        each = functional.cross_entropy(logits.float(), targets, reduction="none").unflatten(0, (-1, variants)).mean(1)
        loss = self._worst(each, batch) if self.experiment.worst_group > 0 else each.mean()
        if self.experiment.risk_variance > 0 and done > 0.2:
            risks = [each[batch.look == look].mean() for look in batch.look.unique() if (batch.look == look).sum() > 2]
            loss = loss + self.experiment.risk_variance * torch.stack(risks).var()
        known = batch.diagnosis >= 0
        if self.experiment.diagnoses > 0 and known.any():
            said = self.diagnoses(pooled.float()[known])
            loss = loss + self.experiment.diagnoses * functional.cross_entropy(said, batch.diagnosis[known])
        if self.experiment.consistency > 0:
            loss = loss + self.experiment.consistency * divergence(logits.float().unflatten(0, (-1, variants)))
        return loss

    def _worst(self, each: Tensor, batch: Example) -> Tensor:
        risks = torch.zeros_like(self.groups)
        present = torch.zeros_like(self.groups, dtype=torch.bool)
        for look, label in {(int(a), int(b)) for a, b in zip(batch.look, batch.label, strict=True)}:
            here = (batch.look == look) & (batch.label == label)
            risks[look, label], present[look, label] = each[here].mean(), True
        grown = self.groups * torch.exp(self.experiment.worst_group * risks.detach())
        self.groups = (grown / grown.sum()).clamp(min=0.2 / (2 * LOOKS))
        weights = self.groups * present
        return (weights / weights.sum() * risks).sum()


def divergence(logits: Tensor) -> Tensor:
    """Mean Jensen-Shannon divergence, in nats, of the variants' distributions: logits [B, V, 2] → a number."""
    logs = logits.log_softmax(dim=-1)
    mean = logs.exp().mean(dim=1, keepdim=True).clamp(min=1e-7)
    return (logs.exp() * (logs - mean.log())).sum(dim=-1).mean()


def train(
    experiment: Experiment, net: nn.Module, material: Material, *, pictures: int, seed: int
) -> tuple[nn.Module, nn.Module]:
    """Draw so many `pictures` once, in one cycle; gives the last network and the moving average of all."""
    set_seed(seed)
    stage = StageConfig("128px", epochs=1, image_size=128, batch_size=BATCH, backbone_rate=RATE, head_rate=RATE, schedule="one_cycle")  # fmt: skip # noqa: E501
    weights = draw_weights(experiment, material)
    draws = torch.Generator().manual_seed(seed + 1)
    variants = 2 if experiment.consistency > 0 else 1
    loader = DataLoader(
        Training(experiment, material), batch_size=BATCH // variants, num_workers=1, drop_last=True,
        sampler=WeightedRandomSampler(weights.tolist(), pictures // variants, generator=draws),
        generator=torch.Generator().manual_seed(seed + 2),
    )  # fmt: skip
    losses = Losses(experiment, head_layer(net).in_features)
    optimizer = make_optimizer(net, stage, 5e-5)
    optimizer.add_param_group({"params": list(losses.diagnoses.parameters()), "peak": RATE})
    average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(AVERAGE), use_buffers=True)
    kept: list[Tensor] = []
    hook = head_layer(net).register_forward_pre_hook(lambda _, inputs: kept.__setitem__(slice(None), [inputs[0]]))
    net.train()
    for number, batch in enumerate(tqdm(loader, experiment.title, mininterval=20)):
        set_rates(optimizer, stage, number / len(loader))
        inputs = batch.inputs.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        outside = torch.zeros(())
        with torch.autocast("cpu", dtype=torch.bfloat16):
            if experiment.outside > 0:
                logits, outside = logits_and_outside(net, inputs, batch.lesion)
            else:
                logits = net(inputs)
        loss = losses(logits, kept[0], Example(*batch), number / len(loader)) + experiment.outside * outside
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), CLIP)
        optimizer.step()
        average.update_parameters(net)
        if number % 20 == 0:
            log.info(
                "%s, step %d of %d: loss %.4f, outside %.3f",
                experiment.title, number, len(loader), loss.item(), outside.item(),
            )  # fmt: skip
    hook.remove()
    return net.eval(), copy.deepcopy(average.module).eval()
