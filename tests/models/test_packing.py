"""Both layouts of a packed line against plain attention, row by row."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from rethinker.models.attention import PackedLayout
from rethinker.models.blocks import BlockLayout
from rethinker.models.tables import TableLayout

HEADS, KEY_HEADS, WIDTH = 4, 2, 8
CPU = torch.device("cpu")


def alone(
    states: tuple[Tensor, Tensor, Tensor],
    prompts: list[int],
    responses: list[int],
    owners: list[int],
    blocks: list[np.ndarray] | None,
    window: int | None,
) -> Tensor:
    """Every row by itself with a mask written out."""
    starts = np.cumsum([0, *prompts, *responses])
    made = torch.zeros(1, int(starts[-1]), HEADS, WIDTH, device=states[0].device)
    for row in range(len(prompts) + len(responses)):
        mine = range(starts[row], starts[row + 1])
        owner = row if row < len(prompts) else owners[row - len(prompts)]
        shared = range(starts[owner], starts[owner + 1]) if row >= len(prompts) else range(0)
        keys = [*shared, *mine]
        seen = torch.zeros(len(mine), len(keys), dtype=torch.bool, device=made.device)
        for asks in range(len(mine)):
            for place in range(len(keys)):
                distance = len(shared) + asks - place
                same = blocks is not None and row < len(prompts) and blocks[row][asks] == blocks[row][place] >= 0
                seen[asks, place] = bool((distance >= 0 or same) and distance < (window or 10**6))
        query = states[0][:, :, list(mine)]
        key, value = (each[:, :, keys] for each in states[1:])
        part = scaled_dot_product_attention(query, key, value, attn_mask=seen, scale=0.3, enable_gqa=True)
        made[:, list(mine)] = part.transpose(1, 2)
    return made


@st.composite
def lines(draw: st.DrawFn) -> tuple[list[int], list[int], list[int]]:
    prompts = draw(st.lists(st.integers(1, 9), min_size=1, max_size=3))
    responses = draw(st.lists(st.integers(1, 12), max_size=5))
    return prompts, responses, [draw(st.integers(0, len(prompts) - 1)) for _ in responses]


Line = tuple[list[int], list[int], list[int]]


def drawn(line: Line, seed: int, device: torch.device, *, trained: bool) -> tuple[Tensor, Tensor, Tensor]:
    chance = torch.Generator().manual_seed(seed)
    length = sum(line[0]) + sum(line[1])
    query, key, value = (
        torch.randn(1, heads, length, WIDTH, generator=chance).to(device).requires_grad_(trained)
        for heads in (HEADS, KEY_HEADS, KEY_HEADS)
    )
    return query, key, value


def compare(
    kind: type[PackedLayout],
    line: Line,
    window: int | None,
    seed: int,
    device: torch.device,
    *,
    pictures: bool,
    trained: bool,
) -> None:
    prompts, responses, owners = line
    blocks = [np.arange(size) // 3 - 1 for size in prompts] if pictures else None
    states = drawn(line, seed, device, trained=trained)
    layout = kind(prompts, responses, owners, blocks=blocks, dtype=torch.float32, device=device)
    packed = layout.attend(0, *states, scaling=0.3, window=window)
    wanted = alone(states, prompts, responses, owners, blocks, window)
    assert (packed - wanted).abs().max() < 1e-5
    if trained:
        weights = torch.randn(packed.shape, generator=torch.Generator().manual_seed(seed)).to(device)
        mine, theirs = (torch.autograd.grad((made * weights).sum(), states) for made in (packed, wanted))
        for one, other in zip(mine, theirs, strict=True):
            assert (one - other).abs().max() < 1e-4


@settings(max_examples=25, deadline=None)
@given(line=lines(), window=st.sampled_from([None, 3, 7]), pictures=st.booleans(), seed=st.integers(0, 99))
def test_a_line_in_tables_attends_as_its_rows_would_alone(
    line: Line, window: int | None, pictures: bool, seed: int
) -> None:
    compare(TableLayout, line, window, seed, CPU, pictures=pictures, trained=True)


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("window", [None, 4])
@pytest.mark.parametrize("pictures", [False, True])
def test_a_line_in_blocks_attends_as_its_rows_would_alone(window: int | None, pictures: bool) -> None:
    line = ([9, 2, 6], [7, 1, 12, 5], [0, 2, 1, 0])
    compare(BlockLayout, line, window, 0, CPU, pictures=pictures, trained=False)  # no backward on a CPU


@pytest.mark.skipif(not torch.cuda.is_available(), reason="FlexAttention has a backward on CUDA alone")
@pytest.mark.parametrize("window", [None, 70])
@pytest.mark.parametrize("pictures", [False, True])
def test_blocks_have_the_right_gradients_on_cuda(window: int | None, pictures: bool) -> None:
    line = ([130, 40], [70, 200, 5], [0, 1, 0])
    compare(BlockLayout, line, window, 0, torch.device("cuda"), pictures=pictures, trained=True)


def test_unlike_rows_stand_in_different_tables_so_that_little_is_padding() -> None:
    lengths = np.random.default_rng(0).integers(8, 512, 200).tolist()
    layout = TableLayout([100] * 8, lengths, [n % 8 for n in range(200)], dtype=torch.float32, device=CPU)
    assert 0 < layout.padding < 0.1 * layout.slots


def test_a_line_of_like_rows_is_one_table_without_copies() -> None:
    layout = TableLayout([5, 5], [3, 3, 3], [0, 0, 1], dtype=torch.float32, device=CPU)
    assert (layout.padding, layout.slots) == (0, 19)


def test_blocks_never_make_a_mask_of_length_by_length() -> None:
    layout = BlockLayout([300], [200] * 6, [0] * 6, dtype=torch.float32, device=CPU)
    mask = layout._mask(None)
    assert mask.sparsity() > 50  # siblings never meet, and blocks of theirs are skipped whole
