"""The sections on how well a model does: on test, by source, among some of the pictures, and under changes to them."""

from __future__ import annotations

from collections.abc import Iterator

from lesion_demo.config import OperatingPoint
from lesion_demo.learning.shortcuts import is_ring
from lesion_demo.serving.analysis import DEFAULT_OPERATING_POINT
from lesion_demo.serving.model_card.facts import AuditResult, ChangeResult, ModelFacts, PointResult
from lesion_demo.serving.model_card.parts import Headline, Section, Table, table
from lesion_demo.serving.model_card.wording import (
    capital,
    count,
    decimal,
    point_name,
    ratio,
    result_name,
    share,
    signed,
    source_name,
    stratum_name,
)
from lesion_demo.texts import Texts

RATES = ("accuracy", "sensitivity", "specificity", "precision", "f1")
CELLS = ("tp", "fn", "fp", "tn")
ACCURACY_POINT = "accuracy"


def headlines(facts: ModelFacts, texts: Texts) -> tuple[Headline, ...]:
    """The figures to know first; those that were not measured are left out."""
    return (*_test_headlines(facts, texts), *_change_headlines(facts, texts))


def _test_headlines(facts: ModelFacts, texts: Texts) -> Iterator[Headline]:
    words, test = texts.about.headline, facts.test
    if test is None:
        return
    for figure, name in (
        ("sensitivity", DEFAULT_OPERATING_POINT),
        ("specificity", DEFAULT_OPERATING_POINT),
        ("accuracy", ACCURACY_POINT),
    ):
        point = test.point(name)
        if point is not None and getattr(point, figure) is not None:
            label = words[figure].format(point=point_name(name, texts))
            yield Headline(label, share(getattr(point, figure), texts))
    if test.roc_auc is not None:
        yield Headline(words["roc_auc"], ratio(test.roc_auc, texts))
    if test.calibration_error is not None:
        yield Headline(words["calibration_error"], decimal(test.calibration_error, texts))


def _change_headlines(facts: ModelFacts, texts: Texts) -> Iterator[Headline]:
    """The worst ring, and the worst change of all where it is another."""
    changes = _worst_first(facts.audit) if facts.audit else []
    rings = [change for change in changes if is_ring(change.name)]
    for change in dict.fromkeys([*rings[:1], *changes[:1]]):
        kind, among = ("worst_change", changes) if change is changes[0] else ("worst_ring", rings)
        name = texts.about.changes.get(change.name, change.name)
        label = texts.about.headline[kind].format(change=name, changes=count(len(among), texts))
        yield Headline(label, share(change.flips, texts))


def _worst_first(audit: AuditResult) -> list[ChangeResult]:
    return sorted(audit.changes, key=lambda change: -(change.flips.value if change.flips else 0.0))


def test_section(facts: ModelFacts, texts: Texts) -> Section:
    """All sets of test pictures: what needs no threshold, then every operating point."""
    words = texts.about
    columns = ("set", "n", "n_malignant", "roc_auc", "pr_auc", "brier", "calibration_error")
    rows = [
        (
            result_name(key, texts),
            count(result.n, texts),
            count(result.n_malignant, texts),
            ratio(result.roc_auc, texts),
            ratio(result.pr_auc, texts),
            ratio(result.brier, texts),
            decimal(result.calibration_error, texts),
        )
        for key, result in facts.results.items()
    ]
    tables = [table(words.sets_caption, columns, rows, texts)] if rows else []
    tables += [
        _points_table(words.points_caption.format(name=result_name(key, texts)), result.points, texts)
        for key, result in facts.results.items()
        if result.points
    ]
    note = words.results_note if rows else words.unknown
    return Section("test", words.results_title, paragraphs=(note,), tables=tuple(tables))


def _points_table(caption: str, points: tuple[PointResult, ...], texts: Texts) -> Table:
    rows = []
    for point in points:
        rates = [share(getattr(point, name), texts) for name in RATES]
        cells = [count(getattr(point.confusion, name, None), texts) for name in CELLS]
        rows.append((point_name(point.name, texts), decimal(point.threshold, texts), *rates, *cells))
    return table(caption, ("point", "threshold", *RATES, *CELLS), rows, texts)


