"""The gate before the page: its names, its routes, and how much one client may have under way."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from app_site import Site
from starlette.routing import Route

from lesion_demo.errors import ImageError, LesionDemoError
from lesion_demo.texts import languages, load_texts
from lesion_demo.web.access import LOCAL, Access
from lesion_demo.web.guard import JOBS, JSON_BYTES, OPEN_REQUESTS, Gate
from lesion_demo.web.page import EXAMPLES
from lesion_demo.web.places import QUEUE

TEXTS = load_texts("en")
WORDS = TEXTS.server
JOIN, RUN = "/gradio_api/queue/join", "/gradio_api/run/judge"
CLOSED = {
    "api/*", "call/*", "call/*/*", "call/v2/*", "call/v2/*/*", "component_server", "custom_component/*/*/*/*",
    "deep_link", "dev/reload", "file/*", "login_check", "openapi.json", "process_recording", "proxy=*", "queue/status",
    "runs", "stream/*", "stream/*/*/*/*.*", "stream/*/*/*/playlist-file", "stream/*/*/*/playlist.m3u8",
    "stream/*/close", "token", "undo-vibe-edit", "user", "vibe-code", "vibe-edit", "vibe-starter-queries",
    "/login", "/logout", "/openapi.json", "/monitoring", "/monitoring/*", "/monitoring/summary", "/pwa_icon",
    "/pwa_icon/*",
}  # fmt: skip
OPEN = {
    "app_id", "cancel", "file=*", "heartbeat/*", "info", "queue/data", "queue/join", "reset", "run/*", "startup-events",
    "theme.css", "upload", "upload_progress", "/", "/assets/*", "/config", "/favicon.ico", "/manifest.json",
    "/robots.txt", "/static/*", "/svelte/*", "/theme.css",
}  # fmt: skip


def created(host: str, *allowed: str, proxies: tuple[str, ...] = (), **environment: str) -> Access:
    return Access.create(host, allowed, proxies, environment)


@pytest.mark.parametrize(
    ("access", "names", "foreign"),
    [
        (created("127.0.0.1"), {"localhost", "LOCALHOST:7860", "127.0.0.1:1", "127.3.2.1", "[::1]:7860", "::1"},
         {"", "evil.example", "evil.example:7860", "localhost.evil.example", "127.0.0.1.evil.example", "192.168.1.5",
          "localhost@evil.example", "evil.example#localhost", "0.0.0.0", "[::2]", "[::1", "xlocalhost"}),
        (created("192.168.1.5"), {"192.168.1.5:80", "localhost"}, {"192.168.1.6", "evil.example"}),
        (created("lesions.clinic.example"), {"Lesions.Clinic.Example.:7860"}, {"clinic.example"}),
        (created("127.0.0.1", "Demo.Clinic.Example:443"), {"demo.clinic.example", "demo.clinic.example:8443"},
         {"clinic.example", "evil.example"}),
        (created("0.0.0.0"), {"192.168.1.5:7860", "172.17.0.2", "[fe80::1]:7860", "0.0.0.0:7860", "localhost"},
         {"evil.example", "192.168.1.5.nip.example", ""}),
        (created("127.0.0.1", SPACE_HOST="a.hf.space"), set(), {"a.hf.space"}),
        (created("127.0.0.1", SPACE_ID="a/b", SPACE_HOST="A-b.hf.space"), {"a-b.hf.space"}, {"c.hf.space", ""}),
    ],
)  # fmt: skip
def test_names_that_are_answered_to(access: Access, names: set[str], foreign: set[str]) -> None:
    assert {name for name in names if not access.answers_to(name)} == set()
    assert {name for name in foreign if access.answers_to(name)} == set()


def test_own_name_is_answered_to_where_all_addresses_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "Ward-3")
    assert all(created("0.0.0.0").answers_to(name) for name in ("ward-3:7860", "WARD-3.local"))
    assert not created("127.0.0.1").answers_to("ward-3")


def test_what_is_no_name_and_no_address_is_refused() -> None:
    for create in (lambda: created("127.0.0.1", "http://a.example/"), lambda: created("127.0.0.1", "")):
        with pytest.raises(LesionDemoError, match="not a host name"):
            create()
    with pytest.raises(LesionDemoError, match="“proxy” is not an address"):
        created("127.0.0.1", proxies=("proxy",))


def test_client_is_whom_trusted_proxies_name() -> None:
    access = created("127.0.0.1", proxies=("10.0.0.5", "10.1.0.0/16"))
    assert access.client("8.8.8.8", ["1.1.1.1"]) == "8.8.8.8"
    assert access.client("10.0.0.5", ["6.6.6.6", "1.1.1.1:443"]) == "1.1.1.1"  # the first is what the client claimed
    assert access.client("10.0.0.5", ["1.1.1.1", "10.1.2.3"]) == "1.1.1.1"
    assert access.client("10.0.0.5", []) == access.client("10.0.0.5", ["10.0.0.5"]) == "10.0.0.5"
    assert access.client("::ffff:10.0.0.5", ["[2001:db8::7]:1"]) == "2001:db8::/64"
    assert access.client("2001:db8::1", []) == access.client("2001:db8::2", [])
    assert created("0.0.0.0", SPACE_ID="a/b").client("10.20.30.40", ["6.6.6.6", "1.1.1.1"]) == "1.1.1.1"


def scope_of(peer: str, headers: dict[str, str], path: str = "/", method: str = "GET") -> dict[str, Any]:
    raw = [(name.encode(), value.encode()) for name, value in {"host": "localhost", **headers}.items()]
    queue = SimpleNamespace(event_queue_per_concurrency_id={}, active_jobs=[])
    app = SimpleNamespace(get_blocks=lambda: SimpleNamespace(_queue=queue))
    return {"type": "http", "method": method, "path": path, "headers": raw, "client": (peer, 5), "app": app}


class Behind:
    """What the gate lets through, which stays there until `done`."""

    def __init__(self, access: Access) -> None:
        self.gate = Gate(self, access, [], TEXTS)
        self.seen: list[dict[str, Any]] = []
        self.bytes = 0
        self.done = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.seen.append(scope)
        while (message := await receive())["type"] == "http.request" and message["more_body"]:
            self.bytes += len(message["body"])
        await self.done.wait()

    async def status(self, scope: dict[str, Any], chunks: int = 0) -> int:
        """What is answered to a request with as many kilobytes in its body; 0 where it waits."""
        sent: list[Any] = []
        left = iter(range(chunks))

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"x" * 1000, "more_body": next(left, None) is not None}

        async def send(message: Any) -> None:
            sent.append(message)

        answering = asyncio.ensure_future(self.gate(scope, receive, send))
        await asyncio.wait([answering], timeout=0.01 + chunks / 1000)
        return sent[0]["status"] if sent else 0


def test_forwarded_headers_of_strangers_reach_nobody() -> None:
    """Gradio writes the addresses in the page after X-Forwarded-Host, whoever sent it."""
    claims = {"x-forwarded-for": "1.1.1.1", "x-forwarded-host": "evil.example", "x-forwarded-proto": "https"}
    claims |= {"forwarded": "for=1.1.1.1", "x-gradio-server": "http://evil.example"}

    async def passed(peer: str, **more: str) -> tuple[str, set[str]]:
        behind = Behind(created("127.0.0.1", "demo.example", proxies=("10.0.0.5",)))
        await behind.status(scope_of(peer, {**claims, **more}))
        return behind.seen[0]["client"][0], {name.decode() for name, _ in behind.seen[0]["headers"]}

    assert asyncio.run(passed("8.8.8.8")) == ("8.8.8.8", {"host"})
    client, headers = asyncio.run(passed("10.0.0.5"))
    assert client == "1.1.1.1"
    assert headers == {"host", "x-forwarded-for", "x-forwarded-proto", "forwarded"}
    assert "x-forwarded-host" in asyncio.run(passed("10.0.0.5", **{"x-forwarded-host": "demo.example"}))[1]


def test_one_client_never_takes_all_places() -> None:
    """Ever so many at once, before any of them has come to the queue; and requests that never end."""

    async def statuses(path: str, method: str, number: int, access: Access = LOCAL, **headers: str) -> list[int]:
        behind = Behind(access)
        scopes = [scope_of("127.0.0.1", headers, path, method) for _ in range(number)]
        answers = await asyncio.gather(*map(behind.status, scopes))
        assert await behind.status(scope_of("127.0.0.2", {}, path, method)) == 0
        behind.done.set()
        await asyncio.sleep(0.05)
        assert await behind.status(scope_of("127.0.0.1", headers, path, method)) == 0  # its places are free again
        return list(answers)

    for path in (JOIN, RUN):
        assert asyncio.run(statuses(path, "POST", 40)) == [0] * JOBS + [429] * (40 - JOBS)
    waiting = asyncio.run(statuses("/gradio_api/queue/data", "GET", OPEN_REQUESTS + 20))
    assert waiting == [0] * OPEN_REQUESTS + [429] * 20


def test_only_a_trusted_proxy_tells_clients_apart() -> None:
    async def statuses(access: Access) -> list[int]:
        behind = Behind(access)
        scopes = [scope_of("127.0.0.1", {"x-forwarded-for": f"1.1.1.{n}"}, JOIN, "POST") for n in range(JOBS + 5)]
        return list(await asyncio.gather(*map(behind.status, scopes)))

    assert asyncio.run(statuses(LOCAL))[JOBS:] == [429] * 5
    assert set(asyncio.run(statuses(created("127.0.0.1", proxies=("127.0.0.1",))))) == {0}


def test_no_request_is_read_into_memory_without_end() -> None:
    async def read(path: str, **headers: str) -> tuple[int, int]:
        behind = Behind(LOCAL)
        behind.done.set()
        return await behind.status(scope_of("127.0.0.1", headers, path, "POST"), 2 * JSON_BYTES // 1000), behind.bytes

    assert asyncio.run(read(JOIN, **{"content-length": str(2 * JSON_BYTES)})) == (413, 0)
    assert asyncio.run(read(JOIN)) == (0, JSON_BYTES)
    assert asyncio.run(read("/gradio_api/upload"))[1] == 2 * JSON_BYTES


def test_pages_are_open_in_the_languages_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lesion_demo.web.guard.languages", lambda: ["en", "de", "pt-br"])
    gate = Gate(Behind(created("127.0.0.1")), created("127.0.0.1"), [], TEXTS)
    paths = {"/", "/en", "/de", "/pt-br", "/fr", "/xx", "/d", "/de/", "/de/x"}
    assert {path for path in paths if gate._is_open("GET", path)} == {"/", "/en", "/de", "/pt-br"}


def test_every_route_is_known_and_only_what_is_needed_is_open(site: Site) -> None:
    """A newer Gradio's new route comes out here, and is closed until somebody opens it."""

    def plain(path: str) -> str:
        return re.sub(r"{[^}]*}", "*", path).rstrip("/").removeprefix("/gradio_api/") or "/"

    def below(routes: Iterable[Any]) -> Iterator[Route]:
        for one in routes:
            router = getattr(one, "original_router", None)  # newer versions of FastAPI keep an included router whole
            yield from [one] if router is None else below(router.routes)

    routes = list(below(site.app.server_app.routes))
    pages = {f"/{code}" for code in languages()[1:]}  # beside the one at `/`
    assert {plain(one.path) for one in routes} == OPEN | CLOSED | pages
    with httpx.Client(base_url=site.address) as client:
        for route in routes:
            path = re.sub(r"{[^}]*}", "0", route.path)
            for method in route.methods or ():
                if plain(route.path) in CLOSED:
                    answer = client.request(method, path)
                    assert (answer.status_code, method == "HEAD" or "Not Found" in answer.text) == (404, True), path
        for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
            assert client.request(method, "/").status_code == 404


