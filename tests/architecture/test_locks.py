"""What CI installs is one set of versions, however often it is written down, and every file of it has a hash."""

import json
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from scripts import install_locked, lock

from rethinker.evaluation.scorers import SCORERS

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINNED = lock.versions((ROOT / "constraints.txt").read_text())
OURS = ("build", "torch", *lock.EXTRAS)
"""Locks of our own environment; the others are of folders apart."""


def asked(extra: str = "") -> list[Requirement]:
    lines = PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
    return [Requirement(line) for line in lines if not line.startswith("rethinker[")]


def files() -> list[Path]:
    found = sorted((ROOT / "locks").glob("*.txt"))
    assert {file.stem for file in found} == {"torch", "torch-cpu", *lock.EXTRAS, *lock.APART}
    return found


@pytest.mark.parametrize("file", files(), ids=lambda file: file.stem)
def test_every_requirement_is_one_version_with_hashes(file: Path) -> None:
    text = file.read_text()
    heads = [line for line in text.splitlines() if line and line[0] not in " #"]
    hashes = lock.hashes(text)
    assert len(heads) == len(lock.versions(text)) == len(hashes) > 0
    assert [name for name, known in hashes.items() if not known] == []


@pytest.mark.parametrize("name", OURS)
def test_a_lock_holds_the_versions_of_the_constraints(name: str) -> None:
    locked = lock.locked(name)
    assert {package: PINNED.get(package) for package in locked if package != "triton"} == {
        package: version for package, version in locked.items() if package != "triton"
    }


def test_both_builds_of_torch_are_of_one_version() -> None:
    assert lock.locked("torch-cpu") == {"torch": f"{lock.locked('torch')['torch']}+cpu"}


@pytest.mark.parametrize("name", list(lock.EXTRAS))
def test_a_lock_holds_what_its_extras_ask_for_in_the_range_they_ask_for(name: str) -> None:
    locked = lock.locked(name) | lock.locked("torch")
    wanted = [*asked(), *(one for extra in lock.EXTRAS[name] for one in asked(extra))]
    outside = [str(one) for one in wanted if locked.get(canonicalize_name(one.name), "0") not in one.specifier]
    assert outside == []


def test_all_constraints_are_installed_somewhere() -> None:
    locked = {package for name in OURS for package in lock.locked(name)}
    assert PINNED.keys() - locked == set()


@pytest.mark.parametrize("name", list(SCORERS))
def test_a_scorers_lock_is_what_it_is_checked_against(name: str) -> None:
    assert lock.locked(name) == lock.versions("\n".join(SCORERS[name].packages))


def test_the_tested_versions_in_the_package_are_those_of_the_locks() -> None:
    assert json.loads(lock.TESTED.read_text()) == lock.tested()


def test_the_installer_knows_every_environment() -> None:
    assert {
        name: f"[{','.join(extras)}]" if extras else "" for name, extras in lock.EXTRAS.items()
    } == install_locked.EXTRAS
