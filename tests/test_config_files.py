from pathlib import Path

import pytest

from rethinker.algorithm_config import FilterReplayConfig, SsrReplayConfig
from rethinker.config import Config, ForcedRethinkConfig
from rethinker.config_files import diff, living_in, load, load_as, to_yaml
from rethinker.data_config import JsonlDataConfig
from rethinker.errors import ConfigError
from rethinker.warmup_config import WarmupConfig


def write(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_nothing_given_is_the_default_tree() -> None:
    assert load([], []) == Config()


def test_later_layers_win_and_the_first_file_names_the_recipe(tmp_path: Path) -> None:
    first = write(tmp_path, "first.yaml", "seed: 1\nlearner: {lr: 1e-5, warmup: 0.1}\n")
    second = write(tmp_path, "second.yaml", "learner:\n  lr: 2e-5\n")
    config = load([first, second], ["seed=3"])
    assert (config.seed, config.learner.lr, config.learner.warmup) == (3, 2e-5, 0.1)
    assert config.run.recipe == "first"


def test_a_recipe_named_like_a_number_stays_text(tmp_path: Path) -> None:
    assert load([write(tmp_path, "007.yaml", "")]).run.recipe == "007"


def test_another_tree_is_searched_for_its_own_nearest_key() -> None:
    with pytest.raises(ConfigError, match="unknown key lr; known here: seed"):
        load_as(WarmupConfig, [], ["lr=1"])
    assert load_as(WarmupConfig, [], ["examples=8"]).examples == 8


def test_override_values_are_yaml_converted_by_the_types() -> None:
    config = load(
        [],
        [
            "learner.lr=1e-6",
            "learner.betas=[0.8, 0.9]",
            "trackers.tensorboard=off",
            "rethink={kind: none}",
            "run.dir=a/b",
        ],
    )
    assert config.learner.lr == 1e-6
    assert config.learner.betas == (0.8, 0.9)
    assert config.trackers.tensorboard is False
    assert config.rethink.kind == "none"
    assert config.run.dir == "a/b"


@pytest.mark.parametrize("text", ["2026", "/tmp/run #2", "a: b", "~/runs", "null", "[1", "'quoted'", "a=b", ""])
def test_text_is_taken_as_it_stands(text: str) -> None:
    assert load([], [f"run.dir={text}"]).run.dir == text
    data = load([], ["data.kind=jsonl", f"data.path={text}"]).data
    assert isinstance(data, JsonlDataConfig)
    assert data.path == text


def test_the_last_layer_replaces_a_section_that_overrides_changed() -> None:
    config = load([], ["rethink.share=0.5", "replay.alpha=2"], ["rethink.kind=none", "replay.kind=ssr"])
    assert config.rethink.kind == "none"
    assert config.replay == SsrReplayConfig(alpha=2)


def test_a_run_moves_to_another_folder_by_value() -> None:
    config = load([], ["seed=3"])
    assert diff(config, living_in(Path("2026"), config)) == {"run.dir": ("", "2026")}


def test_the_papers_recipe_asks_for_its_data() -> None:
    stages = [Path(__file__).parents[1] / "recipes" / f"paper-stage{stage}.yaml" for stage in (1, 2)]
    for files in (stages[:1], stages):
        with pytest.raises(ConfigError, match=r"^data\.path is missing"):
            load(files)
        assert load(files, ["data.path=problems.jsonl"]).data.kind == "jsonl"


def test_a_changed_kind_replaces_its_section(tmp_path: Path) -> None:
    file = write(tmp_path, "a.yaml", "replay: {kind: ssr, alpha: 2, lifetime: 3}\n")
    config = load([file], ["replay.kind=filter"])
    assert config.replay == FilterReplayConfig()


def test_the_same_kind_again_keeps_its_section(tmp_path: Path) -> None:
    file = write(tmp_path, "a.yaml", "replay: {kind: ssr, alpha: 2}\n")
    assert load([file], ["replay.kind=ssr"]).replay.alpha == 2


def test_a_replaced_section_starts_from_its_own_variants_defaults(tmp_path: Path) -> None:
    none = write(tmp_path, "none.yaml", "rethink: {kind: none}\n")
    forced = write(tmp_path, "forced.yaml", "rethink: {kind: forced, second_look: {temperature: 0.9}}\n")
    rethink = load([none, forced]).rethink
    assert isinstance(rethink, ForcedRethinkConfig)
    assert (rethink.second_look.temperature, rethink.second_look.max_tokens) == (0.9, 1024)


def test_overrides_are_one_layer_whatever_their_order() -> None:
    overrides = ["data.path=rows.jsonl", "data.held_out=0.1", "data.kind=jsonl"]
    for order in (overrides, overrides[::-1]):
        data = load([], order).data
        assert isinstance(data, JsonlDataConfig)
        assert (data.path, data.held_out) == ("rows.jsonl", 0.1)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("lerner.lr=1", "unknown key lerner; did you mean learner?"),
        ("learner.warmpu=1", "unknown key learner.warmpu; did you mean learner.warmup?"),
        ("lr=1", "unknown key lr; did you mean learner.lr?"),
        ("train.lr=1", "unknown key train.lr; did you mean learner.lr?"),
        ("rethink.second_look.max_token=1", "did you mean rethink.second_look.max_tokens?"),
        ("data.mixture=[{famly: bars}]", "unknown key data.mixture[0].famly; did you mean data.mixture[0].family?"),
        (
            "data.held_out=1",
            "unknown key data.held_out with data.kind=gym; it belongs to data.kind=jsonl or logicvista",
        ),
        ("engine={kind: vllm, transfer: direct}", "engine.transfer=direct needs vLLM in processes of its own; set"),
        ("rollouts.xyzzy=1", "unknown key rollouts.xyzzy; known here: rollouts.keep"),
        ("seed.x=1", "seed is no section; it has no key 'x'"),
        ("learner=3", "learner is a section with the keys lr, "),
        ("rethink.kind=force", "rethink.kind: got 'force', expected one of none, forced"),
        ("rethink.kind=[1]", "rethink.kind: got [1], expected one of none, forced"),
        ("replay.kind=srs", "replay.kind: got 'srs', expected one of none, filter, ssr"),
        ("learner.lr=-1", "learner.lr: got -1, expected greater than 0"),
        ("learner.lr=.inf", "learner.lr: got inf, expected a finite number"),
        ("learner.lr=", "learner.lr: got None, expected a valid number"),
        ("train.steps=2.5", "train.steps: got 2.5, expected a valid integer"),
        ("rethink.share=2", "rethink.share: got 2, expected less than or equal to 1"),
        (
            "data.mixture=[{family: bars, level: 0}]",
            "data.mixture[0].level: got 0, expected greater than or equal to 1",
        ),
        ("model.adapter={kind: lora, rank: 0}", "model.adapter.rank: got 0, expected greater than or equal to 1"),
        ("model.adapter={kind: lora, parts: [head]}", "model.adapter.parts[0]: got 'head', expected 'language' or"),
        ("model.adapter={kind: lora, parts: []}", "model.adapter.parts is empty: nothing would be trained"),
        ("model.adapter.rank=8", "unknown key model.adapter.rank with model.adapter.kind=none"),
        ("model.freeze=[vision, language, projector]", "model.freeze names every part"),
        ("run={dir: 2024}", "run.dir: got 2024, expected a valid string; put it in quotes"),
        ("data.kind=jsonl", "data.path is missing and has no default; set it"),
        ("sampler.queries=10", "sampler.queries=10 cannot be split into train.updates_per_episode=16"),
        (
            "replay={kind: none, lifetime: 2}",
            "unknown key replay.lifetime with replay.kind=none",
        ),
        ("learner.lr", "override 'learner.lr' is not of the form section.key=value"),
        ("learner..lr=1", "is not of the form"),
        ("learner.lr=[1", "override 'learner.lr=[1', line 1, column 3:"),
        ("learner={lr: 1, lr: 2}", "key 'lr' stands twice"),
    ],
)
def test_a_wrong_override_says_what_and_what_instead(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load([], [override])
    assert message in str(caught.value)
    assert "pydantic" not in str(caught.value)


def test_an_error_in_a_file_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a\.yaml: unknown key learner\.x"):
        load([write(tmp_path, "a.yaml", "learner: {x: 1}\n")])


def test_every_wrong_value_is_reported_at_once() -> None:
    with pytest.raises(ConfigError, match=r"learner\.lr: got 0.*\n.*train\.steps: got 0"):
        load([], ["train.steps=0", "learner.lr=0"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: 1\nseed: 2\n", r"line 2, column 1: key 'seed' stands twice"),
        ("learner: {lr: 1, lr: 2}\n", r"line 1, column 18: key 'lr' stands twice"),
        ("seed: [1\n", r"line 2, column 1"),
        ("- seed\n", r"must hold sections"),
        ("1: 2\n", r"key 1 is not text"),
        ("run: !!python/object/apply:os.system ['true']\n", r"could not determine a constructor"),
        ("? [a]\n: 1\n", r"is not text"),
    ],
)
def test_bad_yaml_names_file_and_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"a\.yaml.*{message}"):
        load([write(tmp_path, "a.yaml", text)])


def test_a_missing_or_binary_file_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load([tmp_path / "none.yaml"])
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load([tmp_path / "b.yaml"])


def test_empty_files_and_empty_sections_change_nothing(tmp_path: Path) -> None:
    file = write(tmp_path, "run.yaml", "learner:\n# only comments\n")
    assert load([file, write(tmp_path, "empty.yaml", "")]) == Config()


def test_the_written_tree_loads_back_equal(tmp_path: Path) -> None:
    config = load(
        [write(tmp_path, "mine.yaml", "data: {kind: jsonl, path: 'a: b.jsonl'}\nlearner: {lr: 1e-6}\n")],
        ["rethink.kind=none", "sampler.kind=dynamic"],
    )
    assert load([write(tmp_path, "config.yaml", to_yaml(config))]) == config
    assert config.run.recipe == "mine"


def test_diff_names_what_differs_in_either() -> None:
    a, b = load([], ["seed=1"]), load([], ["rethink.kind=none"])
    differences = diff(a, b)
    assert differences["seed"] == (1, 0)
    assert differences["rethink.kind"] == ("forced", "none")
    assert differences["rethink.share"] == (0.65, None)
    assert "learner.lr" not in differences
    assert diff(a, a) == {}
