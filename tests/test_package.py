"""What people install holds all that the package needs."""

from pathlib import Path

import pytest
from scripts import check_package


def test_wheel_and_sdist_hold_every_file_of_the_package(tmp_path: Path) -> None:
    archives = check_package.built(tmp_path)
    assert sorted(each.suffix for each in archives) == [".gz", ".whl"]
    tracked = check_package.tracked()
    assert {"rethinker/py.typed", "rethinker/cli.py"} <= set(tracked)
    assert [check_package.lacking(each, tracked) for each in archives] == [[], []]


def test_a_file_that_is_not_packed_is_named(tmp_path: Path) -> None:
    wheel = next(each for each in check_package.built(tmp_path) if each.suffix == ".whl")
    assert check_package.lacking(wheel, ["rethinker/cli.py", "rethinker/gone.json"]) == ["rethinker/gone.json"]


@pytest.mark.long
def test_each_trains_in_an_empty_environment(tmp_path: Path) -> None:
    check_package.main([str(tmp_path)])
