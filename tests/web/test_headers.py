"""What the server tells the browser to refuse, and what it keeps to itself: paths, and whatever was typed in."""

from __future__ import annotations

import asyncio
import errno
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from app_site import Site
from conftest import PROJECT
from server_calls import JOIN, UPLOAD, asked
from starlette.responses import PlainTextResponse

from lesion_demo.texts import load_texts
from lesion_demo.web.access import Access
from lesion_demo.web.headers import SecurityHeaders
from lesion_demo.web.page import EXAMPLES

CASE = "CASE-4711"
WORDS = load_texts("en").server


def headers(path: str, embedders: tuple[str, ...] = (), **own: str) -> dict[str, str]:
    """Those of an answer to a request for `path` that has some of its `own`."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    answer = SecurityHeaders(
        PlainTextResponse("x", headers={k.replace("_", "-"): v for k, v in own.items()}), embedders
    )
    asyncio.run(answer({"type": "http", "method": "GET", "path": path, "headers": []}, None, send))  # type: ignore[arg-type]
    return {name.decode(): value.decode() for name, value in sent[0]["headers"]}


def directives(policy: str) -> dict[str, str]:
    return dict(part.strip().split(" ", 1) for part in policy.split(";"))


@pytest.mark.parametrize("path", ["/", "/config", "/de", "/gradio_api/file=/a.png", "/gradio_api/queue/data", JOIN])
def test_pictures_and_results_are_kept_by_no_browser(path: str) -> None:
    assert headers(path, cache_control="private, max-age=31536000")["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/assets/a.js", "/static/img/a.svg", "/theme.css", "/gradio_api/theme.css"])
def test_the_page_s_own_parts_may_be_kept(path: str) -> None:
    assert headers(path, cache_control="max-age=1")["cache-control"] == "max-age=1"


def test_a_space_may_be_shown_in_a_frame_and_nothing_else() -> None:
    on_space = Access.create("0.0.0.0", (), (), {"SPACE_ID": "a/b", "SPACE_HOST": "a-b.hf.space"})
    here = Access.create("0.0.0.0", (), (), {})
    for access, ancestors in ((here, "'self'"), (on_space, "'self' https://huggingface.co https://*.huggingface.co")):
        policy = headers("/", access.embedders)["content-security-policy"]
        assert directives(policy)["frame-ancestors"] == ancestors


def test_every_answer_has_them(site: Site) -> None:
    with httpx.Client(base_url=site.address) as client:
        picture = client.post(UPLOAD, files={"files": ("a.jpg", next(EXAMPLES.glob("*.jpg")).read_bytes())})
        asset = re.search(r"\./(assets/[\w-]+\.js)", client.get("/").text)
        assert asset is not None
        answers = [
            *(client.get(path) for path in ("/", "/de", "/config", "/theme.css", "/nothing", f"/{asset[1]}")),
            client.get("/", headers={"Host": "evil.example"}),
            client.get(f"/gradio_api/file={picture.json()[0]}"),
            client.post(JOIN, content=b"{"),
            picture,
        ]
    assert {answer.status_code for answer in answers} >= {200, 404, 421, 422}
    for answer in answers:
        policy = directives(answer.headers["content-security-policy"])
        assert (
            policy["default-src"]
            == policy["base-uri"]
            == policy["form-action"]
            == policy["frame-ancestors"]
            == "'self'"
        )
        assert policy["object-src"] == policy["frame-src"] == "'none'"
        assert "http" not in answer.headers["content-security-policy"], "no other host"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert "camera=(self)" in answer.headers["permissions-policy"]
        assert "microphone=()" in answer.headers["permissions-policy"]
        kept = "/assets/" in answer.url.path or answer.url.path == "/theme.css"
        assert (answer.headers.get("cache-control") == "no-store") is not kept, answer.url
    assert answers[5].headers["content-type"].startswith(("text/javascript", "application/javascript"))


def test_nothing_that_was_typed_in_comes_into_the_log(
    site: Site, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too few values, of the wrong type, for no function; and a failure that nobody foresaw."""
    uploads: set[str] = set()

    def fail(*args: Any) -> Any:
        raise KeyError(CASE)

    with httpx.Client(base_url=site.address, timeout=60) as client:
        functions = client.get("/config").json()["dependencies"]
        named = {one["api_name"]: one["id"] for one in functions}
        content = next(EXAMPLES.glob("*.jpg")).read_bytes()
        path = client.post(UPLOAD, files={"files": (f"{CASE}.jpg", content)}).json()[0]
        picture = {"path": path, "meta": {"_type": "gradio.FileData"}}
        said = [asked(client, one["id"], [CASE]) for one in functions if len(one["inputs"]) > 2][:8]
        said += [asked(client, one["id"], [CASE], "/gradio_api/run/x") for one in functions if len(one["inputs"]) > 2][
            :4
        ]
        said += [
            asked(client, named["analyze"], data)
            for data in ({CASE: CASE}, CASE, [picture, CASE, True, 0.1], [picture, "sensitive", CASE, CASE])
        ]
        said.append(asked(client, 99999, [CASE]))
        said.append(client.post(JOIN, content=f'{{"data": ["{CASE}').text)
        said.append(client.post(UPLOAD, content=CASE).text)
        said.append(client.post("/gradio_api/cancel", json={"session_hash": CASE, "fn_index": CASE}).text)
        monkeypatch.setattr(site.analyzer, "analyze", fail)
        failed = asked(client, named["analyze"], [picture, "sensitive", True, 0.1])
    printed = "".join(capfd.readouterr()) + caplog.text
    assert CASE not in printed
    assert "KeyError" in printed, "what failed is told, and where"
    assert "test_headers.py" in printed
    assert WORDS.failed in failed
    places = {str(PROJECT), str(Path(httpx.__file__).parent.parent), *uploads}
    for text in (*said, failed):
        assert not any(place in text for place in places), text


