"""A model's facts as a `Description`: the same for the model card and for the page, in any language."""

from __future__ import annotations

from dataclasses import replace

from lesion_demo.card.figures import (
    CELLS,
    audit_sections,
    calibration_section,
    headlines,
    sources_section,
    test_section,
)
from lesion_demo.card.folder import Gap, ModelFacts
from lesion_demo.card.limits import known_limits
from lesion_demo.card.parts import Description, Plot, Section
from lesion_demo.card.phrases import count, decimal, point_name, ratio
from lesion_demo.card.training import data_section, procedure_section, version_section
from lesion_demo.card.trust import trust_sections
from lesion_demo.texts import Texts

PLOTS = {
    "reliability": "calibration",
    "audit": "changes",
    "degradations": "quality",
    "unrelated": "familiarity",
    "coverage": "uncertainty",
    "learning_curves": "procedure",
    "validation_metrics": "procedure",
    "ring_flips": "procedure",
}
"""Which section a plot belongs to; any other goes with the test figures."""


def describe(facts: ModelFacts, texts: Texts) -> Description:
    """`facts` in the language of `texts`."""
    words, meta = texts.about, facts.meta
    summary = words.summary.format(backbone=meta.backbone, side=count(meta.preprocess.image_size, texts))
    crop = f" {words.summary_crop}" if meta.preprocess.crop_field_of_view else ""
    crop = f" {words.summary_window}" if meta.preprocess.round_window else crop
    test = facts.test
    sections = (
        test_section(facts, texts),
        calibration_section(facts, texts),
        sources_section(facts, texts),
        *audit_sections(facts, texts),
        *trust_sections(facts, texts),
        data_section(facts, texts),
        procedure_section(facts, texts),
        version_section(facts, texts),
    )
    return Description(
        title=words.card_title.format(name=facts.name),
        summary=(summary + crop, words.lead if test is None or test.groups else words.lead_by_picture),
        warnings=_warnings(facts, texts),
        headline_title=words.headline_title,
        headline_note=words.headline_note.format(
            pictures=count(test.n, texts), malignant=count(test.n_malignant, texts)
        )
        if test
        else words.unknown,
        headlines=headlines(facts, texts),
        details=tuple(replace(section, plots=_plots(facts, section.name, texts)) for section in sections),
    )


def _warnings(facts: ModelFacts, texts: Texts) -> tuple[Section, ...]:
    """What to know before any figure."""
    words = texts.about
    gaps = Section("gaps", words.gaps_title, items=tuple(_gap(gap, texts) for gap in facts.gaps))
    return (
        Section("use", words.use_title, items=tuple(words.use.values())),
        Section("not_for", words.not_for_title, items=tuple(words.not_for.values())),
        Section("limits", words.limits_title, (words.limits_note,), items=known_limits(facts, texts)),
        *((gaps,) if gaps.items else ()),
    )


def _gap(gap: Gap, texts: Texts) -> str:
    words = texts.about
    if gap.damage:
        return words.gap_damaged.format(file=gap.file, damage=gap.damage)
    return (words.gap_part if gap.part else words.gap_file).format(file=gap.file, part=gap.part)


def _plots(facts: ModelFacts, section: str, texts: Texts) -> tuple[Plot, ...]:
    """In the order of the texts, then those that have none."""
    order = list(texts.about.plots)
    names = [name for name in facts.plots if PLOTS.get(name, "test") == section]
    kinds = {name: _kind(name, texts) for name in names}
    names.sort(key=lambda name: order.index(kinds[name]) if kinds[name] in order else len(order))
    return tuple(_plot(facts, name, texts) for name in names)


def _kind(name: str, texts: Texts) -> str:
    """A plot's own name, or what stands before the first `_` in it: `confusion_<operating point>`."""
    return name if name in texts.about.plots else name.partition("_")[0]


def _plot(facts: ModelFacts, name: str, texts: Texts) -> Plot:
    words, test, kind = texts.about, facts.test, _kind(name, texts)
    rest = name[len(kind) + 1 :]
    if kind not in words.plots:
        title = name.replace("_", " ")
        return Plot(facts.plots[name], title, title)
    point = test.point(rest) if test else None
    cells = point.confusion if point else None
    values = {
        "point": point_name(rest, texts),
        "roc_auc": ratio(test.roc_auc if test else None, texts),
        "pr_auc": ratio(test.pr_auc if test else None, texts),
        "calibration_error": decimal(test.calibration_error if test else None, texts),
        "cells": ", ".join(
            f"{words.columns[cell].lower()} {count(getattr(cells, cell, None), texts)}" for cell in CELLS
        ),
    }
    return Plot(facts.plots[name], words.plots[kind].format(**values), words.plot_alts[kind].format(**values))
