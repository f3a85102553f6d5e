"""Memory arithmetic of generation: what the torch engine holds within its bounds, in bytes on one GPU.

Batching is continuous, so the worst comes together: rows that have grown to their limits, and prompts that are read to
take the places of others. Left out is what `memory` leaves out.
"""

from __future__ import annotations

from dataclasses import dataclass

from rethinker.planning.memory import gathered
from rethinker.planning.shapes import FLOAT32, Architecture, Stack

GREEDY, SAMPLED, FILTERED = 3, 8, 10
"""Float32 tables of scores that are held while tokens are chosen (`rollout.sampling`): of the largest, of draws, and of
draws from the top k or p."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What an engine is asked for at once, all of one length: the worst case.

    Attributes:
        prompts: Distinct prompts.
        rows: Samples of each.
        prefix_tokens: Tokens that stand in each row already; such a row is a request of its own, while all rows of a
            prompt without prefixes are one.
        response_tokens: Most that a row samples.
        image_tokens: Of each prompt, tokens that stand for images.
        score_tables: `GREEDY`, `SAMPLED` or `FILTERED`.
    """

    prompts: int
    rows: int
    prompt_tokens: int
    prefix_tokens: int = 0
    response_tokens: int
    image_tokens: int
    score_tables: int = SAMPLED

    @property
    def request_rows(self) -> int:
        """Samples of one request."""
        return 1 if self.prefix_tokens else self.rows

    @property
    def row_tokens(self) -> int:
        """Of one row in the end, without its prompt."""
        return self.prefix_tokens + self.response_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """`engine.max_rows`, `engine.cache_bytes` and `engine.read_tokens`."""

    max_rows: int
    cache_bytes: int
    read_tokens: int


def token_bytes(model: Architecture, width: int) -> int:
    """Of one token's keys and values."""
    return 2 * model.language.layers * model.language.keys * width


def rows_together(asked: Asked, bounds: Bounds, *, token_bytes: int) -> int:
    """Rows that decode at once: whole requests while there is room (see `rollout.admission`)."""
    places = bounds.cache_bytes // token_bytes
    most = min(bounds.max_rows, asked.prompts * asked.rows)
    step = asked.request_rows

    def fits(rows: int) -> bool:
        return -(-rows // asked.rows) * asked.prompt_tokens + rows * asked.row_tokens <= places

    part = max(1, min(most, (places - asked.prompt_tokens) // asked.row_tokens))  # of a request that does not fit whole
    return max((rows for rows in range(step, most + 1, step) if fits(rows)), default=min(step, part))


def of_generation(model: Architecture, asked: Asked, bounds: Bounds, *, width: int, gpus: int = 1) -> dict[str, int]:
    """What generation adds at its peak: the cache at its fullest, and the largest of what else happens.

    That is to read requests, whose own rows have not grown yet, to decode a token of every row, to choose it, or to
    copy a layer of the cache when rows come and go.
    """
    stack = model.language
    rows = rows_together(asked, bounds, token_bytes=token_bytes(model, width))
    line = _line(asked, bounds, rows)
    requests = -(-rows // asked.request_rows)
    prompts = min(requests, -(-requests // line.requests) * line.prompts)
    token = token_bytes(model, width)
    least = (asked.prompt_tokens + asked.row_tokens) * token
    cache = min((prompts * asked.prompt_tokens + rows * asked.row_tokens) * token, max(bounds.cache_bytes, least))
    seen = rows * stack.heads * (asked.prompt_tokens + asked.row_tokens)
    scores = rows * model.vocabulary * FLOAT32
    unborn = line.requests * asked.request_rows * asked.response_tokens * token_bytes(model, width)
    busy = max(_reading(model, asked, line, width) - unborn, seen * (2 * width + FLOAT32), cache // stack.layers)
    parts = {
        "activations": max(0, busy - (asked.score_tables - 1) * scores),
        "logits": asked.score_tables * scores,
        "KV cache": cache,
    }
    return parts | gathered(model, width, gpus)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """What one forward reads: requests, and the distinct prompts among them, which that forward alone shares."""

    requests: int
    prompts: int


def _line(asked: Asked, bounds: Bounds, rows: int) -> _Line:
    of_prompt = asked.rows // asked.request_rows
    whole, rest = divmod(bounds.read_tokens, asked.prompt_tokens + of_prompt * asked.prefix_tokens)
    left = max(0, rest - asked.prompt_tokens) // asked.prefix_tokens if asked.prefix_tokens else 0
    requests = min(-(-rows // asked.request_rows), max(1, whole * of_prompt + left))
    return _Line(requests=requests, prompts=-(-requests * asked.request_rows // asked.rows))


def _reading(model: Architecture, asked: Asked, line: _Line, width: int) -> int:
    """Of one forward over prompts and prefixes: their pixels, and the larger of the tower's and a language layer's."""
    tokens = line.prompts * asked.prompt_tokens + line.requests * asked.prefix_tokens
    layer = tokens * (3 * model.language.width * width + _feed_forward(model.language, width))
    if model.vision is None:
        return layer
    patches = line.prompts * asked.image_tokens * model.patches_per_token
    pixels = patches * model.pixels_per_patch * (FLOAT32 if width == FLOAT32 else FLOAT32 + width)
    return pixels + max(layer, patches * _tower_layer(model.vision, width))


def _feed_forward(stack: Stack, width: int) -> int:
    """Bytes per token: both factors of a gate and their product; beside an adapter, sums in float32 and its input."""
    if stack.adapted:
        return stack.inner * 2 * (width + FLOAT32) + (stack.width * FLOAT32 if width < FLOAT32 else 0)
    return (3 if stack.gated else 2) * stack.inner * width


def _tower_layer(stack: Stack, width: int) -> int:
    """Bytes per patch: queries and keys are turned in float32, through four tables beside their copies."""
    turning = stack.queries * ((4 if width == FLOAT32 else 6) * FLOAT32 + 3 * width)
    return 2 * stack.width * width + max(turning, _feed_forward(stack, width))
