"""The import hook of rethinker.mend_torchvision, against stand-ins for torch and torchvision."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[1] / "src" / "rethinker" / "mend_torchvision.py"

TORCH = """
from types import SimpleNamespace
declared = []
class Library:
    def __init__(self, namespace, kind): declared.append((namespace, kind))
    def define(self, schema): declared.append(schema)
library = SimpleNamespace(Library=Library)
"""


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mend_torchvision", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(folder: Path, code: str) -> str:
    """Run code in an interpreter that sees only the folder and the standard library."""
    code = f"import sys; sys.path.insert(0, {str(folder)!r}); import _mend_torchvision; {code}"
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def folder(tmp_path: Path, script: ModuleType) -> Path:
    script.write_hook(tmp_path)
    (tmp_path / "torch.py").write_text(TORCH)
    package = tmp_path / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text("from . import extension\nfrom . import _meta_registrations\n")
    (package / "_meta_registrations.py").write_text("")
    return tmp_path


def test_missing_schemas_are_declared_once_before_they_are_used(folder: Path) -> None:
    (folder / "torchvision" / "extension.py").write_text("def _has_ops(): return False\n")
    (folder / "torchvision" / "_meta_registrations.py").write_text("import torch\nassert len(torch.declared) == 3\n")
    declared = run(folder, "import torchvision, torch; print(torch.declared)")
    assert declared.count("(Tensor dets, Tensor scores, float iou_threshold) -> Tensor") == 2
    assert "('torchvision', 'FRAGMENT')" in declared


def test_a_whole_torchvision_is_left_alone(folder: Path) -> None:
    (folder / "torchvision" / "extension.py").write_text("def _has_ops(): return True\n")
    assert run(folder, "import torchvision; print('torch' in sys.modules)") == "False"


def test_a_process_without_torchvision_pays_nothing(folder: Path) -> None:
    assert run(folder, "import json; print('torch' in sys.modules)") == "False"


def test_the_hook_is_loaded_at_interpreter_start_and_can_be_taken_away(tmp_path: Path, script: ModuleType) -> None:
    script.write_hook(tmp_path)
    assert (tmp_path / "_mend_torchvision.pth").read_text() == "import _mend_torchvision\n"
    script.remove_hook(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_where_torchvision_imports(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "import_error", lambda: "")
    monkeypatch.setattr(script, "write_hook", lambda folder: pytest.fail("wrote a hook"))
    assert script.main() == "torchvision imports: nothing to mend"


def test_another_failure_is_told_and_not_mended(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "import_error", lambda: "ImportError: libjpeg.so.8")
    monkeypatch.setattr(script, "write_hook", lambda folder: pytest.fail("wrote a hook"))
    with pytest.raises(SystemExit, match=r"another reason.*libjpeg"):
        script.main()


def test_a_hook_that_does_not_help_is_taken_away(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(script, "import_error", lambda: f"RuntimeError: {script.MISSING_OPERATOR}")
    monkeypatch.setattr(script.sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(SystemExit, match="still does not import"):
        script.main()
    assert list(tmp_path.iterdir()) == []
