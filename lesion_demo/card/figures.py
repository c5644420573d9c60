"""The sections on how well a model does: on test, by source, among some of the pictures, and under changes to them."""

from __future__ import annotations

import math
from collections.abc import Iterator

from lesion_demo.card.clinics import tested_on
from lesion_demo.card.folder import ModelFacts
from lesion_demo.card.limits import STRONG
from lesion_demo.card.parts import Headline, Section, Table, table
from lesion_demo.card.phrases import (
    capital,
    clinic_name,
    count,
    decimal,
    figures,
    point_name,
    ratio,
    reason_shares,
    result_name,
    share,
    source_name,
    subgroup_name,
)
from lesion_demo.card.skin import skin_part
from lesion_demo.config import OperatingPoint
from lesion_demo.decision import DEFAULT_OPERATING_POINT
from lesion_demo.results import RATES, Audit, ChangeResult, Outcomes, PointReport, Report
from lesion_demo.texts import Texts

CELLS = ("tp", "fn", "fp", "tn")
ACCURACY_POINT = "accuracy"
TURNED = "turned by 90°"
"""A change, by its name in an audit."""


def headlines(facts: ModelFacts, texts: Texts) -> tuple[Headline, ...]:
    """The figures to know first; those that were not measured are left out."""
    return (*_test_headlines(facts, texts), *_change_headlines(facts, texts), *_use_headlines(facts, texts))


def _test_headlines(facts: ModelFacts, texts: Texts) -> Iterator[Headline]:
    """Sensitivity and specificity at worst over the clinics; what is of one population, on test."""
    words, test = texts.about.headline, facts.test
    scores = tested_on(facts.sources, DEFAULT_OPERATING_POINT)
    for figure, pairs in (
        ("sensitivity", scores.sensitivities if scores else []),
        ("specificity", scores.specificities if scores else []),
    ):
        for clinic, estimate in pairs[:1]:
            label = words[figure].format(
                point=point_name(DEFAULT_OPERATING_POINT, texts), source=clinic_name(clinic.measured, texts)
            )
            yield Headline(label, share(estimate, texts))
    if test is None:
        return
    point = test.point(ACCURACY_POINT)
    if point is not None and point.accuracy.known:
        yield Headline(words["accuracy"].format(point=point_name(ACCURACY_POINT, texts)), share(point.accuracy, texts))
    if test.roc_auc.known:
        yield Headline(words["roc_auc"], ratio(test.roc_auc, texts))
    if not math.isnan(test.calibration_error):
        yield Headline(words["calibration_error"], decimal(test.calibration_error, texts))


def _change_headlines(facts: ModelFacts, texts: Texts) -> Iterator[Headline]:
    """The worst ring, and the worst change of all where it is another."""
    changes = _worst_first(facts.audit) if facts.audit else []
    rings = [change for change in changes if change.is_ring]
    for change in dict.fromkeys([*rings[:1], *changes[:1]]):
        kind, among = ("worst_change", changes) if change is changes[0] else ("worst_ring", rings)
        name = texts.about.changes.get(change.name, change.name)
        label = texts.about.headline[kind].format(change=name, changes=count(len(among), texts))
        yield Headline(label, share(change.flips, texts))


def _use_headlines(facts: ModelFacts, texts: Texts) -> Iterator[Headline]:
    """Whether a turned picture gets the same answer, and how often a spoilt one is told what was done to it."""
    if facts.audit is None:
        return
    words, turns = texts.about.headline, facts.meta.preprocess.turns
    for change in facts.audit.changes:
        if change.name == TURNED:
            yield Headline(words["turned"].format(turns=count(turns, texts)), share(change.flips, texts))
    strong = [one for one in facts.audit.degradations if one.level == STRONG]
    if strong:
        worst = min(strong, key=lambda one: one.warned.value)
        kind = texts.about.degradations.get(worst.name, worst.name)
        label = words["warned"].format(kind=kind, kinds=count(len(strong), texts))
        yield Headline(label, share(worst.warned, texts))
    if planted := facts.audit.planted:
        label = words["reasons"].format(kinds=count(len(planted), texts))
        yield Headline(label, "; ".join(reason_shares(planted, texts)[:2]))


