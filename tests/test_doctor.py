from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from rich.console import Console

from rethinker import doctor
from rethinker.doctor import Check, Status


def test_a_healthy_environment_reports_and_exits_0(tmp_path: Path) -> None:
    checks = doctor.examine(tmp_path / "runs")
    names = {check.name for check in checks}
    assert {
        "Python",
        "torchvision import",
        "device",
        "vllm",
        "cores",
        "free memory",
        "free disk",
        "runs folder",
    } <= names
    assert [check for check in checks if check.status is Status.FAIL] == []
    assert doctor.exit_code(checks) == 0
    assert not (tmp_path / "runs").exists()


def test_one_failure_makes_the_exit_code_1() -> None:
    bad = Check(name="x", status=Status.FAIL, what="broken", fix="mend it")
    assert doctor.exit_code([Check(name="y", status=Status.WARN, what="")]) == 0
    assert doctor.exit_code([bad]) == 1


def test_the_missing_operator_names_schemas_and_the_command_that_mends_it() -> None:
    check = doctor.check_torchvision("RuntimeError: operator torchvision::nms does not exist")
    assert check.status is Status.FAIL
    assert "torchvision::nms and torchvision::qnms" in check.what
    assert check.fix == "python -m rethinker.mend_torchvision"
    assert find_spec(check.fix.split()[-1])


def test_another_import_failure_is_shown_as_it_is() -> None:
    failure = doctor.import_failure("no_such_module_anywhere")
    assert "No module named" in failure
    assert doctor.check_torchvision(failure).what == failure


@pytest.mark.parametrize(
    ("version", "status"), [((3, 10), "fail"), ((3, 11), "ok"), ((3, 12), "ok"), ((3, 13), "fail")]
)
def test_python_must_be_supported(version: tuple[int, int], status: str) -> None:
    assert doctor.check_python(version).status == status


def test_a_package_missing_or_of_another_version_fails_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = doctor.check_requirement(Requirement("no-such-package>=1"))
    assert (missing.status, missing.what) == (Status.FAIL, "not installed")
    old = doctor.check_requirement(Requirement("numpy<1"))
    assert old.status is Status.FAIL
    assert old.what.endswith("needed is numpy<1")
    assert old.fix == "pip install 'numpy<1'"
    assert doctor.check_requirement(Requirement("numpy>9")).fix == "pip install 'numpy>9'"
    monkeypatch.setattr(doctor, "_version", lambda name: None)
    gone = doctor.check_requirement(Requirement("num2words>=0.5"))
    assert gone.fix == f"pip install 'num2words=={doctor.TESTED['num2words']}'"


def test_another_version_than_the_tested_one_is_a_warning_with_both_and_what_to_do() -> None:
    tested = doctor.TESTED["numpy"]
    assert doctor.check_tested("numpy", tested) == Check(name="numpy", status=Status.OK, what=tested)
    other = doctor.check_tested("numpy", "2.99.0")
    assert (other.status, other.what) == (Status.WARN, f"2.99.0; tested is {tested}")
    assert other.fix == f"if something fails: pip install 'numpy=={tested}'"
    assert doctor.check_tested("PyYAML", doctor.TESTED["pyyaml"]).status is Status.OK
    assert doctor.check_tested("torch", f"{doctor.TESTED['torch']}+cu130").status is Status.OK  # a build of the same
    assert doctor.check_tested("vllm", "0.32.0").what == "0.32.0; no test runs with it"


def test_what_the_package_needs_has_a_tested_version() -> None:
    needed = [Requirement(line) for line in metadata.requires("rethinker") or []]
    names = {one.name for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})}
    assert {canonicalize_name(name) for name in names} <= doctor.TESTED.keys()


def test_a_runs_folder_that_cannot_be_written_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    check = doctor.check_runs(tmp_path / "file" / "runs")
    assert check.status is Status.FAIL
    assert "run.dir" in check.fix


def test_little_memory_disk_or_one_core_is_a_warning() -> None:
    for check in (doctor.check_memory(10**8), doctor.check_disk(10**8), doctor.check_threads(1)):
        assert check.status is Status.WARN
        assert check.fix


def test_the_table_shows_what_was_found_unstyled(tmp_path: Path) -> None:
    console = Console(width=120, record=True, file=(tmp_path / "out").open("w"))
    console.print(doctor.table([Check(name="x", status=Status.FAIL, what="[red]not markup[/red]", fix="mend it")]))
    text = console.export_text()
    assert "[red]not markup[/red]" in text
    assert "mend it" in text
