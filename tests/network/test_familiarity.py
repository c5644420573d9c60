"""Familiarity: what lies far from the training pictures is refused, and survives being saved."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lesion_demo.__main__ import main
from lesion_demo.checkpoint import Checkpoint, LoadedCheckpoint, load_checkpoint, save_checkpoint
from lesion_demo.config import OperatingPoint, PreprocessSpec
from lesion_demo.decision import Outcome
from lesion_demo.errors import CheckpointError, LesionDemoError
from lesion_demo.evaluate.inference import early_features
from lesion_demo.images import unrelated
from lesion_demo.images.phantom import render_phantom
from lesion_demo.images.quality import QualityReport
from lesion_demo.images.transforms import eval_transform
from lesion_demo.network.familiarity import FamiliarityModel, read_known, write_known
from lesion_demo.network.fit_familiarity import (
    ADDED,
    BARE_REFUSED,
    CLOSE_UPS_REFUSED,
    FEW,
    REFUSED,
    Contrast,
    Crops,
    learn,
)
from lesion_demo.network.forward import network_of
from lesion_demo.network.model import build_model
from lesion_demo.run_folder import KNOWN_FILE
from lesion_demo.serve.analysis import Analyzer
from lesion_demo.serve.familiarity import Familiarity
from lesion_demo.serve.table import CsvRow
from lesion_demo.web.page import EXAMPLES

RNG = np.random.default_rng(0)
TRAIN, VAL = RNG.normal(size=(400, 6)), RNG.normal(size=(200, 6))


def test_limit_refuses_the_chosen_share_of_validation() -> None:
    known = learn(TRAIN, VAL)
    assert (known.distances(VAL) > known.limit).mean() == pytest.approx(REFUSED, abs=0.006)


def test_distance_counts_in_standard_deviations_of_each_direction() -> None:
    stretched = TRAIN * np.array([100.0, 1, 1, 1, 1, 1])
    known = learn(stretched, VAL * np.array([100.0, 1, 1, 1, 1, 1]))
    along, across = known.distances(np.array([[100.0, 0, 0, 0, 0, 0], [0, 100.0, 0, 0, 0, 0]]))
    assert along < known.limit < across


def test_photographs_are_told_and_hardly_any_dermoscopic_picture_is_taken_for_one() -> None:
    photographs, val_photographs = (np.arange(len(features)) < len(features) // 4 for features in (TRAIN, VAL))
    shift = np.array([6.0, 0, 0, 0, 0, 0])
    train, val = TRAIN + shift * photographs[:, None], VAL + shift * val_photographs[:, None]
    taken = learn(train, val, photographs=(photographs, val_photographs)).photographs(val)
    assert taken[val_photographs].mean() > 0.95
    assert taken[~val_photographs].mean() == pytest.approx(REFUSED, abs=0.01)
    too_few = np.arange(len(train)) < FEW - 1
    assert not learn(train, val, photographs=(too_few, val_photographs)).photographs(val).any()
    every, val_every = np.ones(len(train), dtype=bool), np.ones(len(val), dtype=bool)
    for alone in ((every, val_every), (~too_few, val_photographs), (photographs, val_every)):
        assert learn(train, val, photographs=alone).photograph is None


def contrast(seed: int = 3, count: int = 150) -> Contrast:
    """Everyday pictures lie near, in the first direction; spoilt lesions just as near, in the second."""
    everyday, spoilt = np.random.default_rng(seed).normal(scale=0.5, size=(2, count, 6))
    return Contrast(everyday + np.array([3.0, 0, 0, 0, 0, 0]), spoilt + np.array([0, 3.0, 0, 0, 0, 0]))


def test_everyday_pictures_are_refused_though_they_lie_near_and_spoilt_lesions_are_not() -> None:
    known, fresh = learn(TRAIN, VAL, contrast=contrast()), contrast(4)
    assert known.refused(fresh.everyday).mean() > learn(TRAIN, VAL).refused(fresh.everyday).mean() + 0.15
    assert known.refused(fresh.spoilt).mean() < 0.2
    assert known.refused(VAL).mean() == pytest.approx(REFUSED, abs=0.006)
    both = learn(TRAIN, VAL, contrast=contrast(), crops=(crops(0), crops(1)))
    assert both.refused(VAL).mean() == pytest.approx(REFUSED, abs=0.006)


def test_what_spoils_a_lesion_is_no_sign_of_an_everyday_picture() -> None:
    seen = contrast()
    blurred = replace(seen, everyday=seen.everyday + np.array([0, 3.0, 0, 0, 0, 0]))  # as the spoilt lesions are
    added = learn(TRAIN, VAL, contrast=blurred).unrelated
    assert added is not None
    assert added[1] < added[0] / 2


def test_what_is_added_has_its_share_of_the_spread_and_takes_nothing_from_the_mean() -> None:
    plain, known = learn(TRAIN, VAL), learn(TRAIN, VAL, contrast=contrast())
    assert known.unrelated is not None
    added = known.distances(VAL) - plain.distances(VAL)
    assert added.std() == pytest.approx(ADDED * plain.distances(VAL).std(), rel=0.02)
    assert added.mean() == pytest.approx(0.0, abs=0.02)
    assert (known.distances(-1000 * known.unrelated[None, :-1]) >= 0).all()


def crops(seed: int, count: int = 200) -> Crops:
    """Parts of pictures: skin differs from a lesion in the first direction; being enlarged, both do in the last."""
    skin, lesion = np.random.default_rng(seed).normal(size=(2, count, 6))
    return Crops(skin + np.array([4.5, 0, 0, 0, 0, 9.0]), lesion + np.array([0, 0, 0, 0, 0, 9.0]))


def test_bare_skin_is_told_by_the_lesion_it_lacks_and_not_by_its_enlargement() -> None:
    known = learn(TRAIN, VAL, crops=(crops(0), crops(1)))
    fresh = crops(2, 1000)
    assert known.bare_skin(fresh.skin).mean() > 0.95
    assert known.bare_skin(fresh.lesion).mean() <= CLOSE_UPS_REFUSED + 0.03
    assert known.bare_skin(VAL).mean() <= BARE_REFUSED + 1e-9
    assert not learn(TRAIN, VAL, crops=(crops(0, FEW - 1), crops(1))).bare_skin(fresh.skin).any()


def test_close_ups_that_look_like_skin_move_the_limit() -> None:
    seen = crops(1)
    pale = replace(seen, lesion=np.where(np.arange(200)[:, None] < 60, seen.skin, seen.lesion))
    known = learn(TRAIN, VAL, crops=(crops(0), pale))
    assert known.bare_skin(pale.lesion).mean() <= CLOSE_UPS_REFUSED
    assert known.bare_skin(crops(2).skin).mean() < 0.9


def test_both_refusals_together_take_the_chosen_share_of_validation() -> None:
    val = np.random.default_rng(5).normal(size=(1000, 6))
    val[:5, 0] += 7.0  # look like skin
    known = learn(TRAIN, val, crops=(crops(0), crops(1)))
    assert known.bare_skin(val).sum() >= 3
    assert known.refused(val).mean() == pytest.approx(REFUSED, abs=0.002)


def test_bare_skin_is_refused_however_near_it_lies() -> None:
    known = FamiliarityModel(np.zeros(2), np.eye(2), limit=10.0, bare=np.array([0.0, 1.0, -1.0]))
    assert known.refused(np.array([[0.0, 0.5], [0.0, 1.5], [20.0, 0.5]])).tolist() == [False, True, True]


def test_what_is_known_survives_the_file(tmp_path: Path) -> None:
    known = learn(
        TRAIN, VAL, contrast=contrast(), photographs=(TRAIN[:, 0] > 1, VAL[:, 0] > 1), crops=(crops(0), crops(1))
    )
    write_known(tmp_path / "known", known)
    assert (tmp_path / "known").stat().st_mode & 0o044
    again = read_known(tmp_path / "known")
    assert again.limit == known.limit
    np.testing.assert_array_equal(again.distances(VAL), known.distances(VAL))
    np.testing.assert_array_equal(again.photographs(VAL), known.photographs(VAL))
    assert again.photographs(VAL).any()
    np.testing.assert_array_equal(again.bare_skin(crops(2).skin), known.bare_skin(crops(2).skin))
    assert again.bare_skin(crops(2).skin).any()
    write_known(tmp_path / "older", replace(known, unrelated=None))
    assert (read_known(tmp_path / "older").distances(VAL) != known.distances(VAL)).any()
    (tmp_path / "known").write_bytes(b"no such thing")
    with pytest.raises(CheckpointError, match="damaged"):
        read_known(tmp_path / "known")


@pytest.fixture(scope="module")
def phantom_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights that know phantoms."""
    torch.manual_seed(0)
    folder, model = tmp_path_factory.mktemp("known"), build_model("mobilenet_v3_small").eval()
    spec = PreprocessSpec(image_size=64)
    transform = eval_transform(spec)
    pictures = [render_phantom(seed, malignant=seed % 2 == 0, size=96) for seed in range(120)]
    features = early_features(network_of(model), transform, pictures, "phantoms")
    points = (OperatingPoint("sensitive", 0.5),)
    meta = Checkpoint("mobilenet_v3_small", spec, 1.0, points, val_roc_auc=0.5)
    save_checkpoint(folder, model, meta, learn(features[:80], features[80:]))
    return folder