def _worst_first(audit: Audit) -> list[ChangeResult]:
    return sorted(audit.changes, key=lambda change: -change.flips.value)


def test_section(facts: ModelFacts, texts: Texts) -> Section:
    """All sets of test pictures: what needs no threshold, then every operating point."""
    words = texts.about
    columns = ("set", "n", "n_malignant", "roc_auc", "pr_auc", "brier", "calibration_error")
    rows = [
        (result_name(key, texts), *figures(result, columns[1:], texts)) for key, result in facts.metrics.tested.items()
    ]
    tables = [table(words.sets_caption, columns, rows, texts)] if rows else []
    tables += [
        _points_table(words.points_caption.format(name=result_name(key, texts)), result.points, texts)
        for key, result in facts.metrics.tested.items()
        if result.points
    ]
    note = words.results_note if rows else words.unknown
    return Section("test", words.results_title, paragraphs=(note,), tables=tuple(tables))


def _points_table(caption: str, points: tuple[PointReport, ...], texts: Texts) -> Table:
    scores = ("threshold", *RATES)
    rows = [
        (point_name(point.name, texts), *figures(point, scores, texts), *figures(point.confusion, CELLS, texts))
        for point in points
    ]
    return table(caption, ("point", *scores, *CELLS), rows, texts)


def calibration_section(facts: ModelFacts, texts: Texts) -> Section:
    """How probabilities were made true, how true they are on test and in every source, and what is called uncertain."""
    words, meta = texts.about, facts.meta
    note = words.calibration_note.format(
        temperature=decimal(meta.temperature, texts), prevalence=texts.percent(meta.prevalence, 0)
    )
    margins = [meta.margin_at(point) for point in meta.operating_points]
    listed = ", ".join(
        words.margin_at.format(point=point_name(point.name, texts), margin=decimal(margin, texts))
        for point, margin in zip(meta.operating_points, margins, strict=True)
    )
    columns = ("source", "balanced_calibration_error", "slope", "intercept")
    rows = [
        (
            clinic_name(source, texts),
            *figures(source.result, columns[1:2], texts),
            *figures(source.result.calibration_line, columns[2:], texts),
        )
        for source in facts.sources
        if source.result.balanced_calibration_error is not None
    ]
    return Section(
        "calibration",
        words.calibration_title,
        paragraphs=(
            note,
            *([words.calibration_line_note] if rows else []),
            words.margin_note.format(margins=listed) if any(margins) else words.no_margin_note,
        ),
        items=tuple(
            f"{result_name(key, texts)}: {words.columns['calibration_error']} "
            f"{decimal(result.calibration_error, texts)}, {words.columns['brier']} {ratio(result.brier, texts)}"
            for key, result in facts.metrics.tested.items()
            if not math.isnan(result.calibration_error)
        ),
        tables=(table(words.calibration_title, columns, rows, texts),) if rows else (),
    )


def sources_section(facts: ModelFacts, texts: Texts) -> Section:
    """Every source that was measured: what needs no threshold, then every operating point on all of them."""
    words = texts.about
    if not facts.sources:
        return Section("sources", words.sources_title, paragraphs=(words.unknown,))
    columns = ("source", "part", "n", "n_malignant", "seen", "roc_auc", "calibration_error")
    rows = [
        (
            source_name(source.source, texts) if source.source else words.unnamed_source,
            words.part_names[source.part],
            *figures(source.result, ("n", "n_malignant"), texts),
            _seen(source.result, texts),
            *figures(source.result, ("roc_auc", "calibration_error"), texts),
        )
        for source in facts.sources
    ]
    names = dict.fromkeys(point.name for source in facts.sources for point in source.result.points)
    tables = [table(words.sources_title, columns, rows, texts), *(_sources_table(facts, name, texts) for name in names)]
    return Section("sources", words.sources_title, (words.sources_note,), tables=tuple(tables))


