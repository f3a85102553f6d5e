"""What holds for every test, and the one untrained model that they share."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from tests.pages import Open, visiting

if TYPE_CHECKING:  # tests without a model do not pay for torch
    from rethinker.models.vlm import VLM

# No deadline: how long an example takes is not a property of the code. The same examples on every machine.
settings.register_profile("suite", deadline=None, derandomize=True)
settings.load_profile("suite")

CLUSTERS = frozenset(
    f"test_{name}.py" for name in ("two_hosts", "ray_run", "torchrun", "vllm_run", "ray_joining", "ray_cluster")
)
"""Files whose tests start Ray, or several processes at once."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Clusters come first: they wait more than they compute, and under `-n` all others fit beside them."""
    items.sort(key=lambda item: item.path.name not in CLUSTERS)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Under `-n`, files stay whole, as their tests share what is slow to make, and clusters run one at a time."""
    from xdist.scheduler import LoadScopeScheduling

    class Files(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::")[0].rpartition("/")[2]
            return "clusters" if file in CLUSTERS else file

    return Files(config, log)


@pytest.fixture(scope="session")
def tiny_vlm() -> VLM:
    """An untrained tiny VLM. Shared by all tests: read it, and take `own_vlm` to train."""
    import torch

    from rethinker.learner.warmup import WarmupPlan, fresh

    torch.set_num_threads(1)
    return fresh(WarmupPlan())


@pytest.fixture
def own_vlm(tiny_vlm: VLM) -> VLM:
    """A copy of the untrained tiny VLM that a test may change."""
    return copied(tiny_vlm)


@pytest.fixture(scope="session")
def tiny_folder(tiny_vlm: VLM, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The untrained tiny VLM as a Hugging Face folder."""
    folder = tmp_path_factory.mktemp("model") / "untrained"
    folder.mkdir()
    tiny_vlm.save(folder)
    return folder


def copied(vlm: VLM) -> VLM:
    """The same weights in a module of their own."""
    return type(vlm)(copy.deepcopy(vlm.module), vlm.processor)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A real browser, where there is one; playwright's loop runs in its thread until the module ends."""
    from benchmarks.chromium import browser

    try:
        with browser() as started:
            yield started
    except LookupError as error:
        pytest.skip(str(error))


@pytest.fixture
def visit(chromium: Any) -> Iterator[Open]:
    """Opens pages in the browser."""
    with visiting(chromium) as opened:
        yield opened
