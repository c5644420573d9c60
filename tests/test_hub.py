"""Models on the Hugging Face Hub, against a stand-in of its HTTP interface on this machine."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import torch
import yaml  # type: ignore[import-untyped]
from conftest import PROJECT
from huggingface_hub import constants

import lesion_demo
from lesion_demo.__main__ import main
from lesion_demo.card import card_head, read_facts
from lesion_demo.checkpoint import Checkpoint, LoadedCheckpoint, save_checkpoint
from lesion_demo.cli.push import model_files
from lesion_demo.config import OperatingPoint, PreprocessSpec
from lesion_demo.errors import CheckpointError
from lesion_demo.images.phantom import render_phantom
from lesion_demo.network.model import build_model
from lesion_demo.results import Interval, Metrics, PointReport, Report

NAME = "clinic/lesions"
COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass
class Hub:
    """A model on the stand-in: the files of every commit, and what was asked for.

    Attributes:
        commits: commit → name → content; the last one is the branch `main`.
    """

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    private: bool | None = None
    asked: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)

    def commit(self, files: dict[str, bytes]) -> str:
        content = b"".join(name.encode() + data for name, data in sorted(files.items()))
        name = hashlib.sha1(content).hexdigest()
        self.commits[name] = files
        return name

    @property
    def newest(self) -> str:
        return next(reversed(self.commits), "")

    def info(self, commit: str) -> dict[str, Any]:
        names = [{"rfilename": name} for name in self.commits.get(commit, {})]
        return {"id": NAME, "modelId": NAME, "sha": commit, "private": self.private, "siblings": names, "tags": []}


class Answer(BaseHTTPRequestHandler):
    """The part of the interface that a download and an upload need."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_HEAD(self) -> None:  # the library's name
        self.do_GET()

    def do_GET(self) -> None:  # the library's name
        path = self.noted()
        if found := re.fullmatch(rf"/{NAME}/resolve/([^/]+)/(.+)", path):
            commit, name = self.hub.newest if found[1] == "main" else found[1], found[2]
            files = self.hub.commits.get(commit)
            if files is None:
                return self.answer(404, error="RevisionNotFound")
            if name not in files:
                return self.answer(404, error="EntryNotFound", commit=commit)
            return self.answer(200, files[name], commit=commit, etag=hashlib.sha256(files[name]).hexdigest())
        if found := re.fullmatch(rf"/api/models/{NAME}(?:/revision/([^/]+))?", path):
            commit = self.hub.newest if found[1] in (None, "main") else found[1]
            if not self.hub.commits and self.hub.private is None:
                return self.answer(404, error="RepoNotFound")
            if found[1] and commit not in self.hub.commits:
                return self.answer(404, error="RevisionNotFound")
            return self.answer(200, json.dumps(self.hub.info(commit)).encode())
        if re.fullmatch(rf"/api/models/{NAME}/tree/.*", path):
            files = self.hub.commits.get(self.hub.newest, {})
            tree = [{"type": "file", "path": name, "size": len(data), "oid": "0"} for name, data in files.items()]
            return self.answer(200, json.dumps(tree).encode())
        return self.answer(404, error="RepoNotFound")

    def do_POST(self) -> None:  # the library's name
        path = self.noted()
        body = self.body()
        if path == "/api/repos/create":
            if self.hub.private is None:
                asked = json.loads(body)  # older versions of the library say `private`
                self.hub.private = asked.get("private", asked.get("visibility") == "private")
            return self.answer(200, json.dumps({"url": f"http://127.0.0.1/{NAME}", "id": "1"}).encode())
        if path == f"/api/models/{NAME}/preupload/main":
            files = [one["path"] for one in json.loads(body)["files"]]
            kept = [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in files]
            return self.answer(200, json.dumps({"files": kept}).encode())
        if path == f"/api/models/{NAME}/commit/main":
            entries = [json.loads(line) for line in body.splitlines()]
            new = {
                one["value"]["path"]: base64.b64decode(one["value"]["content"])
                for one in entries if one["key"] == "file"
            }  # fmt: skip
            commit = self.hub.commit({**self.hub.commits.get(self.hub.newest, {}), **new})
            url = f"http://127.0.0.1/{NAME}/commit/{commit}"
            return self.answer(200, json.dumps({"success": True, "commitOid": commit, "commitUrl": url}).encode())
        return self.answer(200, b"{}")  # such as a check of the card's head

    def body(self) -> bytes:
        """Sent as a whole, or in pieces with the length of each before it."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while length := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(length))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def noted(self) -> str:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        self.hub.tokens.add(self.headers.get("Authorization") or "")
        return path

    def answer(self, code: int, content: bytes = b"", *, error: str = "", commit: str = "", etag: str = "") -> None:
        self.send_response(code)
        named = {"X-Error-Code": error, "X-Repo-Commit": commit, "ETag": f'"{etag}"' if etag else ""}
        for name, value in named.items():
            if value:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """As HF_ENDPOINT and HF_HOME have it, which are read when the library is imported."""
    made = Hub()
    handler = type("Mine", (Answer,), {"hub": made})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "a-token")
    yield made
    server.shutdown()
    server.server_close()


TEST = Report(
    n=100,
    n_malignant=40,
    roc_auc=Interval(0.91234, 0.88, 0.94),
    points=(PointReport("sensitive", 0.2, sensitivity=Interval(0.95, 0.9, 0.98), specificity=Interval(0.6, 0.5, 0.7)),),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    place = tmp_path_factory.mktemp("runs") / "mine"
    metrics = Metrics(test=TEST, test_by_source={"a-clinic": TEST}, validation_by_source={"b-clinic": TEST})
    points = (OperatingPoint("balanced", 0.5), OperatingPoint("sensitive", 0.2))
    meta = Checkpoint("mobilenet_v3_small", PreprocessSpec(image_size=64), 1.0, points, 0.9, metrics=metrics)
    save_checkpoint(place, build_model("mobilenet_v3_small").eval(), meta)
    (place / "split.csv").write_text("file,patient\nMustermann.jpg,4711\n", encoding="utf-8")
    (place / "model.pt").write_bytes(b"a pickle")
    return place


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_what_is_pushed_is_what_is_loaded(
    hub: Hub, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["push", NAME, "--checkpoint", str(folder)]) == 0
    said = capsys.readouterr().out
    assert hub.private is True
    assert set(hub.commits[hub.newest]) == {"README.md", "checkpoint.json", "model.safetensors"}
    assert "for the private model clinic/lesions" in said
    assert "There is no LICENSE.md beside the run's folder" in said
    assert f"lesion_demo.load('clinic/lesions', revision='{hub.newest}')" in said
    assert "a-token" not in said
    assert hub.tokens == {"Bearer a-token"}

    picture = render_phantom(5, malignant=True, size=96)
    there = lesion_demo.load(NAME, revision=hub.newest)
    assert there.folder.is_relative_to(tmp_path / "cache")
    assert there.analyze(picture).probability == lesion_demo.load(folder).analyze(picture).probability


def test_a_commit_is_fetched_once_and_nothing_else_of_it(hub: Hub, folder: Path) -> None:
    commit = hub.commit(files_of(folder))
    lesion_demo.load(NAME, revision=commit)
    fetched = {line.rpartition("/")[2] for line in hub.asked if "/resolve/" in line}
    assert fetched == {"checkpoint.json", "model.safetensors"}  # no pickle, no split.csv
    hub.asked.clear()
    lesion_demo.load(NAME, revision=commit)
    assert hub.asked == []


def test_a_branch_is_one_commit_and_it_is_said_which(hub: Hub, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = hub.commit(files_of(folder))
    model = lesion_demo.load(NAME, revision="main")
    assert f"clinic/lesions at main is the commit {first}" in caplog.text
    assert caplog.records[0].levelno == logging.WARNING  # seen in a program without any setting
    assert first in model.folder.parts
    second = hub.commit({**files_of(folder), "README.md": b"newer"})
    assert second in lesion_demo.load(NAME, revision="main").folder.parts
    assert first in lesion_demo.load(NAME, revision=first).folder.parts


def test_what_is_not_whole_is_refused(hub: Hub, folder: Path) -> None:
    files = files_of(folder)
    other = hub.commit({**files, "model.safetensors": files["model.safetensors"][:-1] + b"x"})
    with pytest.raises(CheckpointError, match=r"is not the file that checkpoint\.json describes"):
        lesion_demo.load(NAME, revision=other)
    known = json.loads(files["checkpoint.json"]) | {"known_sha256": "0" * 64}
    lacking = hub.commit({**files, "checkpoint.json": json.dumps(known).encode()})
    with pytest.raises(CheckpointError, match=f"holds no checkpoint of this project at the commit {lacking}"):
        lesion_demo.load(NAME, revision=lacking)
    pickle = hub.commit({"pytorch_model.bin": b"a pickle"})
    with pytest.raises(CheckpointError, match="holds no checkpoint of this project"):
        lesion_demo.load(NAME, revision=pickle)
    assert not [line for line in hub.asked if line.endswith(".bin")]


@pytest.mark.parametrize(
    ("name", "revision", "said"),
    [
        (NAME, "none", "clinic/lesions could not be fetched from the Hub at the revision none"),
        ("clinic/other", "main", "clinic/other could not be fetched"),
        ("clinic/other", "0" * 40, "clinic/other could not be fetched"),
        ("lesions", "main", "give owner and name"),
    ],
)
def test_what_cannot_be_fetched_is_one_sentence(hub: Hub, folder: Path, name: str, revision: str, said: str) -> None:
    hub.commit(files_of(folder))
    with pytest.raises(CheckpointError, match=said) as caught:
        lesion_demo.load(name, revision=revision)
    assert "\n" not in str(caught.value)


def test_without_a_network_it_is_one_sentence(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(CheckpointError, match="could not be fetched from the Hub"):
        lesion_demo.load(NAME, revision="main")


def test_without_a_revision_nobody_is_asked(hub: Hub) -> None:
    with pytest.raises(CheckpointError, match=r"give a revision: load\('clinic/lesions', revision='main'\)"):
        lesion_demo.load(NAME)
    assert hub.asked == []


def test_a_dry_run_uploads_nothing(hub: Hub, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["push", NAME, "--checkpoint", str(folder), "--dry-run"]) == 0
    assert capsys.readouterr().out.endswith("A dry run: nothing was uploaded.\n")
    assert hub.asked == []


def test_a_model_that_is_public_already_gets_nothing_unless_it_is_to_be_public(
    hub: Hub, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.private = False
    assert main(["push", NAME, "--checkpoint", str(folder)]) == 1
    assert "The model clinic/lesions is already public" in capsys.readouterr().err
    assert hub.commits == {}
    assert main(["push", NAME, "--checkpoint", str(folder), "--public"]) == 0


def test_the_card_gives_the_hub_the_files_own_figures(folder: Path) -> None:
    _, text, _ = card_head(read_facts(folder)).split("---\n")
    (index,) = yaml.safe_load(text)["model-index"]
    (result,) = index["results"]  # validation, on which choices were made, is none
    assert index["name"] == "mine"
    assert result["dataset"]["type"] == "a-clinic"
    assert result["dataset"]["split"] == "test"
    found = {one["name"]: (one["type"], one["value"], one["args"]["interval_95"]) for one in result["metrics"]}
    at = "at the operating point sensitive, threshold 0.2000"
    assert found == {
        "ROC-AUC": ("roc_auc", 0.9123, [0.88, 0.94]),
        f"Sensitivity {at}": ("recall", 0.95, [0.9, 0.98]),
        f"Specificity {at}": ("specificity", 0.6, [0.5, 0.7]),
    }


def test_the_shipped_checkpoint_comes_with_its_terms_and_its_committed_figures(shipped: LoadedCheckpoint) -> None:
    files = {file.place: file for file in model_files(shipped.folder)}
    assert {"LICENSE.md", "checkpoint.json", "metrics.json", "model.safetensors", "plots/roc.png"} <= set(files)
    assert "split.csv" not in files
    card = files["README.md"].source
    assert isinstance(card, bytes)
    head = yaml.safe_load(card.decode().split("---\n")[1])
    assert head["license_link"] == "LICENSE.md"
    committed = json.loads((PROJECT / "checkpoints" / shipped.folder.name / "metrics.json").read_text(encoding="utf-8"))
    values = {one["value"] for result in head["model-index"][0]["results"] for one in result["metrics"]}
    assert round(committed["test"]["roc_auc"]["value"], 4) in values
    assert card.decode().split("---\n", 2)[2].lstrip().startswith("# Model card")


def test_a_folder_of_that_name_comes_first(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(folder, tmp_path / "clinic" / "lesions")
    monkeypatch.chdir(tmp_path)
    assert lesion_demo.load(NAME).folder == Path(NAME)
