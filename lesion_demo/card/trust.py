"""The sections on holding back: what is refused, what is warned about, and what is left uncertain."""

from __future__ import annotations

from collections.abc import Iterator

from lesion_demo.card.folder import ModelFacts
from lesion_demo.card.parts import Section, Table, table
from lesion_demo.card.phrases import capital, count, decimal, point_name, ratio, share, source_name
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
    untouched = [
        (_source(one.source, texts), count(one.n, texts), share(one.warned, texts), share(one.severe, texts))
        for one in audit.untouched
    ]
    yield table(words.untouched_caption, ("source", "n", "warned", "severe"), untouched, texts)
    columns = ("degradation", "strength", "warned", "severe", "roc_auc", "roc_auc_unwarned", "accuracy")
    spoilt = [
        (
            capital(words.degradations.get(one.name, one.name)),
            f"{words.levels.get(one.level, one.level)} ({texts.number(one.strength, 2).rstrip('0').rstrip('.,')})",
            share(one.warned, texts),
            share(one.severe, texts),
            ratio(one.roc_auc, texts),
            ratio(one.roc_auc_unwarned, texts),
            share(one.accuracy, texts),
        )
        for one in audit.degradations
    ]
    pictures = count(audit.pictures, texts)
    yield table(words.degradations_caption.format(pictures=pictures), columns, spoilt, texts)


def _familiarity(audit: Audit, texts: Texts) -> Iterator[Table]:
    words = texts.about
    unrelated = [
        (
            capital(words.unrelated.get(one.kind, one.kind)),
            count(one.n, texts),
            share(one.unfamiliar, texts),
            share(one.refused, texts),
        )
        for one in audit.unrelated
    ]
    yield table(words.unrelated_caption, ("kind", "n", "unfamiliar", "refused"), unrelated, texts)
    untouched = [
        (
            _source(one.source, texts),
            count(one.n, texts),
            share(one.unfamiliar, texts),
            share(one.photograph, texts),
        )
        for one in audit.untouched
        if one.unfamiliar is not None
    ]
    yield table(words.refusals_caption, ("source", "n", "unfamiliar", "photograph"), untouched, texts)
    clinics = [
        (
            source_name(one.known_source, texts),
            source_name(one.source, texts),
            count(one.n, texts),
            share(one.passed, texts),
        )
        for one in audit.new_clinic
    ]
    yield table(words.clinics_caption, ("known", "source", "n", "passed"), clinics, texts)


def _uncertainty(audit: Audit, texts: Texts) -> Iterator[Table]:
    words = texts.about
    rows = [
        (
            point_name(found.point.name, texts),
            words.zones.get(zone.name, zone.name),
            count(zone.n, texts),
            share(zone.share, texts),
            share(zone.errors, texts),
        )
        for found in audit.referrals
        for zone in found.zones
    ]
    yield table(words.zones_caption, ("point", "zone", "n", "share", "errors"), rows, texts)
    scores = [(words.confidences.get(one.name, one.name), decimal(one.area, texts)) for one in audit.coverage]
    yield table(words.coverage_caption, ("score", "area"), scores, texts)


def _heat(audit: Audit, texts: Texts) -> Iterator[Table]:
    words = texts.about
    rows = [
        (
            words.heat_groups[f"{one.label}, {one.verdict}"],
            words.outlines.get(one.outlines, one.outlines),
            count(one.n, texts),
            share(one.silent, texts),
            *(words.dash if value is None else texts.percent(value, 0) for value in (one.area, one.mass)),
            share(one.hottest, texts),
        )
        for one in audit.heat
    ]
    columns = ("pictures", "outlines", "n", "silent", "lesion_area", "mass", "hottest")
    yield table(words.heat_caption, columns, rows, texts)
    orders = [
        (words.orders.get(one.order, one.order), decimal(one.deletion, texts), decimal(one.insertion, texts))
        for one in audit.faithfulness
    ]
    yield table(words.faithfulness_caption, ("order", "deletion", "insertion"), orders, texts)


def _source(name: str, texts: Texts) -> str:
    return capital(texts.about.subgroups[ALL]) if name == ALL else source_name(name, texts)
