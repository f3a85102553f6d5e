"""The check before step 1: through the whole path a known right answer counts as right, and a known wrong one does not.

Reward code that always says no, or always yes, costs a whole run and looks like a model that does not learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rethinker.errors import PreflightError
from rethinker.interfaces import Scorer
from rethinker.rewards.extract import plain, trim
from rethinker.rewards.numeric import read_number
from rethinker.types import Outcome, Problem, Verdict

TRIES = 3
"""Problems of a kind that must all fail before the path is to blame, and not a row."""


def preflight(scorer: Scorer, problems: Sequence[Problem], *, graded: bool = False) -> list[str]:
    """Score a known right and a known wrong response for a problem of each verifier and category.

    A problem that fails is followed by the next of its kind, `TRIES` in all: one bad row is not the path's fault.

    Args:
        graded: The verifier is a user's function, whose scores may lie between 0 and 1: a right answer must count as
            right and a wrong one must not, whatever their rewards.

    Returns:
        A line for each problem that failed where another of its kind passed.

    Raises:
        PreflightError: no problem of a kind passed; names the first, its response, its verdict and the likely cause.
    """
    kinds: dict[tuple[str, str], list[Problem]] = {}
    for problem in problems:
        kinds.setdefault((problem.verifier, problem.category), []).append(problem)
    bad_rows = []
    for of_a_kind in kinds.values():
        failures: list[_Failure] = []
        for problem in of_a_kind[:TRIES]:
            failure = _tried(scorer, problem, graded=graded)
            if failure is None:
                break
            failures.append(failure)
        else:
            raise PreflightError(failures[0].complaint())
        bad_rows += [failure.line() for failure in failures]
    return bad_rows


def _tried(scorer: Scorer, problem: Problem, *, graded: bool) -> _Failure | None:
    responses = {True: f"\\boxed{{{problem.answer}}}", False: f"\\boxed{{{wrong_answer(problem)}}}"}
    pending = {right: scorer.submit(problem, response) for right, response in responses.items()}
    for right, future in pending.items():
        verdict = future.result()
        wanted = (Outcome.OK, 1.0) if right else (Outcome.WRONG, 0.0)
        passed = verdict.correct is right if graded else (verdict.outcome, verdict.reward) == wanted
        if not passed:
            return _Failure(problem, responses[right], verdict, right, graded)
    return None


def wrong_answer(problem: Problem) -> str:
    """An answer of the problem's kind that is certainly wrong."""
    match problem.verifier:
        case "number":
            number = read_number(plain(trim(problem.answer)))
            return str(1000 + 2 * abs(int(number.value))) if number else "1000"
        case "choice":
            return _other_option(problem)
        case "latex":
            return "987654.321"
        case "list":
            return f"{problem.answer}, {problem.answer}"
        case _:
            return f"not {problem.answer}"


def _other_option(problem: Problem) -> str:
    answer = trim(problem.answer)
    others = [choice for choice in problem.choices if choice != answer]
    letter = answer.strip("().: ").upper()
    if len(letter) == 1:
        return "B" if letter == "A" else "A"
    return others[0] if others else f"not {answer}"


class _Failure(NamedTuple):
    """A known response whose verdict is not what it must be."""

    problem: Problem
    response: str
    verdict: Verdict
    right: bool
    graded: bool

    def line(self) -> str:
        """For a row that is to blame itself."""
        problem, verdict = self.problem, self.verdict
        return (
            f"problem {problem.id} cannot be verified, while others of its kind can: its answer {problem.answer!r} of "
            f"kind {problem.verifier!r} gives {verdict.outcome.value} {verdict.detail}"
        )

    def complaint(self) -> str:
        """For a path that is to blame."""
        problem, verdict = self.problem, self.verdict
        known, wanted = ("right", "ok with reward 1") if self.right else ("wrong", "wrong with reward 0")
        failed = f"did not score {wanted}"
        if self.graded:
            failed = "did not count as right" if self.right else "counted as right"
        return (
            f"preflight: a known {known} response {failed}, so the run does not start.\n"
            f"  problem   {problem.id}: {problem.answer!r} of kind {problem.verifier!r}, choices {problem.choices}\n"
            f"  response  {self.response!r}\n"
            f"  verdict   {verdict.outcome.value} with reward {verdict.reward:g} {verdict.detail}\n"
            f"  likely    {self._likely()}"
        )

    def _likely(self) -> str:
        match self.verdict.outcome:
            case Outcome.TIMEOUT:
                return "the verifier hangs, or verifier.timeout_seconds is too small"
            case Outcome.ERROR if self.graded:
                return "the function raises, or returns something else than a score from 0 to 1"
            case Outcome.ERROR:
                return "the answer is not of the row's kind, or there is no such kind; give the row another verifier"
            case Outcome.OK if self.right:
                return "the verifier gives a right answer less than its full reward"
            case Outcome.OK:
                return "the verifier accepts anything, or does not look at the response"
            case Outcome.UNPARSED:
                return (
                    "the answer, boxed, cannot be read as the row's kind; give the row another verifier, such as 'text'"
                )
            case _ if not self.right:
                return "the verifier gives a wrong answer a reward"
            case _ if self.graded:
                return (
                    "the preflight sends \\boxed{answer} and nothing else; a function that wants a format, such as "
                    "<think>, too must count the answer alone as right: score the two apart, and set "
                    "verifier.threshold to what the answer earns"
                )
        return "the verifier compares with something else than the stored answer"