def test_a_recording_leaves_nothing_behind(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    answer = httpx.post(f"{site.address}/gradio_api/process_recording", files={"file": ("a.mp4", b"x" * 1000)})
    assert answer.status_code == 404
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["/", "/config", JOIN, "/gradio_api/upload", "/assets/none.js", "/gradio_api/runs"])
def test_foreign_name_is_told_how_to_be_allowed(site: Site, path: str) -> None:
    method = "POST" if path in (JOIN, "/gradio_api/upload") else "GET"
    for name in ("evil.example", "evil.example:7860", ""):
        answer = httpx.request(method, f"{site.address}{path}", headers={"Host": name})
        assert answer.status_code == 421
        assert WORDS.other_name in answer.text


def test_a_full_queue_says_so_with_a_number(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """To clients that all ask in one moment, too: Gradio's own words come when there is no time to look."""
    release, queue = threading.Event(), site.app._queue

    def slow(*_: Any) -> Any:
        release.wait(60)
        raise ImageError("It is late.")

    def ask(number: int) -> httpx.Response:
        with httpx.Client(transport=httpx.HTTPTransport(local_address=f"127.0.2.{1 + number}")) as client:
            body = {"fn_index": function, "data": [payload, "sensitive", True, 0.02], "session_hash": f"full{number}"}
            return client.post(f"{site.address}{JOIN}", json=body)

    monkeypatch.setattr(site.analyzer, "analyze", slow)
    file = {"files": ("a.png", next(EXAMPLES.glob("*.jpg")).read_bytes())}
    payload = {"path": httpx.post(f"{site.address}/gradio_api/upload", files=file).json()[0]}
    payload["meta"] = {"_type": "gradio.FileData"}
    functions = httpx.get(f"{site.address}/config").json()["dependencies"]
    (function,) = (one["id"] for one in functions if one["api_name"] == "analyze")
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(ask, range(50)))
    release.set()
    while len(queue) or any(queue.active_jobs):  # for the next test
        time.sleep(0.05)
    assert {one.status_code for one in answers} == {200, 503}
    said = {one.json()["error"] for one in answers if one.status_code == 503}
    assert said == {f"The queue is full: {QUEUE} jobs are waiting. Wait a minute, then try again."}
    for code in languages():  # the page's own words name the same numbers
        assert {str(QUEUE), str(JOBS)} <= set(re.findall(r"\d+", load_texts(code).page.failures["full"]))


