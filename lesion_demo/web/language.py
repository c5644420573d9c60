"""The reader's language: all of them are served at one address, and the browser's is shown until another is chosen."""

from __future__ import annotations

from urllib.parse import parse_qs

from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from lesion_demo.texts import languages


class InTheReadersLanguage:
    """ASGI middleware that leads from `/` to the page in the language of `?lang=`, or else in one the browser accepts.

    Args:
        default: the language of the page at `/` itself; the page in another lies at `/<code>`.
    """

    def __init__(self, app: ASGIApp, default: str) -> None:
        self._app, self._default, self._codes = app, default, languages()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/":
            language = self._wanted(scope)
            if language != self._default:
                query = scope.get("query_string", b"").decode("latin-1")
                there = f"./{language}{'?' if query else ''}{query}"  # relative, as a proxy may serve us in a folder
                await RedirectResponse(there, headers={"Vary": "Accept-Language"})(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _wanted(self, scope: Scope) -> str:
        asked = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("lang", [])
        accepted = accepted_languages(HTTPConnection(scope).headers.get("accept-language", ""))
        return next((code for code in [*asked[-1:], *accepted] if code in self._codes), self._default)


def accepted_languages(header: str) -> list[str]:
    """The codes of an `Accept-Language` header without their regions, the best liked first (RFC 9110, 12.5.4)."""
    liked: list[tuple[float, str]] = []
    for entry in header.split(","):
        code, _, weight = entry.partition(";")
        try:
            quality = float(weight.strip().removeprefix("q=") or 1)
        except ValueError:
            continue
        if quality > 0:
            liked.append((quality, code.strip().partition("-")[0].lower()))
    return [code for _, code in sorted(liked, key=lambda one: -one[0])]
