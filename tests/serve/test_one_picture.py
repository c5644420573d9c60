"""What is said of one picture everywhere, page, batch, score, endpoint and report: of many in a file, of too little
memory."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from fake_analyzer import FakeAnalyzer
from PIL import Image
from pypdf import PdfReader

from lesion_demo.card import read_facts
from lesion_demo.checkpoint import Checkpoint, LoadedCheckpoint
from lesion_demo.config import OperatingPoint, PreprocessSpec
from lesion_demo.errors import ImageError
from lesion_demo.images import Pixels
from lesion_demo.images.look import Look
from lesion_demo.images.phantom import render_phantom
from lesion_demo.network.model import build_model
from lesion_demo.serve import scoring
from lesion_demo.serve.analysis import Analysis
from lesion_demo.serve.batch import BatchItem, analyze_batch
from lesion_demo.serve.classifier import Predictor
from lesion_demo.serve.guard import one_picture
from lesion_demo.serve.pdf import render_pdf
from lesion_demo.serve.report import report_json
from lesion_demo.serve.scoring import score_files
from lesion_demo.serve.table import FIRST_OF_SEVERAL
from lesion_demo.texts import load_texts
from lesion_demo.web.batch_table import Line
from lesion_demo.web.verdict import verdict_html
from lesion_demo.web.view import Analyzed, Refused, View

POINT = OperatingPoint("sensitive", 0.3)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    torch.manual_seed(0)
    meta = Checkpoint("mobilenet_v3_small", PreprocessSpec(image_size=64), 1.0, (POINT,), 0.5)
    return Predictor(LoadedCheckpoint(Path("a-checkpoint"), meta, build_model("mobilenet_v3_small").eval()), "cpu")


@pytest.fixture
def files(tmp_path: Path) -> dict[bool, Path]:
    """A file of two pages (True) and one of a single picture (False)."""
    pages = [Image.fromarray(render_phantom(number, malignant=True, size=160)) for number in range(2)]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    pages[0].save(tmp_path / "single.tif")
    return {True: tmp_path / "pages.tif", False: tmp_path / "single.tif"}


@pytest.mark.parametrize("several", [True, False])
@pytest.mark.parametrize("language", ["en", "de"])
def test_the_first_of_several_is_called_that(
    several: bool, language: str, files: dict[bool, Path], predictor: Predictor
) -> None:
    analyzer, texts, path = FakeAnalyzer(), load_texts(language), files[several]
    found, picture = analyzer.analyze_file(path)
    heading = texts.verdict.first_of_several_heading
    assert (heading in verdict_html(found, analyzer.meta, texts, dermoscopic=True)) == several
    shown = View(analyzer, read_facts(analyzer.folder, analyzer.meta), texts).find(str(path), "id")
    assert isinstance(shown, Analyzed)
    assert shown.analysis.first_of_several == several
    assert report_json(found, picture, analyzer.meta, "a-run", texts)["first_of_several"] == several  # the endpoint's
    pdf = PdfReader(io.BytesIO(render_pdf(found, picture, analyzer.meta, "a-run", texts))).pages[0].extract_text()
    assert (heading in pdf) == several
    (finding,) = analyze_batch(analyzer, [BatchItem("a.tif", path)], POINT)
    (scored,) = score_files([str(path)], predictor, POINT, 0.0)
    assert finding.row.note == scored.note == (FIRST_OF_SEVERAL if several else "")
    assert (texts.batch.first_of_several in str(Line.of(finding, picture, texts))) == several


FAILURES = [
    (MemoryError(), "“single.tif” needs more memory than is free at the moment"),
    (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), "needs more memory"),
    (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "needs more memory"),
    (RuntimeError("a library is upset"), "“single.tif” could not be analysed"),
]


@pytest.mark.parametrize(("failure", "sentence"), FAILURES)
def test_what_one_picture_exhausts_ends_nothing_else(
    failure: Exception,
    sentence: str,
    files: dict[bool, Path],
    predictor: Predictor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Exhausted(FakeAnalyzer):
        def analyze(self, picture: Pixels | Look, point: OperatingPoint | None = None) -> Analysis:
            if self.asked == 0:
                self.asked = 1
                raise failure
            return super().analyze(picture, point)

    texts, analyzer = load_texts("en"), Exhausted()
    found = View(analyzer, read_facts(analyzer.folder, analyzer.meta), texts).find(str(files[False]), "id")
    assert isinstance(found, Refused)
    assert sentence in found.card
    analyzer = Exhausted()
    items = [BatchItem("single.tif", files[False]), BatchItem("pages.tif", files[True])]
    first, second = analyze_batch(analyzer, items, POINT)
    assert sentence in first.row.error
    assert second.row.verdict

    real = scoring.check_quality
    monkeypatch.setattr(scoring, "check_quality", lambda picture: _raise_once(failure, monkeypatch, real, picture))
    bad, good = score_files([str(files[False]), str(files[True])], predictor, POINT, 0.0)
    assert sentence in bad.error
    assert good.verdict


def _raise_once(failure: Exception, patch: pytest.MonkeyPatch, real: object, picture: Pixels) -> object:
    patch.setattr(scoring, "check_quality", real)
    raise failure


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(ImageError, match="a sentence"), one_picture():
        raise ImageError("a sentence")
    with pytest.raises(ZeroDivisionError), one_picture():
        raise ZeroDivisionError
