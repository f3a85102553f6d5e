"""Tokens and floating-point operations of a step, and the seconds they take at an assumed share of a GPU's peak."""

from __future__ import annotations

from dataclasses import dataclass

from rethinker.planning.shapes import Architecture, Stack

LEARNER_MFU = 0.20
"""Share of peak that learning reaches; EasyR1 reports 16 to 23 % for a 7B model on eight H100."""
GENERATION_MFU = 0.05
"""Share of peak that generation reaches: decoding waits for memory, not for arithmetic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One optimiser step with its share of an episode's generation.

    Attributes:
        prompts: Prompts that pass the learner, one passed twice counted twice.
        responses: Responses trained on.
        looks: Second looks sampled for them.
        look_tokens: Length of a second look.
    """

    prompts: float
    prompt_tokens: int
    image_tokens: int
    responses: float
    response_tokens: int
    looks: float = 0.0
    look_tokens: int = 0

    @property
    def learned_tokens(self) -> float:
        """Tokens that pass the learner."""
        return self.prompts * self.prompt_tokens + self.responses * self.response_tokens

    @property
    def sampled_tokens(self) -> float:
        """Tokens that are generated."""
        return self.responses * self.response_tokens + self.looks * self.look_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Seconds of a step, by what is done."""

    learning: float
    generating: float

    @property
    def seconds(self) -> float:
        """Of the whole step."""
        return self.learning + self.generating


def estimate(
    model: Architecture, step: Step, *, checkpointed: bool, gpus: int, peak: float, group_size: int
) -> Estimate:
    """Time of a step.

    Args:
        checkpointed: The forward pass is done twice.
        gpus: GPUs that share the work.
        peak: Operations per second of one GPU in the weights' type.
        group_size: Responses that share a prompt in generation.
    """
    learning = learning_operations(model, step, checkpointed=checkpointed)
    prompts = step.responses / group_size
    generating = reading_operations(model, step, prompts) + step.sampled_tokens * decoding_operations(model, step)
    return Estimate(
        learning=learning / (gpus * peak * LEARNER_MFU), generating=generating / (gpus * peak * GENERATION_MFU)
    )


def learning_operations(model: Architecture, step: Step, *, checkpointed: bool) -> float:
    """Operations of an update: forward, backward and, with checkpointing, the second forward."""
    tower = model.vision
    looking = _passes(tower, checkpointed) if tower and tower.learns else 1
    return _operations(model, step, language=_passes(model.language, checkpointed), tower=looking, head=3)


def scoring_operations(model: Architecture, step: Step) -> float:
    """Operations of one forward over what an update learns from."""
    return _operations(model, step, language=1, tower=1, head=1)


def reading_operations(model: Architecture, step: Step, prompts: float) -> float:
    """Operations of reading prompts before they are continued."""
    language = model.language
    context = step.prompt_tokens + step.response_tokens
    reading = prompts * step.prompt_tokens * language.layers * _per_token(language, context)
    return reading + prompts * _per_image(model, step)


def decoding_operations(model: Architecture, step: Step) -> float:
    """Operations of one sampled token."""
    language, context = model.language, step.prompt_tokens + step.response_tokens
    return language.layers * _per_token(language, context) + 2 * model.vocabulary * language.width


def _operations(model: Architecture, step: Step, *, language: int, tower: int, head: int) -> float:
    stack, context = model.language, step.prompt_tokens + step.response_tokens
    layers = step.learned_tokens * stack.layers * _per_token(stack, context) * language
    scores = head * step.responses * step.response_tokens * 2 * model.vocabulary * stack.width
    return layers + scores + tower * step.prompts * _per_image(model, step)


def _per_image(model: Architecture, step: Step) -> float:
    """Operations of one forward of a prompt's images through the tower."""
    if model.vision is None:
        return 0.0
    patches = step.image_tokens * model.patches_per_token
    return patches * model.vision.layers * _per_token(model.vision, patches)


def _per_token(stack: Stack, context: int) -> float:
    """Operations of one layer for one token: two per weight, and two products with half of the context on average."""
    return 2 * stack.weights + 2 * context * stack.queries


def _passes(stack: Stack, checkpointed: bool) -> int:
    """A pass each: forward, gradients of activations, gradients of weights that are trained, and the second forward."""
    return 2 + stack.trained + checkpointed
