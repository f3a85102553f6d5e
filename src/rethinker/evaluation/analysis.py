"""The test-time analysis: what a forced second thought is worth, beside what else the same tokens buy.

Every way of answering becomes one score and one number of generated tokens per question, so that all are paired.

**Equal tokens.** Forced rethinking generated T tokens for a question: first thought and second together. Independent
samples s, s + 1, … of the same question are bought in their order while their tokens sum to at most T; at least one is
always bought, and never more than there are. Their majority vote is the answer. Which sample is the first must not
matter, so every sample is the first once, the order going on from the last to sample 0, and the question's score and
tokens are the means over these starts. Unspent tokens stay unspent, so the samples rarely get more than rethinking did:
only where a single sample is longer than T. *Any of them right* is the bound of a perfect choice among the same
samples, as the oracle is of a perfect choice of when to look twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rethinker.errors import ConfigError, DatasetError
from rethinker.evaluation.comparison import check_comparable, common_questions, question_scores, question_weights
from rethinker.evaluation.majority import majority
from rethinker.evaluation.paired import Interval, Scores, accuracy_interval, difference_interval, weighted_mean
from rethinker.evaluation.results import Result, ResultRow

BASE, FORCED, ORACLE, TRAINED = "base", "forced on all", "oracle bound", "trained"
EQUAL_VOTE, EQUAL_ANY = "samples, equal tokens", "any right, equal tokens"

BOUNDS = (ORACLE, EQUAL_ANY)
"""Ways that need to know what is right: upper bounds, not methods."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transitions:
    """Questions rethought, and what became of their first answers; shares of all questions.

    Attributes:
        unknown: Rethought without a first answer; in neither of the others.
    """

    rethought: float
    wrong_to_right: float
    right_to_wrong: float
    unknown: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way of answering all questions.

    Attributes:
        interval: Of the accuracy, 95 %.
        gain: Accuracy minus the base's, and its 95 % paired-bootstrap interval; None for the base.
        tokens: Generated per question.
        per_100_tokens: Gain by 100 tokens generated beyond the base's; None where there are none.
        transitions: None where no one answer is given.
    """

    accuracy: float
    interval: Interval
    gain: tuple[float, Interval] | None
    tokens: float
    per_100_tokens: float | None
    transitions: Transitions | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """What one benchmark shows.

    Attributes:
        questions: Common to all results.
        left_out: Path of a result → questions of its own that not all have.
        ways: Name → figures, the base first.
        capped: Share of (question, start) pairs for which the tokens would have bought more samples than there are.
        moved: Questions whose first answer under forcing has another verdict than the base's answer: under greedy
            decoding by one model there are none.
    """

    benchmark: str
    conditions: Mapping[str, str]
    questions: int
    left_out: Mapping[str, int]
    ways: Mapping[str, Way]
    capped: float | None
    moved: int


@dataclass(frozen=True, slots=True)
class _Bought:
    vote: float
    any_right: float
    tokens: float
    capped: float


def analyse(
    base: Result, forced: Result, *, oracle: Result | None, trained: Result | None, samples: Result | None, seed: int
) -> Analysis:
    """Figures of every way of answering, on the questions that all results have.

    Args:
        base: Without a second thought.
        forced: The same model, a second thought forced on every answer.
        oracle: Forced, and the first answer kept where it was right.
        trained: The model trained to rethink by itself.
        samples: Several independent samples of the base model per question.
        seed: Of the bootstrap.

    Raises:
        ConfigError: results of different protocols or scoring; or one where several samples belong, or the other way.
        DatasetError: there is no common question, or tokens are not known.
    """
    given = {BASE: base, FORCED: forced, ORACLE: oracle, TRAINED: trained}
    single = {name: result for name, result in given.items() if result is not None}
    results = [*single.values(), *([samples] if samples else [])]
    _check(single, samples)
    questions = common_questions(results)
    weights = question_weights(base, questions)
    columns = {name: (question_scores(of, questions), _tokens(of, questions)) for name, of in single.items()}
    capped = None
    if samples is not None:
        sampled = _sampled(samples, questions, columns[FORCED][1])
        capped = sampled.pop("capped")[0].mean()
        columns |= sampled
    start = columns[BASE]
    moved = [forced.rows[id][0].first_correct is (not base.rows[id][0].correct) for id in questions]  # noqa: A001
    return Analysis(
        benchmark=base.benchmark,
        conditions=base.conditions,
        questions=len(questions),
        left_out={str(result.path): len(result.rows) - len(questions) for result in results},
        ways={
            name: _way(name, scores, tokens, start, weights, seed, _transitions(single.get(name), questions, weights))
            for name, (scores, tokens) in columns.items()
        },
        capped=capped,
        moved=sum(moved),
    )


def bought(samples: Sequence[ResultRow], budget: float) -> _Bought:
    """What a budget of tokens buys of one question's samples: means over every sample as the first."""
    found = []
    for start in range(len(samples)):
        row = [*samples[start:], *samples[:start]]
        spent = np.cumsum([_known(each.tokens) for each in row])
        count = max(1, int(np.searchsorted(spent, budget, side="right")))
        chosen = row[:count]
        vote = chosen[majority([each.extracted for each in chosen])].score
        found.append((vote, max(each.score for each in chosen), spent[count - 1], count == len(row)))
    return _Bought(*np.mean(found, axis=0).tolist())


