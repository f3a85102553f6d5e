"""The page of measurements is what the results say."""

import json
from pathlib import Path

import pytest
from scripts import write_performance_docs as docs

ROOT = Path(__file__).parents[2]
MACHINE = {
    "date": "2026-11-23T02:00:00+00:00",
    "cpu": "Some Processor",
    "gpu": "NVIDIA H200",
    "cores": 2,
    "versions": {"torch": "2.13.0", "vllm": None},
}


def report(benchmark: str, **more: object) -> dict[str, object]:
    head = {"benchmark": benchmark, "machine": MACHINE, "device": "cpu", "threads": 2, "repeats": 7}
    return head | {"yardstick": {"matmul_s": 0.001, "python_s": 0.014}} | more


def test_the_page_is_up_to_date() -> None:
    assert docs.PAGE.read_text(encoding="utf-8") == docs.document(), "run `python -m scripts.write_performance_docs`"


def test_every_section_has_a_script_that_takes_its_command() -> None:
    page = docs.document()
    for section in docs.SECTIONS:
        assert (ROOT / "benchmarks" / f"{section.benchmark}.py").is_file()
        assert f"    {section.command}\n" in page


def test_a_result_is_shown_with_its_machine_table_and_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docs, "RESULTS", tmp_path)
    row = {"model": "tiny", "group": 8, "ours_tokens_per_s": 9000.4, "generate_tokens_per_s": 3000.0, "ratio": 3.0}
    (tmp_path / "engine.json").write_text(json.dumps(report("engine", rows=[row])))
    (tmp_path / "engine.png").touch()
    page = docs.document()
    assert "| tiny | 8 | 9,000 | 3,000 | 3.00 | – | – | – |" in page
    assert "Measured 2026-11-23 on Some Processor, 2 threads of 2 cores; 7 counted rounds; torch 2.13.0." in page
    assert "1.00 ms the product, 14.0 ms the loop" in page
    assert "(results/engine.png)" in page
    assert page.count("Not measured") == len(docs.SECTIONS) - 1


def test_a_gpu_is_named_where_it_was_used() -> None:
    assert "on NVIDIA H200; Some Processor" in docs.measured_on(report("real_shapes") | {"device": "cuda"})


def test_a_result_of_an_older_form_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docs, "RESULTS", tmp_path)
    (tmp_path / "vs_trl.json").write_text('{"rows": []}')
    assert docs.result("vs_trl") is None
