"""What the figures in a checkpoint's file look like, as far as anything reads them; more of them do no harm."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import NotRequired, TypedDict

from lesion_demo.config import Share

Count = Annotated[int, Field(ge=0)]
_LOOSE = ConfigDict(strict=True, allow_inf_nan=False)


@with_config(_LOOSE)
class _Estimate(TypedDict):
    """All three are None where a class was absent."""

    value: Share | None
    low: Share | None
    high: Share | None


@with_config(_LOOSE)
class _Point(TypedDict):
    name: str
    threshold: Share
    sensitivity: _Estimate
    specificity: _Estimate


@with_config(_LOOSE)
class _Report(TypedDict):
    n: Count
    n_malignant: NotRequired[Count]
    roc_auc: NotRequired[_Estimate]
    pr_auc: NotRequired[_Estimate]
    brier: NotRequired[_Estimate]
    calibration_error: NotRequired[Share | None]
    points: NotRequired[list[_Point]]


@with_config(_LOOSE)
class _Metrics(TypedDict):
    test: NotRequired[_Report]
    test_without_near_duplicates: NotRequired[_Report]
    test_by_source: NotRequired[dict[str, _Report]]
    validation_by_source: NotRequired[dict[str, _Report]]
    external: NotRequired[dict[str, _Report]]


@with_config(_LOOSE)
class _DataSet(TypedDict):
    fingerprint: NotRequired[str]
    counts: NotRequired[dict[str, Count]]
    dropped: NotRequired[Count]


_METRICS = TypeAdapter(_Metrics)
_DATA = TypeAdapter(dict[str, _DataSet])


def checked_metrics(metrics: dict[str, Any]) -> dict[str, Any]:
    """`metrics`, a checkpoint's evaluation report.

    Raises:
        ValueError: what is read of it is not what it should be.
    """
    return _checked(_METRICS, metrics)


def checked_data(data: dict[str, Any]) -> dict[str, Any]:
    """`data`, a checkpoint's account of its data sets.

    Raises:
        ValueError: what is read of it is not what it should be.
    """
    return _checked(_DATA, data)


def _checked(adapter: TypeAdapter[Any], values: dict[str, Any]) -> dict[str, Any]:
    try:
        adapter.validate_python(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg'].replace('Input', 'it')}") from error
    return values
