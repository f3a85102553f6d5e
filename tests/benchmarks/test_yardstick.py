import json

import torch

import machine
import yardstick


def test_both_pieces_of_work_are_timed_and_threads_put_back() -> None:
    threads = torch.get_num_threads()
    found = yardstick.measure(threads=1, repeats=1)
    assert found.matmul_s > 0
    assert found.python_s > 0
    assert found.gflops == 2 * 512**3 / found.matmul_s / 1e9
    assert torch.get_num_threads() == threads


def test_a_result_says_where_and_when_it_was_measured() -> None:
    record = machine.record()
    assert torch.__version__.startswith(record["versions"]["torch"].partition("+")[0])
    assert record["cores"] >= 1
    assert record["memory_bytes"] > 0
    assert str(record["date"]).endswith("+00:00")
    assert json.loads(json.dumps(record)) == record


def test_an_absent_package_has_no_version() -> None:
    assert machine.installed("no-such-package-here") is None
