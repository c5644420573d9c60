"""A table in parts: stopped and resumed, or shared out, it is the one that a single process writes."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import PROJECT
from PIL import Image
from test_score import checkpoint, read, score  # noqa: F401  # the first is a fixture

from lesion_demo.cli.score import share
from lesion_demo.cli.stopping import Stopped
from lesion_demo.images.phantom import render_phantom
from lesion_demo.serve import parts
from lesion_demo.serve.classifier import BATCH_SIZE
from lesion_demo.serve.parquet import read_table, write_table
from lesion_demo.serve.scoring import score_files
from lesion_demo.serve.table import CsvRow, read_csv, write_csv

PICTURES = 3 * BATCH_SIZE + 5
NO_PYARROW = "pyarrow is not installed: python -m pip install -r requirements-dev.txt"


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of one batch each: four of them."""
    assert parts.PART_PICTURES % BATCH_SIZE == 0
    monkeypatch.setattr(parts, "PART_PICTURES", BATCH_SIZE)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("archive")
    for number in range(PICTURES - 1):
        pixels = render_phantom(number % 7, malignant=number % 2 == 0, size=64)
        Image.fromarray(np.roll(pixels, number, axis=0)).save(root / f"p{number:02d}.png")
    (root / "p20x, “odd”\nline.jpg").write_bytes(b"no picture")
    return root


