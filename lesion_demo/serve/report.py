"""One picture's findings to take away, as JSON; `pdf` has them as a page."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any

from lesion_demo import __version__
from lesion_demo.card.clinics import Clinic, Tested, tested
from lesion_demo.checkpoint import Checkpoint
from lesion_demo.images import Pixels
from lesion_demo.images.quality import QualityCheck
from lesion_demo.prevalence import DEFAULT_PREVALENCE, at_prevalence
from lesion_demo.results import Interval
from lesion_demo.serve.analysis import Analysis
from lesion_demo.serve.patient import UNSTATED, Patient
from lesion_demo.serve.phrases import (
    fitted,
    lead,
    reasons,
)
from lesion_demo.texts import Texts

REPORT_SCHEMA = 2
"""Of the JSON. 1: the heat map was on a scale of its own for each picture. 2: it is in log-odds, see `_heat_map`."""


@dataclass(frozen=True)
class Circumstances:
    """What a report tells beside what was found.

    Attributes:
        case_id: free text of the reader's own; it goes into the report and nowhere else.
        dermoscopic: was the picture taken through a dermatoscope?
        prevalence: share (0–1) of malignant lesions where the reader works.
        patient: what the reader has noted of the patient; nothing of it is told where nothing is stated.
        file: the label of the picture's file, where there are many.
    """

    case_id: str = ""
    dermoscopic: bool = True
    prevalence: float = DEFAULT_PREVALENCE
    patient: Patient = UNSTATED
    file: str = ""


NOTHING_NOTED = Circumstances()


def report_json(
    analysis: Analysis,
    picture: Pixels,
    meta: Checkpoint,
    checkpoint_name: str,
    texts: Texts,
    circumstances: Circumstances = NOTHING_NOTED,
) -> dict[str, Any]:
    """Everything that was found, as plain JSON types; of `picture`, uint8 [H, W, 3], only the size is told."""
    prevalence = circumstances.prevalence
    point, scores = analysis.operating_point, tested(meta, analysis.operating_point)
    after = at_prevalence(analysis.probability, meta.prevalence, prevalence) if analysis.assessable else None
    number = lead(analysis, meta, texts, prevalence)
    low, high = analysis.uncertain_zone
    report: dict[str, Any] = {
        "schema_version": REPORT_SCHEMA,
        "time": now().isoformat(),
        "analysis_id": analysis.id,
        "verdict": analysis.verdict.value,
        "call": analysis.call,
        "assessable": analysis.assessable,
        "reasons": reasons(analysis, texts),
        "probability": analysis.probability,
        "calibrated_at_prevalence": meta.prevalence,
        "post_test": {"prevalence": prevalence, "probability": after},
        "meaning": None if number is None else asdict(number),
        "operating_point": {
            "name": point.name,
            "threshold": point.threshold,
            "uncertain_from": low,
            "uncertain_to": high,
            "test": None if scores is None else _tested(scores),
        },
        "quality": [_checked(check) for check in analysis.quality.checks],
        "familiarity": None if analysis.familiarity is None else asdict(analysis.familiarity),
        "artefacts": [asdict(artefact) for artefact in analysis.artefacts],
        "skin_tone": analysis.skin_tone,
        "heat_map": _heat_map(analysis),
        "picture": {"height": analysis.shape[0], "width": analysis.shape[1], "dermoscopic": circumstances.dermoscopic},
        "looks_like_photograph": analysis.photograph,
        "first_of_several": analysis.first_of_several,
        "model": {
            "checkpoint": checkpoint_name,
            "backbone": meta.backbone,
            "weights_sha256": meta.weights_sha256,
            "trained_at": meta.trained_at,
            "version": __version__,
        },
        "calibration": {"sentence": fitted(meta, texts), "local": None if meta.local is None else asdict(meta.local)},
        "disclaimer": texts.page.disclaimer,
    }
    noted = {"case_id": circumstances.case_id, "patient": circumstances.patient.stated, "file": circumstances.file}
    return report | {name: value for name, value in noted.items() if value}


def _checked(check: QualityCheck) -> dict[str, Any]:
    """A check, with advice only where it failed."""
    told = {**asdict(check), "passed": check.passed}
    if check.passed:
        del told["advice"]
    return told


def _tested(scores: Tested) -> dict[str, Any]:
    """The worst rates over the clinics, each with its clinic, and every clinic's own."""

    def rate(pairs: list[tuple[Clinic, Interval]]) -> dict[str, Any]:
        clinic, estimate = pairs[0]
        return {**asdict(estimate), "source": clinic.source, "part": clinic.part}

    return {
        "found": scores.found,
        "false_alarms": scores.alarms,
        "sensitivity": rate(scores.sensitivities),
        "specificity": rate(scores.specificities),
        "sources": [
            {
                "source": one.source,
                "part": one.part,
                "benign": one.n_benign,
                "malignant": one.n_malignant,
                "sensitivity": asdict(one.point.sensitivity) if one.point.sensitivity.known else None,
                "specificity": asdict(one.point.specificity) if one.point.specificity.known else None,
                "outcomes": asdict(one.point.outcomes) if one.point.outcomes is not None else None,
            }
            for one in scores.clinics
        ],
    }


def _heat_map(analysis: Analysis) -> dict[str, Any]:
    """In log-odds before calibration; None for what a relative map does not tell."""
    heat = analysis.heat
    sums = {"speaks_for": heat.speaks_for, "speaks_against": heat.speaks_against} if heat.absolute else {}
    on_lesion = None if analysis.lesion is None else heat.mass_on(analysis.lesion)
    told = {"absolute": heat.absolute, "nothing_speaks_for": heat.silent, "share_on_lesion": on_lesion}
    return {**told, "speaks_for": None, "speaks_against": None, "outside": heat.outside, "bias": heat.bias, **sums}


def now() -> datetime:
    """In UTC, to the second."""
    return datetime.now(timezone.utc).replace(microsecond=0)


def today() -> str:
    """`2026-01-31`, where the server stands."""
    return datetime.now().astimezone().date().isoformat()
