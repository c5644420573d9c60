"""Every text that a reader sees on the page and in a report, from one file per language."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

from lesion_demo.errors import LesionDemoError
from lesion_demo.results import Interval

TRANSLATIONS = Path(__file__).resolve().parent / "translations"
SOURCE = "en"
"""The language that the others are translated from."""
NO_BREAK = "\N{NO-BREAK SPACE}"

Words = Mapping[str, str]
"""Texts by a name from elsewhere: an outcome, a check, an operating point. Where there is none, that name is shown."""


@dataclass(frozen=True)
class PageTexts:
    """The page as a whole, capture apart. What stands in braces is filled in where the text is used.

    Attributes:
        decimal_mark, thousands_mark: of numbers.
        under, over: a share that would be rounded to none or to all of it.
        examples: captions by the example's file name, without its number.
        failure_headings, failures: by the reason that `lesion_demo/ui/display.js` gives.
        methods, method_notes: by the name of the way that the heat map was made.
    """

    title: str
    disclaimer: str
    decimal_mark: str
    thousands_mark: str
    under: str
    over: str
    tab_one: str
    tab_many: str
    tab_about: str
    picture_label: str
    picture_hint: str
    picture_alt: str
    dermoscopic_label: str
    empty_heading: str
    empty_text: str
    unreadable_heading: str
    waiting: str
    failure_headings: Words
    failures: Words
    heat_heading: str
    heat_alt: str
    heat_handle_label: str
    heat_caption: str
    heat_outside: str
    heat_empty: str
    heat_off_lesion: str
    heat_not_assessable: str
    heat_settings: str
    heat_less: str
    heat_more: str
    method_label: str
    methods: Words
    method_notes: Words
    opacity_label: str
    take_heading: str
    take_text: str
    case_id_label: str
    case_id_info: str
    pdf_button: str
    json_button: str
    examples_label: str
    examples: Words
    model_line: str


@dataclass(frozen=True)
class VerdictTexts:
    """The verdict and what it means: `outcomes`, `advice` and `called` by outcome, `points`, `point_notes` by operating
    point."""

    label: str
    outcomes: Words
    advice: Words
    above: str
    below: str
    in_zone: str
    probability_label: str
    threshold_label: str
    zone_label: str
    trained_prevalence: str
    fitted: str
    not_assessable_lead: str
    unfamiliar: str
    bare_skin: str
    number_anyway: str
    number_anyway_text: str
    warning_heading: str
    warning_lead: str
    not_dermoscopic_heading: str
    not_dermoscopic: str
    looks_not_dermoscopic: str
    first_of_several_heading: str
    first_of_several: str
    point_label: str
    points: Words
    point_notes: Words
    custom: str
    custom_note: str
    custom_threshold_label: str
    measured: str
    measured_range: str
    measured_seen: str
    meaning_heading: str
    prevalence_label: str
    prevalence_info: str
    post_test: str
    no_post_test: str
    frequencies: str
    called: Words
    at_worst: str
    none_called: str
    carries_over: str
    uncertain_counted: str
    not_tested: str
    custom_not_tested: str


@dataclass(frozen=True)
class CaptureTexts:
    """Help with the camera before the shot: one hint at a time."""

    dark: str
    bright: str
    glare: str
    moving: str
    blurred: str
    absent: str
    small: str
    good: str


@dataclass(frozen=True)
class QualityTexts:
    """One line per check; `names` and `retake` by check, `results` and `known` by severity, `artefacts` by name."""

    heading: str
    check: str
    measured: str
    result: str
    at_least: str
    at_most: str
    results: Words
    names: Words
    retake: Words
    units: Words
    familiarity: str
    known: Words
    bare_skin: str
    artefacts: Words
    artefacts_found: str
    no_artefacts: str
    skin_tone: str
    tones: Words
    few_tested: str


@dataclass(frozen=True)
class ReportTexts:
    """The PDF report; most of its words are the page's."""

    title: str
    case: str
    file: str
    unprintable: str
    codes: str
    picture: str
    at_prevalence: str
    point: str
    model: str


@dataclass(frozen=True)
class BatchTexts:
    """Many pictures at once."""

    intro: str
    files_label: str
    run: str
    cancel: str
    columns: Words
    table_label: str
    progress: str
    done: str
    nothing: str
    first_of_several: str
    csv: str
    reports: str


@dataclass(frozen=True)
class ServerTexts:
    """Why a request is refused before the page sees it: a file that was not uploaded, a foreign name in its address."""

    not_ours: str
    other_name: str
    busy: str
    too_large: str


