"""The vLLM engine: samples with vLLM in this process, or, under tensor parallelism, in workers that it starts.

vLLM is imported when an engine is made. Its weights always come from the learner (`load_weights`), under their Hugging
Face names; after every sync all of its caches are emptied, for an image seen before would keep the features of the old
vision tower. Left out: replicas, and engines in other processes, which hold one of these each.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import torch
from torch import Tensor

from rethinker.interfaces import Piece, Request, RolloutEngine
from rethinker.models.adapters import merged_weights
from rethinker.models.vlm import VLM
from rethinker.rollout.vllm_requests import (
    completion,
    refuse_other_expansion,
    refuse_too_long,
    sampling_settings,
    tokens_prompt,
)
from rethinker.rollout.vllm_weights import Receipt, by_copies, compare, places
from rethinker.timing import Stopwatch
from rethinker.types import Completion

_WORKER = "rethinker.rollout.vllm_worker"

_CPU_READ_TOKENS = 8192
"""On the CPU, most tokens of prompts read in one forward, if none is longer."""

_CPU_BLOCK = 32
"""Tokens that the prefix cache shares at a time. The CPU back end's own 128 would share no prompt of the tiny model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """What vLLM is told of a model: plain values, so that an engine can live where the model does not.

    Attributes:
        path: A Hugging Face folder or hub name.
        image_token: The placeholder of images, None where the model reads text alone.
        shapes: Of every weight that the learner will send.
    """

    path: str
    trust_remote_code: bool
    image_token: int | None
    eos_ids: tuple[int, ...]
    forbidden_ids: tuple[int, ...]
    shapes: Mapping[str, tuple[int, ...]]
    min_pixels: int = 0
    max_pixels: int = 0


def served_model(
    vlm: VLM, path: str, *, trust_remote_code: bool = False, min_pixels: int = 0, max_pixels: int = 0
) -> ServedModel:
    """Of a loaded model, with the bounds of images that it was loaded with."""
    return ServedModel(
        path=path,
        trust_remote_code=trust_remote_code,
        image_token=int(vlm.module.config.image_token_id) if vlm.sees_images else None,
        eos_ids=vlm.eos_ids,
        forbidden_ids=vlm.forbidden_ids,
        shapes={name: tuple(weight.shape) for name, weight in merged_weights(vlm.module)},
        min_pixels=min_pixels,
        max_pixels=max_pixels,
    )


class VllmEngine(RolloutEngine):
    """Samples with vLLM.

    A request's samples are requests of their own to vLLM, each with its own seed, made of one prompt that is processed
    once; its prefix cache shares what they have in common. So any part of a request's samples comes out the same.

    Args:
        model: What is served; its weights come by `load_weights`, and before the first nothing can be submitted.
        device: "cpu" or "cuda"; what this installation of vLLM runs on.
        dtype: Of the weights here; the learner's are cast to it.
        max_tokens: Most tokens of a prompt with its response.
        max_rows: Most samples decoded at once.
        tensor_parallel: Processes (and GPUs) that share the weights; 1 is this process.
        cache_bytes: On the CPU, bytes of keys and values.
        memory_share: On CUDA, share of a GPU's memory, weights included.
        enforce_eager: On CUDA, without CUDA graphs. The CPU always runs so.
        can_sleep: On CUDA, so that `sleep` gives the memory back until the next sync.
        transfer: vLLM's weight-transfer engine through which weights will come, None where they are copied.
        tells_pieces: Whether `pieces` is asked for; each step then hands over every sample as far as it is.
        stopwatch: Told where the time goes.

    Raises:
        ModelError: vLLM's parameters are not the learner's.
    """

    def __init__(
        self,
        model: ServedModel,
        *,
        device: str,
        dtype: str,
        max_tokens: int,
        max_rows: int = 256,
        tensor_parallel: int = 1,
        cache_bytes: int = 2_000_000_000,
        memory_share: float = 0.4,
        enforce_eager: bool = False,
        can_sleep: bool = False,
        transfer: str | None = None,
        tells_pieces: bool = False,
        stopwatch: Stopwatch | None = None,
    ) -> None:
        self.policy_version = 0
        self._model = model
        self._stopwatch = stopwatch or Stopwatch()
        self._max_tokens = max_tokens
        self._numbers = count()
        self._running: dict[str, tuple[Request, int]] = {}
        self._tells_pieces = tells_pieces
        self._told: dict[str, int] = {}
        self._pieces: list[Piece] = []
        self._can_sleep = can_sleep and device == "cuda"
        self._ready = False
        self._groups_are_ours = tensor_parallel == 1 and not torch.distributed.is_initialized()
        on_device: dict[str, Any] = (
            {
                "kv_cache_memory_bytes": cache_bytes,
                "enforce_eager": True,
                "block_size": _CPU_BLOCK,
                # A prompt read in parts makes vLLM rewind its request's generator, which the CPU's cannot.
                "enable_chunked_prefill": False,
                "max_num_batched_tokens": max(max_tokens, _CPU_READ_TOKENS),
            }
            if device == "cpu"
            else {"gpu_memory_utilization": memory_share, "enforce_eager": enforce_eager}
        )
        self._llm = _started(
            model=model.path,
            trust_remote_code=model.trust_remote_code,
            dtype=dtype,
            max_model_len=max_tokens,
            max_num_seqs=max_rows,
            tensor_parallel_size=tensor_parallel,
            distributed_executor_backend="uni" if tensor_parallel == 1 else "mp",
            additional_config={"forbidden_ids": list(model.forbidden_ids)},
            enable_sleep_mode=self._can_sleep,
            weight_transfer_config={"backend": transfer} if transfer else None,
            **(_image_settings(model) if model.image_token is not None else {}),
            **on_device,
        )
        self._core = self._llm.llm_engine
        shapes = {name: tuple(shape) for name, shape in model.shapes.items()}
        self.places = places(self.call_workers("probe_weights", shapes), shapes)

    # ---- sampling ----

    @property
    def pending(self) -> int:
        """Samples submitted and not yet returned."""
        return len(self._running)

    def submit(self, requests: Sequence[Request]) -> None:
        """Queue requests.

        Raises:
            RethinkerError: a request may grow longer than `max_tokens`.
            ModelError: vLLM reads a prompt otherwise than the learner.
        """
        if not self._ready:
            raise RuntimeError("the engine has no weights yet, or sleeps; sync them first")
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        for request in requests:
            if request.sampling.max_tokens < 1 or not request.seeds:
                asked = f"{len(request.seeds)} samples of {request.sampling.max_tokens} tokens"
                raise ValueError(f"request {request.id} asks for {asked}; both must be at least 1")
            refuse_too_long(request, self._max_tokens)
            with self._stopwatch.within("prefill"):
                (rendered,) = self._llm.renderer.render_cmpl(
                    [tokens_prompt(request, image_token=self._model.image_token)]
                )
            refuse_other_expansion(list(rendered["prompt_token_ids"]), request, model=self._model.path)
            for sample, seed in enumerate(request.seeds):
                settings = sampling_settings(request.sampling, seed, eos_ids=self._model.eos_ids)
                name = str(next(self._numbers))
                told = RequestOutputKind.CUMULATIVE if self._tells_pieces else RequestOutputKind.FINAL_ONLY
                params = SamplingParams(**settings, output_kind=told)
                self._core.add_request(name, rendered, params)
                self._running[name] = (request, sample)

    def step(self) -> list[Completion]:
        """One step of vLLM's; completions that ended with it."""
        self._pieces = []
        if not self._running:
            return []
        with self._stopwatch.within("decode"):
            outputs = self._core.step()
            if self._tells_pieces:
                self._pieces = [self._piece(each) for each in outputs if each.request_id in self._running]
            finished = [
                completion(*self._running.pop(output.request_id), output.outputs[0], version=self.policy_version)
                for output in outputs
                if output.finished and output.request_id in self._running
            ]
            self._stopwatch.count(columns=1, tokens=sum(len(each.token_ids) for each in finished))
        return finished

    def pieces(self) -> list[Piece]:
        """What the last `step` sampled, where the engine was made to tell."""
        return self._pieces

    def _piece(self, output: Any) -> Piece:
        """What a sample grew by; once it has ended nothing more is noted."""
        request, sample = self._running[output.request_id]
        grown = tuple(output.outputs[0].token_ids)
        told = self._told.pop(output.request_id, 0)
        if not output.finished:
            self._told[output.request_id] = len(grown)
        return Piece(request_id=request.id, sample=sample, token_ids=() if output.finished else grown[told:])

    def cancel(self, request_id: str) -> None:
        """Forget a request, waiting or decoding."""
        names = [name for name, (request, _) in self._running.items() if request.id == request_id]
        self._core.abort_request(names)
        for name in names:
            del self._running[name]
            self._told.pop(name, None)

    # ---- weights ----

    def load_weights(self, weights: Iterator[tuple[str, Tensor]], version: int) -> None:
        """Take the learner's weights and forget all that was made with others.

        Raises:
            RethinkerError: a weight is missing, unknown, or not what was sent.
        """
        receipt = Receipt(self.places)
        self.make_ready()
        by_copies(self.call_workers)(receipt.passing(weights))
        self.accept(receipt.sent(), version)

    def make_ready(self) -> None:
        """Have room for weights that are about to come, whatever way (`vllm_transfer`)."""
        if self._running:
            raise RuntimeError("weights changed while samples were decoding; drain the engine first")
        self._wake("weights")

    def accept(self, sent: Mapping[str, float], version: int) -> None:
        """Sample from now on with the weights that came, if they are those that were sent.

        Args:
            sent: See `vllm_weights.compare`.

        Raises:
            RethinkerError: they are not.
        """
        compare(sent, self.call_workers("weight_squares"))
        self._wake("kv_cache")
        self._forget()
        self.policy_version = version
        self._ready = True

    def call_workers(self, method: str, *args: Any) -> list[Any]:
        """Call a method of every worker (`vllm_worker.WeightReceiver`, or vLLM's own); their answers by rank."""
        answers: list[Any] = self._llm.collective_rpc(method, args=args)
        return answers

    def _forget(self) -> None:
        """Empty the caches of prefixes, of processed images and of image features."""
        if not self._core.reset_prefix_cache():
            raise RuntimeError("vLLM did not empty its prefix cache; a request was still running")
        self._core.reset_mm_cache()
        self._core.reset_encoder_cache()

    # ---- room ----

    def sleep(self) -> None:
        """Free weights and cache until the next sync, where it was asked for; nothing on the CPU."""
        if self._can_sleep and self._ready:
            self._ready = False
            self._llm.sleep(level=2)

    def _wake(self, part: str) -> None:
        if self._can_sleep and self._core.is_sleeping():
            self._llm.wake_up(tags=[part])

    def close(self) -> None:
        """Stop vLLM and its workers."""
        self._running.clear()
        self._core.engine_core.shutdown()
        if self._groups_are_ours:
            from vllm.distributed import destroy_distributed_environment, destroy_model_parallel

            destroy_model_parallel()
            destroy_distributed_environment()


