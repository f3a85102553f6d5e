import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rethinker.interfaces import Sampling
from rethinker.rollout.sampling import choose, uniforms

ALLOWED = torch.zeros(6, dtype=torch.bool)
SCORES = torch.tensor([0.5, 2.0, -1.0, 1.0, 0.0, 1.5])
JUST_BELOW_ONE = 1 - 2**-53


def picked(scores: torch.Tensor, draw: float, forbidden: torch.Tensor = ALLOWED, **sampling: float) -> int:
    ids, _ = choose(
        scores[None], torch.tensor([draw], dtype=torch.float64), sampling=Sampling(**sampling), forbidden=forbidden
    )
    return int(ids)


def support(**sampling: float) -> set[int]:
    """Ids that some draw picks."""
    draws = torch.linspace(0, 1, 2002, dtype=torch.float64)[:-1]
    rows = SCORES.expand(len(draws), -1)
    return set(choose(rows, draws, sampling=Sampling(**sampling), forbidden=ALLOWED)[0].tolist())


def frequencies(count: int, **sampling: float) -> torch.Tensor:
    """Shares of ids over evenly spread draws."""
    draws = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    ids, _ = choose(SCORES.expand(count, -1), draws, sampling=Sampling(**sampling), forbidden=ALLOWED)
    return ids.bincount(minlength=len(SCORES)) / count


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_ids_are_drawn_with_their_probability_at_the_temperature(temperature: float) -> None:
    wanted = torch.softmax(SCORES / temperature, -1)
    assert torch.allclose(frequencies(20_000, temperature=temperature), wanted, atol=2e-4)


def test_top_k_keeps_the_k_likeliest() -> None:
    assert support(top_k=3) == {1, 5, 3}
    assert support(top_k=0) == support(top_k=6) == support(top_k=99) == set(range(6))


def test_top_p_keeps_the_smallest_set_that_reaches_it() -> None:
    first, second = torch.softmax(SCORES, -1).sort(descending=True).values[:2].tolist()
    assert support(top_p=first - 1e-3) == {1}
    assert support(top_p=first + 1e-3) == {1, 5}
    assert support(top_p=first + second + 1e-3) == {1, 5, 3}


def test_top_p_applies_to_what_top_k_left() -> None:
    kept = torch.softmax(SCORES[[1, 5]], -1)[0]
    assert support(top_k=2, top_p=float(kept) - 1e-3) == {1}
    assert support(top_k=2, top_p=float(kept) + 1e-3) == {1, 5}


def test_temperature_zero_takes_the_likeliest_id_that_is_allowed() -> None:
    forbidden = ALLOWED.clone()
    forbidden[1] = True
    assert picked(SCORES, 0.99, temperature=0) == 1
    assert picked(SCORES, 0.0, forbidden, temperature=0) == 5


def test_log_probs_are_those_at_temperature_one_before_any_filter() -> None:
    forbidden = ALLOWED.clone()
    forbidden[1] = True
    sampling = Sampling(temperature=0.3, top_k=2, top_p=0.9)
    draws = torch.linspace(0, 0.999, 50, dtype=torch.float64)
    ids, logprobs = choose(SCORES.expand(50, -1), draws, sampling=sampling, forbidden=forbidden)
    assert torch.allclose(logprobs, torch.log_softmax(SCORES, -1)[ids])


@given(
    scores=st.lists(st.floats(-80, 80, width=32), min_size=2, max_size=40),
    draw=st.sampled_from([0.0, JUST_BELOW_ONE]) | st.floats(0, 1, exclude_max=True),
    data=st.data(),
    temperature=st.sampled_from([0.25, 1.0, 3.0]),
    top_k=st.integers(0, 5),
    top_p=st.sampled_from([0.3, 0.9, 1.0]),
)
def test_no_draw_picks_an_id_without_probability(
    scores: list[float], draw: float, data: st.DataObject, temperature: float, top_k: int, top_p: float
) -> None:
    row = torch.tensor(scores)
    allowed = data.draw(st.sets(st.integers(0, len(scores) - 1), min_size=1))
    forbidden = torch.tensor([index not in allowed for index in range(len(scores))])
    sampling = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
    chosen = picked(row, draw, forbidden, **sampling)
    assert chosen in allowed
    assert torch.softmax(row.masked_fill(forbidden, -torch.inf) / temperature, -1)[chosen] > 0


def test_the_last_id_is_passed_over_when_it_has_no_probability() -> None:
    forbidden = ALLOWED.clone()
    forbidden[-2:] = True
    assert picked(torch.zeros(6), JUST_BELOW_ONE, forbidden) == 3
    assert picked(torch.zeros(6), 0.0, forbidden) == 0


def test_each_row_may_forbid_its_own_ids() -> None:
    forbidden = torch.tensor([[True, False], [False, True]])
    draws = torch.zeros(2, dtype=torch.float64)
    ids, _ = choose(torch.zeros(2, 2), draws, sampling=Sampling(), forbidden=forbidden)
    assert ids.tolist() == [1, 0]


def test_draws_belong_to_the_seed_alone() -> None:
    both, alone = uniforms((3, 2**127), 5), uniforms((2**127,), 9)
    assert both.shape == (2, 5)
    assert np.array_equal(both[1], alone[0, :5])
    assert not np.array_equal(both[0], both[1])
