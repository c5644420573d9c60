"""A checkpoint's graph for ONNX Runtime: it says what PyTorch says, and stores no weights of its own."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from conftest import PROJECT
from graphs import SIZE, SPEC, phantoms, save
from PIL import Image

from lesion_demo.__main__ import main
from lesion_demo.checkpoint import LoadedCheckpoint, load_checkpoint, save_checkpoint
from lesion_demo.errors import CheckpointError, DeviceError, GraphError
from lesion_demo.files import sha256_of
from lesion_demo.images import Pixels
from lesion_demo.images.files import picture_files
from lesion_demo.images.load import load_image
from lesion_demo.images.phantom import render_phantom
from lesion_demo.images.prepare import prepare
from lesion_demo.network.export import write_graph
from lesion_demo.network.forward import TorchEngine
from lesion_demo.network.graph import OnnxEngine, sealed
from lesion_demo.network.model import build_model
from lesion_demo.serve.analysis import Analyzer
from lesion_demo.serve.classifier import Predictor
from lesion_demo.serve.opened import open_checkpoint
from lesion_demo.serve.package import largest_difference
from lesion_demo.train.run import add_graph


def engine(folder: Path) -> OnnxEngine:
    return OnnxEngine(folder, sha256_of(folder / "model.safetensors"))


def test_it_stores_no_weights(exported: Path) -> None:
    weights = exported / "model.safetensors"
    assert (exported / "graph.onnx").stat().st_size < weights.stat().st_size / 20
    graph = onnx.load(exported / "graph.onnx", load_external_data=False)
    outside = [{entry.key: entry.value for entry in one.external_data} for one in graph.graph.initializer]
    assert {place["location"] for place in outside if place} == {"model.safetensors"}
    assert sum(int(place["length"]) for place in outside if place) > 0.9 * weights.stat().st_size
    assert max(len(one.raw_data) for one in graph.graph.initializer) < 100
    assert {one.key: one.value for one in graph.metadata_props}["weights_sha256"] == sha256_of(weights)


@pytest.mark.parametrize("backbone", ["efficientnet_b0", "resnet18", "swin_t"])
def test_it_says_what_pytorch_says(backbone: str, tmp_path: Path) -> None:
    loaded = load_checkpoint(save(tmp_path, backbone))
    write_graph(tmp_path, loaded.model, SIZE)
    pixels = np.stack([prepare(picture, SPEC) for picture in phantoms(3)])
    by_graph, by_torch = engine(tmp_path)(pixels), TorchEngine(loaded.model, "cpu")(pixels)
    for found, expected in zip(vars(by_graph).values(), vars(by_torch).values(), strict=True):
        assert (found is None) == (expected is None)
        if found is not None:
            np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max(), rtol=1e-3)
    assert by_torch.logits.std(axis=0).max() > 1e-2, "answers that are all alike are no comparison"
    count, difference = largest_difference(loaded, tmp_path, phantoms(3))
    assert count == 3
    assert difference < 1e-3


def test_a_graph_of_other_weights_is_refused(copied: Path, tmp_path: Path) -> None:
    torch.manual_seed(2)
    other = tmp_path / "other"
    save_checkpoint(other, build_model("efficientnet_b0"), load_checkpoint(copied).meta)
    shutil.copy(copied / "graph.onnx", other)
    with pytest.raises(GraphError, match=r"graph\.onnx was not made for the model\.safetensors beside it"):
        engine(other)


def test_which_engine_runs_it(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = {name: type(open_checkpoint(copied, name).engine) for name in ("auto", "onnx", "torch")}
    assert kinds == {"auto": OnnxEngine, "onnx": OnnxEngine, "torch": TorchEngine}
    with pytest.raises(CheckpointError, match="Unknown engine 'tensorrt': choose one of auto, onnx, torch"):
        open_checkpoint(copied, "tensorrt")
    with pytest.raises(DeviceError, match="ONNX Runtime runs on the CPU only, not on cuda: use --engine torch"):
        open_checkpoint(copied, "onnx", "cuda")
    monkeypatch.setattr("lesion_demo.serve.opened.in_torch", lambda loaded, device: device)
    assert open_checkpoint(copied, "auto", "cuda") == "cuda"
    monkeypatch.undo()
    for module in ("graph", "opened"):
        monkeypatch.setattr(f"lesion_demo.{'network' if module == 'graph' else 'serve'}.{module}.has_runtime", no)
    assert isinstance(open_checkpoint(copied).engine, TorchEngine)
    with pytest.raises(GraphError, match="ONNX Runtime is not installed: python -m pip install onnxruntime"):
        open_checkpoint(copied, "onnx")
    monkeypatch.undo()
    (copied / "graph.onnx").unlink()
    assert isinstance(open_checkpoint(copied).engine, TorchEngine)
    with pytest.raises(GraphError, match=r"There is no graph\.onnx in .*: make it with 'python -m lesion_demo export"):
        open_checkpoint(copied, "onnx")


def no(*_: object) -> None:
    return None


def agree(folder: Path, pictures: Sequence[Pixels]) -> None:
    """Both engines say the same of `pictures`: probability, heat map, familiarity."""
    analyzers = [Analyzer(open_checkpoint(folder, name)) for name in ("onnx", "torch")]
    for picture in pictures:
        by_graph, by_torch = (analyzer.analyze(picture) for analyzer in analyzers)
        assert by_graph.probability == pytest.approx(by_torch.probability, abs=1e-3)
        heats = [one.heat.values[one.heat.seen] for one in (by_graph, by_torch)]
        assert np.atleast_2d(np.corrcoef(heats))[0, 1] >= 0.999
        assert by_graph.heat.bias == by_torch.heat.bias
        assert by_graph.familiarity is not None
        assert by_torch.familiarity is not None
        assert by_graph.familiarity.distance == pytest.approx(by_torch.familiarity.distance, rel=1e-3)
        assert by_graph.familiarity.photograph == by_torch.familiarity.photograph
        assert by_graph.assessable == by_torch.assessable


def test_everything_that_is_said_of_a_picture_is_the_same(exported: Path) -> None:
    agree(exported, phantoms(4))
    probabilities = Predictor(open_checkpoint(exported)).probabilities(phantoms(4))
    assert np.ptp(probabilities) > 0.01, "answers that are all alike are no comparison"


@pytest.mark.data
def test_the_shipped_checkpoint_says_the_same_of_real_pictures(
    data_root: Path, shipped: LoadedCheckpoint, tmp_path: Path
) -> None:
    for name in ("checkpoint.json", "model.safetensors", "familiarity.safetensors"):
        shutil.copy(shipped.folder / name, tmp_path)
    write_graph(tmp_path, load_checkpoint(tmp_path).model, shipped.meta.preprocess.image_size)
    files = [file for source in ("ham10000", "padufes20") for file in picture_files(data_root / source).pictures]
    agree(tmp_path, [load_image(file) for file in files[:: len(files) // 100][:100]])


@pytest.mark.parametrize("content", [b"", b"not a graph", sealed(b"not a graph"), sealed(b"\x08\x08" + b"\xff" * 60)])
def test_a_damaged_graph_is_a_sentence(content: bytes, copied: Path) -> None:
    (copied / "graph.onnx").write_bytes(content)
    with pytest.raises(GraphError, match=r"graph\.onnx .*python -m lesion_demo export --checkpoint") as caught:
        engine(copied)
    assert "\n" not in str(caught.value)


def test_a_graph_in_which_a_bit_has_turned_or_that_is_cut_off_is_refused(copied: Path) -> None:
    path = copied / "graph.onnx"
    whole, chance = path.read_bytes(), random.Random(0)
    wrong = [whole[:-1], whole[: len(whole) // 2], whole + b"\0", whole[:-76]]
    for place in [0, len(whole) - 1, *(chance.randrange(len(whole)) for _ in range(30))]:
        wrong.append(whole[:place] + bytes([whole[place] ^ 1 << chance.randrange(8)]) + whole[place + 1 :])
    for content in wrong:
        path.write_bytes(content)
        with pytest.raises(GraphError, match=r"graph\.onnx is not as it was made"):
            engine(copied)


def test_a_graph_whose_weights_lie_elsewhere_is_refused(copied: Path, tmp_path: Path) -> None:
    """ONNX Runtime before 1.24 reads any file of the machine that a graph names."""
    shutil.copy(copied / "model.safetensors", tmp_path / "others.safetensors")
    for place in ("../others.safetensors", str(tmp_path / "others.safetensors"), "others.safetensor"):
        graph = onnx.load(copied / "graph.onnx", load_external_data=False)
        places = [entry for one in graph.graph.initializer for entry in one.external_data if entry.key == "location"]
        places[-1].value = place
        (copied / "graph.onnx").write_bytes(sealed(graph.SerializeToString()))
        with pytest.raises(GraphError, match=r"graph\.onnx names another file than model\.safetensors"):
            engine(copied)


def test_a_graph_does_not_hide_where_its_weights_lie(copied: Path) -> None:
    """An entry's last value counts: a second one behind the first, with the entry's length mended."""
    file = (copied / "graph.onnx").read_bytes()[:-74]
    entry = b"\x6a\x1d\x0a\x08location\x12\x11model.safetensors"
    twice = b"\x6a\x2b" + entry[2:] + b"\x12\x0c../../a.file"
    assert entry in file
    (copied / "graph.onnx").write_bytes(sealed(file.replace(entry, twice, 1)))
    with pytest.raises(GraphError, match="names another file"):
        engine(copied)


def test_the_runtime_reports_nothing_to_its_maker(copied: Path, tmp_path: Path) -> None:
    """It would keep a session and a data base of what it reports, even where no host can be reached."""
    home = tmp_path / "home"
    home.mkdir()
    places = dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME"), str(home))
    silent = ("CI", "ORT_", "GITHUB_", "TF_BUILD", "BUILDKITE")  # where they are set it reports nothing by itself
    environment = {name: value for name, value in os.environ.items() if not name.startswith(silent)} | places
    code = "import sys; from pathlib import Path; from lesion_demo.network.graph import OnnxEngine; "
    code += "OnnxEngine(Path(sys.argv[1]), sys.argv[2])"
    picture = tmp_path / "a.png"
    Image.fromarray(phantoms(1)[0]).save(picture)
    shutil.copy(PROJECT / "lesion_demo" / "serve" / "example.py", copied)
    for command in (
        ["-c", code, str(copied), sha256_of(copied / "model.safetensors")],
        [str(copied / "example.py"), str(picture)],
    ):
        subprocess.run([sys.executable, *command], env=environment, cwd=PROJECT, check=True, timeout=120)
        assert list(home.rglob("*")) == []


def test_new_weights_take_the_old_graph_away(copied: Path) -> None:
    loaded = load_checkpoint(copied)
    save_checkpoint(copied, loaded.model, loaded.meta)
    assert not (copied / "graph.onnx").exists()


def test_a_network_whose_heat_map_needs_pytorch_is_left_to_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path, "mobilenet_v3_small")
    assert main(["export", "--checkpoint", str(tmp_path)]) == 1
    assert "error: The heat map of MobileNetV3 needs PyTorch" in capsys.readouterr().err
    assert main(["export", "--checkpoint", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert not (tmp_path / "out").exists()


def test_training_ends_with_the_graph(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    loaded = load_checkpoint(save(tmp_path, "resnet18"))
    add_graph(tmp_path, loaded.model, loaded.meta)
    assert isinstance(open_checkpoint(tmp_path).engine, OnnxEngine)
    assert not caplog.records


def test_a_graph_that_differs_is_deleted(
    copied: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("lesion_demo.serve.package.TOLERANCE", -1.0)
    assert main(["export", "--checkpoint", str(copied)]) == 1
    assert "was deleted; this network runs with PyTorch" in capsys.readouterr().err
    assert not (copied / "graph.onnx").exists()


WITHOUT_TORCH = """
import sys
for name in ("torch", "torchvision", "onnx"):
    sys.modules[name] = None  # as if it were not installed
