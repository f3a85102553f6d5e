from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from tests.planning.clusters import HELD, cluster, shape, time, work

from rethinker.planning.efficiency import PUBLISHED
from rethinker.planning.scaling_out import WORTH, episode_time, has_room, held_back_by, stops, sweep


def test_phases_add_up_where_they_take_turns() -> None:
    found = time(64)
    assert found.seconds == pytest.approx(sum(phase.seconds for phase in found.phases.values()))
    assert found.step_seconds == pytest.approx(found.seconds / 16)
    assert found.throughput == pytest.approx(8192 * 2048 / found.seconds / 64)


def test_the_longer_side_counts_where_generation_goes_on_meanwhile() -> None:
    turns, overlapped = (time(64, engine_gpus=32, staleness=staleness) for staleness in (0, 1))
    sampled = overlapped.phases["generate"].seconds + overlapped.phases["verify"].seconds
    learned = overlapped.phases["learn"].seconds
    assert overlapped.seconds == pytest.approx(max(sampled, learned) + overlapped.phases["sync"].seconds)
    assert turns.seconds == pytest.approx(sampled + learned + overlapped.phases["sync"].seconds)
    assert overlapped.hidden == ("prepare", "generate", "verify")
    assert overlapped.bound.startswith("learn: ")
    few = time(64, engine_gpus=8, staleness=1, asked=work(first=replace(work().first, longest=8192, mean=4096)))
    assert few.hidden == ("learn",)
    assert few.bound.startswith("generate: ")


def test_images_that_are_prepared_ahead_bound_an_episode_and_no_more() -> None:
    assert time(8, asked=work(images=1024)).seconds == time(8).seconds
    many = time(512, asked=work(images=8192, readers=2))
    assert many.seconds == pytest.approx(8192 * PUBLISHED.image / 2)
    assert many.bound == "reading ahead: images"


def test_it_stops_where_twice_the_gpus_are_hardly_faster_and_says_why() -> None:
    times = sweep(time)
    assert [each.cluster.gpus for each in times] == [8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096]
    found = stops(times)
    assert found is not None
    one, two = found
    assert one.cluster.gpus == 128  # as many ranks as prompts' copies in an update
    assert held_back_by(one, two) == "learn: too few groups"
    earlier = times[: times.index(one) + 1]
    assert all(a.seconds >= WORTH * b.seconds for a, b in pairwise(earlier))
    assert stops(earlier) is None


def test_what_holds_back_is_what_more_gpus_do_not_share() -> None:
    assert held_back_by(time(64, asked=work(verify_workers=1)), time(128, asked=work(verify_workers=1))) == (
        "verify: verifying"
    )
    long = work(first=replace(work().first, longest=16384), together=1)
    assert held_back_by(time(256, asked=long), time(512, asked=long)) == "generate: longest response"


def test_sizes_that_nothing_fits_on_are_left_out() -> None:
    assert [each.cluster.gpus for each in sweep(lambda gpus: time(gpus) if gpus > 1000 else None)] == [1024, 2048, 4096]
    assert has_room(shape(), work(), cluster(8), held=HELD)
    assert not has_room(shape("72B"), work(), cluster(8, size="72B"), held=60e9)
    apart = cluster(16, size="72B", engine_gpus=8)
    assert has_room(shape("72B"), work(), apart, held=60e9)
    assert episode_time(shape("72B"), work(), apart, held=60e9).seconds > 0


def test_throughput_never_grows_with_gpus() -> None:
    rates = [each.throughput for each in sweep(time)]
    assert rates == sorted(rates, reverse=True)
