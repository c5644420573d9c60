"""The audit of holding back: counts are right, and a check that is turned off shows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from lesion_demo.__main__ import main
from lesion_demo.audit import holdback as audit_trust
from lesion_demo.audit import run as auditing
from lesion_demo.audit.changes import ChangeResult, audit_changes
from lesion_demo.audit.holdback import coverages, degraded, new_clinics, refused, untouched
from lesion_demo.audit.run import audit
from lesion_demo.audit.shortcuts import CHANGES
from lesion_demo.checkpoint import load_checkpoint
from lesion_demo.config import OperatingPoint, PreprocessSpec, TrainConfig
from lesion_demo.data.dataset import PictureReader
from lesion_demo.data.folders import scan
from lesion_demo.data.picture import Picture
from lesion_demo.evaluate.reporting import Scorer
from lesion_demo.evaluate.run import EvaluatedSplit
from lesion_demo.images.perturb import DEGRADATIONS
from lesion_demo.images.phantom import write_phantom_dataset
from lesion_demo.images.quality import SIZE, QualityReport, check_quality
from lesion_demo.network.familiarity import FamiliarityModel
from lesion_demo.network.fit_familiarity import learn
from lesion_demo.network.model import build_model
from lesion_demo.train.run import train

POINT = OperatingPoint("balanced", 0.5)
KNOWN = FamiliarityModel(np.zeros(2), np.eye(2), limit=2.0)


@pytest.fixture(scope="module")
def pictures(phantom_data: Path) -> list[Picture]:
    return [picture for picture in scan([phantom_data]) if picture.split == "test"]


def test_untouched_counts_by_source(pictures: list[Picture]) -> None:
    features = np.zeros((len(pictures), 2))
    features[:3] = 5.0
    reports = [check_quality(PictureReader()(picture)) for picture in pictures]
    *_, whole = untouched(pictures, reports, KNOWN, features)
    assert (whole.source, whole.n) == ("all", 12)
    assert whole.unfamiliar is not None
    assert whole.unfamiliar.value == pytest.approx(3 / 12)
    assert untouched(pictures, reports, None, None)[-1].unfamiliar is None


def model() -> nn.Module:
    torch.manual_seed(0)
    return build_model("mobilenet_v3_small").eval()


def degraded_by_name(pictures: list[Picture]) -> dict[tuple[str, str], audit_trust.DegradationResult]:
    scorer = Scorer(model(), PreprocessSpec(image_size=32), None, PictureReader(), workers=0)
    results = list(degraded(scorer, pictures, temperature=1.0, point=POINT))
    assert len(results) == 3 * len(DEGRADATIONS)
    return {(result.name, result.level): result for result in results}


def test_degradations_are_told_from_untouched_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = round(1.5 * SIZE.warning)  # of a tiny picture only the size is told
    write_phantom_dataset(tmp_path / "phantoms", train=3, val=0, test=0, seed=0, size=size)
    pictures = scan([tmp_path / "phantoms"])
    found = degraded_by_name(pictures)
    assert found["less light", "strong"].warned.value == 1.0
    assert found["Gaussian blur", "strong"].warned.value > 0.5
    monkeypatch.setattr(audit_trust, "check_quality", lambda image: QualityReport(()))
    assert degraded_by_name(pictures)["less light", "strong"].warned.value == 0.0


def test_refusals_count_by_kind_and_add_poor_quality() -> None:
    black, fine = np.zeros((200, 200, 3), np.uint8), np.full((200, 200, 3), 128, np.uint8)
    reports = [check_quality(black), QualityReport(()), QualityReport(())]
    assert fine.any()
    found = refused(["a", "a", "b"], reports, np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 1.0]]), KNOWN)
    assert [(one.kind, one.n, one.unfamiliar.value, one.refused.value) for one in found] == [
        ("a", 2, 0.5, 1.0),
        ("b", 1, 0.0, 0.0),
    ]


def test_new_clinics_pass_by_what_the_other_alone_knows() -> None:
    rng = np.random.default_rng(0)
    near, far = rng.normal(size=(400, 3)), rng.normal(size=(400, 3)) + 50
    found = new_clinics({"near": near, "small": near[:10]}, {"near": near, "far": far, "small": near[:50]})
    assert {(one.known_source, one.source) for one in found} == {("near", "far"), ("near", "small")}
    passed = {one.source: one.passed.value for one in found}
    assert passed["far"] == 0.0
    assert passed["small"] > 0.9
    assert learn(near, near).limit > 0


def test_disagreement_helps_where_it_marks_the_errors(pictures: list[Picture]) -> None:
    probabilities = np.where(np.arange(12) % 3 == 0, 0.6, 0.7)
    split = EvaluatedSplit(tuple(pictures), probabilities)
    wrong = (probabilities >= 0.5) != (split.labels == 1)
    by_name = {one.name: one for one in coverages(split, probabilities, np.where(wrong, 5.0, 0.0), POINT)}
    plain, disagreement = by_name["distance to the threshold"], by_name["distance over disagreement of four turns"]
    assert disagreement.area > plain.area
    assert plain.coverage[-1] == 1.0
    assert plain.accuracy[-1] == pytest.approx(0.5)


def test_a_whole_audit_of_a_small_run(tiny_config: TrainConfig, phantom_data: Path, tmp_path: Path) -> None:
    train(tiny_config, [phantom_data], tmp_path)
    found = audit(load_checkpoint(tmp_path), [phantom_data], operating_point="balanced", limit=6)
    assert found.pictures == 6
    assert {change.n for change in found.changes} == {6}
    whole = found.subgroups[0]  # what needs no second look at a picture is of the whole test split
    assert (whole.name, whole.n_benign, whole.n_malignant) == ("all", 6, 6)
    assert sum(zone.n for zone in found.referrals[0].zones) == 12
    assert len(found.degradations) == 3 * len(DEGRADATIONS)
    assert {one.n for one in found.planted} == {6}
    assert {one.kind for one in found.unrelated} >= {"photograph", "face", "noise", "document"}
    assert found.untouched[-1].n == 12
    assert [one.point.name for one in found.referrals] == ["accuracy", "f1", "balanced", "sensitive"]
    assert found.seconds > 0


def test_an_audit_of_one_picture_leaves_out_the_class_it_lacks(
    tiny_config: TrainConfig, phantom_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tiny_config, [phantom_data], tmp_path)
    arguments = ["--checkpoint", str(tmp_path), "--data", str(phantom_data), "--pictures", "1", "--workers", "0"]
    assert main(["audit", *arguments]) == 0
    saved = json.loads((tmp_path / "audit.json").read_text(encoding="utf-8"))
    assert saved["pictures"] == 1
    for change in saved["changes"]:
        assert change["flips"] is not None
        assert (change["flips_benign"] is None) != (change["flips_malignant"] is None)
        assert (change["shift_benign"] is None) == (change["flips_benign"] is None)
    assert all(result["roc_auc"] is None for result in saved["degradations"])
    assert not re.search(r"\bnan\b", capsys.readouterr().out.lower())


def test_the_command_saves_and_prints_all_of_it(
    tiny_config: TrainConfig, phantom_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tiny_config, [phantom_data], tmp_path)
    arguments = ["--checkpoint", str(tmp_path), "--data", str(phantom_data), "--pictures", "4"]
    assert main(["audit", *arguments]) == 0
    printed = capsys.readouterr().out
    saved = json.loads((tmp_path / "audit.json").read_text(encoding="utf-8"))
    for words in ("ring, centred, hard", "motion blur", "Screenshots", "Sees only", "The three answers", "Ways to"):
        assert words.lower() in printed.lower()
    assert set(saved) >= {"changes", "subgroups", "untouched", "degradations", "unrelated", "referrals", "coverage"}
    names = {path.stem for path in (tmp_path / "plots").glob("*.png")}
    assert names >= {"audit", "degradations", "unrelated", "coverage"}


def test_a_stopped_audit_keeps_what_it_has_measured(
    tiny_config: TrainConfig,
    phantom_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    train(tiny_config, [phantom_data], tmp_path)
    (tmp_path / "audit.json").write_text("the audit before")

    def measure_or_stop(*arguments: Any, **options: Any) -> Iterator[ChangeResult]:
        yield from islice(audit_changes(*arguments, **options), 2)
        raise KeyboardInterrupt

    monkeypatch.setattr(auditing, "audit_changes", measure_or_stop)
    arguments = ["--checkpoint", str(tmp_path), "--data", str(phantom_data), "--pictures", "4"]
    assert main(["audit", *arguments]) == 130
    assert "the 2 changes measured so far are in" in capsys.readouterr().out
    kept = json.loads((tmp_path / "audit-stopped.json").read_text(encoding="utf-8"))
    assert [change["name"] for change in kept["changes"]] == list(CHANGES)[:2]
    assert (tmp_path / "audit.json").read_text() == "the audit before"
