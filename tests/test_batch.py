"""Many pictures: files and zips, good and bad, and what comes out of them."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from fake_analyzer import FakeAnalyzer
from PIL import Image
from pypdf import PdfReader

from lesion_demo.errors import LesionDemoError
from lesion_demo.imaging.phantom import render_phantom
from lesion_demo.serving.batch import ReportArchive, analyze_batch, open_inputs
from lesion_demo.texts import load_texts


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("picture") / "lesion.jpg"
    Image.fromarray(render_phantom(1, malignant=True, size=160)).save(path)
    return path


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_one_bad_file_does_not_stop_the_rest(picture: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    items = open_inputs([picture, bad, tmp_path / "missing.png", picture], tmp_path)
    analyzer = FakeAnalyzer()
    found = list(analyze_batch(analyzer, items, analyzer.point("balanced")))
    assert [bool(finding.error) for finding in found] == [False, True, True, False]
    assert analyzer.asked == 2
    assert found[0].row.verdict == "benign"
    assert found[0].row.operating_point == "balanced"
    assert found[1].row.error == found[1].error
    assert "bad.jpg" in found[1].row.error
    assert found[1].row.verdict == found[1].row.probability == ""


def test_findings_come_as_they_are_asked_for(picture: Path, tmp_path: Path) -> None:
    analyzer = FakeAnalyzer()
    findings = analyze_batch(analyzer, open_inputs([picture] * 5, tmp_path), analyzer.point("balanced"))
    next(findings)
    next(findings)
    assert analyzer.asked == 2


def test_a_zip_is_unpacked_under_names_of_our_own(picture: Path, tmp_path: Path) -> None:
    content = picture.read_bytes()
    members = {
        "b/nested/two.JPG": content,
        "../../evil.jpg": content,
        "/etc/absolute.png": content,
        "notes.txt": b"none",
        "__MACOSX/b/._two.JPG": b"none",
        ".hidden.jpg": b"none",
    }
    folder = tmp_path / "inside"
    folder.mkdir()
    items = open_inputs([zipped(tmp_path / "some.zip", members)], folder)
    assert sorted(item.name.removeprefix("some.zip/").lstrip("/") for item in items) == [
        "../../evil.jpg", "b/nested/two.JPG", "etc/absolute.png",
    ]  # fmt: skip
    assert all(item.path is not None and item.path.resolve().is_relative_to(folder.resolve()) for item in items)
    written = {path.resolve() for path in tmp_path.rglob("*") if path.is_file()} - {(tmp_path / "some.zip").resolve()}
    assert written == {item.path.resolve() for item in items if item.path is not None}
    analyzer = FakeAnalyzer()
    assert [finding.row.verdict for finding in analyze_batch(analyzer, items, analyzer.point("balanced"))] == [
        "benign"
    ] * 3


def test_zips_that_cannot_be_used_say_why(picture: Path, tmp_path: Path) -> None:
    content = picture.read_bytes()
    damaged = tmp_path / "damaged.zip"
    damaged.write_bytes(b"PK\x03\x04 and then nothing")
    encrypted = zipped(tmp_path / "encrypted.zip", {"a.jpg": content})
    raw = bytearray(encrypted.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(signature) + offset] |= 1
    encrypted.write_bytes(raw)
    empty = zipped(tmp_path / "empty.zip", {"notes.txt": b"none"})
    big = zipped(tmp_path / "big.zip", {"a.jpg": content, "b.jpg": content})
    for number, (path, reason) in enumerate(
        [
            (damaged, "cannot be opened"),
            (encrypted, "encrypted"),
            (empty, "holds no pictures"),
            (big, "holds more than"),
        ]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        (item,) = open_inputs([path], folder, max_pictures=1 if path == big else 9)
        assert item.path is None
        assert reason in item.error
        assert path.name in item.error
    (item,) = open_inputs([big], tmp_path, max_bytes=len(content))
    assert "holds more than" in item.error


def test_too_many_files_are_refused(picture: Path, tmp_path: Path) -> None:
    with pytest.raises(LesionDemoError, match=r"3 pictures.*at most 2"):
        open_inputs([picture] * 3, tmp_path, max_pictures=2)


def test_the_archive_holds_a_pdf_and_a_json_for_each_picture(picture: Path, tmp_path: Path) -> None:
    analyzer = FakeAnalyzer()
    archive = ReportArchive(tmp_path / "reports.zip", analyzer, load_texts())
    for finding in analyze_batch(analyzer, open_inputs([picture, picture], tmp_path), analyzer.point("balanced")):
        assert finding.picture is not None
        archive.add(finding, finding.picture)
    with zipfile.ZipFile(archive.path) as opened:
        assert sorted(opened.namelist()) == [
            "lesion.jpg.json",
            "lesion.jpg.pdf",
            "lesion.jpg_2.json",
            "lesion.jpg_2.pdf",
        ]
        text = PdfReader(io.BytesIO(opened.read("lesion.jpg_2.pdf"))).pages[0].extract_text()
    assert load_texts().verdict.outcomes["benign"] in text
