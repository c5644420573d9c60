"""Figures and names as a reader meets them; what was not measured is a dash, and a name without a text is itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lesion_demo.card.folder import SourceResult
from lesion_demo.results import Interval, PlantedResult
from lesion_demo.texts import Texts

MINUS = "\N{MINUS SIGN}"


def share(interval: Interval | None, texts: Texts) -> str:
    """`90.4 % (87.7–92.9)`."""
    return texts.interval(interval) if interval is not None and interval.known else texts.about.dash


def ratio(interval: Interval | None, texts: Texts) -> str:
    """`0.963 (0.952–0.973)`."""
    if interval is None or not interval.known:
        return texts.about.dash
    ends = {name: decimal(value, texts) for name, value in vars(interval).items()}
    return texts.about.with_interval.format(**ends)


def complement(interval: Interval) -> Interval:
    """Of a share, the rest: from sensitivity to misses."""
    return Interval(1 - interval.value, 1 - interval.high, 1 - interval.low)


def decimal(value: float | None, texts: Texts) -> str:
    """`0.066`."""
    return texts.about.dash if value is None or math.isnan(value) else texts.number(value, 3)


def signed(value: float | None, texts: Texts) -> str:
    """`+0.066`, with a sign in any case."""
    if value is None or math.isnan(value):
        return texts.about.dash
    return f"{MINUS if value < 0 else '+'}{texts.number(abs(value), 3)}"


def count(value: int | None, texts: Texts) -> str:
    """`1,000`."""
    return texts.about.dash if value is None else texts.number(value)


def fault_name(name: str, texts: Texts) -> str:
    """What was done to a picture on purpose, or drawn on it."""
    return capital(texts.about.degradations.get(name) or texts.quality.artefacts.get(name, name))


def reason_shares(planted: Sequence[PlantedResult], texts: Texts) -> tuple[str, str, str]:
    """Of all reasons, the shares that name the fault, that say only that the picture is unlike others, and the rest."""
    given = sum(one.reasons for one in planted)
    kinds = [sum(getattr(one, kind) for one in planted) for kind in ("right", "unlike", "other")]
    right, unlike, other = (texts.percent(number / given, 0) if given else texts.about.dash for number in kinds)
    return right, unlike, other


_WRITTEN: dict[str, Callable[[Any, Texts], str]] = {
    **dict.fromkeys(("n", "n_benign", "n_malignant", "tp", "fn", "fp", "tn"), count),
    **dict.fromkeys(("roc_auc", "roc_auc_unwarned", "pr_auc", "brier", "without_lesion", "without_disc"), ratio),
    **dict.fromkeys(("threshold", "calibration_error", "balanced_calibration_error", "slope"), decimal),
    **dict.fromkeys(("area", "deletion", "insertion"), decimal),
    **dict.fromkeys(("shift", "shift_benign", "shift_malignant"), signed),
    **dict.fromkeys(("intercept", "log_odds", "log_odds_without_lesion"), signed),
}
"""How a figure is written, by its name; any other is a share."""


def figures(result: object | None, names: Iterable[str], texts: Texts) -> Iterator[str]:
    """What a result says under `names`, each as it is written; a dash for each where there is no result."""
    for name in names:
        yield texts.about.dash if result is None else _WRITTEN.get(name, share)(getattr(result, name), texts)


def plain(value: float | str | None, texts: Texts) -> str:
    """A setting as it was written: `0.0012`, `auto`."""
    if value is None:
        return texts.about.dash
    if isinstance(value, bool):
        return texts.about.yes if value else texts.about.no
    return value if isinstance(value, str) else f"{value:g}".replace(".", texts.page.decimal_mark)


def point_name(name: str, texts: Texts) -> str:
    """What an operating point is called in the whole page."""
    return texts.verdict.points.get(name, name)


def source_name(name: str, texts: Texts) -> str:
    """A data set's name, and in brackets what it holds where that is known."""
    note = texts.about.source_notes.get(name)
    title = texts.about.sources.get(name, name)
    return f"{title} ({note})" if note else title


def clinic_name(result: SourceResult, texts: Texts) -> str:
    """A data set's name, and what its pictures were to the run."""
    if not result.source:
        return texts.about.unnamed_source
    source = texts.about.sources.get(result.source, result.source)
    return texts.about.parts[result.part].format(source=source)


def subgroup_name(name: str, texts: Texts) -> str:
    """`skin tone dark` is worded by its kind, `skin tone`; the value itself stays as it is, unless it is a tone."""
    words = texts.about.subgroups
    if name in words:
        return words[name]
    kinds = [kind for kind, text in words.items() if "{value}" in text and name.startswith(f"{kind} ")]
    if not kinds:
        return name
    value = name[len(kinds[0]) + 1 :]
    return words[kinds[0]].format(value=texts.quality.tones.get(value, value))


def result_name(key: str, texts: Texts) -> str:
    """A set of test pictures, by its key in `metrics.json`."""
    return texts.about.results.get(key, key.replace("_", " "))


def init_name(init: str, texts: Texts) -> str:
    """Where the first weights came from."""
    return texts.about.inits.get(init) or texts.about.init_checkpoint.format(name=Path(init).name)


def capital(text: str) -> str:
    """With a capital at the beginning of a sentence."""
    return text[:1].upper() + text[1:]
