"""The audit of reasons: what is said after a fault was planted is counted as true, as empty, or as false."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from lesion_demo.audit import reasons
from lesion_demo.audit.reasons import PLANTED, Noticed, named_faults
from lesion_demo.config import PreprocessSpec
from lesion_demo.data.dataset import PictureReader
from lesion_demo.data.folders import scan
from lesion_demo.data.picture import Picture
from lesion_demo.evaluate.inference import Predictions
from lesion_demo.evaluate.reporting import Scorer
from lesion_demo.images.phantom import write_phantom_dataset
from lesion_demo.images.quality import QualityReport
from lesion_demo.network.familiarity import FamiliarityModel
from lesion_demo.network.model import build_model
from lesion_demo.results import PlantedResult

KNOWN = FamiliarityModel(np.zeros(2), np.eye(2), limit=2.0)


def names(*found: str) -> frozenset[str]:
    return frozenset(found)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Picture]:
    root = tmp_path_factory.mktemp("data") / "phantoms"
    write_phantom_dataset(root, train=3, val=0, test=0, seed=0, size=256)
    return scan([root])


def by_name(pictures: list[Picture]) -> dict[str, PlantedResult]:
    torch.manual_seed(0)
    scorer = Scorer(build_model("mobilenet_v3_small").eval(), PreprocessSpec(image_size=32), None, PictureReader(), 0)
    return {found.name: found for found in named_faults(scorer, pictures)}


def test_a_planted_fault_is_named(pictures: list[Picture], monkeypatch: pytest.MonkeyPatch) -> None:
    found = by_name(pictures)
    assert list(found) == [one.name for one in PLANTED]
    for name in ("less light", "Gaussian blur", "downscaling", "ring"):
        assert (found[name].n, found[name].named.value) == (6, 1.0), name
    assert found["Gaussian blur"].right == found["Gaussian blur"].reasons == 6, "blur is not told in two words"
    monkeypatch.setattr(reasons, "check_quality", lambda look: QualityReport(()))
    assert by_name(pictures)["less light"].named.value == 0.0


def test_only_new_reasons_count_as_true_empty_or_false() -> None:
    light = next(one for one in PLANTED if one.name == "less light")
    before = [names(), names("hair"), names("brightness")]
    after = [names("brightness", "hair"), names("hair", reasons.UNLIKE), names("brightness", "shadows")]
    found = reasons._compared(light, before, after)
    assert (found.reasons, found.right, found.unlike, found.other) == (4, 2, 1, 1)
    assert found.named.value == pytest.approx(2 / 3)


def test_unlike_the_training_pictures_is_a_reason_only_where_there_is_no_better_one() -> None:
    said = (names(), names("ring"), names("hair"), names("brightness"))
    noticed = tuple(Noticed(one, poor="brightness" in one) for one in said)
    seen = Predictions(np.zeros((4, 2)), np.zeros(4, np.int64), early=np.full((4, 2), 9.0), measured=noticed)
    assert reasons._reasons(seen, KNOWN) == [
        names(reasons.UNLIKE),
        names("ring", reasons.UNLIKE),
        names("hair"),
        names("brightness"),
    ]
    fur = replace(KNOWN, photograph=np.array([1.0, 1.0, 0.0]))
    assert reasons._reasons(seen, fur)[2] == names("hair", reasons.UNLIKE), "a photograph is unlike them for that"
    near = replace(seen, early=np.zeros((4, 2)))
    assert reasons._reasons(near, KNOWN) == reasons._reasons(near, None) == list(said)
