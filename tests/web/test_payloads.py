"""No request is answered about a file of the server's that was not uploaded, and none runs the network unqueued."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest
from app_site import Site
from gradio.blocks import BlocksConfig
from gradio.state_holder import SessionState
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from lesion_demo.images.phantom import render_phantom
from lesion_demo.texts import load_texts
from lesion_demo.web.page import EXAMPLES
from lesion_demo.web.payloads import GuardedBlocks, is_ours, named_files

SENTENCE = load_texts("en").server.not_ours
META = {"meta": {"_type": "gradio.FileData"}}
JOIN, DATA = "/gradio_api/queue/join", "/gradio_api/queue/data"


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that lies on the server's disk, and was not uploaded."""
    path = tmp_path_factory.mktemp("elsewhere") / "patient.png"
    Image.fromarray(render_phantom(3, malignant=True, size=160)).save(path)
    return path


@pytest.fixture(autouse=True)
def _count_anew(site: Site) -> None:
    site.analyzer.asked = 0


@pytest.fixture
def linked(english: Site, picture: Path) -> Iterator[Path]:
    """A link among the uploads that leads to it."""
    link = english.uploads / "link.png"
    link.symlink_to(picture)
    yield link
    link.unlink()


@pytest.fixture
def uploaded(english: Site, picture: Path) -> Path:
    with picture.open("rb") as content:
        answer = httpx.post(f"{english.address}/gradio_api/upload", files={"files": (picture.name, content)})
    return Path(answer.json()[0])


def shapes(path: Path | str) -> list[Any]:
    """How a component may be told of a file: alone, in a list, in a gallery, in a slider; as a file, or as if not."""
    bare = {"path": str(path)}
    return [
        *(bare, {**bare, **META}, {**bare, "meta": None}, {**bare, "url": "data:,", "orig_name": "a.png"}),
        *([bare], [{**bare, **META}], [{"image": bare, "caption": None}], [{"video": {**bare, **META}}], [None, bare]),
    ]


def calls(site: Site, file: dict[str, Any] | None) -> Iterator[tuple[dict[str, Any], list[Any]]]:
    """Each function that runs on the server, with its inputs as the page has them, and `file` where one belongs."""
    page = httpx.get(f"{site.address}/config").json()
    components = {one["id"]: one for one in page["components"]}
    forms = {"image": file, "file": file and [file], "state": None}
    for function in page["dependencies"]:
        if function["backend_fn"]:
            inputs = [components[one] for one in function["inputs"]]
            yield function, [forms.get(one["type"], one["props"].get("value")) for one in inputs]


def takes(inputs: list[Any], file: dict[str, Any]) -> bool:
    return file in inputs or [file] in inputs


def outcome(site: Site, function: int, data: list[Any], event_data: Any = None) -> str:
    """What the queue says of a call in the end: its error, or nothing."""
    session = os.urandom(8).hex()
    body = {"fn_index": function, "data": data, "session_hash": session, "event_data": event_data}
    with httpx.Client(base_url=site.address, timeout=60) as client:
        joined = client.post(JOIN, json=body)
        assert joined.status_code == 200, joined.text
        with client.stream("GET", DATA, params={"session_hash": session}) as answer:
            for line in answer.iter_lines():
                message = json.loads(line.removeprefix("data: ")) if line else {}
                if message.get("msg") == "process_completed":
                    return "" if message["success"] else str(message["output"].get("error"))
    raise AssertionError("the queue said nothing")


def test_only_regular_files_among_uploads_and_examples_are_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, picture: Path
) -> None:
    uploads, neighbour = tmp_path / "uploads", tmp_path / "uploads-of-another"
    for folder in (uploads, neighbour):
        folder.mkdir()
        shutil.copy(picture, folder / "a.png")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(uploads))
    os.mkfifo(uploads / "pipe")
    (uploads / "link").symlink_to(picture)
    (uploads / "loop").symlink_to(uploads / "loop")
    (uploads / "way").symlink_to(picture.parent)
    (tmp_path / "same").symlink_to(uploads)
    example = next(EXAMPLES.glob("*.jpg"))
    for path in (uploads / "a.png", tmp_path / "same" / "a.png", example):
        assert is_ours(str(path), [EXAMPLES]), path
    foreign = [
        *(picture, neighbour / "a.png", uploads / "pipe", uploads / "link", uploads / "loop", uploads / "none.png"),
        *(uploads, uploads / "way" / picture.name, f"{uploads}/../uploads-of-another/a.png", f"{uploads}/a.png\0", ""),
        *("/dev/zero", "/dev/stdin", "/proc/self/environ", "http://127.0.0.1/a.png", "file:///etc/passwd", "~/a.png"),
        *(f"{uploads}/{'a' * 5000}", f"{uploads}/\ud800.png", "a.png"),
    ]
    assert [path for path in foreign if is_ours(str(path), [EXAMPLES])] == []
    assert not any(is_ours(path) for path in (None, 3, [str(uploads / "a.png")], {"path": "a.png"}))


def test_files_are_found_however_deep() -> None:
    assert list(named_files([{"a": [{"path": "x", "b": {"path": 3}}]}, ({"path": None},), "path"])) == ["x", 3]


