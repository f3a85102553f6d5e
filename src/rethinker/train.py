"""The training loop, on one screen, and the few verbs around it: begin, record, measure, save, stop, finish.

Left out on purpose: which algorithm, model, engine or data. `build.py` made those; here they are only asked.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rethinker.data.quarantine import Quarantine
from rethinker.errors import Interrupted
from rethinker.evaluation.held_out import HeldOut
from rethinker.evaluation.in_training import Benchmarks
from rethinker.interfaces import Learner, ProblemSource, Replay, Scorer, Stream, Tracker, WeightSync
from rethinker.report.write import write_report
from rethinker.rollout.episodes import Episode, Episodes
from rethinker.runs.checkpoints import Checkpoints
from rethinker.runs.files import write_atomically
from rethinker.runs.folder import RunFolder
from rethinker.runs.intervals import wilson
from rethinker.runs.memory import PeakMemory
from rethinker.runs.progress import Progress
from rethinker.runs.rollouts import RolloutRecord
from rethinker.runs.signals import Abandoned, StopSignal
from rethinker.runs.summary import Summary
from rethinker.timing import Stopwatch
from rethinker.types import NO_VERDICT, Experience, Mean, Metrics, State, merge


@dataclass(frozen=True, slots=True, kw_only=True)
class Cadence:
    """How long, how often what is done, and the metric whose best checkpoint is kept."""

    steps: int
    evaluate_every: int
    save_every: int
    best: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Everything a run is made of; `build.build` puts it together.

    Attributes:
        abandons: Whether an episode may be left in the middle of its making, and made again after a resume.
    """

    cadence: Cadence
    stream: Stream
    quarantine: Quarantine
    episodes: Episodes
    replay: Replay
    learner: Learner
    weights: WeightSync
    held_out: HeldOut
    benchmarks: Benchmarks | None
    scorer: Scorer
    validation: ProblemSource
    test: ProblemSource
    folder: RunFolder
    checkpoints: Checkpoints
    tracker: Tracker
    record: RolloutRecord
    stopwatch: Stopwatch
    write_model: Callable[[Path], None]
    write_profile: Callable[[], None]
    close: Callable[[], None]
    abandons: bool


class _Start(NamedTuple):
    """What the untrained policy did on the test problems."""

    problems: int
    correct: int
    rethought: int


