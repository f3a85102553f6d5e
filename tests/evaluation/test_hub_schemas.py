"""MathVista, MMMU, MMMU-Pro and MathVerse as the hub publishes them: every configuration, split and picture."""

import json
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hub_folders import OPTIONS, SIDE, SUBJECTS, VERSIONS, write_hub_folders

from rethinker.data.marks import place_images
from rethinker.errors import ConfigError, DataError, DatasetError
from rethinker.evaluation.benchmark import Benchmark
from rethinker.evaluation.benchmarks.catalogue import benchmark
from rethinker.evaluation.benchmarks.mathverse import MathVerse
from rethinker.evaluation.benchmarks.mathvista import MathVista
from rethinker.evaluation.benchmarks.mmmu import MMMU
from rethinker.evaluation.benchmarks.mmmu_pro import MMMUPro
from rethinker.types import IMAGE_MARK


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_hub_folders(tmp_path_factory.mktemp("hub"))


def lacking(column: str, file: Path, to: Path) -> Path:
    table = pq.read_table(file)
    pq.write_table(table.drop_columns([column]), to)
    return to


def test_all_seven_are_written(folders: dict[str, Path]):
    shards = Counter(name for name, folder in folders.items() for _ in folder.rglob("*.parquet"))
    assert shards == {
        "mathvista": 2, "mathvision": 2, "mmmu": 9, "mmmu_pro": 5, "mathverse": 2, "emma": 4, "megabench": 4,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("source", "questions", "pictures"),
    [
        (MathVista("testmini"), 4, 4),
        (MathVista("test"), 4, 4),
        (MMMU("dev"), 6, 9),
        (MMMU("validation"), 6, 9),
        (MMMU("test"), 6, 9),
        (MMMUPro("standard4"), 3, 3),
        (MMMUPro("standard10"), 3, 6),
        (MMMUPro("vision"), 3, 3),
        (MathVerse(), 10, 10),
        (MathVerse("vision_only"), 2, 2),
        (MathVerse("text_only"), 2, 0),
    ],
)
def test_a_split_has_its_questions_and_their_pictures(
    source: Benchmark, questions: int, pictures: int, folders: dict[str, Path]
):
    read = source.read(folders[source.name])
    assert len(read) == len({question.id for question in read}) == questions
    decoded = [ref.decode() for question in read for ref in question.images]
    assert [image.pixels.shape for image in decoded] == [(SIDE, SIDE, 3)] * pictures
    for question in read:
        for style in source.styles:
            assert source.prompt(question, style)


@pytest.mark.parametrize("source", [MathVista(), MMMU(), MMMUPro("standard10"), MMMUPro("vision"), MathVerse()])
def test_every_picture_has_its_mark(source: Benchmark, folders: dict[str, Path]):
    for question in source.read(folders[source.name]):
        asked, placed = place_images(source.prompt(question, source.styles[0]), question.images, column="question")
        assert asked.count(IMAGE_MARK) == len(placed) == len(question.images) > 0
        assert set(placed) == set(question.images)


def test_marks_are_in_the_order_in_which_options_name_them(tmp_path: Path):
    file = tmp_path / "rows.json"
    fields = {"id": "test_Art_1", "question": "Which follows <image 1>?", "answer": "A"}
    fields["options"] = "['<image 3>', '<image 2>']"
    for number in (1, 2, 3, 4):
        (tmp_path / f"{number}.png").touch()
        fields[f"image_{number}"] = f"{number}.png"
    file.write_text(json.dumps([fields]))
    (question,) = MMMUPro("standard4").read(file)
    assert [ref.file.name for ref in question.images] == ["1.png", "2.png", "3.png"]
    asked, placed = place_images(MMMUPro("standard4").prompt(question, "direct"), question.images, column="question")
    assert asked.startswith("Which follows <image>?\nA. <image>\nB. <image>\n")
    assert [ref.file.name for ref in placed] == ["1.png", "3.png", "2.png"]


def test_options_that_are_stored_as_a_text_are_a_list(folders: dict[str, Path]):
    choice, free = MMMU().read(folders["mmmu"] / "Math" / "validation-00000-of-00001.parquet")
    assert choice.options == tuple(OPTIONS)
    assert (free.options, free.kind, free.answer) == ((), "open", ("7", "seven"))
    assert choice.labels == {
        "discipline": ("Science",),
        "subject": ("Math",),
        "difficulty": ("Easy",),
        "image_type": ("Diagrams", "Tables"),
        "question_type": ("multiple-choice",),
    }


def test_mmmus_prompts_are_the_templates_once_yaml_has_read_them(folders: dict[str, Path]):
    choice, free = MMMU().read(folders["mmmu"] / "Art" / "validation-00000-of-00001.parquet")
    assert MMMU().prompt(choice, "direct") == (
        "How many squares does <image 1> have more than <image 2>?\n(A) seven\n(B) eight\n(C) nine\n(D) ten\n\n"
        "Answer with the option's letter from the given choices directly."
    )
    assert MMMU().prompt(free, "direct") == (
        "Count the squares. <image 1>\nAnswer the question using a single word or phrase."
    )