def test_the_page_names_no_place_on_the_server_but_that_of_uploads(site: Site) -> None:
    with httpx.Client(base_url=site.address) as client:
        told = "".join(client.get(path).text for path in ("/", "/de", "/config", "/gradio_api/info"))
    named = set(re.findall(r'"(/[^"\\]+/[^"\\]+)"', told))
    places = {name for name in named if Path(name).parent.exists()}
    assert places, "the examples lie among the uploads"
    assert {name for name in places if not Path(name).is_relative_to(site.uploads)} == set()


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (OSError(errno.ENOSPC, CASE, f"/srv/{CASE}"), 507, WORDS.disk_full),
        (OSError(errno.EIO, CASE, f"/srv/{CASE}"), 500, WORDS.failed),
        (ValueError(CASE), 500, WORDS.failed),
    ],
)
def test_an_upload_that_fails_is_told_in_a_sentence(
    site: Site, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture,
    error: Exception, status: int, said: str,
) -> None:  # fmt: skip
    def fail(*_: Any) -> Any:
        raise error

    monkeypatch.setattr("gradio.route_utils.GradioMultiPartParser.parse", fail)
    answer = httpx.post(f"{site.address}{UPLOAD}", files={"files": (f"{CASE}.png", b"x")})
    assert (answer.status_code, answer.json()["detail"]) == (status, said)
    printed = "".join(capfd.readouterr()) + caplog.text
    assert CASE not in printed
    assert type(error).__name__ in printed


def test_null_is_no_value(site: Site) -> None:
    with httpx.Client(base_url=site.address, timeout=60) as client:
        named = {one["api_name"]: one["id"] for one in client.get("/config").json()["dependencies"]}
        path = client.post(UPLOAD, files={"files": ("a.jpg", next(EXAMPLES.glob("*.jpg")).read_bytes())}).json()[0]
        values = [{"path": path, "meta": {"_type": "gradio.FileData"}}, "sensitive", True, 0.1]
        for place in (1, 2, 3):
            data = [None if number == place else value for number, value in enumerate(values)]
            assert "null is none" in asked(client, named["analyze"], data)
        assert '"success":true' in asked(client, named["analyze"], values)
