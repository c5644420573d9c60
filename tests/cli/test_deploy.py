"""What goes to a Space: the page and one run, never a stranger's file; and that it starts there, on ZeroGPU."""

from __future__ import annotations

import argparse
import inspect
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio
import httpx
import pytest
import yaml  # type: ignore[import-untyped]
from conftest import PROJECT
from gradio_client import Client, handle_file
from huggingface_hub import CommitOperationAdd, HfApi, SpaceHardware
from huggingface_hub.errors import HTTPError
from PIL import Image

from lesion_demo.__main__ import main
from lesion_demo.checkpoint import LoadedCheckpoint
from lesion_demo.cli.deploy import for_zero_gpu, space_files, space_name, with_metadata
from lesion_demo.cli.uploading import Api, Upload, upload
from lesion_demo.errors import LesionDemoError
from lesion_demo.images.phantom import render_phantom

STRANGERS = (
    "patient.jpg",
    ".env",
    "notes.py",
    "results.csv",
    "assets/patient.png",
    "docs/patient.md",
    "lesion_demo/patient.jpg",
    "lesion_demo/.env",
    "lesion_demo/.cache/secret.py",
    "lesion_demo/__pycache__/app.py",
    "lesion_demo/web/examples/patient.jpg",
    "lesion_demo/web/patient.json",
    "checkpoints/shown.json",
    "checkpoints/other/model.safetensors",
    "checkpoints/other/checkpoint.json",
    "checkpoints/RUN/split.csv",
    "checkpoints/RUN/further.csv",
    "checkpoints/RUN/external.csv",
    "checkpoints/RUN/patient.jpg",
    "checkpoints/RUN/plots/patient.png",
    "checkpoints/RUN/resume/state.pt",
    ".venv/lib/torch/__init__.py",
    ".git/config",
)


