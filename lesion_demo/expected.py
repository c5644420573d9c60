"""What a recipe is expected to reach, so that whoever runs it again knows whether it went as it should."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lesion_demo.config import from_dict
from lesion_demo.results import Metrics

EXPECTED_FILE = Path(__file__).resolve().parent / "expected.json"
TOLERANCE = 0.01
"""Of a ROC-AUC: another processor, or another order of the same sums, moves it by less."""


@dataclass(frozen=True)
class Expected:
    """ROC-AUC by data set, on validation and on test pictures, as a run of the recipe reached them."""

    validation: Mapping[str, float]
    test: Mapping[str, float]


def read_expected(recipe: str) -> Expected | None:
    """What `recipe` reached; None where no run of it has been written down."""
    values = json.loads(EXPECTED_FILE.read_text(encoding="utf-8"))
    return from_dict(Expected, values[recipe]) if recipe in values else None


def compare(metrics: Metrics, expected: Expected) -> Iterator[str]:
    """A line for each figure that is not within TOLERANCE of what is `expected`, or that is missing."""
    for kind, figures, reports in (
        ("validation", expected.validation, metrics.validation_by_source),
        ("test", expected.test, metrics.test_by_source),
    ):
        for source, wanted in sorted(figures.items()):
            report = reports.get(source)
            if report is None or not report.roc_auc.known:
                yield f"{source}, {kind}: no ROC-AUC where {wanted:.3f} is expected."
            elif abs(report.roc_auc.value - wanted) > TOLERANCE:
                yield f"{source}, {kind}: ROC-AUC {report.roc_auc.value:.3f} where {wanted:.3f} is expected."
