from __future__ import annotations

from dataclasses import replace

import pytest
from tests.planning.clusters import HELD, cluster, shape, time, work

from rethinker.planning import phases
from rethinker.planning.compute import Step, learning_operations
from rethinker.planning.efficiency import PUBLISHED
from rethinker.planning.gpus import GPUS
from rethinker.planning.work import Lengths


def generating(gpus: int = 8, **changes: object) -> phases.Phase:
    return phases.generate(shape(), work(**changes), cluster(gpus), held=HELD)


def learning(gpus: int = 8, **changes: object) -> phases.Phase:
    return phases.learn(shape(), work(**changes), cluster(gpus))


@pytest.mark.parametrize(("mean", "longest"), [(512, 1024), (275, 2048), (900, 1000), (1000, 1000)])
def test_lengths_have_their_mean_and_no_one_exceeds_the_longest(mean: float, longest: float) -> None:
    lengths = Lengths(mean=mean, longest=longest)
    assert sum(lengths.longer(token + 0.5) for token in range(round(longest))) == pytest.approx(mean, rel=0.01)
    assert lengths.longest_of(1) <= lengths.longest_of(100) <= longest
    assert lengths.longest_of(1e12) == pytest.approx(longest, rel=0.02)


def test_one_row_takes_its_tokens_times_the_weights_from_memory() -> None:
    one = work(queries=1, group_size=1, first=Lengths(mean=500, longest=500))
    phase = phases.generate(shape(), one, cluster(8), held=HELD)
    language = shape().language
    weights = 2 * (language.layers * language.weights + shape().vocabulary * language.width)
    assert phase.parts["longest response"] == pytest.approx(500 * weights / (3.35e12 * PUBLISHED.bandwidth))
    assert phase.parts["rows decoded"] < 0.05 * phase.parts["longest response"]


def test_more_gpus_shorten_generation_down_to_the_longest_response() -> None:
    seconds = [generating(gpus).seconds for gpus in (8, 64, 512, 4096)]
    assert seconds == sorted(seconds, reverse=True)
    assert seconds[0] / seconds[1] > 4
    assert seconds[2] / seconds[3] < 1.05  # a group is not spread over replicas
    assert {generating(gpus).parts["longest response"] for gpus in (8, 4096)} == {
        generating().parts["longest response"]
    }


def test_what_the_learner_holds_leaves_fewer_rows_and_takes_longer() -> None:
    tight = phases.generate(shape(), work(), cluster(8), held=52e9)
    assert tight.seconds > 1.2 * generating().seconds
    assert phases.room(shape(), work(), cluster(8), held=70e9) < 0


def test_second_looks_come_after_first_ones_and_are_not_read_again() -> None:
    looked = generating(looks=4096, look=Lengths(mean=512, longest=1024))
    assert looked.seconds > generating().seconds
    assert looked.parts["reading prompts"] == generating().parts["reading prompts"]
    alone = generating(first=Lengths(mean=512, longest=1024), queries=512)
    assert looked.seconds - generating().seconds > alone.seconds  # as many rows, but a first look stands before each


def test_tensor_parallel_shortens_the_longest_response_and_pays_for_its_sums() -> None:
    longest = [
        phases.generate(shape("72B"), work(), cluster(64, "H200", "72B", tensor_parallel=each), held=0).parts[
            "longest response"
        ]
        for each in (2, 4, 8)
    ]
    assert longest == sorted(longest, reverse=True)
    assert longest[0] / longest[1] < 2


def test_workers_verify_while_others_write() -> None:
    assert phases.verify(work(), cluster(), generating=60).seconds == PUBLISHED.verdict
    alone = phases.verify(work(verify_workers=1), cluster(), generating=60).seconds
    assert alone == pytest.approx(8192 * PUBLISHED.verdict - 60)


def test_learning_is_its_operations_and_a_cost_of_each_micro_batch() -> None:
    phase = learning(scorings=0)
    operations = 16 * learning_operations(shape(), work().update, checkpointed=True)
    assert phase.parts["arithmetic"] == pytest.approx(operations / (8 * 989e12 * PUBLISHED.arithmetic))
    assert phase.parts["launching"] == pytest.approx(16 * 16 * 4 * (28 + 32) * PUBLISHED.layer_seconds)
    assert phase.parts["network"] == phase.parts["too few groups"] == 0
    assert learning(scorings=1).seconds > phase.seconds


def test_ranks_without_groups_wait() -> None:
    parts = {gpus: learning(gpus).parts for gpus in (64, 128, 256, 1024)}
    assert parts[128]["too few groups"] == pytest.approx(0)
    assert parts[256]["too few groups"] == pytest.approx(parts[256]["arithmetic"])
    both = [parts[gpus]["arithmetic"] + parts[gpus]["too few groups"] for gpus in (128, 256, 1024)]
    assert both == pytest.approx([both[0]] * 3)
    assert learning(1024, together=1).seconds < learning(1024).seconds


def test_smaller_micro_batches_gather_and_launch_more_often() -> None:
    slow = replace(cluster(64), gpu=replace(GPUS["H100"], between=0.5e9))
    coarse, fine = (
        phases.learn(shape(), work(micro_batch_tokens=tokens, together=1), slow) for tokens in (16384, 4096)
    )
    assert fine.parts["launching"] > 2.9 * coarse.parts["launching"]
    assert fine.parts["network"] > 2.9 * coarse.parts["network"] > 0
    assert learning(64, together=1).parts["network"] == 0  # behind the arithmetic, on the vendor's links


def test_nothing_hides_where_the_same_cores_compute_and_move() -> None:
    here = replace(cluster(64), efficiency=replace(PUBLISHED, overlapped=False))
    assert phases.learn(shape(), work(), here).parts["network"] > 0


def test_an_adapter_moves_no_gradients_of_its_base() -> None:
    slow = replace(cluster(64), gpu=replace(GPUS["H100"], between=0.5e9))
    frozen = {name: replace(part, trained=0) for name, part in shape().parameters.items()}
    adapted = phases.learn(replace(shape(), parameters=frozen), work(), slow)
    assert adapted.parts["network"] < 0.7 * phases.learn(shape(), work(), slow).parts["network"]


def test_weights_go_to_engines_at_the_speed_of_the_links() -> None:
    seconds = phases.sync(shape(), work(), cluster(8)).seconds
    assert seconds == pytest.approx(2 * shape().total.total * 7 / 8 / (450e9 * 0.8), rel=0.05)
    assert phases.sync(shape(), work(), cluster(8, "L20")).seconds > 10 * seconds


def test_a_faster_kind_takes_less() -> None:
    seconds = [time(16, kind=kind).seconds for kind in ("L20", "A800-80", "H100", "H200")]
    assert seconds == sorted(seconds, reverse=True)


def test_text_alone_needs_no_tower() -> None:
    text = replace(shape(), vision=None)
    update = Step(prompts=128, prompt_tokens=1024, image_tokens=0, responses=512, response_tokens=1024)
    assert phases.learn(text, work(update=update), cluster()).seconds < learning().seconds
