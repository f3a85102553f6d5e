"""Passwords and tokens are taken out of what is shown or kept: messages, and what others write into a run folder.

Known are those that an address holds (`https://user:password@host`) or a header (`Bearer …`), and those of the
environment: what stands in a variable whose name says so (`WANDB_API_KEY`, `HF_TOKEN`, `MLFLOW_TRACKING_PASSWORD`), or
in its address (`https_proxy`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

HIDDEN = "***"

SHORTEST = 8
"""Signs of a secret: shorter ones are words, and are left alone."""

_NAMES = re.compile(r"(?:^|_)(?:TOKEN|KEY|SECRET|PASSWORD|PASSWD|PASS|CREDENTIALS?)$", re.IGNORECASE)
_IN_ADDRESS = re.compile(r"(?<=://)[^\s/?#\"'<>]+@")
"""Name and password before a host; up to the last @, since a password may hold one."""

_IN_HEADER = re.compile(r"\b(Basic|Bearer) +[\w.~+/-]{8,}=*")
"""What a service repeats of the header with which it was asked."""


def redacted(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """A text without the secrets that are known, each of them replaced by `***`."""
    found = _IN_HEADER.sub(rf"\1 {HIDDEN}", _IN_ADDRESS.sub(f"{HIDDEN}@", text))
    for secret in sorted(set(_secrets(environment)), key=len, reverse=True):
        found = found.replace(secret, HIDDEN)
    return found


def _secrets(environment: Mapping[str, str]) -> Iterator[str]:
    for name, value in environment.items():
        value = value.strip()
        if _NAMES.search(name) and len(value) >= SHORTEST and value[0] not in "/~.":  # a path is where a secret lies
            yield value
        for address in _IN_ADDRESS.findall(value):
            password = address[:-1].partition(":")[2] or address[:-1]
            yield from (each for each in (password, unquote(password)) if len(each) >= SHORTEST)
