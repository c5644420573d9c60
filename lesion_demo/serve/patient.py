"""What a reader may note of the patient on a report: never required, not used by the model, and kept nowhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lesion_demo.errors import ReportError
from lesion_demo.texts import Texts

OLDEST = 120
"""Years."""


@dataclass(frozen=True)
class Patient:
    """Notes for one report; what was not stated is None or empty.

    Attributes:
        age: in whole years, 0 to 120.
        sex: a key of `texts.report.sexes`.
        site: of the body; a key of `texts.report.sites`, as the ISIC archive names them (`anatom_site_general`).
    """

    age: int | None = None
    sex: str = ""
    site: str = ""

    @classmethod
    def of(cls, age: str, sex: str | None, site: str | None, texts: Texts) -> Patient:
        """What stands in the fields of the page.

        Raises:
            ReportError: `age` is neither empty nor a whole number of years that somebody may have.
        """
        age = age.strip()
        if age and not (age.isdecimal() and int(age) <= OLDEST):
            raise ReportError(texts.report.no_age.format(oldest=OLDEST))
        return cls(int(age) if age else None, sex or "", site or "")

    @property
    def stated(self) -> dict[str, Any]:
        """For JSON: what was stated, by its name."""
        return {name: value for name, value in vars(self).items() if value not in (None, "")}

    def in_words(self, texts: Texts) -> str:
        """`Age: 54; Sex: female`, or nothing."""
        words = texts.report
        told = {
            words.age: "" if self.age is None else texts.number(self.age),
            words.sex: words.sexes.get(self.sex, self.sex),
            words.site: words.sites.get(self.site, self.site),
        }
        return "; ".join(f"{name}: {value}" for name, value in told.items() if value)


UNSTATED = Patient()
"""Nothing was noted."""
