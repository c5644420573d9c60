"""Command line of the runs: see the package."""

from __future__ import annotations

import argparse
import csv
import json
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

import scripts.clinics as package
from lesion_demo.config import from_dict
from lesion_demo.data.picture import Picture
from lesion_demo.files import write_json
from lesion_demo.network.weights import write_weights
from lesion_demo.recipes import PRESETS
from lesion_demo.train.run import open_splits
from scripts.clinics.experiment import EXPERIMENTS
from scripts.clinics.loop import Material, find_looks, first_network, train
from scripts.clinics.measure import TURNS, Figures, ask, figures
from scripts.clinics.pictures import Store, open_store

CLINIC_OF = {"isic2018": "msk", "ham10000": "ham"}
"""What melanoma10k's clinics.csv calls the clinic of another data set."""
RESULT = "result.json"


@dataclass(frozen=True)
class Result:
    """One run, how long it took and what came of it."""

    name: str
    left_out: str
    pictures: int
    seed: int
    minutes: float
    figures: Figures


def usable(pictures: Iterable[Picture], roots: Sequence[Path], left_out: str) -> list[Picture]:
    """Training and validation pictures without the clinic `left_out`, and all of that as the split `unseen`."""
    same = set()
    for root in roots:
        table = root / "clinics.csv"
        if table.is_file():
            with table.open(newline="", encoding="utf-8") as file:
                rows = csv.DictReader(file)
                same |= {f"{root.name}/{row['file']}" for row in rows if row["clinic"] == CLINIC_OF[left_out]}
    kept = [picture for picture in pictures if picture.split != "test" and picture.name not in same]
    return [replace(picture, split="unseen") if picture.source == left_out else picture for picture in kept]


def part(pictures: Sequence[Picture], store: Store, splits: Sequence[str]) -> tuple[list[Picture], Store]:
    chosen = [index for index, picture in enumerate(pictures) if picture.split in splits]
    return [pictures[i] for i in chosen], store.of(chosen)


def run(
    name: str, folder: Path, material: Material, judged: tuple[list[Picture], Store], args: argparse.Namespace
) -> Result:
    """Train and measure one experiment, and keep its weights."""
    started = time.monotonic()
    experiment = EXPERIMENTS[name]
    net = first_network(experiment, material, args.seed)
    last, average = train(experiment, net, material, pictures=args.pictures, seed=args.seed)
    minutes = (time.monotonic() - started) / 60
    folder.mkdir(parents=True, exist_ok=True)
    write_weights(folder / "model.safetensors", last.state_dict(), half=True)
    unseen = part(judged[0], judged[1], ("unseen",))[1]
    found = figures(
        ask(last, experiment, judged[1]), judged[0], args.leave_out,
        averaged=ask(average, experiment, unseen),
        turned=ask(last, experiment, unseen, turns=TURNS) if args.turns else None,
    )  # fmt: skip
    return Result(name, args.leave_out, args.pictures, args.seed, round(minutes, 1), found)


COLUMNS = (
    *("run", "left out", "pictures", "seed", "ROC-AUC on the clinic left out", "moving average", "four turns"),
    *("specificity / sensitivity there", "melanoma10k", "HAM10000 or ISIC 2018", "phones", "clinic told", "minutes"),
)


def table(results: Sequence[Result]) -> str:
    """Markdown; the plain run of each kind first."""
    lines = [f"| {' | '.join(COLUMNS)} |", "| " + "--- | " * len(COLUMNS)]
    for r in sorted(results, key=lambda r: (r.left_out, r.pictures, r.seed, r.name != "plain", r.name)):
        f = r.figures
        known = [f.known.get("melanoma10k"), f.known.get("ham10000", f.known.get("isic2018")), f.known.get("padufes20")]
        cells = [
            *(EXPERIMENTS[r.name].title, r.left_out, f"{r.pictures:,}", str(r.seed)),
            *(f"{f.unseen:.3f} ({f.low:.3f}–{f.high:.3f})", f"{f.averaged:.3f}", _figure(f.turned)),
            f"{100 * f.specificity:.0f} / {100 * f.sensitivity:.0f} %",
            *(*map(_figure, known), f"{f.clinic:.2f}", f"{r.minutes:.0f}"),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=package.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", action="append", type=Path, required=True, metavar="DIR")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the runs go here")
    parser.add_argument("--names", nargs="*", choices=EXPERIMENTS, default=list(EXPERIMENTS), metavar="NAME")
    parser.add_argument("--leave-out", choices=CLINIC_OF, default="isic2018")
    parser.add_argument("--pictures", type=int, default=10_000, help="drawn by every run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--turns", action="store_true", help="score four turns of the clinic left out, too")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    splits = open_splits(PRESETS["default"], args.data, args.out)
    everything = [picture for picture in splits.pictures if picture.split != "test"]
    store = open_store(everything, args.out)
    places = {picture.name: index for index, picture in enumerate(everything)}
    pictures = usable(everything, args.data, args.leave_out)
    store = store.of([places[picture.name] for picture in pictures])
    train_pictures, train_store = part(pictures, store, ("train",))
    judged = part(pictures, store, ("val", "unseen"))
    looks = _looks(args.out / f"looks-without-{args.leave_out}.npy", train_pictures, train_store)
    material = Material(train_pictures, train_store, looks)
    for name in args.names:
        folder = args.out / f"{name}-{args.leave_out}-{args.pictures}-{args.seed}"
        if not (folder / RESULT).is_file():
            write_json(folder / RESULT, asdict(run(name, folder, material, judged, args)))
        print(table([read(path) for path in sorted(args.out.glob(f"*/{RESULT}"))]), flush=True)


def read(path: Path) -> Result:
    return from_dict(Result, json.loads(path.read_text(encoding="utf-8")))


def _looks(path: Path, pictures: list[Picture], store: Store) -> np.ndarray:
    if not path.is_file():
        first = Material(pictures, store, np.zeros(len(pictures), np.int64))
        net = first_network(EXPERIMENTS["plain"], first, 0)
        np.save(path, find_looks(net, store))
    return np.asarray(np.load(path))


if __name__ == "__main__":
    main()
