"""A request that is not served: its HTTP status and the body that the OpenAI clients read."""

from __future__ import annotations

from typing import Any


class Refused(Exception):  # noqa: N818 (an answer to the client, not a failure of ours)
    """A request is not served.

    Attributes:
        status: HTTP status.
        kind: The error's type (`invalid_request_error`, …).
        param: The field at fault.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.param = param
        self.code = code
        self.headers = headers or {}

    @property
    def body(self) -> dict[str, Any]:
        """As OpenAI writes it."""
        return {"error": {"message": str(self), "type": self.kind, "param": self.param, "code": self.code}}
