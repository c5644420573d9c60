"""`checkpoint.json`, wrong in every place: refused by name, or read as ever."""

from __future__ import annotations

import json
import math
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lesion_demo.card import clinics
from lesion_demo.checkpoint import Checkpoint, load_checkpoint, read_meta, save_checkpoint
from lesion_demo.config import OperatingPoint, PreprocessSpec
from lesion_demo.errors import CheckpointError
from lesion_demo.files import sha256_of
from lesion_demo.network.familiarity import FamiliarityModel, write_known
from lesion_demo.network.forward import early_size
from lesion_demo.network.model import build_model
from lesion_demo.results import UNKNOWN, Confusion, DataSet, Interval, Metrics, PointReport, Report
from lesion_demo.run_folder import KNOWN_FILE

BACKBONE = "mobilenet_v3_small"


def meta(auc: float = 0.9) -> Checkpoint:
    points = (OperatingPoint("sensitive", 0.3),)
    return Checkpoint(BACKBONE, PreprocessSpec(image_size=64), 1.3, points, auc, metrics=Metrics(Report(2, 1)))


def full_meta() -> Checkpoint:
    """With something in every field."""
    found = Interval(0.9, 0.8, 0.95)
    point = PointReport("sensitive", 0.3, sensitivity=found, specificity=found, confusion=Confusion(9, 1, 1, 9))
    report = Report(20, 10, 15, roc_auc=found, calibration_error=0.02, points=(point,), seen_benign=3, photographs=True)
    return replace(
        meta(),
        operating_points=(OperatingPoint("sensitive", 0.3), OperatingPoint("balanced", 0.6)),
        referral_margin=0.4,
        referral_margins={"sensitive": 0.4},
        trained_at="2026-11-28",
        metrics=Metrics(report, validation_by_source={"here": report}),
        data={"here": DataSet("f" * 64, {"train/benign": 7}, 1)},
        val_pictures="a" * 64,
    )


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with everything that one can have, a familiarity file too."""
    folder = tmp_path_factory.mktemp("described") / "run"
    model = build_model(BACKBONE)
    size = early_size(model)
    save_checkpoint(folder, model, full_meta(), FamiliarityModel(np.zeros(size), np.eye(size), 9.0))
    return folder


Path_ = tuple[str | int, ...]


def places(value: Any, path: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    """Every value in some JSON, with the way to it."""
    yield path, value
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(item, (*path, key))


def changed(values: Any, path: Path_, change: Callable[[Any], Any]) -> Any:
    """A copy of `values` with what lies at `path` changed."""
    if not path:
        return change(values)
    copy: Any = dict(values) if isinstance(values, dict) else list(values)
    copy[path[0]] = changed(values[path[0]], path[1:], change)
    return copy


def without(key: str) -> Callable[[Any], Any]:
    return lambda values: {name: value for name, value in values.items() if name != key}


def instead(other: Any) -> Callable[[Any], Any]:
    return lambda _: other


def refused(folder: Path, text: str, *, because: str | None = None) -> str:
    """The sentence that `text` as checkpoint.json is refused with."""
    (folder / "checkpoint.json").write_text(text)
    with pytest.raises(CheckpointError, match=because) as caught:
        read_meta(folder)
    assert "\n" not in str(caught.value)
    assert "checkpoint.json" in str(caught.value)
    return str(caught.value)


OTHERS: dict[str, Any] = {
    "null": None, "NaN": math.nan, "infinity": math.inf, "text": "x", "true": True, "list": [], "object": {},
    "number": 7.5, "below": -1, "beyond": 1e9,
}  # fmt: skip


FREE = ("backbone", "trained_at", "packages", "name", "fingerprint")
"""Any text will do, as far as this file goes."""


OPTIONAL = (
    *("value", "low", "high", "calibration_error", "roc_auc", "sensitivity", "specificity"),
    *("groups", "confusion", "dropped", "test"),
)


def is_extensible(path: Path_) -> bool:
    """May a later version say more at `path`, and does this one need nothing there?"""
    free = ("metrics", "data", "packages", "counts", "points", "validation_by_source")
    return path == ("data", "here") or (path != () and path[-1] in free)


def may_be(path: Path_, value: Any, other: Any) -> bool:
    """Is `other` as good a value at `path` as `value`, though it says something else?"""
    if isinstance(other, float) and not math.isfinite(other):
        return False
    if path[-1] in OPTIONAL and other is None:
        return True  # a class was absent, or an earlier version did not measure it
    if isinstance(value, str) and isinstance(other, str):
        return any(name in path for name in FREE)
    if is_extensible(path):
        return type(value) is type(other)
    if path[-1] == "referral_margins":
        return bool(isinstance(other, dict))
    if path[0] == "referral_margins":
        return other in (7.5, 1e9) and not isinstance(other, bool)
    if path[-1] in ("referral_margin", "temperature"):
        return other == 7.5 or (path[-1] == "referral_margin" and other == 1e9)
    return path[-1] in ("crop_field_of_view", "round_window", "grey_light", "photographs") and isinstance(other, bool)


@pytest.mark.parametrize("name", OTHERS)
def test_another_type_or_a_senseless_value_is_refused_wherever_it_stands(
    name: str, described: Path, tmp_path: Path
) -> None:
    values = json.loads((described / "checkpoint.json").read_text())
    other, count = OTHERS[name], 0
    for path, value in places(values):
        if path and may_be(path, value, other):
            continue
        refused(tmp_path, json.dumps(changed(values, path, instead(other))))
        count += 1
    assert count > 60


def test_what_is_missing_or_wrapped_or_there_twice_is_refused(described: Path, tmp_path: Path) -> None:
    text = (described / "checkpoint.json").read_text()
    values = json.loads(text)
    for path, _ in places(values):
        refused(tmp_path, json.dumps(changed(values, path, lambda value: [value])))
        if not is_extensible(path):
            refused(tmp_path, json.dumps(changed(values, path, lambda value: {"": value})))
        named = len(path) == 1 or path[:1] in (("preprocess",), ("operating_points",))
        if named and isinstance(path[-1], str):
            refused(tmp_path, json.dumps(changed(values, path[:-1], without(path[-1]))), because=path[-1])
    for where in ((), ("preprocess",), ("operating_points", 1)):
        more = changed(values, where, lambda value: {**value, "temper": 1})
        refused(tmp_path, json.dumps(more), because="has no setting .*temper")
    refused(tmp_path, text.replace('"temperature"', '"temperature": 0.5, "temperature"'), because="appears 2 times")
    same_name = changed(values, ("operating_points", 1, "name"), instead("sensitive"))
    refused(tmp_path, json.dumps(same_name), because="'sensitive' 2 times")


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        (("temperature",), [0, -1, 1e-300, 1e300]),
        (("operating_points", 0, "threshold"), [0, 1, 2, -0.1]),
        (("prevalence",), [0, 1, -0.5]),
        (("referral_margin",), [-0.1]),
        (("val_roc_auc",), [1.01, -0.1]),
        (("preprocess", "image_size"), [0, -300, 256.0, 10**9]),
        (("preprocess", "mean"), [[0.5, 0.5], [0.5] * 4]),
        (("preprocess", "std", 1), [0, -0.2]),
        (("classes",), [["malignant", "benign"], ["benign"], []]),
        (("schema_version",), [0, -1, 2.0, "3", 99]),
        (("weights_sha256",), ["", "0", "F" * 64]),
        (("known_sha256",), ["0"]),
        (("metrics", "test", "points", 0, "sensitivity", "value"), [1.5, -0.1]),
        (("metrics", "test", "n"), [-1, 2.5]),
    ],
)
def test_values_out_of_range_are_refused(path: Path_, wrong: list[Any], described: Path, tmp_path: Path) -> None:
    values = json.loads((described / "checkpoint.json").read_text())
    for value in wrong:
        refused(tmp_path, json.dumps(changed(values, path, instead(value))))


def test_a_file_cut_off_or_garbled_is_refused_or_read_as_it_was(described: Path, tmp_path: Path) -> None:
    text, whole = (described / "checkpoint.json").read_text(), read_meta(described)
    for end in range(0, len(text) - 2, 23):
        refused(tmp_path, text[:end])
    for odd in ("[" * 100_000, "7", '"text"', '{"schema_version": 3}', "{}", '{"schema_version": 1' + "0" * 5000 + "}"):
        refused(tmp_path, odd)
    (tmp_path / "checkpoint.json").write_bytes(text.encode("utf-16"))
    with pytest.raises(CheckpointError, match="could not be read"):
        read_meta(tmp_path)
    chance = random.Random(0)
    for _ in range(300):
        garbled = list(text)
        garbled[chance.randrange(len(text))] = chance.choice('{}[]":,x0 -')
        (tmp_path / "checkpoint.json").write_text("".join(garbled))
        try:
            found = read_meta(tmp_path)
        except CheckpointError:
            continue
        assert found.classes == whole.classes
        assert all(0 < point.threshold < 1 for point in found.operating_points)
        clinics.tested(found, found.operating_points[0])


def test_older_schemas_are_read_as_ever(described: Path, tmp_path: Path) -> None:
    values = json.loads((described / "checkpoint.json").read_text())
    second = {**values, "schema_version": 2}
    del second["val_pictures"], second["referral_margins"]
    second["preprocess"] = {
        k: v for k, v in values["preprocess"].items() if k not in ("round_window", "grey_light", "turns")
    }
    (tmp_path / "checkpoint.json").write_text(json.dumps(second))
    assert read_meta(tmp_path) == replace(read_meta(described), val_pictures="", referral_margins={}, schema_version=2)
    for name in ("model.safetensors", "familiarity.safetensors"):
        shutil.copy(described / name, tmp_path)
    loaded = load_checkpoint(tmp_path)
    assert loaded.meta.schema_version == 2
    assert loaded.known is not None
    first = {**second, "schema_version": 1}
    del first["referral_margin"]
    (tmp_path / "checkpoint.json").write_text(json.dumps(first))
    assert read_meta(tmp_path).referral_margin == 0
    fourth = {**values, "schema_version": 4, "preprocess": {**values["preprocess"]}}
    del fourth["preprocess"]["turns"]
    (tmp_path / "checkpoint.json").write_text(json.dumps(fourth))
    assert read_meta(tmp_path).preprocess.turns == 1, "its thresholds were chosen for a single look"
    refused(tmp_path, json.dumps({**fourth, "schema_version": 5}), because="lacks preprocess.turns")
    del second["prevalence"]
    refused(tmp_path, json.dumps(second), because="lacks prevalence")


def edit(folder: Path, **changes: object) -> None:
    path = folder / "checkpoint.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_what_is_familiar_is_not_switched_off(described: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(described, tmp_path / "run"))
    assert load_checkpoint(folder).known is not None
    edit(folder, known_sha256="")
    with pytest.raises(CheckpointError, match="has no known_sha256"):
        load_checkpoint(folder)
    edit(folder, known_sha256="0" * 64)
    with pytest.raises(CheckpointError, match=r"familiarity\.safetensors is not the file"):
        load_checkpoint(folder)
    for known, reason in (
        (FamiliarityModel(np.zeros(5), np.eye(5), 9.0), "made for another network"),
        (FamiliarityModel(np.full(5, np.nan), np.eye(5), 9.0), "not numbers"),
        (FamiliarityModel(np.zeros(5), np.eye(5), math.nan), "not numbers"),
        (FamiliarityModel(np.zeros((5, 1)), np.eye(5), 9.0), "sizes do not agree"),
    ):
        write_known(folder / KNOWN_FILE, known)
        edit(folder, known_sha256=sha256_of(folder / KNOWN_FILE))
        with pytest.raises(CheckpointError, match=reason):
            load_checkpoint(folder)
    (folder / KNOWN_FILE).unlink()
    with pytest.raises(CheckpointError, match=r"familiarity\.safetensors is missing"):
        load_checkpoint(folder)


def dermoscopic(sensitivity: Interval) -> Metrics:
    point = PointReport("sensitive", 0.3, sensitivity=sensitivity, specificity=Interval(0.9, 0.8, 0.95))
    report = Report(20, 10, points=(replace(point, confusion=Confusion(9, 1, 1, 9)),))
    return Metrics(report, validation_by_source={"here": report})


def test_figures_of_another_threshold_or_of_one_class_are_not_told(described: Path) -> None:
    found = replace(read_meta(described), metrics=dermoscopic(Interval(0.9, 0.8, 0.95)))
    assert clinics.tested(found, OperatingPoint("sensitive", 0.3)) is not None
    assert clinics.tested(found, OperatingPoint("sensitive", 0.4)) is None
    one_class = replace(found, metrics=dermoscopic(UNKNOWN))
    assert clinics.tested(one_class, OperatingPoint("sensitive", 0.3)) is None
