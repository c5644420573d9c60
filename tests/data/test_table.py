"""Labels as people have them: spreadsheets, archives, and settings that make no sense."""

from __future__ import annotations

import logging
import os
import unicodedata
import zipfile
from pathlib import Path

import pytest

from lesion_demo.cli.settings import read_config_file
from lesion_demo.config import StageConfig, TrainConfig
from lesion_demo.data.archive import unpacked
from lesion_demo.data.folders import scan
from lesion_demo.data.picture import Picture
from lesion_demo.data.split_file import read_sides, read_split, write_split
from lesion_demo.data.splits import Splits
from lesion_demo.data.table import LabelTable
from lesion_demo.errors import DataError, LesionDemoError
from lesion_demo.train.settings import check_amount

ROWS = "image,diagnosis,Case\na,nv,1\nb.JPG,melanoma,2\n"


def folder(root: Path, *names: str) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for name in names or ("a.jpg", "b.jpg"):
        (root / name).touch()
    return root


def labels(root: Path, content: bytes, **columns: str) -> list[tuple[str, int]]:
    path = root.parent / "labels.csv"
    path.write_bytes(content)
    return [(p.file, p.label) for p in scan([root], table=LabelTable(str(path), **columns))]


@pytest.mark.parametrize(
    "content",
    [
        ROWS.encode(),
        ROWS.encode("utf-8-sig"),
        ROWS.replace(",", ";").encode(),
        ROWS.replace(",", "\t").encode("utf-16"),
        ("sep=;\r\n" + ROWS.replace(",", ";").replace("\n", "\r\n")).encode("utf-8-sig"),
        (ROWS + ",,\n,,\n\n").encode(),
        ROWS.replace("Case", "Fall für").encode("cp1252"),
    ],
    ids=["comma", "bom", "semicolon", "excel unicode text", "sep", "empty last rows", "windows-1252"],
)
def test_a_spreadsheet_as_people_have_it(tmp_path: Path, content: bytes) -> None:
    assert labels(folder(tmp_path / "set"), content) == [("a.jpg", 0), ("b.jpg", 1)]


def test_a_manifest_is_read_in_the_same_way(tmp_path: Path) -> None:
    root = folder(tmp_path / "set")
    text = "sep=;\nfile;split;label\na.jpg;train;nv\nb.jpg;train;mel\n;;\n"
    (root / "manifest.csv").write_text(text, encoding="utf-16")
    assert [p.label for p in scan([root])] == [0, 1]


def test_other_headers_and_groups(tmp_path: Path) -> None:
    root = folder(tmp_path / "set")
    path = tmp_path / "labels.csv"
    path.write_text("Foto,Befund,Fall\na,nv,7\nb,mel,7\n")
    found = scan([root], table=LabelTable(str(path), "foto", "Befund", "Fall"))
    assert [p.columns for p in found] == [{"patient_id": "7"}] * 2
    with pytest.raises(DataError, match=r"'Foto', 'Befund', 'Fall': name one with --image-column"):
        scan([root], table=LabelTable(str(path)))


def test_names_of_a_mac_are_found(tmp_path: Path) -> None:
    root = folder(tmp_path / "set", unicodedata.normalize("NFD", "fuß-ä.jpg"), "b.jpg")
    assert len(labels(root, "image,label\nfuß-ä,nv\nb,mel\n".encode())) == 2
    classes = tmp_path / "classes"
    folder(classes / "train" / unicodedata.normalize("NFD", "gutartig-ä"), "a.jpg")
    folder(classes / "train" / "mel", "b.jpg")
    assert [p.label for p in scan([classes], {"gutartig-ä": "benign"})] == [0, 1]