def test_mmmu_pros_prompts_are_the_repositorys(folders: dict[str, Path]):
    steps = (
        "The last line of your response should be of the following format: 'Answer: $LETTER' (without quotes) where "
        "LETTER is one of options."
    )
    (question, *_) = MMMUPro("standard4").read(folders["mmmu_pro"])
    asked = "How many squares does <image 1> have?\nA. seven\nB. eight\nC. nine\nD. ten\n"
    assert MMMUPro("standard4").prompt(question, "direct") == (
        asked + "Answer with the option letter from the given choices directly."
    )
    assert MMMUPro("standard4").prompt(question, "cot") == (
        f"{asked}Answer the preceding multiple choice question. {steps} Think step by step before answering."
    )
    (seen, *_) = MMMUPro("vision").read(folders["mmmu_pro"])
    assert MMMUPro("vision").prompt(seen, "cot") == (
        "Write out the multiple-choice question in the image and then solve it. "
        f"{steps} Think step by step before answering."
    )
    assert MMMUPro("vision").prompt(seen, "direct") == (
        f"Answer with the option letter from the given choices directly. {steps}"
    )


def test_mathverse_reports_versions_and_asks_what_is_published(folders: dict[str, Path]):
    questions = MathVerse().read(folders["mathverse"])
    assert {q.labels["version"][0] for q in questions} == set(VERSIONS)
    seen = next(q for q in questions if q.labels["version"] == ("Vision Only",))
    assert seen.text == ""
    assert MathVerse().prompt(seen, "wo") == "Please directly answer the question."
    assert str(seen.extra["question_for_eval"]).startswith("How many squares")
    assert seen.labels["subfield"] == ("Plane Geometry-Angle",)


def test_mathvistas_query_is_the_prompt(folders: dict[str, Path]):
    (first, *_) = MathVista().read(folders["mathvista"])
    assert MathVista().prompt(first, "official") == (
        "Hint: Please answer the question as integer.\nQuestion: How many squares are there?"
    )
    assert first.labels["skills"] == ("logical reasoning", "arithmetic reasoning")


@pytest.mark.parametrize(
    ("source", "shard", "column"),
    [
        (MathVista(), "data/testmini-00000-of-00001-0a1b2c3d4e5f6071.parquet", "answer_type"),
        (MathVista(), "data/testmini-00000-of-00001-0a1b2c3d4e5f6071.parquet", "decoded_image"),
        (MMMU(), "Math/validation-00000-of-00001.parquet", "image_1"),
        (MMMU(), "Math/validation-00000-of-00001.parquet", "options"),
        (MMMUPro("standard10"), "standard (10 options)/test-00000-of-00002.parquet", "answer"),
        (MMMUPro("vision"), "vision/test-00000-of-00001.parquet", "image"),
        (MathVerse(), "testmini.parquet", "query_cot"),
        (MathVerse(), "testmini.parquet", "image"),
    ],
)
def test_a_missing_column_is_named(
    source: Benchmark, shard: str, column: str, folders: dict[str, Path], tmp_path: Path
):
    file = lacking(column, folders[source.name] / shard, tmp_path / "less.parquet")
    with pytest.raises(DatasetError, match=rf"less\.parquet.* lacks the column {column}\b"):
        source.read(file)


def test_another_benchmarks_folder_is_refused(folders: dict[str, Path]):
    with pytest.raises(DatasetError, match="lacks the column"):
        MathVista().read(folders["mathvision"])
    with pytest.raises(DatasetError, match=r"holds no parquet file of standard \(4 options\)"):
        MMMUPro("standard4").read(folders["emma"])


def test_a_column_of_another_type_is_named(tmp_path: Path):
    file = tmp_path / "rows.json"
    file.write_text(
        '[{"id": "validation_Art_1", "question_type": "multiple-choice", "answer": "A", "options": "[oops"}]'
    )
    with pytest.raises(DatasetError, match=r"column 'options' holds '\[oops' \(str\), expected a list"):
        MMMU().read(file)
    file.write_text('[{"id": "Art 1", "question_type": "multiple-choice", "answer": "A"}]')
    with pytest.raises(DatasetError, match="expected an id such as validation_Accounting_1"):
        MMMU().read(file)


@pytest.mark.parametrize("source", [MathVista("test"), MMMU("test")])
def test_a_withheld_answer_is_never_scored(source: Benchmark, folders: dict[str, Path]):
    (question, *_) = source.read(folders[source.name])
    with pytest.raises(DataError, match="withheld"):
        source.verdict(question, "A", extracted=True)


def test_an_unknown_setting_is_refused():
    with pytest.raises(ConfigError, match="mmmu_pro has no setting 'standard'"):
        MMMUPro("standard")
    with pytest.raises(ConfigError, match="mathverse has no setting 'vision'"):
        MathVerse("vision")


def test_the_pictures_of_subjects_do_not_mix(folders: dict[str, Path]):
    assert {q.labels["subject"][0] for q in MMMU().read(folders["mmmu"])} == set(SUBJECTS)
    (first, *_) = MMMUPro("standard10").read(folders["mmmu_pro"])
    assert [ref.column for ref in first.images] == ["image_1", "image_2"]


@pytest.mark.parametrize("name", ["mathvista", "mathverse", "mmmu", "mmmu_pro"])
def test_a_benchmark_is_found_by_its_name(name: str, folders: dict[str, Path]):
    made = benchmark(name)
    assert made.name == name
    assert made.read(folders[name])
    with pytest.raises(ConfigError, match=f"{name} has no setting 'strange'"):
        benchmark(name, "strange")
