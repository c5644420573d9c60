"""Every plot draws, says what it should, keeps its text inside the picture, and leaves matplotlib's globals alone."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.lines import Line2D
from matplotlib.text import Text

from lesion_demo.arrays import Floats, Ints
from lesion_demo.config import OperatingPoint
from lesion_demo.errors import DataError
from lesion_demo.evaluate import plots
from lesion_demo.evaluate.calibration import calibration_error, reliability_curve
from lesion_demo.evaluate.scores import point_scores, score
from lesion_demo.results import Confusion

POINTS = (OperatingPoint("accuracy", 0.5), OperatingPoint("f1", 0.5), OperatingPoint("sensitive", 0.2))


@pytest.fixture(scope="module")
def pictures() -> tuple[Ints, Floats]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 200)
    return labels, 1 / (1 + np.exp(-(3 * labels - 1.5 + rng.normal(size=200))))


def history(epochs: int = 5) -> list[dict[str, object]]:
    """As `csv.DictReader` gives it: text, an untrained epoch 0, two stages, nan where nothing was measured."""
    rows: list[dict[str, object]] = []
    for epoch in range(epochs + 1):
        for split in ("train", "val") if epoch else ("val",):
            values = dict.fromkeys(plots.HISTORY_METRICS, f"{0.5 + 0.08 * epoch:.3f}")
            flips = "nan" if split == "train" else f"{0.3 / (epoch + 1):.3f}"
            stage = "head" if epoch < 3 else "all"
            rows.append(
                {"epoch": str(epoch), "stage": stage, "split": split, "loss": "0.5", "ring_flips": flips, **values}
            )
    return rows


def texts(figure: Figure) -> list[Text]:
    """Every visible text that is not empty."""
    found = figure.findobj(lambda artist: isinstance(artist, Text) and artist.get_visible() and artist.get_text() != "")
    return [text for text in found if isinstance(text, Text)]


def data(line: Line2D) -> tuple[list[float], list[float]]:
    x, y = (np.asarray(values, dtype=np.float64).tolist() for values in line.get_data())
    return x, y


def words(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in texts(figure))


def test_validation_metrics_start_at_the_untrained_epoch() -> None:
    figure = plots.plot_history(history(), kept_epoch=4)["validation_metrics"]
    assert [axes.get_title("left") for axes in figure.axes] == [
        "Accuracy",
        "Precision",
        "Recall (sensitivity)",
        "F1",
        "ROC-AUC",
        "PR-AUC",
    ]
    for axes in figure.axes:
        x, y = data(axes.lines[0])
        assert x == [0, 1, 2, 3, 4, 5]
        assert y == pytest.approx([0.5, 0.58, 0.66, 0.74, 0.82, 0.9])
        assert axes.get_title("right") == "0.820"
    assert "head (1–2), all (3–5)" in words(figure)
    assert "epoch 4" in words(figure)


def test_learning_curves_have_no_training_value_before_training() -> None:
    accuracy, loss = plots.plot_history(history())["learning_curves"].axes
    for axes in (accuracy, loss):
        lines = {line.get_label(): data(line)[0] for line in axes.lines}
        assert lines["Training"] == [1, 2, 3, 4, 5]
        assert lines["Validation"] == [0, 1, 2, 3, 4, 5]
        boundaries = [line for line in axes.lines if data(line)[0] == [2.5, 2.5]]
        assert len(boundaries) == 1


def test_ring_flips_are_drawn_where_they_were_measured() -> None:
    assert "ring_flips" in plots.plot_history(history())
    assert "ring_flips" not in plots.plot_history([{**row, "ring_flips": ""} for row in history()])
    assert set(plots.plot_history(history(0))) == {"validation_metrics", "learning_curves", "ring_flips"}


def test_roc_and_precision_recall_name_the_area_and_pass_through_the_points(pictures: tuple[Ints, Floats]) -> None:
    labels, probabilities = pictures
    scores = score(labels, probabilities)
    roc = plots.plot_roc({"Test": pictures}, POINTS)
    recall = plots.plot_precision_recall({"Test": pictures}, POINTS)
    assert f"ROC-AUC {scores.roc_auc:.3f}" in words(roc)
    assert f"PR-AUC {scores.pr_auc:.3f}" in words(recall)
    at = point_scores(labels, probabilities, 0.2)
    marked = data(roc.axes[0].lines[-1])
    assert (marked[0][0], marked[1][0]) == pytest.approx((1 - at.specificity, at.sensitivity))
    marked = data(recall.axes[0].lines[-1])
    assert (marked[0][0], marked[1][0]) == pytest.approx((at.sensitivity, at.precision))


def test_points_of_one_threshold_share_a_mark(pictures: tuple[Ints, Floats]) -> None:
    said = words(plots.plot_thresholds(*pictures, POINTS))
    assert "“accuracy”, “f1”\nthreshold 0.50" in said
    assert "“sensitive”\nthreshold 0.20" in said


def test_a_curve_needs_both_classes_and_an_evaluation_does_without(pictures: tuple[Ints, Floats]) -> None:
    with pytest.raises(DataError, match="0 malignant"):
        plots.plot_roc({"Test": ([0, 0], [0.1, 0.2])})
    made = plots.plot_evaluation([0, 0], [0.1, 0.2], POINTS)
    assert "roc" not in made
    assert "confusion_sensitive" in made


def test_confusion_shows_truth_by_row() -> None:
    figure = plots.plot_confusion(Confusion(tn=1443, fp=57, fn=25, tp=475), "Test")
    assert [text.get_text() for text in figure.axes[0].texts] == [
        "1,443",
        "96.2 % of benign",
        "57",
        "3.8 % of benign",
        "25",
        "5.0 % of malignant",
        "475",
        "95.0 % of malignant",
    ]


def test_confusion_without_a_malignant_picture() -> None:
    said = words(plots.plot_confusion(Confusion(tn=3, fp=1, fn=0, tp=0), "Test"))
    assert "0.0 % of malignant" in said


def test_reliability_says_the_calibration_error(pictures: tuple[Ints, Floats]) -> None:
    figure = plots.plot_reliability({"Test": reliability_curve(*pictures)})
    assert f"calibration error {calibration_error(*pictures):.3f}" in words(figure)


def test_threshold_curves_are_the_scores(pictures: tuple[Ints, Floats]) -> None:
    figure = plots.plot_thresholds(*pictures)
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    at = point_scores(*pictures, 0.25)
    for label in ("Accuracy", "Precision", "Sensitivity", "Specificity", "F1"):
        x, y = data(lines[label])
        assert np.interp(0.25, x, y) == pytest.approx(getattr(at, label.lower())), label


def test_plots_are_written_whole_and_no_text_is_cut_or_overprinted(
    pictures: tuple[Ints, Floats], tmp_path: Path
) -> None:
    name = "melanoma10k test, pictures without near-duplicates in training"
    figures = plots.plot_history(history(), kept_epoch=4) | plots.plot_evaluation(*pictures, POINTS[1:], name=name)
    paths = plots.write_plots(tmp_path / "plots", figures)
    assert [path.name for path in paths] == [f"{key}.png" for key in figures]
    for path, (key, figure) in zip(paths, figures.items(), strict=True):
        height, width = imread(path).shape[:2]
        assert (width, height) == tuple(round(side * plots.DPI) for side in figure.get_size_inches())
        boxes = _text_boxes(figure)
        for said, (left, bottom, right, top) in boxes:
            inside = left > -1 and bottom > -1 and right < figure.bbox.width + 1 and top < figure.bbox.height + 1
            assert inside, f"{key}: {said!r} is cut"
        for legend, axes in itertools.product(figure.legends, figure.axes):
            assert not _overlap(legend.get_window_extent().extents, axes.bbox.extents), f"{key}: the legend hides data"
        for index, (said, box) in enumerate(boxes):
            for other, its_box in boxes[index + 1 :]:
                assert not _overlap(box, its_box), f"{key}: {said!r} is over {other!r}"


def _text_boxes(figure: Figure) -> list[tuple[str, tuple[float, float, float, float]]]:
    """What each drawn text says and where it is, pixels; ticks outside the axis are not drawn."""
    figure.draw_without_rendering()
    hidden = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            outside = [tick for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high]
            hidden |= {id(label) for tick in outside for label in (tick.label1, tick.label2)}
    return [(text.get_text(), text.get_window_extent().extents) for text in texts(figure) if id(text) not in hidden]


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return min(a[2], b[2]) - max(a[0], b[0]) > 1 and min(a[3], b[3]) - max(a[1], b[1]) > 1


def test_matplotlib_globals_are_left_alone(pictures: tuple[Ints, Floats]) -> None:
    settings = dict(matplotlib.rcParams)
    plots.plot_history(history())
    plots.plot_evaluation(*pictures, POINTS)
    assert dict(matplotlib.rcParams) == settings
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()