def test_no_component_of_no_function_takes_a_file_that_was_not_uploaded(
    site: Site, picture: Path, linked: Path
) -> None:
    """At each input of each function by itself, so that none can be forgotten; and in what an event says of itself."""

    async def call(function: Any, inputs: list[Any], event_data: Any = None) -> str:
        event = None if event_data is None else gr.EventData(None, event_data)
        try:
            await site.app.process_api(function, inputs, event_data=event, event_id="1")
        except gr.Error as error:
            return error.message
        return "answered"

    async def said() -> set[tuple[int, int, str]]:
        found = set()
        for path in (picture, linked, picture.parent, "/nonexistent"):
            for payload in shapes(path):
                for number, function in site.app.fns.items():
                    empty: list[Any] = [None] * len(function.inputs)
                    for index in range(len(empty)):
                        inputs = [*empty[:index], payload, *empty[index + 1 :]]
                        found.add((number, index, await call(function, inputs)))
                    found.add((number, -1, await call(function, empty, {"index": 0, "value": payload})))
        return found

    answers = asyncio.run(said())
    assert {(number, index) for number, index, _ in answers} >= {(number, -1) for number in site.app.fns}
    assert {sentence for *_, sentence in answers} == {SENTENCE}
    assert site.analyzer.asked == 0


def test_the_answer_is_the_same_whether_the_file_exists(site: Site, picture: Path, linked: Path) -> None:
    """Over the network, for each function that takes files."""
    answers = []
    for path in (picture, linked, picture.parent / "none.png"):
        for file in ({"path": str(path)}, {"path": str(path), **META}):
            answers += [
                outcome(site, function["id"], inputs) for function, inputs in calls(site, file) if takes(inputs, file)
            ]
    assert len(answers) >= 4 * 6
    assert set(answers) == {SENTENCE}
    assert site.analyzer.asked == 0


def test_uploads_and_examples_are_analysed(site: Site, uploaded: Path) -> None:
    client = Client(site.address, verbose=False)
    named = {function["api_name"]: function["id"] for function, _ in calls(site, None)}
    rest = ["sensitive", True, 0.02]
    assert outcome(site, named["analyze"], [{"path": str(uploaded)}, *rest]) == ""
    assert outcome(site, named["analyze"], [{"path": str(next(EXAMPLES.glob("*.jpg")))}, *rest]) == ""
    assert outcome(site, named["analyze_batch"], [[{"path": str(uploaded), **META}] * 2, "sensitive"]) == ""
    assert site.analyzer.asked == 4
    with pytest.raises(AppError, match="not among the uploads"):
        client.predict({"path": "http://127.0.0.1/a.png", **META}, api_name="/analyze")
    findings, overlay = client.predict(handle_file(uploaded), api_name="/analyze")
    assert findings["verdict"] == "benign"
    assert Path(overlay).is_file()


def test_files_that_may_be_fetched_are_those_that_may_be_named(
    site: Site, picture: Path, linked: Path, uploaded: Path
) -> None:
    def fetch(path: Path | str) -> httpx.Response:
        return httpx.get(f"{site.address}/gradio_api/file={path}")

    assert fetch(uploaded).content == picture.read_bytes()
    assert fetch(next(EXAMPLES.glob("*.jpg"))).status_code == 200
    closed = (
        picture,
        linked,
        picture.parent,
        "/etc/passwd",
        "/nonexistent",
        "http://127.0.0.1/",
        "https://x.example/a",
    )
    assert {(fetch(path).status_code, fetch(path).text) for path in closed} == {(404, "Not Found")}


def test_nothing_is_analysed_outside_of_the_queue(site: Site, uploaded: Path) -> None:
    """`/run` calls a function at once, however many others are at work."""
    file = {"path": str(uploaded), **META}
    with httpx.Client(base_url=site.address) as client:
        for function, inputs in [*calls(site, file), *calls(site, None)]:
            body = {"fn_index": function["id"], "data": inputs, "event_data": {"index": 0}}
            for name in {function["api_name"], "show_1"}:
                answer = client.post(f"/gradio_api/run/{name}", json=body)
                assert answer.status_code >= 400 or not takes(inputs, file), function
    assert site.analyzer.asked == 0


def test_a_session_starts_without_a_description_of_every_component(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gradio makes one for each new client and reads it nowhere; the page itself is described as ever."""
    with GuardedBlocks(tmp_path, "no", "no", analytics_enabled=False) as app:
        box = gr.Textbox("as it was")
        gr.Button().click(lambda text: text, box, box, api_name="echo")
    described: list[int] = []
    plain = BlocksConfig.config_for_block

    def counted(number: int, *args: Any) -> dict[str, Any]:
        described.append(number)
        return plain(number, *args)

    monkeypatch.setattr(BlocksConfig, "config_for_block", staticmethod(counted))
    session = SessionState(app)
    session._update_value_in_config(box._id, "as it is")  # as at every event
    assert described == []
    assert session.blocks_config.blocks == app.blocks
    assert session.blocks_config.fns == app.fns
    assert "as it was" in str(app.get_config_file()["components"])
    assert described
