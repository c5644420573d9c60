"""Are the reasons that the page gives true? Faults are planted in pictures, and what is then said is compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lesion_demo.audit.holdback import Spoilt
from lesion_demo.data.dataset import Edit
from lesion_demo.data.picture import Picture
from lesion_demo.evaluate.inference import Predictions
from lesion_demo.evaluate.intervals import share_of
from lesion_demo.evaluate.reporting import Scorer
from lesion_demo.images import Pixels
from lesion_demo.images.artefacts import ORDINARY, find_artefacts
from lesion_demo.images.look import Look
from lesion_demo.images.perturb import DEGRADATIONS, draw_hair, draw_pen_marks, draw_random_ring, draw_ruler
from lesion_demo.images.quality import check_quality
from lesion_demo.network.familiarity import FamiliarityModel
from lesion_demo.results import PlantedResult

UNLIKE = "unlike the training pictures"
DRAWN = {"ring": draw_random_ring, "hair": draw_hair, "ruler": draw_ruler, "ink": draw_pen_marks}
"""What is drawn on a picture, by the name under which it ought to be found."""


@dataclass(frozen=True)
class Drawn:
    """The edit that draws something; what is chance in it hangs on the picture's place alone."""

    draw: Callable[[Pixels, np.random.Generator], Pixels]

    def __call__(self, image: Pixels, index: int) -> Pixels:
        return self.draw(image, np.random.default_rng(index))


@dataclass(frozen=True)
class Planted:
    """A fault to plant in a picture; `right` are the checks and artefacts that name it, any of them rightly."""

    name: str
    edit: Edit
    right: frozenset[str]


PLANTED = (
    *(Planted(one.name, Spoilt(one, one.strengths[-1]), frozenset(one.checks)) for one in DEGRADATIONS),
    *(Planted(name, Drawn(draw), frozenset({name})) for name, draw in DRAWN.items()),
)


def named_faults(scorer: Scorer, pictures: Sequence[Picture]) -> list[PlantedResult]:
    """What the page says against `pictures` after each of PLANTED, though not against them as they are."""
    edits = (None, *(one.edit for one in PLANTED))
    before, *after = (
        _reasons(seen, scorer.known) for seen in scorer.one_look.edited(pictures, edits, "reasons", noticed)
    )
    return [_compared(planted, before, said) for planted, said in zip(PLANTED, after, strict=True)]


@dataclass(frozen=True)
class Noticed:
    """The names of all checks that warn of a picture and of all artefacts in it; `poor` if a check warns."""

    names: frozenset[str]
    poor: bool


def noticed(image: Pixels) -> Noticed:
    """What the page notices in `image`, uint8 [H, W, 3]."""
    look = Look.of(image)
    warnings = {check.name for check in check_quality(look).warnings}
    return Noticed(frozenset(warnings | {one.name for one in find_artefacts(look) if one.present}), bool(warnings))


def _reasons(seen: Predictions, known: FamiliarityModel | None) -> list[frozenset[str]]:
    """Beside what was noticed in each picture, UNLIKE, as `lesion_demo.serve.phrases.reasons` says it.

    Where a check warns, or hair, a ruler or ink was found, that is said to be why.
    """
    if known is None or seen.early is None:
        return [one.names for one in seen.measured]
    unlike = zip(known.refused(seen.early), known.bare_skin(seen.early), known.photographs(seen.early), strict=True)
    return [
        one.names | {UNLIKE}
        if strange and not one.poor and (bare or photograph or not one.names - ORDINARY)
        else one.names
        for one, (strange, bare, photograph) in zip(seen.measured, unlike, strict=True)
    ]


def _compared(planted: Planted, before: Sequence[frozenset[str]], after: Sequence[frozenset[str]]) -> PlantedResult:
    new = [reason for known, said in zip(before, after, strict=True) for reason in said - known]
    return PlantedResult(
        name=planted.name,
        n=len(after),
        named=share_of(np.array([bool(said & planted.right) for said in after])),
        reasons=len(new),
        right=sum(reason in planted.right for reason in new),
        unlike=new.count(UNLIKE),
    )
