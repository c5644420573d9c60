"""`recalibrate` from pictures to the page: the command, `score` and `app.py` with what it wrote, and the experiment."""

from __future__ import annotations

import csv
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import PROJECT
from gradio_client import Client, handle_file
from scipy.special import logit
from server_calls import wait_for
from tiny_clinic import CLASS_SIZE, write_tiny_checkpoint

from lesion_demo.__main__ import main
from lesion_demo.errors import LesionDemoError
from lesion_demo.local_calibration import read_local
from scripts import recalibration_curve


@pytest.fixture(scope="module")
def calibration(tiny_checkpoint: Path, clinic_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command wrote."""
    out = tmp_path_factory.mktemp("fit") / "local.json"
    arguments = ["--data", str(clinic_folder), "--out", str(out), "--checkpoint", str(tiny_checkpoint)]
    assert main(["recalibrate", *arguments, "--name", "St Mary’s"]) == 0
    return out


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another checkpoint."""
    return write_tiny_checkpoint(tmp_path_factory.mktemp("other"), seed=1)


def sentence(calibration: Path) -> str:
    return f"Fitted to St Mary’s with {2 * CLASS_SIZE} pictures on {read_local(calibration).fitted_on}"


def test_the_command_writes_what_score_then_uses(
    tiny_checkpoint: Path, clinic_folder: Path, calibration: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    local = read_local(calibration)
    picture = sorted((clinic_folder / "malignant").iterdir())[0]
    rows = []
    for extra in ([], ["--calibration", str(calibration)]):
        out = tmp_path / "out.csv"
        assert main(["score", str(picture), "--out", str(out), "--checkpoint", str(tiny_checkpoint), *extra]) == 0
        with out.open(newline="", encoding="utf-8-sig") as file:
            rows += list(csv.DictReader(file))
    shipped, fitted = rows
    assert (shipped["calibration"], fitted["calibration"]) == ("", sentence(calibration))
    assert float(shipped["threshold"]) == 0.1
    assert float(fitted["threshold"]) == pytest.approx(local.point("sensitive").threshold, abs=1e-6)
    before, here = (logit(float(row["probability"])) for row in (shipped, fitted))
    assert here == pytest.approx(local.slope * before + local.intercept, abs=1e-3)
    assert abs(local.intercept) > 0.01
    assert f"{sentence(calibration)}." in capsys.readouterr().out


def test_what_the_command_says(
    tiny_checkpoint: Path, clinic_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, path in enumerate(sorted((clinic_folder / "benign").iterdir())):
        target = tmp_path / "own" / ("train" if number % 2 else "test") / "naevi-here"
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    shutil.copytree(clinic_folder / "malignant", tmp_path / "own" / "train" / "melanoma")
    out = tmp_path / "local.json"
    arguments = [
        "recalibrate",
        "--data",
        str(tmp_path / "own"),
        "--out",
        str(out),
        "--checkpoint",
        str(tiny_checkpoint),
    ]
    assert main(arguments) == 1
    assert "--class-map" in capsys.readouterr().err
    assert main([*arguments, "--class-map", "naevi-here=benign"]) == 0
    captured = capsys.readouterr()
    assert f"Fitted to own with {2 * CLASS_SIZE} pictures" in captured.out
    assert "sensitive: threshold" in captured.out
    assert "shipped 0.100" in captured.out
    assert f"--calibration {out}" in captured.out
    assert "warning: " in captured.err
    assert read_local(out).name == "own"


def test_a_fit_to_another_checkpoint_and_a_damaged_one_are_one_line(
    calibration: Path, other: Path, clinic_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = tmp_path / "damaged.json"
    damaged.write_text(calibration.read_text().replace('"slope": ', '"slope": -'))
    for file, said in ((calibration, "does not fit the checkpoint"), (damaged, "slope is -")):
        arguments = ["--out", str(tmp_path / "out.csv"), "--checkpoint", str(other), "--calibration", str(file)]
        assert main(["score", str(clinic_folder), *arguments]) == 1
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        assert said in line
        assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("out", "data", "said"), [("missing/a.json", "own", "does not exist"), ("a.json", "gone", "does not exist")]
)
def test_hopeless_arguments_are_one_line_and_leave_nothing(
    out: str, data: str, said: str, tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--data", str(tmp_path / data), "--out", str(tmp_path / out), "--checkpoint", str(tiny_checkpoint)]
    assert main(["recalibrate", *arguments]) == 1
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def server(tiny_checkpoint: Path, calibration: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a running `app.py --calibration`."""
    folder = tmp_path_factory.mktemp("elsewhere")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, str(PROJECT / "app.py"), "--checkpoint", str(tiny_checkpoint), "--port", str(port)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [*command, "--calibration", str(calibration)], cwd=folder, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        wait_for(f"http://127.0.0.1:{port}", process, folder / "log")
        assert f"{sentence(calibration)}." in (folder / "log").read_text(encoding="utf-8")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(60)


def test_the_app_uses_it_and_says_so(server: str, calibration: Path, clinic_folder: Path, tmp_path: Path) -> None:
    local, said = read_local(calibration), f"{sentence(calibration)}."
    client = Client(server, verbose=False)
    page = json.dumps(client.config, ensure_ascii=False)
    assert page.count(said) >= 2  # at its foot, and where the model is told about
    picture = sorted((clinic_folder / "malignant").iterdir())[0]
    findings, _ = client.predict(handle_file(picture), "sensitive", True, 0.02, api_name="/analyze")
    assert findings["calibration"]["sentence"] == said
    assert findings["operating_point"]["threshold"] == pytest.approx(local.point("sensitive").threshold)
    rows, table = client.predict([handle_file(picture)], "balanced", api_name="/analyze_batch")
    assert rows[0]["calibration"] == sentence(calibration)
    assert float(rows[0]["probability"]) == pytest.approx(findings["probability"], abs=1e-4)
    assert sentence(calibration) in Path(table).read_text(encoding="utf-8")


def test_the_app_refuses_a_fit_to_another_checkpoint(
    calibration: Path, other: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["app", "--checkpoint", str(other), "--calibration", str(calibration), "--port", "0"]) == 1
    assert capsys.readouterr().err.startswith(f"error: {calibration} does not fit the checkpoint {other}")


def test_the_experiment_runs_as_its_head_says(
    tiny_checkpoint: Path, clinic_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "results"
    options = ["--checkpoint", str(tiny_checkpoint), "--data", str(clinic_folder), "--out", str(results)]
    command = [sys.executable, "-m", "scripts.recalibration_curve", *options, "--draws", "3", "--sizes", "30", "60"]
    assert " ".join(command[1:3]) in str(recalibration_curve.__doc__)
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads((results / "recalibration_curve.json").read_text())
    assert (results / "recalibration_curve.png").read_bytes().startswith(b"\x89PNG")
    assert found["pictures"] == 2 * CLASS_SIZE
    assert list(found["sizes"]) == ["30", "60"]
    for size, figures in found["sizes"].items():
        assert [one["pictures"] for one in figures["draws"]] == [int(size)] * 3
        assert 0 <= figures["fitted"]["calibration_error"]["mean"] <= 1
        assert len({one["slope"] for one in figures["draws"]}) == 3

    def never(*_: object) -> None:
        raise AssertionError("the log-odds are there already")

    monkeypatch.setattr(recalibration_curve, "log_odds_of", never)
    monkeypatch.setattr(sys, "argv", ["recalibration_curve", *options, "--draws", "2", "--sizes", "40"])
    recalibration_curve.main()


def test_draws_take_whole_groups() -> None:
    groups, labels = np.repeat(np.arange(40), 3), np.repeat(np.arange(40) % 2, 3)
    first, second = (recalibration_curve.choose(labels, groups, 50, seed) for seed in (0, 1))
    assert first.sum() == second.sum() == 48
    assert (first != second).any()
    assert not set(groups[first]) & set(groups[~first])
    with pytest.raises(LesionDemoError, match="too few to draw 500"):
        recalibration_curve.choose(labels, groups, 500, 0)