def _sampled(samples: Result, questions: Sequence[str], budgets: Scores) -> dict[str, tuple[Scores, Scores]]:
    """Majority vote of all samples, and what is bought at equal tokens; beside, how often samples ran out."""
    groups = [samples.rows[id] for id in questions]  # noqa: A001
    equal = [bought(group, budget) for group, budget in zip(groups, budgets, strict=True)]

    def of(figure: Callable[[_Bought], float]) -> Scores:
        return np.array([figure(each) for each in equal])

    votes = np.array([group[majority([row.extracted for row in group])].score for group in groups])
    spent = np.array([float(sum(_known(row.tokens) for row in group)) for group in groups])
    tokens = of(lambda each: each.tokens)
    return {
        f"majority of {samples.samples}": (votes, spent),
        EQUAL_VOTE: (of(lambda each: each.vote), tokens),
        EQUAL_ANY: (of(lambda each: each.any_right), tokens),
        "capped": (of(lambda each: each.capped), tokens),
    }


def _way(
    name: str,
    scores: Scores,
    tokens: Scores,
    start: tuple[Scores, Scores],
    weights: Scores,
    seed: int,
    transitions: Transitions | None,
) -> Way:
    gained, more = weighted_mean(scores - start[0], weights), weighted_mean(tokens - start[1], weights)
    interval = difference_interval(scores - start[0], weights, seed=seed, key=name)
    return Way(
        accuracy=weighted_mean(scores, weights),
        interval=accuracy_interval(scores, weights, seed=seed, key=name),
        gain=None if name == BASE else (gained, interval),
        tokens=weighted_mean(tokens, weights),
        per_100_tokens=100 * gained / more if name != BASE and more > 0 else None,
        transitions=transitions,
    )


def _transitions(result: Result | None, questions: Sequence[str], weights: Scores) -> Transitions | None:
    if result is None:
        return None
    rows = [result.rows[id][0] for id in questions]  # noqa: A001

    def share(what: Callable[[ResultRow], bool]) -> float:
        return weighted_mean(np.array([float(what(row)) for row in rows]), weights)

    return Transitions(
        rethought=share(lambda row: row.rethought),
        wrong_to_right=share(lambda row: row.rethought and row.first_correct is False and row.correct),
        right_to_wrong=share(lambda row: row.rethought and row.first_correct is True and not row.correct),
        unknown=share(lambda row: row.rethought and row.first_correct is None),
    )


def _tokens(result: Result, questions: Sequence[str]) -> Scores:
    try:
        return np.array([float(_known(result.rows[id][0].tokens)) for id in questions])  # noqa: A001
    except DatasetError as error:
        raise DatasetError(f"{result.path}: {error}") from error


def _known(tokens: int | None) -> int:
    if tokens is None:
        raise DatasetError("an answer has no count of generated tokens; give a folder that `rethinker eval` wrote")
    return tokens


def _check(single: Mapping[str, Result], samples: Result | None) -> None:
    first = single[BASE]
    for name, result in single.items():
        check_comparable(first, result)
        if result.samples > 1:
            raise ConfigError(
                f"{result.path} holds {result.samples} samples of a question; {name} takes one answer each: "
                "evaluate with --samples 1"
            )
    for name, mode in ((BASE, "off"), (FORCED, "forced"), (ORACLE, "oracle")):
        if name in single and single[name].settings.get("rethink") != mode:
            found = single[name].settings.get("rethink", "no setting")
            raise ConfigError(f"{single[name].path} has rethink={found}; {name} takes one with --rethink {mode}")
    if samples is not None:
        check_comparable(first, samples)
        if samples.samples < 2:
            raise ConfigError(f"{samples.path} holds one sample of a question; evaluate with --samples 2 or more")
