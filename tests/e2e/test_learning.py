"""Training learns as it did: one more run stays within the recorded bands, and what learns otherwise does not."""

import pytest
from scripts import record_learning as learning


@pytest.fixture(scope="module")
def seeds() -> list[dict[str, learning.Curve]]:
    return learning.recorded()


def test_a_run_learns_as_the_recorded_seeds_did(tmp_path, seeds) -> None:
    learning.train(tmp_path / "run", seed=99)
    found = learning.curves(tmp_path / "run")
    assert not learning.departures(found, seeds), "\n".join(map(str, learning.departures(found, seeds)))
    assert found["reward/mean"][-1] > found["reward/mean"][0] + 0.1


@pytest.mark.parametrize("seed", range(len(learning.SEEDS)))
def test_no_recorded_seed_leaves_the_band_of_the_others(seeds, seed) -> None:
    assert not learning.departures(seeds[seed], seeds[:seed] + seeds[seed + 1 :])


def test_a_policy_that_stands_still_leaves_the_bands(seeds) -> None:
    still = {name: [curve[0]] * learning.WINDOWS for name, curve in seeds[0].items()}
    left = {each.curve for each in learning.departures(still, seeds)}
    assert {"reward/mean", "rethink/spontaneous", "tokens/response"} <= left


def test_a_value_that_is_no_number_leaves_the_bands(seeds) -> None:
    broken = seeds[0] | {"policy/grad_norm": [float("nan")] * learning.WINDOWS}
    assert [each.curve for each in learning.departures(broken, seeds)] == ["policy/grad_norm"] * learning.WINDOWS
