"""One look at a picture: nothing is found twice, and nothing disagrees with itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lesion_demo.checkpoint import Checkpoint, LoadedCheckpoint
from lesion_demo.config import OperatingPoint, PreprocessSpec
from lesion_demo.images import look as looking
from lesion_demo.images.artefacts import find_artefacts
from lesion_demo.images.look import Look
from lesion_demo.images.perturb import draw_ring
from lesion_demo.images.phantom import render_phantom
from lesion_demo.images.quality import check_quality
from lesion_demo.images.tone import typology_angle
from lesion_demo.images.transforms import eval_transform
from lesion_demo.network.model import build_model
from lesion_demo.serve.analysis import Analyzer
from lesion_demo.serve.classifier import Predictor
from lesion_demo.serve.scoring import score_files

POINT = OperatingPoint("sensitive", 0.1)
SPEC = PreprocessSpec(image_size=64)
ROUND = PreprocessSpec(image_size=64, round_window=True)


def loaded(spec: PreprocessSpec = ROUND) -> LoadedCheckpoint:
    torch.manual_seed(0)
    meta = Checkpoint("resnet18", spec, 1.0, (POINT,), val_roc_auc=0.5)
    return LoadedCheckpoint(Path("a-checkpoint"), meta, build_model("resnet18").eval())


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often the field and the lesion are found."""
    counted: Counter[str] = Counter()

    def count(name: str) -> None:
        real: Callable[..., object] = getattr(looking, name)

        def counting(*arguments: object) -> object:
            counted[name] += 1
            return real(*arguments)

        monkeypatch.setattr(looking, name, counting)

    count("find_field_of_view")
    count("density_of")
    count("lesion_in")
    return counted


def ringed() -> np.ndarray:
    """A lesion in a small round field, uint8 [300, 300, 3]."""
    return draw_ring(render_phantom(1, malignant=True, size=300), radius=0.45)


def test_serving_a_picture_finds_the_field_once_and_the_lesion_once(calls: Counter[str]) -> None:
    analysis = Analyzer(loaded()).analyze(ringed())
    assert analysis.lesion is not None
    assert calls == {"find_field_of_view": 1, "density_of": 1, "lesion_in": 1}


def test_scoring_a_file_finds_the_field_once_and_the_lesion_once(calls: Counter[str], tmp_path: Path) -> None:
    Image.fromarray(ringed()).save(tmp_path / "a.png")
    (row,) = score_files([str(tmp_path / "a.png")], Predictor(loaded(), "cpu"), POINT, 0.0)
    assert not row.error
    assert calls == {"find_field_of_view": 1, "density_of": 1, "lesion_in": 1}


@pytest.mark.parametrize("part", [check_quality, find_artefacts, typology_angle])
def test_a_look_and_its_pixels_are_judged_alike(part: Callable[[object], object]) -> None:
    assert part(Look.of(ringed())) == part(ringed())


@pytest.mark.parametrize("spec", [SPEC, ROUND])
def test_the_network_is_shown_the_same_of_a_look_and_of_its_pixels(spec: PreprocessSpec) -> None:
    assert torch.equal(eval_transform(spec)(Look.of(ringed())), eval_transform(spec)(ringed()))


def test_a_look_at_a_look_is_that_look() -> None:
    look = Look.of(ringed())
    assert Look.of(look) is look


def test_a_large_picture_has_the_same_field_for_every_check() -> None:
    """Each used to look at another copy."""
    picture = ringed().repeat(7, axis=0).repeat(7, axis=1)
    look = Look.of(picture)
    size = next(check.value for check in check_quality(picture).checks if check.name == "size")
    ring = next(artefact.value for artefact in find_artefacts(picture) if artefact.name == "ring")
    assert size == min(look.field.width, look.field.height)
    assert ring == pytest.approx(1 - look.field.width * look.field.height / 2100**2, abs=1e-9)


@pytest.mark.parametrize("radius", [0.38, 0.45, 0.6])
def test_a_ring_hides_no_lesion_from_a_round_window(radius: float) -> None:
    """The window's square holds the ring's dark corners, in which nothing stands out."""
    rows, columns = np.mgrid[:300, :300] - 150
    truth = np.hypot(rows, columns) < 45
    picture = np.where(truth[..., None], (150, 95, 70), (225, 180, 160)).astype(np.uint8)
    look = Look.of(draw_ring(picture, radius=radius))
    visible = look.visible(ROUND)
    mask = look.lesion_in(visible, visible.width)
    assert mask is not None
    assert (mask & visible.cut(truth)).sum() / (mask | visible.cut(truth)).sum() > 0.75


@pytest.mark.parametrize("spec", [SPEC, ROUND])
def test_quality_and_analysis_speak_of_one_lesion(spec: PreprocessSpec) -> None:
    look = Look.of(ringed())
    share = next(check.value for check in check_quality(look).checks if check.name == "framing")
    visible, field = look.visible(spec), look.field.middle_square
    mask = look.lesion_in(visible, 256)
    assert mask is not None
    assert mask.mean() * visible.width**2 / field.width**2 == pytest.approx(share, rel=0.03)


def test_a_lesion_outside_the_visible_square_is_none() -> None:
    look = Look.of(render_phantom(1, malignant=True, size=300))
    assert look.lesion is not None
    assert look.lesion_in(look.field.middle_square.moved(400, 0), 64) is None
