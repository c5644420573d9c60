"""Every result that is written down, once, without NumPy or torch: training and audit make them, serving reads them.

Shares are 0–1. What was not measured, for want of a class or by an earlier version, is not a number (`Interval.known`),
None or empty; JSON has null in its place, or nothing. `to_json` writes, `lesion_demo.config.from_dict` reads; keys that
are not known here do no harm, as a later version may say more.
"""

from __future__ import annotations

from lesion_demo.results.audit import (
    Audit,
    ChangeResult,
    ClinicAudit,
    Coverage,
    DegradationResult,
    FaithfulnessResult,
    HeatResult,
    MoveResult,
    NewClinicResult,
    PlantedResult,
    ReferralResult,
    SkinResult,
    Subgroup,
    UnrelatedResult,
    UntouchedResult,
    Zone,
)
from lesion_demo.results.base import UNKNOWN, Interval, to_json
from lesion_demo.results.metrics import (
    RATES,
    CalibrationLine,
    Confusion,
    DataSet,
    Metrics,
    OutcomeCounts,
    Outcomes,
    PointReport,
    Report,
)

__all__ = [
    "RATES",
    "UNKNOWN",
    "Audit",
    "CalibrationLine",
    "ChangeResult",
    "ClinicAudit",
    "Confusion",
    "Coverage",
    "DataSet",
    "DegradationResult",
    "FaithfulnessResult",
    "HeatResult",
    "Interval",
    "Metrics",
    "MoveResult",
    "NewClinicResult",
    "OutcomeCounts",
    "Outcomes",
    "PlantedResult",
    "PointReport",
    "ReferralResult",
    "Report",
    "SkinResult",
    "Subgroup",
    "UnrelatedResult",
    "UntouchedResult",
    "Zone",
    "to_json",
]
