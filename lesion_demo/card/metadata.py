"""What the Hub reads at the head of a model card: its figures as a `model-index`, and under which terms it comes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lesion_demo.card.folder import ModelFacts, SourceResult
from lesion_demo.results import Interval

TASK = "image-classification"
TAGS = ("dermoscopy", "skin-lesion", "calibration", "safetensors")
PARTS = {"test": "test", "external": "external"}
"""Results on pictures that had no part in any choice, by the name that the Hub calls their split. Those on validation
pictures flatter, and those of a clinic's own fit are of something else."""


def card_head(facts: ModelFacts, terms: str = "") -> str:
    """The head of the card of `facts` as YAML between two lines of hyphens.

    Args:
        terms: the file, beside the card, with the terms of the weights; without one, the head names no licence.
    """
    from huggingface_hub import ModelCardData

    data = ModelCardData(library_name="lesion-demo", pipeline_tag=TASK, tags=list(TAGS))
    if terms:
        data["license"], data["license_name"], data["license_link"] = "other", "terms-for-the-weights", terms
    if results := [_result(one) for one in facts.sources if one.part in PARTS]:
        data["model-index"] = [{"name": facts.name, "results": results}]
    return f"---\n{data.to_yaml()}\n---\n"


def _result(one: SourceResult) -> dict[str, Any]:
    name = one.source or "test pictures"
    seen = f"{one.result.n:,} pictures, {one.result.n_malignant:,} of them malignant"
    return {
        "task": {"type": TASK, "name": "malignant or benign"},
        "dataset": {"type": name, "name": f"{name}: {seen}", "split": PARTS[one.part]},
        "metrics": list(_figures(one)),
    }


def _figures(one: SourceResult) -> Iterator[dict[str, Any]]:
    """Each figure that was measured, with its 95 % interval; the rates at each operating point's own threshold."""
    report = one.result
    named = [("roc_auc", "ROC-AUC", report.roc_auc), ("brier_score", "Brier score", report.brier)]
    for point in report.points:
        at = f"at the operating point {point.name}, threshold {point.threshold:.4f}"
        named += [
            ("recall", f"Sensitivity {at}", point.sensitivity),
            ("specificity", f"Specificity {at}", point.specificity),
        ]
    for kind, name, figure in named:
        if figure.known:
            yield {
                "type": kind,
                "value": _rounded(figure)[0],
                "name": name,
                "args": {"interval_95": _rounded(figure)[1:]},
            }


def _rounded(figure: Interval) -> list[float]:
    return [round(value, 4) for value in (figure.value, figure.low, figure.high)]
