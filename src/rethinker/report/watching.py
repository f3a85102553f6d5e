"""A run's page served live. Reads the run's folder alone and writes nothing; the standard library's server is enough.

A viewer needs the token, in the address of the page and in a header of what the page asks for later. Without TLS it
protects on loopback or behind a tunnel, so any other address must be asked for with a token of one's own.
"""

from __future__ import annotations

import io
import ipaddress
import json
import secrets
import socket
import sys
import threading
import time
import zlib
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from rethinker.errors import ConfigError, RunFolderError
from rethinker.open_files import allow_open_files
from rethinker.report.digest import GroupDigest
from rethinker.report.document import document, sample_of
from rethinker.report.page import page
from rethinker.report.reading import RunReader
from rethinker.report.sample import chosen
from rethinker.report.shown import image_bytes

SECONDS, LONGEST_SECONDS = 3, 60
"""Least and most between two questions of a page."""

SHARE = 0.005
"""Of a core that answering a page may take, as far as the longest pause allows: the run needs the machine."""

HEAD_S, ANSWER_S = 10.0, 60.0
"""Most seconds that a viewer may take to ask, and to take in an answer."""

CONNECTIONS = 1024
"""More are closed at once."""

_PAGE_BYTES, _NEWS_BYTES = 3_000_000, 300_000
_CHARS_OF_TOKEN = 8


def serve(folder: Path, *, host: str, port: int, token: str | None, ready: Callable[[str], None]) -> None:
    """Answer until Ctrl-C.

    Args:
        token: None makes one up, on loopback only.
        ready: Told the page's address once it answers.

    Raises:
        ConfigError: another address than loopback without a token, or one that cannot be had.
        RunFolderError: the folder holds no run.
    """
    allow_open_files(4 * CONNECTIONS)
    server = open_server(folder, host=host, port=port, token=token)
    with server:
        ready(server.url)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return


def open_server(folder: Path, *, host: str, port: int, token: str | None) -> Watch:
    """A bound server that does not answer yet.

    Raises:
        ConfigError: as `serve`; likewise `RunFolderError`.
    """
    if token is None and not _is_loopback(host):
        raise ConfigError(f"--host {host} can be reached from elsewhere; give a --token that a viewer must know")
    if token is not None and len(token) < _CHARS_OF_TOKEN:
        raise ConfigError(f"the token has {len(token)} characters; give {_CHARS_OF_TOKEN} or more")
    if not 0 <= port <= 65535:
        raise ConfigError(f"--port {port}: must be 0 to 65535; 0 takes a free one")
    if not folder.is_dir():
        raise RunFolderError(f"there is no run folder {folder}; give the folder that `rethinker train` printed")
    live = LiveRun(RunReader(folder))
    try:
        return Watch((host, port), live, token or secrets.token_urlsafe(16))
    except OSError as error:
        raise ConfigError(f"cannot listen on {host} port {port}: {error}; choose another --host or --port") from error


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def pause_after(cost: float) -> float:
    """Seconds until a page asks again, after an answer that took so many of a core."""
    return min(LONGEST_SECONDS, max(SECONDS, round(cost / SHARE, 1)))


class LiveRun:
    """What a page of a run is told first, and then what is new; for any number of pages, one at a time."""

    def __init__(self, run: RunReader) -> None:
        self._run = run
        self._lock = threading.Lock()

    def page(self) -> str:
        """The page as the run is now."""
        with self._lock:
            self._run.refresh()
            content = document([self._run], ablation=None, rollout_bytes=_PAGE_BYTES)
            live = {"seconds": SECONDS, "mark": self._mark(self._last()), "seen": self._seen()}
        return page(content | {"live": live}, title=self._run.name, live=True)

    def changes(self, *, after: int, mark: str, seen: int, ended: bool) -> dict[str, Any]:
        """What a page does not have that ends at step `after` and has seen responses to step `seen`.

        Args:
            ended: Whether the page knows that the run is complete.

        `mark` tells whether that step's line is still the same: a resumed run does steps again, and a page that holds
        what was cut back must be made anew.
        """
        with self._lock:
            run = self._run
            run.refresh()
            if self._mark(after) != mark:
                return {"anew": True}
            fresh = [group for group in run.groups if group.step > seen]
            if self._last() == after and not fresh and (run.summary() is not None) == ended:
                return {"changed": False}
            return {
                "changed": True,
                "metrics": run.metrics(after),
                "summary": run.summary(),
                "thinking": run.thinking(),
                "rollouts": sample_of(run, self._taken(fresh), run.groups),
                "mark": self._mark(self._last()),
                "seen": self._seen(),
            }

    def _taken(self, groups: list[GroupDigest]) -> list[GroupDigest]:
        images = self._run.folder / "rollouts" / "images"
        return chosen(groups, _NEWS_BYTES, image_bytes=lambda image: image_bytes(images, image))

    def _last(self) -> int:
        return int(self._run.rows[-1]["step"]) if self._run.rows else 0

    def _seen(self) -> int:
        return max((digest.step for digest in self._run.digests), default=0)

    def _mark(self, step: int) -> str:
        """A check sum of a step's line; of no step, and of one that is gone, the same for all."""
        line = next((row for row in reversed(self._run.rows) if row["step"] == step), None)
        return f"{zlib.crc32(json.dumps(line).encode()):08x}"


