"""Build a wheel and an sdist, install each into an empty environment, and train on the embedded default there.

    python -m scripts.check_package [--contents] [FOLDER]

Both must hold every file of the package that git tracks, the sdist the recipes and the pinned versions, too. With
--contents nothing is installed. The folder (default `dist`) gets both. Needs the packages `build` and `setuptools`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
SMALL = ("train.steps=2", "evaluation.test_problems=8", "evaluation.validation_problems=8", "run.dir=run")
WITH_SOURCES = ("pyproject.toml", "LICENSE", "README.md", "CHANGELOG.md", "constraints.txt", "recipes/tiny.yaml")


def main(argv: Sequence[str] | None = None) -> None:
    """Build, compare, install, run; exits with the first thing that is wrong."""
    parser = argparse.ArgumentParser(description="Build a wheel and an sdist, install each, and train there.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path("dist"), metavar="FOLDER")
    parser.add_argument("--contents", action="store_true", help="build and compare only")
    arguments = parser.parse_args(argv)
    for archive in built(arguments.folder):
        if absent := lacking(archive, tracked()):
            sys.exit(f"{archive.name} lacks {', '.join(absent)}: see package-data in pyproject.toml and MANIFEST.in")
        say(f"{archive.name}: {len(held(archive))} files, {archive.stat().st_size / 1e6:.1f} MB")
        if not arguments.contents:
            with tempfile.TemporaryDirectory() as place:
                try_out(archive.resolve(), Path(place))


def built(folder: Path) -> list[Path]:
    """A fresh wheel and sdist."""
    with tempfile.TemporaryDirectory() as place:  # not from `build/`, where files of earlier builds lie
        run(sys.executable, "-m", "build", "--no-isolation", "--outdir", place, str(ROOT), quiet=True)
        folder.mkdir(exist_ok=True)
        return sorted(each.replace(folder / each.name) for each in list(Path(place).iterdir()))


def tracked() -> list[str]:
    """Every file of the package under version control, from `rethinker/` on."""
    listed = subprocess.run(
        ["git", "ls-files", "src/rethinker"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    return [name.removeprefix("src/") for name in listed]


def lacking(archive: Path, package: Iterable[str]) -> list[str]:
    """What a wheel or an sdist should hold and does not."""
    names = held(archive)
    if archive.suffix == ".whl":
        return sorted(set(package) - set(names))
    wanted = {*WITH_SOURCES, *(f"src/{name}" for name in package)}
    return sorted(wanted - {name.partition("/")[2] for name in names})


def held(archive: Path) -> Collection[str]:
    """Names in a wheel or an sdist."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return wheel.namelist()
    with tarfile.open(archive) as sdist:
        return [member.name for member in sdist.getmembers() if member.isfile()]


def try_out(archive: Path, place: Path) -> None:
    """Install into an empty environment, outside the checkout, and use it as somebody new would."""
    venv.create(place / "venv", with_pip=True)
    python, command = place / "venv" / "bin" / "python", place / "venv" / "bin" / "rethinker"
    run(python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", archive)
    run(python, "-m", "rethinker.mend_torchvision")
    for line in (("doctor",), ("train", *SMALL), ("report", "run"), ("train", "--resume", "run", "train.steps=3")):
        run(command, *line, folder=place, quiet=True)
    say(f"{archive.name}: installed, examined, trained, reported, resumed")


def run(*command: str | Path, folder: Path = ROOT, quiet: bool = False) -> None:
    """Run a command; exits with what it said where it fails."""
    line = [str(part) for part in command]
    done = subprocess.run(line, cwd=folder, check=False, capture_output=quiet, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(line)} failed with status {done.returncode}\n{done.stdout or ''}{done.stderr or ''}")


def say(line: str) -> None:
    """Tell how far it is."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
