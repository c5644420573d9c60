"""What was measured, as frozen dataclasses without NumPy or torch: training writes them, whoever serves reads them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """A statistic on all pictures, and the range it falls in when the pictures are drawn again (95 %)."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class OutcomeCounts:
    """How many pictures of one class got which of the four answers; the names are those of the outcomes."""

    benign: int
    malignant: int
    uncertain: int
    not_assessable: int

    @property
    def total(self) -> int:
        return self.benign + self.malignant + self.uncertain + self.not_assessable


@dataclass(frozen=True)
class Outcomes:
    """The four answers by the truth: of benign and of malignant pictures."""

    benign: OutcomeCounts
    malignant: OutcomeCounts
