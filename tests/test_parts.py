"""A table in parts: stopped and resumed, or shared out, it is the one that a single process writes."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_score import checkpoint, read, score  # noqa: F401  # the first is a fixture

from lesion_demo.cli.score import share
from lesion_demo.cli.stopping import Stopped
from lesion_demo.images.phantom import render_phantom
from lesion_demo.serve import parts
from lesion_demo.serve.classifier import BATCH_SIZE
from lesion_demo.serve.scoring import score_files
from lesion_demo.serve.table import CsvRow, read_csv, write_csv

PICTURES = 3 * BATCH_SIZE + 5


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
    assert "3 of all 4 parts" in capsys.readouterr().out
    monkeypatch.setenv("WORLD_SIZE", "3")  # as `accelerate launch` and `torchrun` say it
    monkeypatch.setenv("RANK", "0")
    assert score(*command) == 0
    assert not out.exists()
    monkeypatch.setenv("RANK", "2")
    assert score(*command) == 0
    assert sorted(path.name for path in folder.glob("*.csv")) == [f"part-{number:06d}.csv" for number in range(4)]
    assert out.read_bytes() == whole


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
    assert "(operating_point, threshold differ)" in capsys.readouterr().err
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