def _started(**settings: Any) -> Any:
    """vLLM's `LLM` in this process, quietly, and torch as it was.

    On the CPU vLLM takes `torch.set_num_threads` away from the process that it runs in.
    """
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", _dealt_cores(settings["tensor_parallel_size"]))
    os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    from vllm import LLM

    set_threads = torch.set_num_threads
    try:
        return LLM(
            logprobs_mode="raw_logprobs",
            enable_prefix_caching=True,
            worker_extension_cls=f"{_WORKER}.WeightReceiver",
            logits_processors=[f"{_WORKER}:Forbid"],
            seed=0,
            **settings,
        )
    finally:
        torch.set_num_threads = set_threads


def _dealt_cores(ranks: int) -> str:
    """On the CPU, which cores each rank computes on; vLLM itself wants a memory node for each."""
    cores = sorted(os.sched_getaffinity(0))
    if ranks == 1 or len(cores) < ranks:
        return "nobind"
    return "|".join(",".join(map(str, cores[rank::ranks])) for rank in range(ranks))


def _image_settings(model: ServedModel) -> dict[str, Any]:
    """Bounds of images as the learner's processor has them."""
    bounds = {"min_pixels": model.min_pixels, "max_pixels": model.max_pixels}
    set_bounds = {name: bound for name, bound in bounds.items() if bound}
    return {"limit_mm_per_prompt": {"video": 0}, **({"mm_processor_kwargs": set_bounds} if set_bounds else {})}
