"""The JSON of a chat completion request."""

from rethinker.inference.chat_request import Bounds, parsed
from rethinker.inference.refused import Refused
from rethinker.types import IMAGE_MARK

BOUNDS = Bounds(tokens=100, choices=4, images=3, looks=2, turns=8)
SEEDS = (
    b'{"messages": [{"role": "user", "content": "hi"}], "max_tokens": 5, "temperature": 0.5, "n": 2, "stop": ["a"]}',
    b'{"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": "t"}, '
    b'{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}], "rethink": "auto", "stream": true}',
    b'{"messages": [], "temperature": 1e999, "top_p": -0, "seed": 18446744073709551616, "tools": [], "logprobs": false}',
    b'{"model": {"a": 1}, "messages": [{"role": "user", "content": "\\ud800<image>"}], "stream_options": {}, "rethink": "3"}',
)


def check(data: bytes) -> None:
    try:
        asked = parsed(data, model="m", bounds=BOUNDS)
    except Refused as refused:
        assert 400 <= refused.status < 500
        assert len(str(refused)) < 1000
        return
    assert asked.turns[-1].role == "user"
    assert len(asked.images) == sum(turn.text.count(IMAGE_MARK) for turn in asked.turns) <= BOUNDS.images
    assert 1 <= asked.choices <= BOUNDS.choices
    assert 1 <= asked.wanted.sampling.max_tokens <= BOUNDS.tokens
    assert 0 <= asked.wanted.sampling.temperature <= 2
