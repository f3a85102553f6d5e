import subprocess
import sys


def test_the_package_runs_as_a_module():
    process = subprocess.run([sys.executable, "-m", "rethinker", "--help"], capture_output=True, text=True, check=False)
    assert process.returncode == 0
    assert process.stdout.startswith("usage: rethinker")
