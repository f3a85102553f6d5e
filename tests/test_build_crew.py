from __future__ import annotations

import pytest

from rethinker.build_crew import build_crew, refuse_missing_ray
from rethinker.config import Config
from rethinker.errors import ClusterError
from rethinker.timing import Stopwatch


@pytest.mark.parametrize(("version", "said"), [(None, "needs Ray"), ("2.9.3", r"Ray 2\.9\.3 is too old")])
def test_a_missing_or_old_ray_is_said_with_what_to_install(version: str | None, said: str) -> None:
    with pytest.raises(ClusterError, match=said + r".*pip install 'rethinker\[ray\]'"):
        refuse_missing_ray(version)
    refuse_missing_ray("2.60.0")


def launched_by_torchrun(monkeypatch: pytest.MonkeyPatch, *, local: int = 2) -> None:
    for name, value in {
        "TORCHELASTIC_RUN_ID": "none",
        "RANK": "0",
        "WORLD_SIZE": "2",
        "LOCAL_RANK": "0",
        "LOCAL_WORLD_SIZE": str(local),
        "TORCHELASTIC_RESTART_COUNT": "0",
    }.items():
        monkeypatch.setenv(name, value)


def test_a_launch_by_torchrun_that_nobody_meant_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    launched_by_torchrun(monkeypatch)
    with pytest.raises(ClusterError, match=r"torchrun started 2 processes, and cluster\.kind=local"):
        build_crew(Config(), Stopwatch(), after_loss=False)


def test_torchrun_over_several_machines_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    launched_by_torchrun(monkeypatch, local=1)
    config = Config.model_validate({"cluster": {"kind": "torchrun"}})
    with pytest.raises(ClusterError, match=r"1 of them here.*cluster\.kind=ray"):
        build_crew(config, Stopwatch(), after_loss=False)


def test_a_run_that_wants_torchrun_and_was_started_without_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    config = Config.model_validate({"cluster": {"kind": "torchrun"}})
    with pytest.raises(ClusterError, match=r"torchrun --nproc-per-node=N -m rethinker train"):
        build_crew(config, Stopwatch(), after_loss=False)


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({"pipeline": {"staleness": 1}}, r"pipeline\.staleness=1 needs engines in processes of their own"),
        (
            {"engine": {"kind": "torch", "replicas": 2}},
            r"engine\.replicas=2 with cluster\.kind=local, where one process holds one",
        ),
        ({"cluster": {"kind": "torchrun"}, "engine": {"kind": "torch", "replicas": 2}}, "every rank holds one"),
        ({"cluster": {"kind": "ray", "ranks": 2, "min_ranks": 3}}, r"cluster\.min_ranks=3 is more than"),
        ({"cluster": {"kind": "ray"}, "profile": True}, "profile=true watches one process"),
        (
            {"cluster": {"kind": "ray", "colocated": True}, "engine": {"kind": "vllm", "tensor_parallel": 2}},
            r"engine\.tensor_parallel=2 with an engine in every rank",
        ),
    ],
)
def test_sizes_that_the_processes_cannot_bear_are_refused(tree: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Config.model_validate(tree)
