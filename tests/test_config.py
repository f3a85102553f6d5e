import pytest
from pydantic import BaseModel, ValidationError

from rethinker.algorithm_config import SsrReplayConfig
from rethinker.config import Config, ForcedRethinkConfig, SamplerConfig, VerifierConfig
from rethinker.config_section import Section
from rethinker.model_config import ModelConfig
from rethinker.warmup_config import WarmupConfig


def below(section: type[Section]) -> list[type[Section]]:
    return [each for child in section.__subclasses__() for each in (child, *below(child))]


SECTIONS = below(Section)
assert {Config, WarmupConfig} <= set(SECTIONS)


def test_the_defaults_are_the_papers_recipe() -> None:
    config = Config()
    assert (config.sampler.queries, config.sampler.group_size, config.train.updates_per_episode) == (1024, 8, 16)
    assert config.sampler.queries * config.sampler.group_size // config.train.updates_per_episode == 512
    assert (config.replay.kind, config.replay.alpha, config.replay.lifetime) == ("ssr", 1.0, 1)
    assert config.advantage.kind == "grpo"
    assert (config.objective.kind, config.objective.normalisation) == ("clip", "sequence_mean")
    assert config.truncation.kind == "score"
    assert config.objective.kl_coefficient == 0
    assert isinstance(config.rethink, ForcedRethinkConfig)
    assert config.rethink.max_kept == 2
    assert config.evaluation.marker == "wait"


def test_sections_are_frozen_and_refuse_unknown_keys() -> None:
    with pytest.raises(ValidationError):
        Config().seed = 1  # type: ignore[misc]
    with pytest.raises(ValidationError, match="lerner"):
        Config.model_validate({"lerner": {}})


def test_a_models_path_may_start_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert ModelConfig(path="~/models/base").path == "/home/someone/models/base"
    assert ModelConfig(path="owner/name").path == "owner/name"


def test_bounds_on_image_areas_that_leave_no_room_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"model\.min_pixels=9 is more than model\.max_pixels=4"):
        ModelConfig(min_pixels=9, max_pixels=4)
    assert ModelConfig(min_pixels=9).max_pixels == 0  # its processor's own


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_field_explains_itself(section: type[BaseModel]) -> None:
    silent = [
        name
        for name, field in section.model_fields.items()
        if name != "kind" and not field.description and "Config" not in str(field.annotation)
    ]
    assert silent == []


CARRIED = {"kind": "ssr", "lifetime": 2}
"""Samples that cross a sync, so that ratios leave 1 even with one update per episode."""


@pytest.mark.parametrize(
    ("tree", "reason"),
    [
        ({"sampler": {"queries": 10}, "train": {"updates_per_episode": 3}}, "cannot be split into"),
        ({"train": {"steps": 7, "updates_per_episode": 2}}, "train.updates_per_episode=2; take 6 or 8"),
        ({"train": {"steps": 7}}, "train.updates_per_episode=16; take 16"),
        ({"sampler": {"kind": "plain", "group_size": 1}}, "group_size=1 trains nothing"),
        ({"sampler": {"kind": "dynamic", "group_size": 1}}, "group_size=1 trains nothing"),
        ({"data": {"kind": "jsonl", "path": "p", "held_out": 0}}, "data.held_out=0 leaves one side no rows"),
        ({"data": {"kind": "logicvista", "held_out": 1}}, "data.held_out=1 leaves one side no rows"),
        ({"objective": {"kind": "clip", "clip_low": 1}}, "less than 1"),
        ({"objective": {"kind": "dual_clip", "dual_clip": 1}}, "greater than 1"),
        (
            {"objective": {"kind": "clip", "divisor": 100}},
            "objective.divisor=100 has no effect with objective.normalisation=sequence_mean",
        ),
        (
            {"truncation": {"kind": "soft_penalty", "buffer": 20}, "sampler": {"first": {"max_tokens": 16}}},
            "truncation.buffer=20 is more than sampler.first.max_tokens=16",
        ),
        ({"truncation": {"kind": "soft_penalty", "buffer": 0}}, "greater than or equal to 1"),
        (
            {"objective": {"kind": "gspo"}, "train": {"updates_per_episode": 1}},
            "objective.kind=gspo has no effect with train.updates_per_episode=1: no importance ratio leaves 1",
        ),
        (
            {"objective": {"kind": "dual_clip"}, "train": {"updates_per_episode": 1}, "replay": CARRIED},
            "no importance ratio gets that far",
        ),
        ({"evaluation": {"marker": "wait!"}}, "must begin and end with a letter"),
        ({"evaluation": {"marker": ""}}, "evaluation.marker='' must begin"),
        ({"rethink": {"kind": "forced", "max_kept": 0}}, "rethink.kind=none"),
        ({"rethink": {"kind": "forced", "categories": []}}, "rethink.categories is empty"),
        ({"verifier": {"kind": "python"}}, "verifier.function=module:function"),
        ({"verifier": {"function": "a:b"}}, "set verifier.kind=python"),
        ({"learner": {"lr": float("nan")}}, "finite"),
        ({"learner": {"betas": [0.9, 1.0]}}, "less than 1"),
    ],
)
def test_an_impossible_combination_raises_with_its_reason(tree: dict[str, object], reason: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Config.model_validate(tree)
    assert reason in str(caught.value)


def test_possible_combinations_are_accepted() -> None:
    Config.model_validate({"rethink": {"kind": "forced", "share": 0, "max_kept": 0}})
    Config.model_validate({"evaluation": {"marker": "let me check"}, "objective": {"kind": "clip", "clip_low": 0.9}})
    Config.model_validate({"objective": {"kind": "clip", "normalisation": "constant", "divisor": 100}})
    once = {"train": {"updates_per_episode": 1}, "replay": CARRIED}
    Config.model_validate(once | {"objective": {"kind": "gspo"}})
    Config.model_validate(once | {"objective": {"kind": "dual_clip", "ratio_cap": 4}})
    assert SsrReplayConfig(lifetime=3).lifetime == 3
    assert SamplerConfig(kind="dynamic", group_size=2).kind == "dynamic"
    assert VerifierConfig(kind="python", function="mine:score").threshold == 1.0
