"""What the clinic adds: a network that reads the lesion, and one that reads the skin, must look different here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from lesion_demo.audit.clinics import OnOtherSkin, PaintedOut, audit_clinics, clinic_told, lesion_place
from lesion_demo.config import OperatingPoint, PreprocessSpec
from lesion_demo.data.dataset import PictureReader
from lesion_demo.data.picture import Picture
from lesion_demo.evaluate.reporting import Scorer
from lesion_demo.images import Pixels
from lesion_demo.results import ClinicAudit

SIDE = 128
SPEC = PreprocessSpec(image_size=64)
POINT = OperatingPoint("balanced", 0.5)
PALE, DARK = (225, 190, 175), (150, 110, 90)
"""The skins of two clinics."""


def lesion_on(skin: tuple[int, int, int], depth: float, rng: np.random.Generator) -> Pixels:
    """A disc that lets the share `depth` of the light through, in the middle of a slightly noisy skin."""
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    alpha = np.clip((24 - np.hypot(x, y)) / 4 + 0.5, 0, 1)[..., None]
    through = 1 - alpha * (1 - depth)
    noise = rng.normal(0, 2, (SIDE, SIDE, 1))
    return (np.array(skin) * through + noise).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def clinics(tmp_path_factory: pytest.TempPathFactory) -> list[Picture]:
    """Two data sets, each of its own skin; malignant lesions are darker."""
    root, rng, pictures = tmp_path_factory.mktemp("clinics"), np.random.default_rng(0), []
    for source, skin in (("pale", PALE), ("dark", DARK)):
        for number in range(20):
            label = number % 2
            path = root / f"{source}-{number}.png"
            Image.fromarray(lesion_on(skin, 0.25 if label else 0.55, rng)).save(path)
            pictures.append(
                Picture(path, path.name, source, "val", label, content_hash=f"{number:04}{source}", group=path.name)
            )
    return pictures


class Reading(nn.Module):
    """A network says where it is by its parameters: one of no effect."""

    def __init__(self) -> None:
        super().__init__()
        self.nothing = nn.Parameter(torch.zeros(1))


class ByMiddle(Reading):
    """Reads how much of the rim's light the middle has: the lesion."""

    def forward(self, images: Tensor) -> Tensor:
        grey, half = images.mean(dim=1) * 0.226 + 0.449, images.shape[-1] // 2  # as it was before normalisation
        middle = grey[:, half - 4 : half + 4, half - 4 : half + 4].mean(dim=(1, 2))
        rim = grey[:, :4].mean(dim=(1, 2))
        odds = 20 * (0.4 - middle / rim)
        return torch.stack([torch.zeros_like(odds), odds], dim=1)


class ByRim(Reading):
    """Reads the rim alone: the clinic."""

    def forward(self, images: Tensor) -> Tensor:
        odds = -4 * images.mean(dim=1)[:, :4].mean(dim=(1, 2))
        return torch.stack([torch.zeros_like(odds), odds], dim=1)


def audited(model: nn.Module, pictures: list[Picture]) -> ClinicAudit:
    scorer = Scorer(model.eval(), SPEC, None, PictureReader(), workers=0)
    return audit_clinics(scorer, pictures, temperature=1.0, point=POINT, limit=20)


def test_without_its_lesion_a_picture_says_nothing_to_a_network_that_reads_lesions(clinics: list[Picture]) -> None:
    found = audited(ByMiddle(), clinics)
    assert [(one.source, one.n_benign, one.n_malignant) for one in found.skins] == [("dark", 10, 10), ("pale", 10, 10)]
    for one in found.skins:
        assert one.outlined == one.within_disc == 20
        assert one.roc_auc is not None
        assert one.roc_auc.value > 0.95
        for painted in (one.without_lesion, one.without_disc):
            assert painted is not None
            assert abs(painted.value - 0.5) < 0.35
    assert found.spread is not None
    assert found.spread < 3


def test_a_network_that_reads_the_skin_is_found_out(clinics: list[Picture]) -> None:
    found, honest = audited(ByRim(), clinics), audited(ByMiddle(), clinics)
    assert found.spread is not None
    assert honest.spread is not None
    assert found.spread > 2 * honest.spread
    turned = {one.source: one for one in found.moves}
    kept = {one.source: one for one in honest.moves}
    assert turned.keys() == kept.keys() == {"pale", "dark"}
    for source in turned:
        assert turned[source].n == 20
        assert abs(turned[source].shift) > 1
        assert kept[source].flips.value <= 0.3
    assert turned["dark"].shift > 0 > turned["pale"].shift


def test_what_is_painted_out_is_gone_and_the_rest_stays(clinics: list[Picture]) -> None:
    image = PictureReader()(clinics[1])
    for edit in (PaintedOut(by_disc=False), PaintedOut(by_disc=True)):
        painted = edit(image, 0)
        assert np.abs(painted.astype(int) - PALE).max() < 16
        np.testing.assert_array_equal(painted[:4], image[:4])
    assert lesion_place(image) == (True, True)
    assert lesion_place(np.full((SIDE, SIDE, 3), PALE, np.uint8)) == (False, False)


def test_a_moved_lesion_keeps_its_depth_and_takes_the_light_of_its_new_place(clinics: list[Picture]) -> None:
    reader = PictureReader()
    pale, dark = ([one for one in clinics if one.source == source] for source in ("pale", "dark"))
    moved = OnOtherSkin((dark[0],), reader)(reader(pale[1]), 0)
    middle, rim = moved[SIDE // 2, SIDE // 2].astype(float), moved[4, 4].astype(float)
    assert np.abs(rim - DARK).max() < 12
    assert (middle / rim).mean() == pytest.approx(0.25, abs=0.08)


def test_features_of_the_clinic_are_told_and_others_are_not() -> None:
    rng, sources = np.random.default_rng(0), ["a"] * 40 + ["b"] * 40
    noise = rng.normal(size=(80, 5))
    mark = np.array([[one == "a"] for one in sources]) * 6.0
    told, chance = clinic_told(noise + mark, sources), clinic_told(noise, sources)
    assert told is not None
    assert chance is not None
    assert told > 0.95
    assert abs(chance - 0.5) < 0.2
    assert clinic_told(noise, ["a"] * 80) is None


def test_one_class_or_no_outline_leaves_a_figure_out(clinics: list[Picture], tmp_path: Path) -> None:
    bare = tmp_path / "bare.png"
    Image.fromarray(np.full((SIDE, SIDE, 3), PALE, np.uint8)).save(bare)
    plain = [replace(clinics[0], path=bare, file=f"bare-{number}", content_hash=str(number)) for number in range(3)]
    found = audited(ByMiddle(), plain)
    (one,) = found.skins
    assert (one.roc_auc, one.without_lesion, one.without_disc, one.log_odds_without_lesion) == (None, None, None, None)
    assert one.specificity is not None
    assert found.moves == ()
    assert found.spread is None
