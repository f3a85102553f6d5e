"""A language model behind an OpenAI-compatible chat endpoint, asked for what a benchmark's rules leave to one.

Every accepted answer is kept on disk under the hash of its request, so that a run that goes on, or is done again, asks
nothing twice. What the judge could not be brought to answer is an error with its reason, and counted: never a verdict.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rethinker.errors import ConfigError, JudgeError
from rethinker.evaluation.chat import ChatEndpoint, Refused, Unavailable

PROMPTS = Path(__file__).parent.parent / "assets" / "judge_prompts"

KEY_VARIABLE = "RETHINKER_JUDGE_KEY"
"""Environment variable of the key; an endpoint of one's own needs none."""

GIVE_UP = 3
"""Questions in a row that end without any answer, after which the judge is taken to be down and asked no more."""

SHOWN = 80

Content = str | Sequence[Mapping[str, Any]]
"""Of a chat message."""


@dataclass(frozen=True, slots=True)
class JudgeCounts:
    """What was asked of a judge.

    Attributes:
        asked: Requests that were sent, repeated ones each time.
        cached: Answers taken from the disk.
        retried: Requests sent again, after no answer or a useless one.
        unusable: Answers that were not of the form asked for.
        failed: Questions that were given up.
    """

    asked: int = 0
    cached: int = 0
    retried: int = 0
    unusable: int = 0
    failed: int = 0

    def __add__(self, other: JudgeCounts) -> JudgeCounts:
        """Both together."""
        return JudgeCounts(**{name: count + asdict(other)[name] for name, count in asdict(self).items()})


class Judge:
    """Asks one model. Safe to use from several threads."""

    def __init__(
        self,
        endpoint: ChatEndpoint,
        model: str,
        *,
        cache: Path | None = None,
        attempts: int = 5,
        wait_s: float = 1.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Nothing is sent yet.

        Args:
            cache: Folder of the answers; None keeps none.
            attempts: How often one request is sent at most.
            wait_s: Seconds before the second; doubled each time.

        Raises:
            ConfigError: the folder cannot be made.
        """
        self.model = model
        self.counts = JudgeCounts()
        self._endpoint = endpoint
        self._cache = cache
        self._attempts = attempts
        self._wait_s = wait_s
        self._sleep = sleep
        self._lock = threading.Lock()
        self._silent = 0
        try:
            if cache is not None:
                cache.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"the judge's cache {cache} cannot be made: {error.strerror or error}") from error

    @property
    def url(self) -> str:
        """Where it is asked."""
        return self._endpoint.url

    def ask(self, prompt: Content, read: Callable[[str], str | None], *, max_tokens: int) -> str:
        """Put one prompt, greedily, until the answer is of use.

        Args:
            prompt: A text, or its parts with pictures between them.
            read: An answer's text → what it says; None or empty where it is not of the form asked for.

        Raises:
            JudgeError: no attempt brought a usable answer, or the judge was down before.
        """
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": 0,
            "max_tokens": max_tokens,
        }
        place = self._place(body)
        if (kept := _kept(place)) is not None and (meant := read(kept)):
            self._count(cached=1)
            return meant
        answer, meant = self._answer(body, read)
        _keep(place, answer)
        return meant

    def _answer(self, body: dict[str, Any], read: Callable[[str], str | None]) -> tuple[str, str]:
        """Send a request until its answer is of use.

        Raises:
            JudgeError: as `ask`.
        """
        reason, silent = "", False
        for attempt in range(self._attempts):
            if self._silent >= GIVE_UP:
                reason = f"the judge at {self.url} was given up after {GIVE_UP} questions without an answer"
                break
            if attempt:
                self._count(retried=1)
                self._sleep(self._wait_s * 2 ** (attempt - 1))
            self._count(asked=1)
            try:
                answer = self._endpoint.complete(body)
            except Refused as error:
                reason = str(error)
                break
            except Unavailable as error:
                reason, silent = str(error), True
                continue
            self._silent, silent = 0, False
            if meant := read(answer):
                return answer, meant
            self._count(unusable=1)
            reason = f"the judge answered {answer[:SHOWN]!r}, which is not of the form asked for"
        self._count(failed=1)
        self._silent += silent
        raise JudgeError(reason)

    def _count(self, *, asked: int = 0, cached: int = 0, retried: int = 0, unusable: int = 0, failed: int = 0) -> None:
        with self._lock:
            self.counts += JudgeCounts(asked=asked, cached=cached, retried=retried, unusable=unusable, failed=failed)

    def _place(self, body: dict[str, Any]) -> Path | None:
        """The file of a request's answer: the same request to another endpoint has another."""
        if self._cache is None:
            return None
        request = json.dumps([self._endpoint.url, body], sort_keys=True)
        return self._cache / f"{hashlib.sha256(request.encode()).hexdigest()}.json"


def open_judge(url: str, model: str, *, cache: Path | None, timeout_s: float = 60.0) -> Judge:
    """The judge that a user names, with the key of the environment.

    Raises:
        ConfigError: the address is none, the key cannot be sent, or the cache cannot be made.
    """
    return Judge(ChatEndpoint(url, key=os.environ.get(KEY_VARIABLE, ""), timeout_s=timeout_s), model, cache=cache)


def demonstration(name: str) -> str:
    """What the authors of a protocol put before the question to the judge, without white space at its ends."""
    return (PROMPTS / f"{name}.txt").read_text(encoding="utf-8").strip()


def _kept(place: Path | None) -> str | None:
    """The answer on the disk; one that was damaged counts as none."""
    if place is None or not place.is_file():
        return None
    try:
        answer = json.loads(place.read_text(encoding="utf-8"))["answer"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return answer if isinstance(answer, str) else None


def _keep(place: Path | None, answer: str) -> None:
    """Write an answer aside and rename it, so that there is no half of one.

    Raises:
        JudgeError: the disk takes none.
    """
    if place is None:
        return
    aside = place.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
    try:
        aside.write_text(json.dumps({"answer": answer}), encoding="utf-8")
        aside.replace(place)
    except OSError as error:
        raise JudgeError(f"the judge's cache {place.parent} cannot be written: {error.strerror or error}") from error
