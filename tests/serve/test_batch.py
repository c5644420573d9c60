"""Many pictures: files and zips, good and bad, and what comes out of them."""

from __future__ import annotations

import errno
import io
import os
import random
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from batch_files import zipped
from fake_analyzer import FakeAnalyzer
from pypdf import PdfReader

from lesion_demo.errors import LesionDemoError
from lesion_demo.serve.batch import ReportArchive, analyze_batch, open_inputs
from lesion_demo.texts import load_texts


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
    assert sorted(item.name for item in items) == [
        "some.zip/b/nested/two.JPG", "some.zip/etc/absolute.png", "some.zip/evil.jpg",
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
            (big, "it holds 2 pictures, but only 1 more are allowed"),
        ]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        (item,) = open_inputs([path], folder, max_pictures=1 if path == big else 9)
        assert item.path is None
        assert reason in item.error
        assert path.name in item.name


def spoil(path: Path, member: str, *, first: int = 0) -> Path:
    """Make what the member of a zip holds, from its byte `first` on, a stream that Deflate forbids."""
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(member)
    raw = bytearray(path.read_bytes())
    start = info.header_offset + 30 + len(member.encode())
    raw[start + first : start + info.compress_size] = b"\xff" * (info.compress_size - first)
    path.write_bytes(raw)
    return path