def test_a_stranger_gets_no_verdict_and_a_phantom_one(phantom_checkpoint: Path) -> None:
    analyzer = Analyzer(load_checkpoint(phantom_checkpoint))
    own = analyzer.analyze(render_phantom(7, malignant=True, size=96))
    assert own.familiarity is not None
    assert own.familiarity.familiar
    kinds = dict(unrelated.drawings(1))
    for kind in ("document", "noise", "stripes"):
        assert analyzer.analyze(kinds[kind]).verdict is Outcome.NOT_ASSESSABLE, kind


def test_the_table_holds_back_too(phantom_checkpoint: Path, tmp_path: Path) -> None:
    pictures = {
        "own.png": render_phantom(7, malignant=True, size=96),
        "noise.png": dict(unrelated.drawings(1))["noise"],
    }
    for name, picture in pictures.items():
        Image.fromarray(picture).save(tmp_path / name)
    arguments = [str(tmp_path / name) for name in pictures]
    assert main(["score", *arguments, "--out", str(tmp_path / "o.csv"), "--checkpoint", str(phantom_checkpoint)]) == 0
    with (tmp_path / "o.csv").open(newline="", encoding="utf-8-sig") as file:
        own, strange = csv.DictReader(file)
    assert own["familiarity"] == "ok"
    assert own["verdict"] != Outcome.NOT_ASSESSABLE.value
    assert strange["familiarity"] == "unlike training pictures"
    assert strange["verdict"] == Outcome.NOT_ASSESSABLE.value


