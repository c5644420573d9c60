"""One picture through everything the demo has to say about it: quality → probability → verdict → explanation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lesion_demo.checkpoint import LoadedCheckpoint
from lesion_demo.config import CLASSES, OperatingPoint
from lesion_demo.imaging.quality import QualityReport, check_quality
from lesion_demo.imaging.transforms import Picture, visible_part
from lesion_demo.serving.explanation import Heat, explain, place
from lesion_demo.serving.predictor import Predictor

BENIGN, MALIGNANT = CLASSES
"""The two verdicts."""
DEFAULT_OPERATING_POINT = "sensitive"
"""A missed melanoma costs more than a needless visit."""


def verdict_of(probability: float, point: OperatingPoint) -> str:
    """`malignant` where `probability` (0–1) is at or above the operating point's threshold, else `benign`."""
    return MALIGNANT if probability >= point.threshold else BENIGN


@dataclass(frozen=True)
class Analysis:
    """What is said of one picture.

    Attributes:
        probability: of malignancy, 0–1, calibrated at the checkpoint's prevalence.
        quality: is the picture fit to be judged? The probability stands either way.
        heat: float32 [S, S] in 0–1, over the square that the network saw: where the picture speaks for `malignant`.
            It explains this class whatever the verdict, so that it means the same for every picture.
        visible: that square in the picture: left, top, width, height in pixels.
        shape: height and width of the picture in pixels.
    """

    probability: float
    operating_point: OperatingPoint
    quality: QualityReport
    heat: Heat
    visible: tuple[int, int, int, int]
    shape: tuple[int, int]

    @property
    def verdict(self) -> str:
        """`benign` or `malignant`."""
        return verdict_of(self.probability, self.operating_point)

    @property
    def heat_map(self) -> Heat:
        """The heat map [H, W] over the whole picture; 0 outside of what the network saw."""
        return self.heat_map_for(*self.shape)

    def heat_map_for(self, height: int, width: int) -> Heat:
        """The heat map [height, width] over a copy of the picture that was scaled to this size."""
        rows, columns = self.shape
        left, top, across, down = self.visible
        x, y = round(left * width / columns), round(top * height / rows)
        right, bottom = round((left + across) * width / columns), round((top + down) * height / rows)
        return place(self.heat, (x, y, right - x, bottom - y), (height, width))

    def at(self, point: OperatingPoint) -> Analysis:
        """The same findings, judged at another operating point."""
        return replace(self, operating_point=point)


class Analyzer:
    """A checkpoint, ready to be asked about pictures; threads may share one."""

    def __init__(self, loaded: LoadedCheckpoint) -> None:
        """Takes over `loaded.model`.

        Raises:
            CheckpointError: the checkpoint lacks the default operating point.
        """
        self.folder = loaded.folder
        self.meta = loaded.meta
        self.meta.operating_point(DEFAULT_OPERATING_POINT)
        self._predictor = Predictor(loaded)

    def analyze(self, picture: Picture, *, operating_point: str = DEFAULT_OPERATING_POINT) -> Analysis:
        """Everything about `picture`, uint8 [H, W, 3].

        Raises:
            CheckpointError: the checkpoint has no such operating point.
        """
        point = self.meta.operating_point(operating_point)
        inputs = self._predictor.prepare(picture)[None]  # [1, 3, S, S]
        (probability,) = self._predictor.predict(inputs)
        heat = explain(self._predictor.model, self._predictor.to_device(inputs), CLASSES.index(MALIGNANT))
        height, width = picture.shape[:2]
        return Analysis(
            probability=float(probability),
            operating_point=point,
            quality=check_quality(picture),
            heat=heat,
            visible=visible_part(self.meta.preprocess, picture),
            shape=(height, width),
        )

    def probabilities(self, pictures: Iterable[Picture]) -> NDArray[np.float64]:
        """Calibrated probabilities of malignancy [N] in 0–1 of N pictures uint8 [H, W, 3], without explanations."""
        return self._predictor.probabilities(pictures)