def test_all_problems_come_in_one_message(tmp_path: Path) -> None:
    root = folder(tmp_path / "set")
    text = "image,label\na,nv\na.jpg,nv\nb,wart\nc,mel\nd,mel\n,mel\nb,\n"
    with pytest.raises(DataError) as caught:
        labels(root, text.encode())
    for said in (
        *("1 pictures listed twice: 'a.jpg' (line 3)", "'wart' (line 4)", '--class-map "wart=benign"'),
        *("2 pictures that are not in the folder: 'c' (line 5), 'd' (line 6)", "1 rows without a picture's name"),
        "1 pictures without a diagnosis: 'b' (line 8)",
    ):
        assert said in str(caught.value)


def test_a_workbook_is_told_how_to_become_a_table(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="CSV UTF-8"):
        labels(folder(tmp_path / "set"), b"PK\x03\x04...")


def test_the_dx_names_are_printed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = {"nv": 0, "mel": 1, "bkl": 0, "bcc": 1, "akiec": 1, "df": 0, "vasc": 0, "Basal cell carcinoma": 1}
    root = folder(tmp_path / "set", *(f"{index}.jpg" for index in range(len(names))))
    text = "image_id,dx\n" + "".join(f"{index},{name}\n" for index, name in enumerate(names))
    with caplog.at_level(logging.INFO):
        assert [label for _, label in labels(root, text.encode())] == list(names.values())
    assert "akiec → malignant, 1 picture\n" in caplog.text


def test_an_isic_archive_works_as_it_comes(tmp_path: Path) -> None:
    text = "isic_id,diagnosis_1,patient_id\nISIC_1,Benign,IP_1\nISIC_2,Malignant,IP_2\nISIC_3,Indeterminate,\n"
    with zipfile.ZipFile(tmp_path / "isic.zip", "w") as archive:
        archive.writestr("metadata.csv", text)
        for number in (1, 2, 3):
            archive.writestr(f"ISIC_{number}.jpg", b"")
    found = scan([unpacked(tmp_path / "isic.zip")])
    assert [(p.label, p.columns["patient_id"]) for p in found] == [(0, "IP_1"), (1, "IP_2")]
    assert unpacked(tmp_path / "isic.zip") == tmp_path / "isic"
    (tmp_path / "folder.zip").mkdir()
    assert unpacked(tmp_path / "folder.zip") == tmp_path / "folder.zip", "a folder may be called so"
    (tmp_path / "bad.zip").write_bytes(b"no zip")
    with pytest.raises(DataError, match="unpack it yourself"):
        unpacked(tmp_path / "bad.zip")


def test_a_name_that_fits_two_files_is_not_guessed(tmp_path: Path) -> None:
    root = tmp_path / "set"
    folder(root / "monday", "a.jpg")
    folder(root / "tuesday", "a.jpg", "b.jpg")
    with pytest.raises(DataError, match=r"names that fit several files.*'a' \(line 2\)"):
        labels(root, ROWS.encode())
    assert len(labels(root, ROWS.replace("\na,", "\nmonday/a.jpg,").encode())) == 2


@pytest.mark.parametrize("raw", [b"a\xe4.jpg", b"a\rb.jpg", b"a\nb.jpg", b"=1+1.jpg"])
def test_odd_names_and_a_bom_survive_in_split_csv(raw: bytes, tmp_path: Path) -> None:
    name = os.fsdecode(raw)
    root = folder(tmp_path / "set", name)
    content = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # of nothing
    path = tmp_path / "split.csv"
    write_split(path, Splits((Picture(root / name, name, "set", "train", 0, content_hash=content),), (), ()))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert [p.file for p in read_split(path, [root]).pictures] == [name]
    assert read_sides(path) == {content: "train"}


def test_an_empty_config_and_one_with_a_bom(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.touch()
    with pytest.raises(LesionDemoError, match="is empty"):
        read_config_file(path)
    path.write_text('{"seed": 3}', encoding="utf-8-sig")
    assert read_config_file(path).seed == 3


def test_a_batch_as_large_as_an_epoch_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    pictures = [Picture(Path("x"), "x", "set", "train", index % 2) for index in range(216)]
    check_amount(TrainConfig(stages=(StageConfig("all", 1),)), pictures, pictures)
    assert "only one optimiser step per epoch" in caplog.text
