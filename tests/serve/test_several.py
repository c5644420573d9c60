"""Several pictures of one lesion: one answer, how far they lie apart, and whether they agree."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from fake_analyzer import FakeAnalyzer, fake_meta
from PIL import Image

from lesion_demo.__main__ import main
from lesion_demo.decision import Outcome, log_odds, probability_of
from lesion_demo.errors import ImageError
from lesion_demo.images.phantom import render_phantom
from lesion_demo.serve.analysis import Analysis
from lesion_demo.serve.familiarity import Familiarity
from lesion_demo.serve.phrases import change_of_score
from lesion_demo.serve.several import Several
from lesion_demo.serve.two_dates import TwoDates
from lesion_demo.texts import load_texts

BALANCED = fake_meta().operating_point("balanced")
"""Its threshold is 0.5."""
ONE = FakeAnalyzer().analyze(render_phantom(5, malignant=True))
STRANGE = Familiarity(9.0, 2.0)


def several(*probabilities: float | None, margin: float = 0.0) -> Several:
    """Of these probabilities; None stands for a picture that cannot be assessed, with a probability of 0.999."""
    return Several.of([analysis(one) for one in probabilities], BALANCED, margin)


def analysis(probability: float | None) -> Analysis:
    if probability is None:
        return replace(ONE, probability=0.999, familiarity=STRANGE)
    return replace(ONE, probability=probability)


def test_one_answer_is_the_mean_of_the_log_odds() -> None:
    found = several(0.2, 0.9, 0.6)
    assert log_odds(found.probability) == pytest.approx((log_odds(0.2) + log_odds(0.9) + log_odds(0.6)) / 3)
    assert found.range == (0.2, 0.9)
    assert found.verdict is Outcome.MALIGNANT
    assert several(0.2, 0.8).probability == pytest.approx(0.5)
    assert several(0.0, 1.0).probability == pytest.approx(0.5, abs=1e-5)


def test_pictures_that_cannot_be_assessed_do_not_count() -> None:
    found = several(0.2, None, 0.3)
    assert len(found.assessed) == 2
    assert found.range == (0.2, 0.3)
    assert 0.2 < found.probability < 0.3
    assert (found.verdict, found.agree) == (Outcome.BENIGN, True)
    assert several(None, 0.7).probability == 0.7


def test_without_an_assessable_picture_there_is_no_verdict() -> None:
    found = several(None, None)
    assert (found.assessable, found.verdict, found.agree) == (False, Outcome.NOT_ASSESSABLE, True)
    assert found.gravest is Outcome.NOT_ASSESSABLE


def test_pictures_of_equal_score_get_the_answer_that_each_of_them_gets() -> None:
    for probability in (0.5, 0.25, 0.3000000000000001, 1e-15):
        found = several(probability, probability, probability)
        assert found.probability == probability
        assert {picture.verdict for picture in found.pictures} == {found.verdict}


def test_they_disagree_where_their_verdicts_differ_whatever_their_mean() -> None:
    found = several(0.1, 0.2, 0.6)
    assert (found.verdict, found.agree, found.gravest) == (Outcome.BENIGN, False, Outcome.MALIGNANT)
    assert several(0.6, 0.99).agree
    close = several(0.45, 0.1, margin=0.5)
    assert (close.agree, close.gravest) == (False, Outcome.UNCERTAIN)


def test_the_mean_is_uncertain_within_the_margin_of_one_picture() -> None:
    assert several(0.2, 0.8, margin=0.4).verdict is Outcome.UNCERTAIN
    assert several(0.2, 0.8).verdict is Outcome.MALIGNANT


def test_all_are_judged_at_one_operating_point() -> None:
    sensitive = fake_meta().operating_point("sensitive")
    found = Several.of([replace(ONE, probability=0.3), replace(ONE, probability=0.4)], sensitive, 0.1)
    assert {(one.operating_point, one.margin) for one in found.pictures} == {(sensitive, 0.1)}
    assert found.verdict is Outcome.MALIGNANT


@pytest.mark.parametrize(("spread", "beyond"), [(0.3, True), (0.6, False), (None, False)])
def test_a_change_of_score_is_measured_by_its_scatter_over_the_turns(spread: float | None, beyond: bool) -> None:
    earlier, later = (replace(analysis(probability), spread=spread) for probability in (0.5, probability_of(1.0)))
    found, words = TwoDates(earlier, later), load_texts("en").batch
    assert found.beyond_scatter is TwoDates(later, earlier).beyond_scatter is beyond
    if found.scatter is not None and spread is not None:
        (low, high), _ = found.scatter
        assert (log_odds(low), log_odds(high)) == pytest.approx((-spread, spread))
    said = change_of_score(found, load_texts("en"))
    assert "50.0\u202f% in the earlier picture and is 73.1\u202f%" in said[0].replace("\u00a0", "\u202f")
    kind = words.dates_unknown if spread is None else words.dates_beyond if beyond else words.dates_within
    assert kind.partition("{")[0] in " ".join(said)
    assert said[-1] == words.dates_caution


def test_scores_of_two_dates_are_not_compared_where_one_cannot_be_assessed() -> None:
    found = TwoDates(replace(analysis(None), spread=0.1), replace(ONE, probability=0.3, spread=0.1))
    assert not found.comparable
    assert change_of_score(found, load_texts("en"))[0] == load_texts("en").batch.dates_none


@pytest.mark.parametrize("count", [0, 1, 6])
def test_a_lesion_has_two_to_five_pictures(count: int) -> None:
    with pytest.raises(ImageError, match=f"2 to 5 pictures that can be read, not {count}"):
        several(*[0.2] * count)


@pytest.fixture
def score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeAnalyzer:
    """What `score` asks is a fake; its verdict goes by the size of the picture: 0.9 up to 150 pixels, else 0.1."""

    class BySize(FakeAnalyzer):
        def analyze(self, picture, point=None):  # type: ignore[no-untyped-def]
            self.probability = 0.9 if picture.shape[0] <= 150 else 0.1
            return super().analyze(picture, point)

    analyzer = BySize()
    loaded = SimpleNamespace(folder=Path("fake"), meta=analyzer.meta)
    monkeypatch.setattr("lesion_demo.checkpoint.find_best_checkpoint", lambda **_: None)
    monkeypatch.setattr("lesion_demo.serve.opened.open_checkpoint", lambda *_: loaded)
    monkeypatch.setattr("lesion_demo.serve.analysis.Analyzer", lambda *_, **__: analyzer)
    for name, size in (("a", 140), ("b", 200), ("c", 220)):
        Image.fromarray(render_phantom(5, malignant=True, size=size)).save(tmp_path / f"{name}.png")
    monkeypatch.chdir(tmp_path)
    return analyzer


def rows() -> list[dict[str, str]]:
    with Path("out.csv").open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def test_command_gives_one_answer_after_the_pictures_own(
    score: FakeAnalyzer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", "--out", "out.csv", "--one-lesion", "a.png", "b.png", "c.png"]) == 0
    found = rows()
    assert [row["file"] for row in found] == ["a.png", "b.png", "c.png", "one lesion"]
    assert [row["verdict"] for row in found] == ["malignant", "benign", "benign", "malignant"]
    assert found[-1]["note"] == "mean of 3 of 3 pictures, from 0.100000 to 0.900000; their verdicts differ"
    assert float(found[-1]["probability"]) == pytest.approx(0.3247, abs=1e-4)
    assert "One lesion: malignant, 0.325 (mean of 3 of 3 pictures" in capsys.readouterr().out


def test_command_tells_what_it_could_not_read_and_answers_by_the_others(score: FakeAnalyzer) -> None:
    Path("letter.png").write_bytes(b"Dear doctor")
    arguments = ["score", "--out", "out.csv", "--one-lesion", "letter.png", "b.png"]
    assert main([*arguments, "c.png"]) == 1
    assert [bool(row["error"]) for row in rows()] == [True, False, False, False]
    assert rows()[-1]["note"].startswith("mean of 2 of 2")


def test_command_without_enough_pictures_says_so(score: FakeAnalyzer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", "--out", "out.csv", "--one-lesion", "a.png"]) == 1
    assert "not 1: choose others" in capsys.readouterr().err
    assert score.asked == 0
    Path("letter.png").write_bytes(b"Dear doctor")
    assert main(["score", "--out", "out.csv", "--one-lesion", "letter.png", "b.png"]) == 1
    assert "not 1: choose others" in capsys.readouterr().err
    assert [row["file"] for row in rows()] == ["letter.png", "b.png"]
