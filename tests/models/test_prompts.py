import numpy as np
import pytest
from tests.models import toys
from tests.models.checks import SIZES, problem, subject

from rethinker.errors import DataError, ModelError
from rethinker.models import vlm as vlm_module
from rethinker.models.families import Family
from rethinker.models.pixels import join
from rethinker.models.templates import SUFFIXES, messages
from rethinker.models.vlm import VLM
from rethinker.types import Image, Outline, Problem, Prompt

SHOWN = [name for name in toys.TOYS if name not in ("Qwen3 (text)", "Mamba (text, recurrent)")]


def told(question: str) -> Problem:
    return Problem(id="told", images=(), question=question, answer="3", verifier="number")


def shown(*sizes: tuple[int, int], question: str = "<image>What?") -> Problem:
    images = tuple(Image(pixels=np.zeros((*size, 3), dtype=np.uint8)) for size in sizes)
    return Problem(id="shown", images=images, question=question, answer="3", verifier="number")


# ---- templates ----


def test_images_stand_where_their_marks_stood() -> None:
    (turn,) = messages("<image>Is it left of <image>?", "plain")
    assert [part["type"] for part in turn["content"]] == ["image", "text", "image", "text"]
    assert turn["content"][1]["text"] == "Is it left of "
    assert turn["content"][3]["text"] == "?" + SUFFIXES["plain"]


def test_a_text_only_model_reads_one_text() -> None:
    assert messages("2 + 2?", "rethinking", in_parts=False) == [
        {"role": "user", "content": "2 + 2?" + SUFFIXES["rethinking"]}
    ]


# ---- what is refused ----


@pytest.mark.parametrize("name", ["Qwen2.5-VL", "Gemma 3", "SmolVLM2", "LLaVA-OneVision"])
def test_a_question_with_a_special_token_is_refused(name: str) -> None:
    vlm = subject(name).vlm
    for token in (vlm.tokenizer.eos_token, vlm.tokenizer.convert_ids_to_tokens(vlm.module.config.image_token_id)):
        if token != "<image>":
            with pytest.raises(DataError, match="holds the model's special token"):
                vlm.encode(told(f"What is {token}?"), "plain")


def test_marks_are_not_taken_for_a_placeholder_of_the_same_name() -> None:
    vlm = subject("SmolVLM2").vlm
    assert (vlm.encode(shown((32, 32)), "plain").token_ids == vlm.module.config.image_token_id).sum() == 4 * 10


def test_a_prompt_that_is_too_long_is_refused_with_its_length() -> None:
    with pytest.raises(DataError, match=r"its prompt has \d+ tokens, more than prompt.max_tokens=40"):
        subject("Qwen2.5-VL").vlm.encode(told("How many?"), "plain", max_tokens=40)


def test_an_image_for_a_text_only_model_is_refused() -> None:
    vlm, outline = subject("Qwen3 (text)").vlm, Outline(id="shown", question="<image>?", image_sizes=((8, 8),))
    for ask in (lambda: vlm.encode(shown((8, 8)), "plain"), lambda: vlm.prompt_length(outline, "plain")):
        with pytest.raises(DataError, match="has 1 images and Qwen3ForCausalLM reads text alone"):
            ask()


def test_an_image_that_the_processor_refuses_is_bad_data() -> None:
    vlm = subject("Qwen2-VL").vlm
    for ask in (
        lambda: vlm.encode(shown((1, 250)), "plain"),
        lambda: vlm.prompt_length(Outline(id="shown", question="<image>?", image_sizes=((1, 250),)), "plain"),
    ):
        with pytest.raises(DataError, match=r"problem shown: the model's processor refuses it: .*aspect ratio"):
            ask()


# ---- lengths from sizes ----

AWKWARD = ("<image>", " <image> ", "\n\n<image>\n\n\nbest", "a<image><image>b", "best <image>\n<image>\n\nbest\n", "")


@pytest.mark.parametrize("template", ["plain", "rethinking"])
@pytest.mark.parametrize("name", SHOWN)
def test_lengths_are_exact_whatever_stands_beside_an_image(name: str, template: str) -> None:
    vlm = subject(name).vlm
    for question in AWKWARD:
        sizes = ((31, 95), (64, 28))[: question.count("<image>")]
        outline = Outline(id="shown", question=question, image_sizes=sizes)
        encoded = vlm.encode(shown(*sizes, question=question), template)
        assert vlm.prompt_length(outline, template) == len(encoded.token_ids), question