class Watch(ThreadingHTTPServer):
    """The server of one run."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], live: LiveRun, token: str) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)
        self.live = live
        self.token = token
        self._open = threading.BoundedSemaphore(CONNECTIONS)

    @property
    def url(self) -> str:
        """Where the page is, with its token."""
        host, port = self.server_address[:2]
        shown = f"[{host!s}]" if ":" in str(host) else str(host)
        return f"http://{shown}:{port}/?token={quote(self.token, safe='')}"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, unless there are too many."""
        if self._open.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """One connection's life."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._open.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a viewer that went away."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Head(io.RawIOBase):
    """What comes from a connection, until a moment."""

    def __init__(self, connection: socket.socket, until: float) -> None:
        self._connection = connection
        self._until = until

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        """Wait for some of it.

        Raises:
            TimeoutError: the moment has come, however little is sent again and again.
        """
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._connection.recv_into(into)


class _Handler(BaseHTTPRequestHandler):
    server: Watch
    server_version = "rethinker"
    sys_version = ""

    def setup(self) -> None:
        """Have the whole head come within its time."""
        super().setup()
        self.rfile = io.BufferedReader(_Head(self.connection, time.monotonic() + HEAD_S))

    def do_GET(self) -> None:
        """The page, or what is new."""
        try:
            url = urlsplit(self.path)
        except ValueError as error:
            return self._answer(HTTPStatus.BAD_REQUEST, "text/plain", f"this is no address: {error}")
        asked = {name: values[-1] for name, values in parse_qs(url.query).items()}
        if not self._allowed(asked):
            return self._answer(
                HTTPStatus.FORBIDDEN, "text/plain", "the token is missing or wrong; open the printed URL"
            )
        try:
            if url.path == "/":
                return self._answer(HTTPStatus.OK, "text/html", self.server.live.page())
            if url.path == "/changes":
                return self._answer(HTTPStatus.OK, "application/json", self._changes(asked))
        except RunFolderError as error:
            return self._answer(HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", str(error))
        except ValueError as error:
            return self._answer(HTTPStatus.BAD_REQUEST, "text/plain", f"steps are whole numbers: {error}")
        return self._answer(HTTPStatus.NOT_FOUND, "text/plain", "there is / and /changes")

    def _changes(self, asked: dict[str, str]) -> str:
        """What is new, and when to ask again."""
        began = time.thread_time()
        news = self.server.live.changes(
            after=int(asked.get("after", 0)),
            mark=asked.get("mark", ""),
            seen=int(asked.get("seen", 0)),
            ended=asked.get("ended") == "true",
        )
        news["seconds"] = pause_after(time.thread_time() - began)
        return json.dumps(news, ensure_ascii=False, allow_nan=False)

    def _allowed(self, asked: dict[str, str]) -> bool:
        given = self.headers.get("Authorization", "").removeprefix("Bearer ") or asked.get("token", "")
        return secrets.compare_digest(given.encode(), self.server.token.encode())

    def _answer(self, status: HTTPStatus, kind: str, text: str) -> None:
        content = text.encode(errors="replace")
        self.connection.settimeout(ANSWER_S)
        self.send_response(status)
        for name, value in (
            ("Content-Type", f"{kind}; charset=utf-8"),
            ("Content-Length", str(len(content))),
            ("Cache-Control", "no-store"),
            ("Referrer-Policy", "no-referrer"),
            ("X-Content-Type-Options", "nosniff"),
            ("X-Frame-Options", "DENY"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class names it so)
        """Say nothing: the terminal is the person's."""
