"""What a class folder or a diagnosis is called, and whether that is benign or malignant."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

from lesion_demo.config import CLASSES
from lesion_demo.errors import DataError

BENIGN_NAMES = (
    *("benign", "nevus", "naevus", "nevi", "naevi", "nv", "nev", "mole", "melanocytic nevus", "melanocytic nevi"),
    *("bkl", "bk", "benign keratosis", "benign keratosis like lesions", "pigmented benign keratosis", "pbk"),
    *("sk", "sek", "seborrheic keratosis", "seborrheic keratoses", "seborrhoeic keratosis", "lentigo", "solar lentigo"),
    *("df", "dermatofibroma", "vasc", "vascular lesion", "vascular lesions", "hemangioma", "haemangioma"),
    *("ak", "ack", "actinic keratosis", "actinic keratoses"),
)
MALIGNANT_NAMES = (
    *("malignant", "melanoma", "mel", "melanoma in situ", "melanoma metastasis", "lentigo maligna"),
    *("bcc", "basal cell carcinoma", "scc", "squamous cell carcinoma", "bowen disease", "bowens disease"),
    *("akiec", "carcinoma", "kaposi sarcoma", "merkel cell carcinoma", "cancer"),
)
"""Names that need no `--class-map`. `akiec` is malignant because HAM10000 files intraepithelial carcinoma (Bowen's
disease) under it; a plain actinic keratosis (`ak`, `ack`) is precancerous and counts as benign, as in PAD-UFES-20."""


def plain_name(name: str) -> str:
    """Lower case, with underscores, dashes and apostrophes out of the way."""
    composed = unicodedata.normalize("NFC", name)  # a Mac's file system takes letters and accents apart
    return re.sub(r"[\s_\-]+", " ", composed.replace("'", "").replace("’", "")).strip().lower()


def labels_by_name(class_map: Mapping[str, str] | None) -> dict[str, int]:
    """Plain class name → label, the explicit ones over the known ones.

    Raises:
        DataError: `class_map` maps a name to something other than a class.
    """
    table = dict.fromkeys(BENIGN_NAMES, 0) | dict.fromkeys(MALIGNANT_NAMES, 1)
    for name, target in (class_map or {}).items():
        if target.lower() not in CLASSES:
            raise DataError(
                f"--class-map {name}={target}: {target!r} is not a class; "
                f"use {name}={CLASSES[0]} or {name}={CLASSES[1]}."
            )
        table[plain_name(name)] = CLASSES.index(target.lower())
    return table


def check_names(where: Path, found: Iterable[str], labels: Mapping[str, int]) -> None:
    """Raises DataError if one of the class names `found` is unknown."""
    names = sorted(set(found))
    unknown = [name for name in names if plain_name(name) not in labels]
    if unknown:
        hint = " ".join(f'--class-map "{name}={CLASSES[0]}"' for name in unknown[:3])
        raise DataError(
            f"{where} has classes {', '.join(map(repr, names))}; "
            f"{', '.join(map(repr, unknown))} {'is' if len(unknown) == 1 else 'are'} not known. "
            f"Map each to {' or '.join(CLASSES)}, e.g. {hint}."
        )
