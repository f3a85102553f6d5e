from pathlib import Path

from tests.benchmarks.running import quick_run

import settings
from rethinker.config import LearnerConfig
from rethinker.model_config import ModelConfig


def test_every_setting_is_one_of_the_configurations_and_no_default() -> None:
    learner, model = LearnerConfig().model_dump(), ModelConfig().model_dump()
    for setting in settings.SETTINGS[1:]:
        for named in setting.name.split():
            path, value = named.split("=")
            section, key = path.split(".")
            default = {"learner": learner, "model": model}[section][key]
            assert str(default).lower() != value
    assert settings.SETTINGS[0].name == f"defaults, {ModelConfig().dtype}"


def test_the_quick_run_measures_the_defaults_and_one_other(tmp_path: Path) -> None:
    report, printed = quick_run("settings.py", tmp_path)
    assert settings.tables(report) in printed
    default, alone = report["rows"]
    assert default["ratio"] == 1.0
    assert alone["setting"] == "learner.share_prompts=false"
    assert min(default["peak_bytes"], alone["peak_bytes"]) > 20e6  # weights and moments of 1.8M parameters
    assert all(row["seconds"] > 0 for row in report["rows"])
