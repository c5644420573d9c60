"""The audit: its changes change what they say, its counts are right, and a model that reads the ring is caught."""

from __future__ import annotations

import pickle
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lesion_demo.audit import holdback as audit_trust
from lesion_demo.audit.changes import ChangeResult, audit_changes, blind_scores
from lesion_demo.audit.holdback import Spoilt
from lesion_demo.audit.shortcuts import CHANGES, Changed
from lesion_demo.audit.subgroups import subgroups, traits
from lesion_demo.config import OperatingPoint, PreprocessSpec
from lesion_demo.data.dataset import Edit, PictureReader
from lesion_demo.data.folders import scan
from lesion_demo.data.picture import Picture
from lesion_demo.evaluate.reporting import Scorer
from lesion_demo.evaluate.run import EvaluatedSplit
from lesion_demo.images import Pixels
from lesion_demo.images.perturb import DEGRADATIONS, draw_ring
from lesion_demo.images.phantom import render_phantom

POINT = OperatingPoint("balanced", 0.5)


class RingReader(nn.Module):
    """Calls malignant what has a dark corner: the shortcut itself."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(8.0))

    def forward(self, images: Tensor) -> Tensor:
        corner = images[:, :, :3, :3].mean(dim=(1, 2, 3))  # normalised: black is about −2
        return torch.stack([torch.zeros_like(corner), -self.scale * (corner + 1.2)], dim=1)


def evaluated(root: Path, spec: PreprocessSpec) -> tuple[Scorer, EvaluatedSplit]:
    scorer = Scorer(RingReader(), spec, None, PictureReader(), workers=0)
    pictures = [picture for picture in scan([root]) if picture.split == "test"]
    return scorer, EvaluatedSplit(tuple(pictures), scorer.predict(pictures, "plain").probabilities())


def ring_result(root: Path, spec: PreprocessSpec) -> ChangeResult:
    scorer, plain = evaluated(root, spec)
    (result,) = audit_changes(scorer, plain, ["ring, centred, hard"], temperature=1.0, point=POINT)
    return result


def test_a_model_that_reads_the_ring_is_caught_and_the_crop_shuts_it_out(phantom_data: Path) -> None:
    caught = ring_result(phantom_data, PreprocessSpec(image_size=64, crop_field_of_view=False))
    assert caught.n == 12
    assert caught.flips_benign is not None
    assert caught.flips_benign.value > 0.8
    assert caught.shift_benign is not None
    assert caught.shift_benign > 0.5
    assert caught.flips.low < caught.flips.value <= caught.flips.high
    shut_out = ring_result(phantom_data, PreprocessSpec(image_size=64))
    assert shut_out.flips.value == 0


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_changes_the_picture_and_not_its_original(name: str) -> None:
    picture = render_phantom(3, malignant=True, size=160)
    before = picture.copy()
    changed = CHANGES[name](picture, np.random.default_rng(0))
    assert changed.dtype == np.uint8
    assert changed.ndim == 3
    assert changed.shape != picture.shape or not np.array_equal(changed, picture)
    assert np.array_equal(picture, before)
    again = CHANGES[name](picture, np.random.default_rng(0))
    assert np.array_equal(changed, again)
    CHANGES[name](picture[:, :120], np.random.default_rng(1))  # pictures need not be square


def test_edits_can_be_sent_to_another_process_and_do_the_same_there() -> None:
    picture = render_phantom(3, malignant=True, size=96)
    edits: list[Edit] = [Changed(name) for name in CHANGES]
    edits += [Spoilt(degradation, degradation.strengths[1]) for degradation in DEGRADATIONS]
    for edit in edits:
        again = pickle.loads(pickle.dumps(edit))
        assert again == edit
        np.testing.assert_array_equal(again(picture, 3), edit(picture, 3))
    chance = Changed("hair")
    assert not np.array_equal(chance(picture, 3), chance(picture, 4))


def light_of(picture: Pixels) -> NDArray[np.float64]:
    """The sixth-power mean of each channel [3], which shades of grey takes for the light."""
    light: NDArray[np.float64] = ((picture / 255.0) ** 6).mean(axis=(0, 1)) ** (1 / 6)
    return light


def test_grey_light_undoes_a_colour_cast_and_half_way_half_of_it() -> None:
    picture = (render_phantom(3, malignant=True, size=160) * 0.7).astype(np.uint8)  # nothing is clipped
    rng = np.random.default_rng(0)
    grey = CHANGES["grey light"](picture, rng)
    assert np.ptp(light_of(grey)) < 0.005
    cast = np.rint(picture * np.array([1.0, 0.8, 0.6])).astype(np.uint8)
    uncast = CHANGES["grey light"](cast, rng).astype(float)
    assert np.abs(uncast / uncast.mean() - grey / grey.mean()).max() < 0.03
    half = np.log(light_of(CHANGES["grey light, half-way"](picture, rng)))
    assert np.ptp(half) == pytest.approx(np.ptp(np.log(light_of(picture))) / 2, abs=0.01)


def test_a_ring_does_not_count_as_light_and_black_stays_black() -> None:
    picture = (render_phantom(3, malignant=True, size=160) * 0.7).astype(np.uint8)
    ringed = draw_ring(picture, radius=0.5, softness=0.004)
    inside = ringed.min(axis=2) > 60
    grey = CHANGES["grey light"](ringed, np.random.default_rng(0))
    assert np.ptp(light_of(grey[inside][None])) < 0.005
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not CHANGES["grey light"](np.zeros((20, 20, 3), np.uint8), np.random.default_rng(0)).any()


def test_subgroups_count_what_they_name(phantom_data: Path) -> None:
    scorer, plain = evaluated(phantom_data, PreprocessSpec(image_size=64))
    masks = traits(plain, scorer.reader)
    assert not masks["with a ring"].any()
    assert sum(masks[f"{third} third"].sum() for third in ("darkest", "middle", "lightest")) == 12
    found = {subgroup.name: subgroup for subgroup in subgroups(plain, masks, POINT)}
    whole = found["without a ring"]
    assert (whole.n_benign, whole.n_malignant) == (6, 6)
    assert found["with a ring"].sensitivity is None

    four_found_one_alarm = EvaluatedSplit(plain.pictures, np.repeat([0.9, 0.1, 0.9, 0.1], [1, 5, 4, 2]))
    assert four_found_one_alarm.labels.tolist() == [0] * 6 + [1] * 6
    (subgroup,) = subgroups(four_found_one_alarm, {"all": np.ones(12, bool)}, POINT)
    assert subgroup.sensitivity is not None
    assert subgroup.specificity is not None
    assert subgroup.sensitivity.value == pytest.approx(4 / 6)
    assert subgroup.specificity.value == pytest.approx(5 / 6)


class RingedMalignant(PictureReader):
    """Reads every malignant picture with a dermatoscope's ring."""

    def __call__(self, picture: Picture) -> Pixels:
        image = super().__call__(picture)
        return draw_ring(image, radius=0.5) if picture.label == 1 else image