from pathlib import Path
import lesion_demo
from lesion_demo.__main__ import main
from lesion_demo.web import launch
folder, bare, picture, table = sys.argv[1:]
print(lesion_demo.load(folder).analyze(picture).probability)
assert main(["score", picture, "--checkpoint", folder, "--device", "cpu", "--out", table]) == 0
def serve(analyzer, texts, *_):
    from lesion_demo.web.page import build_app
    launch.launch_options(texts)
    build_app(analyzer, texts)
    print(analyzer.analyze_file(Path(picture))[0].probability)
    return 0
launch.serve = serve
assert main(["app", "--checkpoint", folder, "--port", "0"]) == 0
assert main(["app", "--checkpoint", bare, "--port", "0"]) == 1
print(sorted(name for name in sys.modules if name.partition(".")[0] in ("torch", "torchvision", "onnx")))
"""


def test_the_page_and_the_table_do_without_pytorch(exported: Path, copied: Path, tmp_path: Path) -> None:
    picture, table = tmp_path / "a.png", tmp_path / "a.csv"
    Image.fromarray(render_phantom(3, malignant=True, size=150)).save(picture)
    (copied / "graph.onnx").unlink()
    command = [sys.executable, "-c", WITHOUT_TORCH, *map(str, (exported, copied, picture, table))]
    found = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=PROJECT)
    assert found.returncode == 0, found.stderr
    expected = Predictor(load_checkpoint(exported)).probabilities([np.asarray(Image.open(picture))])[0]
    said = found.stdout.splitlines()
    assert float(said[0]) == pytest.approx(expected, abs=1e-3)
    assert float(said[-2]) == float(said[0])
    assert said[-1] == "['onnx', 'torch', 'torchvision']"
    assert f"{float(said[0]):.6f}" in table.read_text(encoding="utf-8")
    assert f"error: The network in {copied} cannot be run: PyTorch is not installed" in found.stderr


def test_what_serving_needs_is_part_of_the_whole() -> None:
    whole, serving = (
        {line for line in (PROJECT / name).read_text(encoding="utf-8").splitlines() if line and line[0] != "#"}
        for name in ("requirements.txt", "requirements-serve.txt")
    )
    assert serving < whole
    assert {re.split("[<>=]", line)[0] for line in whole - serving} == {
        *("torch", "torchvision", "onnx", "scikit-learn", "accelerate", "grad-cam", "opencv-python-headless")
    }
