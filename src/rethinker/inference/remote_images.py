"""A file fetched from an address that a client named, where the operator allows it: public hosts alone.

Every address that the name resolves to must be public, the connection goes to the one that was judged, and redirects
are not followed: a name cannot mean one host when it is judged and another when it is fetched.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from urllib.parse import urlsplit

from rethinker.inference.refused import Refused

_PORTS = {"http": 80, "https": 443}


def fetched(address: str, *, most: int, seconds: float) -> bytes:
    """The bytes at an http or https address. Blocks.

    Raises:
        Refused: the address is not public, or does not answer with a file of at most `most` bytes in time.
    """
    until = time.monotonic() + seconds
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError) as error:
        raise _refused(f"the image's address cannot be read: {error}") from error
    if not host or "@" in parts.netloc or port != _PORTS[parts.scheme]:
        raise _refused("an image's address must be a plain http or https one, on the usual port")
    try:
        connection = _Pinned(host, public_address(host, port), https=parts.scheme == "https", seconds=seconds)
    except http.client.InvalidURL as error:
        raise _refused(f"the image's address cannot be read: {error}") from error
    alarm = threading.Timer(seconds, connection.cut)  # who sends a byte now and then never times out by himself
    alarm.start()
    try:
        connection.request("GET", f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}")
        response = connection.getresponse()
        if response.status != 200:
            raise _refused(f"{host} answered with status {response.status}; redirects are not followed")
        return _read(response, host, most, until)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _refused(f"the image at {host} cannot be fetched: {error}") from error
    finally:
        alarm.cancel()
        connection.close()


def public_address(host: str, port: int) -> str:
    """The address to connect to.

    Raises:
        Refused: the host has none, or one that is not public.
    """
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except (OSError, ValueError) as error:  # ValueError: a zero byte, or what no host can be named
        raise _refused(f"the host {host} of an image is not known") from error
    for each in found:
        if not _is_public(each):
            raise _refused(f"the host {host} of an image is not public")
    return min(found)


def _is_public(address: str) -> bool:
    """Whether anybody's machine may be there: not this one, its network, nor a cloud's metadata."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour or (parsed.teredo or (None, None))[1]
        if inner is not None or parsed in ipaddress.ip_network("64:ff9b::/96"):
            return False
    return parsed.is_global and not parsed.is_multicast


def _read(response: http.client.HTTPResponse, host: str, most: int, until: float) -> bytes:
    read = bytearray()
    while part := response.read1(65536):
        read += part
        if len(read) > most:
            raise _refused(f"the image at {host} has more than the {most:,} bytes allowed")
    if time.monotonic() > until:  # cut off, whatever had come by then
        raise _refused(f"{host} takes too long to send an image")
    return bytes(read)


class _Pinned(http.client.HTTPConnection):
    """Connects to the address that was judged, under the host's name."""

    def __init__(self, host: str, address: str, *, https: bool, seconds: float) -> None:
        super().__init__(host, 443 if https else 80, timeout=seconds)
        self._address = address
        self._context = ssl.create_default_context() if https else None

    def connect(self) -> None:
        self.sock = socket.create_connection((self._address, self.port), self.timeout)
        if self._context:
            self.sock = self._context.wrap_socket(self.sock, server_hostname=self.host)

    def cut(self) -> None:
        """End it, whoever waits for what."""
        if self.sock is not None:
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)


def _refused(message: str) -> Refused:
    return Refused(message, param="messages", code="invalid_image")
