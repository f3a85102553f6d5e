"""Make `import torchvision` work where its compiled operators cannot load; do nothing where it is whole or absent.

A torchvision built for CUDA beside a CPU torch cannot load its compiled extension, and then stops at import with
"operator torchvision::nms does not exist": two operator schemas are missing that only object detection calls. This
script writes an import hook into the site-packages of the interpreter that runs it. The hook declares the two schemas
when torchvision is imported, in spawned processes too, and costs nothing in a process that does not import it. Where
the extension does load, the hook stands aside, so a torchvision repaired later is not disturbed.

    python -m rethinker.mend_torchvision

It leaves out the operators themselves: calling `torchvision.ops.nms` still fails. It uses the standard library alone.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import sysconfig
from pathlib import Path

MODULE = "_mend_torchvision"

MISSING_OPERATOR = "operator torchvision::nms does not exist"

HOOK = '''"""Declares two operator schemas that torchvision misses (see rethinker.mend_torchvision)."""

import sys


class SchemaFinder:
    """Finds nothing: uses the moment before torchvision registers its shape functions."""

    library = None

    def find_spec(self, fullname, path=None, target=None):
        if fullname == "torchvision._meta_registrations":
            extension = sys.modules.get("torchvision.extension")
            if extension is not None and not extension._has_ops() and self.library is None:
                self.declare()
        return None

    def declare(self):
        import torch

        # Kept for the life of the process: torch forgets the schemas of a library that is collected.
        self.library = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            self.library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


sys.meta_path.insert(0, SchemaFinder())
'''


def import_error() -> str:
    """The last line of what a fresh interpreter says when it imports torchvision; empty when that works."""
    done = subprocess.run([sys.executable, "-c", "import torchvision"], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return ""
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f"exit status {done.returncode}"


def write_hook(folder: Path) -> None:
    """Write the hook and the line that loads it at interpreter start."""
    (folder / f"{MODULE}.py").write_text(HOOK, encoding="utf-8")
    (folder / f"{MODULE}.pth").write_text(f"import {MODULE}\n", encoding="utf-8")


def remove_hook(folder: Path) -> None:
    """Take the hook away again."""
    for suffix in (".py", ".pth"):
        (folder / f"{MODULE}{suffix}").unlink(missing_ok=True)


def main() -> str:
    """Mend if needed and say what was done; exits with the reason when it cannot be mended."""
    if importlib.util.find_spec("torchvision") is None:
        return "torchvision is not installed: nothing to mend"
    error = import_error()
    if not error:
        return "torchvision imports: nothing to mend"
    if MISSING_OPERATOR not in error:
        sys.exit(f"torchvision does not import, for another reason than the one mended here: {error}")
    folder = Path(sysconfig.get_path("purelib"))
    write_hook(folder)
    error = import_error()
    if error:
        remove_hook(folder)
        sys.exit(f"torchvision still does not import, so the hook was removed: {error}")
    return f"torchvision mended by an import hook in {folder}"


if __name__ == "__main__":
    sys.stdout.write(main() + "\n")
