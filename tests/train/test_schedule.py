"""Learning rates over a run, and how long it will take."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from lesion_demo.config import TrainConfig
from lesion_demo.data.folders import scan
from lesion_demo.data.picture import Picture
from lesion_demo.errors import TrainingError
from lesion_demo.recipes import PRESETS
from lesion_demo.train import loop as training
from lesion_demo.train.estimate import in_words
from lesion_demo.train.schedule import rate_factor
from lesion_demo.train.validation import RING_PICTURES, ringed_places


def pictures(root: Path, split: str) -> list[Picture]:
    return [picture for picture in scan([root]) if picture.split == split]


def test_a_descent_ends_at_its_floor() -> None:
    for schedule in ("cosine", "one_cycle"):
        factors = [rate_factor(schedule, done / 20, 0.4) for done in range(21)]
        assert max(factors) == pytest.approx(1.0)
        assert factors[-1] == pytest.approx(0.4)
        assert factors[-5:] == sorted(factors[-5:], reverse=True)
        assert rate_factor(schedule, 1.0) == pytest.approx(0.0)


def test_the_stages_of_clinics_are_one_descent() -> None:
    stages = PRESETS["clinics"].stages
    for before, after in itertools.pairwise(stages):
        assert after.backbone_rate == pytest.approx(before.backbone_rate * before.floor)
        assert after.image_size > before.image_size
    assert stages[-1].floor == 0
    assert sum(stage.epochs * (stage.epoch_pictures or 0) for stage in stages) == 300_000


def test_rates_rise_and_fall() -> None:
    assert rate_factor("constant", 0.7) == 1
    assert [round(rate_factor("cosine", done), 3) for done in (0, 0.5, 1)] == [1, 0.5, 0]
    assert [round(rate_factor("one_cycle", done), 3) for done in (0, 0.25, 1)] == [0.04, 1, 0]
    with pytest.raises(TrainingError, match="use constant, cosine or one_cycle"):
        rate_factor("cosin", 0)


@pytest.mark.parametrize("count", [64, 1000])
def test_what_is_forecast_is_what_is_looked_at(
    count: int, tiny_config: TrainConfig, phantom_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With few pictures, the forecast was of several times as many as there are."""

    def note(*_: object, eval_count: int, **__: object) -> float:
        raise TrainingError(f"{eval_count} forecast")

    monkeypatch.setattr("lesion_demo.train.loop.stage_seconds", note)
    val = (pictures(phantom_data, "val") * count)[:count]
    ringed = len(ringed_places(count))
    assert min(count, RING_PICTURES) <= ringed < 2 * RING_PICTURES
    with pytest.raises(TrainingError, match=f"{count + ringed} forecast"):
        training.fit(tiny_config, pictures(phantom_data, "train"), val, tmp_path)


def test_durations_are_words() -> None:
    assert in_words(95) == "2 minutes"
    assert in_words(3) == "1 minute"
    assert in_words(3 * 3600) == "3.0 hours"
    assert in_words(7200) == "2.0 hours"