def test_skin_without_a_lesion_gets_no_verdict(phantom_checkpoint: Path) -> None:
    loaded = load_checkpoint(phantom_checkpoint)
    assert loaded.known is not None
    everything = np.append(np.zeros_like(loaded.known.mean), 1.0)
    found = Analyzer(replace(loaded, known=replace(loaded.known, bare=everything))).analyze(
        render_phantom(7, malignant=True, size=96)
    )
    assert found.familiarity is not None
    assert found.familiarity.bare_skin
    assert found.verdict is Outcome.NOT_ASSESSABLE


@pytest.mark.parametrize(
    ("familiarity", "word"),
    [
        (Familiarity(1.0, 2.0), "ok"),
        (Familiarity(1.0, 2.0, photograph=True), "photograph, not dermoscopy"),
        (Familiarity(3.0, 2.0, photograph=True), "unlike training pictures"),
        (Familiarity(1.0, 2.0, bare_skin=True), "no lesion"),
        (None, ""),
    ],
)
def test_the_table_says_in_a_word_how_familiar_a_picture_is(familiarity: Familiarity | None, word: str) -> None:
    point = OperatingPoint("sensitive", 0.5)
    row = CsvRow.scored("a.jpg", 0.3, Outcome.BENIGN, QualityReport(()), familiarity, point)
    assert row.familiarity == word


