"""Every file of the corpus gets an answer or one sentence: by the loader, in a batch, by `score`, at the endpoint."""

from __future__ import annotations

import re
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
from app_site import Site
from bad_inputs import ANSWER, EITHER, HEIGHT, SENTENCE, WIDTH, BadInput, bad_inputs, bad_zips
from fake_analyzer import FakeAnalyzer
from server_calls import UPLOAD, asked

from lesion_demo.checkpoint import load_checkpoint
from lesion_demo.errors import ImageError
from lesion_demo.images.file_bytes import MAX_PIXELS
from lesion_demo.images.load import load_picture
from lesion_demo.serve.batch import analyze_batch, open_inputs
from lesion_demo.serve.classifier import Predictor
from lesion_demo.serve.scoring import score_files

SECONDS = 5.0
"""Of a processor, for one file."""
MEGABYTES = 300
"""By which the process may grow, whatever is in the corpus; a picture of it has 0.02."""
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
"""Pillow warns of what it finds; only what it gives back counts."""


@pytest.fixture(scope="module")
def corpus() -> list[BadInput]:
    return bad_inputs()


@pytest.fixture(scope="module")
def files(corpus: list[BadInput], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("corpus")
    for one in corpus:
        (folder / one.name).write_bytes(one.content)
    return [folder / one.name for one in corpus]


def is_a_sentence(text: str) -> bool:
    """One line that ends as a sentence does, and tells neither of code nor of places on the disk."""
    return bool(re.fullmatch(r"[^\n]{20,300}\.", text)) and not re.search(r"Traceback|Error|0x|/tmp|/home|/work", text)


def peak() -> int:
    """The most memory that this process has ever had, MB; 0 where the system does not tell."""
    status = Path("/proc/self/status")
    return int(status.read_text().split("VmHWM:")[1].split()[0]) // 1024 if status.exists() else 0


def test_the_corpus_is_large_and_of_every_kind(corpus: list[BadInput]) -> None:
    assert len(corpus) == len({one.name for one in corpus}) >= 80
    assert min([one.expected for one in corpus].count(kind) for kind in (ANSWER, SENTENCE, EITHER)) > 20


def test_the_loader_gives_a_picture_or_one_sentence(corpus: list[BadInput]) -> None:
    wrong, before = [], peak()
    for one in corpus:
        started = time.process_time()
        try:
            found = load_picture(one.content)
        except ImageError as error:
            came = SENTENCE if is_a_sentence(str(error)) else f"no sentence: {error}"
        else:
            came = ANSWER
            if one.expected == ANSWER:
                assert (sorted(found.pixels.shape), found.pixels.dtype) == ([3, HEIGHT, WIDTH], np.uint8), one.name
                assert found.first_of_several == one.several, one.name
            assert found.pixels.size <= 3 * MAX_PIXELS
        if came != one.expected and not (one.expected == EITHER and came in (ANSWER, SENTENCE)):
            wrong.append(f"{one.name}: {came} instead of {one.expected}")
        if (taken := time.process_time() - started) > SECONDS:
            wrong.append(f"{one.name}: {taken:.1f} s")
    assert wrong == []
    assert peak() - before < MEGABYTES


def test_every_one_gets_its_line_in_a_batch(corpus: list[BadInput], files: list[Path]) -> None:
    analyzer = FakeAnalyzer()
    items = open_inputs(files, files[0].parent)
    findings = list(analyze_batch(analyzer, items, analyzer.point("balanced")))
    for one, finding in zip(corpus, findings, strict=True):
        answered = finding.analysis is not None
        assert answered != bool(finding.error)
        assert one.expected in (EITHER, ANSWER if answered else SENTENCE), one.name
        if not answered:
            assert is_a_sentence(finding.error)
            assert finding.error.startswith(f"“{finding.item.name}”")


def test_every_one_gets_its_line_by_score(corpus: list[BadInput], files: list[Path], tiny_checkpoint: Path) -> None:
    loaded = load_checkpoint(tiny_checkpoint)
    rows = list(score_files(list(map(str, files)), Predictor(loaded), loaded.meta.operating_points[0], 0.1))
    for one, row in zip(corpus, rows, strict=True):
        assert bool(row.verdict) == bool(row.probability) != bool(row.error)
        assert one.expected in (EITHER, ANSWER if row.verdict else SENTENCE), one.name
        assert bool(row.note) == (one.several and not row.error), one.name


def test_every_zip_is_unpacked_or_told_in_a_sentence(tmp_path: Path) -> None:
    analyzer = FakeAnalyzer()
    for name, (content, said) in bad_zips().items():
        folder, archive = tmp_path / name / "inside", tmp_path / name / name
        folder.mkdir(parents=True)
        archive.write_bytes(content)
        items = open_inputs([archive], folder, max_bytes=5_000_000)
        (finding,) = analyze_batch(analyzer, items, analyzer.point("balanced"))
        assert (finding.error == "") == (said == ""), (name, finding.error)
        assert said in finding.error
        assert not finding.error or is_a_sentence(finding.error)
        assert ".." not in finding.item.name
        there = {path for path in tmp_path.joinpath(name).rglob("*") if path.is_file()}
        assert there - {archive} <= set(folder.rglob("*"))
        assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 5_100_000
    assert {path.name for path in tmp_path.iterdir()} == set(bad_zips())


@pytest.mark.parametrize("name", ["empty.jpg", "bomb.png", "postscript.jpg", "cut off 9.jpg", "float.tif", "cmyk.jpg"])
def test_the_endpoint_gives_findings_or_one_sentence(name: str, corpus: list[BadInput], site: Site) -> None:
    (one,) = [one for one in corpus if one.name == name]
    with httpx.Client(base_url=site.address, timeout=60) as client:
        named = {entry["api_name"]: entry["id"] for entry in client.get("/config").json()["dependencies"]}
        path = client.post(UPLOAD, files={"files": (name, one.content)}).json()[0]
        payload = {"path": path, "meta": {"_type": "gradio.FileData"}}
        answer = asked(client, named["analyze"], [payload, "sensitive", True, 0.1])
    assert ('"success":true' in answer) == (one.expected == ANSWER)
    assert "Traceback" not in answer
    if one.expected == SENTENCE:
        assert re.search(r'"error":"“[^"]+\."', answer), answer
