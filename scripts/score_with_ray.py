"""Score an archive on a cluster that has Ray: an example of how the exported model is mapped over an engine.

    python -m lesion_demo export --checkpoint DIR --out exported
    python -m scripts.score_with_ray ARCHIVE --model exported --out table

`table` is a folder of Parquet files with the columns of `score`. A worker that dies is started again, and what it had
in hand is scored again. On several machines, ARCHIVE, the exported folder and `table` lie where all of them find these
under the same path. Ray is no requirement of the project: `python -m pip install ray pyarrow`.
"""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path
from typing import Any

from lesion_demo.decision import DEFAULT_OPERATING_POINT
from lesion_demo.serve.classifier import BATCH_SIZE, Predictor
from lesion_demo.serve.opened import open_checkpoint
from lesion_demo.serve.scoring import find_files, score_files
from lesion_demo.serve.table import CsvRow


class Scorer:
    """A worker: opens the exported folder once, then scores batch after batch."""

    def __init__(self, folder: str) -> None:
        loaded = open_checkpoint(Path(folder), "onnx")
        self.predictor = Predictor(loaded)
        self.point = loaded.meta.operating_point(DEFAULT_OPERATING_POINT)
        self.margin = loaded.meta.margin_at(self.point)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """The columns of `score` for the pictures in `batch["item"]`."""
        rows = list(score_files(list(batch["item"]), self.predictor, self.point, self.margin))
        return {field.name: [getattr(row, field.name) for row in rows] for field in fields(CsvRow)}


def main() -> None:
    """Score, and print where the table is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", nargs="+", help="pictures, or folders of them")
    parser.add_argument("--model", required=True, help="the folder that `export --out` made")
    parser.add_argument("--out", required=True, help="the folder to write into")
    parser.add_argument("--workers", type=int, default=2, help="how many processes score (default: 2)")
    args = parser.parse_args()

    try:
        import ray  # here: the help does not need it
    except ModuleNotFoundError:
        parser.error("Ray is not installed: python -m pip install ray pyarrow")
    files = find_files(args.archive)
    pictures = ray.data.from_items(files, override_num_blocks=-(-len(files) // (8 * BATCH_SIZE)))
    scored = pictures.map_batches(
        Scorer,
        fn_constructor_args=(str(Path(args.model).resolve()),),
        batch_size=BATCH_SIZE,
        compute=ray.data.ActorPoolStrategy(size=args.workers),
    )
    scored.write_parquet(args.out)
    print(f"{len(files)} pictures were scored; the table is in {args.out}.")


if __name__ == "__main__":
    main()
