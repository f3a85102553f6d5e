"""The check before step 1: through the whole path a known right answer scores 1 and a known wrong one 0.

Reward code that always says no, or always yes, costs a whole run and looks like a model that does not learn.
"""

from __future__ import annotations

from collections.abc import Sequence

from rethinker.errors import PreflightError
from rethinker.interfaces import Scorer
from rethinker.rewards.extract import plain, trim
from rethinker.rewards.numeric import read_number
from rethinker.types import Outcome, Problem, Verdict

_CAUSES = {
    Outcome.OK: "the verifier accepts anything, or does not look at the response",
    Outcome.WRONG: "the verifier compares with something else than the stored answer, or the answer is not of its kind",
    Outcome.UNPARSED: "the stored answer is not of the problem's kind; give the row another verifier, such as 'text'",
    Outcome.TIMEOUT: "the verifier hangs, or verifier.timeout_seconds is too small",
    Outcome.ERROR: "the verifier fails on every response, or the row names a verifier that does not exist",
}


def preflight(scorer: Scorer, problems: Sequence[Problem]) -> None:
    """Score a known right and a known wrong response for the first problem of each verifier and category.

    Raises:
        PreflightError: a verdict is not what it must be; names the problem, response, verdict and likely causes.
    """
    chosen = {(problem.verifier, problem.category): problem for problem in reversed(problems)}
    checks = [
        (problem, f"\\boxed{{{answer}}}", right)
        for problem in chosen.values()
        for answer, right in ((problem.answer, True), (wrong_answer(problem), False))
    ]
    pending = [scorer.submit(problem, response) for problem, response, _ in checks]
    for (problem, response, right), future in zip(checks, pending, strict=True):
        verdict = future.result()
        wanted = (Outcome.OK, 1.0) if right else (Outcome.WRONG, 0.0)
        if (verdict.outcome, verdict.reward) != wanted:
            raise PreflightError(_complaint(problem, response, verdict, right=right))


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


def _complaint(problem: Problem, response: str, verdict: Verdict, *, right: bool) -> str:
    known, wanted = ("right", "ok with reward 1") if right else ("wrong", "wrong with reward 0")
    return (
        f"preflight: a known {known} response did not score {wanted}, so the run does not start.\n"
        f"  problem   {problem.id}: {problem.answer!r} of kind {problem.verifier!r}, choices {problem.choices}\n"
        f"  response  {response!r}\n"
        f"  verdict   {verdict.outcome.value} with reward {verdict.reward:g} {verdict.detail}\n"
        f"  likely    {_CAUSES[verdict.outcome]}"
    )
