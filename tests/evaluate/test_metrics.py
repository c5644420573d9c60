"""Scores against values worked out by hand and against scikit-learn; edges that must not crash; choices that hold."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn import metrics as sk

from lesion_demo.arrays import Floats, Ints, malignant_probability
from lesion_demo.config import OperatingPoint, to_dict
from lesion_demo.errors import DataError, LesionDemoError
from lesion_demo.evaluate import intervals
from lesion_demo.evaluate.calibration import (
    calibration_error,
    choose_threshold,
    fit_bias,
    fit_temperature,
    reliability_curve,
)
from lesion_demo.evaluate.scores import point_scores, report, score
from lesion_demo.results import Confusion, Interval

LABELS = np.array([0, 0, 0, 1, 1, 1])
PROBABILITIES = np.array([0.1, 0.4, 0.6, 0.3, 0.8, 0.9])


@pytest.fixture(autouse=True)
def _no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # What another test left for the garbage collector is not this module's.
        warnings.simplefilter("ignore", pytest.PytestUnraisableExceptionWarning)
        warnings.simplefilter("ignore", ResourceWarning)
        yield


@pytest.fixture(scope="module")
def pictures() -> tuple[Ints, Floats, Floats]:
    """Labels, probabilities with ties, and uneven weights of 300 pictures."""
    rng = np.random.default_rng(1)
    labels = (rng.random(300) < 0.3).astype(np.int64)
    probabilities = np.round(1 / (1 + np.exp(-(2.5 * labels - 1 + rng.normal(size=300)))), 2)
    return labels, probabilities, rng.uniform(0.2, 3.0, 300)


def test_malignant_probability_is_the_softmax_of_scaled_logits() -> None:
    logits = [[0.0, math.log(3)], [1000.0, 0.0], [5.0, 5.0]]
    assert malignant_probability(logits) == pytest.approx([0.75, 0.0, 0.5])
    assert malignant_probability(logits, 0.5)[0] == pytest.approx(0.9)
    with pytest.raises(DataError, match="shape"):
        malignant_probability([0.1, 0.2])


def test_score_by_hand() -> None:
    scores = score(LABELS, PROBABILITIES)  # tn 2, fp 1, fn 1, tp 2
    assert scores.count == 6
    assert (scores.accuracy, scores.precision, scores.recall, scores.f1) == pytest.approx((2 / 3,) * 4)
    assert scores.roc_auc == pytest.approx(7 / 9)  # of nine pairs, 0.3 loses to 0.4 and to 0.6
    assert scores.pr_auc == pytest.approx((1 + 1 + 3 / 5) / 3)
    truth = np.where(LABELS == 1, PROBABILITIES, 1 - PROBABILITIES)
    assert scores.loss == pytest.approx(-np.log(truth).mean())


def test_a_probability_at_the_threshold_is_malignant() -> None:
    scores = point_scores([0, 1], [0.4, 0.5], 0.5)
    assert scores.confusion == Confusion(tn=1, fp=0, fn=0, tp=1)
    assert score([0, 1], [0.4, 0.5]).accuracy == 1


def test_point_scores_by_hand() -> None:
    scores = point_scores(LABELS, PROBABILITIES, 0.35)
    assert scores.confusion == Confusion(tn=1, fp=2, fn=1, tp=2)
    assert (scores.accuracy, scores.precision, scores.f1) == pytest.approx((1 / 2, 1 / 2, 4 / 7))
    assert (scores.sensitivity, scores.specificity) == pytest.approx((2 / 3, 1 / 3))


def test_a_weight_of_two_is_the_picture_twice() -> None:
    once = score([*LABELS, 1], [*PROBABILITIES, 0.3])
    weighted = score(LABELS, PROBABILITIES, weights=[1, 1, 1, 2, 1, 1])
    for name in ("loss", "accuracy", "precision", "recall", "f1", "roc_auc", "pr_auc"):
        assert getattr(weighted, name) == pytest.approx(getattr(once, name)), name


def test_a_weight_of_zero_takes_a_picture_out() -> None:
    assert score(LABELS, PROBABILITIES, weights=[1, 1, 0, 1, 1, 1]) == score(
        np.delete(LABELS, 2), np.delete(PROBABILITIES, 2)
    )


def test_one_class_and_nothing_at_all_give_nan_without_a_warning() -> None:
    benign = score([0, 0], [0.1, 0.2])
    assert math.isnan(benign.roc_auc)
    assert math.isnan(benign.pr_auc)
    assert math.isnan(benign.recall)
    assert (benign.accuracy, benign.precision, benign.f1) == (1.0, 0.0, 0.0)
    assert math.isnan(point_scores([1, 1], [0.1, 0.9], 0.5).specificity)
    empty = score([], [])
    assert empty.count == 0
    assert math.isnan(empty.accuracy)


def test_certain_and_wrong_gives_a_finite_loss() -> None:
    assert 10 < score([0, 1], [1.0, 0.0]).loss < 1000


@pytest.mark.parametrize(
    ("labels", "probabilities", "weights", "words"),
    [
        ([0, 1], [0.5], None, "length"),
        ([0, 2], [0.5, 0.5], None, "Labels"),
        ([0, 1], [0.5, math.nan], None, "diverged"),
        ([0, 1], [0.5, 1.5], None, "0–1"),
        ([0, 1], [0.5, 0.5], [1, -1], "Weights"),
    ],
)
def test_input_that_cannot_be_scored_is_named(
    labels: object, probabilities: object, weights: object, words: str
) -> None:
    with pytest.raises(DataError, match=words):
        score(labels, probabilities, weights=weights)  # type: ignore[arg-type]


def test_resampled_statistics_agree_with_scikit_learn(pictures: tuple[Ints, Floats, Floats]) -> None:
    y, p, w = pictures
    counts = np.random.default_rng(2).integers(0, 4, len(y)).astype(np.float64)  # as a resample has: zeros too
    rows = np.stack([w, counts])
    verdicts = p >= 0.4
    expected = {
        "roc_auc": (intervals.roc_auc, lambda row: sk.roc_auc_score(y, p, sample_weight=row)),
        "pr_auc": (intervals.pr_auc, lambda row: sk.average_precision_score(y, p, sample_weight=row)),
        "brier": (intervals.brier, lambda row: sk.brier_score_loss(y, p, sample_weight=row)),
    }
    for name, (ours, theirs) in expected.items():
        assert ours(y, p, rows) == pytest.approx([theirs(row) for row in rows]), name
    at_point = {
        "accuracy": lambda row: sk.accuracy_score(y, verdicts, sample_weight=row),
        "precision": lambda row: sk.precision_score(y, verdicts, sample_weight=row),
        "sensitivity": lambda row: sk.recall_score(y, verdicts, sample_weight=row),
        "specificity": lambda row: sk.recall_score(y, verdicts, sample_weight=row, pos_label=0),
        "f1": lambda row: sk.f1_score(y, verdicts, sample_weight=row),
    }
    assert set(at_point) == set(intervals.RATES)
    for name, theirs in at_point.items():
        assert intervals.at_threshold(name, 0.4)(y, p, rows) == pytest.approx([theirs(row) for row in rows]), name


def test_bootstrap_interval_matches_the_normal_theory_of_a_share() -> None:
    labels = np.repeat([0, 1], 500)
    probabilities = np.where(np.arange(1000) % 5 == 0, 1 - labels, labels).astype(np.float64)  # 80 % right
    made = intervals.bootstrap(intervals.at_threshold("accuracy", 0.5), labels, probabilities)
    half = 1.96 * math.sqrt(0.8 * 0.2 / 1000)
    assert made.value == pytest.approx(0.8)
    assert (made.low, made.high) == pytest.approx((0.8 - half, 0.8 + half), abs=0.0025)


@pytest.mark.parametrize(("hits", "pictures"), [(0, 7), (3, 7), (58, 60), (60, 60)])
def test_a_share_has_wilsons_interval_as_scipy_has_it(hits: int, pictures: int) -> None:
    """Ours takes groups and weights, too, of which there need be no whole number."""
    made, judge = (
        intervals.share_of(np.arange(pictures) < hits),
        binomtest(hits, pictures).proportion_ci(method="wilson"),
    )
    assert (made.low, made.high) == pytest.approx((judge.low, judge.high), abs=2e-5)


def test_bootstrap_repeats_for_a_seed_and_in_chunks(
    pictures: tuple[Ints, Floats, Floats], monkeypatch: pytest.MonkeyPatch
) -> None:
    y, p, _ = pictures
    first = intervals.bootstrap(intervals.roc_auc, y, p, repeats=200, seed=3)
    assert first == intervals.bootstrap(intervals.roc_auc, y, p, repeats=200, seed=3)
    assert first != intervals.bootstrap(intervals.roc_auc, y, p, repeats=200, seed=4)
    monkeypatch.setattr(intervals, "_ENTRIES_AT_ONCE", 50 * len(y))
    chunked = intervals.bootstrap(intervals.roc_auc, y, p, repeats=200, seed=3)
    assert (chunked.value, chunked.low, chunked.high) == pytest.approx((first.value, first.low, first.high))


def test_pictures_of_one_lesion_are_drawn_together() -> None:
    """Every lesion four times: as many lesions as a quarter of the pictures, so an interval twice as wide."""
    labels = np.repeat([0, 1], 500)
    right = np.repeat(np.arange(250) % 5 != 0, 4)
    probabilities = np.where(right, labels, 1 - labels).astype(np.float64)
    groups = [f"lesion {number // 4}" for number in range(1000)]
    accuracy = intervals.at_threshold("accuracy", 0.5)
    alone, together = (intervals.bootstrap(accuracy, labels, probabilities, groups=made) for made in (None, groups))
    assert together.value == alone.value == pytest.approx(0.8)
    assert (together.high - together.low) / (alone.high - alone.low) == pytest.approx(2, rel=0.1)
    singles = intervals.bootstrap(accuracy, labels, probabilities, groups=[str(number) for number in range(1000)])
    assert singles.high - singles.low == pytest.approx(alone.high - alone.low, rel=0.1)
    with pytest.raises(DataError, match="3 groups for 1000 pictures"):
        intervals.bootstrap(accuracy, labels, probabilities, groups=["a", "b", "c"])


def test_two_runs_are_told_apart_on_the_same_resamples() -> None:
    """Each 84 to 87 % right, with overlapping intervals; but the second errs only where the first does, too."""
    labels = np.tile([0, 1], 300)
    first, second = (np.where(np.arange(600) % 25 < wrong, 1 - labels, labels).astype(np.float64) for wrong in (4, 3))
    accuracy = intervals.at_threshold("accuracy", 0.5)
    alone = [intervals.bootstrap(accuracy, labels, run) for run in (first, second)]
    assert alone[0].high > alone[1].low, "one by one they cannot be told apart"
    gain = intervals.paired_bootstrap(accuracy, labels, first, second)
    assert gain.value == pytest.approx(1 / 25)
    assert 0 < gain.low < gain.value < gain.high
    assert intervals.paired_bootstrap(accuracy, labels, first, first) == Interval(0, 0, 0)


def test_resamples_with_one_class_are_drawn_again() -> None:
    labels = np.array([0, 0, 0, 0, 1])  # a third of the plain resamples hold no malignant picture
    made = intervals.bootstrap(intervals.roc_auc, labels, np.array([0.1, 0.2, 0.3, 0.6, 0.5]), repeats=500)
    assert made.value == pytest.approx(0.75)
    assert 0 <= made.low <= 0.75 <= made.high <= 1


def test_report_becomes_json_and_agrees_with_the_scores(pictures: tuple[Ints, Floats, Floats]) -> None:
    y, p, _ = pictures
    made = report(y, p, [OperatingPoint("f1", 0.4), OperatingPoint("sensitive", 0.2)], repeats=200)
    plain = json.loads(json.dumps(to_dict(made), allow_nan=False))
    assert (plain["n"], plain["n_malignant"]) == (300, int(y.sum()))
    assert plain["roc_auc"]["value"] == pytest.approx(sk.roc_auc_score(y, p))
    assert plain["calibration_error"] == calibration_error(y, p)
    for point in plain["points"]:
        scores = to_dict(point_scores(y, p, point["threshold"]))
        assert point["confusion"] == scores.pop("confusion")
        for name, value in scores.items():
            assert point[name]["value"] == pytest.approx(value), name
            assert point[name]["low"] <= value <= point[name]["high"], name
        assert point["accuracy"]["low"] < point["accuracy"]["high"]


def test_report_on_one_class_and_on_nothing() -> None:
    made = report([0, 0, 0], [0.1, 0.2, 0.7], [OperatingPoint("f1", 0.5)], repeats=50)
    assert math.isnan(made.roc_auc.value)
    assert made.points[0].specificity.value == pytest.approx(2 / 3)
    with pytest.raises(DataError, match="no pictures"):
        report([], [], [])


def test_calibration_error_by_hand() -> None:
    labels = [0, 1, 1, 1]
    probabilities = [0.2, 0.4, 0.7, 0.9]  # bins of two: |0.3 − 0.5| and |0.8 − 1|, each half of the mass
    assert calibration_error(labels, probabilities, bins=2) == pytest.approx(0.2)
    # With weights 1, 1, 1, 3 the last picture is a bin alone: |1.3 − 2| / 6 and 3 × |0.9 − 1| / 6.
    assert calibration_error(labels, probabilities, bins=2, weights=[1, 1, 1, 3]) == pytest.approx(1 / 6)


def test_calibration_error_does_not_depend_on_the_order_of_ties() -> None:
    labels = np.repeat([0, 1], 50)
    probabilities = np.full(100, 0.5)
    assert calibration_error(labels, probabilities) == 0
    assert calibration_error(labels[::-1], probabilities) == 0


def test_reliability_bins_hold_alike_many_pictures_and_give_the_calibration_error() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.random(1500)
    labels = (rng.random(1500) < probabilities**2).astype(np.int64)
    curve = reliability_curve(labels, probabilities)
    assert curve.count.tolist() == [100] * 15
    assert (np.diff(curve.predicted) > 0).all()
    error = np.average(np.abs(curve.predicted - curve.observed), weights=curve.count)
    assert calibration_error(labels, probabilities) == pytest.approx(error)
    assert error == pytest.approx(1 / 6, abs=0.02)  # the mean of p − p²


def test_temperature_is_found_again() -> None:
    rng = np.random.default_rng(0)
    margin = rng.normal(scale=2, size=20_000)
    labels = (rng.random(20_000) < 1 / (1 + np.exp(-margin))).astype(np.int64)
    logits = np.stack([np.full_like(margin, 7.0), 7.0 + 3 * margin], axis=1)
    temperature = fit_temperature(logits, labels)
    assert temperature == pytest.approx(3, rel=0.05)
    best = score(labels, malignant_probability(logits, temperature)).loss
    for other in (0.97 * temperature, 1.03 * temperature):
        assert score(labels, malignant_probability(logits, other)).loss > best


def test_temperature_heeds_weights_and_stays_in_bounds() -> None:
    logits = [[0.0, 2.0], [0.0, 2.0], [2.0, 0.0], [2.0, 0.0]]
    labels = [1, 0, 0, 1]
    # Right with weight 3 in 4: the best probability is 3/4, the margin 2 / T is log 3.
    assert fit_temperature(logits, labels, weights=[3, 1, 3, 1]) == pytest.approx(2 / math.log(3), rel=1e-4)
    separated = fit_temperature(logits, labels, weights=[1, 0, 1, 0])
    assert separated == pytest.approx(0.05, rel=0.01)
    assert fit_temperature(logits, labels, weights=[0, 1, 0, 1]) == pytest.approx(20, rel=0.01)
    with pytest.raises(DataError, match="0 malignant"):
        fit_temperature(logits, [0, 0, 0, 0])


def test_the_bias_is_found_again_whatever_the_temperature() -> None:
    rng = np.random.default_rng(0)
    margin = rng.normal(scale=2, size=20_000)
    labels = (rng.random(20_000) < 1 / (1 + np.exp(-margin))).astype(np.int64)
    logits = np.stack([np.full_like(margin, 7.0), 7.0 + 3 * margin - 1.5], axis=1)
    assert fit_bias(logits, labels) == pytest.approx(1.5, abs=0.15)
    # With malignant pictures weighted twofold the odds are twice as high: log 2 on margins of scale 3.
    weighted = fit_bias(logits, labels, weights=np.where(labels == 1, 2.0, 1.0))
    assert weighted == pytest.approx(1.5 + 3 * math.log(2), abs=0.2)
    with pytest.raises(DataError, match="0 malignant"):
        fit_bias(logits[:4], [0, 0, 0, 0])


def test_thresholds_by_hand() -> None:
    labels = [0, 0, 1, 0, 1, 1]
    probabilities = [0.1, 0.2, 0.3, 0.5, 0.6, 0.8]
    choose = {name: choose_threshold(name, labels, probabilities) for name in ("f1", "balanced", "sensitive")}
    assert choose["sensitive"] == pytest.approx(0.25)  # all three found, and 0.2 left out
    assert choose["f1"] == pytest.approx(0.25)  # 6/7, above 4/5 at 0.55
    assert choose["balanced"] == pytest.approx(0.25)  # 2/3 at 0.25 and at 0.55: the more sensitive one
    heavy = choose_threshold("balanced", labels, probabilities, weights=[1, 1, 1, 3, 1, 1])
    assert heavy == pytest.approx(0.55)  # the benign 0.5 now counts three times
    lax = choose_threshold("sensitive", labels, probabilities, sensitivity_target=0.6)
    assert lax == pytest.approx(0.55)


@pytest.mark.parametrize("name", ["f1", "balanced"])
def test_thresholds_are_the_best_there_are(name: str, pictures: tuple[Ints, Floats, Floats]) -> None:
    y, p, w = pictures

    def value(threshold: float) -> float:
        rates = ("sensitivity", "specificity") if name == "balanced" else (name,)
        return sum(float(intervals.at_threshold(rate, threshold)(y, p, w[None])[0]) for rate in rates)

    chosen = choose_threshold(name, y, p, weights=w)
    assert chosen not in p
    assert value(chosen) == pytest.approx(max(value(threshold) for threshold in np.linspace(0, 1, 401)))


def test_the_sensitive_threshold_reaches_its_target_and_the_next_one_does_not(
    pictures: tuple[Ints, Floats, Floats],
) -> None:
    y, p, w = pictures
    chosen = choose_threshold("sensitive", y, p, weights=w)
    assert point_scores(y, p, chosen, weights=w).sensitivity >= 0.95
    above = p[p > chosen].min() + 1e-9
    assert point_scores(y, p, above, weights=w).sensitivity < 0.95


@pytest.mark.parametrize("name", ["f1", "balanced", "sensitive"])
def test_perfect_separation_is_cut_in_the_middle(name: str) -> None:
    assert choose_threshold(name, [0, 0, 1, 1], [0.0, 0.2, 0.6, 1.0]) == pytest.approx(0.4)


@pytest.mark.parametrize("name", ["f1", "balanced", "sensitive"])
@pytest.mark.parametrize("constant", [0.0, 0.5, 1.0])
def test_equal_scores_still_give_a_threshold(name: str, constant: float) -> None:
    threshold = choose_threshold(name, [0, 1, 1], [constant] * 3)
    assert 0 <= threshold <= 1
    assert point_scores([0, 1, 1], [constant] * 3, threshold).sensitivity == 1


def test_of_two_equally_good_thresholds_the_lower_is_taken() -> None:
    assert choose_threshold("balanced", [0, 0, 1], [1.0] * 3) == 0.5


@pytest.mark.parametrize("name", ["f1", "balanced", "sensitive"])
def test_a_threshold_that_would_have_to_clear_a_score_of_one_is_never_taken(name: str) -> None:
    # Calling all benign would be as balanced as calling all malignant, but no threshold in 0–1 does so here.
    threshold = choose_threshold(name, [0, 1, 0], [1.0, 0.2, 1.0])
    assert threshold == pytest.approx(0.1)
    assert point_scores([0, 1, 0], [1.0, 0.2, 1.0], threshold).sensitivity == 1


def test_neighbouring_floats_are_told_apart() -> None:
    low = 0.3
    for _ in range(2):  # the middle of two neighbours is rounded down once and up once
        high = float(np.nextafter(low, 1))
        threshold = choose_threshold("balanced", [0, 1], [low, high])
        assert point_scores([0, 1], [low, high], threshold).accuracy == 1
        low = high


def test_no_threshold_without_both_classes_or_by_an_unknown_name() -> None:
    with pytest.raises(DataError, match="2 benign and 0 malignant"):
        choose_threshold("f1", [0, 0], [0.1, 0.2])
    with pytest.raises(DataError, match="0 benign and 0 malignant"):
        choose_threshold("balanced", [], [])
    with pytest.raises(LesionDemoError, match="specific"):
        choose_threshold("specific", [0, 1], [0.1, 0.2])