@pytest.mark.parametrize("name", SHOWN)
def test_lengths_are_exact_for_sizes_of_every_shape(name: str) -> None:
    vlm = subject(name).vlm
    rng = np.random.default_rng(5)
    for height, width in [(28, 28), (27, 29), (1, 1), *rng.integers(2, 260, (12, 2)).tolist()]:
        outline = Outline(id="shown", question="<image>What?", image_sizes=((height, width),))
        assert vlm.prompt_length(outline, "plain") == len(vlm.encode(shown((height, width)), "plain").token_ids)


@pytest.mark.parametrize("rows", [1, 3])
def test_rows_of_a_flat_picture_are_not_taken_for_channels(rows: int) -> None:
    vlm = subject("Qwen2-VL").vlm
    pixels = np.zeros((rows, 56, 3), dtype=np.uint8)
    pixels[..., 0] = 255
    red = Problem(id="red", images=(Image(pixels=pixels),), question="<image>What?", answer="red", verifier="text")
    channels = vlm.vision([vlm.encode(red, "plain")])["pixel_values"].unflatten(1, (3, -1))
    assert (channels[:, 0] > 1).all()
    assert (channels[:, 1:] < 0).all()


def test_a_family_that_is_not_known_is_counted_by_blank_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vlm_module, "family", lambda _: Family())
    vlm = VLM(*toys.build("SmolVLM2"))
    outline = Outline(id="shown", question="<image>What?", image_sizes=((20, 190),))
    assert vlm.prompt_length(outline, "plain") == len(vlm.encode(shown((20, 190)), "plain").token_ids)


# ---- pixels ----


def test_tiles_are_joined_and_missing_ones_are_zero() -> None:
    vlm = subject("SmolVLM2").vlm
    some = (shown((32, 64)), shown((96, 96), (96, 96), question="<image><image>"))
    few, many = (vlm.encode(each, "plain") for each in some)
    joined = vlm.vision([few, many])["pixel_values"]
    alone = [vlm.vision([each])["pixel_values"] for each in (few, many)]
    assert joined.shape[:2] == (2, alone[1].shape[1])
    assert joined[0, : alone[0].shape[1]].equal(alone[0][0])
    assert not joined[0, alone[0].shape[1] :].any()


def test_nothing_joins_to_nothing() -> None:
    assert join([]) == {}
    assert subject("Gemma 3").vlm.vision([subject("Gemma 3").prompts[0]]) == {}


def test_pixels_are_made_once_and_kept_within_their_bound() -> None:
    module, processor = toys.build("Qwen2-VL")
    one = VLM(module, processor)
    made = one.encode(problem("one"), "plain")
    held = one._cache.nbytes
    vlm = VLM(module, processor, pixel_bytes=3 * held)
    calls: list[Prompt] = []
    processed = vlm._encoder.processed
    vlm._encoder.processed = lambda *given: (calls.append(given), processed(*given))[1]  # type: ignore[method-assign]
    prompts = [vlm.encode(problem("one"), "plain") for _ in range(5)]
    assert len(calls) == 5
    assert vlm._cache.nbytes <= 3 * held
    vlm.vision(prompts[2:])
    vlm.positions(prompts[4])
    assert len(calls) == 5  # the last three are kept
    again = vlm.vision(prompts[:1])["pixel_values"]
    assert len(calls) == 6
    assert vlm._cache.nbytes <= 3 * held
    assert again.equal(one.vision([made])["pixel_values"])


def test_pixels_go_with_their_prompt() -> None:
    vlm = VLM(*toys.build("Qwen2-VL"))
    kept = vlm.encode(problem("one"), "plain")
    alone = vlm._cache.nbytes
    for _ in range(4):
        vlm.encode(problem("one"), "plain")
    assert vlm._cache.nbytes == alone
    assert vlm._cache.get(kept) is not None
    del kept
    assert vlm._cache.nbytes == 0


def test_texts_do_not_fill_the_cache() -> None:
    vlm = VLM(*toys.build("Qwen3 (text)"), pixel_bytes=2_000)
    for number in range(50):
        vlm.encode(told(f"What is {number}?"), "plain")
    assert vlm._cache.nbytes <= 2_000


# ---- a blank image ----


@pytest.mark.parametrize("name", ["Qwen3 (text)", "Qwen3.5 (hybrid)"])
def test_a_blank_image_needs_a_tower_and_shared_prompts(name: str) -> None:
    with pytest.raises(ModelError, match="cannot take a blank image"):
        VLM(*toys.build(name), blank_image=True)


def test_every_size_is_a_different_shape() -> None:
    assert len({size for sizes in SIZES.values() for size in sizes}) == 6
