"""The gate before Gradio: by which name, from whom, for what, and how much at once."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lesion_demo.errors import where_raised
from lesion_demo.files import disk_is_full
from lesion_demo.texts import Texts, languages
from lesion_demo.web.access import Access
from lesion_demo.web.payloads import is_ours
from lesion_demo.web.places import QUEUE

log = logging.getLogger(__name__)

API = "/gradio_api"
READ = re.compile(
    r"/config/?|/theme\.css|/favicon\.ico|/robots\.txt|/manifest\.json|/(static|assets|svelte)/.+"
    rf"|{API}/(info/?|app_id/?|theme\.css|startup-events|queue/data|upload_progress|heartbeat/[^/]+|file=.+)"
)
WRITTEN = re.compile(rf"{API}/(upload|cancel|reset/?|queue/join|run/[^/]+)")
"""What the page, `gradio_client` and the start of a Space ask for, beside the page itself; all else that Gradio would
answer is closed."""
LOGIN = re.compile(rf"/(login|logout)/?|{API}/login_check/?")
"""The same where the page asks for a name and a password."""
STARTING = re.compile(rf"{API}/(queue/join|run/[^/]+)")
"""What starts a job."""
FILE = f"{API}/file="
JOBS = 12
"""That one client may have waiting or running, of the places in the queue. One page may start eight at a time."""
OPEN_REQUESTS = 100
"""That one client may have; each open page holds two, and a few more while it loads."""
JSON_BYTES = 4_000_000
"""Of a request that is no upload; one with 500 files takes about 200,000."""
FORWARDED = {b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-gradio-server"}
"""Headers by which Gradio, too, would learn who asked, and by which name."""


class Gate:
    """ASGI middleware that lets through what the page needs, and answers everything else in a sentence.

    Args:
        folders: with files that may be fetched beside the uploads.
    """

    def __init__(self, app: ASGIApp, access: Access, folders: list[Path], texts: Texts) -> None:
        self._app, self._access, self._folders, self._texts = app, access, folders, texts
        self._pages = {"/", *(f"/{code}" for code in languages())}
        self._open: Counter[str] = Counter()
        self._starting: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            else:  # the page opens no web socket
                await send({"type": "websocket.close"})
            return
        client = self._identify(scope)
        refusal = self._refusal(scope, client)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        starting = self._starting if STARTING.fullmatch(scope["path"]) else Counter()
        with _counted(self._open, client), _counted(starting, client):
            await self._pass_on(scope, _limited(scope, receive), send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An error of Gradio's becomes a sentence, and is logged without what was sent; so does a full queue."""
        begun = full = False

        async def sending(message: Message) -> None:
            nonlocal begun, full
            full = full or (message.get("status") == 503 and bool(STARTING.fullmatch(scope["path"])))
            begun = begun or not full
            if not full:
                await send(message)

        try:
            await self._app(scope, receive, sending)
            if full:
                await _answer(scope, 503, self._texts.server.full.format(places=QUEUE))(scope, receive, send)
        except Exception as error:  # noqa: BLE001  # the server would print it with what was sent
            log.error("A request failed: %s", where_raised(error))
            if not begun:
                await self._failure(scope, error)(scope, receive, send)

    def _failure(self, scope: Scope, error: Exception) -> Response:
        words = self._texts.server
        return _answer(scope, *((507, words.disk_full) if disk_is_full(error) else (500, words.failed)))

    def _identify(self, scope: Scope) -> str:
        """Who asks; what is not to be believed of the headers is taken out of them."""
        peer = scope["client"][0] if scope.get("client") else ""
        if not self._access.trusts(peer):
            scope["headers"] = [one for one in scope["headers"] if one[0] not in FORWARDED]
        headers = HTTPConnection(scope).headers
        forwarded = ",".join(headers.getlist("x-forwarded-for"))
        client = self._access.client(peer, forwarded.split(",") if forwarded else [])
        hidden = {b"x-gradio-server"}
        if not self._access.answers_to(headers.get("x-forwarded-host", "")):
            hidden.add(b"x-forwarded-host")
        scope["headers"] = [one for one in scope["headers"] if one[0] not in hidden]
        scope["client"] = (client, 0)
        return client

    def _refusal(self, scope: Scope, client: str) -> Response | None:
        headers, starts = HTTPConnection(scope).headers, STARTING.fullmatch(scope["path"])
        if not self._access.answers_to(headers.get("host", "")):
            return _answer(scope, 421, self._texts.server.other_name)
        if not self._is_open(scope["method"], scope["path"]):
            return _answer(scope, 404, "Not Found")
        for count, limit in ((self._open[client], OPEN_REQUESTS), (self._jobs(scope, client) if starts else 0, JOBS)):
            if count >= limit:
                return _answer(scope, 429, self._texts.server.busy.format(limit=limit))
        length = headers.get("content-length", "0")
        if not _is_upload(scope) and length.isdecimal() and int(length) > JSON_BYTES:
            return _answer(scope, 413, self._texts.server.too_large)
        return None

    def _is_open(self, method: str, path: str) -> bool:
        if self._access.login is not None and LOGIN.fullmatch(path):
            return True
        if method in ("GET", "HEAD"):
            named = path.removeprefix(FILE)
            known = path in self._pages or READ.fullmatch(path) is not None
            return known and (named == path or is_ours(named, self._folders))
        return method == "POST" and bool(WRITTEN.fullmatch(path))

    def _jobs(self, scope: Scope, client: str) -> int:
        """How many of this client's are being accepted, waiting or running."""
        queue = scope["app"].get_blocks()._queue
        waiting = [event for one in queue.event_queue_per_concurrency_id.values() for event in one.queue]
        running = [event for events in queue.active_jobs if events for event in events]
        return self._starting[client] + sum(event.request.client.host == client for event in [*waiting, *running])


def _answer(scope: Scope, status: int, sentence: str) -> Response:
    """For a reader as text, for a script by the names that Gradio's clients look for."""
    if scope["method"] in ("GET", "HEAD"):
        return PlainTextResponse(sentence, status)
    return JSONResponse({"detail": sentence, "error": sentence}, status)


def _is_upload(scope: Scope) -> bool:
    return scope["path"] == f"{API}/upload"


def _limited(scope: Scope, receive: Receive) -> Receive:
    """`receive`, which takes a client for gone that sends more than it said; Gradio would keep all of it in memory."""
    received = 0

    async def counting() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        return {"type": "http.disconnect"} if received > JSON_BYTES else message

    return receive if _is_upload(scope) else counting


@contextmanager
def _counted(counter: Counter[str], client: str) -> Iterator[None]:
    """One more for this client while the block runs."""
    counter[client] += 1
    try:
        yield
    finally:
        counter[client] -= 1
        if not counter[client]:
            del counter[client]
