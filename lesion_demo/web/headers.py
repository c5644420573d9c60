"""What every answer tells the browser not to do: run others' scripts, guess at types, keep pictures."""

from __future__ import annotations

import re
from collections.abc import Iterable

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = {
    "default-src": "'self'",
    "script-src": "'self' 'unsafe-inline' 'unsafe-eval'",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "media-src": "'self' data: blob:",
    "font-src": "'self' data:",
    "connect-src": "'self' data: blob:",
    "worker-src": "'self' blob:",
    "frame-src": "'none'",
    "object-src": "'none'",
    "base-uri": "'self'",
    "form-action": "'self'",
}
"""The Content-Security-Policy, as strict as Gradio allows: it writes scripts into the page, and makes functions of the
JavaScript that events bring (`unsafe-inline`, `unsafe-eval`). Nothing is loaded from, or sent to, another host."""
FEATURES = (
    "camera=(self), clipboard-write=(self), fullscreen=(self), "
    "display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"
)
"""The camera is the page's own and no frame's within it; what it has no use of is nobody's."""
FIXED = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": FEATURES,
    "Cross-Origin-Resource-Policy": "same-origin",
}
UNCHANGING = re.compile(r"/(static|assets|svelte)/.+|(/gradio_api)?/theme\.css|/favicon\.ico")
"""Parts of the page itself, which a browser may keep; all else may hold a picture, a result, or a name."""


class SecurityHeaders:
    """ASGI middleware that puts them on every answer, a refusal's too.

    Args:
        embedders: whole addresses of sites that may show the page in a frame, beside itself.
    """

    def __init__(self, app: ASGIApp, embedders: Iterable[str] = ()) -> None:
        self._app = app
        directives = POLICY | {"frame-ancestors": " ".join(("'self'", *embedders))}
        policy = "; ".join(f"{name} {sources}" for name, sources in directives.items())
        self._headers = FIXED | {"Content-Security-Policy": policy}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(self._headers)
                if not UNCHANGING.fullmatch(scope["path"]):
                    headers["Cache-Control"] = "no-store"
            await send(message)

        await self._app(scope, receive, sending if scope["type"] == "http" else send)
