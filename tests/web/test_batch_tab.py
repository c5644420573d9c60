"""The tab and the endpoint for many pictures: what stays of a run, what is said when something fails."""

from __future__ import annotations

import csv
import errno
import json
import os
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from batch_files import zipped
from fake_analyzer import FakeAnalyzer, fake_meta
from reading import plain

from lesion_demo.images.perturb import draw_ruler
from lesion_demo.images.phantom import render_phantom
from lesion_demo.serve.batch import BatchFinding, BatchItem
from lesion_demo.serve.pdf import render_pdf
from lesion_demo.serve.phrases import point_choices
from lesion_demo.texts import load_texts
from lesion_demo.web.batch_tab import Batch, _progress, add_batch_endpoint, add_batch_tab
from lesion_demo.web.batch_table import COLUMNS, Line

FILE, REMARKS = ([*COLUMNS].index(name) for name in ("file", "remarks"))


def written(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def namesakes(picture: Path, folder: Path) -> tuple[list[str], list[str]]:
    """Files that are easily taken for one another, and what each is to be called."""
    content = picture.read_bytes()
    files, nfc, nfd = [], *(unicodedata.normalize(form, "é.jpg") for form in ("NFC", "NFD"))
    for number, name in enumerate(["IMG_1.JPG", "IMG_1.JPG", "img_1.jpg", nfc, nfd]):
        path = folder / f"patient {number}" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        files.append(path)
    for number, name in enumerate(["visit.zip", "visit.zip", "other.zip"]):
        path = folder / f"clinic {number}" / name
        path.parent.mkdir()
        files.append(zipped(path, {"a/IMG_1.JPG": content, "b/IMG_1.JPG": content}))
    labels = ["IMG_1.JPG (1)", "IMG_1.JPG (2)", "img_1.jpg (3)", f"{nfc} (1)", f"{nfd} (2)"]
    zips = ("visit.zip (1)", "visit.zip (2)", "other.zip")
    return [str(file) for file in files], labels + [f"{name}/{inner}/IMG_1.JPG" for name in zips for inner in "ab"]


def test_every_file_has_one_label_everywhere(picture: Path, tmp_path: Path, uploads: Path) -> None:
    files, labels = namesakes(picture, tmp_path)
    shown = list(behind_the_tab("run", FakeAnalyzer())(files, "balanced"))[-1]
    assert [line[FILE] for line in shown[1]["value"]] == labels
    rows, table = behind_the_tab("analyze_batch_files", FakeAnalyzer())(files, "balanced")
    assert [row["file"] for row in rows] == labels
    for path in (Path(table), Path(shown[2]["value"])):
        with path.open(newline="", encoding="utf-8-sig") as opened:
            assert [row["file"] for row in csv.DictReader(opened)] == labels
    with zipfile.ZipFile(shown[3]["value"]) as opened_zip:
        assert opened_zip.namelist() == [f"{label}{suffix}" for label in labels for suffix in (".pdf", ".json")]
        for label in labels:
            assert json.loads(opened_zip.read(f"{label}.json"))["file"] == label


@pytest.fixture
def uploads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    (tmp_path / "uploads").mkdir()
    return tmp_path / "uploads"


def behind_the_tab(name: str, analyzer: FakeAnalyzer, language: str = "en") -> Callable[..., Any]:
    """The function of that name that the tab connected."""
    with gr.Blocks() as app:
        add_batch_tab(analyzer, load_texts(language))
        add_batch_endpoint(analyzer, load_texts(language))
    (found,) = [one.fn for one in app.fns.values() if one.name == name]
    assert found is not None
    return found


def names(folder: Path) -> list[str]:
    return [path.name for path in written(folder)]


def offered(shown: list[Any]) -> set[str]:
    """The files that an answer of the run hands to Gradio, which deletes them in time."""
    return {Path(update["value"]).name for update in shown[2:4] if update.get("value")}


class Failing(FakeAnalyzer):
    """Raises `errors`, one after the other, from the second picture on."""

    def __init__(self, *errors: BaseException) -> None:
        super().__init__()
        self.errors = list(errors)

    def analyze(self, *args: Any, **options: Any) -> Any:
        if self.asked >= 1 and self.errors:
            raise self.errors.pop(0)
        return super().analyze(*args, **options)


ODD = {
    "needs more memory than is free": MemoryError(),
    "more memory than is free": RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    "could not be analysed; please export it again": RuntimeError("odd"),
    "could not be analysed (KeyError: 'odd')": KeyError("odd"),
}
"""What nobody foresaw, by what is said of it."""


def test_whatever_one_picture_raises_the_others_are_analysed(picture: Path, tmp_path: Path, uploads: Path) -> None:
    archive = zipped(tmp_path / "some.zip", {f"{i}.jpg": picture.read_bytes() for i in range(len(ODD) + 2)})
    rows, _ = behind_the_tab("analyze_batch_files", Failing(*ODD.values()))([str(archive)], "balanced")
    assert [row["verdict"] for row in rows] == ["benign", *[""] * len(ODD), "benign"]
    *_, last = behind_the_tab("run", Failing(*ODD.values()))([str(archive)], "balanced")
    for number, said in enumerate(ODD, start=1):
        assert said in rows[number]["error"]
        assert f"“some.zip/{number}.jpg”" in rows[number]["error"]
        assert last[1]["value"][1 + number][REMARKS] == rows[number]["error"], "what cannot be read comes last"


def test_a_report_that_cannot_be_written_is_the_picture_s_own_misfortune(
    picture: Path, uploads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors: list[Exception] = [MemoryError()]

    def render(*args: Any, **options: Any) -> bytes:
        if errors:
            raise errors.pop()
        return render_pdf(*args, **options)

    monkeypatch.setattr("lesion_demo.serve.batch.render_pdf", render)
    *_, last = behind_the_tab("run", FakeAnalyzer())([str(picture), str(picture)], "balanced")
    assert "needs more memory" in last[1]["value"][1][REMARKS]
    assert "memory" not in last[1]["value"][0][REMARKS]
    with zipfile.ZipFile(last[3]["value"]) as opened:
        assert opened.namelist() == ["lesion.jpg (2).pdf", "lesion.jpg (2).json"]


def test_a_full_disk_is_said_on_the_page(picture: Path, uploads: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("lesion_demo.files.os.replace", full)
    *_, last = behind_the_tab("run", FakeAnalyzer())([str(picture)], "balanced")
    assert "No space left" in last[0]
    with pytest.raises(gr.Error, match="No space left"):
        behind_the_tab("analyze_batch_files", FakeAnalyzer())([str(picture)], "balanced")


def test_a_disk_that_fills_up_ends_a_run_in_a_sentence_and_leaves_what_it_has(
    picture: Path, uploads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = zipfile.ZipFile.writestr

    def half(self: zipfile.ZipFile, name: str, content: bytes | str) -> None:
        if "(2)" in name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(self, name, content)

    monkeypatch.setattr(zipfile.ZipFile, "writestr", half)
    *_, before, last = behind_the_tab("run", FakeAnalyzer())([str(picture)] * 3, "balanced")
    assert "The reports could not be written (No space left on device)" in last[0]
    with Path(before[2]["value"]).open(newline="", encoding="utf-8-sig") as opened:
        assert [row["file"] for row in csv.DictReader(opened)] == ["lesion.jpg (1)"]
    with zipfile.ZipFile(before[3]["value"]) as reports:
        assert reports.namelist() == ["lesion.jpg (1).pdf", "lesion.jpg (1).json"]


def test_of_a_run_only_its_results_stay(picture: Path, tmp_path: Path, uploads: Path) -> None:
    archive = zipped(tmp_path / "some.zip", {f"{i}.jpg": picture.read_bytes() for i in range(3)})
    run: Iterator[list[Any]] = behind_the_tab("run", FakeAnalyzer())([str(archive)], "balanced")
    begun = next(run)
    assert len(names(uploads)) == 3
    assert offered(begun) == {"results.csv", "reports.zip"}
    *_, last = run
    assert names(uploads) == ["reports.zip", "results.csv"]
    assert offered(last) == {"results.csv", "reports.zip"}


@pytest.mark.parametrize(("steps", "left"), [(1, []), (2, ["reports.zip", "results.csv"])])
def test_of_a_stopped_run_only_its_results_stay(
    picture: Path, tmp_path: Path, uploads: Path, steps: int, left: list[str]
) -> None:
    archive = zipped(tmp_path / "some.zip", {f"{i}.jpg": picture.read_bytes() for i in range(3)})
    run = behind_the_tab("run", FakeAnalyzer())([str(archive)], "balanced")
    for _ in range(steps):
        next(run)
    run.close()
    assert names(uploads) == left
    assert bool(list(uploads.iterdir())) == bool(left)


def test_of_a_run_that_fails_no_picture_stays(picture: Path, tmp_path: Path, uploads: Path) -> None:
    archive = zipped(tmp_path / "some.zip", {f"{i}.jpg": picture.read_bytes() for i in range(3)})
    with pytest.raises(SystemExit):
        list(behind_the_tab("run", Failing(SystemExit()))([str(archive)], "balanced"))
    assert names(uploads) == ["reports.zip", "results.csv"]
    with pytest.raises(SystemExit):
        behind_the_tab("analyze_batch_files", Failing(SystemExit()))([str(archive)], "balanced")
    assert names(uploads) == ["reports.zip", "results.csv"]


def test_the_endpoint_leaves_its_table_alone(picture: Path, tmp_path: Path, uploads: Path) -> None:
    archive = zipped(tmp_path / "some.zip", {"a.jpg": picture.read_bytes()})
    rows, table = behind_the_tab("analyze_batch_files", FakeAnalyzer())([str(archive)], "balanced")
    assert [row["verdict"] for row in rows] == ["benign"]
    assert written(uploads) == [Path(table)]


def test_a_row_costs_the_same_however_many_there_are(tmp_path: Path) -> None:
    """The table is sent whole: after every picture it would be 80,000 rows for 400 pictures."""
    total = 400
    findings = (BatchFinding(BatchItem(f"{number}.jpg", None), error="no picture") for number in range(total))
    sent, steps = [], 0
    for step in _progress(Batch(FakeAnalyzer(), tmp_path, tmp_path), load_texts(), total, findings):
        steps += 1
        sent += [len(step[1]["value"])] if "value" in step[1] else []
    assert steps == total + 1, "the state in words comes with every picture"
    assert sent[:10] == list(range(1, 11))
    assert sent[-1] == total
    assert sum(sent) < 15 * total
    with (tmp_path / "results.csv").open(newline="", encoding="utf-8-sig") as file:
        assert [row["file"] for row in csv.DictReader(file)] == [f"{number}.jpg" for number in range(total)]


def test_the_table_says_why_and_puts_what_needs_a_doctor_first() -> None:
    texts, analyzer, lines = load_texts(), FakeAnalyzer(), []
    picture = draw_ruler(render_phantom(5, malignant=True, hair=False), np.random.default_rng(0))
    for number, (probability, familiar, photograph) in enumerate(
        [(0.1, True, False), (0.9, False, False), (0.8, True, True), (0.95, True, False)]
    ):
        analyzer.probability, analyzer.familiar, analyzer.photograph = probability, familiar, photograph
        finding = BatchFinding(BatchItem(f"{number}.jpg", Path("x")), analyzer.analyze(picture), picture)
        lines.append(Line.of(finding, picture, texts))
    lines.append(Line.of(BatchFinding(BatchItem("bad.jpg", None), error="It is damaged."), None, texts))
    rows = [line.cells for line in sorted(lines)]
    place = {name: number for number, name in enumerate(COLUMNS)}
    assert [row[place["file"]] for row in rows] == ["3.jpg", "2.jpg", "1.jpg", "0.jpg", "bad.jpg"]
    remarks = [row[place["remarks"]] for row in rows]
    assert texts.verdict.looks_not_dermoscopic in remarks[1]
    assert texts.verdict.unfamiliar in remarks[2]
    assert rows[2][place["score"]] is None, "nothing vouches for it"
    assert all(texts.quality.artefacts["ruler"] in remarks[line] for line in (0, 1, 3))
    assert remarks[4] == "It is damaged."


def test_names_and_sentences_go_into_the_table_as_they_are() -> None:
    finding = BatchFinding(BatchItem("O'Brien & Co.jpg", None), error="“O'Brien & Co.jpg” is empty.")
    cells = Line.of(finding, None, load_texts()).cells
    assert (cells[FILE], cells[REMARKS]) == (finding.item.name, finding.error)
    assert [name for name, kind in COLUMNS.items() if kind == "html"] == ["thumbnail"], "all else is shown as text"


def test_operating_points_come_in_one_order_everywhere() -> None:
    meta = replace(fake_meta(), operating_points=tuple(reversed(fake_meta().operating_points)))
    assert [name for _, name in point_choices(meta, load_texts())] == ["sensitive", "balanced", "accuracy"]


class InTurn(FakeAnalyzer):
    """Finds these probabilities, one after the other; None in a picture that cannot be assessed."""

    def __init__(self, *probabilities: float | None) -> None:
        super().__init__()
        self.probabilities_left = list(probabilities)

    def analyze(self, *args: Any, **options: Any) -> Any:
        probability = self.probabilities_left.pop(0)
        self.familiar, self.probability = probability is not None, 0.9 if probability is None else probability
        return super().analyze(*args, **options)


def answer_for_one_lesion(
    picture: Path, *probabilities: float | None, bad: int = 0, language: str = "en"
) -> tuple[str, list[Any]]:
    """The card of copies of `picture` and of `bad` files that are none, as a reader reads it, and the last table."""
    letter = picture.with_name("letter.jpg")
    letter.write_bytes(b"Dear doctor")
    files = [str(picture)] * len(probabilities) + [str(letter)] * bad
    steps = list(behind_the_tab("run", InTurn(*probabilities), language)(files, "balanced", True))
    assert [step[4] for step in steps[:1]] == [""], "the answer for the last lesion goes first"
    return plain(steps[-1][4]), steps


@pytest.mark.parametrize("language", ["en", "de"])
def test_one_lesion_gets_one_answer_and_a_row_for_each_picture(picture: Path, uploads: Path, language: str) -> None:
    texts = load_texts(language)
    words, outcomes = texts.batch, texts.verdict.outcomes
    said, steps = answer_for_one_lesion(picture, 0.6, 0.9, None, language=language)
    basis = words.lesion_basis.format(
        used=2, probability=texts.percent(0.7862), low=texts.percent(0.6), high=texts.percent(0.9),
        threshold=texts.percent(0.5),
    )  # fmt: skip
    for part in (basis, words.lesion_left_out.format(left=1, total=3), words.lesion_untested, texts.verdict.unfamiliar):
        assert plain(part) in said
    assert said.count(f"▲ {outcomes['malignant']}") == 3
    assert said.count(f"⊘ {outcomes['not_assessable']}") == 1
    assert f"{words.average_label} {texts.percent(0.7862)}" in steps[-1][4]
    assert words.lesion_disagree_heading not in said
    assert steps[-1][4].count("<img") == 3
    assert all("value" not in step[1] for step in steps if isinstance(step[1], dict)), "the rows stand in the answer"
    with Path(steps[-1][2]["value"]).open(newline="", encoding="utf-8-sig") as opened:
        assert [row["file"] for row in csv.DictReader(opened)][-1] == "one lesion"


@pytest.mark.parametrize("language", ["en", "de"])
def test_pictures_that_disagree_are_said_to_before_the_answer(picture: Path, uploads: Path, language: str) -> None:
    texts = load_texts(language)
    said, _ = answer_for_one_lesion(picture, 0.1, 0.6, language=language)
    warning = texts.batch.lesion_disagree.format(outcome=texts.verdict.outcomes["malignant"])
    assert said.index(warning) < said.index(f"● {texts.verdict.outcomes['benign']}")


def test_what_the_answer_for_one_lesion_rests_on_is_said(picture: Path, uploads: Path) -> None:
    words = load_texts().batch
    said, steps = answer_for_one_lesion(picture, None, 0.6)
    assert "Only one picture could be assessed. Its score is 60.0 %" in said
    said, steps = answer_for_one_lesion(picture, None, None)
    assert words.lesion_none in said
    assert "card not_assessable" in steps[-1][4]
    assert "class='bar'" not in steps[-1][4]
    said, steps = answer_for_one_lesion(picture, 0.6, bad=1)
    assert words.lesion_unreadable in said
    assert "is not a picture" in said
    assert "card malignant" not in steps[-1][4]
    said, _ = answer_for_one_lesion(picture, 0.6, 0.7, bad=1)
    assert "Not counted: 1 of 3 pictures." in said


def test_pictures_without_a_dermatoscope_are_told_before_the_answer_for_one_lesion(
    picture: Path, uploads: Path
) -> None:
    analyzer = FakeAnalyzer()
    analyzer.photograph = True
    *_, last = behind_the_tab("run", analyzer)([str(picture)] * 2, "balanced", True)
    assert last[4].index(load_texts().batch.lesion_scope) < last[4].index("card benign")


@pytest.mark.parametrize("count", [1, 6])
def test_too_few_or_too_many_pictures_for_one_lesion_are_said(picture: Path, uploads: Path, count: int) -> None:
    analyzer, words = FakeAnalyzer(), load_texts().batch
    steps = list(behind_the_tab("run", analyzer)([str(picture)] * count, "balanced", True))
    assert [plain(step[0]) for step in steps] == [
        words.one_lesion_count.format(fewest=2, most=5, count=count, label=words.one_lesion)
    ]
    assert steps[0][4] == ""
    assert analyzer.asked == 0


def test_the_record_of_one_lesion_names_every_picture(picture: Path, uploads: Path) -> None:
    said, _ = answer_for_one_lesion(picture, 0.1, 0.6)
    record = said.partition(load_texts().page.record_show)[2]
    for part in ("lesion.jpg (1): Lower concern, 10.0 %", "lesion.jpg (2): Higher concern, 60.0 %", "f" * 16):
        assert part in record


def test_names_of_files_are_escaped_in_the_answer_for_one_lesion(picture: Path, uploads: Path) -> None:
    odd = picture.with_name("&amp;'x'.jpg")
    odd.write_bytes(picture.read_bytes())
    *_, last = behind_the_tab("run", FakeAnalyzer())([str(odd), str(picture)], "balanced", True)
    assert "&amp;amp;&#39;x&#39;.jpg" in last[4]
