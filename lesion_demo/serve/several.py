"""Several pictures of one lesion: one answer, how far they lie apart, and whether they agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from lesion_demo.config import OperatingPoint
from lesion_demo.decision import CONCERN, Outcome, decide, log_odds, probability_of, uncertain_zone
from lesion_demo.errors import ImageError
from lesion_demo.local_calibration import LocalCalibration
from lesion_demo.serve.analysis import Analysis
from lesion_demo.serve.table import CsvRow

FEWEST, MOST = 2, 5
"""Pictures that one lesion may have."""
ONE_LESION = "one lesion"
"""What the row of the lesion has in a table's column `file`, after those of its pictures."""


@dataclass(frozen=True)
class Several:
    """What is said of a lesion by several pictures of it, each of which counts alike.

    It answers the questions that an `Analysis` of one picture answers, by the same names.

    Attributes:
        pictures: the analyses of 2 to 5 pictures, all judged at `operating_point`.
        margin: closer to the threshold than this, in log-odds, the verdict is `uncertain`: as for one picture.
    """

    pictures: tuple[Analysis, ...]
    operating_point: OperatingPoint
    margin: float

    @classmethod
    def of(cls, pictures: Sequence[Analysis], point: OperatingPoint, margin: float) -> Several:
        """`pictures` of one lesion, judged at `point`, whatever they were judged at before.

        Raises:
            ImageError: there are fewer than 2 or more than 5 of them.
        """
        require_count(len(pictures))
        return cls(tuple(picture.at(point, margin) for picture in pictures), point, margin)

    @property
    def assessed(self) -> tuple[Analysis, ...]:
        """The pictures that the answer rests on: those that can be assessed."""
        return tuple(picture for picture in self.pictures if picture.assessable)

    @property
    def assessable(self) -> bool:
        """Is there a verdict at all?"""
        return bool(self.assessed)

    @property
    def probability(self) -> float:
        """Of malignancy, 0–1: that of the mean calibrated log-odds of `assessed`, or of all where none can be assessed.

        The network's own turns are averaged likewise.
        """
        low, high = self.range
        if low == high:  # not a rounding away from it, as the threshold may be there
            return low
        return probability_of(fmean(log_odds(picture.probability) for picture in self.assessed or self.pictures))

    @property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest probability (0–1) among the same pictures."""
        found = [picture.probability for picture in self.assessed or self.pictures]
        return min(found), max(found)

    @property
    def verdict(self) -> Outcome:
        return decide(self.probability, self.operating_point, margin=self.margin, assessable=self.assessable)

    @property
    def uncertain_zone(self) -> tuple[float, float]:
        """Between these probabilities (0–1) the verdict is `uncertain`."""
        return uncertain_zone(self.operating_point, self.margin)

    @property
    def agree(self) -> bool:
        """Do all pictures that can be assessed have the same verdict?"""
        return len({picture.verdict for picture in self.assessed}) <= 1

    @property
    def gravest(self) -> Outcome:
        """The verdict of most concern among `assessed`; `NOT_ASSESSABLE` where there is none."""
        return min((picture.verdict for picture in self.assessed), key=CONCERN.index, default=Outcome.NOT_ASSESSABLE)

    def row(self, local: LocalCalibration | None = None) -> CsvRow:
        """Its line in a table, with the clinic that the probabilities are fitted to."""
        low, high = self.range
        said = f"mean of {len(self.assessed)} of {len(self.pictures)} pictures, from {low:.6f} to {high:.6f}"
        return CsvRow(
            file=ONE_LESION,
            probability=f"{self.probability:.6f}",
            verdict=self.verdict.value,
            operating_point=self.operating_point.name,
            threshold=f"{self.operating_point.threshold:.6f}",
            calibration="" if local is None else str(local),
            note=said if self.agree else f"{said}; their verdicts differ",
        )


def require_count(pictures: int) -> None:
    """Check that one lesion may have so many `pictures`.

    Raises:
        ImageError: it may not.
    """
    if not FEWEST <= pictures <= MOST:
        raise ImageError(
            f"One lesion needs {FEWEST} to {MOST} pictures that can be read, not {pictures}: choose others, or analyse "
            f"each by itself."
        )
