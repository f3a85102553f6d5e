"""From a model's name to what answers with it. Part of `build.py`."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rethinker.build_learner import model_source
from rethinker.build_model import build_engine, build_vlm, set_threads
from rethinker.config import Config
from rethinker.config_files import load
from rethinker.cores import usable_cores
from rethinker.errors import ConfigError, ModelError
from rethinker.inference.engine_process import EngineProcess
from rethinker.inference.line import Load
from rethinker.inference.looks import Responder
from rethinker.inference.prompts import Prompts
from rethinker.interfaces import RolloutEngine
from rethinker.models import adapters
from rethinker.models.loading import load_outline
from rethinker.models.templates import Template
from rethinker.models.vlm import VLM
from rethinker.runs.checkpoints import chosen_checkpoint, verified

ENGINE = "rethinker.commands.engine_process"
"""What runs in the engine's process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answering:
    """All that answers questions; `engine` is started in the event loop that asks, and closed there."""

    engine: EngineProcess
    responder: Responder
    prompts: Prompts


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model that was named.

    Attributes:
        name: What clients call it.
        config: Of the run it comes from, or of defaults, with its place in `model.path`.
        adapter: The folder of a run's adapter, None for a whole model.
    """

    name: str
    config: Config
    adapter: Path | None = None


def named_model(name: str, settings: Sequence[str], files: Sequence[Path]) -> Model:
    """A model by a name: `tiny`, a model's folder, a run's folder (its newest checkpoint), or one of the hub.

    Args:
        settings: Overrides, after those of the run.

    Raises:
        RethinkerError: there is no such model.
    """
    folder = Path(name)
    if (folder / "config.yaml").is_file():
        return _of_run(folder, settings, files)
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise ModelError(
            f"the folder {folder} holds neither a model (config.json) nor a run (config.yaml); give a Hugging Face "
            "folder, a run's folder, or tiny"
        )
    looks_like_a_path = name.startswith((".", "/", "~")) or name.count("/") > 1
    if not folder.exists() and looks_like_a_path:
        raise ModelError(f"there is no folder {name}; give a Hugging Face folder, a run's folder, or tiny")
    config = load(list(files), [f"model.path={name}", *settings])
    return Model(name=folder.resolve().name if folder.is_dir() else name, config=config)


def _of_run(run: Path, settings: Sequence[str], files: Sequence[Path]) -> Model:
    """The newest checkpoint of a run, which may still be training."""
    config = load([run / "config.yaml", *files])
    checkpoint = chosen_checkpoint(run / "checkpoints", "last")
    verified(checkpoint)
    exported = checkpoint / "hf"
    own = ["cluster.kind=local", "engine.replicas=1", *settings]
    if config.model.adapter.kind != "lora":
        return Model(
            name=run.resolve().name, config=load([run / "config.yaml", *files], [f"model.path={exported}", *own])
        )
    base = config.model.path if config.model.path == "tiny" else adapters.base_of(exported)
    return Model(
        name=run.resolve().name,
        config=load([run / "config.yaml", *files], [f"model.path={base}", *own]),
        adapter=exported,
    )


def build_answering(model: Model, *, template: Template | None, max_tokens: int) -> Answering:
    """A model behind an engine in a process of its own; this one keeps what reads and writes text.

    Args:
        template: What is put after a question; None takes the run's.
        max_tokens: Most tokens of a response; the rest of the context is the prompt's.

    Raises:
        RethinkerError: it cannot be loaded, or the engine cannot run here.
    """
    config = model.config
    engine = EngineProcess(ENGINE, Load(model=model, max_tokens=max_tokens))
    try:
        set_threads(1)
        vlm = load_outline(model_source(config), sharing=(False, False))  # which the engine alone asks for
        engine.wait()
    except BaseException:
        engine.kill()
        raise
    context = min(_positions(vlm), config.prompt.max_tokens + max_tokens)
    return Answering(
        engine=engine,
        responder=Responder(engine, decode=_decoder(vlm), tokenize=vlm.tokenize, context=context),
        prompts=Prompts(vlm, engine, template=template or config.prompt.kind, most=context - 1),
    )


def load_engine(model: Model, *, max_tokens: int) -> tuple[VLM, RolloutEngine]:
    """Load a model with its engine, in the engine's process.

    Raises:
        RethinkerError: as `build_answering`.
    """
    config = model.config
    set_threads(config.threads or max(1, usable_cores() - 1))  # one is left for pictures, text and connections
    vlm = build_vlm(config, trained=model.adapter is not None)
    if model.adapter is not None:
        adapters.load_adapter(vlm.module, model.adapter)
    if max_tokens >= (positions := _positions(vlm)):
        raise ConfigError(
            f"--max-tokens {max_tokens} leaves no room for a question: the model has {positions:,} positions; give "
            f"{positions // 2:,} or less"
        )
    return vlm, build_engine(config, vlm, own_weights=True, tells_pieces=True)


def _positions(vlm: VLM) -> int:
    return int(vlm.module.config.get_text_config().max_position_embeddings)


def _decoder(vlm: VLM) -> Callable[[Sequence[int]], str]:
    """As `VLM.decode`, on a tokenizer of its own: two threads must not use one."""
    tokenizer = copy.deepcopy(vlm.tokenizer)

    def decode(token_ids: Sequence[int]) -> str:
        text: str = tokenizer.decode(list(token_ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    return decode