@pytest.fixture(scope="module")
def whole(archive: Path, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:  # noqa: F811
    """The table that one process writes."""
    out = tmp_path_factory.mktemp("whole") / "out.csv"
    assert score(archive, "--out", out, "--checkpoint", checkpoint) == 1
    assert len(read(out)) == PICTURES
    return out.read_bytes()


def stopping(monkeypatch: pytest.MonkeyPatch, after: int, stop: BaseException) -> list[str]:
    """Have `stop` raised once so many batches were scored; what was scored is noted."""
    scored: list[str] = []

    def rows(files: Iterable[str], *options: object) -> Iterator[CsvRow]:
        for row in score_files(list(files), *options):  # type: ignore[arg-type]
            if len(scored) >= after * BATCH_SIZE:
                raise stop
            scored.append(row.file)
            yield row

    monkeypatch.setattr("lesion_demo.serve.scoring.score_files", rows)
    return scored


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), Stopped(signal.SIGTERM), SystemError("killed")])
def test_after_a_stop_it_goes_on_and_the_table_is_the_same(
    stop: BaseException,
    archive: Path,
    checkpoint: Path,  # noqa: F811
    whole: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, folder = tmp_path / "out.csv", tmp_path / "new" / "parts"
    command = (archive, "--parts", folder, "--out", out, "--checkpoint", checkpoint)
    with monkeypatch.context() as patch:
        stopping(patch, 2, stop)
        if isinstance(stop, KeyboardInterrupt):
            assert score(*command) == (143 if isinstance(stop, Stopped) else 130)
            assert f"Stopped: 2 of 4 parts are in {folder}; the same command goes on" in capsys.readouterr().out
        else:
            with pytest.raises(SystemError):
                score(*command)
    assert not out.exists()
    with monkeypatch.context() as patch:
        scored = stopping(patch, 99, stop)
        assert score(*command) == 1
        assert len(scored) == PICTURES - 2 * BATCH_SIZE  # none twice
    assert out.read_bytes() == whole
    assert f"1 failed: see the error column. The table is {out}." in capsys.readouterr().out


def test_shards_share_it_out_and_the_last_writes_the_same_table(
    archive: Path,
    checkpoint: Path,  # noqa: F811
    whole: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, folder = tmp_path / "out.csv", tmp_path / "parts"
    command = (archive, "--parts", folder, "--out", out, "--checkpoint", checkpoint)
    assert score(*command, "--shard", "2/3") == 1  # the bad file is in its part
    assert f"Of 4 parts in {folder}, 3 are left for other shards." in capsys.readouterr().out
    monkeypatch.setenv("WORLD_SIZE", "3")  # as `accelerate launch` and `torchrun` say it
    monkeypatch.setenv("RANK", "0")
    assert score(*command) == 0
    assert not out.exists()
    monkeypatch.setenv("RANK", "2")
    assert score(*command) == 0
    assert sorted(path.name for path in folder.glob("*.csv")) == [f"part-{number:06d}.csv" for number in range(4)]
    assert out.read_bytes() == whole


IN_TWO = """
import os, signal, sys
from pathlib import Path
from lesion_demo.__main__ import main
from lesion_demo.serve import parquet, parts
parts.PART_PICTURES, die, write = 16, os.environ.get("DIE"), parquet.write_table
def write_table(path, rows):
    write(path, rows)
    if die and os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGKILL)
parquet.write_table = write_table
sys.exit(main(["score", *sys.argv[1:]]))
"""
"""What `python -m lesion_demo score` does, in parts of one batch; the second process may kill itself."""


def test_two_processes_of_accelerate_one_of_them_killed(
    archive: Path,
    checkpoint: Path,  # noqa: F811
    whole: bytes,
    tmp_path: Path,
) -> None:
    pytest.importorskip("pyarrow", reason=NO_PYARROW)
    script, out, folder = tmp_path / "score.py", tmp_path / "out.csv", tmp_path / "parts"
    script.write_text(IN_TWO, encoding="utf-8")
    launch = "-m accelerate.commands.launch --multi_gpu --num_processes 2 --num_machines 1 --mixed_precision no"
    launch += " --dynamo_backend no --main_process_port 0"
    options: list[str | Path] = [
        "--parts",
        folder,
        "--parts-format",
        "parquet",
        "--out",
        out,
        "--checkpoint",
        checkpoint,
    ]
    command = [sys.executable, *launch.split(), *map(str, (script, archive, *options))]
    search = os.pathsep.join([str(PROJECT), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": search, "OMP_NUM_THREADS": "1", "HF_HOME": str(tmp_path)}
    run = subprocess.run(command, env=environment | {"DIE": "1"}, capture_output=True, timeout=200, check=False)
    done = {path.name for path in folder.glob("*.parquet")}
    assert run.returncode != 0, run.stderr
    assert "part-000001.parquet" in done, run.stderr
    assert "part-000003.parquet" not in done
    assert not out.exists()
    assert score(archive, *options) == 1  # the bad file is in its row; another process goes on from there
    assert out.read_bytes() == whole


def test_a_table_as_parquet_has_numbers_and_all_that_csv_has(
    archive: Path,
    checkpoint: Path,  # noqa: F811
    whole: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    read_parquet = pytest.importorskip("pyarrow.parquet", reason=NO_PYARROW).read_table
    out, back = tmp_path / "out.parquet", tmp_path / "back.csv"
    monkeypatch.setattr("lesion_demo.serve.parquet.GROUP_ROWS", BATCH_SIZE)
    assert score(archive, "--out", out, "--checkpoint", checkpoint) == 1
    found = read_parquet(out).to_pydict()
    assert sum(isinstance(one, float) for one in found["probability"]) == PICTURES - 1
    assert [file for file, one in zip(found["file"], found["probability"], strict=True) if one is None] == [
        str(archive / "p20x, “odd”\nline.jpg")
    ]
    write_csv(back, read_table(out))
    assert back.read_bytes() == whole
    out.write_bytes(b"PAR1, cut")
    with pytest.raises(ValueError, match="Parquet"):
        read_table(out)
    monkeypatch.setattr("lesion_demo.serve.parquet.find_spec", lambda _: None)
    parquet: list[list[str | Path]] = [["--out", out], ["--parts", tmp_path / "parts", "--parts-format", "parquet"]]
    for options in parquet:
        assert score(archive, *options, "--checkpoint", checkpoint) == 1
        assert "error: Parquet needs the package pyarrow: python -m pip install" in capsys.readouterr().err


def test_odd_names_are_in_parquet_as_they_are(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason=NO_PYARROW)
    rows = [CsvRow("=1+1.jpg", error="why"), CsvRow("caf\udce9.jpg")]
    write_table(tmp_path / "a.parquet", rows)
    assert [row.file for row in read_table(tmp_path / "a.parquet")] == ["=1+1.jpg", "caf\\udce9.jpg"]


def test_a_picture_that_cannot_be_read_does_not_end_the_other_processes(
    archive: Path,
    checkpoint: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A launcher ends all when one fails."""
    command = (archive, "--parts", tmp_path / "parts", "--checkpoint", checkpoint)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert score(*command) == 0  # the bad file is in its part
    monkeypatch.setenv("RANK", "0")
    assert score(*command) == 0
    monkeypatch.setenv("RANK", "1")
    assert score(*command) == 1  # all are there


def test_parts_of_another_table_are_not_taken_for_its_own(
    archive: Path,
    checkpoint: Path,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "parts"
    few = [str(path) for path in sorted(archive.glob("p0[0-3].png"))]
    assert score(*few, "--parts", folder, "--checkpoint", checkpoint) == 0
    assert f"All 1 parts are in {folder}." in capsys.readouterr().out
    assert score(*few[:3], "--parts", folder, "--checkpoint", checkpoint) == 1
    said = capsys.readouterr().err
    assert f"{folder} holds parts of another table (different pictures, files): choose another folder" in said
    point = ("--operating-point", "accuracy")
    assert score(*few, "--parts", folder, "--checkpoint", checkpoint, *point) == 1
    assert "(different operating_point, threshold)" in capsys.readouterr().err
    (folder / "part-000000.csv").write_text("cut", encoding="utf-8")
    assert score(*few, "--parts", folder, "--checkpoint", checkpoint) == 1
    assert "part-000000.csv cannot be read (it is not a table of scores): delete it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "Give a file for the table (--out FILE) or a folder for its parts (--parts DIR)."),
        (["--out", "x.csv", "--shard", "1/2"], "--shard needs --parts DIR"),
    ],
)
def test_what_is_missing_is_said(options: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert score("x.png", *options) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2"])
def test_what_is_no_share_is_said(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not a shard: write 2/8 for the second of eight"):
        share(text)
    assert share("2/8") == (2, 8)


def test_a_name_that_looks_like_a_formula_comes_back_as_it_was(tmp_path: Path) -> None:
    rows = [
        CsvRow(name, error="why")
        for name in ("=1+1.jpg", "'=1.jpg", "-3.jpg", "plain.jpg", "é, “x”\n.jpg", "'quoted.jpg")
    ]
    write_csv(tmp_path / "a.csv", rows)
    assert read_csv(tmp_path / "a.csv") == rows
