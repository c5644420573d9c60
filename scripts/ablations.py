"""What each ingredient is worth: small runs that differ in one thing, and a table of what became of them.

    python scripts/ablations.py --data DIR/melanoma10k --data DIR/ham10000 --data DIR/padufes20 --out RUNS

Every run draws the same number of pictures once. A run whose result is in RUNS is not made again.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lesion_demo.checkpoint import load_checkpoint
from lesion_demo.config import AugmentConfig, PreprocessSpec, StageConfig, TrainConfig, to_dict
from lesion_demo.learning.audit import audit_change
from lesion_demo.learning.dataset import PictureReader
from lesion_demo.learning.evaluation import EvaluatedSplit, run_model
from lesion_demo.learning.folders import Picture
from lesion_demo.learning.metrics import score
from lesion_demo.learning.run_state import write_json
from lesion_demo.learning.splits import Splits
from lesion_demo.learning.training import fit
from lesion_demo.pipeline import finish, open_splits
from lesion_demo.presets import PRESETS

RING = "ring, centred, soft"
RESULT_FILE = "ablation.json"


@dataclass(frozen=True)
class Ablation:
    """One run: what it is called, how it is made, and the data sets it learns from (None for all)."""

    title: str
    config: TrainConfig
    sources: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Result:
    """What became of a run; all 0–1. Test figures are of melanoma10k's test split, at the `accuracy` point.

    Attributes:
        benign_flips, malignant_flips: share of test verdicts that a drawn ring turns.
        ham_auc: ROC-AUC on HAM10000's validation pictures, which melanoma10k alone has never seen.
    """

    title: str
    accuracy: float
    roc_auc: float
    benign_flips: float
    malignant_flips: float
    ham_auc: float


def ablations(pictures: int) -> dict[str, Ablation]:
    """The runs by the name of their folder; each draws so many pictures."""
    stage = StageConfig(
        "128px", epochs=1, image_size=128, batch_size=64, epoch_pictures=pictures,
        backbone_rate=1.2e-3, head_rate=1.2e-3, schedule="one_cycle",
    )  # fmt: skip
    augment: AugmentConfig = PRESETS["cpu"].augment
    whole = replace(PRESETS["cpu"], stages=(stage,), preprocess=PreprocessSpec(image_size=128, round_window=True))
    uncropped = PreprocessSpec(image_size=128, crop_field_of_view=False)
    ringless = replace(augment, ring=0.0)
    frozen = replace(stage, train_backbone=False, head_rate=5e-3)
    return {
        "whole": Ablation("everything", whole),
        "frozen": Ablation("backbone frozen", replace(whole, stages=(frozen,))),
        "random": Ablation("random weights, no warm start", replace(whole, init="none")),
        "one_set": Ablation("melanoma10k alone", whole, ("melanoma10k",)),
        "no_rings": Ablation("no rings drawn", replace(whole, augment=ringless)),
        "square": Ablation("square crop, no round window", replace(whole, preprocess=PreprocessSpec(image_size=128))),
        "no_crop": Ablation("rings drawn, but no crop", replace(whole, preprocess=uncropped)),
        "neither": Ablation("neither crop nor rings", replace(whole, preprocess=uncropped, augment=ringless)),
        "usual": Ablation(
            "the usual way: melanoma10k alone, neither crop nor rings",
            replace(whole, preprocess=uncropped, augment=ringless),
            ("melanoma10k",),
        ),
    }


def run(ablation: Ablation, splits: Splits, folder: Path, reader: PictureReader) -> Result:
    """Train, and look at the test split."""
    chosen = splits
    if ablation.sources is not None:
        kept = tuple(picture for picture in splits.pictures if picture.source in ablation.sources)
        chosen = replace(splits, pictures=kept)
    fitted = fit(ablation.config, chosen.of("train"), chosen.of("val"), folder, reader=reader)
    finish(ablation.config, chosen, fitted, folder, reader)
    loaded = load_checkpoint(folder)
    spec, temperature = loaded.meta.preprocess, loaded.meta.temperature
    point = loaded.meta.operating_point("accuracy")

    def evaluated(pictures: Sequence[Picture], title: str) -> EvaluatedSplit:
        predictions = run_model(loaded.model, spec, pictures, title=title, reader=reader)
        return EvaluatedSplit(tuple(pictures), predictions.probabilities(temperature))

    test = evaluated(splits.of("test"), "test")
    ham = evaluated([picture for picture in splits.of("val") if picture.source == "ham10000"], "HAM10000")
    ring = audit_change(loaded.model, spec, test, RING, temperature=temperature, point=point, reader=reader)
    return Result(
        ablation.title,
        accuracy=float(((test.probabilities >= point.threshold) == test.labels).mean()),
        roc_auc=score(test.labels, test.probabilities).roc_auc,
        benign_flips=ring.flips_benign.value,
        malignant_flips=ring.flips_malignant.value,
        ham_auc=score(ham.labels, ham.probabilities).roc_auc,
    )


def table(results: Sequence[Result]) -> str:
    """Markdown."""
    lines = [
        "| | test accuracy | test ROC-AUC | ring turns benign | ring turns malignant | HAM10000 ROC-AUC |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for result in results:
        shares = [result.accuracy, result.benign_flips, result.malignant_flips]
        accuracy, benign, malignant = (f"{share:.1%}".replace("%", " %") for share in shares)
        lines.append(
            f"| {result.title} | {accuracy} | {result.roc_auc:.3f} | {benign} | {malignant} | {result.ham_auc:.3f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", action="append", type=Path, required=True, metavar="DIR")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the runs go here")
    parser.add_argument("--pictures", type=int, default=6000, help="drawn by every run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results here too")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    runs = ablations(args.pictures)
    splits = open_splits(runs["whole"].config, args.data, args.out)
    reader = PictureReader()
    results = []
    for name, ablation in runs.items():
        file = args.out / name / RESULT_FILE
        if not file.is_file():
            write_json(file, to_dict(run(ablation, splits, args.out / name, reader)))
        results.append(Result(**json.loads(file.read_text(encoding="utf-8"))))
        print(table(results), flush=True)
    if args.json is not None:
        write_json(args.json, {"pictures": args.pictures, "runs": [dataclasses.asdict(result) for result in results]})


if __name__ == "__main__":
    main()
