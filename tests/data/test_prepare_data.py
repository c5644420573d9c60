"""From public downloads to data sets: made-up archives laid out as the real ones are, whole, partial and damaged."""

from __future__ import annotations

import csv
import hashlib
import io
import shlex
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import PROJECT
from PIL import Image

from lesion_demo.data.folders import scan
from lesion_demo.images.phantom import render_phantom
from scripts import prepare_data
from scripts.downloads import Entry
from scripts.prepare_data import main
from scripts.public_sets import SOURCES, isic_diagnosis


def picture(seed: int, kind: str = "JPEG", size: int = 80) -> bytes:
    content = io.BytesIO()
    made = Image.fromarray(render_phantom(seed, malignant=bool(seed % 2), size=64))
    made.resize((size, size)).save(content, kind)
    return content.getvalue()


def archive(path: Path, files: Mapping[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as out:
        for name, content in files.items():
            out.writestr(name, content)


def archive_bytes(files: Mapping[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as out:
        for name, data in files.items():
            out.writestr(name, data)
    return content.getvalue()


def table(header: str, *rows: str) -> bytes:
    return "\n".join((header, *rows, "")).encode("utf-8-sig")


def melanoma10k(folder: Path) -> None:
    places = ("train/benign", "train/malignant", "test/benign", "test/malignant")
    files = {f"melanoma_cancer_dataset/{place}/melanoma_{n}.jpg": picture(n) for n, place in enumerate(places)}
    archive(folder / "archive.zip", files)


def ham10000(folder: Path) -> None:
    archive(folder / "HAM10000_images_part_1.zip", {"ISIC_0024306.jpg": picture(1), "ISIC_0024307.jpg": picture(2)})
    archive(folder / "HAM10000_images_part_2.zip", {"ISIC_0029306.jpg": picture(3)})
    (folder / "HAM10000_metadata.tab").write_bytes(
        table(
            "lesion_id,image_id,dx,dx_type,age,sex,localization,dataset",
            "HAM_0000001,ISIC_0024306,nv,follow_up,45,male,trunk,vidir_modern",
            "HAM_0000001,ISIC_0024307,nv,follow_up,45,male,unknown,vidir_modern",
            "HAM_0000002,ISIC_0029306,akiec,histo,,female,face,rosendahl",
        ).replace(b",", b"\t")
    )


def isic2018(folder: Path) -> None:
    names = [f"ISIC_000000{n}" for n in range(4)]
    files = {f"ISIC2018_Task1-2_Training_Input/{name}.jpg": picture(n) for n, name in enumerate(names)}
    archive(
        folder / "ISIC2018_Task1-2_Training_Input.zip", {**files, "ISIC2018_Task1-2_Training_Input/LICENSE.txt": b""}
    )
    archive(folder / "ISIC2018_Task1_Training_GroundTruth.zip", {f"M/{names[0]}_segmentation.png": picture(9, "PNG")})
    (folder / "metadata.csv").write_bytes(
        table(
            "isic_id,attribution,copyright_license,age_approx,anatom_site_general,diagnosis_1,diagnosis_2,diagnosis_3,sex",
            "ISIC_0000000,MSK,CC-0,30,anterior torso,Benign,Benign melanocytic proliferations,Nevus,female",
            'ISIC_0000001,MSK,CC-0,80,,Malignant,Malignant melanocytic proliferations (Melanoma),"Melanoma, NOS",male',
            "ISIC_0000002,MSK,CC-0,80,,Indeterminate,Indeterminate melanocytic proliferations,,male",
            "ISIC_0999999,MSK,CC-0,80,,Benign,,Nevus,male",
        )
    )


def padufes20(folder: Path) -> None:
    inner = {"imgs_part_1/PAT_1_2_3.png": picture(1, "PNG", 600), "imgs_part_1/PAT_4_5_6.png": picture(2, "PNG")}
    rows = table(
        "patient_id,lesion_id,smoke,age,gender,fitspatrick,region,diagnostic,img_id,biopsed",
        "PAT_1,2,False,55,FEMALE,3.0,NECK,BCC,PAT_1_2_3.png,True",
        "PAT_4,5,,40,,,FACE,NEV,PAT_4_5_6.png,False",
    )
    archive(folder / "zr7vgbcyr2-1.zip", {"metadata.csv": rows, "images/imgs_part_1.zip": archive_bytes(inner)})


MAKERS: dict[str, Callable[[Path], None]] = {
    maker.__name__: maker for maker in (melanoma10k, ham10000, isic2018, padufes20)
}


@pytest.fixture
def downloads(tmp_path: Path) -> Path:
    folder = tmp_path / "downloads"
    folder.mkdir()
    return folder


def run(name: str, downloads: Path, *options: str) -> int:
    return main([name, "--downloads", str(downloads), "--out", str(downloads.parent / "data"), *options])


def manifest(downloads: Path, name: str) -> list[dict[str, str]]:
    with (downloads.parent / "data" / name / "manifest.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", MAKERS)
def test_what_it_makes_is_a_data_set_to_training(name: str, downloads: Path) -> None:
    MAKERS[name](downloads)
    assert run(name, downloads, "--partial") == 0
    found = scan([downloads.parent / "data" / name])
    expected = {"melanoma10k": 4, "ham10000": 3, "isic2018": 2, "padufes20": 2}
    assert len(found) == expected[name]
    assert {one.label for one in found} == {0, 1}
    for one in found:
        with Image.open(one.path) as image:
            image.load()
            assert max(image.size) <= 512


def test_manifests_keep_what_training_and_reports_need(downloads: Path) -> None:
    ham10000(downloads)
    padufes20(downloads)
    (downloads / "metadata.csv").write_bytes(b"something,else\n1,2\n")
    assert run("ham10000", downloads, "--partial") == run("padufes20", downloads, "--partial") == 0
    first, second, third = manifest(downloads, "ham10000")
    assert first["file"] == "train/benign/ISIC_0024306.jpg"
    assert (first["lesion_id"], first["site"], first["dx_type"]) == ("HAM_0000001", "trunk", "follow_up")
    assert second["site"] == ""
    assert (third["label"], third["dx"], third["age"]) == ("malignant", "akiec", "")
    cancer, naevus = manifest(downloads, "padufes20")
    assert cancer["file"] == "train/malignant/PAT_1_2_3.jpg"
    assert (cancer["patient_id"], cancer["lesion_id"], cancer["fitzpatrick"]) == ("PAT_1", "2", "3.0")
    assert (naevus["label"], naevus["sex"], naevus["biopsied"]) == ("benign", "", "False")


def test_the_commands_on_the_page_run(downloads: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(downloads.parent)
    page = (PROJECT / "docs" / "data.md").read_text(encoding="utf-8")
    commands = [
        shlex.split(line)[3:] for line in page.splitlines() if line.startswith("python -m scripts.prepare_data")
    ]
    assert {command[0] for command in commands} == SOURCES.keys()
    for command in commands:
        folder = Path(command[command.index("--downloads") + 1])
        folder.mkdir(parents=True)
        MAKERS[command[0]](folder)
        assert main([*command, "--partial"]) == 0
    assert len(scan([Path("data", name) for name in SOURCES])) == 11


def test_small_jpegs_are_copied_byte_for_byte(downloads: Path) -> None:
    melanoma10k(downloads)
    assert run("melanoma10k", downloads, "--partial") == 0
    made = downloads.parent / "data" / "melanoma10k" / "train" / "malignant" / "melanoma_1.jpg"
    assert made.read_bytes() == picture(1)


def test_unpacked_downloads_are_as_good_even_beside_their_archive(downloads: Path) -> None:
    melanoma10k(downloads)
    with zipfile.ZipFile(downloads / "archive.zip") as packed:
        packed.extractall(downloads / "unpacked")
    assert run("melanoma10k", downloads, "--partial") == 0
    assert len(scan([downloads.parent / "data" / "melanoma10k"])) == 4


def test_counts_other_than_published_are_refused_and_named(downloads: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ham10000(downloads)
    (downloads / "HAM10000_images_part_2.zip").unlink()
    assert run("ham10000", downloads) == 1
    said = capsys.readouterr().err
    assert "nv 2 instead of 6,705" in said
    assert "akiec 0 instead of 327" in said
    assert "HAM10000_images_part_2.zip" in said
    assert not (downloads.parent / "data").exists()


def test_counts_as_published_pass(downloads: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ham10000(downloads)
    monkeypatch.setitem(SOURCES, "ham10000", replace(SOURCES["ham10000"], expected={"nv": 2, "akiec": 1}))
    assert run("ham10000", downloads) == 0


def test_published_totals_and_licences_are_those_on_the_page() -> None:
    totals = {name: sum(source.expected.values()) for name, source in SOURCES.items()}
    assert totals == {"melanoma10k": 10_605, "ham10000": 10_015, "isic2018": 2_594, "padufes20": 2_298}
    page = (PROJECT / "docs" / "data.md").read_text(encoding="utf-8")
    for name, source in SOURCES.items():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
        assert f"| {totals[name]:,} | {source.licence.split(':')[0]}" in row


def test_checksums_are_those_of_the_downloads(downloads: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ham10000(downloads)
    assert run("ham10000", downloads, "--partial") == 0
    said = capsys.readouterr().out
    for path in downloads.iterdir():
        data = path.read_bytes()
        assert f"{path.name}: {len(data):,} bytes" in said
        assert hashlib.sha256(data).hexdigest() in said
        assert hashlib.md5(data, usedforsecurity=False).hexdigest() in said
    assert "CC BY-NC" in said


def test_what_isic_says_of_a_lesion() -> None:
    assert isic_diagnosis({"diagnosis": "nevus"}) == "nv"
    assert isic_diagnosis({"diagnosis": "seborrheic keratosis"}) == "bkl"
    assert isic_diagnosis({"diagnosis_1": "Malignant", "diagnosis_3": "Melanoma in situ"}) == "mel"
    assert isic_diagnosis({"diagnosis_1": "Malignant", "diagnosis_4": "Lentigo maligna"}) == "mel"
    assert isic_diagnosis({"diagnosis_1": "Benign", "diagnosis_3": "Solar lentigo"}) == "bkl"
    assert isic_diagnosis({"diagnosis_1": "Benign", "diagnosis_3": "Dermatofibroma"}) == "?Dermatofibroma"
    assert isic_diagnosis({"diagnosis_1": ""}) == "?missing"


def test_what_is_left_out_is_counted(downloads: Path, capsys: pytest.CaptureFixture[str]) -> None:
    isic2018(downloads)
    assert run("isic2018", downloads, "--partial") == 0
    said = capsys.readouterr().out
    assert "left out: 1 (diagnosis Indeterminate melanocytic proliferations)" in said
    assert "left out: 1 (not in the table)" in said


def test_pictures_can_be_left_out_by_name(downloads: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ham10000(downloads)
    names = downloads.parent / "names.txt"
    names.write_text("ISIC_0024307\n", encoding="utf-8")
    assert run("ham10000", downloads, "--partial", "--leave-out", str(names)) == 0
    assert [line["file"] for line in manifest(downloads, "ham10000")][1:] == ["train/malignant/ISIC_0029306.jpg"]
    names.write_text("ISIC_7777777\n", encoding="utf-8")
    assert run("ham10000", downloads, "--partial", "--leave-out", str(names)) == 1
    assert "'ISIC_7777777', which is not among the pictures" in capsys.readouterr().err


def spoil_cut_off(folder: Path) -> None:
    path = folder / "HAM10000_images_part_1.zip"
    path.write_bytes(path.read_bytes()[:-200])


def spoil_picture(folder: Path) -> None:
    archive(folder / "HAM10000_images_part_2.zip", {"ISIC_0029306.jpg": b"<html>Please log in</html>"})


def spoil_unfinished(folder: Path) -> None:
    (folder / "HAM10000_images_part_2.zip").rename(folder / "HAM10000_images_part_2.zip.crdownload")


def spoil_table(folder: Path) -> None:
    (folder / "HAM10000_metadata.tab").unlink()


def spoil_name(folder: Path) -> None:
    path = folder / "HAM10000_metadata.tab"
    path.write_bytes(path.read_bytes().replace(b"ISIC_0024306", b"..\\ISIC_0024306"))


def spoil_diagnosis(folder: Path) -> None:
    path = folder / "HAM10000_metadata.tab"
    path.write_bytes(path.read_bytes().replace(b"akiec", b"acral"))


def spoil_two_releases(folder: Path) -> None:
    archive(folder / "other.zip", {"ISIC_0029306.jpg": picture(3, size=200)})


def spoil_all(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    (folder / "HAM10000_metadata.csv").write_bytes(table("lesion_id,image_id,dx", "HAM_1,ISIC_0000001,nv"))


SPOILT: dict[Callable[[Path], None], str] = {
    spoil_cut_off: "HAM10000_images_part_1.zip cannot be read",
    spoil_picture: "ISIC_0029306.jpg in HAM10000_images_part_2.zip is damaged or no picture; download it again.",
    spoil_unfinished: "looks unfinished; wait for the download to end",
    spoil_table: "No table with the columns image_id, lesion_id, dx is among the downloads; add HAM10000_metadata.",
    spoil_name: "which is no plain file name",
    spoil_diagnosis: "ISIC_0029306 has the diagnosis 'acral', which is not known; name it in --leave-out.",
    spoil_two_releases: "ISIC_0029306.jpg is there twice, in HAM10000_images_part_2.zip and in other.zip",
    spoil_all: "holds no pictures of HAM10000; it needs HAM10000_images_part_1.zip",
}


@pytest.mark.parametrize(("spoil", "sentence"), SPOILT.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_an_odd_download_is_one_sentence_and_leaves_nothing(
    spoil: Callable[[Path], None], sentence: str, downloads: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ham10000(downloads)
    spoil(downloads)
    assert run("ham10000", downloads, "--partial") == 1
    said = capsys.readouterr().err
    assert sentence in said
    assert said.startswith("error: ")
    assert len(said.splitlines()) == 1
    assert not (downloads.parent / "data" / "ham10000").exists()


def test_a_folder_that_is_not_there_and_one_that_is_there_already(
    downloads: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ham10000(downloads)
    assert run("ham10000", downloads / "nowhere", "--partial") == 1
    assert "is not a folder; give --downloads the folder" in capsys.readouterr().err
    assert run("ham10000", downloads, "--partial") == 0
    before = manifest(downloads, "ham10000")
    assert run("ham10000", downloads, "--partial") == 1
    assert "is there already; move it away or delete it" in capsys.readouterr().err
    assert manifest(downloads, "ham10000") == before


def test_a_full_disk_is_one_sentence(
    downloads: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "picture.jpg")

    ham10000(downloads)
    monkeypatch.setattr(prepare_data, "shrink", full)
    assert run("ham10000", downloads, "--partial") == 1
    assert capsys.readouterr().err == "error: picture.jpg: No space left on device.\n"


@pytest.mark.parametrize(("failure", "code"), [(KeyboardInterrupt(), 130), (OSError(28, "No space left"), 1)])
def test_a_stop_half_way_leaves_nothing(
    failure: BaseException, code: int, downloads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, seen = prepare_data.shrink, []

    def shrink(entry: Entry, side: int) -> tuple[bytes, str]:
        seen.append(entry)
        if len(seen) == 2:
            raise failure
        return real(entry, side)

    ham10000(downloads)
    monkeypatch.setattr(prepare_data, "shrink", shrink)
    assert run("ham10000", downloads, "--partial") == code
    assert list((downloads.parent / "data").iterdir()) == []
