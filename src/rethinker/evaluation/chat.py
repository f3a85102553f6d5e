"""One request to an OpenAI-compatible chat endpoint, with limits on its time and size; `judge.py` sends it again."""

from __future__ import annotations

import http.client
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from rethinker.errors import ConfigError
from rethinker.redaction import HIDDEN, redacted

PATH = "/chat/completions"

TRANSIENT = frozenset({408, 409, 425, 429})
"""Statuses below 500 that may be gone on the next attempt."""

MOST_BYTES = 1_000_000
"""A longer answer is none."""

SHOWN = 200


class Unavailable(Exception):  # noqa: N818 (what happened, not a fault of the request)
    """No answer this time: the endpoint is down, slow, overloaded, or sent no chat completion."""


class Refused(Exception):  # noqa: N818
    """The endpoint will not answer this request however often it is sent: a wrong key, model or address."""


class ChatEndpoint:
    """Where chat completions are asked for.

    Attributes:
        url: Of the completions, for messages.
    """

    def __init__(self, url: str, *, key: str = "", timeout_s: float = 60.0) -> None:
        """Nothing is sent yet.

        Args:
            url: The API's base (`http://host:8000/v1`), or that of its chat completions.
            key: Sent as a bearer token; empty sends none.
            timeout_s: Seconds for a whole answer.

        Raises:
            ConfigError: this is no http or https address, or the key cannot be sent.
        """
        if not _is_address(url):
            shown = redacted(re.split("[?#]", url, maxsplit=1)[0])
            raise ConfigError(
                f"--judge {shown!r} is no http or https address without name, password and query; give "
                "one such as http://127.0.0.1:8000/v1, and its key by the environment"
            )
        if not (key.isascii() and key.isprintable()):
            raise ConfigError("the judge's key has signs that no header may have, such as a line break; write it anew")
        base = url.rstrip("/")
        self.url = base if base.endswith(PATH) else base + PATH
        self._headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        self._key = key
        self._timeout_s = timeout_s
        self._opener = urllib.request.build_opener(_NoRedirects)

    def complete(self, body: Mapping[str, Any]) -> str:
        """The text of the completion.

        Raises:
            Unavailable: there was none this time.
            Refused: there will be none.
        """
        request = urllib.request.Request(self.url, data=json.dumps(body).encode(), headers=self._headers)
        try:
            with self._opener.open(request, timeout=self._timeout_s) as response:
                return _content(self._body(response))
        except urllib.error.HTTPError as error:
            said = self._without_key(error.read(SHOWN).decode("utf-8", "replace"))
            message = f"the judge at {self.url} answered with status {error.code}: {said}"
            kind = Unavailable if error.code >= 500 or error.code in TRANSIENT else Refused
            raise kind(message) from error
        except TimeoutError as error:
            raise Unavailable(f"the judge at {self.url} took longer than {self._timeout_s:g} s") from error
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"the judge at {self.url} cannot be reached: {error}") from error

    def _without_key(self, said: str) -> str:
        """An answer as it may be shown: endpoints repeat a key that is wrong, and its end may be cut off."""
        key = self._key
        cut = next((size for size in range(len(key) - 1, 3, -1) if said.endswith(key[:size])), 0)
        return redacted((said[:-cut] + HIDDEN if cut else said).replace(key, HIDDEN) if key else said)

    def _body(self, response: http.client.HTTPResponse) -> bytes:
        """The whole answer; a server that sends a sign now and then does not escape the limit.

        Raises:
            TimeoutError: it took too long.
            Unavailable: it is too long.
        """
        until = time.monotonic() + self._timeout_s
        read = bytearray()
        while part := response.read1(65536):
            read += part
            if time.monotonic() > until:
                raise TimeoutError
            if len(read) > MOST_BYTES:
                raise Unavailable(f"the judge at {self.url} sent more than {MOST_BYTES} bytes")
        return bytes(read)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the key to another host."""

    def redirect_request(self, *_: object) -> None:
        """Refuse it; the status is reported."""


def _is_address(url: str) -> bool:
    """Whether this is one of http or https; a password in it would end up in messages and results."""
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port != 0
            and "@" not in parts.netloc
            and not (parts.query or parts.fragment)
        )
    except ValueError:
        return False


def _content(body: bytes) -> str:
    """The first choice's text.

    Raises:
        Unavailable: this is no chat completion.
    """
    try:
        content = json.loads(body)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise Unavailable(f"the judge sent no chat completion: {body[:SHOWN]!r}") from error
    if not isinstance(content, str):
        raise Unavailable(f"the judge sent a completion without text: {body[:SHOWN]!r}")
    return content
