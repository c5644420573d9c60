"""What a checkpoint is worth on data sets that it was not trained on: another checkpoint's validation pictures.

    python -m scripts.elsewhere --checkpoint RUN --split checkpoints/clinics/split.csv --data DIR… --out elsewhere.json

DIR are the data sets of that split.csv. Its groups tell which of the pictures show a lesion that RUN was trained on,
in another copy or crop: those are left out. The thresholds are RUN's own. Run it from the project's folder.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from lesion_demo.data.picture import Picture, by_source
from lesion_demo.data.split_file import read_split
from lesion_demo.data.splits import Splits
from lesion_demo.evaluate.scores import report
from lesion_demo.files import write_json
from lesion_demo.images.load import load_image
from lesion_demo.results import Report, to_json
from lesion_demo.run_folder import SPLIT_FILE
from lesion_demo.serve.classifier import Predictor
from lesion_demo.serve.opened import open_checkpoint

BATCH = 32
REPEATS = 1000


def unseen(splits: Splits, trained: Splits) -> list[Picture]:
    """Validation pictures of `splits`, without the data sets that `trained` is of and the lesions trained on there."""
    own = {picture.name for picture in trained.of("train")}
    known = {picture.group for part in ("train", "val", "test") for picture in splits.of(part) if picture.name in own}
    sources = {picture.source for picture in trained.of("train")}
    return [one for one in splits.of("val") if one.source not in sources and one.group not in known]


def reports(checkpoint: Path, pictures: Sequence[Picture]) -> Iterator[tuple[str, Report]]:
    """The figures of every data set, with intervals by group."""
    served = open_checkpoint(checkpoint)
    predictor = Predictor(served)
    for source, own in by_source(pictures).items():
        batches = (own[start : start + BATCH] for start in range(0, len(own), BATCH))
        found = [p for batch in batches for p in predictor.probabilities([load_image(one.path) for one in batch])]
        groups = [picture.group for picture in own]
        labels = [picture.label for picture in own]
        yield source, report(labels, found, served.meta.operating_points, groups=groups, repeats=REPEATS)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="RUN")
    parser.add_argument("--split", type=Path, required=True, help="the other checkpoint's split.csv")
    parser.add_argument("--data", type=Path, action="append", required=True, metavar="DIR")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    args = parser.parse_args(arguments)
    trained = read_split(args.checkpoint / SPLIT_FILE, args.data)
    made = dict(reports(args.checkpoint, unseen(read_split(args.split, args.data), trained)))
    for source, one in made.items():
        print(f"{source}: {one.n} pictures, {one.n_malignant} malignant, ROC-AUC {one.roc_auc.value:.3f}")
    write_json(args.out, {source: to_json(one) for source, one in made.items()})


if __name__ == "__main__":
    main()
