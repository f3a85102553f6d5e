"""Write the folders of pretended models behind docs/compare.md: `python -m scripts.write_compare_example FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.evaluation.result_folders import write_example

if __name__ == "__main__":
    write_example(Path(sys.argv[1]))