def calibration_section(facts: ModelFacts, texts: Texts) -> Section:
    """How probabilities were made true, how true they are on test, and what is called uncertain."""
    words, meta = texts.about, facts.meta
    note = words.calibration_note.format(
        temperature=decimal(meta.temperature, texts), prevalence=texts.percent(meta.prevalence, 0)
    )
    margin = words.margin_note.format(margin=decimal(meta.referral_margin, texts))
    return Section(
        "calibration",
        words.calibration_title,
        paragraphs=(note, margin if meta.referral_margin > 0 else words.no_margin_note),
        items=tuple(
            f"{result_name(key, texts)}: {words.columns['calibration_error']} "
            f"{decimal(result.calibration_error, texts)}, {words.columns['brier']} {ratio(result.brier, texts)}"
            for key, result in facts.results.items()
            if result.calibration_error is not None
        ),
    )


def sources_section(facts: ModelFacts, texts: Texts) -> Section:
    """Validation pictures by data set, at the operating point that the page starts with."""
    words = texts.about
    if not facts.validation:
        return Section("sources", words.sources_title, paragraphs=(words.unknown,))
    columns = ("source", "n", "n_malignant", "roc_auc", "sensitivity", "specificity", "calibration_error")
    rows = []
    for source, result in facts.validation.items():
        point = result.point(DEFAULT_OPERATING_POINT)
        rows.append(
            (
                source_name(source, texts),
                count(result.n, texts),
                count(result.n_malignant, texts),
                ratio(result.roc_auc, texts),
                share(point.sensitivity if point else None, texts),
                share(point.specificity if point else None, texts),
                decimal(result.calibration_error, texts),
            )
        )
    note = words.sources_note.format(point=point_name(DEFAULT_OPERATING_POINT, texts))
    return Section("sources", words.sources_title, (note,), tables=(table(words.sources_title, columns, rows, texts),))


def audit_sections(facts: ModelFacts, texts: Texts) -> Iterator[Section]:
    """Strata, changes, and classifiers that see no lesion; each says so where the audit holds none."""
    for name, title, make in (
        ("strata", texts.about.strata_title, _strata),
        ("changes", texts.about.changes_title, _changes),
        ("blind", texts.about.blind_title, _blind),
    ):
        found = make(facts.audit, title, texts) if facts.audit else None
        note, tables = found or (texts.about.unknown, ())
        yield Section(name, title, paragraphs=(note,), tables=tables)


Part = tuple[str, tuple[Table, ...]]
"""A sentence, and the tables it goes with."""


def _strata(audit: AuditResult, title: str, texts: Texts) -> Part | None:
    columns = ("stratum", "n_benign", "n_malignant", "sensitivity", "specificity", "roc_auc")
    rows = [
        (
            capital(stratum_name(stratum.name, texts)),
            count(stratum.n_benign, texts),
            count(stratum.n_malignant, texts),
            share(stratum.sensitivity, texts),
            share(stratum.specificity, texts),
            ratio(stratum.roc_auc, texts),
        )
        for stratum in audit.strata
    ]
    pictures = max((stratum.n_benign + stratum.n_malignant for stratum in audit.strata), default=0)
    note = texts.about.audit_note.format(pictures=count(pictures, texts), point=_at(audit.operating_point, texts))
    return (note, (table(title, columns, rows, texts),)) if rows else None


def _changes(audit: AuditResult, title: str, texts: Texts) -> Part | None:
    columns = ("change", "flips", "flips_benign", "flips_malignant", "shift_benign", "shift_malignant")
    rows = [
        (
            capital(texts.about.changes.get(change.name, change.name)),
            share(change.flips, texts),
            share(change.flips_benign, texts),
            share(change.flips_malignant, texts),
            signed(change.shift_benign, texts),
            signed(change.shift_malignant, texts),
        )
        for change in _worst_first(audit)
    ]
    point = _at(audit.operating_point, texts)
    note = texts.about.changes_note.format(pictures=count(audit.pictures, texts), point=point)
    return (note, (table(title, columns, rows, texts),)) if rows else None


def _blind(audit: AuditResult, title: str, texts: Texts) -> Part | None:
    probes = texts.about.probes
    rows = [(probes.get(name, name), ratio(value, texts)) for name, value in audit.blind_roc_auc.items()]
    return (texts.about.blind_note, (table(title, ("probe", "roc_auc"), rows, texts),)) if rows else None


def _at(point: OperatingPoint, texts: Texts) -> str:
    return texts.about.at_point.format(point=point_name(point.name, texts), threshold=texts.number(point.threshold, 3))
