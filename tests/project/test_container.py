"""The Dockerfile: linted, and its steps run without Docker, which the machines that test have not."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import PROJECT

DOCKERFILE = PROJECT / "Dockerfile"


def instructions(text: str) -> list[tuple[str, str]]:
    """Each instruction and what follows it, lines joined, comments left out."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def faults(text: str) -> list[str]:
    """What is wrong with a Dockerfile, in a few words each."""
    steps = instructions(text)
    of = {name: [rest for one, rest in steps if one == name] for name, _ in steps}
    found = [f"{one} names no version" for one in of.get("FROM", []) if not re.search(r":\d", one)]
    found += [f"{name} is not wanted" for name in ("ADD", "SHELL", "ONBUILD") if name in of]
    if not re.fullmatch(r"[1-9]\d*:[1-9]\d*", of.get("USER", ["0:0"])[-1]):
        found.append("it runs as root, or as a user whose number is not told")
    elif [name for name, _ in steps].index("USER") < max(i for i, (name, _) in enumerate(steps) if name == "COPY"):
        found.append("files are copied after USER")
    if "HEALTHCHECK" not in of:
        found.append("there is no health check")
    if not of.get("CMD", [""])[-1].startswith("["):
        found.append("signals do not reach a CMD in a shell")
    secret = re.compile(r"PASSWORD|TOKEN|SECRET", re.IGNORECASE)
    found += [f"a secret in {one}" for name in ("ENV", "ARG") for one in of.get(name, []) if secret.search(one)]
    return found + [f"an address in {one}" for one in of.get("RUN", []) if "://" in one]


def test_the_dockerfile_has_no_faults() -> None:
    assert faults(DOCKERFILE.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ("python:3.12-slim", "python", "names no version"),
        ("USER 10001:10001", "", "runs as root"),
        ("USER 10001:10001", "USER app", "runs as root"),
        ("WORKDIR", "USER 1:1\nWORKDIR", "copied after USER"),
        ("HEALTHCHECK", "LABEL", "no health check"),
        ('CMD ["python", "app.py"]', "CMD python app.py", "signals"),
        ("HOME=/tmp", "LESION_PASSWORD=x", "a secret"),
        ("COPY LICENSE", "ADD LICENSE", "ADD is not wanted"),
    ],
)
def test_faults_are_found(before: str, after: str, fault: str) -> None:
    text = DOCKERFILE.read_text(encoding="utf-8")
    assert before in text
    assert any(fault in one for one in faults(text.replace(before, after)))


def copied() -> list[str]:
    """What the Dockerfile copies."""
    steps = instructions(DOCKERFILE.read_text(encoding="utf-8"))
    return [name for step, rest in steps if step == "COPY" for name in rest.split()[:-1]]


def test_all_that_is_copied_is_there_and_let_through() -> None:
    let_through = {
        line[1:] for line in (PROJECT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] == "!"
    }
    assert copied()
    for name in copied():
        assert (PROJECT / name).exists()
        assert name in let_through
    assert let_through - set(copied()) == {"lesion_demo/web/examples/phantom_*.jpg"}
    assert (PROJECT / ".dockerignore").read_text(encoding="utf-8").splitlines()[1] == "*"


def listing(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_its_steps_start_a_healthy_page_that_writes_only_where_it_may(tmp_path: Path) -> None:
    application, temporary = tmp_path / "app", tmp_path / "tmp"
    application.mkdir()
    temporary.mkdir()
    for name in copied():
        leave = shutil.ignore_patterns("__pycache__", "resume", "*.csv", ".*")
        if (PROJECT / name).is_dir():
            shutil.copytree(PROJECT / name, application / name, ignore=leave)
        else:
            shutil.copyfile(PROJECT / name, application / name)
    before = listing(application)
    steps = instructions(DOCKERFILE.read_text(encoding="utf-8"))
    given = dict(part.split("=", 1) for name, rest in steps if name == "ENV" for part in rest.split())
    with socket.create_server(("0.0.0.0", 0)) as probe:
        given["GRADIO_SERVER_PORT"] = str(probe.getsockname()[1])
    given |= {"HOME": str(temporary), "TMPDIR": str(temporary), "OMP_NUM_THREADS": "1"}
    environment = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ} | given
    command = json.loads(steps[-1][1])
    (check,) = (json.loads(rest[rest.index("[") :]) for name, rest in steps if name == "HEALTHCHECK")
    assert command[0] == check[0] == "python"
    process = subprocess.Popen([sys.executable, *command[1:]], cwd=application, env=environment)
    try:
        healthy = [sys.executable, *check[1:]]
        end = time.monotonic() + 180
        while subprocess.run(healthy, env=environment, capture_output=True, check=False).returncode != 0:
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.5)
        process.terminate()
        assert process.wait(30) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    assert subprocess.run(healthy, env=environment, capture_output=True, check=False).returncode != 0
    assert listing(application) == before