def test_others_are_served_while_one_asks_too_much(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """One address sends 60 batches and pictures; the other gets its verdict as soon as a place is free."""
    release, analyze = threading.Event(), site.analyzer.analyze

    def slow(*args: Any) -> Any:
        release.wait(60)
        return analyze(*args)

    monkeypatch.setattr(site.analyzer, "analyze", slow)
    greedy, other = (httpx.Client(transport=httpx.HTTPTransport(local_address=f"127.0.0.{n}")) for n in (3, 4))
    with greedy, other:
        file = {"files": ("a.png", next(EXAMPLES.glob("*.jpg")).read_bytes())}
        path = other.post(f"{site.address}/gradio_api/upload", files=file).json()[0]
        payload = {"path": path, "meta": {"_type": "gradio.FileData"}}
        named = {one["api_name"]: one["id"] for one in other.get(f"{site.address}/config").json()["dependencies"]}
        asks = [
            {"fn_index": named["analyze"], "data": [payload, "sensitive", True, 0.02]},
            {"fn_index": named["analyze_batch"], "data": [[payload], "sensitive"]},
        ]
        answers = [
            greedy.post(f"{site.address}{JOIN}", json={**asks[n % 2], "session_hash": f"greedy{n}"}) for n in range(60)
        ]
        assert [one.status_code for one in answers] == [200] * JOBS + [429] * (60 - JOBS)
        assert {one.json()["detail"] for one in answers[JOBS:]} == {WORDS.busy.format(limit=JOBS)}
        joined = other.post(f"{site.address}{JOIN}", json={**asks[0], "session_hash": "other"})
        assert joined.status_code == 200
        release.set()
        data = {"session_hash": "other"}
        with other.stream("GET", f"{site.address}/gradio_api/queue/data", params=data, timeout=60) as stream:
            messages = "".join(stream.iter_text())
        assert '"success":true' in messages
