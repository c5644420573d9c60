"""What the package is to other programs: a few names, a wheel that installs, and a start that loads what it needs."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import PROJECT
from PIL import Image

import lesion_demo
from lesion_demo import Model, checkpoint
from lesion_demo.errors import CalibrationError, CheckpointError, ImageError

PACKAGE = PROJECT / "lesion_demo"


@pytest.fixture(scope="module")
def model(tiny_checkpoint: Path) -> Model:
    return lesion_demo.load(tiny_checkpoint)


@pytest.fixture(scope="module")
def picture(clinic_folder: Path) -> Path:
    return sorted((clinic_folder / "malignant").iterdir())[0]


def python(code: str, *options: str, cwd: Path = PROJECT) -> str:
    """What a fresh Python prints that runs `code` in the folder `cwd`."""
    command = [sys.executable, *options, "-c", code]
    found = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)
    assert found.returncode == 0, found.stderr
    return found.stdout


def test_the_public_names_and_the_version() -> None:
    assert lesion_demo.__all__ == ["Analysis", "LesionDemoError", "Model", "__version__", "load"]
    assert lesion_demo.__version__ == "0.1.0"
    for name in lesion_demo.__all__:
        assert getattr(lesion_demo, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        lesion_demo.lode  # noqa: B018


def test_importing_it_brings_in_nothing_but_python() -> None:
    code = "import sys, lesion_demo; print(*(name.partition('.')[0] for name in sys.modules))"
    new = set(python(code).split()) - set(python("import sys; print(*sys.modules)").split())
    assert {name for name in new if name not in sys.stdlib_module_names} == {"lesion_demo"}


def test_which_checkpoint_is_loaded(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, picture: Path
) -> None:
    monkeypatch.delenv("LESION_CHECKPOINT", raising=False)
    monkeypatch.setattr(checkpoint, "CHECKPOINTS", tmp_path / "checkpoints")
    with pytest.raises(CheckpointError) as none:
        lesion_demo.load()
    assert str(none.value) == (
        "No checkpoint was named, and none comes with the installed package: name its folder, set "
        "LESION_CHECKPOINT to it, or train one with 'python -m lesion_demo train --data DIR'."
    )
    shown = Path(shutil.copytree(tiny_checkpoint, tmp_path / "checkpoints" / "shown"))
    assert lesion_demo.load().folder == shown
    monkeypatch.setenv("LESION_CHECKPOINT", str(tiny_checkpoint))
    assert lesion_demo.load().folder == tiny_checkpoint
    assert lesion_demo.load(str(shown)).folder == shown
    with pytest.raises(CheckpointError, match="No checkpoint in"):
        lesion_demo.load(tmp_path)
    with pytest.raises(CalibrationError):
        lesion_demo.load(calibration=tmp_path / "none.json")


def test_a_picture_in_any_form_gets_the_same_answer(model: Model, picture: Path, tmp_path: Path) -> None:
    image = Image.open(picture).convert("RGB")
    pixels = np.asarray(image)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90° clockwise
    image.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    turned = Image.open(tmp_path / "turned.png")
    expected = model.analyze(picture).probability
    for form in (str(picture), image, pixels, image.convert("RGBA"), turned, Image.open(picture)):
        found = model.analyze(form)
        assert found.probability == pytest.approx(expected, abs=1e-6)
        assert found.picture is not None
        assert (found.picture == pixels).all()
    assert turned.getexif()[0x0112] == 6  # the caller's own is as it was
    assert turned.size == image.size[::-1]
    assert model.analyze(picture, "accuracy").operating_point.name == "accuracy"
    with pytest.raises(CheckpointError, match="no operating point 'best'"):
        model.analyze(picture, "best")


def test_what_is_no_picture_is_told_in_a_sentence(model: Model, picture: Path, tmp_path: Path) -> None:
    pixels = np.asarray(Image.open(picture).convert("RGB"))
    cut = tmp_path / "cut.png"
    cut.write_bytes(picture.read_bytes()[:3000])
    for form, said in (
        (pixels / np.float32(255), r"uint8 RGB array \[height, width, 3\], not ndarray with float32"),
        (pixels[..., 0], "uint8"),
        (pixels[:20], "is only"),
        (np.zeros((40, 500, 3), np.uint8), "more than 10 times as long"),
        (None, "not NoneType"),
        (tmp_path / "none.jpg", "does not exist"),
        (Image.open(cut), "damaged or cut off"),
    ):
        with pytest.raises(ImageError, match=said):
            model.analyze(form)  # type: ignore[arg-type]


def test_an_answer_reads_well_and_shows_itself(model: Model, picture: Path, tiny_checkpoint: Path) -> None:
    found = model.analyze(picture)
    answer, _, numbers = repr(found).partition("; ")
    assert answer == f"Analysis: {found.verdict.value.replace('_', ' ')}"
    numbers_only = f"probability of malignancy {found.probability:.3f}, threshold 0.100 (operating point sensitive)"
    assert numbers.startswith(numbers_only)
    dark = model.analyze(np.asarray(Image.open(picture).convert("RGB")) // 20)
    assert repr(dark).startswith("Analysis: not assessable; ")
    assert "; mind: brightness (severe), " in repr(dark)
    html = found._repr_html_()
    assert html is not None
    assert html.startswith("<img src='data:image/png;base64,")
    assert repr(found) in html
    thresholds = "accuracy 0.600, balanced 0.500, sensitive 0.100"
    assert repr(model) == f"Model({str(tiny_checkpoint)!r}: {model.meta.backbone}; thresholds: {thresholds})"


def test_the_versions_of_python_are_said_alike() -> None:
    assert 'requires-python = ">=3.10"' in (PROJECT / "pyproject.toml").read_text()
    for name in ("README.md", "Makefile"):
        said = re.findall(r"Python 3\.\d+(?: to 3\.\d+| or newer)?", (PROJECT / name).read_text())
        assert set(said) == {"Python 3.10 or newer"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, since building leaves files behind, and beside a run and a picture that it must not take."""
    found = importlib.util.find_spec("setuptools")
    if found is None:
        pytest.skip("setuptools is missing: install requirements-dev.txt to build the wheel")
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(PACKAGE, source / "lesion_demo", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "requirements.txt", "README.md", "LICENSE", "app.py", "train.py"):
        shutil.copy(PROJECT / name, source)
    (source / "checkpoints" / "run").mkdir(parents=True)
    (source / "checkpoints" / "run" / "checkpoint.json").touch()
    (source / "lesion_demo" / "patient.jpg").touch()
    command = [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation", "--wheel-dir", ".."]
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=300)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_the_package_and_no_more(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = archive.read(f"lesion_demo-{lesion_demo.__version__}.dist-info/METADATA").decode()
    files = (path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    assert held == {path.relative_to(PROJECT).as_posix() for path in files}
    lines = (PROJECT / "requirements.txt").read_text().splitlines()
    wanted = {re.split("[<>=]", line)[0] for line in lines if line and not line.startswith("#")}
    assert set(re.findall(r"Requires-Dist: ([\w-]+)", metadata)) == wanted


def test_the_wheel_works_where_nothing_else_is(in_the_wheel: list[str], tiny_checkpoint: Path, picture: Path) -> None:
    none, probability, *page, modules = in_the_wheel
    assert "none comes with the installed package" in none
    assert float(probability) == pytest.approx(lesion_demo.load(tiny_checkpoint).analyze(picture).probability, abs=1e-6)
    assert page[0].startswith(f"Checkpoint {tiny_checkpoint}")
    assert page[-1] == "the page in de, 6 examples"
    assert "lesion_demo.web.page" in json.loads(modules)


def test_the_page_loads_no_training_audit_or_statistics(in_the_wheel: list[str]) -> None:
    loaded = {name for name in json.loads(in_the_wheel[-1]) if re.fullmatch(UNWANTED, name)}
    assert loaded == set()


@pytest.fixture(scope="module")
def in_the_wheel(
    wheel: Path, tiny_checkpoint: Path, picture: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[str]:
    """What a program prints that uses the package as installed, and as good as starts the page, in an empty folder."""
    folder = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--target", str(folder / "site"), str(wheel)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    assert (folder / "site" / "bin" / "lesion-demo").is_file()
    (folder / "program.py").write_text(PROGRAM)
    program = [sys.executable, "program.py", str(tiny_checkpoint), str(picture)]
    found = subprocess.run(program, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert found.returncode == 0, found.stderr
    return found.stdout.splitlines()


PROGRAM = """
import json, os, sys
from pathlib import Path
sys.path.insert(0, "site")
os.environ.pop("LESION_CHECKPOINT", None)
import lesion_demo
assert Path(lesion_demo.__file__).is_relative_to(Path("site").resolve())
checkpoint, picture = sys.argv[1:]
try:
    lesion_demo.load()
except lesion_demo.LesionDemoError as error:
    print(error)
print(lesion_demo.load(checkpoint).analyze(picture).probability)

from lesion_demo.__main__ import main
from lesion_demo.web import launch
def serve(analyzer, texts, *_):
    from lesion_demo.web.page import EXAMPLES, build_app
    launch.launch_options(texts)
    build_app(analyzer, texts)
    print(f"the page in {texts.language}, {len(list(EXAMPLES.iterdir()))} examples")
    return 0
launch.serve = serve
with launch.socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
assert main(["app", "--checkpoint", checkpoint, "--language", "de", "--port", str(port)]) == 0
print(json.dumps(list(sys.modules)))
"""
UNWANTED = (
    r"sklearn|accelerate|scipy\.(stats|optimize)|"
    r"lesion_demo\.(data|evaluate|train|audit|recipes|cli\.(train|audit|evaluate)).*"
)
"""What the page has no use for. PyTorch brings its DataLoader by itself, so that ours, in `data`, stands for it."""
