"""`export`: a folder for other programs, and the graph in it compared with PyTorch."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from graphs import phantoms
from PIL import Image

from lesion_demo.__main__ import main
from lesion_demo.checkpoint import load_checkpoint
from lesion_demo.data.split_file import write_split
from lesion_demo.data.splits import prepare_splits
from lesion_demo.images.load import LoadedPicture, load_picture
from lesion_demo.images.phantom import render_phantom
from lesion_demo.serve.classifier import Predictor


def test_a_folder_for_other_programs_and_its_example(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures, out = tmp_path / "pictures", tmp_path / "out"
    pictures.mkdir()
    for seed in range(2):
        Image.fromarray(render_phantom(seed, malignant=True, size=150)).save(pictures / f"{seed}.png")
    arguments = ["export", "--checkpoint", str(exported), "--out", str(out), "--check", str(pictures)]
    assert main(arguments) == 0
    assert "On 2 pictures its probability of malignancy differs" in capsys.readouterr().out
    files = {"graph.onnx", "model.safetensors", "checkpoint.json", "familiarity.safetensors", "example.py"}
    assert {path.name for path in out.iterdir()} == files
    shutil.move(out, tmp_path / "elsewhere")
    command = [sys.executable, str(tmp_path / "elsewhere" / "example.py"), str(pictures / "0.png")]
    said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120, cwd=tmp_path).stdout
    pixels = np.asarray(Image.open(pictures / "0.png"))
    expected = Predictor(load_checkpoint(exported)).probabilities([pixels])[0]
    assert float(said.split()[3]) == pytest.approx(expected, abs=1e-3)
    assert "balanced, threshold 0.5000: " in said


def test_openvino_says_the_same_and_so_does_the_example_without_onnx_runtime(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, picture, home = tmp_path / "out", tmp_path / "a.png", tmp_path / "home"
    command = ["export", "--checkpoint", str(exported), "--format", "openvino", "--out", str(out)]
    monkeypatch.setattr("lesion_demo.network.openvino.importlib.util.find_spec", lambda name: None)
    assert main(command) == 1
    assert "error: OpenVINO is not installed: python -m pip install openvino" in capsys.readouterr().err
    assert not out.exists()
    monkeypatch.undo()
    if find_spec("openvino") is None:  # not `importorskip`: to import it is to have it report
        pytest.skip("openvino (180 MB) is not installed: python -m pip install openvino")
    monkeypatch.setenv("HOME", str(home))
    home.mkdir()
    assert main(command[:-2]) == 1
    assert "fills a folder of its own: name it with --out DIR" in capsys.readouterr().err
    assert main(command) == 0
    said = capsys.readouterr().out
    assert re.search(rf"{out / 'graph.xml'} .* On 8 pictures .* differs from PyTorch's by \S+ at most\.", said)
    pixels = phantoms(1)[0]
    Image.fromarray(pixels).save(picture)
    example = "import sys, runpy; sys.modules['onnxruntime'] = None; sys.argv = sys.argv[1:]; "
    example += "runpy.run_path(sys.argv[0], run_name='__main__')"
    run = [sys.executable, "-c", example, str(out / "example.py"), str(picture)]
    answer = subprocess.run(run, check=True, capture_output=True, text=True, timeout=120, cwd=tmp_path).stdout
    expected = Predictor(load_checkpoint(exported)).probabilities([pixels])[0]
    assert float(answer.split()[3]) == pytest.approx(expected, abs=0.02)  # the example cuts nothing off
    assert list(home.iterdir()) == [], "OpenVINO keeps an id of whom it reports on"
    assert main([*command[:-4], "--out", str(out)]) == 0
    assert not (out / "graph.xml").exists(), "one of an earlier export"
    monkeypatch.setattr("lesion_demo.serve.package.TOLERANCE", -1.0)
    assert main(command) == 1
    assert f"{out / 'graph.xml'} was deleted" in capsys.readouterr().err
    assert not (out / "graph.xml").exists()


def test_it_is_compared_on_validation_pictures(
    copied: Path, phantom_data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    graph, command = copied / "graph.onnx", ["export", "--checkpoint", str(copied), "--data", str(phantom_data)]
    before = graph.read_bytes()
    assert main(command) == 1
    assert "split.csv could not be read" in capsys.readouterr().err
    write_split(copied / "split.csv", prepare_splits([phantom_data], workers=0))
    assert main([*command[:-1], str(copied)]) == 1
    assert "name the same folders in the same order" in capsys.readouterr().err
    assert graph.read_bytes() == before, "what was said in vain costs no graph"
    read: list[Path] = []

    def load(file: Path) -> LoadedPicture:
        read.append(file)
        return load_picture(file)

    monkeypatch.setattr("lesion_demo.images.load.load_picture", load)
    for wanted, number in ((500, 12), (5, 5)):
        read.clear()
        assert main([*command, "--pictures", str(wanted)]) == 0
        assert f"On {number} pictures its probability" in capsys.readouterr().out
        assert len(set(read)) == len(read) == number
        assert {file.relative_to(phantom_data).parts[:2] for file in read} == {("val", "benign"), ("val", "malignant")}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--pictures", "0"], "argument --pictures: "),
        (["--check", "a", "--data", "b"], "argument --data: not allowed with argument --check"),
    ],
)
def test_pictures_that_cannot_be_compared_are_told(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["export", *options])
    assert said in capsys.readouterr().err
