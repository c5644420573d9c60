"""A checkpoint as one clinic uses it: its own temperature, intercept, thresholds and margin in place of the shipped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from lesion_demo.checkpoint import Checkpoint, LoadedCheckpoint
from lesion_demo.errors import CalibrationError
from lesion_demo.local_calibration import LocalCalibration, read_local
from lesion_demo.results import Confusion, Interval, Metrics, PointReport, Report
from lesion_demo.serve.opened import ServedCheckpoint

Loaded = TypeVar("Loaded", LoadedCheckpoint, ServedCheckpoint)


def with_calibration(loaded: Loaded, path: Path | None) -> Loaded:
    """`loaded` with the local calibration in the file `path`, or as it is where there is none.

    Raises:
        CalibrationError: the file is missing, damaged, or belongs to another checkpoint.
    """
    if path is None:
        return loaded
    local = read_local(path)
    try:
        return replace(loaded, meta=localised(loaded.meta, local))
    except CalibrationError as error:
        raise CalibrationError(
            f"{path} does not fit the checkpoint {loaded.folder}: {str(error).rstrip('.')}. Run recalibrate "
            f"again, or name the checkpoint that it belongs to with --checkpoint."
        ) from error


def localised(meta: Checkpoint, local: LocalCalibration) -> Checkpoint:
    """`meta` with the log-odds, thresholds and figures of `local`; all else, and what a probability means, stays.

    Calibrated log-odds are multiplied by the slope and then shifted; the referral margin is multiplied, too, so that
    it means as much to the network as before. The shipped figures go, as they are of other thresholds; those of the
    clinic's own pictures stand in their place.

    Raises:
        CalibrationError: `local` was fitted to another checkpoint, or lacks one of its operating points.
    """
    if local.weights_sha256 != meta.weights_sha256:
        raise CalibrationError(
            f"it was fitted to weights {local.weights_sha256[:16]}…, and these are {meta.weights_sha256[:16]}…"
        )
    if (local.temperature, local.prevalence) != (meta.temperature, meta.prevalence):
        raise CalibrationError("the checkpoint has been recalibrated since that fit")
    points = tuple(replace(point, threshold=local.point(point.name).threshold) for point in meta.operating_points)
    return replace(
        meta,
        temperature=meta.temperature / local.slope,
        operating_points=points,
        referral_margin=meta.referral_margin * local.slope,
        referral_margins={name: margin * local.slope for name, margin in meta.referral_margins.items()},
        metrics=Metrics(local={local.name: _figures(local)}),
        local=local,
    )


def _figures(local: LocalCalibration) -> Report:
    """What was measured on the clinic's own pictures."""
    benign, malignant = local.pictures - local.malignant, local.malignant
    points = []
    for point in local.points:
        found, cleared = round(point.sensitivity.value * malignant), round(point.specificity.value * benign)
        points.append(
            PointReport(
                point.name,
                point.threshold,
                sensitivity=Interval(**vars(point.sensitivity)),
                specificity=Interval(**vars(point.specificity)),
                confusion=Confusion(tn=cleared, fp=benign - cleared, fn=malignant - found, tp=found),
            )
        )
    return Report(local.pictures, malignant, points=tuple(points))
