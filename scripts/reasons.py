"""How often the reason that the page gives is the planted one.

Pictures are spoilt on purpose in every way of `lesion_demo.images.perturb`, and what the page says against each copy,
though not against the picture as it was, is compared with what was done to it. Training and validation pictures alone:

    python -m scripts.reasons --data DIR      # 100 pictures, two sources; five minutes on one core
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from lesion_demo.images import Pixels
from lesion_demo.images.artefacts import find_artefacts
from lesion_demo.images.load import load_picture
from lesion_demo.images.look import Look
from lesion_demo.images.perturb import (
    DEGRADATIONS,
    Degradation,
    draw_hair,
    draw_pen_marks,
    draw_random_ring,
    draw_ruler,
    flatten,
)
from lesion_demo.images.quality import check_quality
from lesion_demo.serve.classifier import Predictor
from lesion_demo.serve.familiarity import shows_bare_skin
from lesion_demo.serve.opened import open_checkpoint

SOURCES = ("ham10000", "melanoma10k")
PICTURES = 100
BARE, UNRECOGNISED, UNFAMILIAR = "bare skin", "not recognised", "unfamiliar"

Edit = Callable[[Pixels, np.random.Generator], Pixels]


@dataclass(frozen=True)
class Planted:
    """Something done to a picture, and the names of the reasons that are right."""

    name: str
    edit: Edit
    right: frozenset[str]


def planted() -> Iterator[Planted]:
    for way in DEGRADATIONS:
        strength = way.strengths[-1]
        yield Planted(f"{way.name} {strength:g}", partial(_spoil, way, strength), frozenset(way.checks))
    yield Planted("less contrast 0.3", lambda image, rng: flatten(image, rng, 0.3), frozenset({"contrast"}))
    drawn: tuple[tuple[str, Edit], ...] = (
        ("ring", draw_random_ring),
        ("hair", draw_hair),
        ("ruler", draw_ruler),
        ("ink", draw_pen_marks),
    )
    for name, draw in drawn:
        yield Planted(f"{name}, drawn", draw, frozenset({name}))


def _spoil(way: Degradation, strength: float, image: Pixels, rng: np.random.Generator) -> Pixels:
    return way.apply(image, rng, strength)


def reasons(picture: Pixels, predictor: Predictor) -> set[str]:
    """The names of all that the page says against `picture`, uint8 [H, W, 3], or finds in it."""
    look = Look.of(picture)
    quality = check_quality(look)
    found = {check.name for check in quality.warnings}
    found |= {artefact.name for artefact in find_artefacts(look) if artefact.present}
    (familiarity,) = predictor.predict(predictor.prepare(look)[None]).familiarity
    if familiarity is not None and not familiarity.familiar:
        bare = shows_bare_skin(familiarity, quality)
        found.add(BARE if bare else UNRECOGNISED if familiarity.bare_skin else UNFAMILIAR)
    return found


def chosen(data: Path, pictures: int) -> list[Path]:
    """As many of either class and source, evenly from the alphabet of `train`."""
    each = pictures // (2 * len(SOURCES))
    files: list[Path] = []
    for source in SOURCES:
        for name in ("benign", "malignant"):
            found = sorted((data / source / "train" / name).iterdir())
            files += found[:: max(1, len(found) // each)][:each]
    return files


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, default=Path("checkpoints/clinics"))
    parser.add_argument("--pictures", type=int, default=PICTURES)
    options = parser.parse_args(arguments)
    predictor = Predictor(open_checkpoint(options.checkpoint))
    pictures = [load_picture(file).pixels for file in chosen(options.data, options.pictures)]
    before = [reasons(picture, predictor) for picture in pictures]
    print(f"As they are: {sum(map(bool, before))} of {len(before)} pictures with a reason or a find.\n")
    print("| planted | named | reasons given | of them right | others, by number |")
    print("| --- | --- | --- | --- | --- |")
    total = right = 0
    for one in planted():
        new: list[set[str]] = []
        named = 0
        for index, (picture, known) in enumerate(zip(pictures, before, strict=True)):
            after = reasons(one.edit(picture, np.random.default_rng(index)), predictor)
            named += bool(after & one.right)
            new.append(after - known)
        given = [reason for found in new for reason in found]
        good = sum(reason in one.right for reason in given)
        wrong = sorted({reason for reason in given if reason not in one.right}, key=given.count, reverse=True)
        others = ", ".join(f"{reason} {given.count(reason)}" for reason in wrong)
        total, right = total + len(given), right + good
        share = f"{good / len(given):.0%}" if given else "—"
        print(f"| {one.name} | {named / len(pictures):.0%} | {len(given)} | {share} | {others} |", flush=True)
    print(f"\nOf all {total} reasons {right / max(1, total):.0%} are the planted one.")


if __name__ == "__main__":
    main()
