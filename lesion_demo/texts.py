"""Every text that a reader sees on the page and in a report, from one file per language: `texts.page.title`.

What stands in braces is filled in where the text is used. Some texts are by a name from elsewhere, as of an outcome, a
check or a data set: `texts.verdict.outcomes["benign"]`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from lesion_demo.errors import LesionDemoError
from lesion_demo.results import Interval

TRANSLATIONS = Path(__file__).resolve().parent / "translations"
SOURCE = "en"
"""The language that the others are translated from."""
NO_BREAK = "\N{NO-BREAK SPACE}"


class MissingTextError(LesionDemoError, AttributeError):
    """A text was asked for that no translation has."""


class Area(dict[str, Any]):
    """The texts of a part of the page: each a string, or strings by a name from elsewhere."""

    def __getattr__(self, key: str) -> Any:
        try:
            return self[key]
        except KeyError:
            raise MissingTextError(f"There is no text {key!r}; add it to every file in {TRANSLATIONS}.") from None


@dataclass(frozen=True)
class Texts:
    """All of them, in one language; the attributes are those of a file in `translations`."""

    language: str
    page: Area
    verdict: Area
    capture: Area
    quality: Area
    report: Area
    batch: Area
    server: Area
    about: Area

    def percent(self, share: float, digits: int = 1) -> str:
        """`share` (0–1) as a percentage; what would be rounded to 0 or 100 is told apart from it."""
        step = 10.0**-digits
        if 0 < share * 100 < step:
            return self.page.under.format(limit=self._percent(step, digits))
        if 100 - step < share * 100 < 100:
            return self.page.over.format(limit=self._percent(100 - step, digits))
        return self._percent(share * 100, digits)

    def interval(self, estimate: Interval, digits: int = 1) -> str:
        """A share with its interval: `90.4 % (87.7–92.9)`."""
        low, high = (self.number(end * 100, digits) for end in (estimate.low, estimate.high))
        return f"{self.percent(estimate.value, digits)} ({low}–{high})"

    def range_of(self, low: float, high: float) -> str:
        """Two shares (0–1) in whole percent: `92–99 %`, or one where they are the same."""
        ends = dict.fromkeys(self.number(end * 100) for end in (low, high))
        return f"{'–'.join(ends)}{NO_BREAK}%"

    def number(self, value: float, digits: int = 0) -> str:
        """`value` with this many decimals, its thousands set apart."""
        marks = {",": self.page.thousands_mark, ".": self.page.decimal_mark}
        return "".join(marks.get(sign, sign) for sign in f"{value:,.{digits}f}")

    def _percent(self, hundredths: float, digits: int) -> str:
        return f"{self.number(hundredths, digits)}{NO_BREAK}%"


def languages() -> list[str]:
    """The codes of the languages there are, `en` first."""
    codes = sorted(path.stem for path in TRANSLATIONS.glob("*.json"))
    return sorted(codes, key=lambda code: code != SOURCE)


def load_texts(language: str = SOURCE) -> Texts:
    """The texts in `language`.

    Raises:
        LesionDemoError: there is no such translation, or it lacks or has a key that it should not.
    """
    if language not in languages():
        raise LesionDemoError(f"There is no translation {language!r}; the available ones are {', '.join(languages())}.")
    values = _read(language)
    _require_same({field.name: {} for field in fields(Texts)[1:]} | _read(SOURCE), values, f"{language}.json")
    return Texts(language, **{name: Area(area) for name, area in values.items()})


def _read(language: str) -> dict[str, dict[str, Any]]:
    path = TRANSLATIONS / f"{language}.json"
    try:
        values: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LesionDemoError(f"{path} cannot be read ({error}): correct the translation.") from error
    return values


def _require_same(source: Mapping[str, Any], translated: Mapping[str, Any], where: str) -> None:
    """Has `translated` the keys of `source`, at every depth?"""
    if missing := sorted(source.keys() - translated.keys()):
        raise LesionDemoError(f"{where} lacks {', '.join(missing)}: correct the translation.")
    if unknown := sorted(translated.keys() - source.keys()):
        raise LesionDemoError(f"{where} should not have {', '.join(unknown)}: correct the translation.")
    for key, value in source.items():
        deeper = f"{where}: {key}" if where.endswith(".json") else f"{where}.{key}"
        if isinstance(value, dict) != isinstance(translated[key], dict):
            kind = "texts by name" if isinstance(value, dict) else "a text"
            raise LesionDemoError(f"{deeper} should be {kind}: correct the translation.")
        if isinstance(value, dict):
            _require_same(value, translated[key], deeper)
