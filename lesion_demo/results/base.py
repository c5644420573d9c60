"""What all results are made of: intervals, counts, and how they become JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, WrapValidator

from lesion_demo.config import Share, adapter

LOOSE = ConfigDict(strict=True, allow_inf_nan=False)
Count = Annotated[int, Field(ge=0)]


def _or_nan(value: Any, check: Callable[[Any], float]) -> float:
    return math.nan if value is None else check(value)


ShareOrNan = Annotated[Share, WrapValidator(_or_nan)]


@dataclass(frozen=True)
class Interval:
    """A statistic on all pictures, and the range it falls in when the pictures are drawn again (95 %)."""

    value: ShareOrNan
    low: ShareOrNan
    high: ShareOrNan

    @property
    def known(self) -> bool:
        return not math.isnan(self.value)


UNKNOWN = Interval(math.nan, math.nan, math.nan)
Figure = Annotated[
    Interval,
    BeforeValidator(lambda value: {"value": None, "low": None, "high": None} if value is None else value),
]
"""An interval, or null for `UNKNOWN`."""


def to_json(value: Any) -> Any:
    """A result, or a dictionary of such, as plain JSON types; what was not measured and has a default is left out."""
    kind: Any = type(value)
    return json.loads(adapter(kind).dump_json(value, exclude_defaults=True))
