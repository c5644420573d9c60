"""Scanning data set folders: what is taken, how classes are named, and what each mistake says."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from lesion_demo.data.folders import name_sources, scan
from lesion_demo.data.grouping import group_pictures, links_between
from lesion_demo.errors import DataError

SIX = ("train/benign/a.jpg", "train/malignant/b.jpg", "val/benign/c.jpg", "val/malignant/d.jpg")


def make(root: Path, files: Iterable[str] = SIX, manifest: str = "") -> Path:
    """A data set of empty files: scanning looks at names only."""
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    if manifest:
        (root / "manifest.csv").write_text(manifest, encoding="utf-8")
    return root


def fails(root: Path, class_map: dict[str, str] | None = None) -> str:
    with pytest.raises(DataError) as caught:
        scan([root], class_map)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_folders_give_split_label_and_relative_file(tmp_path: Path) -> None:
    pictures = scan([make(tmp_path / "set")])
    assert [(p.file, p.split, p.label) for p in pictures] == [
        ("train/benign/a.jpg", "train", 0),
        ("train/malignant/b.jpg", "train", 1),
        ("val/benign/c.jpg", "val", 0),
        ("val/malignant/d.jpg", "val", 1),
    ]
    assert {p.source for p in pictures} == {"set"}
    assert pictures[0].path == (tmp_path / "set/train/benign/a.jpg").resolve()
    assert pictures[0].name == "set/train/benign/a.jpg"


@pytest.mark.parametrize("folder", ["val", "valid", "validation", "Validation"])
def test_every_spelling_of_validation_is_val(tmp_path: Path, folder: str) -> None:
    files = [*SIX[:2], f"{folder}/benign/c.jpg", f"{folder}/malignant/d.jpg"]
    assert sorted(p.split for p in scan([make(tmp_path, files)])) == ["train", "train", "val", "val"]


def test_picture_kinds_any_case_sorted_and_hidden_files_skipped(tmp_path: Path) -> None:
    good = ["b.JPG", "a.png", "c.heic", "e.Webp", "deeper/f.tif"]
    bad = ["._a.png", ".hidden/g.png", "__MACOSX/h.png", "notes.txt", "Thumbs.db"]
    files = [f"train/benign/{name}" for name in good + bad] + ["train/malignant/m.bmp", "__MACOSX/train/x/y.png"]
    found = [p.file for p in scan([make(tmp_path, files)]) if p.label == 0]
    assert found == [f"train/benign/{name}" for name in ("a.png", "b.JPG", "c.heic", "deeper/f.tif", "e.Webp")]


@pytest.mark.parametrize(
    ("name", "label"),
    [("NV", 0), ("melanocytic_nevi", 0), ("Seborrheic-Keratosis", 0), ("MEL", 1), ("Basal Cell Carcinoma", 1)],
)
def test_usual_names_need_no_map(tmp_path: Path, name: str, label: int) -> None:
    other = ("malignant", "benign")[label]
    pictures = scan([make(tmp_path, [f"train/{name}/a.jpg", f"train/{other}/b.jpg"])])
    assert {p.file: p.label for p in pictures}[f"train/{name}/a.jpg"] == label


def test_unknown_class_is_listed_and_can_be_mapped(tmp_path: Path) -> None:
    make(tmp_path, ["train/benign/a.jpg", "train/Oddity/b.jpg"])
    message = fails(tmp_path)
    assert "'Oddity'" in message
    assert "'benign'" in message
    assert '--class-map "Oddity=benign"' in message
    assert [p.label for p in scan([tmp_path], {"oddity": "Malignant"})] == [1, 0]


def test_class_map_goes_before_known_names_and_checks_its_target(tmp_path: Path) -> None:
    make(tmp_path, ["train/akiec/a.jpg", "train/mel/b.jpg"])
    assert "no benign" in fails(tmp_path)
    assert [p.label for p in scan([tmp_path], {"AKIEC": "benign"})] == [0, 1]
    assert "'harmless' is not a class" in fails(tmp_path, {"akiec": "harmless"})


def test_layout_mistakes_say_what_and_where(tmp_path: Path) -> None:
    assert "does not exist" in fails(tmp_path / "nowhere")
    file = tmp_path / "file"
    file.touch()
    assert "is not a folder" in fails(file)
    assert "folders found: benign, malignant" in fails(make(tmp_path / "flat", ["benign/a.jpg", "malignant/b.jpg"]))
    assert "no training pictures" in fails(make(tmp_path / "test", ["test/benign/a.jpg", "test/malignant/b.jpg"]))
    hollow = make(tmp_path / "hollow", ["train/benign/a.txt", "train/malignant/b.jpg"])
    assert str(hollow / "train" / "benign") in fails(hollow)
    one = make(tmp_path / "one", [*SIX[:2], "test/benign/t.jpg"])
    assert "The test split" in fails(one)
    assert "no malignant" in fails(one)


def test_manifest_keeps_further_columns(tmp_path: Path) -> None:
    text = "file,split,label,dx,age\ntrain/a.jpg,train,benign,nv,40\nb.jpg, valid ,MEL,mel,\nc.jpg,train,mel,mel,\n"
    make(tmp_path, ["train/a.jpg", "b.jpg", "c.jpg"], text + "d.jpg,val,nv,nv,1\n")
    (tmp_path / "d.jpg").touch()
    pictures = scan([tmp_path])
    assert [(p.file, p.split, p.label) for p in pictures][:2] == [("train/a.jpg", "train", 0), ("b.jpg", "val", 1)]
    assert pictures[0].columns == {"dx": "nv", "age": "40"}


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        ("file,label\na.jpg,benign\n", "lacks the column split"),
        ("file,split,label\na.jpg,train,benign\ngone.jpg,train,mel\n", "line 3: file 'gone.jpg' is not in"),
        ("file,split,label\na.jpg,holdout,benign\nb.jpg,train,mel\n", "split 'holdout' is unknown"),
        ("file,split,label\na.jpg,train,benign\na.jpg,train,mel\n", "listed twice"),
        ("file,split,label\n", "holds no pictures"),
    ],
)
def test_manifest_mistakes(tmp_path: Path, manifest: str, said: str) -> None:
    assert said in fails(make(tmp_path, ["a.jpg", "b.jpg"], manifest))


MISSING = [
    "NA",
    "n/a",
    "-",
    "None",
    "unknown",
    "nan",
    "0",
    "",
    " ",
    "0.0",
    "NULL",
    "<NA>",
    "#N/A",
    "?",
    "(missing)",
    "--",
]


@pytest.mark.parametrize("missing", MISSING)
def test_a_missing_id_is_nobodys(tmp_path: Path, missing: str) -> None:
    rows = [
        f'{name}.jpg,train,{label},"{missing}",P{label}' for name, label in zip("abcd", ["nv", "mel"] * 2, strict=True)
    ]
    make(tmp_path, [f"{name}.jpg" for name in "abcd"], "file,split,label,lesion_id,patient_id\n" + "\n".join(rows))
    pictures = scan([tmp_path])
    assert [p.columns["lesion_id"] for p in pictures] == [""] * 4
    assert len(set(group_pictures(pictures, links_between(pictures, [])))) == 2


@pytest.mark.parametrize("name", ["0017", "-1", "N1", "nana", "P0", "10", "1.0"])
def test_an_id_that_looks_like_none_is_one(tmp_path: Path, name: str) -> None:
    text = f"file,split,label,lesion_id\na.jpg,train,nv,{name}\nb.jpg,train,mel,{name}\n"
    pictures = scan([make(tmp_path, ["a.jpg", "b.jpg"], text)])
    assert len(set(group_pictures(pictures, links_between(pictures, [])))) == 1


@pytest.mark.parametrize(
    "header", ["Patient_ID", " patient_id", "PatientID", "patient id ", "PATIENT-ID", "\ufeffpatient_id"]
)
def test_the_header_may_be_spelt_as_people_spell_it(tmp_path: Path, header: str) -> None:
    text = f"File, Split ,LABEL,{header}\na.jpg,train,nv,P1\nb.jpg,train,mel,P1\n"
    pictures = scan([make(tmp_path, ["a.jpg", "b.jpg"], text)])
    assert [p.columns["patient_id"] for p in pictures] == ["P1", "P1"]
    first = scan(
        [make(tmp_path / "first", ["a.jpg", "b.jpg"], f"{header},file,split,label\n,a.jpg,train,nv\nQ,b.jpg,train,mel")]
    )
    assert [p.columns["patient_id"] for p in first] == ["", "Q"]


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("patient", "column 'patient': if it identifies patients, call it patient_id"),
        ("Subject No", "call it patient_id"),
        ("lesion-nr.", "call it lesion_id"),
        ("patient_id,PatientID", "the column patient_id twice"),
        ("Split", "the column split twice"),
    ],
)
def test_a_column_that_may_be_an_id_is_not_passed_over(tmp_path: Path, header: str, said: str) -> None:
    text = f"file,split,label,{header}\na.jpg,train,nv,1,1\nb.jpg,train,mel,2,2\n"
    assert said in fails(make(tmp_path, ["a.jpg", "b.jpg"], text))


def test_links_are_followed_and_every_kind_of_skipped_file_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make(tmp_path / "elsewhere", ["x.jpg", "deep/y.png"])
    good = ["a.jpg", "more/b.jpg"]
    bad = ["@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg", "._a.jpg", "c.nef", "d.NEF", "e.jxl", "f_superpixels.png"]
    bad += ["g_segmentation.png", ".Trashes/h.jpg", "notes"]
    root = make(tmp_path / "set", [f"train/benign/{name}" for name in good + bad])
    make(root, ["train/malignant/m.jpg", "train/loose.jpg", "holdout/benign/n.jpg"])
    (root / "train/benign/linked").symlink_to(tmp_path / "elsewhere")
    (root / "train/benign/linked/again").symlink_to(root / "train/benign")  # round and round
    found = [p.file for p in scan([root]) if p.label == 0]
    assert found == [f"train/benign/{name}" for name in ("a.jpg", "linked/deep/y.png", "linked/x.jpg", "more/b.jpg")]
    counted = [
        "2 × .nef",
        "1 × .jxl",
        "2 × mask of a lesion",
        "2 × hidden or system folder",
        "1 × file without a suffix",
    ]
    counted += ["1 × hidden or system file", "1 × link to a folder that was searched already"]
    counted += ["1 × picture outside of the class folders", "1 × folder holdout, which is no split"]
    for said in (*counted, "To use .jxl and .nef files, export them as JPEG or PNG first."):
        assert said in caplog.text, said


def test_a_class_of_raw_files_alone_says_so(tmp_path: Path) -> None:
    message = fails(make(tmp_path, ["train/benign/a.nef", "train/benign/b.nef", "train/malignant/m.jpg"]))
    assert "2 × .nef" in message
    assert "export them as JPEG or PNG" in message


def test_pictures_that_a_manifest_does_not_list_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = "file,split,label\na.jpg,train,nv\nb.jpg,train,mel\n"
    scan([make(tmp_path, ["a.jpg", "b.jpg", "c.jpg", "masks/a.png"], text)])
    assert "2 × picture that is not in manifest.csv" in caplog.text


def test_a_link_gives_its_own_name(tmp_path: Path) -> None:
    images = make(tmp_path / "store/images")
    (tmp_path / "padufes20").symlink_to(images)
    assert list(name_sources([tmp_path / "padufes20"])) == ["padufes20"]
    assert {p.source for p in scan([tmp_path / "padufes20"])} == {"padufes20"}
    assert list(name_sources([images / ".." / "images", images / ".."])) == ["images", "store"]
    with pytest.raises(DataError, match="given twice"):
        scan([images, tmp_path / "padufes20"])


def test_manifest_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_bytes(b"file,split,label\n\xff\0,train,benign\n")
    assert "save it as UTF-8 CSV" in fails(tmp_path)


def test_sources_of_one_name_become_unique_and_none_comes_twice(tmp_path: Path) -> None:
    first, second = make(tmp_path / "one/data"), make(tmp_path / "two/data")
    assert list(dict.fromkeys(p.source for p in scan([first, second]))) == ["data", "data-2"]
    with pytest.raises(DataError, match="given twice"):
        scan([first, first / ".." / "data"])
    with pytest.raises(DataError, match="No data set"):
        scan([])


def test_a_source_is_called_by_what_can_be_printed(tmp_path: Path) -> None:
    """The page would not open with a report that names bytes."""
    root = tmp_path / os.fsdecode(b"caf\xe9")
    assert name_sources([root, tmp_path / "Jürgen"]) == {"caf\\udce9": root, "Jürgen": tmp_path / "Jürgen"}
