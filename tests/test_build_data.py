"""The `data` section as problems: every kind, mixed, filtered by length, and through a real processor."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.data.making_images import png

from rethinker.build_data import Problems, build_problems, open_parts, refuse_too_few
from rethinker.config import Config
from rethinker.config_files import load_as
from rethinker.data.marks import MARK
from rethinker.data.opening import open_source
from rethinker.errors import ConfigError, DataError, DatasetError
from rethinker.interfaces import ProblemSource
from rethinker.models.loading import load
from rethinker.models.vlm import VLM
from rethinker.types import IMAGE_MARK, Outline, Problem

FIXTURES = Path(__file__).parents[2] / "shared" / "assets" / "image_fixtures"
needs_fixtures = pytest.mark.skipif(not FIXTURES.is_dir(), reason="needs shared/assets/image_fixtures")


def config(**sections: Any) -> Config:
    small = {"validation_problems": 12, "test_problems": 12}
    return Config.model_validate({"evaluation": small, **sections})


def problems(tree: Config, *, tokens: int = 1) -> Problems:
    return build_problems(tree, open_parts(tree.data), lambda outline: tokens)


def ids(source: ProblemSource) -> list[str]:
    return [source.id(i) for i in range(len(source))]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Any]:
    """Sections of 40 rows each: JSONL, ViRL39K's schema, Hugging Face's."""
    (tmp_path / "a.png").write_bytes(png(9))
    rows = [{"id": f"r{i}", "question": f"{i}?", "answer": str(i), "image": ["a.png"]} for i in range(40)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    virl = [row | {"qid": row["id"], "PassRate_7BBase": i / 39} for i, row in enumerate(rows)]
    pq.write_table(pa.Table.from_pylist(virl), tmp_path / "virl.parquet")
    embedded = [{"problem": f"<image>{i}?", "answer": str(i), "images": [{"bytes": png(i)}]} for i in range(40)]
    (tmp_path / "hf").mkdir()
    for split in ("train", "test"):
        pq.write_table(pa.Table.from_pylist(embedded), tmp_path / "hf" / f"{split}-0.parquet")
    return {
        "jsonl": {"kind": "jsonl", "path": str(tmp_path / "rows.jsonl")},
        "virl": {"kind": "virl", "path": str(tmp_path / "virl.parquet"), "subset": "virl-7b"},
        "parquet": {"kind": "parquet", "path": str(tmp_path / "hf"), "split": "train"},
        "logicvista": {"kind": "logicvista"},
        "gym": {"kind": "gym"},
    }


# ---- kinds -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "rows"), [("jsonl", 40), ("virl", 39), ("parquet", 40), ("logicvista", 8)])
def test_every_kind_of_file_is_divided_and_streamed(files: dict[str, Any], kind: str, rows: int) -> None:
    found = problems(config(data=files[kind]))
    held_out = {*ids(found.validation), *ids(found.test)}
    trained = {problem.id for problem in found.stream.take(rows - len(held_out))}
    assert len(trained) + len(held_out) == rows
    assert not trained & held_out
    assert found.validation[0].images[0].pixels.ndim == 3


def test_too_long_prompts_are_quarantined_on_both_sides(files: dict[str, Any]) -> None:
    tree = config(data=files["jsonl"] | {"max_quarantined": 1.0}, prompt={"max_tokens": 10})
    found = problems(tree, tokens=11)
    with pytest.raises(DataError, match=r"11 tokens, more than prompt\.max_tokens=10"):
        found.test[0]
    with pytest.raises(ValueError, match=r"none of the \d+ rows tried .* 11 tokens"):
        found.stream.take(1)


# ---- mixtures ----------------------------------------------------------------------------------------------------


def mixture(files: dict[str, Any], **weights: float) -> dict[str, Any]:
    return {"kind": "mixture", "parts": [{"data": files[kind], "weight": weight} for kind, weight in weights.items()]}


def test_parts_of_a_mixture_hold_out_the_rows_they_hold_out_alone(files: dict[str, Any]) -> None:
    mixed = problems(config(data=mixture(files, virl=1, parquet=1)))
    for place, kind in enumerate(("virl", "parquet")):
        alone = problems(config(data=files[kind]))
        held = {name for side in (mixed.validation, mixed.test) for name in ids(side)}
        mine = {name.removeprefix(f"{kind}-{place}/") for name in held if name.startswith(f"{kind}-{place}/")}
        assert mine == {*ids(alone.validation), *ids(alone.test)}


def test_a_mixture_draws_by_weight_and_names_its_parts(files: dict[str, Any]) -> None:
    data = mixture(files, jsonl=2, virl=1, gym=1)
    data["parts"][0]["name"] = "mine"
    stream = problems(config(data=data)).stream
    drawn = [problem.id.split("/")[0] for problem in stream.take(400)]
    assert 150 < drawn.count("mine") < 250
    assert 60 < drawn.count("virl-1") < 140
    assert not any(problem.id.startswith("mine/mine/") for problem in stream.take(20))


def test_two_gyms_are_told_apart_and_one_alone_keeps_its_ids() -> None:
    parts = [{"name": name, "data": {"kind": "gym", "mixture": [{"family": "counting"}]}} for name in ("easy", "more")]
    found = problems(config(data={"kind": "mixture", "parts": parts}))
    held_out = [*ids(found.validation), *ids(found.test)]
    assert len(set(held_out)) == len(held_out)
    assert found.validation[0].id == found.validation.id(0)
    drawn = [problem.id for problem in found.stream.take(40)]
    assert {name.split("/")[0] for name in (*held_out, *drawn)} == {"easy", "more"}
    state = found.stream.state_dict()
    expected = [problem.id for problem in found.stream.take(5)]
    found.stream.load_state_dict(state)
    assert [problem.id for problem in found.stream.take(5)] == expected
    alone = problems(config(data=parts[0]["data"]))
    assert [name.removeprefix("easy/") for name in ids(found.validation) if name.startswith("easy/")] == [
        name for name in ids(alone.validation) if f"easy/{name}" in held_out
    ]


def test_two_parts_of_one_file_are_drawn_in_orders_of_their_own(files: dict[str, Any]) -> None:
    data = mixture(files, jsonl=1)
    data["parts"] *= 2
    taken = [problem.id.split("/") for problem in problems(config(data=data)).stream.take(40)]
    first, second = ([name for part, name in taken if part == f"jsonl-{place}"] for place in (0, 1))
    assert first[:10] != second[:10]


def test_the_strictest_part_says_how_many_bad_rows_stop_a_run(files: dict[str, Any]) -> None:
    parts = mixture(files, jsonl=1, virl=1, gym=1)
    parts["parts"][1]["data"] = files["virl"] | {"max_quarantined": 0.01}
    quarantine = problems(config(data=parts)).quarantine
    quarantine.saw(60)
    with pytest.raises(DatasetError, match=r"1 of the 60 rows read are bad, more than data\.max_quarantined=0\.01"):
        quarantine.add("virl-1/r1", "no answer")


def test_a_mixture_is_written_in_yaml_and_its_mistakes_are_named(tmp_path: Path) -> None:
    def tree(part: str) -> Config:
        (tmp_path / "mine.yaml").write_text(f"data: {{kind: mixture, parts: [{part}]}}")
        return load_as(Config, [tmp_path / "mine.yaml"])

    data = tree("{weight: 2, data: {kind: virl, path: a}}, {data: {kind: gym}}").data
    assert data.kind == "mixture"
    assert [part.weight for part in data.parts] == [2.0, 1.0]
    for part, message in {
        "{wait: 2, data: {kind: gym}}": r"data\.parts\[0\]\.wait",
        "{weight: 2}": r"data\.parts\[0\]\.data is missing",
        "{data: {kind: virl, path: a, subset: small}}": r"data\.parts\[0\]\.data\.subset: got .small., expected",
        "{data: {kind: virl, pth: a, path: b}}": r"data\.parts\[0\]\.data\.pth",
        "{data: {kind: mixture, parts: []}}": r"data\.parts\[0\]\.data",
        "": "needs at least one part",
        "{name: a, data: {kind: gym}}, {name: a, data: {kind: gym}}": "names that differ",
        "{name: gym-1, data: {kind: gym}}, {data: {kind: gym}}": r"names that differ, got \['gym-1', 'gym-1'\]",
    }.items():
        with pytest.raises(ConfigError, match=message):
            tree(part)


# ---- through a processor -----------------------------------------------------------------------------------------


def encoded_exactly(vlm: VLM, problem: Problem, outline: Outline) -> int:
    """Tokens of a problem's prompt, which its outline foretells, and whose placeholders are its image features."""
    prompt = vlm.encode(problem, "plain")
    assert vlm.prompt_length(outline, "plain") == len(prompt.token_ids)
    if prompt.images:
        grids = vlm.vision([prompt])["image_grid_thw"]
        features = int((grids.prod(dim=1) // vlm.processor.image_processor.merge_size**2).sum())
        assert int((prompt.token_ids == vlm.module.config.image_token_id).sum()) == features
    return len(prompt.token_ids)


@needs_fixtures
def test_all_of_logicvista_passes_the_processor_at_the_length_foretold(tiny_vlm: VLM) -> None:
    source = open_source(FIXTURES / "logicvista161" / "dataset.json")
    read = [row for row in range(len(source)) if source.id(row) != "v1_382"]
    assert len(read) == 160
    for row in read:
        encoded_exactly(tiny_vlm, source[row], source.outline(row))


@needs_fixtures
def test_all_of_mathvs_pictures_pass_the_processor_at_the_length_foretold(tiny_vlm: VLM) -> None:
    source = open_source(FIXTURES / "mathvision_testmini" / "testmini.jsonl")
    assert len(source) == 304
    for index in range(len(source)):
        row = source.row(index)
        row = replace(row, question=MARK.sub("", row.question))  # some mark figures that are drawn into the one picture
        encoded_exactly(tiny_vlm, row.problem(max_pixels=10**8), row.outline(max_pixels=10**8))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 200), (3, 90), (2000, 11), (1500, 900)])
