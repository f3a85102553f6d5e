from __future__ import annotations

import re

import numpy as np

from rethinker.data.gym.scene import Scene
from rethinker.learner.worked import (
    DIRECT_START,
    WORKED_START,
    direct_example,
    second_look_example,
    splice,
    worked_example,
)

END = 999
TRIGGER = "\n\nWait, does it seem right?"
SCENE = Scene(
    images=(),
    question="How many?",
    answer="5",
    verifier="number",
    look="red is 2 and blue is 3.",
    work="2+3=5.",
)
CHOICE = Scene(
    images=(),
    question="Which?",
    answer="B",
    verifier="choice",
    look="row 1: circle none.",
    work="circle is left.",
    choices=("left", "right", "above"),
)


def characters(text: str) -> np.ndarray:
    return np.array([ord(sign) for sign in text], dtype=np.int64)


def first_answer(scene: Scene, seed: int) -> str:
    example = second_look_example(scene, np.random.default_rng(seed), trigger=TRIGGER, habit_share=0.0)
    return "".join(piece.text for piece in example[:-2])


def learned_text(ids: np.ndarray, learned: np.ndarray) -> str:
    return "".join(chr(i) for i, used in zip(ids, learned, strict=True) if used and i != END)


def test_direct_and_worked_answers_are_learned_to_their_end() -> None:
    fast = direct_example(SCENE, np.random.default_rng(0), skill_share=1.0)
    for example, start in ((fast, DIRECT_START), (worked_example(SCENE), WORKED_START)):
        ids, learned = splice(example, characters, END)
        assert learned.all()
        assert ids[-1] == END
        assert np.count_nonzero(ids == END) == 1
        assert learned_text(ids, learned).startswith(start)
        assert "\\boxed{5}" in learned_text(ids, learned)


def test_a_direct_answer_can_be_begun_without_learning_what_to_answer() -> None:
    ids, learned = splice(direct_example(SCENE, np.random.default_rng(0), skill_share=0.0), characters, END)
    assert learned_text(ids, learned) == "The answer is \\boxed{}."
    assert learned[-1], "a direct answer ends where it ends"
    assert "".join(chr(i) for i in ids if i != END) == "The answer is \\boxed{5}."


def test_a_second_look_is_learned_and_the_first_answer_is_not() -> None:
    for seed in range(30):
        example = second_look_example(SCENE, np.random.default_rng(seed), trigger=TRIGGER, habit_share=0.0)
        ids, learned = splice(example, characters, END)
        *first, trigger, second = (piece.text for piece in example)
        assert learned.tolist() == [False] * len("".join(first) + trigger) + [True] * (len(second) + 1)
        assert learned_text(ids, learned) == "\nLook: red is 2 and blue is 3. 2+3=5. \\boxed{5}"
        assert (ids == END).tolist() == [False] * (len(ids) - 1) + [True]


def test_the_pieces_are_tokenised_apart_as_the_engine_splices_them() -> None:
    example = second_look_example(SCENE, np.random.default_rng(0), trigger=TRIGGER, habit_share=0.0)
    seen: list[str] = []

    def tokenize(text: str) -> np.ndarray:
        seen.append(text)
        return characters(text)

    splice(example, tokenize, END)
    assert seen == [piece.text for piece in example]
    assert seen[-2] == TRIGGER


def test_the_habit_share_decides_whether_the_trigger_is_learned() -> None:
    def trigger_learned(seed: int, share: float) -> bool:
        return second_look_example(SCENE, np.random.default_rng(seed), trigger=TRIGGER, habit_share=share)[-2].learned

    assert not any(trigger_learned(seed, 0.0) for seed in range(50))
    assert all(trigger_learned(seed, 1.0) for seed in range(50))
    assert 5 <= sum(trigger_learned(seed, 0.3) for seed in range(50)) <= 28


def test_first_answers_are_guesses_or_spoiled_and_cannot_be_copied() -> None:
    right = "Look: red is 2 and blue is 3. 2+3=5."
    firsts = [first_answer(SCENE, seed) for seed in range(60)]
    worked = [text for text in firsts if text.startswith(WORKED_START)]
    assert 15 < len(worked) < 45
    assert not any(text.startswith(right) for text in worked)
    assert all(re.fullmatch(r"The answer is \\boxed\{[0-7]\}\.", text) for text in firsts if text not in worked)
    assert len({text for text in firsts if "\\boxed{5}" not in text}) > 10


def test_a_choice_is_guessed_among_its_letters() -> None:
    firsts = [first_answer(CHOICE, seed) for seed in range(60)]
    assert {found[1] for text in firsts if (found := re.search(r"\\boxed\{(.)\}", text))} == {"A", "B", "C"}


def test_spoiled_words_stay_of_their_kind() -> None:
    """A colour becomes a colour and a digit a digit, so that only the picture tells which was right."""
    for seed in range(60):
        text = first_answer(SCENE, seed)
        if text.startswith(WORKED_START):
            colour = "(red|blue|green|yellow)"
            assert re.match(rf"Look: {colour} is \d and {colour} is \d\. \d\+\d=\d\. \\boxed", text), text
