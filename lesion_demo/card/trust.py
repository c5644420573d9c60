"""The sections on holding back: what is refused, what is warned about, and what is left uncertain."""

from __future__ import annotations

from collections.abc import Iterator

from lesion_demo.card.folder import ModelFacts
from lesion_demo.card.parts import Section, Table, table
from lesion_demo.card.phrases import (
    capital,
    count,
    decimal,
    fault_name,
    figures,
    point_name,
    reason_shares,
    share,
    source_name,
)
from lesion_demo.results import Audit
from lesion_demo.texts import Texts

ALL = "all"


def trust_sections(facts: ModelFacts, texts: Texts) -> Iterator[Section]:
    """Quality, familiarity and uncertainty; each says so where the audit holds none."""
    words = texts.about
    for name, title, note, make in (
        ("quality", words.quality_title, words.quality_note, _quality),
        ("familiarity", words.familiarity_title, words.familiarity_note, _familiarity),
        ("heat", words.heat_title, words.heat_note, _heat),
        ("uncertainty", words.uncertainty_title, words.uncertainty_note, _uncertainty),
    ):
        tables = tuple(one for one in make(facts.audit, texts) if one.rows) if facts.audit else ()
        yield Section(name, title, paragraphs=(note if tables else words.unknown,), tables=tables)


def _quality(audit: Audit, texts: Texts) -> Iterator[Table]:
    words = texts.about
    columns: tuple[str, ...] = ("source", "n", "warned", "severe")
    untouched = [(_source(one.source, texts), *figures(one, columns[1:], texts)) for one in audit.untouched]
    yield table(words.untouched_caption, columns, untouched, texts)
    columns = ("degradation", "strength", "warned", "severe", "roc_auc", "roc_auc_unwarned", "accuracy")
    spoilt = [
        (
            capital(words.degradations.get(one.name, one.name)),
            f"{words.levels.get(one.level, one.level)} ({texts.number(one.strength, 2).rstrip('0').rstrip('.,')})",
            *figures(one, columns[2:], texts),
        )
        for one in audit.degradations
    ]
    pictures = count(audit.pictures, texts)
    yield table(words.degradations_caption.format(pictures=pictures), columns, spoilt, texts)
    columns = ("planted", "named", "reasons", "right", "unlike", "other")
    planted = [
        (fault_name(one.name, texts), share(one.named, texts), count(one.reasons, texts), *reason_shares([one], texts))
        for one in audit.planted
    ]
    if planted:
        given = count(sum(one.reasons for one in audit.planted), texts)
        planted.append((capital(words.subgroups[ALL]), words.dash, given, *reason_shares(audit.planted, texts)))
    yield table(words.planted_caption.format(pictures=pictures), columns, planted, texts)


def _familiarity(audit: Audit, texts: Texts) -> Iterator[Table]:
    words = texts.about
    columns: tuple[str, ...] = ("kind", "n", "unfamiliar", "refused")
    unrelated = [
        (capital(words.unrelated.get(one.kind, one.kind)), *figures(one, columns[1:], texts)) for one in audit.unrelated
    ]
    yield table(words.unrelated_caption, columns, unrelated, texts)
    columns = ("source", "n", "unfamiliar", "photograph")
    untouched = [
        (_source(one.source, texts), *figures(one, columns[1:], texts))
        for one in audit.untouched
        if one.unfamiliar is not None
    ]
    yield table(words.refusals_caption, columns, untouched, texts)
    columns = ("known", "source", "n", "passed")
    clinics = [
        (source_name(one.known_source, texts), source_name(one.source, texts), *figures(one, columns[2:], texts))
        for one in audit.new_clinic
    ]
    yield table(words.clinics_caption, columns, clinics, texts)


def _uncertainty(audit: Audit, texts: Texts) -> Iterator[Table]:
    words = texts.about
    columns = ("point", "zone", "n", "share", "errors")
    rows = [
        (
            point_name(found.point.name, texts),
            words.zones.get(zone.name, zone.name),
            *figures(zone, columns[2:], texts),
        )
        for found in audit.referrals
        for zone in found.zones
    ]
    yield table(words.zones_caption, columns, rows, texts)
    scores = [(words.confidences.get(one.name, one.name), decimal(one.area, texts)) for one in audit.coverage]
    yield table(words.coverage_caption, ("score", "area"), scores, texts)


def _heat(audit: Audit, texts: Texts) -> Iterator[Table]:
    words = texts.about
    rows = [
        (
            words.heat_groups[f"{one.label}, {one.verdict}"],
            words.outlines.get(one.outlines, one.outlines),
            *figures(one, ("n", "silent"), texts),
            *(words.dash if value is None else texts.percent(value, 0) for value in (one.area, one.mass)),
            share(one.hottest, texts),
        )
        for one in audit.heat
    ]
    columns = ("pictures", "outlines", "n", "silent", "lesion_area", "mass", "hottest")
    yield table(words.heat_caption, columns, rows, texts)
    orders = [
        (words.orders.get(one.order, one.order), *figures(one, ("deletion", "insertion"), texts))
        for one in audit.faithfulness
    ]
    yield table(words.faithfulness_caption, ("order", "deletion", "insertion"), orders, texts)


def _source(name: str, texts: Texts) -> str:
    return capital(texts.about.subgroups[ALL]) if name == ALL else source_name(name, texts)
