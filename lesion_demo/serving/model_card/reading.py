"""A checkpoint's files → `ModelFacts`. More keys than are known here do no harm: a later evaluation may say more."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from lesion_demo.checkpoint import META_FILE, Checkpoint, read_meta
from lesion_demo.serving.model_card.facts import (
    PARTS,
    TEST,
    VALIDATION,
    WITHOUT_NEAR_DUPLICATES,
    AuditResult,
    Estimate,
    Gap,
    History,
    ModelFacts,
    Procedure,
    Result,
    SourceResult,
    Stage,
)

METRICS_FILE, AUDIT_FILE, CONFIG_FILE, HISTORY_FILE = "metrics.json", "audit.json", "config.json", "history.csv"
PLOTS_FOLDER = "plots"
AUDIT_PARTS = ("changes", "strata", "blind_roc_auc", "untouched", "degradations", "strangers", "referrals")

T = TypeVar("T")
Results = dict[str, Result]
Sources = tuple[SourceResult, ...]


def read_facts(folder: Path, meta: Checkpoint | None = None) -> ModelFacts:
    """Everything about the checkpoint in `folder`; `meta` is its `checkpoint.json` where that has been read already.

    A file that is missing or damaged becomes a gap; only without `checkpoint.json` there is nothing to speak of.

    Raises:
        CheckpointError: `checkpoint.json` is missing, damaged, or of a newer schema.
    """
    meta = meta or read_meta(folder)
    gaps: list[Gap] = []
    found = _read(folder / METRICS_FILE, lambda text: _results(text, meta), gaps)
    results, sources = found or _same_in_meta(meta, gaps)
    audit = _read(folder / AUDIT_FILE, lambda text: _audit(text, meta), gaps)
    facts = ModelFacts(
        name=folder.name,
        meta=meta,
        results=results,
        sources=sources,
        audit=audit,
        procedure=_read(folder / CONFIG_FILE, _procedure, gaps),
        history=_read(folder / HISTORY_FILE, _history, gaps),
        plots={path.stem: path for path in sorted((folder / PLOTS_FOLDER).glob("*.png"))},
        gaps=(),
    )
    return dataclasses.replace(facts, gaps=(*gaps, *_absent_parts(facts)))


def _read(path: Path, parse: Callable[[str], T], gaps: list[Gap]) -> T | None:
    """What `parse` makes of the file's text; None, and a gap, where there is no file or no sense in it."""
    if not path.is_file():
        gaps.append(Gap(path.name))
        return None
    try:
        return parse(path.read_text(encoding="utf-8"))
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        gaps.append(Gap(path.name, damage=f"{type(error).__name__}: {error}"))
        return None


def _same_in_meta(meta: Checkpoint, gaps: list[Gap]) -> tuple[Results, Sources]:
    """`checkpoint.json` holds a copy of `metrics.json`."""
    try:
        return _results(json.dumps(meta.metrics), meta)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        gaps.append(Gap(META_FILE, "metrics", f"{type(error).__name__}: {error}"))
        return {}, ()


def _absent_parts(facts: ModelFacts) -> list[Gap]:
    """What lies in no file, though there is a place for it."""
    gaps = [Gap(METRICS_FILE, part) for part in (TEST, WITHOUT_NEAR_DUPLICATES) if part not in facts.results]
    if not facts.validation:
        gaps.append(Gap(METRICS_FILE, PARTS[VALIDATION]))
    if facts.audit is not None:
        gaps += [Gap(AUDIT_FILE, part) for part in AUDIT_PARTS if not getattr(facts.audit, part)]
    if not facts.plots:
        gaps.append(Gap(PLOTS_FOLDER))
    if not facts.meta.data:
        gaps.append(Gap(META_FILE, "data"))
    return gaps


def _results(text: str, meta: Checkpoint) -> tuple[Results, Sources]:
    """Those of the test split, whole and in parts, and those by source."""
    metrics = json.loads(text)
    tested = {key: value for key, value in metrics.items() if key.startswith(TEST) and "n" in value}
    return {key: _filled(Result, value) for key, value in tested.items()}, _sources(metrics, meta)


def read_sources(meta: Checkpoint) -> Sources:
    """The results by source that `checkpoint.json` holds; none where they cannot be read."""
    return _same_in_meta(meta, [])[1]


def _sources(metrics: Mapping[str, Any], meta: Checkpoint) -> Sources:
    """In the order of PARTS. Earlier versions told of the test split as a whole: it is of the source that has one."""
    found = {part: metrics.get(key, {}) for part, key in PARTS.items()}
    if not found[TEST] and "n_malignant" in metrics.get(TEST, {}):
        counted = {name: data.get("counts", ()) for name, data in meta.data.items()}
        names = [name for name, counts in counted.items() if any(key.startswith("test/") for key in counts)]
        found[TEST] = {names[0] if len(names) == 1 else "": metrics[TEST]}
    return tuple(
        SourceResult(source, part, _filled(Result, value))
        for part, by_source in found.items()
        for source, value in by_source.items()
    )


def _audit(text: str, meta: Checkpoint) -> AuditResult:
    """What was found of these weights: an audit at a threshold that `meta` does not have is of others."""
    audit = _filled(AuditResult, json.loads(text))
    if audit.operating_point not in meta.operating_points:
        point = audit.operating_point
        raise ValueError(f"the checkpoint has no point {point.name!r} at {point.threshold:.6f}; audit it again")
    return audit


def _procedure(text: str) -> Procedure:
    values = json.loads(text)
    return Procedure(
        init=str(values["init"]),
        stages=tuple(_filled(Stage, stage) for stage in values["stages"]),
        augment=dict(values.get("augment", {})),
        settings={key: value for key, value in values.items() if isinstance(value, str | int | float)},
        emphasis=dict(values.get("emphasis", ())),
    )


def _history(text: str) -> History:
    epochs: dict[str, int] = {}
    seconds = 0.0
    for row in csv.DictReader(text.splitlines()):
        if row["split"] == "val" and int(row["epoch"]) > 0:  # epoch 0 is the untrained network
            epochs[row["stage"]] = epochs.get(row["stage"], 0) + 1
            seconds += float(row["seconds"])
    return History(epochs, seconds)


def _filled(cls: type[T], values: Mapping[str, Any]) -> T:
    """The dataclass `cls` from JSON: keys it does not know are passed over, and null is the same as absent."""
    hints = get_type_hints(cls)
    known = [name for name in hints if values.get(name) is not None]
    return cls(**{name: _typed(hints[name], values[name]) for name in known})


def _typed(hint: Any, value: Any) -> Any:
    kinds = [kind for kind in get_args(hint) if kind is not type(None)]
    if get_origin(hint) is tuple:
        return tuple(_typed(kinds[0], item) for item in value)
    if get_origin(hint) is dict:
        return {str(key): _typed(kinds[1], item) for key, item in value.items() if item is not None}
    kind = kinds[0] if kinds else hint
    if kind is Estimate:
        return _estimate(value)
    return _filled(kind, value) if isinstance(kind, type) and dataclasses.is_dataclass(kind) else kind(value)


def _estimate(value: Any) -> Estimate | None:
    """A number, or one with `low` and `high`; None where its value is null, for want of a class."""
    if isinstance(value, int | float):
        return Estimate(float(value))
    return _filled(Estimate, value) if value["value"] is not None else None
