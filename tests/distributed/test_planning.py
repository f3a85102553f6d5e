"""An update dealt out to ranks, by a driver without weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.learner.given import batch, experience, learner, prompts
from tests.models import toys
from tests.models.checks import SIZES, problem

from rethinker.distributed.learner import ShardedLearner
from rethinker.distributed.peers import LocalPeer
from rethinker.learner.learner import PolicyLearner
from rethinker.learner.work import Planner, Work
from rethinker.models.loading import Source, load, load_outline
from rethinker.models.vlm import VLM
from rethinker.types import Experience, Outline


def planner(vlm: VLM, *, tokens: int = 16_384, share_prompts: bool = True) -> Planner:
    return Planner(vlm, micro_batch_tokens=tokens, share_prompts=share_prompts, divisor=None)


def many(vlm: VLM, groups: int = 12) -> list[Experience]:
    rng = np.random.default_rng(5)
    shown, told = prompts(vlm)
    lengths = rng.integers(2, 60, groups)
    return [
        experience(shown if number % 3 == 0 else told, sample=number, length=int(length), advantage=1.0)
        for number, length in enumerate(lengths)
    ]


def cost(vlm: VLM, work: Work) -> float:
    return sum(vlm.cost(row.prompt, row.lengths) for micro in work.micro_batches for row in micro)


def passed(works: list[Work]) -> list[int]:
    return sorted(id(e) for work in works for micro in work.micro_batches for row in micro for e in row.experiences)


@pytest.mark.parametrize("tokens", [150, 16_384])
@pytest.mark.parametrize("ranks", [1, 2, 4, 7])
def test_every_rank_has_its_share_and_as_many_micro_batches(tiny_vlm: VLM, ranks: int, tokens: int) -> None:
    chosen = many(tiny_vlm, groups=40)
    works = planner(tiny_vlm, tokens=tokens, share_prompts=False).plan(3, chosen, ranks=ranks)
    assert passed(works) == sorted(map(id, chosen))
    assert len({len(work.micro_batches) for work in works}) == 1
    assert len({(work.step, work.rl, work.imitation) for work in works}) == 1
    costs = [cost(tiny_vlm, work) for work in works]
    assert max(costs) < 1.3 * sum(costs) / ranks
    assert all(
        sum(row.length for row in micro) <= tokens or len(micro) == 1 for work in works for micro in work.micro_batches
    )


def test_a_prompt_that_is_most_of_an_update_is_shared_out_between_its_responses(tiny_vlm: VLM) -> None:
    shown, _ = prompts(tiny_vlm)
    chosen = [experience(shown, sample=s, length=100, advantage=1.0) for s in range(8)]
    works = planner(tiny_vlm).plan(1, chosen, ranks=4)
    assert [[len(row.experiences) for row in work.micro_batches[0]] for work in works] == [[2]] * 4


def test_totals_are_of_the_whole_update_and_what_weighs_nothing_is_left_out(tiny_vlm: VLM) -> None:
    chosen = batch(tiny_vlm)
    light = experience(prompts(tiny_vlm)[1], sample=8, length=4, advantage=1.0)
    light.rl[:] = 0
    light.imitation[:] = 0
    one, two = (planner(tiny_vlm).plan(1, [*chosen, light], ranks=n) for n in (1, 2))
    assert passed(one) == passed(two) == sorted(map(id, chosen))
    assert one[0].rl == two[0].rl == two[1].rl
    assert one[0].rl.weight == pytest.approx(len(chosen))


def test_nothing_chosen_is_no_work_for_anybody(tiny_vlm: VLM) -> None:
    assert [work.micro_batches for work in planner(tiny_vlm).plan(1, [], ranks=3)] == [(), (), ()]


def test_works_pickle_and_one_rank_does_what_a_learner_alone_does(tiny_vlm: VLM) -> None:
    alone, rank = learner(tiny_vlm), learner(tiny_vlm)
    (work,) = planner(tiny_vlm).plan(1, batch(tiny_vlm))
    assert rank.run(work) == alone.update(batch(tiny_vlm))
    assert rank.step == alone.step == 1


class Serving:
    """A whole learner in the place of a rank."""

    def __init__(self, learner: PolicyLearner) -> None:
        self.learner = learner

    def token_logprobs(self, micro_batches: object) -> object:
        return self.learner.score(micro_batches)

    def run(self, work: Work) -> object:
        raise ArithmeticError(f"step {work.step}")


def test_logprobs_come_back_in_the_order_asked_whoever_made_them(tiny_vlm: VLM) -> None:
    peers = [LocalPeer(f"learner {n}", Serving(learner(tiny_vlm, micro_batch_tokens=100))) for n in range(3)]
    sharded = ShardedLearner(peers, planner(tiny_vlm, tokens=100), patience=60)
    chosen = many(tiny_vlm, groups=7)
    found = sharded.token_logprobs(chosen)
    for each, wanted in zip(found, learner(tiny_vlm).token_logprobs(chosen), strict=True):
        np.testing.assert_allclose(each, wanted, atol=1e-5)
    with pytest.raises(ArithmeticError, match="step 1"):
        sharded.update(chosen)
    sharded.close()


@pytest.mark.parametrize("name", ["Qwen2.5-VL", "Gemma 3", "SmolVLM2", "Qwen3 (text)"])
def test_an_outline_encodes_counts_and_decodes_as_the_model(tmp_path: Path, name: str) -> None:
    VLM(*toys.build(name)).save(tmp_path)
    real = load(str(tmp_path), device="cpu")
    outline = load_outline(Source(path=str(tmp_path)), sharing=(real.shares_prompts, real.plain_scores))
    assert all(weight.is_meta for weight in outline.module.parameters())
    assert (outline.eos_ids, outline.forbidden_ids) == (real.eos_ids, real.forbidden_ids)
    assert outline.vocabulary == real.vocabulary
    assert outline.sees_images == real.sees_images
    for shape in SIZES if real.sees_images else ("told",):
        asked = problem(shape)
        ours, theirs = outline.encode(asked, "plain"), real.encode(asked, "plain")
        assert ours.token_ids.tolist() == theirs.token_ids.tolist()
        assert outline.cost(ours, [3, 9]) == real.cost(theirs, [3, 9])
        assert outline.operations(ours, [3, 9]) == real.operations(theirs, [3, 9])
        assert (outline.positions(ours) == real.positions(theirs)).all()
        sizes = tuple(image.pixels.shape[:2] for image in asked.images)
        sketched = Outline(id=asked.id, question=asked.question, image_sizes=sizes)
        assert outline.prompt_length(sketched, "plain") == len(theirs.token_ids)
    assert outline.decode(outline.tokenize("How many?")) == "How many?"
