"""What the audit found of the clinic's part in a verdict: tables by data set."""

from __future__ import annotations

from lesion_demo.card.parts import Table, table
from lesion_demo.card.phrases import figures, source_name
from lesion_demo.results import Audit, ClinicAudit
from lesion_demo.texts import Texts


def skin_part(audit: Audit, title: str, texts: Texts) -> tuple[str, tuple[Table, ...]] | None:
    """A sentence and its tables; None where the audit did not look at clinics."""
    clinics = audit.clinics
    if clinics is None or not clinics.skins:
        return None
    tables = (_skins(clinics, title, texts), _moves(clinics, texts))
    return _note(clinics, texts), tuple(one for one in tables if one.rows)


def _note(clinics: ClinicAudit, texts: Texts) -> str:
    words, sentences = texts.about, [texts.about.skin_note]
    if clinics.spread is not None:
        sentences.append(words.skin_spread.format(spread=texts.number(clinics.spread, 1)))
    if clinics.told is not None:
        chance = texts.percent(1 / len(clinics.skins), 0)
        sentences.append(words.skin_told.format(told=texts.percent(clinics.told, 0), chance=chance))
    return " ".join(sentences)


def _skins(clinics: ClinicAudit, title: str, texts: Texts) -> Table:
    columns = ("source", "n_benign", "n_malignant", "specificity", "roc_auc", "without_lesion", "without_disc",
               "log_odds", "log_odds_without_lesion")  # fmt: skip
    rows = [(source_name(one.source, texts), *figures(one, columns[1:], texts)) for one in clinics.skins]
    return table(title, columns, rows, texts)


def _moves(clinics: ClinicAudit, texts: Texts) -> Table:
    columns = ("source", "n", "flips", "shift")
    rows = [(source_name(one.source, texts), *figures(one, columns[1:], texts)) for one in clinics.moves]
    return table(texts.about.moves_title, columns, rows, texts)
