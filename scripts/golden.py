"""The golden set: 50 pictures and the probabilities that the shipped checkpoint gives them; remade with its weights.

python -m scripts.golden --data ../shared/data           # writes tests/golden.json
python -m scripts.golden --data ../shared/data --check   # compares with it instead, for docs/RELIABILITY.md

30 pictures are made up and drawn anew each time. 20 are validation pictures of the public data sets, which may not be
copied: the file has their names and hashes. Compare before you remake it: a change that nobody meant is a fault.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from lesion_demo.checkpoint import find_best_checkpoint
from lesion_demo.config import from_dict
from lesion_demo.data.split_file import read_split
from lesion_demo.files import sha256_of, write_json
from lesion_demo.images import Pixels
from lesion_demo.images.load import load_image
from lesion_demo.images.phantom import render_phantom
from lesion_demo.serve.classifier import Predictor
from lesion_demo.serve.opened import open_checkpoint
from scripts.reliability import record

FILE = Path(__file__).resolve().parent.parent / "tests" / "golden.json"
MADE_UP = 30
REAL_PER_SOURCE = 5
SOURCES = ("melanoma10k", "ham10000", "isic2018", "padufes20")


@dataclass(frozen=True)
class Golden:
    """One picture.

    Attributes:
        name: of a real one, its path below the folder of the data sets; of a made-up one, its number.
        sha256: of a real one's file, of a made-up one's pixels.
        probability: of malignancy, 0–1.
    """

    name: str
    sha256: str
    probability: float


@dataclass(frozen=True)
class GoldenSet:
    """What the weights with this hash say of each picture."""

    weights_sha256: str
    made_up: tuple[Golden, ...]
    real: tuple[Golden, ...]


def read_golden(file: Path = FILE) -> GoldenSet:
    return from_dict(GoldenSet, json.loads(file.read_text(encoding="utf-8")))


def made_up(number: int) -> Pixels:
    """Picture `number`, uint8 [S, S, 3]: benign and malignant in turn, of three sizes, some in a ring or dim."""
    return render_phantom(
        number,
        malignant=number % 2 == 1,
        size=(150, 224, 300)[number % 3],
        ring=number % 5 == 4,
        brightness=0.6 if number % 7 == 6 else 1.0,
    )


def hash_of(pixels: Pixels) -> str:
    return hashlib.sha256(pixels.tobytes()).hexdigest()


def chosen(checkpoint: Path, data: Path) -> list[Path]:
    """Validation pictures of every source, evenly spread over its list."""
    val = read_split(checkpoint / "split.csv", [data / source for source in SOURCES]).of("val")
    by_source = [[picture.path for picture in val if picture.source == source] for source in SOURCES]
    return [path for paths in by_source for path in paths[:: len(paths) // REAL_PER_SOURCE][:REAL_PER_SOURCE]]


def pictures_of(golden: GoldenSet, data: Path) -> list[Pixels]:
    """The made-up ones, then the real ones, from the folder `data` that has the public data sets."""
    return [*map(made_up, range(len(golden.made_up))), *(load_image(data / one.name) for one in golden.real)]


def check(data: Path) -> None:
    """Compare what both engines say here, with what is installed, and keep the greatest difference."""
    golden = read_golden()
    pictures, checkpoint = pictures_of(golden, data), find_best_checkpoint()
    expected = np.asarray([one.probability for one in (*golden.made_up, *golden.real)])
    found = {}
    for engine in ("onnx", "torch"):
        probabilities = Predictor(open_checkpoint(checkpoint, engine)).probabilities(pictures)
        found[engine] = float(np.abs(np.asarray(probabilities) - expected).max())
        print(f"{engine}: {len(pictures)} pictures, greatest difference {found[engine]:.6f}")
    record(f"golden, torch {version('torch')}", {"pictures": len(pictures), **found}, command="golden")


def write(data: Path) -> None:
    """Make the set anew from the checkpoint that ships."""
    served = open_checkpoint(find_best_checkpoint())
    predictor = Predictor(served)
    drawn, files = [made_up(number) for number in range(MADE_UP)], chosen(served.folder, data)
    names = [(str(number), hash_of(pixels)) for number, pixels in enumerate(drawn)]
    names += [(file.relative_to(data).as_posix(), sha256_of(file)) for file in files]
    probabilities = predictor.probabilities([*drawn, *map(load_image, files)])
    found = [Golden(*name, round(float(one), 6)) for name, one in zip(names, probabilities, strict=True)]
    golden = GoldenSet(served.meta.weights_sha256, tuple(found[:MADE_UP]), tuple(found[MADE_UP:]))
    write_json(FILE, asdict(golden))
    print(f"Wrote {FILE}: {len(found)} pictures, probabilities {min(probabilities):.3f} to {max(probabilities):.3f}.")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder with the public data sets")
    parser.add_argument("--check", action="store_true", help="compare with the set instead of writing it")
    args = parser.parse_args(arguments)
    (check if args.check else write)(args.data.resolve())


if __name__ == "__main__":
    main()
