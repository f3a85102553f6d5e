"""The real data that tests look at where it is there: LogicVista's and MATH-V's pictures, under `shared/assets`."""

from __future__ import annotations

from pathlib import Path

import pytest

FIXTURES = Path(__file__).parents[3] / "shared" / "assets" / "image_fixtures"
LOGICVISTA = FIXTURES / "logicvista161" / "dataset.json"
MATHVISION = FIXTURES / "mathvision_testmini" / "testmini.jsonl"

real_pictures = pytest.mark.skipif(not FIXTURES.is_dir(), reason=f"the image fixtures are not at {FIXTURES}")
