"""What the heat map is worth: does it point to the lesion, and do the places that it names move the answer?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms.v2 import functional as v2
from tqdm import tqdm

from lesion_demo.checkpoint import LoadedCheckpoint
from lesion_demo.config import CLASSES, OperatingPoint
from lesion_demo.data.dataset import PictureReader
from lesion_demo.data.picture import Picture
from lesion_demo.decision import Outcome, decide
from lesion_demo.evaluate.intervals import share_of
from lesion_demo.images.lesion import Mask
from lesion_demo.images.look import Look
from lesion_demo.images.prepare import Inputs
from lesion_demo.results import FaithfulnessResult, HeatResult
from lesion_demo.serve.classifier import BATCH_SIZE, Predictor
from lesion_demo.serve.explanation import Explainer, HeatMap

MASKS = "masks"
"""Folder of a data set with the outlines that people drew: a picture's name with .png, white on the lesion."""
DRAWN, FOUND = "drawn", "found"
"""Whose outlines: people's, or ours (`images.lesion`)."""
FEW = 24
"""Pictures to blur step by step: each takes some 50 looks."""
STEPS = 8
GRID = 8
"""Places a side in the random order: as coarse as the last maps of an EfficientNet."""
BLUR = 0.08
"""Standard deviation of the blur, as a share of the side: no structure of a lesion is left, but its colours are."""


@dataclass(frozen=True, eq=False)
class Explained:
    """A picture with its answer and its heat map.

    Attributes:
        inputs: float32 [1, 3, S, S]; None but for the first FEW that are called malignant, as memory is limited.
        outline: bool [S, S], True on the lesion; None where none is known; `drawn` says whether people drew it.
    """

    label: int
    verdict: Outcome
    inputs: Inputs | None
    heat: HeatMap
    outline: Mask | None
    drawn: bool

    @property
    def pointed(self) -> bool:
        """Is there a lesion to point to, and something that points?"""
        return self.outline is not None and not self.heat.silent


def mask_file(picture: Picture) -> Path:
    """Where the outline of `picture` would lie that people drew."""
    root = picture.path.parents[len(PurePosixPath(picture.file).parts) - 1]
    return root / MASKS / f"{picture.path.stem}.png"


def explain_all(
    loaded: LoadedCheckpoint,
    pictures: Sequence[Picture],
    reader: PictureReader,
    point: OperatingPoint,
    device: str | None = None,
) -> Iterator[Explained]:
    """`pictures` with the verdicts at `point`, whatever their quality, and with their heat maps."""
    predictor, spec = Predictor(loaded, device), loaded.meta.preprocess
    explainer, margin, kept = Explainer(predictor.engine, spec), loaded.meta.margin_at(point), 0
    for picture in tqdm(pictures, "heat maps", leave=False):
        look = Look.of(reader(picture))
        inputs = predictor.prepare(look)[None]
        found = predictor.predict(inputs)
        verdict = decide(float(found.probabilities[0]), point, margin=margin, assessable=True)
        keep = verdict is Outcome.MALIGNANT and kept < FEW
        kept += keep
        box, side, file = look.visible(spec), inputs.shape[-1], mask_file(picture)
        if file.is_file():
            whole = Image.open(file).convert("L").resize((look.shape[1], look.shape[0]))
            part = whole.crop((box.left, box.top, box.left + box.width, box.top + box.height)).resize((side, side))
            outline: Mask | None = np.asarray(part) > 127
        else:
            outline = look.lesion_in(box, side)
        heat = explainer.explain(inputs, found.forward)
        yield Explained(picture.label, verdict, inputs if keep else None, heat, outline, file.is_file())


def where_it_points(explained: Sequence[Explained]) -> list[HeatResult]:
    """By outlines, class and verdict: how often the heat points to the lesion."""
    results = []
    for drawn in (True, False):
        for label, name in enumerate(CLASSES):
            for verdict in (Outcome.BENIGN, Outcome.UNCERTAIN, Outcome.MALIGNANT):
                own = [one for one in explained if (one.drawn, one.label, one.verdict) == (drawn, label, verdict)]
                if own:
                    results.append(_points(own, DRAWN if drawn else FOUND, name, verdict))
    return results