@dataclass(frozen=True)
class AboutTexts:
    """What is said of the model; figures and names in braces come from the checkpoint's files.

    Attributes:
        use, not_for: sentences, in order.
        limits: by the rule that finds them in `lesion_demo.serving.model_card.limits`.
        columns: headings of tables, by what stands below.
        results: sets of test pictures, by their key in the metrics.
        sources, source_notes: data sets, by name; `parts` by what their pictures were to the run.
        changes, probes, degradations, levels, strangers, zones, confidences: by the name that the audit gives them;
            `strata` too, or by the first word or two of it.
        inits, schedules, settings, augment: by value or key of the configuration.
        plots, plot_alts: by file name, or the part of it before the first `_`.
    """

    card_title: str
    lead: str
    lead_by_picture: str
    summary: str
    summary_crop: str
    summary_window: str
    as_shipped: str
    unknown: str
    dash: str
    with_interval: str
    use_title: str
    use: Words
    not_for_title: str
    not_for: Words
    limits_title: str
    limits_note: str
    limits: Words
    gaps_title: str
    gap_file: str
    gap_part: str
    gap_damaged: str
    headline_title: str
    headline_note: str
    headline: Words
    at_point: str
    columns: Words
    results_title: str
    results_note: str
    results: Words
    sets_caption: str
    points_caption: str
    calibration_title: str
    calibration_note: str
    calibration_line_note: str
    margin_note: str
    margin_at: str
    no_margin_note: str
    sources_title: str
    sources_note: str
    sources: Words
    unnamed_source: str
    parts: Words
    part_names: Words
    sources_at: str
    source_notes: Words
    strata_title: str
    audit_note: str
    strata: Words
    changes_title: str
    changes_note: str
    changes: Words
    blind_title: str
    blind_note: str
    probes: Words
    quality_title: str
    quality_note: str
    untouched_caption: str
    degradations_caption: str
    degradations: Words
    levels: Words
    familiarity_title: str
    familiarity_note: str
    strangers_caption: str
    strangers: Words
    refusals_caption: str
    clinics_caption: str
    uncertainty_title: str
    uncertainty_note: str
    zones_caption: str
    zones: Words
    coverage_caption: str
    confidences: Words
    data_title: str
    data_note: str
    procedure_title: str
    init_label: str
    inits: Words
    init_checkpoint: str
    stages_caption: str
    layers_all: str
    layers_head: str
    layers_frozen: str
    epochs_of: str
    schedules: Words
    augment_label: str
    augment: Words
    augment_none: str
    chance: str
    settings_caption: str
    settings: Words
    emphasis: str
    yes: str
    no: str
    duration: str
    version_title: str
    version: Words
    packages_caption: str
    plots: Words
    plot_alts: Words


@dataclass(frozen=True)
class Texts:
    """All of them, in one language."""

    language: str
    page: PageTexts
    verdict: VerdictTexts
    capture: CaptureTexts
    quality: QualityTexts
    report: ReportTexts
    batch: BatchTexts
    server: ServerTexts
    about: AboutTexts

    def percent(self, share: float, digits: int = 1) -> str:
        """`share` (0–1) as a percentage; what would be rounded to 0 or 100 is told apart from it."""
        step = 10.0**-digits
        if 0 < share * 100 < step:
            return self.page.under.format(limit=self._percent(step, digits))
        if 100 - step < share * 100 < 100:
            return self.page.over.format(limit=self._percent(100 - step, digits))
        return self._percent(share * 100, digits)

    def interval(self, found: Interval, digits: int = 1) -> str:
        """A share with its interval: `90.4 % (87.7–92.9)`."""
        low, high = (self.number(end * 100, digits) for end in (found.low, found.high))
        return f"{self.percent(found.value, digits)} ({low}–{high})"

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
    found = sorted(path.stem for path in TRANSLATIONS.glob("*.json"))
    return sorted(found, key=lambda code: code != SOURCE)


def load_texts(language: str = SOURCE) -> Texts:
    """The texts in `language`.

    Raises:
        LesionDemoError: there is no such translation, or it lacks or has a key that it should not.
    """
    if language not in languages():
        raise LesionDemoError(f"There is no translation {language!r}; there are {', '.join(languages())}.")
    values, source = _read(language), _read(SOURCE)
    areas = get_type_hints(Texts)
    areas.pop("language")
    _require_same(set(areas), set(values), f"{language}.json")
    return Texts(
        language,
        **{name: _area(area, values[name], source[name], f"{language}.json: {name}") for name, area in areas.items()},
    )


def _read(language: str) -> dict[str, dict[str, Any]]:
    path = TRANSLATIONS / f"{language}.json"
    try:
        values: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LesionDemoError(f"{path} cannot be read ({error}): mend the translation.") from error
    return values


def _area(area: type, values: dict[str, Any], source: dict[str, Any], where: str) -> Any:
    _require_same({field.name for field in fields(area)}, set(values), where)
    for name, value in values.items():
        if isinstance(value, dict):
            _require_same(set(source.get(name, {})), set(value), f"{where}.{name}")
    return area(**values)


def _require_same(wanted: set[str], found: set[str], where: str) -> None:
    if missing := sorted(wanted - found):
        raise LesionDemoError(f"{where} lacks {', '.join(missing)}: mend the translation.")
    if unknown := sorted(found - wanted):
        raise LesionDemoError(f"{where} should not have {', '.join(unknown)}: mend the translation.")
