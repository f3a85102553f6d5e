"""One group through Forced Rethinking to the loss, every number by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.conftest import copied
from tests.rollout.scripted import CUT, RuleScorer, ScriptedEngine, problem, rethinker, scripted_logprobs

from rethinker.algo.advantages import grpo
from rethinker.algo.credit import credit
from rethinker.algo.forcing import TRIGGERS
from rethinker.algo.objectives import clipped_surrogate, token_log_ratio, weighted_mean
from rethinker.interfaces import Request, Sampling
from rethinker.learner.collate import collate
from rethinker.learner.learner import Objective, Optimisation, PolicyLearner
from rethinker.learner.logprobs import token_logprobs
from rethinker.learner.micro_batches import Row
from rethinker.models.vlm import VLM
from rethinker.rollout.rethink import Extended
from rethinker.rollout.scoring import first_requests, scored_groups
from rethinker.seeding import Purpose
from rethinker.timing import Stopwatch
from rethinker.types import Experience, Group, Outcome, Problem, Rethought

RIGHT, WRONG = "The answer is \\boxed{3}.", "The answer is \\boxed{7}."
FIRST = (RIGHT, WRONG, WRONG + CUT, RIGHT, WRONG, WRONG)
SECOND = {
    0: "\nLook: \\boxed{3}",
    1: "\nLook: 1+2=3. \\boxed{3}",
    3: "\nYes.",  # no answer of its own: y1's was right, and that does not count
    4: "\nStill \\boxed{3}",  # right, but two lower samples are right as well
    5: "\nLook: \\boxed{3}" + CUT,  # right, but it does not end
}
WORLD = problem("p", image=True)


def say(request: Request, sample: int) -> str:
    return SECOND[int(request.id.split("#")[-1])] if len(request.prefix) else FIRST[sample]


def first_looks(vlm: VLM, engine: ScriptedEngine, problems: list[Problem], samples: int = len(FIRST)) -> list[Group]:
    requests = first_requests(
        [vlm.encode(each, "plain") for each in problems],
        samples=samples,
        sampling=Sampling(max_tokens=32),
        seed=0,
        purpose=Purpose.FIRST,
        step=0,
    )
    scorer = RuleScorer()
    return scored_groups(problems, requests, vlm=vlm, engine=engine, scorer=scorer, stopwatch=Stopwatch())


@pytest.fixture(scope="module")
def engine(tiny_vlm: VLM) -> ScriptedEngine:
    return ScriptedEngine(tiny_vlm, say)


@pytest.fixture(scope="module")
def group(tiny_vlm: VLM, engine: ScriptedEngine) -> Group:
    return first_looks(tiny_vlm, engine, [WORLD])[0]


@pytest.fixture(scope="module")
def extended(tiny_vlm: VLM, engine: ScriptedEngine, group: Group) -> Extended:
    return rethinker(tiny_vlm, engine, RuleScorer()).extend([group])


@pytest.fixture(scope="module")
def look(extended: Extended) -> Rethought:
    """Sample 1: wrong at first, right after its second look, kept."""
    found = extended.groups[0].rollouts[1]
    assert isinstance(found, Rethought)
    return found


@pytest.fixture(scope="module")
def experiences(extended: Extended) -> list[Experience]:
    return credit(extended.groups[0], advantages=grpo, normalisation="sequence_mean", imitation="second_look")


def lengths(vlm: VLM, look: Rethought) -> tuple[int, int, int]:
    """Tokens of y1 without its end, of the trigger, and of y2 with its end."""
    return len(vlm.tokenize(WRONG)), len(vlm.tokenize(look.trigger)), len(vlm.tokenize(SECOND[1])) + 1


# ---- the splice --------------------------------------------------------------------------------------------------


def test_ids_are_spliced_and_the_first_look_loses_its_end_token_alone(tiny_vlm: VLM, look: Rethought) -> None:
    first, trigger, second = tiny_vlm.tokenize(WRONG), tiny_vlm.tokenize(look.trigger), tiny_vlm.tokenize(SECOND[1])
    end = tiny_vlm.eos_ids[0]
    assert look.trigger in TRIGGERS.values()
    assert look.token_ids.tolist() == [*first, *trigger, *second, end]
    assert look.first.token_ids.tolist() == [*first, end]
    assert look.trigger_span == (len(first), len(first) + len(trigger))
    assert look.text == WRONG + look.trigger + SECOND[1]


def test_only_the_trigger_is_forced_and_has_no_logprobs(tiny_vlm: VLM, look: Rethought) -> None:
    first, trigger, second = lengths(tiny_vlm, look)
    assert look.forced.tolist() == [False] * first + [True] * trigger + [False] * second
    expected = [
        *scripted_logprobs(first + 1, seed=1)[:-1],
        *[0.0] * trigger,
        *scripted_logprobs(second, seed=100),
    ]
    assert look.logprobs.tolist() == expected
    assert look.logprobs.dtype == np.float32


def test_the_engine_continues_the_spliced_prefix_and_not_text(
    tiny_vlm: VLM, engine: ScriptedEngine, extended: Extended
) -> None:
    asked = {int(request.id.split("#")[-1]): request for request in engine.asked if len(request.prefix)}
    assert set(asked) == {0, 1, 3, 4, 5}  # sample 2 did not end: it is not eligible
    for made in extended.second_looks:
        assert asked[made.sample].prefix.tolist() == made.token_ids[: made.trigger_span[1]].tolist()
        assert asked[made.sample].prompt is made.first.prompt


def test_a_second_look_is_judged_on_itself_alone(tiny_vlm: VLM, engine: ScriptedEngine, group: Group) -> None:
    scorer = RuleScorer()
    extended = rethinker(tiny_vlm, engine, scorer).extend([group])
    assert sorted(scorer.responses) == sorted(text.removesuffix(CUT) for text in SECOND.values())
    empty = next(made for made in extended.second_looks if made.sample == 3)
    assert empty.first.verdict.correct
    assert empty.verdict.outcome is Outcome.UNPARSED
    assert "\\boxed{3}" in empty.text  # of the first look


def test_at_most_two_are_kept_and_take_the_place_of_their_first_look(group: Group, extended: Extended) -> None:
    assert [made.sample for made in extended.second_looks] == [0, 1, 3, 4, 5]
    assert extended.kept == 2
    final = extended.groups[0].rollouts
    assert [isinstance(rollout, Rethought) for rollout in final] == [True, True, False, False, False, False]
    assert [rollout.sample for rollout in final] == [0, 1, 2, 3, 4, 5]
    assert all(now is before for now, before in zip(final[2:], group.rollouts[2:], strict=True))
    assert extended.groups[0].rewards.tolist() == [1, 1, 0, 1, 0, 0]  # before: 1 0 0 1 0 0


def test_a_second_look_that_has_no_room_is_not_forced(tiny_vlm: VLM, engine: ScriptedEngine, group: Group) -> None:
    longest_trigger = max(len(tiny_vlm.tokenize(text)) for text in TRIGGERS.values())
    taken = [len(r.prompt.token_ids) + len(r.token_ids) - 1 for r in group.rollouts]
    room = max(taken) + longest_trigger + 32
    assert len(rethinker(tiny_vlm, engine, RuleScorer(), room=room).extend([group]).second_looks) == 5
    assert (
        not rethinker(tiny_vlm, engine, RuleScorer(), room=min(taken) + longest_trigger + 31)
        .extend([group])
        .second_looks
    )


def test_what_is_not_forced_stays_as_it_was(tiny_vlm: VLM, engine: ScriptedEngine, group: Group) -> None:
    extended = rethinker(tiny_vlm, engine, RuleScorer(), share=0.0).extend([group])
    assert extended.groups[0].rollouts == group.rollouts
    assert (extended.second_looks, extended.kept) == ((), 0)


def test_two_groups_of_one_problem_keep_their_own_second_looks(tiny_vlm: VLM) -> None:
    """Dynamic sampling may meet a problem again in a later round of the same episode."""
    texts = iter(("one \\boxed{1}", "two \\boxed{2}"))
    engine = ScriptedEngine(tiny_vlm, lambda request, _: "\\boxed{3}" if len(request.prefix) else next(texts))
    groups = [first_looks(tiny_vlm, engine, [WORLD], samples=1)[0] for _ in range(2)]
    extended = rethinker(tiny_vlm, engine, RuleScorer()).extend(groups)
    assert extended.kept == 2
    for before, after in zip(groups, extended.groups, strict=True):
        assert after.rollouts[0].text.startswith(before.rollouts[0].text)


def test_a_problem_met_again_in_an_episode_is_looked_at_under_draws_of_its_own(tiny_vlm: VLM) -> None:
    engine = ScriptedEngine(tiny_vlm, lambda request, _: "\\boxed{3}" if len(request.prefix) else "\\boxed{7}")
    (met,) = first_looks(tiny_vlm, engine, [WORLD], samples=32)
    found = rethinker(tiny_vlm, engine, RuleScorer(), share=0.5).extend([met, replace(met, round=1)])
    made: dict[str, list[Request]] = {"0": [], "1": []}
    for request in engine.asked[1:]:
        made[request.id[0]].append(request)
    assert {r.id[2:] for r in made["0"]} != {r.id[2:] for r in made["1"]}  # who is forced
    seeds = {place: {request.seeds for request in requests} for place, requests in made.items()}
    assert not seeds["0"] & seeds["1"]
    triggers = [{r.id[2:]: r.prefix.tobytes() for r in requests} for requests in made.values()]
    assert any(triggers[0][both] != triggers[1][both] for both in triggers[0].keys() & triggers[1].keys())
    assert len(found.second_looks) == sum(map(len, made.values()))


def test_the_same_draws_are_made_whatever_the_company(tiny_vlm: VLM, engine: ScriptedEngine) -> None:
    groups = first_looks(tiny_vlm, engine, [problem(name) for name in "abcdef"])
    forced = rethinker(tiny_vlm, engine, RuleScorer(), share=0.5)

    def drawn(some: list[Group]) -> dict[str, list[tuple[int, str]]]:
        found: dict[str, list[tuple[int, str]]] = {group.problem.id: [] for group in some}
        for made in forced.extend(some).second_looks:
            found[made.prompt.problem_id].append((made.sample, made.trigger))
        return found

    together, apart = drawn(groups), {}
    for group in reversed(groups):
        apart |= drawn([group])
    assert together == apart
    assert 0 < sum(map(len, together.values())) < 30


# ---- credit ------------------------------------------------------------------------------------------------------


def test_every_token_of_a_kept_second_look_weighs_what_it_should(
    tiny_vlm: VLM, look: Rethought, experiences: list[Experience]
) -> None:
    first, trigger, second = lengths(tiny_vlm, look)
    kept = experiences[1]
    sampled, copied_ = np.float32(1 / (first + second)), np.float32(1 / (trigger + second))
    assert kept.rollout is look
    assert kept.advantage == 0.5  # 1 − mean(1, 1, 0, 1, 0, 0)
    assert kept.rl.tolist() == [sampled] * first + [0] * trigger + [sampled] * second
    assert kept.imitation.tolist() == [0] * first + [copied_] * (trigger + second)


def test_an_unforced_response_is_not_imitated(experiences: list[Experience]) -> None:
    for each in experiences[2:]:
        assert not each.imitation.any()
        assert each.rl.sum() == pytest.approx(1)
    assert [each.advantage for each in experiences] == [0.5, 0.5, -0.5, 0.5, -0.5, -0.5]


def test_the_trajectory_setting_imitates_the_whole_response(extended: Extended) -> None:
    made = credit(extended.groups[0], advantages=grpo, normalisation="token_mean", imitation="trajectory")[1]
    assert made.imitation.tolist() == [1.0] * len(made.rollout.token_ids)
    assert made.rl.tolist() == (~made.rollout.forced).astype(float).tolist()


# ---- the loss ----------------------------------------------------------------------------------------------------


def learner(vlm: VLM, **objective: float) -> PolicyLearner:
    return PolicyLearner(
        copied(vlm),
        objective=Objective(**objective),
        optimisation=Optimisation(steps=10, lr=1e-5, grad_clip=1e9),
    )


def with_own_logprobs(vlm: VLM, made: Experience) -> Experience:
    """The experience as if this very policy had sampled it, so that every ratio is 1."""
    own = learner(vlm).token_logprobs([made])[0]
    rollout = replace(made.rollout, logprobs=np.where(made.rollout.forced, 0, own).astype(np.float32))
    return replace(made, rollout=rollout)


def gradients(vlm: VLM, chosen: list[Experience], **objective: float) -> torch.Tensor:
    trained = learner(vlm, **objective)
    trained.update(chosen)
    return torch.cat([p.grad.flatten() for p in trained.vlm.module.parameters() if p.grad is not None]).double()


def same(a: torch.Tensor, b: torch.Tensor, tolerance: float = 1e-5) -> bool:
    return float((a - b).norm() / b.norm()) < tolerance


def test_the_batch_carries_the_weights_token_by_token(tiny_vlm: VLM, experiences: list[Experience]) -> None:
    kept = experiences[1]
    batch = collate([Row(prompt=kept.rollout.prompt, experiences=(kept,), times=(1,))], tiny_vlm, policy_version=0)
    assert batch.rl.tolist() == kept.rl.tolist()
    assert batch.imitation.tolist() == kept.imitation.tolist()
    assert batch.sampled.tolist() == (~kept.rollout.forced).tolist()
    assert batch.targets.tolist() == kept.rollout.token_ids.tolist()
    assert batch.advantages.tolist() == [0.5] * len(kept.rl)


def test_the_loss_is_what_the_hand_says(tiny_vlm: VLM, experiences: list[Experience]) -> None:
    kept, other = (with_own_logprobs(tiny_vlm, experiences[index]) for index in (1, 2))
    own = learner(tiny_vlm).token_logprobs([kept])[0].astype(np.float64)
    start = kept.rollout.trigger_span[0]  # type: ignore[attr-defined]
    metrics = learner(tiny_vlm, imitation_coefficient=0.05).update([kept, kept, other])
    # ρ = 1 everywhere, every response weighs 1: −(0.5 + 0.5 − 0.5) / 3, and the imitation term is y2's alone.
    assert metrics["policy/loss"].value == pytest.approx(-0.5 / 3, rel=1e-5)
    assert metrics["policy/imitation_loss"].value == pytest.approx(-own[start:].mean(), rel=1e-5)
    assert metrics["policy/ratio_mean"].value == pytest.approx(1, rel=1e-5)
    assert metrics["policy/engine_gap_max"].value == pytest.approx(0, abs=1e-4)


def test_the_trigger_has_exactly_no_policy_gradient(tiny_vlm: VLM, experiences: list[Experience]) -> None:
    kept = with_own_logprobs(tiny_vlm, experiences[1])
    batch = collate([Row(prompt=kept.rollout.prompt, experiences=(kept,), times=(1,))], tiny_vlm, policy_version=0)
    logprobs = token_logprobs(tiny_vlm, batch)[0].detach().requires_grad_()
    log_ratio = token_log_ratio(logprobs, batch.behaviour, sampled=batch.sampled)
    term = clipped_surrogate(log_ratio, batch.advantages, clip_low=0.2, clip_high=0.35, sampled=batch.sampled)
    weighted_mean(term.losses, batch.rl, total=float(kept.rl.sum())).backward()
    assert logprobs.grad is not None
    by_hand = -0.5 * kept.rl / kept.rl.sum()  # −Â·ρ·w / Σ w
    np.testing.assert_allclose(logprobs.grad.numpy(), by_hand, rtol=1e-4)
    assert not logprobs.grad[torch.from_numpy(kept.rollout.forced)].any()


def test_the_trigger_moves_the_weights_through_imitation_only(tiny_vlm: VLM, experiences: list[Experience]) -> None:
    kept = with_own_logprobs(tiny_vlm, experiences[1])
    wild = replace(
        kept, rollout=replace(kept.rollout, logprobs=np.where(kept.rollout.forced, -9, kept.rollout.logprobs))
    )
    plain = gradients(tiny_vlm, [kept])
    assert torch.equal(gradients(tiny_vlm, [wild]), plain)  # no ratio is taken at the trigger
    both = gradients(tiny_vlm, [kept], imitation_coefficient=0.05)
    copied_alone = gradients(tiny_vlm, [replace(kept, rl=np.zeros_like(kept.rl))], imitation_coefficient=0.05)
    assert not same(both, plain, tolerance=1e-3)
    assert same(both, plain + copied_alone)


def test_a_kept_second_look_in_a_batch_weighs_as_it_does_alone(tiny_vlm: VLM, experiences: list[Experience]) -> None:
    """Σ w over the whole update divides each component: two responses halve the policy part, not the imitation part."""
    kept, other = (with_own_logprobs(tiny_vlm, experiences[index]) for index in (1, 2))
    silent = replace(other, advantage=0.0)
    assert same(gradients(tiny_vlm, [kept, silent]), gradients(tiny_vlm, [kept]) / 2)
    imitated = [replace(each, rl=np.zeros_like(each.rl)) for each in (kept, silent)]
    alone = gradients(tiny_vlm, imitated[:1], imitation_coefficient=0.05)
    assert same(gradients(tiny_vlm, imitated, imitation_coefficient=0.05), alone)
