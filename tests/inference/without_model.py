"""The server without a model, with short times: `python -m tests.inference.without_model TOKEN|- SECONDS`."""

import sys
from types import SimpleNamespace
from typing import Any

from rethinker.inference import listening
from rethinker.inference.chat import Limits
from rethinker.inference.chat_request import Bounds
from rethinker.inference.images import ImageBounds
from rethinker.inference.metrics import Metrics
from rethinker.inference.refused import Refused
from rethinker.inference.server import application


class Chat:
    model = "none"
    metrics = Metrics()

    def __init__(self, seconds: float) -> None:
        bounds = Bounds(tokens=9, choices=2, images=1, looks=1)
        self.limits = Limits(request=bounds, image=ImageBounds(), body_bytes=100_000, body_seconds=seconds)

    async def answer(self, asked: object) -> Any:
        raise Refused("there is no model here", status=503)
        yield asked


class Engine:
    alive = True

    def start(self) -> None:
        """There is none."""

    async def close(self) -> None:
        """There is none."""


def main() -> None:
    token, seconds = sys.argv[1], float(sys.argv[2])
    listening.HEAD_S = seconds
    made: Any = application(Chat(seconds), Engine(), token=None if token == "-" else token)
    with listening.opened_socket("127.0.0.1", 0) as bound:
        shown = SimpleNamespace(port=bound.getsockname()[1])
        listening.serve_until_stopped(
            made, bound, drain_seconds=1, ready=lambda: sys.stdout.write(f"{shown.port}\n") and sys.stdout.flush()
        )


if __name__ == "__main__":
    main()