def written(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("first", [0, 5000], ids=["from the start", "midway"])
def test_a_damaged_picture_in_a_zip_leaves_the_others(picture: Path, tmp_path: Path, first: int) -> None:
    members = dict.fromkeys(["a.jpg", "b.jpg", "c.jpg"], random.Random(0).randbytes(50_000) + bytes(50_000))
    bad = spoil(zipped(tmp_path / "bad.zip", members, zipfile.ZIP_DEFLATED), "b.jpg", first=first)
    folder = tmp_path / "inside"
    folder.mkdir()
    items = open_inputs([bad, picture], folder)
    assert [item.name for item in items] == ["bad.zip/a.jpg", "bad.zip/b.jpg", "bad.zip/c.jpg", "lesion.jpg"]
    assert [item.path is None for item in items] == [False, True, False, False]
    assert items[1].error == "“bad.zip/b.jpg” cannot be unpacked: it is damaged or of an unknown kind; make it anew."
    assert written(folder) == [items[0].path, items[2].path]


def test_no_damage_to_a_zip_ends_a_batch(tmp_path: Path) -> None:
    good = zipped(tmp_path / "good.zip", {f"ä{i}.jpg": bytes(range(60)) for i in range(3)}, zipfile.ZIP_DEFLATED)
    chance, content, bad = random.Random(0), good.read_bytes(), tmp_path / "bad.zip"
    for attempt in range(300):
        raw = bytearray(content)
        for _ in range(chance.randint(1, 4)):
            raw[chance.randrange(len(raw))] = chance.randrange(256)
        bad.write_bytes(raw)
        folder = tmp_path / str(attempt)
        folder.mkdir()
        items = open_inputs([bad], folder)
        assert items
        assert all((item.path is None) == item.error.endswith(".") for item in items)


@pytest.mark.parametrize("claimed", [1000, None], ids=["a size that lies", "its own size"])
def test_a_zip_bomb_takes_neither_memory_nor_disk(picture: Path, tmp_path: Path, claimed: int | None) -> None:
    members = {"a.jpg": picture.read_bytes(), "b.jpg": bytes(100_000_000), "c.jpg": picture.read_bytes()}
    bomb = zipped(tmp_path / "bomb.zip", members, zipfile.ZIP_DEFLATED)
    if claimed is not None:
        bomb.write_bytes(bomb.read_bytes().replace((100_000_000).to_bytes(4, "little"), claimed.to_bytes(4, "little")))
    folder = tmp_path / "inside"
    folder.mkdir()
    tracemalloc.start()
    items = open_inputs([bomb, picture], folder, max_bytes=5_000_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000
    (bad,) = [item for item in items if item.path is None]
    assert bad.name == "bomb.zip/b.jpg"
    assert ("exceed the total size allowed" in bad.error) == (claimed is None)
    assert items[0].path is not None
    assert items[-1].path == picture
    assert written(folder) == [item.path for item in items if item.path is not None and item.path != picture]


def test_compressions_that_unpack_without_bounds_are_refused(tmp_path: Path) -> None:
    (item,) = open_inputs([zipped(tmp_path / "a.zip", {"a.jpg": bytes(9)}, zipfile.ZIP_BZIP2)], tmp_path)
    assert item.path is None
    assert "its compression method is not supported" in item.error


def test_limits_are_for_all_inputs_together(picture: Path, tmp_path: Path) -> None:
    zips = [zipped(tmp_path / f"{name}.zip", {"a.jpg": bytes(900), "b.jpg": bytes(900)}) for name in "xyz"]

    def names(folder: str, **limits: int) -> list[tuple[str, bool]]:
        (tmp_path / folder).mkdir()
        return [(i.name, i.path is not None) for i in open_inputs([*zips, picture], tmp_path / folder, **limits)]

    first = [("x.zip/a.jpg", True), ("x.zip/b.jpg", True)]
    last = ("lesion.jpg", True)
    assert names("pictures", max_pictures=4) == [*first, ("y.zip", False), ("z.zip", False), last]
    assert names("bytes", max_bytes=2700) == [
        *first, ("y.zip/a.jpg", True), ("y.zip/b.jpg", False), ("z.zip/a.jpg", False), last,
    ]  # fmt: skip
    assert sum(path.stat().st_size for path in written(tmp_path / "bytes")) == 2700


def test_an_unreadable_picture_in_a_zip_is_called_by_its_own_name(tmp_path: Path) -> None:
    items = open_inputs([zipped(tmp_path / "a.zip", {"b/mole.jpg": b"no picture"})], tmp_path)
    analyzer = FakeAnalyzer()
    (finding,) = analyze_batch(analyzer, items, analyzer.point("balanced"))
    assert finding.error.startswith("“a.zip/b/mole.jpg” is not a picture")


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
            "lesion.jpg (1).json",
            "lesion.jpg (1).pdf",
            "lesion.jpg (2).json",
            "lesion.jpg (2).pdf",
        ]
        text = PdfReader(io.BytesIO(opened.read("lesion.jpg (2).pdf"))).pages[0].extract_text()
    assert load_texts().verdict.outcomes["benign"] in text
    assert "lesion.jpg (2)" in text


def test_reports_that_are_there_stay_when_the_disk_fills_up(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    analyzer, write = FakeAnalyzer(), zipfile.ZipFile.writestr
    archive = ReportArchive(tmp_path / "reports.zip", analyzer, load_texts())

    def half(self: zipfile.ZipFile, name: str, content: bytes | str) -> None:
        write(self, name, content[:100])
        if name.endswith("2).json"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(zipfile.ZipFile, "writestr", half)
    one, two, three = analyze_batch(analyzer, open_inputs([picture] * 3, tmp_path), analyzer.point("balanced"))
    for finding in (one, two, three):
        assert finding.picture is not None
        if finding is two:
            with pytest.raises(LesionDemoError, match=r"could not be written \(No space left on device\)"):
                archive.add(finding, finding.picture)
        else:
            archive.add(finding, finding.picture)
    with zipfile.ZipFile(archive.path) as opened:
        assert opened.testzip() is None
        assert [name[-7:] for name in opened.namelist()] == ["(1).pdf", "1).json", "(3).pdf", "3).json"]


def test_a_report_that_does_not_fit_leaves_no_empty_file(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    analyzer = FakeAnalyzer()
    archive = ReportArchive(tmp_path / "reports.zip", analyzer, load_texts())
    (finding,) = analyze_batch(analyzer, open_inputs([picture], tmp_path), analyzer.point("balanced"))
    assert finding.picture is not None
    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(LesionDemoError, match="free some disk space"):
        archive.add(finding, finding.picture)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("length", [200, 65_000, 65_531])
def test_a_name_of_any_length_is_only_a_name(length: int, picture: Path, tmp_path: Path) -> None:
    name = "x" * (length - 4) + ".jpg"
    items = open_inputs([zipped(tmp_path / "a.zip", {name: picture.read_bytes(), "b.jpg": b""})], tmp_path)
    analyzer = FakeAnalyzer()
    findings = list(analyze_batch(analyzer, items, analyzer.point("balanced")))
    archive = ReportArchive(tmp_path / "reports.zip", analyzer, load_texts())
    for finding in findings:
        if finding.picture is not None:
            archive.add(finding, finding.picture)
    assert [bool(finding.error) for finding in findings] == [True, False]
    assert all(len(finding.item.name) < 220 for finding in findings)
    with zipfile.ZipFile(archive.path) as opened:
        assert len(opened.namelist()) == 2