def test_extreme_sizes_pass_the_processor(tiny_vlm: VLM, tmp_path: Path, height: int, width: int) -> None:
    (tmp_path / "a.png").write_bytes(png(5, height=height, width=width))
    (tmp_path / "rows.jsonl").write_text('{"question": "What?", "answer": "1", "image": "a.png"}')
    source = open_source(tmp_path / "rows.jsonl")
    encoded_exactly(tiny_vlm, source[0], source.outline(0))


def test_the_bounds_on_pixels_are_honoured_through_to_the_processor(tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(5, height=900, width=1200))
    (tmp_path / "b.png").write_bytes(png(5, height=30, width=40))
    (tmp_path / "rows.jsonl").write_text(
        '{"question": "a?", "answer": "1", "image": "a.png"}\n{"question": "b?", "answer": "1", "image": "b.png"}'
    )
    source = open_source(tmp_path / "rows.jsonl")
    least, most = 8 * 28 * 28, 64 * 28 * 28
    bounded = load(str(tiny_folder), device="cpu", min_pixels=least, max_pixels=most)
    free = load(str(tiny_folder), device="cpu", max_pixels=5_000_000)
    for row in (0, 1):
        encoded_exactly(bounded, source[row], source.outline(row))
        patches = bounded.vision([bounded.encode(source[row], "plain")])["image_grid_thw"].prod().item()
        side = bounded.processor.image_processor.patch_size
        assert least <= patches * side * side <= most
    assert encoded_exactly(free, source[0], source.outline(0)) > encoded_exactly(bounded, source[0], source.outline(0))