class Counting(PictureReader):
    """Counts how often each picture is read."""

    def __init__(self) -> None:
        super().__init__()
        self.read: Counter[Path] = Counter()

    def __call__(self, picture: Picture) -> Pixels:
        self.read[picture.path] += 1
        return super().__call__(picture)


def test_no_picture_is_read_twice_for_what_is_asked_of_it(phantom_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures, reader = scan([phantom_data]), Counting()
    train, test = ([p for p in pictures if p.split == split] for split in ("train", "test"))
    blind_scores(train, test, reader, workers=0)
    assert set(reader.read.values()) == {1}
    spoilt: list[Pixels] = []
    darker = DEGRADATIONS[0]

    def spoil(image: Pixels, rng: np.random.Generator, strength: float) -> Pixels:
        spoilt.append(image)
        return darker.apply(image, rng, strength)

    monkeypatch.setattr(audit_trust, "DEGRADATIONS", [replace(darker, apply=spoil)])
    scorer = Scorer(RingReader(), PreprocessSpec(image_size=64), None, reader, workers=0)
    assert len(list(audit_trust.degraded(scorer, test, temperature=1.0, point=POINT))) == 3
    assert len(spoilt) == 3 * len(test)


def test_what_needs_no_lesion_is_found_on_the_border(phantom_data: Path) -> None:
    pictures = scan([phantom_data])
    train, test = ([p for p in pictures if p.split == split] for split in ("train", "test"))
    plain = blind_scores(train, test, PictureReader())
    ringed = blind_scores(train, test, RingedMalignant())
    assert set(plain) == {"8 × 8 thumbnail", "border pixels"}
    assert plain["border pixels"] < 0.9
    assert ringed["border pixels"] > 0.99
