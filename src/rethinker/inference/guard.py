"""Who may ask, and what every reply carries: a bearer token, the right host and origin, headers that browsers obey.

Without a token the server listens on loopback alone, where any page in a browser could still reach it: a foreign origin
is refused, and so is a foreign host, under which a hostile name could point here.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rethinker.inference.refused import Refused

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """Wraps an application.

    Args:
        token: Asked for on all but the open paths; None where only this machine can ask.
        open_paths: Asked for without a token: the page, which asks its reader for it, and the health.
    """

    def __init__(self, app: ASGIApp, *, token: str | None, open_paths: Collection[str]) -> None:
        self._app = app
        self._digest = _digest(token) if token is not None else None
        self._open = frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, or refuse."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        try:
            self._judge(scope["path"], Headers(scope=scope))
        except Refused as refused:
            reply = JSONResponse(refused.body, refused.status, headers={**refused.headers, "connection": "close"})
            await reply(scope, receive, guarded)
            return
        await self._app(scope, receive, guarded)

    def _judge(self, path: str, headers: Headers) -> None:
        host = headers.get("host", "")
        if self._digest is None and _host(host) not in LOOPBACK:
            raise Refused(f"this server is for this machine alone, not for the host {host[:80]!r}", status=403)
        origin = headers.get("origin")
        if origin is not None and _netloc(origin) != host:
            raise Refused("pages of other origins may not ask here", status=403)
        if self._digest is None or path in self._open:
            return
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(_digest(token.strip()), self._digest):
            raise Refused(
                "the bearer token is missing or wrong; send the server's as Authorization: Bearer …",
                status=401,
                kind="authentication_error",
                code="invalid_api_key",
                headers={"www-authenticate": "Bearer"},
            )


def _digest(token: str) -> bytes:
    """Of one length, so that comparing tells nothing of the token's."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _netloc(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def _host(netloc: str) -> str | None:
    try:
        return urlsplit(f"//{netloc}").hostname
    except ValueError:
        return None
