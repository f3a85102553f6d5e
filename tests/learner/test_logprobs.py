import math

import numpy as np
import pytest
import torch
from tests import plain
from tests.learner.given import experience

from rethinker.learner import logprobs as module
from rethinker.learner.collate import collate
from rethinker.learner.logprobs import token_logprobs
from rethinker.learner.micro_batches import rows
from rethinker.models.vlm import VLM
from rethinker.types import Experience

LENGTHS = (7, 1, 12, 5, 3, 9, 12)


@pytest.fixture(scope="module")
def chosen(tiny_vlm: VLM) -> list[Experience]:
    """Three responses to one image, one to text alone, three to two images; all mixed up."""
    prompts = plain.some_prompts(tiny_vlm)
    owners = (0, 2, 1, 0, 2, 0, 2)
    return [
        experience(prompts[owner], sample=sample, length=length, advantage=0.5)
        for sample, (owner, length) in enumerate(zip(owners, LENGTHS, strict=True))
    ]


def by_experience(vlm: VLM, chosen: list[Experience], *, share_prompts: bool) -> dict[int, torch.Tensor]:
    """Log-probs of one packed forward, under each experience's sample number."""
    packed = rows(chosen, share_prompts=share_prompts)
    flat, _ = token_logprobs(vlm, collate(packed, vlm, policy_version=0))
    inside = [e for row in packed for e in row.experiences]
    parts = flat.split([len(e.rollout.token_ids) for e in inside])
    return {e.rollout.sample: part for e, part in zip(inside, parts, strict=True)}


def gradients(vlm: VLM, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    named = dict(vlm.module.named_parameters())
    found = torch.autograd.grad(loss, list(named.values()))
    return dict(zip(named, found, strict=True))


def largest_difference(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> float:
    """Relative to the norm of each parameter's gradient, or of a thousandth of the whole where that is larger."""
    whole = float(torch.stack([g.norm() for g in right.values()]).norm())
    return max(float((left[n] - right[n]).norm() / max(float(right[n].norm()), 1e-3 * whole)) for n in right)


def test_a_packed_forward_equals_one_plain_forward_per_response(tiny_vlm: VLM, chosen: list[Experience]) -> None:
    with torch.no_grad():
        packed = by_experience(tiny_vlm, chosen, share_prompts=True)
        for one in chosen:
            alone = plain.logprobs(tiny_vlm, one.rollout.prompt, one.rollout.token_ids)
            assert (packed[one.rollout.sample] - alone).abs().max() < 1e-5


def test_shared_prompts_equal_separate_ones_and_so_do_their_gradients(tiny_vlm: VLM, chosen: list[Experience]) -> None:
    shared, separate = (by_experience(tiny_vlm, chosen, share_prompts=share) for share in (True, False))
    assert all((shared[n] - separate[n]).abs().max() < 1e-5 for n in shared)
    weights = {n: torch.linspace(-1, 2, len(part)) for n, part in shared.items()}
    left, right = (
        gradients(tiny_vlm, sum((parts[n] * weights[n]).sum() for n in parts)) for parts in (shared, separate)
    )
    assert largest_difference(left, right) < 1e-4


def test_gradients_equal_those_of_plain_forwards(tiny_vlm: VLM, chosen: list[Experience]) -> None:
    packed = by_experience(tiny_vlm, chosen, share_prompts=True)
    alone = [plain.logprobs(tiny_vlm, e.rollout.prompt, e.rollout.token_ids).mean() for e in chosen]
    left = gradients(tiny_vlm, torch.stack([part.mean() for part in packed.values()]).sum())
    right = gradients(tiny_vlm, torch.stack(alone).sum())
    assert largest_difference(left, right) < 1e-4


def test_what_a_sibling_says_changes_nothing(tiny_vlm: VLM, chosen: list[Experience]) -> None:
    with torch.no_grad():
        together = by_experience(tiny_vlm, chosen, share_prompts=True)
        alone = by_experience(tiny_vlm, chosen[:1], share_prompts=True)
    assert (together[0] - alone[0]).abs().max() < 1e-5


def test_scores_in_chunks_equal_scores_at_once(
    tiny_vlm: VLM, chosen: list[Experience], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = collate(rows(chosen), tiny_vlm, policy_version=0)
    whole, entropy = token_logprobs(tiny_vlm, batch)
    monkeypatch.setattr(module, "_CHUNK_SCORES", 5 * tiny_vlm.vocabulary)
    parts, entropies = token_logprobs(tiny_vlm, batch)
    assert (whole - parts).abs().max() < 1e-6
    assert (entropy - entropies).abs().max() < 1e-5
    left, right = (gradients(tiny_vlm, flat.mean()) for flat in (whole, parts))
    assert largest_difference(left, right) < 1e-5


def test_entropy_is_that_of_the_distribution(tiny_vlm: VLM, chosen: list[Experience]) -> None:
    one = chosen[0].rollout
    with torch.no_grad():
        _, entropy = token_logprobs(tiny_vlm, collate(rows(chosen[:1]), tiny_vlm, policy_version=0))
        scores = tiny_vlm.module(**plain.inputs(tiny_vlm, one.prompt, one.token_ids)).logits[0]
    wanted = torch.distributions.Categorical(logits=scores[-len(one.token_ids) - 1 : -1]).entropy()
    assert np.allclose(entropy, wanted, atol=1e-5)


@pytest.mark.parametrize(
    "row",
    [[1e4, 0, -1e4], [0, -math.inf, 1], [3e38, -3e38, 0], [1e-8, 0, -1e-8], [-1e4, -1e4, -1e4 - 17], [80, 0, 0]],
)
@pytest.mark.parametrize("target", [0, 2])
def test_scores_as_extreme_as_they_get_have_finite_entropies_and_gradients(row: list[float], target: int) -> None:
    """Beside float64; a rounding of a score's size is what float32 leaves of it."""
    scores = torch.tensor([row], dtype=torch.float32, requires_grad=True)
    exact = torch.tensor([row], dtype=torch.float64, requires_grad=True)
    logprob, entropy = module._picked(scores, torch.tensor([target]))
    (logprob + entropy).sum().backward()
    wanted = torch.log_softmax(exact, dim=-1)
    kept = torch.where(wanted > -math.inf, wanted, 0.0)
    its_entropy = -(wanted.exp() * kept).sum(dim=-1)
    (slope,) = torch.autograd.grad((wanted[0, target] + its_entropy).sum(), exact)
    assert logprob.item() == pytest.approx(wanted[0, target].item(), rel=1e-6, abs=1e-6)
    assert entropy.item() == pytest.approx(its_entropy.item(), abs=1e-6)
    assert scores.grad[0].tolist() == pytest.approx(slope[0].tolist(), abs=1e-5)
