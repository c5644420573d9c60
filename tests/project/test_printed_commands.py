"""Every command that README, docs and scripts print is one that there is, with the options that it has."""

from __future__ import annotations

import logging
import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest
from conftest import PROJECT
from printed import printed

from lesion_demo.__main__ import main, parse
from lesion_demo.train.run import _logging_to

SHORT = {"app.py": "app", "train.py": "train"}
"""Files that start a command."""
OTHERS = ("pip", "pytest", "venv")


COMMANDS = printed()


def test_there_are_commands_to_try() -> None:
    assert len(COMMANDS) > 15
    assert not list(PROJECT.rglob("ablations*"))


def test_what_is_printed_of_make_is_a_target() -> None:
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    pages = [*PROJECT.glob("*.md"), *(PROJECT / "docs").glob("*.md")]
    said = {
        name
        for page in pages
        for name in re.findall(r"(?:^|`)make (?:[A-Z]+=\S+ )?([a-z]+)", page.read_text("utf-8"), re.M)
    }
    assert said >= {"app", "test", "lock", "audit"}
    assert said <= set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_printed_is_understood(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, *words = shlex.split(command)
    if words[0] in SHORT:
        assert (PROJECT / words[0]).is_file()
        words = ["-m", "lesion_demo", SHORT[words[0]], *words[1:]]
    if words[0] != "-m":
        assert (PROJECT / words[0]).is_file()
    elif words[1] == "lesion_demo":
        if words[2:] and words[2] != "<command>" and "--help" not in words:
            assert parse(words[2:]).command == words[2]
    elif words[1] not in OTHERS:
        monkeypatch.chdir(PROJECT)
        monkeypatch.syspath_prepend(str(PROJECT))
        monkeypatch.setattr(sys, "argv", [words[1], "--help"])
        with pytest.raises(SystemExit) as end:
            runpy.run_module(words[1], run_name="__main__")
        assert end.value.code == 0
        said = capsys.readouterr().out
        assert [option for option in words if option.startswith("--") and option not in said] == []


def test_the_log_is_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    level = root.level
    for _ in range(2):
        assert main(["card", "--checkpoint", str(tmp_path)]) == 1
        assert root.handlers == []
        assert root.level == level


def test_a_runs_log_is_closed_and_not_written_twice(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("lesion_demo")
    before = list(log.handlers)
    with caplog.at_level(logging.INFO, "lesion_demo"):
        for word in ("first", "second — ▲"):
            with _logging_to(tmp_path):
                log.info(word)
                (handler,) = (one for one in log.handlers if one not in before)
            assert log.handlers == before
            assert isinstance(handler, logging.FileHandler)
            assert handler.stream is None
    lines = (tmp_path / "resume" / "train.log").read_text(encoding="utf-8").splitlines()
    assert [line.split(maxsplit=2)[2] for line in lines] == ["first", "second — ▲"]
