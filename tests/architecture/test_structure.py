"""The house rules that a syntax tree can show: imports point one way, limits on files and functions, what is banned."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "rethinker"

LEVELS: tuple[frozenset[str], ...] = tuple(
    frozenset(names.split())
    for names in (
        "errors",
        "types seeding",
        "timing cores units trees allocator chips mend_torchvision plain_yaml open_files redaction",
        "interfaces config",
        "data models rewards algo",
        "rollout learner runs",
        "evaluation distributed planning report",
        "train inference",
        "build",
        "doctor",
        "commands",
        "cli",
        "__main__",
    )
)
"""A part imports only parts of lower levels; parts of one level do not know each other."""

SAME_PART = {
    "config_files": "config",
    "warmup_config": "config",
    "config_section": "config",
    "algorithm_config": "config",
    "model_config": "config",
    "data_config": "config",
    "cluster_config": "config",
    "engine_config": "config",
    "build_data": "build",
    "build_model": "build",
    "build_crew": "build",
    "build_ray": "build",
    "build_torchrun": "build",
    "build_benchmarks": "build",
    "build_learner": "build",
    "build_vllm": "build",
    "build_trackers": "build",
    "build_inference": "build",
}
"""Modules that belong to another part."""

MAY_IMPORT_CONFIG = {"config", "build", "commands"}

MAX_FILE_LINES, MAX_FUNCTION_LINES = 400, 60

FILES = sorted(PACKAGE.rglob("*.py"))
TREES = {file: ast.parse(file.read_text(encoding="utf-8")) for file in FILES}


def part(module: str) -> str:
    """`rethinker.data.gym.bars` → `data`; the package itself → empty."""
    names = module.split(".")
    return SAME_PART.get(names[1], names[1]) if len(names) > 1 else ""


def dotted(file: Path) -> str:
    return ".".join(("rethinker", *file.relative_to(PACKAGE).with_suffix("").parts))


def part_of(file: Path) -> str:
    return part(dotted(file))


def level(name: str) -> int:
    levels = [index for index, names in enumerate(LEVELS) if name in names]
    assert levels, f"rethinker.{name} has no level: add it to LEVELS in {Path(__file__).name}"
    return levels[0]


def imported_modules(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of every import, inside functions too; `from rethinker import x` names `rethinker.x`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "rethinker":
            yield from ((node.lineno, f"rethinker.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module or ""


def place(file: Path, line: int) -> str:
    return f"{file.relative_to(ROOT)}:{line}"


def calls(tree: ast.AST) -> Iterator[tuple[int, str, ast.Call]]:
    """(line, dotted function, call) of every call."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node.lineno, ast.unparse(node.func), node


def test_imports_point_one_way() -> None:
    wrong = []
    for file, tree in TREES.items():
        here = part_of(file)
        for line, module in imported_modules(tree):
            there = part(module)
            if module.split(".")[0] != "rethinker" or there in ("", here, "__version__"):
                continue
            if here != "__init__" and level(there) >= level(here):
                wrong.append(f"{place(file, line)}: {here} imports {there}")
    assert wrong == []


def test_every_part_has_a_level() -> None:
    for file in FILES:
        if part_of(file) != "__init__":
            level(part_of(file))


def test_only_the_builder_and_the_command_line_know_the_configuration() -> None:
    wrong = [
        place(file, line)
        for file, tree in TREES.items()
        for line, module in imported_modules(tree)
        if module.startswith("rethinker.") and part(module) == "config" and part_of(file) not in MAY_IMPORT_CONFIG
    ]
    assert wrong == []


def test_nothing_is_printed() -> None:
    assert [place(f, line) for f, tree in TREES.items() for line, name, _ in calls(tree) if name == "print"] == []


def test_no_exception_is_caught_unnamed() -> None:
    wrong = [
        place(file, node.lineno)
        for file, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler) and node.type is None
    ]
    assert wrong == []


