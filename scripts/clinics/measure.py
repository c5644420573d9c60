"""What a run is worth: on the clinic that was left out, and on validation pictures of those that were not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from lesion_demo.audit.clinics import clinic_told
from lesion_demo.data.picture import Picture
from lesion_demo.network.model import head_layer
from scripts.clinics.experiment import Experiment
from scripts.clinics.loop import Seen
from scripts.clinics.pictures import Store

SENSITIVITY = 0.95
"""What the threshold is to find of the known clinics' validation melanomas."""
REPEATS = 1000
TURNS = 4


@dataclass(frozen=True)
class Figures:
    """One network's figures, all 0–1.

    Attributes:
        unseen: ROC-AUC on the clinic left out, with `low` and `high` of a 95 % bootstrap interval by group.
        turned: the same with the log-odds of four turns averaged; None where it was not asked for.
        averaged: the same of the moving average of the weights.
        specificity: there, at the threshold that finds SENSITIVITY of the known data sets' validation melanomas.
        sensitivity: there, at that threshold.
        known: ROC-AUC by known data set, on validation pictures.
        clinic: balanced accuracy (cross-validated) of a logistic regression on the last features that tells the data
            set of benign pictures, the one left out among them; chance is one over their number.
    """

    unseen: float
    low: float
    high: float
    turned: float | None
    averaged: float
    specificity: float
    sensitivity: float
    known: dict[str, float]
    clinic: float


@dataclass(frozen=True)
class Answers:
    """Log-odds [N] of a network (the mean over turns), and the features before its head [N, C] of the first turn."""

    odds: NDArray[np.float64]
    features: NDArray[np.float64]


@torch.inference_mode()
def ask(net: nn.Module, experiment: Experiment, store: Store, *, turns: int = 1) -> Answers:
    """What `net` says of every picture of `store`, turned by no, one, … right angles."""
    net.eval()
    kept: list[Tensor] = []
    hook = head_layer(net).register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0].float()))
    odds, features = [], []
    for batch in tqdm(DataLoader(Seen(experiment, store), batch_size=32, num_workers=1), "measure", mininterval=20):
        seen = []
        for turn in range(turns):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = net(torch.rot90(batch, turn, (2, 3)).contiguous(memory_format=torch.channels_last)).float()
            seen.append(logits[:, 1] - logits[:, 0])
        features.append(kept[0])
        kept.clear()
        odds.append(torch.stack(seen).mean(dim=0))
    hook.remove()
    return Answers(torch.cat(odds).double().numpy(), torch.cat(features).double().numpy())


def figures(
    answers: Answers, pictures: Sequence[Picture], left_out: str, *, averaged: Answers, turned: Answers | None
) -> Figures:
    """`pictures` are all of the clinic left out, and the validation pictures of the others.

    `averaged` and `turned` are of the pictures of the clinic left out alone.
    """
    sources = np.array([picture.source for picture in pictures])
    labels = np.array([picture.label for picture in pictures])
    groups = np.array([picture.group for picture in pictures])
    unseen = sources == left_out
    low, high = _interval(labels[unseen], answers.odds[unseen], groups[unseen])
    melanomas = np.array([_is_melanoma(picture) for picture in pictures]) & ~unseen & (sources != "padufes20")
    threshold = np.quantile(answers.odds[melanomas], 1 - SENSITIVITY)
    called = answers.odds >= threshold
    benign = (labels == 0) & (sources != "padufes20")
    return Figures(
        unseen=float(roc_auc_score(labels[unseen], answers.odds[unseen])),
        low=low,
        high=high,
        turned=None if turned is None else float(roc_auc_score(labels[unseen], turned.odds)),
        averaged=float(roc_auc_score(labels[unseen], averaged.odds)),
        specificity=float((~called[unseen & (labels == 0)]).mean()),
        sensitivity=float(called[unseen & (labels == 1)].mean()),
        known={
            str(source): float(roc_auc_score(labels[sources == source], answers.odds[sources == source]))
            for source in sorted(set(sources) - {left_out})
        },
        clinic=_told(answers.features[benign], sources[benign]),
    )


def _is_melanoma(picture: Picture) -> bool:
    return picture.label == 1 and picture.columns.get("dx", "mel").lower() in ("mel", "")


def _interval(labels: NDArray[np.int64], odds: NDArray[np.float64], groups: NDArray[np.str_]) -> tuple[float, float]:
    """By drawing groups with replacement."""
    names, inverse = np.unique(groups, return_inverse=True)
    rng = np.random.default_rng(0)
    draws = []
    for _ in range(REPEATS):
        counts = np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))[inverse]
        draws.append(roc_auc_score(labels, odds, sample_weight=counts))
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)


def _told(features: NDArray[np.float64], sources: NDArray[np.str_]) -> float:
    told = clinic_told(features, sources.tolist())
    assert told is not None, "an experiment has several data sets"
    return told
