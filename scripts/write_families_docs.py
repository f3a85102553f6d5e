"""Write `docs/families.md` from the checks of every family: `python -m scripts.write_families_docs`.

A test compares the file with what this makes, but for the bounds shown of measured differences: rounding is the
machine's, and the checks themselves say what it may be.
"""

from __future__ import annotations

from pathlib import Path

from tests.models.checks import CHECKS, measured, subject
from tests.models.toys import TOYS

PAGE = Path(__file__).parents[1] / "docs" / "families.md"

INTRODUCTION = """\
# Families of models

Every Hugging Face model whose processor and forward agree on keyword names takes one path through Rethinker. These
families are tested, each built at toy width from its own configuration class with its own processor class. Written
from `tests/models/checks.py` by `python -m scripts.write_families_docs`: run it after a change.

The yardstick is the family itself: its processor called once per prompt by its chat template, its module with
Hugging Face's own attention, one forward per response. Numbers bound the largest difference measured (float32;
log-probs in nats, gradients relative to each parameter's norm); *holds* stands for what is exact.
"""

NOTES = """\
- **prompts**: *shared* means that a prompt and its images pass the model once for all responses to it, in the learner
  and in the engine. Where something besides attention mixes tokens (a recurrent or hybrid layer), where attention
  cannot be chosen by name, where images are read in a way that is not known here (Gemma 4's larger models let an
  image's tokens see each other both ways in some layers alone) or where layers share keys (its smaller ones), every
  response is a forward of its own: right, slower, and said once when the model is loaded, with the reason. Which of
  the two holds is found by trying a prompt with an image, so a model that is not listed is sorted the same way.
- **prompt → ids, pixels**: the ids are those of Hugging Face's own call, and there are as many placeholders as image
  features, for no, one and several images of very different sizes.
- **length from sizes**: the length of a prompt is counted from its question and image sizes without a pixel.
- **engine log-probs**: those of sampled tokens, rows with no, one and several images decoding together.
- **learner log-probs, gradients**: of all responses in one packed micro-batch.
- **mixed rows**: every choice of prompts with and without images in one batch.
- **a step learns**: one update lowers the loss of a fixed batch.
- **save, load**: through a folder that `transformers` loads; tied embeddings stay tied.
- **forbidden ids**: image and other placeholders are never sampled, end tokens may be.

Sliding windows and image tokens that see each other both ways (Gemma 3), deep-stacked features (Qwen3-VL), tiles
(InternVL3, LLaVA-OneVision, SmolVLM2) and positions on three axes (Qwen-VL) are part of what is checked. A new family
needs no code if these rules fit it; what it does unlike the others is one entry in `src/rethinker/models/families.py`.

Where a vision tower is sharded over processes, each of them must call it in every forward that reads prompts. A batch
without images, in the learner or in the engine, therefore gets a blank image that nothing sees
(`VLM(..., blank_image=True)`; two processes are checked with images on either of them and on none). It does not even
out how many forwards each process makes: whoever shards a model gives every process the same number.
"""


def document() -> str:
    """The whole page."""
    head = ["family", "class", "prompts", *CHECKS]
    lines = [INTRODUCTION, f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    lines += [f"| {' | '.join(_row(name))} |" for name in TOYS]
    return "\n".join([*lines, "", NOTES])


def _row(name: str) -> list[str]:
    vlm = subject(name).vlm
    cells = [_shown(measured(name, column), allowed) for column, (_, allowed) in CHECKS.items()]
    return [name, f"`{type(vlm.module).__name__}`", "shared" if vlm.shares_prompts else "separate", *cells]


def _shown(gap: float, allowed: float) -> str:
    """What the check allows, or a tenth of it where what was measured is three times below that."""
    if not allowed:
        return "holds"
    return f"≤ {allowed / 10 if 3 * gap <= allowed / 10 else allowed:.0e}".replace("e-0", "e-")


if __name__ == "__main__":
    PAGE.write_text(document(), encoding="utf-8")