@pytest.fixture
def littered(shipped: LoadedCheckpoint, tmp_path: Path) -> Path:
    """A copy of the project as people have it, with everything in it that must stay there."""
    project = tmp_path / "project"
    for file in space_files(PROJECT, shipped.folder):
        place = project / file.place
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(file.source, bytes):
            place.write_bytes(file.source)
        else:
            shutil.copyfile(file.source, place)
    for name in STRANGERS:
        path = project / name.replace("RUN", shipped.folder.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return project


def names(files: Sequence[Upload]) -> list[str]:
    return [file.place for file in files]


def test_nothing_goes_that_is_not_named(littered: Path, shipped: LoadedCheckpoint, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "phantom_patient.jpg").write_bytes(b"x")
    examples = littered / "lesion_demo" / "web" / "examples"
    (examples / "phantom_link.jpg").symlink_to(tmp_path / "elsewhere" / "phantom_patient.jpg")
    found = space_files(littered, littered / "checkpoints" / shipped.folder.name)
    assert names(found) == names(space_files(PROJECT, shipped.folder))
    assert len(set(names(found))) == len(found)


def test_what_the_page_needs_goes(shipped: LoadedCheckpoint) -> None:
    found = set(names(space_files(PROJECT, shipped.folder)))
    tracked = subprocess.run(
        ["git", "ls-files", "lesion_demo"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    run = f"checkpoints/{shipped.folder.name}"
    kept = {"lesion_demo/py.typed"}
    assert set(tracked.stdout.split()) - kept <= found
    plots = {f"{run}/plots/{path.name}" for path in (shipped.folder / "plots").glob("*.png")}
    assert plots
    assert plots <= found
    wanted = {"app.py", "README.md", "requirements.txt", "LICENSE", "checkpoints/LICENSE.md", "assets/screenshot.png"}
    assert wanted | {f"{run}/model.safetensors", f"{run}/checkpoint.json", f"{run}/metrics.json"} <= found


def test_a_run_that_lies_elsewhere_goes_below_checkpoints(shipped: LoadedCheckpoint, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(shipped.folder, tmp_path / "runs" / "mine"))
    places = [name for name in names(space_files(PROJECT, moved)) if name.startswith("checkpoints/")]
    assert {"checkpoints/LICENSE.md", "checkpoints/mine/model.safetensors"} <= set(places)
    assert not [name for name in places if shipped.folder.name in name]


def test_an_installed_package_says_that_it_is_not_enough(shipped: LoadedCheckpoint, tmp_path: Path) -> None:
    with pytest.raises(LesionDemoError, match="deploy from a copy of the whole project"):
        space_files(tmp_path, shipped.folder)


def test_torch_is_what_zero_gpu_has_and_the_rest_as_it_was() -> None:
    ours = (PROJECT / "requirements.txt").read_text(encoding="utf-8")
    written = for_zero_gpu(ours)
    changed = set(written.splitlines()) - set(ours.splitlines())
    assert changed == {"torch>=2.8,<2.12", "torchvision>=0.23,<0.27"}
    assert len(written.splitlines()) == len(ours.splitlines())


# --- README's head ---------------------------------------------------------------------------------------------------

COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}


def head(readme: str) -> dict[str, Any]:
    _, text, _ = readme.split("---\n", 2)
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def test_the_head_of_the_readme_is_what_the_hub_takes() -> None:
    found = head((PROJECT / "README.md").read_text(encoding="utf-8"))
    assert found["sdk"] == "gradio"
    assert found["sdk_version"] in (PROJECT / "requirements.txt").read_text(encoding="utf-8") or found[
        "sdk_version"
    ].startswith(gradio.__version__.rsplit(".", 1)[0])
    assert found["python_version"] == "3.12"
    assert (PROJECT / found["app_file"]).is_file()
    assert {found["colorFrom"], found["colorTo"]} <= COLOURS
    assert len(found["short_description"]) <= 60
    assert found["suggested_hardware"] in {one.value for one in SpaceHardware}
    assert (found["models"], found["datasets"]) == ([], [])
    assert found["license"] == "other"
    assert found["license_name"] == "apache-2.0-code-cc-by-nc-4.0-weights"
    assert "CC BY-NC 4.0" in (PROJECT / found["license_link"]).read_text(encoding="utf-8")
    assert "Apache License" in (PROJECT / "LICENSE").read_text(encoding="utf-8")


def test_models_and_data_sets_are_named_in_the_head() -> None:
    ours = (PROJECT / "README.md").read_text(encoding="utf-8")
    found = head(with_metadata(ours, ["a/b"], ["c/d", "e/f"]))
    assert found == {**head(ours), "models": ["a/b"], "datasets": ["c/d", "e/f"]}
    assert with_metadata(ours, [], []) == ours


# --- the command -----------------------------------------------------------------------------------------------------


@dataclass
class Hub:
    """A stand-in for `HfApi`."""

    private: bool = True
    there: tuple[str, ...] = (".gitattributes",)
    error: Exception | None = None
    made: dict[str, Any] = field(default_factory=dict)
    committed: dict[str, CommitOperationAdd] = field(default_factory=dict)

    def create_repo(self, repo_id: str, **options: Any) -> None:
        if self.error:
            raise self.error
        self.made = {"repo_id": repo_id, **options}

    def repo_info(self, repo_id: str, *, repo_type: str) -> SimpleNamespace:
        return SimpleNamespace(private=self.private)

    def list_repo_files(self, repo_id: str, *, repo_type: str) -> list[str]:
        return [*self.there, *self.committed]

    def create_commit(self, repo_id: str, operations: Any, *, commit_message: str, repo_type: str) -> None:
        self.committed = {one.path_in_repo: one for one in operations}


FILES = [Upload("README.md", b"Hello"), Upload("app.py", PROJECT / "app.py")]


def test_a_space_is_private_unless_it_is_to_be_public() -> None:
    for public in (False, True):
        hub = Hub(private=not public)
        assert upload(hub, "me/demo", FILES, public=public) == []
        assert hub.made == {
            "repo_id": "me/demo", "repo_type": "space", "space_sdk": "gradio", "private": not public, "exist_ok": True,
        }  # fmt: skip
        assert set(hub.committed) == {"README.md", "app.py"}


def test_a_space_that_is_public_already_gets_nothing_unless_it_is_to_be_public() -> None:
    hub = Hub(private=False)
    with pytest.raises(LesionDemoError, match="is already public"):
        upload(hub, "me/demo", FILES, public=False)
    assert hub.committed == {}


def test_what_else_lies_in_the_space_is_told() -> None:
    hub = Hub(there=(".gitattributes", "patient.jpg", "README.md"))
    assert upload(hub, "me/demo", FILES, public=False) == ["patient.jpg"]


@pytest.mark.parametrize("error", [HTTPError("no network"), OSError("no disk")])
def test_a_hub_that_refuses_is_one_sentence(error: Exception) -> None:
    with pytest.raises(LesionDemoError, match=r"the Space me/demo to the Hub failed .*try again"):
        upload(Hub(error=error), "me/demo", FILES, public=False)


def test_the_stand_in_is_asked_as_the_real_one_would_be() -> None:
    for name in ("create_repo", "repo_info", "list_repo_files", "create_commit"):
        given = inspect.signature(getattr(Api, name)).parameters
        assert set(given) <= set(inspect.signature(getattr(HfApi, name)).parameters), name


@pytest.mark.parametrize(("options", "token"), [(["--dry-run"], "a-token"), ([], None)])
def test_a_dry_run_is_told_and_is_what_happens_without_a_token(
    options: list[str], token: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unwanted(*_: Any, **__: Any) -> None:
        raise AssertionError("the Hub was asked")

    monkeypatch.setattr("lesion_demo.cli.deploy.upload", unwanted)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: token)
    assert main(["deploy", "me/demo", *options]) == 0
    said = capsys.readouterr().out
    size = (PROJECT / "app.py").stat().st_size
    assert f"{size:>12,}  app.py\n" in said
    assert "for the private Space me/demo" in said
    assert said.endswith("nothing was uploaded.\n")


def test_with_a_token_it_is_uploaded(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    hub, tokens = Hub(private=False, there=("old.jpg",)), []

    def api(token: str) -> Hub:
        tokens.append(token)
        return hub

    monkeypatch.setattr("huggingface_hub.get_token", lambda: "a-token")
    monkeypatch.setattr("huggingface_hub.HfApi", api)
    assert main(["deploy", "me/demo", "--public", "--dataset", "a/b"]) == 0
    assert tokens == ["a-token"]
    assert hub.made["private"] is False
    readme = hub.committed["README.md"].path_or_fileobj
    assert isinstance(readme, bytes)
    assert head(readme.decode())["datasets"] == ["a/b"]
    said = capsys.readouterr().out
    assert "no part of the page: old.jpg" in said
    assert "a-token" not in said


@pytest.mark.parametrize("text", ["demo", "a/b/c", "me/", "/demo", "me/de mo", "me/dém"])
def test_what_is_no_space_is_said(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="give owner and name"):
        space_name(text)


# --- on ZeroGPU ------------------------------------------------------------------------------------------------------


@contextmanager
def zero_gpu() -> Iterator[tuple[str, list[str]]]:
    """A stand-in for the service that ZeroGPU's package reports to: its address, and what it was asked."""
    asked: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the library's name
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


def test_the_network_stays_on_the_cpu_and_the_gpu_is_asked_for_before_the_launch(
    shipped: LoadedCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ZeroGPU makes PyTorch say that there is a GPU, where nothing can compute on one."""
    done: list[Any] = []

    def opened(folder: Path, engine: str, device: str | None) -> LoadedCheckpoint:
        done.append(device)
        return shipped

    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    monkeypatch.setattr("lesion_demo.web.zero_gpu.import_spaces", lambda: done.append("import"))
    monkeypatch.setattr("lesion_demo.web.zero_gpu.ask_for_gpu", lambda _: done.append("ask"))
    monkeypatch.setattr("lesion_demo.serve.opened.open_checkpoint", opened)
    monkeypatch.setattr("lesion_demo.serve.analysis.Analyzer", lambda *_: SimpleNamespace())
    monkeypatch.setattr("lesion_demo.web.launch.serve", lambda *_: done.append("serve"))
    main(["app", "--port", "0", "--checkpoint", str(shipped.folder)])
    assert done == ["import", "cpu", "ask", "serve"]


def test_the_upload_alone_starts_on_zero_gpu(shipped: LoadedCheckpoint, tmp_path: Path) -> None:
    """With the real package `spaces`, which only reports a start if a function has asked for a GPU."""
    if find_spec("spaces") is None:
        pytest.skip("the package `spaces` is not installed: python -m pip install -r requirements-dev.txt")
    space = tmp_path / "space"
    for file in space_files(PROJECT, shipped.folder):
        (space / file.place).parent.mkdir(parents=True, exist_ok=True)
        content = file.source if isinstance(file.source, bytes) else file.source.read_bytes()
        (space / file.place).write_bytes(content)
    picture = tmp_path / "lesion.png"
    Image.fromarray(render_phantom(3, malignant=True)).save(picture)
    with zero_gpu() as (service, asked), on_space(space, tmp_path, service) as address:
        findings, _ = Client(address, verbose=False).predict(handle_file(picture), api_name="/analyze")
        assert 0 < findings["probability"] < 1
        assert asked == ["/startup-report"]  # and no GPU was asked for: the picture was analysed on the CPU


@contextmanager
def on_space(folder: Path, temporary: Path, service: str) -> Iterator[str]:
    """`python app.py` in `folder`, with what ZeroGPU has in the environment; yields its address."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    given = {
        "SPACES_ZERO_GPU": "true", "SPACES_ZERO_DEVICE_API_URL": service, "SPACE_ID": "me/demo",
        "SPACE_HOST": "me-demo.hf.space", "GRADIO_SERVER_NAME": "0.0.0.0", "GRADIO_SERVER_PORT": str(port),
        "TMPDIR": str(temporary), "HOME": str(temporary), "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LD_LIBRARY_PATH", "LANG")}
    log = temporary / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "app.py"], cwd=folder, env={**kept, **given}, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        end = time.monotonic() + 180
        while time.monotonic() < end:
            assert process.poll() is None, log.read_text()
            try:
                httpx.get(f"http://127.0.0.1:{port}/config", trust_env=False, timeout=10).raise_for_status()
                break
            except httpx.HTTPError:
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
