"""An analyzer without a network, for the page: what it is to find, a test says beforehand."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lesion_demo.checkpoint import Checkpoint
from lesion_demo.config import OperatingPoint, PreprocessSpec
from lesion_demo.decision import DEFAULT_OPERATING_POINT
from lesion_demo.images import Pixels
from lesion_demo.images.artefacts import find_artefacts
from lesion_demo.images.look import Look
from lesion_demo.images.quality import check_quality
from lesion_demo.results import Confusion, Interval, Metrics, OutcomeCounts, Outcomes, PointReport, Report
from lesion_demo.serve.analysis import Analysis, Analyzer
from lesion_demo.serve.explanation import FULL, HeatMap
from lesion_demo.serve.familiarity import Familiarity

SIDE = 64
"""Of the square that it claims to have seen, pixels."""
POINTS = (OperatingPoint("sensitive", 0.25), OperatingPoint("balanced", 0.5), OperatingPoint("accuracy", 0.6))
TESTED = {
    "melanoma10k": {"sensitive": (0.9, 0.96), "balanced": (0.8, 0.98)},
    "ham10000": {"sensitive": (0.95, 0.8), "balanced": (0.9, 0.9)},
    "padufes20": {"sensitive": (0.5, 0.3), "balanced": (0.4, 0.4)},
}
"""Sensitivity and specificity by source, the last one of photographs; `accuracy` was not tested."""


def scores(name: str, threshold: float, sensitivity: float, specificity: float) -> PointReport:
    """Of 500 benign and 500 malignant pictures; one in ten of either is uncertain, one in fifty not assessable."""

    def around(value: float) -> Interval:
        return Interval(value, value - 0.03, value + 0.01)

    def answers(malignant: float) -> OutcomeCounts:
        higher, lower = (round(440 * share) for share in (malignant, 1 - malignant))
        return OutcomeCounts(benign=lower, malignant=higher, uncertain=50, not_assessable=10)

    found, cleared = round(500 * sensitivity), round(500 * specificity)
    return PointReport(
        name,
        threshold,
        sensitivity=around(sensitivity),
        specificity=around(specificity),
        confusion=Confusion(tn=cleared, fp=500 - cleared, fn=500 - found, tp=found),
        outcomes=Outcomes(benign=answers(1 - specificity), malignant=answers(sensitivity)),
    )


def fake_report(source: str) -> Report:
    points = tuple(
        scores(point.name, point.threshold, *TESTED[source][point.name])
        for point in POINTS
        if point.name in TESTED[source]
    )
    return Report(1000, 500, 900, photographs=source == "padufes20", points=points)


def fake_meta(margin: float = 0.0) -> Checkpoint:
    """A checkpoint with round figures, calibrated where half of the pictures are malignant."""
    metrics = Metrics(
        test=fake_report("melanoma10k"),
        test_by_source={"melanoma10k": fake_report("melanoma10k")},
        validation_by_source={source: fake_report(source) for source in TESTED},
    )
    return Checkpoint(
        backbone="fake",
        preprocess=PreprocessSpec(image_size=SIDE),
        temperature=1.0,
        operating_points=POINTS,
        val_roc_auc=0.9,
        referral_margin=margin,
        trained_at="2026-01-01",
        metrics=metrics,
        weights_sha256="f" * 64,
    )


class FakeAnalyzer(Analyzer):
    """Finds what its attributes say in every picture; the quality alone is measured.

    Attributes:
        probability: of malignancy, 0–1.
        margin: in log-odds, of the uncertain zone.
        familiar: does the picture look like those it has learnt from?
        photograph: does the picture look as if it was taken without a dermatoscope?
        silent: does nothing speak for malignant?
        asked: how many pictures it was shown.
        seen: the last of them, uint8 [H, W, 3].
    """

    def __init__(self) -> None:
        self.folder = Path("checkpoints/fake")
        self.meta = fake_meta()
        self.asked = 0
        self.seen: Pixels | None = None
        self.reset()

    def reset(self) -> None:
        """Lower concern, in a picture like any other."""
        self.probability, self.margin, self.familiar, self.silent = 0.1, 0.0, True, False
        self.photograph = self.bare_skin = False

    def margin_at(self, point: OperatingPoint) -> float:
        return self.margin

    def analyze(self, picture: Pixels | Look, point: OperatingPoint | None = None) -> Analysis:
        self.asked, self.seen = self.asked + 1, Look.of(picture).pixels
        look = Look.of(picture)
        lesion = blob(SIDE / 2, SIDE / 2) > 0.3
        values = FULL * ((0 if self.silent else 1) * blob(SIDE / 2, SIDE / 2) - 0.5 * blob(8, 8))
        return Analysis(
            probability=self.probability,
            operating_point=point or self.point(DEFAULT_OPERATING_POINT),
            margin=self.margin,
            quality=check_quality(look),
            familiarity=Familiarity(1.0 if self.familiar else 9.0, 2.0, self.photograph, self.bare_skin),
            artefacts=find_artefacts(look) if self.familiar else (),  # which may be said to be why
            skin_tone="light",
            heat=HeatMap(values.astype(np.float32), np.ones((SIDE, SIDE), bool), 0.0, 0.0),
            lesion=lesion,
            visible=look.visible(self.meta.preprocess).corner_and_size,
            shape=look.shape,
        )

    def probabilities(self, pictures: Iterable[Pixels]) -> NDArray[np.float64]:
        return np.array([self.probability for _ in pictures])


def blob(x: float, y: float) -> NDArray[np.float32]:
    """A round spot at (x, y), float32 [SIDE, SIDE] in 0–1."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * (SIDE / 8) ** 2)).astype(np.float32)
