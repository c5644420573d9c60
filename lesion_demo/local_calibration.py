"""A checkpoint fitted to one clinic: what `recalibrate` writes and `--calibration` reads. No torch here.

The fit is of the log-odds that the checkpoint gives as shipped, calibrated at its own prevalence:
log-odds here = `slope` × log-odds as shipped + `intercept` (Cox 1958, "Two further applications of a model for binary
regression"). Slope 1 and intercept 0 leave them as they are.
"""

from __future__ import annotations

import datetime
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as _short
from typing import Any

from lesion_demo.config import STRICT, from_dict, to_dict
from lesion_demo.errors import CalibrationError, LesionDemoError
from lesion_demo.files import replacing

LOCAL_SCHEMA = 1
LONGEST_NAME = 80
AGAIN = "make it with 'python -m lesion_demo recalibrate'"
SLOPES = (0.05, 20.0)
INTERCEPTS = (-20.0, 20.0)
"""What can be believed of a slope and an intercept; a fit comes nowhere near these ends."""


@dataclass(frozen=True)
class Share:
    """A share with its 95 % interval, each 0–1."""

    value: float
    low: float
    high: float

    def __post_init__(self) -> None:
        for name in ("value", "low", "high"):
            _require_number(name, getattr(self, name), 0.0, 1.0)
        if not self.low <= self.value <= self.high:
            raise CalibrationError(f"the interval {self.low} to {self.high} does not contain its value {self.value}.")


@dataclass(frozen=True)
class LocalPoint:
    """An operating point as it was chosen for the clinic.

    Attributes:
        threshold: on the probability after the fit, 0–1.
        sensitivity, specificity: cross-validated on the clinic's own pictures: each was judged by a fit to others.
    """

    name: str
    threshold: float
    sensitivity: Share
    specificity: Share

    def __post_init__(self) -> None:
        _require_text("the name of an operating point", self.name)
        _require_number(f"the threshold of {self.name!r}", self.threshold, 0.0, 1.0)
        for name in ("sensitivity", "specificity"):
            if not isinstance(getattr(self, name), Share):
                raise CalibrationError(f"the {name} at {self.name!r} is not a proportion with its interval.")


@dataclass(frozen=True)
class LocalCalibration:
    """What a clinic's labelled pictures say of one checkpoint's log-odds and thresholds; valid if it exists at all.

    Attributes:
        name: of the clinic, as its reader knows it.
        pictures: that it was fitted to, `malignant` of them malignant.
        fitted_on: a day, YYYY-MM-DD.
        weights_sha256, temperature, prevalence: of the checkpoint that it belongs to, and of no other.
        slope, intercept: of the log-odds; see above.
        points: one for every operating point of the checkpoint.
    """

    __pydantic_config__ = STRICT

    name: str
    pictures: int
    malignant: int
    fitted_on: str
    weights_sha256: str
    temperature: float
    prevalence: float
    slope: float
    intercept: float
    points: tuple[LocalPoint, ...]
    schema_version: int = LOCAL_SCHEMA

    def __post_init__(self) -> None:
        require_name(self.name)
        if type(self.schema_version) is not int or self.schema_version != LOCAL_SCHEMA:
            raise CalibrationError(f"its schema is {_short(self.schema_version)}; this version reads {LOCAL_SCHEMA}.")
        _require_count("the number of pictures", self.pictures, 2)
        _require_count("the number of malignant pictures", self.malignant, 1)
        if self.malignant >= self.pictures:
            raise CalibrationError(f"{self.malignant} of {self.pictures} pictures are malignant: none is benign.")
        _require_day(self.fitted_on)
        if not isinstance(self.weights_sha256, str) or not re.fullmatch("[0-9a-f]{64}", self.weights_sha256):
            raise CalibrationError(
                f"the checkpoint's hash is not 64 hexadecimal digits but {_short(self.weights_sha256)}."
            )
        _require_number("the checkpoint's temperature", self.temperature, *SLOPES)
        _require_number("the prevalence", self.prevalence, 0.0, 1.0)
        _require_number("the slope", self.slope, *SLOPES)
        _require_number("the intercept", self.intercept, *INTERCEPTS)
        if not (isinstance(self.points, tuple) and all(isinstance(point, LocalPoint) for point in self.points)):
            raise CalibrationError("the operating points are not a list of points.")
        if not self.points or len({point.name for point in self.points}) < len(self.points):
            raise CalibrationError("it has no operating points, or two with the same name.")

    def point(self, name: str) -> LocalPoint:
        """The point called `name`.

        Raises:
            CalibrationError: there is none.
        """
        for point in self.points:
            if point.name == name:
                return point
        raise CalibrationError(f"it lacks the operating point {name!r}.")

    def __str__(self) -> str:
        """For tables and the terminal; the page and the report say it in their own language."""
        return f"Fitted to {self.name} with {self.pictures} pictures on {self.fitted_on}"


def write_local(path: Path, local: LocalCalibration) -> None:
    """Write `local` as JSON, whole or not at all.

    Raises:
        CalibrationError: the disk refused.
    """
    try:
        with replacing(path) as part:
            part.write_text(json.dumps(to_dict(local), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise CalibrationError(
            f"Could not write {path} ({error}): free some space, or choose another --out."
        ) from error


def read_local(path: Path) -> LocalCalibration:
    """What `write_local` wrote.

    Raises:
        CalibrationError: the file is missing, or anything in it is missing, unknown, of the wrong type or out of range.
    """
    try:
        values: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CalibrationError(f"There is no file {path}: {AGAIN}.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise CalibrationError(f"{path} could not be read as JSON ({error}): {AGAIN}.") from error
    if not isinstance(values, dict):
        raise CalibrationError(f"{path} is not a local calibration: {AGAIN}.")
    try:
        return from_dict(LocalCalibration, values)
    except LesionDemoError as error:
        raise CalibrationError(f"{path} is damaged ({str(error).rstrip('.')}): {AGAIN}.") from error


def require_name(name: object) -> None:
    """Raises CalibrationError unless a clinic can be called that."""
    _require_text("the name of the clinic", name)


def _require_text(what: str, value: object) -> None:
    if not isinstance(value, str) or not value.strip() or len(value) > LONGEST_NAME or not value.isprintable():
        raise CalibrationError(f"{what} must be 1 to {LONGEST_NAME} printable characters, not {_short(value)}.")


def _require_count(what: str, value: object, least: int) -> None:
    if type(value) is not int or value < least:
        raise CalibrationError(f"{what} must be a whole number of at least {least}, not {_short(value)}.")


def _require_number(what: str, value: object, low: float, high: float) -> None:
    """Not a number is out of any range; neither is `true` one."""
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    if not low <= number <= high:
        raise CalibrationError(f"{what} must be a number from {low:g} to {high:g}, not {_short(value)}.")


def _require_day(value: object) -> None:
    try:
        if not isinstance(value, str) or len(value) != len("2026-11-28"):
            raise ValueError
        datetime.date.fromisoformat(value)
    except ValueError as error:
        raise CalibrationError(f"the day of the fit must be of the form YYYY-MM-DD, not {_short(value)}.") from error
