"""The result types: every figure that is written down, read back as it was."""

from __future__ import annotations

import ast
import json
import math
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from conftest import PROJECT

from lesion_demo.checkpoint import read_meta, save_meta
from lesion_demo.config import StageConfig, TrainConfig, from_dict
from lesion_demo.errors import LesionDemoError
from lesion_demo.results import UNKNOWN, Audit, Metrics, Report, to_json

SHIPPED = sorted(path.parent for path in (PROJECT / "checkpoints").glob("*/checkpoint.json"))

KINDS: dict[str, type[Any]] = {"metrics.json": Metrics, "audit.json": Audit}
FILES = [(file, kind) for folder in SHIPPED for name, kind in KINDS.items() if (file := folder / name).is_file()]


@pytest.mark.parametrize(("file", "kind"), FILES, ids=lambda one: getattr(one, "name", ""))
def test_a_committed_file_is_written_again_byte_for_byte(file: Path, kind: type[Any]) -> None:
    text = file.read_text(encoding="utf-8")
    assert json.dumps(to_json(from_dict(kind, json.loads(text))), indent=2) + "\n" == text


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_a_committed_checkpoint_loses_nothing_when_it_is_written_again(folder: Path, tmp_path: Path) -> None:
    before = json.loads((folder / "checkpoint.json").read_text(encoding="utf-8"))
    save_meta(tmp_path, read_meta(folder))
    after = json.loads((tmp_path / "checkpoint.json").read_text(encoding="utf-8"))
    assert before.keys() <= after.keys()
    after["preprocess"] = {name: after["preprocess"][name] for name in before["preprocess"]}  # a later one says more
    assert {name for name in before if name != "packages" and after[name] != before[name]} == set()
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert from_dict(TrainConfig, config).preprocess.image_size == config["preprocess"]["image_size"]


def test_what_was_not_measured_is_null_or_absent_and_read_as_unknown() -> None:
    written = to_json(Metrics(Report(3, 1, calibration_error=float("nan"))))
    assert "NaN" not in json.dumps(written)
    assert {name: value for name, value in written["test"].items() if value} == {"n": 3, "n_malignant": 1}
    for absent in ({"value": None, "low": None, "high": None}, None):
        report = from_dict(Metrics, {"test": {**written["test"], "roc_auc": absent}}).test
        assert report is not None
        assert not report.roc_auc.known
        assert report.pr_auc == UNKNOWN


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("n",), -1, r"test\.n is -1: it should be greater"),
        (("n",), "3", r"test\.n is '3': it should be a valid integer"),
        (("roc_auc",), 0.9, r"test\.roc_auc is 0\.9: it should be an object"),
        (("roc_auc", "value"), 1.5, r"test\.roc_auc\.value is 1\.5"),
        (("roc_auc", "low"), math.nan, r"test\.roc_auc\.low is nan: it should be a finite number"),
        (("photographs",), 1, r"test\.photographs is 1: it should be a valid boolean"),
    ],
)
def test_a_damaged_figure_is_refused_with_a_sentence(path: tuple[str, ...], value: Any, sentence: str) -> None:
    report: dict[str, Any] = {"n": 3, "n_malignant": 1, "roc_auc": {"value": 0.9, "low": 0.8, "high": 1.0}}
    place = report if len(path) == 1 else report[path[0]]
    place[path[-1]] = value
    with pytest.raises(LesionDemoError, match=sentence) as caught:
        from_dict(Metrics, {"test": report})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "value"), [("epochs", "8"), ("backbone_rate", "0.1"), ("train_backbone", 1)])
def test_a_setting_of_another_type_is_refused_in_whatever_is_read(name: str, value: object) -> None:
    values = {"name": "head", "epochs": 8, name: value}
    with pytest.raises(LesionDemoError, match=f"{name} is {value!r}: it should be a valid"):
        from_dict(StageConfig, values)
    with pytest.raises(LesionDemoError, match=rf"stages\.0\.{name} is {value!r}"):
        from_dict(TrainConfig, {"stages": [values]})


def test_every_result_type_is_there_once_and_needs_no_torch() -> None:
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in (PROJECT / "lesion_demo").rglob("*.py")}
    names = Counter(node.name for tree in trees.values() for node in tree.body if isinstance(node, ast.ClassDef))
    rooms = [tree for path, tree in trees.items() if path.parent.name == "results"]
    own = [node.name for tree in rooms for node in tree.body if isinstance(node, ast.ClassDef)]
    assert len(own) > 20
    assert [name for name in own if names[name] > 1] == []
    code = "import sys, lesion_demo.results; sys.exit(any(name in sys.modules for name in ('torch', 'numpy')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=False).returncode == 0
