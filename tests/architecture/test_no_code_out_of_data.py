"""What can make code, a program or a request out of data stands at named places alone, each with its reason."""

import ast
from collections.abc import Iterator

from tests.architecture.test_structure import PACKAGE, TREES, calls, imported_modules, place

EVALUATION = {
    "evaluation/latex_values.py": "arithmetic of a checked tree, in a scorer's limited worker",
}
RULES = ("emma.py", "mathvision.py", "mathverse.py")
"""Benchmarks' rules that read LaTeX; like the verifiers, they import what reads it inside what their worker calls."""

UNPICKLING = {
    "distributed/host.py": "an error that this process pickled a line before",
    "distributed/pipes.py": "between processes of one run that have shown each other its key",
    "distributed/shipping.py": "inside what came through those pipes, or Ray's",
    "inference/line.py": "between a server and its engine's process, over a pair of sockets that nobody else holds",
    "evaluation/worker.py": "what its parent sends down its pipe; answers come back as JSON",
}
PROGRAMS = {
    "evaluation/megabench/process.py": "the sandbox for code that a model wrote, and the rules' own worker",
    "rewards/process.py": "a verifier's worker: our own module, its settings as one argument",
    "runs/service_tracker.py": "a tracker's own process: our own module",
    "inference/engine_process.py": "the engine of `ask` and `serve`: our own module, its settings over a line",
    "inference/line.py": "that line; no program",
    "mend_torchvision.py": "whether torchvision imports, in another interpreter; its argument is written there",
    "commands/ablate.py": "`rethinker train` for each arm",
    "distributed/pipes.py": "connections that ask for the run's key; no program",
}
IMPORTING = {
    "rewards/worker.py": "the verifier function that the configuration names, in its worker",
    "doctor.py": "whether a package of a fixed list imports",
    "evaluation/megabench/metrics.py": "the official rules, by names written there",
}
FETCHING = {
    "inference/remote_images.py": "public hosts alone, where the operator allows it",
    "evaluation/chat.py": "the judge whose address the user gives",
    "data/hub.py": "a data set that the configuration names",
}


def found(wanted: frozenset[str]) -> Iterator[tuple[str, str]]:
    """(file, place and call) of every call of these names."""
    for file, tree in TREES.items():
        for line, name, _ in calls(tree):
            if name in wanted:
                yield str(file.relative_to(PACKAGE)), f"{place(file, line)}: {name}"


def importing(*modules: str) -> Iterator[tuple[str, str]]:
    for file, tree in TREES.items():
        for line, module in imported_modules(tree):
            if module in modules or module.startswith(tuple(f"{each}." for each in modules)):
                yield str(file.relative_to(PACKAGE)), f"{place(file, line)}: {module}"


def stand(places: Iterator[tuple[str, str]], allowed: dict[str, str]) -> None:
    """All that was found stands at places allowed, and at every one of those there is something."""
    there = list(places)
    assert [where for file, where in there if file not in allowed] == []
    assert set(allowed) == {file for file, _ in there}


def test_nothing_is_evaluated_or_executed() -> None:
    names = frozenset({"eval", "exec", "compile", "__import__", "builtins.eval", "builtins.exec", "runpy.run_path"})
    stand(found(names), EVALUATION)


def test_sympy_reads_answers_in_workers_alone() -> None:
    names = frozenset(
        {"sympy.sympify", "sympify", "parse_expr", "sympy.parse_expr", "parse_latex", "math_verify.parse"}
    )
    assert {file for file, _ in found(names)} <= {"rewards/latex.py"}
    loads = {file for file, _ in importing("sympy", "latex2sympy2", "math_verify")}
    assert loads == {"evaluation/latex_values.py", "rewards/latex.py"}
    readers = {file for file, _ in importing("rethinker.rewards.latex", "rethinker.evaluation.latex_values")}
    assert readers == {
        "rewards/verifiers.py",
        "evaluation/boxed.py",
        *(f"evaluation/benchmarks/{name}" for name in RULES),
    }


def test_pickle_stays_between_processes_of_one_run() -> None:
    modules = ("pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib")
    stand(importing(*modules), UNPICKLING)


def test_arrays_are_loaded_without_pickle() -> None:
    wrong = []
    for file, tree in TREES.items():
        for line, name, call in calls(tree):
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
            if name == "torch.load" and given.get("weights_only") != "True":
                wrong.append(f"{place(file, line)}: torch.load without weights_only=True")
            if name in ("np.load", "numpy.load") and given.get("allow_pickle", "False") != "False":
                wrong.append(f"{place(file, line)}: np.load with allow_pickle")
            if name.endswith("from_pretrained") and given.get("use_safetensors", "True") != "True":
                wrong.append(f"{place(file, line)}: weights that are no safetensors")
    assert wrong == []


def test_yaml_is_read_within_bounds() -> None:
    names = frozenset({"yaml.load", "yaml.safe_load", "yaml.unsafe_load", "yaml.full_load", "yaml.load_all"})
    assert {file for file, _ in found(names)} == {"plain_yaml.py"}


def test_programs_are_started_at_named_places_and_by_no_shell() -> None:
    stand(importing("subprocess", "multiprocessing", "pty"), PROGRAMS)
    assert list(found(frozenset({"os.system", "os.popen", "os.execv", "os.execvp", "os.posix_spawn"}))) == []
    shells = [
        place(file, line)
        for file, tree in TREES.items()
        for line, _, call in calls(tree)
        if any(keyword.arg == "shell" for keyword in call.keywords)
    ]
    assert shells == []


def test_modules_are_imported_by_name_at_named_places() -> None:
    stand(found(frozenset({"importlib.import_module", "import_module"})), IMPORTING)


def test_requests_go_out_at_named_places() -> None:
    modules = ("http.client", "urllib.request", "requests", "httpx", "aiohttp", "huggingface_hub", "ftplib")
    stand(importing(*modules), FETCHING)
