"""A checkpoint fitted to one clinic: what `recalibrate` writes and `--calibration` reads. No torch here.

The fit is of the log-odds that the checkpoint gives as shipped, calibrated at its own prevalence:
log-odds here = `slope` × log-odds as shipped + `intercept` (Cox 1958, "Two further applications of a model for binary
regression"). Slope 1 and intercept 0 leave them as they are.
"""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from lesion_demo import config
from lesion_demo.config import STRICT, from_dict, to_dict
from lesion_demo.errors import CalibrationError, LesionDemoError
from lesion_demo.files import read_json, replacing

LONGEST_NAME = 80
AGAIN = "make it with 'python -m lesion_demo recalibrate'"
SLOPES = (0.05, 20.0)
INTERCEPTS = (-20.0, 20.0)
"""What can be believed of a slope and an intercept; a fit comes nowhere near these ends."""


def _name(value: str) -> str:
    if not value.strip() or len(value) > LONGEST_NAME or not value.isprintable():
        raise ValueError(f"it must be 1 to {LONGEST_NAME} printable characters")
    return value


def _day(value: str) -> str:
    try:
        if datetime.date.fromisoformat(value).isoformat() == value:
            return value
    except ValueError:
        pass
    raise ValueError("it must be a day of the form YYYY-MM-DD")


def _each_once(points: tuple[LocalPoint, ...]) -> tuple[LocalPoint, ...]:
    if len({point.name for point in points}) < len(points):
        raise ValueError("two are of one name")
    return points


Name = Annotated[str, AfterValidator(_name)]
Slope = Annotated[float, Field(ge=SLOPES[0], le=SLOPES[1])]


@dataclass(frozen=True)
class Share:
    """A share with its 95 % interval, each 0–1."""

    value: config.Share
    low: config.Share
    high: config.Share

    def __post_init__(self) -> None:
        if not self.low <= self.value <= self.high:
            raise CalibrationError(f"the interval {self.low} to {self.high} does not contain its value {self.value}.")


@dataclass(frozen=True)
class LocalPoint:
    """An operating point as it was chosen for the clinic.

    Attributes:
        threshold: on the probability after the fit, 0–1.
        sensitivity, specificity: cross-validated on the clinic's own pictures: each was judged by a fit to others.
    """

    name: Name
    threshold: config.Share
    sensitivity: Share
    specificity: Share


@dataclass(frozen=True)
class LocalCalibration:
    """What a clinic's labelled pictures say of one checkpoint's log-odds and thresholds.

    Attributes:
        name: of the clinic, as its reader knows it.
        pictures: that it was fitted to, `malignant` of them malignant.
        fitted_on: a day, YYYY-MM-DD.
        weights_sha256, temperature, prevalence: of the checkpoint that it belongs to, and of no other.
        slope, intercept: of the log-odds; see above.
        points: one for every operating point of the checkpoint.
    """

    __pydantic_config__ = STRICT

    name: Name
    pictures: Annotated[int, Field(ge=2)]
    malignant: Annotated[int, Field(ge=1)]
    fitted_on: Annotated[str, AfterValidator(_day)]
    weights_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    temperature: Slope
    prevalence: config.Share
    slope: Slope
    intercept: Annotated[float, Field(ge=INTERCEPTS[0], le=INTERCEPTS[1])]
    points: Annotated[tuple[LocalPoint, ...], Field(min_length=1), AfterValidator(_each_once)]
    schema_version: Literal[1] = 1

    def __post_init__(self) -> None:
        if self.malignant >= self.pictures:
            raise CalibrationError(f"{self.malignant} of {self.pictures} pictures are malignant: none is benign.")

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
        return from_dict(LocalCalibration, read_json(path))
    except FileNotFoundError as error:
        raise CalibrationError(f"There is no file {path}: {AGAIN}.") from error
    except OSError as error:
        raise CalibrationError(f"{path} could not be read ({error}): {AGAIN}.") from error
    except (ValueError, LesionDemoError) as error:
        raise CalibrationError(f"{path} is damaged ({str(error).rstrip('.')}): {AGAIN}.") from error


def require_name(name: str) -> None:
    """Raises CalibrationError unless a clinic can be called that."""
    try:
        _name(name)
    except ValueError as error:
        raise CalibrationError(f"The name of the clinic is {name[:LONGEST_NAME]!r}: {error}.") from error
