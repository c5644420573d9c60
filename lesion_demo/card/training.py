"""The sections on where a model comes from: data, procedure, version."""

from __future__ import annotations

from collections import defaultdict
from string import Formatter
from typing import Any

from lesion_demo.card.folder import ModelFacts, Procedure, Stage
from lesion_demo.card.parts import Section, Table, table
from lesion_demo.card.phrases import count, decimal, init_name, plain, source_name
from lesion_demo.texts import Texts

SPLITS = ("train", "val", "test")


def data_section(facts: ModelFacts, texts: Texts) -> Section:
    """Pictures of each class by data set and split, and how many were left out."""
    words = texts.about
    if not facts.meta.data:
        return Section("data", words.data_title, paragraphs=(words.unknown,))
    rows = [
        (
            source_name(source, texts),
            *(_both_classes(data.counts, split, facts.meta.classes, texts) for split in SPLITS),
            count(data.dropped, texts),
        )
        for source, data in facts.meta.data.items()
    ]
    columns = ("source", *SPLITS, "dropped")
    return Section(
        "data", words.data_title, (words.data_note,), tables=(table(words.data_title, columns, rows, texts),)
    )


def _both_classes(counts: dict[str, int], split: str, classes: tuple[str, ...], texts: Texts) -> str:
    """`5,053 + 1,312`, benign first."""
    found = [counts.get(f"{split}/{name}", 0) for name in classes]
    return " + ".join(count(number, texts) for number in found) if any(found) else texts.about.dash


def procedure_section(facts: ModelFacts, texts: Texts) -> Section:
    """First weights, stages, augmentation in words, and settings."""
    words, procedure = texts.about, facts.procedure
    duration = _duration(facts, texts)
    if procedure is None:
        return Section("procedure", words.procedure_title, paragraphs=(*duration, words.unknown))
    steps = _augmentation(procedure, texts)
    init = words.init_label.format(init=init_name(procedure["init"], texts))
    return Section(
        "procedure",
        words.procedure_title,
        paragraphs=(init, *duration, words.augment_label if steps else words.augment_none),
        items=steps,
        tables=(_stages_table(facts, procedure["stages"], texts), _settings_table(procedure, texts)),
    )


def _duration(facts: ModelFacts, texts: Texts) -> tuple[str, ...]:
    if facts.history is None:
        return ()
    return (
        texts.about.duration.format(
            epochs=count(sum(facts.history.epochs.values()), texts),
            hours=texts.number(facts.history.seconds / 3600, 1),
            roc_auc=decimal(facts.meta.val_roc_auc, texts),
        ),
    )


def _stages_table(facts: ModelFacts, stages: list[Stage], texts: Texts) -> Table:
    columns = (
        "stage", "image_size", "epochs", "epoch_pictures", "batch_size", "layers", "backbone_rate", "head_rate",
        "schedule",
    )  # fmt: skip
    rows = [
        (
            stage["name"],
            count(stage.get("image_size"), texts),
            _epochs(facts, stage, texts),
            count(stage.get("epoch_pictures"), texts),
            count(stage.get("batch_size"), texts),
            _layers(stage, texts),
            plain(stage.get("backbone_rate"), texts),
            plain(stage.get("head_rate"), texts),
            texts.about.schedules.get(stage.get("schedule") or "", plain(stage.get("schedule"), texts)),
        )
        for stage in stages
    ]
    return table(texts.about.stages_caption, columns, rows, texts)


def _epochs(facts: ModelFacts, stage: Stage, texts: Texts) -> str:
    """How many were run, where the history says so, and how many were planned."""
    planned = stage.get("epochs")
    if facts.history is None or planned is None:
        return count(planned, texts)
    run = facts.history.epochs.get(stage["name"], 0)
    return texts.about.epochs_of.format(run=count(run, texts), planned=count(planned, texts))


def _layers(stage: Stage, texts: Texts) -> str:
    trained, frozen = stage.get("train_backbone"), stage.get("frozen_blocks")
    if trained is None:
        return texts.about.dash
    if not trained:
        return texts.about.layers_head
    if frozen:
        return texts.about.layers_frozen.format(blocks=count(frozen, texts))
    return texts.about.layers_all


def _augmentation(procedure: Procedure, texts: Texts) -> tuple[str, ...]:
    """A line for each step that happens at all, with its probability; ranges of a step stand in its own line."""
    words, augment = texts.about, procedure.get("augment", {})
    ranges = defaultdict(lambda: words.dash, {key: _range(value, texts) for key, value in augment.items()})
    told_within = {name for text in words.augment.values() for _, name, _, _ in Formatter().parse(text) if name}
    lines = []
    for key, chance in augment.items():
        if key in told_within or not isinstance(chance, int | float) or chance <= 0:
            continue
        step = words.augment.get(key, key.replace("_", " ")).format_map(ranges)
        lines.append(words.chance.format(step=step, chance=texts.percent(chance, 0)))
    return tuple(lines)


def _range(value: Any, texts: Texts) -> str:
    if isinstance(value, list):
        return "–".join(plain(end, texts) for end in value)
    return plain(value, texts)


def _settings_table(procedure: Procedure, texts: Texts) -> Table:
    words = texts.about
    rows = [
        (title, plain(procedure["settings"][key], texts))
        for key, title in words.settings.items()
        if key in procedure["settings"]
    ]
    rows += [
        (words.emphasis.format(source=source_name(source, texts)), plain(factor, texts))
        for source, factor in procedure.get("emphasis", ())
    ]
    return table(words.settings_caption, ("setting", "value"), rows, texts)


def version_section(facts: ModelFacts, texts: Texts) -> Section:
    """What identifies the weights, and what they were evaluated with."""
    words, meta = texts.about, facts.meta
    values = {
        "name": facts.name,
        "backbone": meta.backbone,
        "trained_at": meta.trained_at or words.dash,
        "schema_version": str(meta.schema_version),
        "weights_sha256": meta.weights_sha256 or words.dash,
    }
    rows = [(name, version) for name, version in meta.packages.items()]
    packages = (table(words.packages_caption, ("package", "version"), rows, texts),) if rows else ()
    return Section(
        "version",
        words.version_title,
        items=tuple(f"{words.version[key]}: {value}" for key, value in values.items()),
        tables=packages,
    )
