"""Error analysis: a checkpoint's worst mistakes as pictures with their heat maps, for a folder outside the project."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader
from PIL import Image
from tqdm import tqdm

from lesion_demo.checkpoint import LoadedCheckpoint
from lesion_demo.config import CLASSES
from lesion_demo.data.picture import Picture
from lesion_demo.errors import DataError, LesionDemoError, reason
from lesion_demo.evaluate.run import EvaluatedSplit
from lesion_demo.files import check_folder, replacing
from lesion_demo.images.load import load_image
from lesion_demo.serve.analysis import Analyzer
from lesion_demo.serve.explanation import overlay

PROJECT = Path(__file__).resolve().parent.parent.parent
TEMPLATES = Path(__file__).resolve().parent / "templates"


@dataclass(frozen=True)
class Mistake:
    """A picture that was judged wrongly: the file of it and its heat map, or the `trouble` with showing it."""

    caption: str
    image: str = ""
    trouble: str = ""


def check_gallery(folder: Path) -> None:
    """Find out before the work that a gallery could not be written to `folder`.

    Raises:
        DataError: `folder` lies inside the project, where patients' pictures must never end up.
        LesionDemoError: it may not be written to.
    """
    if folder.resolve().is_relative_to(PROJECT):
        raise DataError(
            f"{folder} is inside the project: choose a folder outside it, so that no picture gets committed."
        )
    check_folder(folder, "--gallery")


def write_gallery(
    folder: Path, loaded: LoadedCheckpoint, split: EvaluatedSplit, *, worst: int, device: str | None = None
) -> int:
    """Write up to `worst` false positives and as many false negatives, worst first; returns how many.

    A mistake is judged at the `balanced` operating point, and is the worse the farther its probability lies from it.
    When it is stopped, its page shows what there is until then.

    Raises:
        DataError: `folder` lies inside the project, where patients' pictures must never end up.
        LesionDemoError: the disk refused.
    """
    check_gallery(folder)
    threshold = loaded.meta.operating_point("balanced").threshold
    analyzer = Analyzer(loaded, device=device)
    mistakes: list[Mistake] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            for kind, chosen in split.mistakes(threshold, worst).items():
                for rank, index in enumerate(tqdm(chosen, kind, unit="picture"), 1):
                    picture, path = split.pictures[index], folder / f"{kind.replace(' ', '_')}_{rank:02d}.jpg"
                    said = f"probability of malignancy {split.probabilities[index]:.3f} (threshold {threshold:.3f})"
                    caption = f"{picture.source} {picture.file}: {CLASSES[picture.label]}, {said}"
                    mistakes.append(_shown(path, picture, analyzer, caption))
        finally:
            with replacing(folder / "index.html") as part:
                part.write_text(_page(mistakes), encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise LesionDemoError(f"Could not write the gallery {folder} ({error}): free some disk space.") from error
    return len(mistakes)


def _page(mistakes: Sequence[Mistake]) -> str:
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True)
    return environment.get_template("gallery.html").render(mistakes=mistakes)


def _shown(path: Path, picture: Picture, analyzer: Analyzer, caption: str) -> Mistake:
    """Write `picture` beside its heat map to `path`."""
    try:
        image = load_image(picture.path)
        pixels = np.hstack([image, overlay(image, analyzer.analyze(image).heat_map_for(*image.shape[:2]))])
    except Exception as error:  # noqa: BLE001  # one bad picture never stops the rest
        return Mistake(caption, trouble=reason(error, picture.file))
    with replacing(path) as part:
        Image.fromarray(pixels).save(part, "JPEG", quality=92)
    return Mistake(caption, path.name)
