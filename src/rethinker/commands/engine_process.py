"""The engine's process of `ask` and `serve`: `python -m rethinker.commands.engine_process DESCRIPTOR`."""

from __future__ import annotations

import signal
import sys
from contextlib import suppress

from rethinker.build_inference import load_engine
from rethinker.commands.train import quieten
from rethinker.distributed.host import portable
from rethinker.errors import RethinkerError
from rethinker.inference.engine_loop import EngineLoop
from rethinker.inference.engine_process import line_of
from rethinker.inference.line import Load, Loaded


def main() -> None:
    """Load what is asked for, and sample until nobody asks any more."""
    for each in (signal.SIGINT, signal.SIGTERM):  # which a terminal sends to both; the server finishes its answers
        signal.signal(each, signal.SIG_IGN)
    line = line_of(int(sys.argv[1]))
    with suppress(EOFError, ConnectionError):
        asked = line.receive()
        assert isinstance(asked, Load)
        quieten()
        try:
            vlm, engine = load_engine(asked.model, max_tokens=asked.max_tokens)
        except RethinkerError as error:
            told = portable(error, where="the engine's process")
            line.send(told if isinstance(told, RethinkerError) else RethinkerError(str(told)))
            return
        line.send(Loaded())
        EngineLoop(vlm, engine, line).run()


if __name__ == "__main__":
    main()
