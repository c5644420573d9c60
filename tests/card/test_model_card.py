"""The model card is made of a checkpoint's files, whatever is missing, damaged or hostile in them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from card_files import card_of, change, rows_under, shipped_in

from lesion_demo.__main__ import main
from lesion_demo.card import ModelFacts, model_card, read_facts
from lesion_demo.card.markdown import plain
from lesion_demo.errors import CheckpointError

UNKNOWN = "Not recorded in the checkpoint’s files."


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shipped_in(tmp_path)


@pytest.fixture
def facts(folder: Path) -> ModelFacts:
    return read_facts(folder)


def test_every_plot_is_linked_once(folder: Path, facts: ModelFacts) -> None:
    card = card_of(folder)
    assert len(facts.plots) > 5
    for path in facts.plots.values():
        assert card.count(f"](plots/{path.name})") == 1


def test_every_row_has_as_many_cells_as_its_header(folder: Path) -> None:
    blocks = [block.splitlines() for block in card_of(folder).split("\n\n") if block.startswith("|")]
    assert len(blocks) > 8
    for block in blocks:
        assert {line.count(" | ") for line in block} == {block[0].count(" | ")}


def test_missing_audit_is_named_and_not_made_up(folder: Path) -> None:
    (folder / "audit.json").unlink()
    card = card_of(folder)
    assert "- audit.json is missing." in card
    for title in ("In subgroups", "Changes that should not affect the result", "Without seeing the lesion"):
        assert card.partition(f"## {title}\n\n")[2].startswith(UNKNOWN)
    assert "Results changed by the worst" not in card
    assert "cannot make out a lesion (" not in card


def test_complete_checkpoint_lacks_nothing(facts: ModelFacts) -> None:
    assert facts.gaps == ()
    assert "## Missing" not in model_card(facts)


@pytest.mark.parametrize("name", ["metrics.json", "audit.json", "config.json", "history.csv"])
def test_damaged_file_is_named(folder: Path, name: str) -> None:
    (folder / name).write_text('{"test": {"n": 3' if name.endswith("json") else "epoch,split\n1,val\n")
    assert f"- {name} cannot be used: " in card_of(folder)


def test_audit_of_another_checkpoint_is_refused(folder: Path) -> None:
    change(folder / "audit.json", lambda audit: audit["operating_point"].update(threshold=0.123))
    card = card_of(folder)
    assert "- audit.json cannot be used: ValueError: the checkpoint has no operating point" in card
    assert "at 0.123000; run the audit again" in card
    assert "Results changed by the worst" not in card


def test_missing_metrics_are_those_of_the_checkpoint(folder: Path) -> None:
    whole = card_of(folder)
    (folder / "metrics.json").unlink()
    card = card_of(folder)
    assert "- metrics.json is missing." in card
    assert rows_under(card, "**Test: by operating point**") == rows_under(whole, "**Test: by operating point**")


def test_checkpoint_alone_says_what_it_can(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "checkpoint.json":
            path.unlink()
    change(folder / "checkpoint.json", lambda meta: meta.update(metrics={}, data={}))
    card = card_of(folder)
    for gap in ("metrics.json is missing", "audit.json is missing", "config.json is missing", "plots is missing"):
        assert f"- {gap}." in card
    assert "- checkpoint.json says nothing about “data”." in card
    assert "- metrics.json says nothing about “test”." in card
    assert "There is no test set" in card
    assert card.count(UNKNOWN) >= 6


def test_without_a_checkpoint_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="No checkpoint in"):
        read_facts(tmp_path)


def test_unknown_keys_do_no_harm(folder: Path) -> None:
    before = card_of(folder)
    for name in ("metrics.json", "audit.json", "config.json"):
        change(folder / name, lambda values: values.update(horoscope={"sign": ["Pisces"]}, test_of_taste=[1]))
    change(folder / "audit.json", lambda audit: audit["changes"][0].update(mood="good"))
    assert card_of(folder) == before


def test_procedure_is_what_the_configuration_says(folder: Path) -> None:
    def edit(config: Any) -> None:
        del config["dropout"]
        config["init"] = "somewhere/checkpoints/first"
        config["augment"] = {"ring": 0.123, "crop": 0.5, "crop_scale": [0.25, 0.75], "erasing": 0.0, "snow": 0.5}
        config["stages"] = [{"name": "one", "epochs": 7, "train_backbone": False}]
        config["emphasis"] = [["one_clinic", 3]]

    change(folder / "config.json", edit)
    card = card_of(folder)
    assert "Initial weights: those of the checkpoint first, " in card
    assert "somewhere" not in card
    assert "before the lit field is cropped: 12 %" in card
    assert "- crop to 0.25–0.75 of the area, aspect ratio —: 50 %" in card
    assert "- snow: 50 %" in card
    assert "erased" not in card
    assert "Dropout" not in card
    assert ["Factor on the share of one_clinic in sampling", "3"] in rows_under(card, "**Settings**")
    assert rows_under(card, "**Stages, in order**") == [
        ["Stage", "Epochs", "Layers trained"],
        ["one", "0 of at most 7", "head alone"],
    ]


def test_what_comes_from_files_is_text(folder: Path) -> None:
    evil = "<script>alert(1)</script> | **bold** [x](http://x) `y`"

    def edit(audit: Any) -> None:
        audit["subgroups"][0]["name"] = audit["changes"][0]["name"] = evil

    change(folder / "audit.json", edit)
    change(folder / "checkpoint.json", lambda meta: meta["packages"].update({evil: evil}))
    change(folder / "metrics.json", lambda metrics: metrics["validation_by_source"].update({evil: metrics["test"]}))
    card = card_of(folder)
    assert "<script" not in card
    assert "**bold**" not in card
    assert not re.search(r"(?<!\\)]\(http", card)
    assert card.count("&lt;script&gt;alert(1)&lt;/script&gt; \\| \\*\\*bold\\*\\* \\[x\\](http://x) \\`y\\`") >= 5


def test_plain_leaves_names_readable() -> None:
    assert plain("efficientnet_b3-cpu") == "efficientnet_b3-cpu"
    assert plain("_sly_ a\nb") == "\\_sly\\_ a b"
    assert plain("a & b") == "a &amp; b"


def test_command_writes_the_card_beside_the_weights(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "audit.json").unlink()
    before = set(folder.iterdir())
    assert main(["card", "--checkpoint", str(folder)]) == 0
    assert set(folder.iterdir()) - before == {folder / "README.md"}
    written = (folder / "README.md").read_text(encoding="utf-8")
    assert written.startswith("# Model card: run\n")
    assert written == model_card(read_facts(folder))
    assert "lacking: audit.json\n" in capsys.readouterr().out


def test_command_says_what_is_wrong(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "README.md").mkdir()
    assert main(["card", "--checkpoint", str(folder)]) == 1
    assert "README.md is a folder" in capsys.readouterr().err
    assert main(["card", "--checkpoint", str(folder / "nothing")]) == 1
    assert "No checkpoint in" in capsys.readouterr().err
