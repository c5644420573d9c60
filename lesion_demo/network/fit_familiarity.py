"""Learn where the pictures that a network knows lie in its early features, and what tells photographs and bare skin.

The covariance is Ledoit & Wolf's (2004). The distance alone passes close-ups of fur and the like, so a linear
discriminant that has learnt from everyday pictures is added to it, see ADDED. Bare skin is what most of
every picture shows, so no distance tells it; a logistic regression on the same features does, which has learnt from
corners without lesion against whole pictures and close-ups of lesions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from sklearn.covariance import LedoitWolf
from sklearn.linear_model import LogisticRegression

from lesion_demo.arrays import Bools, Floats
from lesion_demo.network.familiarity import FamiliarityModel

REFUSED = 0.02
"""Share of validation pictures that are refused in all, and of dermoscopic ones that are taken for photographs."""
BARE_REFUSED = 0.005
"""Share of validation pictures that may be taken for bare skin."""
CLOSE_UPS_REFUSED = 0.1
"""Share of close-ups of validation pictures' lesions that may be."""
ADDED = 0.25
"""Spread of what everyday pictures add to the distance, as a share of the distance's own spread on validation pictures.

Enough to refuse 98.6 % instead of 92.4 % of everyday pictures left out of the fit; with more, it costs melanomas.
"""
FEW = 50
"""Training photographs, dermoscopic pictures or corners of bare skin, below which what tells them is not learnt."""
PENALTY = 0.1
"""scikit-learn's C: the inverse strength of regularisation, for features of spread 1."""


@dataclass(frozen=True)
class Crops:
    """Features of parts of some pictures: `skin` [K, D] of corners without lesion, `lesion` [K, D] of the middles."""

    skin: Floats
    lesion: Floats


@dataclass(frozen=True)
class Contrast:
    """Features of `everyday` [K, D] pictures and of `spoilt` [L, D] copies of training pictures.

    The spoilt ones are lesions as well: else blur or a colour cast would count as signs of an everyday picture.
    """

    everyday: Floats
    spoilt: Floats


def learn(
    train: Floats,
    val: Floats,
    *,
    contrast: Contrast | None = None,
    photographs: tuple[Bools, Bools] | None = None,
    crops: tuple[Crops, Crops] | None = None,
) -> FamiliarityModel:
    """What is known after `train` [N, D], with limits that refuse REFUSED of `val` [M, D] in all.

    Args:
        contrast: what lesions are told from and do not look like.
        photographs: which of `train` [N] and of `val` [M] were taken without a dermatoscope.
        crops: parts of training and of validation pictures.
    """
    known = FamiliarityModel(train.mean(axis=0), LedoitWolf().fit(train).precision_, limit=np.inf)
    if contrast is not None:
        known = replace(known, unrelated=_unrelated_direction(known, train, val, contrast))
    if crops is not None and len(crops[0].skin) >= FEW:
        known = replace(known, bare=_bare_direction(train, crops[0], val, crops[1]))
    if photographs is not None and _can_be_told(*photographs):
        known = replace(known, photograph=_photograph_direction(train, photographs[0], val[~photographs[1]]))
    bare = known.bare_skin(val)
    left = max(0.0, REFUSED * len(val) - bare.sum()) / max(1, (~bare).sum())
    return replace(known, limit=float(np.quantile(known.distances(val[~bare]), 1 - left)))


def _unrelated_direction(known: FamiliarityModel, train: Floats, val: Floats, contrast: Contrast) -> Floats:
    """Fisher's linear discriminant of everyday pictures, of mean 0 on `val` and of a spread there as ADDED says."""
    lesions, everyday = np.concatenate([train, contrast.spoilt]), contrast.everyday
    within = np.concatenate([lesions - lesions.mean(axis=0), everyday - everyday.mean(axis=0)])
    precision = LedoitWolf(assume_centered=True).fit(within).precision_
    weights = precision @ (everyday.mean(axis=0) - lesions.mean(axis=0))
    weights *= ADDED * known.distances(val).std() / (val @ weights).std()
    return np.append(weights, -(val @ weights).mean())


def _can_be_told(train: Bools, val: Bools) -> bool:
    """Are there enough of both kinds to tell photographs (True) from dermoscopic pictures?"""
    return bool(min(train.sum(), (~train).sum()) >= FEW and not val.all())


def _photograph_direction(train: Floats, photographs: Bools, dermoscopic: Floats) -> Floats:
    """What tells `photographs`; its bias is such that it takes REFUSED of `dermoscopic` for one."""
    weights = _telling(train, photographs, np.where(photographs, 1 / photographs.sum(), 1 / (~photographs).sum()))
    return np.append(weights, -np.quantile(dermoscopic @ weights, 1 - REFUSED))


def _bare_direction(train: Floats, train_crops: Crops, val: Floats, val_crops: Crops) -> Floats:
    """What tells corners of skin; its bias is such that it takes few of `val` and of close-ups for some.

    Close-ups are half of what it is taught against: else it would tell enlargement, not the lesion.
    """
    skin, close, whole = len(train_crops.skin), len(train_crops.lesion), len(train)
    features = np.concatenate([train_crops.skin, train_crops.lesion, train])
    mass = np.repeat([1 / skin, 0.5 / close, 0.5 / whole], [skin, close, whole])
    weights = _telling(features, np.arange(len(features)) < skin, mass)
    limit = max(
        float(np.quantile(val @ weights, 1 - BARE_REFUSED)),
        float(np.quantile(val_crops.lesion @ weights, 1 - CLOSE_UPS_REFUSED)) if len(val_crops.lesion) else -np.inf,
    )
    return np.append(weights, -limit)


def _telling(features: Floats, wanted: Bools, mass: Floats) -> Floats:
    """Weights [D] of a logistic regression that tells `wanted` [N] of `features` [N, D], each of weight `mass` [N]."""
    mean, spread = features.mean(axis=0), features.std(axis=0) + 1e-9
    regression = LogisticRegression(C=PENALTY, max_iter=3000)
    regression.fit((features - mean) / spread, wanted, sample_weight=mass / mass.mean())
    return np.asarray(regression.coef_[0] / spread)
