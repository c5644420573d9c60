"""Two pictures of one lesion, taken on two dates: did its score change by more than the model's own scatter?"""

from __future__ import annotations

from dataclasses import dataclass

from lesion_demo.decision import log_odds, probability_of
from lesion_demo.serve.analysis import Analysis

Range = tuple[float, float]
"""From one probability (0–1) to a higher one."""


@dataclass(frozen=True)
class TwoDates:
    """An `earlier` and a `later` picture, judged at the same operating point.

    They are not averaged: each keeps its own result, and that of the later one is the one to act on.
    """

    earlier: Analysis
    later: Analysis

    @property
    def comparable(self) -> bool:
        """Could both pictures be assessed?"""
        return self.earlier.assessable and self.later.assessable

    @property
    def scatter(self) -> tuple[Range, Range] | None:
        """Of either picture, its score less and plus a standard deviation over the turns, in log-odds.

        None where a picture was looked at in one turn only.
        """
        if self.earlier.spread is None or self.later.spread is None:
            return None
        return _around(self.earlier, self.earlier.spread), _around(self.later, self.later.spread)

    @property
    def beyond_scatter(self) -> bool:
        """Do the two ranges of `scatter` lie apart? Light, zoom or the camera may be why, too."""
        if self.scatter is None:
            return False
        (low, high), (later_low, later_high) = self.scatter
        return later_low > high or later_high < low


def _around(picture: Analysis, spread: float) -> Range:
    middle = log_odds(picture.probability)
    return probability_of(middle - spread), probability_of(middle + spread)