def test_nothing_is_guessed_by_getattr() -> None:
    wrong = [
        place(file, line)
        for file, tree in TREES.items()
        for line, name, call in calls(tree)
        if name == "getattr" and len(call.args) == 3
    ]
    assert wrong == []


def draws_from_global_state(name: str, call: ast.Call) -> bool:
    """Whether a call draws from, or sets, random state that no key of ours decides."""
    module, _, function = name.rpartition(".")
    if module in ("np.random", "numpy.random"):
        return function not in ("default_rng", "Generator", "PCG64", "Philox", "SeedSequence") or not call.args
    drawn = function in ("rand", "randn", "randint", "randperm", "multinomial", "bernoulli", "normal")
    if module == "torch" and drawn:
        return "generator" not in {keyword.arg for keyword in call.keywords}
    return module.startswith("torch") and function in ("manual_seed", "manual_seed_all", "seed", "set_rng_state")


def forked_lines(tree: ast.AST) -> set[int]:
    """Lines inside `with torch.random.fork_rng(…)`, which puts the global state back."""
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.With)]
    forked = [block for block in blocks if "fork_rng" in ast.unparse(block.items[0].context_expr)]
    return {line for block in forked for line in range(block.lineno, (block.end_lineno or block.lineno) + 1)}


def test_there_is_no_global_random_state() -> None:
    wrong = []
    for file, tree in TREES.items():
        wrong += [place(file, line) for line, module in imported_modules(tree) if module.split(".")[0] == "random"]
        forked = forked_lines(tree)
        wrong += [
            f"{place(file, line)}: {name}"
            for line, name, call in calls(tree)
            if line not in forked and draws_from_global_state(name, call)
        ]
    assert wrong == []


def test_files_and_functions_stay_short() -> None:
    wrong = []
    for file, tree in TREES.items():
        lines = len(file.read_text(encoding="utf-8").splitlines())
        if lines > MAX_FILE_LINES:
            wrong.append(f"{place(file, 1)}: {lines} lines")
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                length = node.end_lineno - node.lineno + 1
                if length > MAX_FUNCTION_LINES:
                    wrong.append(f"{place(file, node.lineno)}: {node.name} has {length} lines")
    assert wrong == []


def test_no_module_is_a_drawer_for_everything() -> None:
    assert [file for file in FILES if file.stem in ("utils", "util", "helpers", "common", "misc")] == []


def test_torch_is_not_imported_where_it_is_not_needed() -> None:
    free = {"types", "errors", "seeding", "config", "rewards"}
    names = [file.relative_to(PACKAGE.parent).with_suffix("").parts for file in FILES if part_of(file) in free]
    modules = [".".join(parts).removesuffix(".__init__") for parts in names]
    code = f"import sys, importlib\nfor m in {modules!r}: importlib.import_module(m)\nprint('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "src", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "False"


OF_RAY = {"rethinker.build_ray", "rethinker.distributed.ray_cluster", "rethinker.distributed.ray_connection"}
"""Modules that cannot be without Ray; whoever asks for Ray imports them, inside a function."""


OF_SERVING = {"starlette", "uvicorn"}
MAY_SERVE = {f"rethinker.inference.{name}" for name in ("guard", "server", "listening")}
"""What serves HTTP; `commands.serve` alone imports it, and that inside a function."""


def test_optional_packages_are_imported_only_when_asked_for() -> None:
    """But where vLLM itself imports the module, inside its own workers."""
    optional = {"vllm", "ray", "trl", "peft", "liger_kernel"} | OF_SERVING
    wrong = [
        place(file, line)
        for file, tree in TREES.items()
        if file.name != "vllm_worker.py" and dotted(file) not in MAY_SERVE
        for statement in tree.body
        if not isinstance(statement, ast.FunctionDef | ast.ClassDef) and dotted(file) not in OF_RAY
        for line, module in imported_modules(statement)
        if module.split(".")[0] in optional or module in OF_RAY
    ]
    assert wrong == []
