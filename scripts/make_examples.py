"""Draws lesion_demo/web/examples/: six phantoms to try the app with.

Run from anywhere: `python scripts/make_examples.py`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from lesion_demo.images.phantom import render_phantom  # noqa: E402

SIDE = 600
QUALITY = 90


@dataclass(frozen=True)
class Example:
    """One file, named after what is drawn; with these seeds, the shipped checkpoint judges each as it is meant.

    Each is drawn as through a dermatoscope, and the checkpoint takes none but the dark one for a photograph.
    """

    name: str
    seed: int
    malignant: bool
    ring: bool = False
    hair: bool = False
    brightness: float = 1.0


EXAMPLES = (
    Example("phantom_benign_1", seed=6, malignant=False),
    Example("phantom_benign_2", seed=5, malignant=False, hair=True),
    Example("phantom_malignant_1", seed=1, malignant=True),
    Example("phantom_malignant_2", seed=8, malignant=True),
    Example("phantom_malignant_ring", seed=10, malignant=True, ring=True),
    Example("phantom_benign_too_dark", seed=8, malignant=False, brightness=0.22),
)


def main() -> None:
    folder = ROOT / "lesion_demo" / "web" / "examples"
    folder.mkdir(parents=True, exist_ok=True)
    for example in EXAMPLES:
        pixels = render_phantom(
            example.seed,
            malignant=example.malignant,
            size=SIDE,
            ring=example.ring,
            hair=example.hair,
            brightness=example.brightness,
            dermatoscope=True,
        )
        path = folder / f"{example.name}.jpg"
        Image.fromarray(pixels).save(path, quality=QUALITY)
        print(f"{path.relative_to(ROOT)}  {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