class Run:
    """One training run, from its beginning or from a checkpoint.

    Args:
        parts: What it is made of.
        progress: Where it is shown.
        memory: Watches the process tree.
        stop: Tells when somebody asked the run to stop.
    """

    def __init__(self, parts: Parts, *, progress: Progress, memory: PeakMemory, stop: StopSignal) -> None:
        self.parts = parts
        self._progress = progress
        self._memory = memory
        self._stop = stop
        self._step = 0
        self._version = 0
        self._evaluated = 0
        self._best = -1.0
        self._before: _Start | None = None
        self._saved: Path | None = None
        self._saved_step = -1
        self._quarantined = 0
        self._drawn_from: State | None = None
        self._began = time.monotonic()
        self._seconds_before = 0.0
        self._peak_before = 0
        self._step_began = self._began

    def train(self) -> Summary:
        """Run to the last step; leave checkpoints, record, report and summary in the run folder.

        Raises:
            Interrupted: a signal asked to stop; the step was finished, or what SIGTERM found half made left, and saved.
        """
        parts = self.parts
        self._begin()
        if self._step >= parts.cadence.steps:  # stopped between its last step and its summary
            return self._finish()
        for episode in self._episodes():
            for batch in episode.batches():
                self._step += 1
                version = self._version
                chosen = parts.replay.select(batch, step=self._step)
                with parts.stopwatch("update"):
                    metrics = parts.learner.update(chosen)
                metrics = merge(episode.drain_metrics(), metrics, parts.replay.metrics())
                done = self._step >= parts.cadence.steps
                if episode.spent or done:
                    metrics |= self._publish() | self._validate(last=done)
                with parts.stopwatch.within("record"):
                    self._log(batch, metrics, episode=episode.number, version=version)
                self._save_if_due(metrics, last=done)
                parts.stopwatch.lap(self._step)
                if done:
                    return self._finish()
                self._stop_if_asked()
        raise AssertionError("episodes never end")

    # ---- around the loop ----

    def _begin(self) -> None:
        """Measure the untrained policy, unless a resumed run has done so."""
        if self._before is None:
            self._progress.phase("measuring the start")
            try:
                with self._stop.abandoning():
                    found = self.parts.held_out.evaluate(self.parts.test)
                self._before = _Start(found.problems, found.correct, found.second_looks.rethought)
            except Abandoned:
                pass
            self._stop_if_asked()
        self._progress.phase("training")
        self.parts.stopwatch.start()
        self._step_began = time.monotonic()

    def _episodes(self) -> Iterator[Episode]:
        """Episodes as they are made; one that SIGTERM finds in the making is left, as if it had not been begun."""
        if not self.parts.abandons:
            yield from self.parts.episodes
        episodes = iter(self.parts.episodes)
        while True:
            self._drawn_from = self._source()
            try:
                with self._stop.abandoning():
                    episode = next(episodes)
            except Abandoned:
                self._stop_if_asked()
            self._drawn_from = None
            yield episode

    def _publish(self) -> Metrics:
        """The behaviour policy becomes the current one."""
        self._version += 1
        with self.parts.stopwatch("sync"):
            metrics = self.parts.weights.publish(self._version)
        self.parts.learner.policy_synced(self._version)
        self.parts.replay.policy_synced()
        return metrics

    def _validate(self, *, last: bool) -> Metrics:
        """Greedy accuracy on the validation split and benchmarks, at the first sync after it is due, and at the end."""
        every = self.parts.cadence.evaluate_every
        due = bool(every) and self._step // every > self._evaluated // every
        if not due and not last:
            return {}
        self._progress.phase("evaluating")
        with self.parts.stopwatch("evaluate"):
            found = self.parts.held_out.evaluate(self.parts.validation)
            benchmarks = self.parts.benchmarks.measure(self._step) if self.parts.benchmarks else {}
        self._progress.phase("training")
        self._evaluated = self._step
        return {
            "eval/accuracy": Mean(sum=found.correct, count=found.problems),
            "eval/rethinking": Mean(sum=found.second_looks.rethought, count=found.problems),
            "eval/problems": Mean(sum=found.problems),
            "eval/skipped": Mean(sum=found.skipped),
            **{f"eval/{each.value}": Mean(sum=found.outcomes[each], count=found.problems) for each in NO_VERDICT},
            **benchmarks,
        }

    def _save_if_due(self, metrics: Metrics, *, last: bool) -> None:
        """Save by the clock of steps, at the end, and whenever the policy is better than ever on validation.

        After the step is logged: a run killed in between goes back to the checkpoint before and does the step again.
        """
        best = self.parts.cadence.best
        measured = metrics[best].value if best in metrics else None
        better = False
        if measured is not None and measured > self._best:
            self._best, better = measured, True
        if better or last or self._step % self.parts.cadence.save_every == 0:
            self._save(measured)

    def _save(self, accuracy: float | None = None) -> None:
        with self.parts.stopwatch("save"):
            self._saved = self.parts.checkpoints.save(
                self._step, self.save, accuracy=accuracy, write_model=self.parts.write_model
            )
        self._saved_step = self._step

    def _log(self, batch: Sequence[Experience], metrics: Metrics, *, episode: int, version: int) -> None:
        """Record the step: metrics everywhere they go, responses, and the bar."""
        self.parts.record.write(self._step, batch)
        self.record_quarantine()
        now = time.monotonic()
        timings = self.parts.stopwatch.drain() | {"time/step": Mean(sum=now - self._step_began)}
        self._step_began = now
        values: dict[str, float | int | None] = {name: mean.value for name, mean in merge(metrics, timings).items()}
        values |= {"episode": episode, "policy_version": version, "data/quarantined": len(self.parts.quarantine)}
        values["system/memory_bytes"] = self._memory.latest_bytes
        self.parts.tracker.log(self._step, values)
        self.parts.tracker.show(self._step, batch)
        self._progress.update(
            self._step,
            reward=values.get("reward/mean"),
            mixed=values.get("groups/mixed"),
            tokens=int(values.get("tokens/generated") or 0),
        )

    def record_quarantine(self) -> None:
        """Write down the rows set aside so far, with their reasons, to `quarantine.jsonl`; none, no file."""
        rows = self.parts.quarantine.rows()
        if len(rows) != self._quarantined:
            self._quarantined = len(rows)
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            write_atomically(self.parts.folder.quarantine_file, text)

    def _stop_if_asked(self) -> None:
        if self._stop.exit_code is None:
            return
        if self._saved_step != self._step:
            self._save()
        if self._stop.patient:
            self._report()
        raise Interrupted(
            f"stopped at step {self._step}, saved to {self._saved}. "
            f"Go on with: rethinker train --resume {self.parts.folder.path}",
            exit_code=self._stop.exit_code,
        )

    def _finish(self) -> Summary:
        """Measure the trained policy and write down what the run achieved."""
        assert self._before is not None
        self._progress.phase("measuring the end")
        after = self.parts.held_out.evaluate(self.parts.test)
        before, looks = self._before, after.second_looks
        summary = Summary(
            problems=after.problems,
            accuracy_before=before.correct / max(1, before.problems),
            accuracy_after=after.accuracy,
            accuracy_before_interval=wilson(before.correct, before.problems),
            accuracy_after_interval=wilson(after.correct, after.problems),
            rethinking_before=before.rethought / max(1, before.problems),
            rethinking_after=after.rethinking,
            wrong_to_right=looks.wrong_to_right / max(1, after.problems),
            right_to_wrong=looks.right_to_wrong / max(1, after.problems),
            seconds=self._seconds(),
            peak_memory_bytes=self._peak_bytes(),
        )
        self.parts.folder.write_summary(summary.to_json())
        self.parts.tracker.close()
        self._report()
        return summary

    def _report(self) -> None:
        """Draw the run as a page; what is wrong with the page is not wrong with the run, so it is only said."""
        self._progress.phase("drawing the report")
        try:
            write_report(self.parts.folder.path)
        except Exception as error:  # noqa: BLE001 (the run is done and saved, whatever this is)
            self._progress.warn(
                f"the report was not written ({type(error).__name__}: {error}); draw it again with "
                f"rethinker report {self.parts.folder.path}"
            )

    def _seconds(self) -> float:
        return self._seconds_before + time.monotonic() - self._began

    def _peak_bytes(self) -> int:
        return max(self._peak_before, self._memory.peak_bytes)

    # ---- state ----

    def save(self, folder: Path) -> State:
        """All that the rest of the run depends on; the learner may write its part below `folder`."""
        parts = self.parts
        parts.episodes.settle()  # or what is being made would take from the stream meanwhile
        return {
            "step": self._step,
            "version": self._version,
            "evaluated": self._evaluated,
            "best": self._best,
            "before": list(self._before) if self._before is not None else None,
            "seconds": self._seconds(),
            "peak_memory_bytes": self._peak_bytes(),
            **(self._drawn_from or self._source()),
            "episodes": parts.episodes.state_dict(),
            "replay": parts.replay.state_dict(),
            "learner": parts.learner.save(folder),
        }

    def _source(self) -> State:
        """Where problems come from."""
        return {"stream": self.parts.stream.state_dict(), "quarantine": self.parts.quarantine.state_dict()}

    def resume(self, saved: tuple[Path, State] | None) -> None:
        """Go on from a checkpoint, its folder and its state, or from the beginning where none was saved.

        Metrics and responses recorded after it are cut back, to be made again.
        """
        if saved is not None:
            self.load(*saved)
        self.parts.tracker.cut_back(self._step)
        self.parts.record.cut_back(self._step)
        if self.parts.benchmarks:
            self.parts.benchmarks.cut_back(self._step)

    def load(self, folder: Path, state: State) -> None:
        """Restore what `save` wrote below `folder` and returned."""
        parts = self.parts
        parts.stream.load_state_dict(state["stream"])
        parts.quarantine.load_state_dict(state["quarantine"])
        parts.episodes.load_state_dict(state["episodes"])
        parts.replay.load_state_dict(state["replay"])
        self._step, self._version = int(state["step"]), int(state["version"])
        self._evaluated, self._best = int(state["evaluated"]), float(state["best"])
        self._before = _Start(*state["before"]) if state["before"] is not None else None
        self._seconds_before = float(state["seconds"])
        self._peak_before = int(state["peak_memory_bytes"])
        parts.learner.load(folder, state["learner"])
        parts.weights.publish(self._version)