def test_a_lost_or_changed_file_is_told(phantom_checkpoint: Path, tmp_path: Path) -> None:
    for file in phantom_checkpoint.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / KNOWN_FILE).write_bytes(b"another run's")
    with pytest.raises(CheckpointError, match="copy it again"):
        load_checkpoint(tmp_path)
    (tmp_path / KNOWN_FILE).unlink()
    with pytest.raises(CheckpointError, match="missing"):
        load_checkpoint(tmp_path)


def test_without_what_is_known_every_picture_is_judged(phantom_checkpoint: Path) -> None:
    analyzer = Analyzer(replace(load_checkpoint(phantom_checkpoint), known=None))
    assert analyzer.analyze(render_phantom(7, malignant=True, size=96)).familiarity is None


def test_the_shipped_checkpoint_refuses_strangers_and_judges_phantoms(shipped: LoadedCheckpoint) -> None:
    analyzer = Analyzer(shipped)
    strangers = [*(("photograph", one) for one in unrelated.photographs(learnt=False)), *unrelated.drawings(2)]
    held = [not analyzer.analyze(picture).assessable for _, picture in strangers[::4]]
    assert np.mean(held) >= 0.95, [kind for (kind, _), refused in zip(strangers[::4], held, strict=True) if not refused]


def test_every_example_gets_the_answer_that_it_is_to_show(shipped: LoadedCheckpoint) -> None:
    analyzer, meant = Analyzer(shipped), {"benign": Outcome.BENIGN, "malignant": Outcome.MALIGNANT}
    found = {file.stem: analyzer.analyze_file(file)[0] for file in EXAMPLES.glob("*.jpg")}
    assert len(found) == 6
    for name, analysis in found.items():
        poor = "too_dark" in name
        assert analysis.verdict is (Outcome.NOT_ASSESSABLE if poor else meant[name.split("_")[1]]), name
        assert poor or not analysis.photograph, f"{name} is taken for a photograph"
        assert poor or analysis.quality.ok, name


def test_what_was_learnt_from_is_not_reported() -> None:
    learnt, reported = (list(unrelated.photographs(learnt=half)) for half in (True, False))
    assert len(learnt) > 100
    assert len(reported) > 100
    assert not {one.tobytes() for one in learnt} & {one.tobytes() for one in reported}
    shown = [picture for kind, picture in unrelated.unrelated_pictures() if kind == "photograph"]
    assert [one.tobytes() for one in shown] == [one.tobytes() for one in reported]


def test_strangers_without_their_package_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unrelated, "find_spec", lambda name: None)
    with pytest.raises(LesionDemoError, match="pip install"):
        next(unrelated.unrelated_pictures())


def test_a_close_up_is_the_middle() -> None:
    image = np.zeros((100, 200, 3), np.uint8)
    image[25:75, 75:125] = 9
    close = unrelated.close_up(image)
    assert close.shape == (50, 50, 3)
    assert (close == 9).all()


def test_plain_skin_is_a_corner_without_lesion() -> None:
    corner = unrelated.plain_skin(render_phantom(3, malignant=False, size=200))
    assert corner is not None
    assert corner.shape[:2] == (80, 80)
    assert corner.mean() > 100
    y, x = np.mgrid[:200, :200]
    off_middle = np.full((200, 200, 3), (215, 180, 160), np.uint8)
    off_middle[(y - 85) ** 2 + (x - 85) ** 2 < 40**2] = (90, 60, 45)  # reaches into the first corner that is tried
    clear = unrelated.plain_skin(off_middle)
    assert clear is not None
    assert clear.min() > 150
    assert unrelated.plain_skin(np.full((200, 200, 3), 180, np.uint8)) is None