def _points(own: Sequence[Explained], outlines: str, label: str, verdict: Outcome) -> HeatResult:
    pairs = [(one.heat, one.outline) for one in own if one.outline is not None and one.pointed]
    hits = np.array([bool(outline[heat.hottest]) for heat, outline in pairs], dtype=bool)
    mass = [heat.mass_on(outline) or 0.0 for heat, outline in pairs]
    area = [float(outline[heat.seen].mean()) for heat, outline in pairs]
    return HeatResult(
        outlines=outlines,
        label=label,
        verdict=verdict.value,
        n=len(own),
        silent=share_of(np.array([one.heat.silent for one in own])),
        outlined=len(pairs),
        area=float(np.mean(area)) if area else None,
        mass=float(np.mean(mass)) if mass else None,
        hottest=share_of(hits) if pairs else None,
    )


def faithfulness(
    loaded: LoadedCheckpoint, explained: Sequence[Explained], device: str | None = None
) -> list[FaithfulnessResult]:
    """What blurring places in the order of the heat map does to the answer, against two orders that know no network.

    Of pictures called malignant (Petsiuk et al. 2018, arXiv 1806.07421, with a blurred picture for the black one). A
    faithful map has the probability fall early while its hottest places are blurred (a small area of deletion), and
    rise early while they alone are shown (a large area of insertion).
    """
    chosen = [(one.inputs, one.heat) for one in explained if one.inputs is not None]
    if not chosen:
        return []
    chance, predictor = np.random.default_rng(0), Predictor(loaded, device)
    orders: dict[str, Callable[[HeatMap], NDArray[np.float32]]] = {
        "heat map": lambda heat: heat.values,
        "middle first": lambda heat: -_from_the_middle(heat.values.shape[0]),
        "random": lambda heat: _random_map(heat.values.shape[0], chance),
    }
    results = []
    for name, ranking in orders.items():
        areas = [
            _areas(predictor, inputs[0], heat.seen, ranking(heat)) for inputs, heat in tqdm(chosen, name, leave=False)
        ]
        deletion, insertion = np.mean(areas, axis=0)
        results.append(FaithfulnessResult(name, len(chosen), float(deletion), float(insertion)))
    return results


def _areas(
    predictor: Predictor, inputs: Inputs, seen: NDArray[np.bool_], ranking: NDArray[np.float32]
) -> tuple[float, float]:
    """Mean probability over the steps of deletion and of insertion, both ends among them; `inputs` are [3, S, S]."""
    side, pixels = inputs.shape[-1], torch.from_numpy(inputs)
    blurred = v2.gaussian_blur(pixels, [2 * int(2 * BLUR * side) + 1] * 2, [BLUR * side])
    place = np.full(ranking.shape, np.inf)  # 0 is first; what was not seen never comes
    place[seen] = (-ranking[seen]).argsort().argsort() / seen.sum()
    first = torch.from_numpy(place) < torch.linspace(0, 1, STEPS + 1)[:, None, None]  # [steps + 1, S, S]
    deleted = torch.where(first[:, None], blurred, pixels)
    inserted = torch.where((first | ~torch.from_numpy(seen))[:, None], pixels, blurred)
    batches = torch.cat([deleted, inserted]).split(BATCH_SIZE)
    said = np.concatenate([predictor.predict(batch.numpy()).probabilities for batch in batches])
    return float(said[: STEPS + 1].mean()), float(said[STEPS + 1 :].mean())


def _from_the_middle(side: int) -> NDArray[np.float32]:
    offset = np.arange(side, dtype=np.float32) + 0.5 - side / 2
    return np.hypot(offset[:, None], offset[None])


def _random_map(side: int, chance: np.random.Generator) -> NDArray[np.float32]:
    grid = Image.fromarray(chance.random((GRID, GRID)).astype(np.float32))
    return np.asarray(grid.resize((side, side), Image.Resampling.BILINEAR))