def _seen(result: Report, texts: Texts) -> str:
    """How many pictures training showed, too: benign + malignant."""
    if not result.seen_benign and not result.seen_malignant:
        return texts.about.dash
    return f"{count(result.seen_benign, texts)} + {count(result.seen_malignant, texts)}"


def _sources_table(facts: ModelFacts, name: str, texts: Texts) -> Table:
    """The operating point `name` in every source, and the shares of benign and malignant pictures without a call."""
    rows = []
    for source in facts.sources:
        point = source.result.point(name)
        if point is not None:
            held = [_held_back(point.outcomes, answer, texts) for answer in ("uncertain", "not_assessable")]
            rows.append((clinic_name(source, texts), *figures(point, ("sensitivity", "specificity"), texts), *held))
    columns = ("source", "sensitivity", "specificity", "uncertain", "no_verdict")
    return table(texts.about.sources_at.format(point=point_name(name, texts)), columns, rows, texts)


def _held_back(outcomes: Outcomes | None, answer: str, texts: Texts) -> str:
    """The share of pictures that got this `answer`: of benign + of malignant ones."""
    if outcomes is None:
        return texts.about.dash
    shares = [getattr(counts, answer) / max(1, counts.total) for counts in (outcomes.benign, outcomes.malignant)]
    return " + ".join(texts.percent(value) for value in shares)


def audit_sections(facts: ModelFacts, texts: Texts) -> Iterator[Section]:
    """Strata, changes, and classifiers that see no lesion; each says so where the audit holds none."""
    for name, title, make in (
        ("subgroups", texts.about.subgroups_title, _subgroups),
        ("changes", texts.about.changes_title, _changes),
        ("blind", texts.about.blind_title, _blind),
        ("skin", texts.about.skin_title, skin_part),
    ):
        part = make(facts.audit, title, texts) if facts.audit else None
        note, tables = part or (texts.about.unknown, ())
        yield Section(name, title, paragraphs=(note,), tables=tables)


Part = tuple[str, tuple[Table, ...]]
"""A sentence, and the tables it goes with."""


def _subgroups(audit: Audit, title: str, texts: Texts) -> Part | None:
    columns = ("subgroup", "n_benign", "n_malignant", "sensitivity", "specificity", "roc_auc")
    rows = [(capital(subgroup_name(one.name, texts)), *figures(one, columns[1:], texts)) for one in audit.subgroups]
    pictures = max((subgroup.n_benign + subgroup.n_malignant for subgroup in audit.subgroups), default=0)
    note = texts.about.audit_note.format(pictures=count(pictures, texts), point=_at(audit.operating_point, texts))
    return (note, (table(title, columns, rows, texts),)) if rows else None


def _changes(audit: Audit, title: str, texts: Texts) -> Part | None:
    columns = ("change", "flips", "flips_benign", "flips_malignant", "shift_benign", "shift_malignant")
    rows = [
        (capital(texts.about.changes.get(change.name, change.name)), *figures(change, columns[1:], texts))
        for change in _worst_first(audit)
    ]
    point = _at(audit.operating_point, texts)
    note = texts.about.changes_note.format(pictures=count(audit.pictures, texts), point=point)
    return (note, (table(title, columns, rows, texts),)) if rows else None


def _blind(audit: Audit, title: str, texts: Texts) -> Part | None:
    probes = texts.about.probes
    rows = [(probes.get(name, name), decimal(value, texts)) for name, value in audit.blind_roc_auc.items()]
    return (texts.about.blind_note, (table(title, ("probe", "roc_auc"), rows, texts),)) if rows else None


def _at(point: OperatingPoint, texts: Texts) -> str:
    return texts.about.at_point.format(point=point_name(point.name, texts), threshold=texts.number(point.threshold, 3))
