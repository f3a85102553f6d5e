"""Addresses of pictures in a request, where the operator allows remote ones: no host that is not public is asked."""

import ipaddress
import socket
from typing import Any

from fuzz.targets import text
from rethinker.inference.images import ImageBounds, from_address
from rethinker.inference.refused import Refused
from rethinker.inference.remote_images import public_address

BOUNDS = ImageBounds(pixels=10_000, encoded_bytes=3000, remote=True)
SEEDS = (
    b"http://127.0.0.1/a.png",
    b"https://[::ffff:169.254.169.254]/latest",
    b"http://[64:ff9b::7f00:1]/ http://0x7f.1/",
    b"https://user@100.64.0.1:443/a?b#c",
    b"http://8.8.8.8/x",
    b"http://a\0b/",
    b"http://[fe80::1%25eth0]/",
    b"data:image/png;base64,iVBORw0KGgo=",
    b"data:,x",
    b"file:///etc/passwd",
)


def _resolved(host: str, port: int, **_: Any) -> list[Any]:
    """As the system does, but without asking anybody: what is no number is nowhere, or on this machine."""
    if "\0" in host:
        raise ValueError("embedded null character")
    host.encode("idna")
    address = str(ipaddress.ip_address(host.partition("%")[0]))
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]


def _looked_up(host: str, port: int, **options: Any) -> list[Any]:
    try:
        return _resolved(host, port, **options)
    except UnicodeError:
        raise
    except ValueError as error:
        if "null" in str(error):
            raise
        raise socket.gaierror(-2, "Name or service not known") from error


def _unconnected(address: tuple[str, int], *_: Any, **__: Any) -> socket.socket:
    assert ipaddress.ip_address(address[0]).is_global, address
    raise ConnectionRefusedError(111, "Connection refused")


"a".encode("idna")  # imports the codec
socket.getaddrinfo = _looked_up  # type: ignore[assignment]
socket.create_connection = _unconnected  # type: ignore[assignment]


def check(data: bytes) -> None:
    address = text(data)
    try:
        image = from_address(address, BOUNDS)
    except Refused as refused:
        assert refused.code == "invalid_image"
    else:
        assert address[:5].lower() == "data:"
        assert image.pixels.size <= 3 * max(BOUNDS.pixels, 28 * 28 * 200)
    try:
        assert ipaddress.ip_address(public_address(address[:60], 80)).is_global
    except Refused:
        return