def test_lengths_are_told_in_threads_while_prompts_are_encoded(tiny_vlm: VLM) -> None:
    rng = np.random.default_rng(0)
    outlines = [
        Outline(id=str(i), question=IMAGE_MARK + "word " * i, image_sizes=((28 * int(rng.integers(1, 9)), 84),))
        for i in range(60)
    ]
    length = partial(tiny_vlm.prompt_length, template="plain")
    alone = [length(outline) for outline in outlines]
    problem = Problem(id="p", images=(), question="How many?", answer="1", verifier="number")
    wanted = tiny_vlm.encode(problem, "plain").token_ids
    with ThreadPoolExecutor(4) as pool:
        told = [pool.map(length, outlines) for _ in range(5)]
        for _ in range(100):
            assert np.array_equal(tiny_vlm.encode(problem, "plain").token_ids, wanted)
        assert [list(each) for each in told] == [alone] * 5


# ---- too few -----------------------------------------------------------------------------------------------------


def test_fewer_rows_than_a_round_asks_for_are_refused_at_the_start(files: dict[str, Any]) -> None:
    few = problems(config(data=files["jsonl"]))
    assert few.training_rows is not None
    refuse_too_few(few, few.training_rows)
    with pytest.raises(
        DatasetError, match=rf"sampler\.queries={few.training_rows + 1} .* has {few.training_rows}; lower"
    ):
        refuse_too_few(few, few.training_rows + 1)


def test_a_mixture_with_the_gym_never_has_too_few_rows(files: dict[str, Any]) -> None:
    parts = [{"weight": 1, "name": kind, "data": files[kind]} for kind in ("jsonl", "gym")]
    refuse_too_few(problems(config(data={"kind": "mixture", "parts": parts})), 1_000_000)
