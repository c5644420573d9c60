"""A recipe run again is compared with what it reached before."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lesion_demo import expected as module
from lesion_demo.__main__ import main
from lesion_demo.cli.train import against_expected
from lesion_demo.config import OperatingPoint, TrainConfig, to_dict
from lesion_demo.evaluate.scores import report as make_report
from lesion_demo.expected import Expected, compare, read_expected
from lesion_demo.recipes import PRESETS
from lesion_demo.results import Interval, Metrics, Report


@pytest.fixture(scope="module")
def report() -> Report:
    return make_report(np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.4, 0.3]), (OperatingPoint("balanced", 0.5),))


def with_auc(report: Report, value: float) -> Report:
    return replace(report, roc_auc=Interval(value, value, value))


def test_what_is_off_or_missing_is_named(report: Report) -> None:
    metrics = Metrics(
        validation_by_source={"near": with_auc(report, 0.905), "far": with_auc(report, 0.87)},
        test_by_source={"near": with_auc(report, 0.9)},
    )
    expected = Expected(validation={"near": 0.9, "far": 0.9}, test={"near": 0.9, "gone": 0.8})
    assert list(compare(metrics, expected)) == [
        "far, validation: ROC-AUC 0.870 where 0.900 is expected.",
        "gone, test: no ROC-AUC where 0.800 is expected.",
    ]


def test_what_is_written_down_is_of_a_recipe() -> None:
    values = json.loads(module.EXPECTED_FILE.read_text(encoding="utf-8"))
    assert set(values) <= set(PRESETS)
    assert all(read_expected(name) is not None for name in values)


def test_only_a_recipes_own_settings_are_compared(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = Expected(validation={"near": 0.9}, test={})
    monkeypatch.setattr("lesion_demo.cli.train.read_expected", {"clinics": expected}.get)
    metrics = Metrics(validation_by_source={"near": with_auc(report, 0.9)})
    clinics = PRESETS["clinics"]
    assert against_expected(clinics, metrics) == ["Every ROC-AUC is within 0.01 of what clinics is expected to reach."]
    assert "not a recipe's settings" in against_expected(replace(clinics, seed=1), metrics)[0]
    assert "no run of quick is written down" in against_expected(PRESETS["quick"], metrics)[0]


def test_one_command_trains_audits_and_writes_the_card(
    tiny_config: TrainConfig, phantom_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps(to_dict(replace(tiny_config, workers=0))), encoding="utf-8")
    arguments = ["--config", str(config), "--data", str(phantom_data), "--out", str(tmp_path), "--run", "r"]
    assert main(["train", *arguments, "--audit"]) == 0
    for name in ("checkpoint.json", "metrics.json", "audit.json", "README.md"):
        assert (tmp_path / "r" / name).is_file()
    assert "not a recipe's settings" in capsys.readouterr().out
