"""The torch engine: samples in the process, on the learner's own module. Correct first; vLLM is the engine for speed.

Batching is continuous: rows decode together (`decoding.py`), finished ones leave, and waiting requests take their
places once enough of them are free, since every coming and going copies the cache.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad

from rethinker.interfaces import Piece, Request, RolloutEngine, Sampling
from rethinker.models.adopting import adopt
from rethinker.models.compiling import uncompiled
from rethinker.models.vlm import VLM
from rethinker.rollout.admission import Admission, Owner, Part
from rethinker.rollout.decoding import Decoder, decoder
from rethinker.rollout.sampling import choose, uniforms
from rethinker.timing import Stopwatch
from rethinker.types import Completion, FinishReason

_TURNOVER = 0.125
"""Finished rows leave, and waiting ones come, when this share of the rows has ended."""


@dataclass(eq=False, slots=True, kw_only=True)
class _Rows:
    """Rows that decode together, ended ones among them until they are dropped.

    Attributes:
        owners: Each row's request and sample.
        scores: Of each row's next token.
        sampled: How many tokens each row has.
        limits: Most tokens of each row.
        alive: Rows still sampling.
    """

    owners: list[Owner]
    scores: Float[Tensor, "rows vocabulary"]
    draws: Float[Tensor, "rows tokens"]
    token_ids: Int[Tensor, "rows tokens"]
    logprobs: Float[Tensor, "rows tokens"]
    sampled: Int[Tensor, " rows"]
    limits: Int[Tensor, " rows"]
    alive: Bool[Tensor, " rows"]

    def keep(self, rows: Int[Tensor, " kept"]) -> _Rows:
        """These rows alone."""
        return _Rows(
            owners=[self.owners[row] for row in rows.tolist()],
            **{name: getattr(self, name)[rows] for name in _TENSORS},
        )

    def followed_by(self, more: _Rows) -> _Rows:
        """Both, the others last."""
        return _Rows(
            owners=self.owners + more.owners,
            **{name: _under(getattr(self, name), getattr(more, name)) for name in _TENSORS},
        )


_TENSORS = ("scores", "draws", "token_ids", "logprobs", "sampled", "limits", "alive")


class TorchEngine(RolloutEngine):
    """Samples from a VLM held in this process.

    Args:
        vlm: The model; shared with the learner, or the engine's own.
        max_rows: Most samples decoded at once.
        cache_bytes: Most bytes of keys and values, reckoned as if every response grew to its limit; one request's
            samples are split until they fit, and a single sample is always taken.
        read_tokens: Most tokens of prompts and prefixes read in one forward, except where one alone has more.
        own_weights: Whether `load_weights` copies; not where the weights are the learner's own tensors.
        stopwatch: Told where the time goes.
    """

    def __init__(
        self,
        vlm: VLM,
        *,
        max_rows: int = 256,
        cache_bytes: int = 8_000_000_000,
        read_tokens: int = 16_384,
        own_weights: bool = False,
        stopwatch: Stopwatch | None = None,
    ) -> None:
        self.vlm = vlm
        self._own_weights = own_weights
        self.policy_version = 0
        self._stopwatch = stopwatch or Stopwatch()
        self._max_rows = max_rows
        self._admission = Admission(
            max_rows=max_rows, max_tokens=read_tokens, cache_bytes=cache_bytes, token_bytes=vlm.cache_token_bytes
        )
        self._waiting: deque[Part] = deque()
        self._rows: _Rows | None = None
        self._decoder: Decoder = decoder(vlm)
        self._forbidden = torch.zeros(vlm.vocabulary, dtype=torch.bool, device=vlm.device)
        self._forbidden[list(vlm.forbidden_ids)] = True
        self._is_end = torch.zeros_like(self._forbidden)
        self._is_end[list(vlm.eos_ids)] = True
        self._ends = torch.tensor(vlm.eos_ids, device=vlm.device)

    @property
    def pending(self) -> int:
        """Samples submitted and not yet returned."""
        decoding = int(self._rows.alive.sum()) if self._rows else 0
        return decoding + sum(len(part.samples) for part in self._waiting)

    def submit(self, requests: Sequence[Request]) -> None:
        """Queue requests; each must have room for at least one token."""
        for request in requests:
            if request.sampling.max_tokens < 1 or not request.seeds:
                asked = f"{len(request.seeds)} samples of {request.sampling.max_tokens} tokens"
                raise ValueError(f"request {request.id} asks for {asked}; both must be at least 1")
        self._waiting.extend(Part(request, range(len(request.seeds))) for request in requests)

    @torch.inference_mode()
    def cancel(self, request_id: str) -> None:
        """Forget a request, waiting or decoding."""
        self._waiting = deque(part for part in self._waiting if part.request.id != request_id)
        if self._rows is not None:
            for row, (request, _) in enumerate(self._rows.owners):
                if request.id == request_id:
                    self._rows.alive[row] = False

    def load_weights(self, weights: Iterator[tuple[str, Tensor]], version: int) -> None:
        """Take the version, and the weights where they are not the learner's own tensors.

        Raises:
            ModelError: the weights are of another model.
        """
        if self._rows is not None and bool(self._rows.alive.any()):
            raise RuntimeError("weights changed while samples were decoding; drain the engine first")
        if self._own_weights:
            adopt(self.vlm.module, weights)
        self.policy_version = version

    def close(self) -> None:
        """Drop what is queued or decoding."""
        self._waiting.clear()
        self._rows = None

    @torch.inference_mode()
    def step(self) -> list[Completion]:
        """Sample one token for every row, after waiting requests have taken free places."""
        if self.vlm.module.training:  # asked first: to set it walks the whole module
            self.vlm.module.eval()
        self._turn_over()
        rows = self._rows
        if rows is None:
            return []
        with self._stopwatch.within("decode"):
            self._sample(rows)
            finished = self._collect(rows)
            self._stopwatch.count(columns=1, tokens=sum(len(completion.token_ids) for completion in finished))
            if bool(rows.alive.any()):
                with uncompiled():
                    rows.scores = self._decoder.advance(_last(rows))
        return finished

    @torch.inference_mode()
    def pieces(self) -> list[Piece]:
        """The token that the last `step` sampled, of each row that goes on."""
        rows = self._rows
        if rows is None:
            return []
        return [
            Piece(request_id=request.id, sample=sample, token_ids=(token,))
            for (request, sample), token, goes_on in zip(
                rows.owners, _last(rows).tolist(), rows.alive.tolist(), strict=True
            )
            if goes_on
        ]

    def _turn_over(self) -> None:
        """Let ended rows go and waiting requests in, where it pays."""
        rows = self._rows
        alive = int(rows.alive.sum()) if rows is not None else 0
        there = len(rows.owners) if rows is not None else 0
        pays = self._max_rows if self._waiting else there
        if alive and pays - alive < _TURNOVER * pays:
            return
        if not alive:
            self._rows, self._decoder = None, decoder(self.vlm)
        elif alive < there:
            assert rows is not None
            kept = rows.alive.nonzero()[:, 0]
            self._rows = rows.keep(kept)
            self._decoder.keep(kept)
        while parts := self._admission.next(
            self._waiting, self._rows.owners if self._rows is not None else [], self._decoder.prompt_lengths
        ):
            self._take_in(parts)

    def _take_in(self, parts: Sequence[Part]) -> None:
        """Read some requests and give each of their samples a row."""
        device, requests = self.vlm.device, [part.request for part in parts]
        with self._stopwatch.within("prefill"), uncompiled():
            prompts = {id(request.prompt): len(request.prompt.token_ids) for request in requests}
            self._stopwatch.count(tokens=sum(prompts.values()) + sum(len(request.prefix) for request in requests))
            scores = self._decoder.admit(requests, [len(part.samples) for part in parts])
        owners = [(part.request, sample) for part in parts for sample in part.samples]
        most = max(part.request.sampling.max_tokens for part in parts)
        seeds = tuple(request.seeds[sample] for request, sample in owners)
        new = _Rows(
            owners=owners,
            scores=scores,
            draws=torch.from_numpy(uniforms(seeds, most)).to(device),
            token_ids=torch.zeros(len(owners), most, dtype=torch.int64, device=device),
            logprobs=torch.zeros(len(owners), most, device=device),
            sampled=torch.zeros(len(owners), dtype=torch.int64, device=device),
            limits=torch.tensor([request.sampling.max_tokens for request, _ in owners], device=device),
            alive=torch.ones(len(owners), dtype=torch.bool, device=device),
        )
        self._rows = new if self._rows is None else self._rows.followed_by(new)

    def _sample(self, rows: _Rows) -> None:
        """Choose every row's next token; ended rows choose too, and nobody looks."""
        at = rows.sampled.clamp(max=rows.token_ids.shape[1] - 1)[:, None]
        draws = rows.draws.gather(1, at)[:, 0]
        for sampling, members in _alike(rows.owners):
            forbidden = self._forbidden
            short = rows.sampled[members] < sampling.min_tokens
            if bool(short.any()):
                forbidden = forbidden | (short[:, None] & self._is_end if not bool(short.all()) else self._is_end)
            picked, logprobs = choose(rows.scores[members], draws[members], sampling=sampling, forbidden=forbidden)
            rows.token_ids[members] = rows.token_ids[members].scatter(1, at[members], picked[:, None])
            rows.logprobs[members] = rows.logprobs[members].scatter(1, at[members], logprobs[:, None])
        rows.sampled += rows.alive

    def _collect(self, rows: _Rows) -> list[Completion]:
        """Take out what just ended."""
        ended = torch.isin(_last(rows), self._ends)
        done = rows.alive & (ended | (rows.sampled == rows.limits))
        if not bool(done.any()):
            return []
        rows.alive &= ~done
        stopped = ended.tolist()
        return [
            self._completion(rows, row, "stop" if stopped[row] else "length") for row in done.nonzero()[:, 0].tolist()
        ]

    def _completion(self, rows: _Rows, row: int, reason: FinishReason) -> Completion:
        request, sample = rows.owners[row]
        tokens = int(rows.sampled[row])
        return Completion(
            request_id=request.id,
            sample=sample,
            token_ids=rows.token_ids[row, :tokens].cpu().numpy().copy(),
            logprobs=rows.logprobs[row, :tokens].cpu().numpy().copy(),
            finish_reason=reason,
            policy_version=self.policy_version,
        )


def _last(rows: _Rows) -> Int[Tensor, " rows"]:
    """Each row's latest token."""
    return rows.token_ids.gather(1, (rows.sampled - 1)[:, None])[:, 0]


def _alike(owners: Sequence[Owner]) -> list[tuple[Sampling, slice | list[int]]]:
    """Rows by their sampling settings; how many tokens each may have does not tell them apart."""
    first = owners[0][0].sampling
    if all(request.sampling is first for request, _ in owners):
        return [(first, slice(None))]
    settings: dict[tuple[float, ...], tuple[Sampling, list[int]]] = {}
    for row, (request, _) in enumerate(owners):
        each = request.sampling
        key = (each.temperature, each.top_p, each.top_k, each.min_tokens)
        settings.setdefault(key, (each, []))[1].append(row)
    if len(settings) == 1:
        return [(first, slice(None))]
    return list(settings.values())


def _under(held: Tensor, more: Tensor) -> Tensor:
    """Both, one under the other; a second axis is filled up to the longer."""
    if held.ndim == 1 or held.shape[1] == more.shape[1]:
        return torch.cat([held, more])
    width = max(held.shape[1], more.shape[1])
    return torch.cat([pad(each, (0, width - each.shape[1])) for each in (held, more)])
