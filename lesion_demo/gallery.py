"""Error analysis: a checkpoint's worst mistakes as pictures with their heat maps, for a folder outside the project."""

from __future__ import annotations

import html
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from lesion_demo.checkpoint import LoadedCheckpoint
from lesion_demo.config import CLASSES
from lesion_demo.errors import DataError
from lesion_demo.imaging.loading import load_image
from lesion_demo.learning.evaluation import EvaluatedSplit
from lesion_demo.serving.analysis import Analyzer
from lesion_demo.serving.explanation import overlay

PROJECT = Path(__file__).resolve().parent.parent


def write_gallery(folder: Path, loaded: LoadedCheckpoint, split: EvaluatedSplit, *, worst: int) -> int:
    """Write up to `worst` false positives and as many false negatives, worst first; returns how many.

    A mistake is judged at the `balanced` operating point, and is the worse the farther its probability lies from it.

    Raises:
        DataError: `folder` lies inside the project, where patients' pictures must never end up.
    """
    if folder.resolve().is_relative_to(PROJECT):
        raise DataError(f"{folder} lies inside the project: choose a gallery outside it, so no picture is committed.")
    folder.mkdir(parents=True, exist_ok=True)
    threshold = loaded.meta.operating_point("balanced").threshold
    margin = split.probabilities - threshold
    false_positives = [i for i in np.argsort(-margin) if margin[i] >= 0 and split.labels[i] == 0][:worst]
    false_negatives = [i for i in np.argsort(margin) if margin[i] < 0 and split.labels[i] == 1][:worst]
    analyzer = Analyzer(loaded)
    entries = []
    for kind, chosen in (("false_positive", false_positives), ("false_negative", false_negatives)):
        for rank, index in enumerate(tqdm(chosen, kind, unit="picture")):
            picture = split.pictures[index]
            name = f"{kind}_{rank + 1:02d}.jpg"
            image = load_image(picture.path)
            analysis = analyzer.analyze(image)
            Image.fromarray(np.hstack([image, overlay(image, analysis.heat_map_for(*image.shape[:2]))])).save(
                folder / name, quality=92
            )
            entries.append(
                f"<figure><img src='{name}' width='600'><figcaption>{html.escape(picture.source)} "
                f"{html.escape(picture.file)}: {CLASSES[picture.label]}, probability of malignancy "
                f"{split.probabilities[index]:.3f} (threshold {threshold:.3f})</figcaption></figure>"
            )
    page = "<!doctype html><meta charset='utf-8'><title>Worst mistakes</title>\n" + "\n".join(entries) + "\n"
    (folder / "index.html").write_text(page, encoding="utf-8")
    return len(entries)
