"""The figures of the model card: those of a checkpoint's own files, no more and no less."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from card_files import card_of, change, load, percent, rows_under, shipped_in

from lesion_demo.card import read_facts
from lesion_demo.card.description import describe
from lesion_demo.texts import load_texts

TEXTS = load_texts()
RATES = ("accuracy", "sensitivity", "specificity", "precision", "f1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shipped_in(tmp_path)


def test_every_operating_point_is_as_in_the_metrics(folder: Path) -> None:
    card, metrics = card_of(folder), load(folder / "metrics.json")
    for key, title in (
        ("test", "Test"),
        ("test_without_near_duplicates", "Test without near-duplicates of training pictures"),
    ):
        header, *rows = rows_under(card, f"**{title}: by operating point**")
        assert header[2:7] == ["Accuracy", "Sensitivity", "Specificity", "Precision (PPV)", "F1"]
        assert len(rows) == len(metrics[key]["points"]) > 0
        for row, point in zip(rows, metrics[key]["points"], strict=True):
            cells = [point["confusion"][cell] for cell in ("tp", "fn", "fp", "tn")]
            assert row[1:] == [f"{point['threshold']:.3f}", *(percent(point[rate]) for rate in RATES), *map(str, cells)]


def test_what_turning_and_spoiling_do_is_told_first(folder: Path) -> None:
    audit, words = load(folder / "audit.json"), TEXTS.about.headline
    (turned,) = (change for change in audit["changes"] if change["name"] == "turned by 90°")
    strong = [one for one in audit["degradations"] if one["level"] == "strong"]
    worst = min(strong, key=lambda one: one["warned"]["value"])
    kind = TEXTS.about.degradations[worst["name"]]
    rows = rows_under(card_of(folder), "## At a glance\n\n")
    assert [words["turned"].format(turns=4), percent(turned["flips"])] in rows
    assert [words["warned"].format(kind=kind, kinds=len(strong)), percent(worst["warned"])] in rows


def test_whether_reasons_are_true_is_told(folder: Path) -> None:
    planted = [
        {
            "name": "JPEG",
            "n": 4,
            "named": {"value": 0.75, "low": 0.2, "high": 1.0},
            "reasons": 5,
            "right": 3,
            "unlike": 1,
        },
        {
            "name": "hair",
            "n": 4,
            "named": {"value": 1.0, "low": 0.5, "high": 1.0},
            "reasons": 5,
            "right": 4,
            "unlike": 0,
        },
    ]
    change(folder / "audit.json", lambda audit: audit.update(planted=planted))
    card, words = card_of(folder), TEXTS.about
    label = words.headline["reasons"].format(kinds=2)
    assert [label, "70 %; 10 %"] in rows_under(card, "## At a glance\n\n")
    rows = rows_under(card, "**Are the reasons true?")
    assert [row[0] for row in rows[1:]] == ["JPEG compression", "Dark hair", "All"]
    assert [row[2:] for row in rows[1:]] == [
        ["5", "60 %", "20 %", "20 %"],
        ["5", "80 %", "0 %", "20 %"],
        ["10", "70 %", "10 %", "20 %"],
    ]


def test_sets_and_sources_are_as_in_the_metrics(folder: Path) -> None:
    card, metrics = card_of(folder), load(folder / "metrics.json")

    def ratio(estimate: dict[str, float]) -> str:
        return "{value:.3f} ({low:.3f}–{high:.3f})".format(**estimate)

    row = rows_under(card, "**Independent of a threshold**")[1]
    test = metrics["test"]
    assert row[1:] == [
        f"{test['n']:,}",
        f"{test['n_malignant']:,}",
        *(ratio(test[name]) for name in ("roc_auc", "pr_auc", "brier")),
        f"{test['calibration_error']:.3f}",
    ]
    heading, *rows = rows_under(card, "## By source\n\n")
    parts = {"test": metrics["test_by_source"], "validation": metrics["validation_by_source"]}
    parts["external"] = metrics.get("external", {})
    measured = [result for part in parts.values() for result in part.values()]
    assert [row[1] for row in rows] == [name for name, part in parts.items() for _ in part]
    assert [row[2] for row in rows] == [f"{result['n']:,}" for result in measured]
    place = heading.index(TEXTS.about.columns["roc_auc"])
    assert [row[place] for row in rows] == [ratio(result["roc_auc"]) for result in measured]
    for place, name in enumerate(point["name"] for point in metrics["test"]["points"]):
        title = TEXTS.verdict.points[name]
        rows = rows_under(card, f"**At “{title}”, by data set; the last columns")
        assert [row[1:3] for row in rows[1:]] == [
            [percent(result["points"][place][rate]) for rate in ("sensitivity", "specificity")] for result in measured
        ]


def test_what_is_told_of_every_source(folder: Path) -> None:
    """Figures of a later version: what was seen in training, answers, calibration by source, external pictures."""

    def edit(metrics: Any) -> None:
        clinic = metrics["validation_by_source"]["ham10000"]
        clinic |= {"seen_benign": 0, "seen_malignant": clinic["n_malignant"], "balanced_calibration_error": 0.0912}
        clinic["calibration_line"] = {"slope": 0.8765, "intercept": -0.5432}
        for point in clinic["points"]:
            point["outcomes"] = {
                "benign": {"benign": 300, "malignant": 200, "uncertain": 50, "not_assessable": 12},
                "malignant": {"benign": 0, "malignant": 144, "uncertain": 0, "not_assessable": 2},
            }
        metrics["external"] = {"elsewhere": {**metrics["test"], "n": 777}}
        metrics["test"]["groups"] = 900

    def ungroup(metrics: Any) -> None:
        sources = [*metrics["test_by_source"].values(), *metrics["validation_by_source"].values()]
        for report in (metrics["test"], metrics["test_without_near_duplicates"], *sources):
            report["groups"] = None

    change(folder / "metrics.json", ungroup)
    before = card_of(folder)
    change(folder / "metrics.json", edit)
    card = card_of(folder)
    (row,) = (row for row in rows_under(card, "## By source\n\n") if "HAM10000" in row[0])
    malignant = load(folder / "metrics.json")["validation_by_source"]["ham10000"]["n_malignant"]
    assert row[4] == f"0 + {malignant}"
    (row,) = (row for row in rows_under(card, "## By source\n\n") if row[0] == "elsewhere")
    assert row[1:3] == ["external", "777"]
    assert "| HAM10000 (validation) | 0.091 | 0.876 | −0.543 |" in card
    assert "| 8.9 % + 0.0 % | 2.1 % + 1.4 % |" in card
    assert f"HAM10000 (validation): {malignant} of the {malignant} malignant pictures were also used" in card
    assert "allow for several pictures of one lesion or patient" in card
    assert "allow for several pictures of one lesion or patient" not in before


def test_audit_is_as_in_its_file(folder: Path) -> None:
    card, audit = card_of(folder), load(folder / "audit.json")
    rows = {row[0].lower(): row for row in rows_under(card, "## Changes that should not affect the result\n\n")[1:]}
    assert len(rows) == len(audit["changes"]) > 5
    for found in audit["changes"]:
        row = rows[found["name"].lower()]
        assert row[1:4] == [percent(found[name]) for name in ("flips", "flips_benign", "flips_malignant")]
        assert [float(cell.replace("−", "-")) for cell in row[4:]] == [
            round(found["shift_benign"], 3),
            round(found["shift_malignant"], 3),
        ]
    whole = audit["subgroups"][0]
    assert f"{whole['n_benign'] + whole['n_malignant']:,} pictures at the operating point" in card
    assert f"Each change was made to {audit['pictures']:,} pictures" in card
    subgroups = rows_under(card, "## In subgroups\n\n")
    assert [row[1:3] for row in subgroups[1:]] == [
        [f"{subgroup['n_benign']:,}", f"{subgroup['n_malignant']:,}"] for subgroup in audit["subgroups"]
    ]
    for name in audit["blind_roc_auc"]:
        assert f"| {name} | " in card


def test_holding_back_is_as_in_the_audit(folder: Path) -> None:
    change(folder / "audit.json", lambda audit: audit["unrelated"][0]["refused"].update(value=0.991))
    card, audit = card_of(folder), load(folder / "audit.json")
    unrelated = rows_under(card, "**Pictures that show no lesion**")[1:]
    assert [row[1:] for row in unrelated] == [
        [str(one["n"]), percent(one["unfamiliar"]), percent(one["refused"])] for one in audit["unrelated"]
    ]
    untouched = rows_under(card, "**Validation pictures as they are**")[1:]
    assert [row[2:] for row in untouched] == [
        [percent(one["warned"]), percent(one["severe"])] for one in audit["untouched"]
    ]
    spoilt = rows_under(card, "test pictures, degraded on purpose**")[1:]
    assert [row[2] for row in spoilt] == [percent(one["warned"]) for one in audit["degradations"]]
    zones = rows_under(card, "**The three answers by operating point**")[1:]
    assert [row[3] for row in zones] == [percent(zone["share"]) for one in audit["referrals"] for zone in one["zones"]]
    areas = rows_under(card, "**Ways to measure how certain an answer is**")[1:]
    assert [row[1] for row in areas] == [f"{one['area']:.3f}" for one in audit["coverage"]]


def test_data_weights_and_dates_are_told(folder: Path) -> None:
    card, meta = card_of(folder), load(folder / "checkpoint.json")
    assert f"SHA-256 of the weights: {meta['weights_sha256']}" in card
    assert f"Trained on: {meta['trained_at']}" in card
    rows = rows_under(card, "## Data\n\n")
    for row, data in zip(rows[1:], meta["data"].values(), strict=True):
        counts = data["counts"]
        assert row[1] == f"{counts['train/benign']:,} + {counts['train/malignant']:,}"
        assert row[4] == str(data["dropped"])
    for name, package in meta["packages"].items():
        assert f"| {name} | {package} |" in card


def test_card_follows_the_metrics(folder: Path) -> None:
    before = card_of(folder)

    def edit(metrics: Any) -> None:
        for report in (metrics["test"], metrics["test_by_source"]["melanoma10k"]):
            point = next(point for point in report["points"] if point["name"] == "sensitive")
            point["sensitivity"] = {"value": 0.4321, "low": 0.4, "high": 0.45678}
        point = next(p for p in metrics["validation_by_source"]["ham10000"]["points"] if p["name"] == "sensitive")
        point["specificity"] = {"value": 0.1234, "low": 0.1, "high": 0.15}

    change(folder / "metrics.json", edit)
    after = card_of(folder)
    assert "43.2 % (40.0–45.7)" not in before
    assert "| Lowest sensitivity at “Sensitive”: melanoma10k (test) | 43.2 % (40.0–45.7) |" in after
    assert "| Lowest specificity at “Sensitive”: HAM10000 (validation) | 12.3 % (10.0–15.0) |" in after
    assert "missed most on melanoma10k (test): 56.8 % (54.3–60.0) of the malignant pictures" in after
    assert "most false alarms on HAM10000 (validation): for 87.7 % (85.0–90.0) of the benign ones" in after


def test_figure_that_is_null_is_a_dash(folder: Path) -> None:
    def edit(metrics: Any) -> None:
        metrics["test"]["roc_auc"] = {"value": None, "low": None, "high": None}
        metrics["test"]["points"][0]["sensitivity"] = None

    change(folder / "metrics.json", edit)
    card = card_of(folder)
    assert rows_under(card, "**Independent of a threshold**")[1][3] == "—"
    assert rows_under(card, "**Test: by operating point**")[1][3] == "—"


def test_card_is_the_same_in_every_number_in_german(folder: Path) -> None:
    facts = read_facts(folder)
    english, german = (describe(facts, load_texts(language)) for language in ("en", "de"))
    assert [len(section.tables) for section in english.details] == [len(section.tables) for section in german.details]
    for one, other in zip(english.headlines, german.headlines, strict=True):
        assert one.value.replace(".", ",").replace("under", "unter") == other.value
        assert one.label != other.label or one.label == "ROC-AUC"
