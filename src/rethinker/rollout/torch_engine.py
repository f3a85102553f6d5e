"""The torch engine: samples in the process, on the learner's own module. Correct first; vLLM is the engine for speed.

Requests are admitted in waves. All rows of a wave decode together (`decoding.py`), a request's samples on one reading
of it; finished rows leave the batch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from rethinker.interfaces import Request, RolloutEngine
from rethinker.models.vlm import VLM
from rethinker.rollout.decoding import Decoder, decoder
from rethinker.rollout.sampling import choose, uniforms
from rethinker.types import Completion, FinishReason

_DROP_SHARE = 0.125
"""Finished rows are dropped when they are this share of the batch: dropping copies the cache."""


@dataclass(eq=False, slots=True, kw_only=True)
class _Wave:
    """Rows that decode together. `owners` names each row's request and sample; `alive` those still sampling."""

    requests: list[Request]
    owners: list[tuple[int, int]]
    decoder: Decoder
    scores: Float[Tensor, "rows vocabulary"]
    draws: Float[Tensor, "rows tokens"]
    token_ids: Int[Tensor, "rows tokens"]
    logprobs: Float[Tensor, "rows tokens"]
    alive: Bool[Tensor, " rows"]
    sampled: int = 0


class TorchEngine(RolloutEngine):
    """Samples from a VLM held in this process.

    Args:
        vlm: The model; shared with the learner, so `load_weights` only takes the version.
        max_rows: Most samples decoded at once; a larger request is a wave of its own.
    """

    def __init__(self, vlm: VLM, *, max_rows: int = 256) -> None:
        self.vlm = vlm
        self.policy_version = 0
        self._max_rows = max_rows
        self._waiting: deque[Request] = deque()
        self._wave: _Wave | None = None
        self._forbidden = torch.zeros(vlm.vocabulary, dtype=torch.bool, device=vlm.device)
        self._forbidden[list(vlm.forbidden_ids)] = True
        self._ends = torch.tensor(vlm.eos_ids, device=vlm.device)

    @property
    def pending(self) -> int:
        """Samples submitted and not yet returned."""
        decoding = int(self._wave.alive.sum()) if self._wave else 0
        return decoding + sum(len(request.seeds) for request in self._waiting)

    def submit(self, requests: Sequence[Request]) -> None:
        """Queue requests; each must have room for at least one token."""
        for request in requests:
            if request.sampling.max_tokens < 1 or not request.seeds:
                asked = f"{len(request.seeds)} samples of {request.sampling.max_tokens} tokens"
                raise ValueError(f"request {request.id} asks for {asked}; both must be at least 1")
        self._waiting.extend(requests)

    @torch.inference_mode()
    def cancel(self, request_id: str) -> None:
        """Forget a request, waiting or decoding."""
        self._waiting = deque(request for request in self._waiting if request.id != request_id)
        if self._wave is not None:
            for row, (owner, _) in enumerate(self._wave.owners):
                if self._wave.requests[owner].id == request_id:
                    self._wave.alive[row] = False
            if not bool(self._wave.alive.any()):
                self._wave = None

    def load_weights(self, weights: Iterator[tuple[str, Tensor]], version: int) -> None:  # noqa: ARG002
        """Take the version; the weights are the learner's own tensors and need no copy."""
        if self._wave is not None:
            raise RuntimeError("weights changed while samples were decoding; drain the engine first")
        self.policy_version = version

    def close(self) -> None:
        """Drop what is queued or decoding."""
        self._waiting.clear()
        self._wave = None

    @torch.inference_mode()
    def step(self) -> list[Completion]:
        """Sample one token for every row of the wave; admit a wave first when there is none."""
        if self._wave is None:
            requests = self._admit()
            if not requests:
                return []
            self.vlm.module.eval()
            self._wave = self._start(requests)
        wave = self._wave
        self._sample(wave)
        finished = self._collect(wave)
        if not bool(wave.alive.any()):
            self._wave = None
            return finished
        dead = 1 - float(wave.alive.float().mean())
        if dead >= _DROP_SHARE:
            _drop(wave)
        wave.scores = wave.decoder.advance(wave.token_ids[:, wave.sampled - 1])
        return finished

    def _admit(self) -> list[Request]:
        """The next requests, as many as fit in a wave; all share one set of sampling settings."""
        admitted: list[Request] = []
        room = self._max_rows
        while self._waiting and (not admitted or len(self._waiting[0].seeds) <= room):
            if admitted and self._waiting[0].sampling != admitted[0].sampling:
                break
            admitted.append(self._waiting.popleft())
            room -= len(admitted[-1].seeds)
        return admitted

    def _start(self, requests: list[Request]) -> _Wave:
        """Read the requests and give each sample its own row."""
        device = self.vlm.device
        owners = [(index, sample) for index, request in enumerate(requests) for sample in range(len(request.seeds))]
        most = requests[0].sampling.max_tokens
        drawn = np.concatenate([uniforms(request.seeds, most) for request in requests])
        decodes = decoder(self.vlm, requests, [index for index, _ in owners])
        return _Wave(
            requests=requests,
            owners=owners,
            decoder=decodes,
            scores=decodes.start(),
            draws=torch.from_numpy(drawn).to(device),
            token_ids=torch.zeros(len(owners), most, dtype=torch.int64, device=device),
            logprobs=torch.zeros(len(owners), most, device=device),
            alive=torch.ones(len(owners), dtype=torch.bool, device=device),
        )

    def _sample(self, wave: _Wave) -> None:
        """Choose every row's next token."""
        sampling = wave.requests[0].sampling
        forbidden = self._forbidden
        if wave.sampled < sampling.min_tokens:
            forbidden = forbidden.clone()
            forbidden[self._ends] = True
        picked, logprobs = choose(wave.scores, wave.draws[:, wave.sampled], sampling=sampling, forbidden=forbidden)
        wave.token_ids[:, wave.sampled] = picked
        wave.logprobs[:, wave.sampled] = logprobs
        wave.sampled += 1

    def _collect(self, wave: _Wave) -> list[Completion]:
        """Take out the rows that just ended."""
        ended = torch.isin(wave.token_ids[:, wave.sampled - 1], self._ends)
        full = wave.sampled == wave.requests[0].sampling.max_tokens
        done = wave.alive & (ended | full)
        if not bool(done.any()):
            return []
        rows = done.nonzero()[:, 0].tolist()
        wave.alive &= ~done
        stopped = ended.tolist()
        return [self._completion(wave, row, "stop" if stopped[row] else "length") for row in rows]

    def _completion(self, wave: _Wave, row: int, reason: FinishReason) -> Completion:
        owner, sample = wave.owners[row]
        return Completion(
            request_id=wave.requests[owner].id,
            sample=sample,
            token_ids=wave.token_ids[row, : wave.sampled].cpu().numpy().copy(),
            logprobs=wave.logprobs[row, : wave.sampled].cpu().numpy().copy(),
            finish_reason=reason,
            policy_version=self.policy_version,
        )


def _drop(wave: _Wave) -> None:
    """Take finished rows out of every tensor of the wave."""
    rows = wave.alive.nonzero()[:, 0]
    wave.owners = [wave.owners[row] for row in rows.tolist()]
    wave.decoder.keep(rows)
    for name in ("draws", "token_ids", "logprobs", "alive"):
        setattr(wave, name, getattr(wave, name)[rows])
