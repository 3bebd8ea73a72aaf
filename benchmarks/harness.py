"""Runs a group: interleaved rounds, order reversed each round, the first one dropped.

May be used by one thread at a time. Everything that happens between two runs (progress display,
garbage collection, checks) happens on this thread and outside the measurement; no helper thread
exists meanwhile but the watchdog's, which sleeps.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Protocol

from benchmarks.declare import Benchmark, Contestant, Group, Metric, Size, Tuned, UnavailableError
from benchmarks.isolated import RunFailedError, run_isolated
from benchmarks.measure import Clock, Measurement, SystemClock, measure
from benchmarks.results import BenchmarkResult, ContestantResult, GroupResult, Sample, Status


class Progress(Protocol):
    """Told what happens, between the runs."""

    def group(self, title: str, runs: int) -> None:
        """A group of that many runs begins."""

    def run(self, contestant: str, number: int, rounds: int) -> None:
        """A contestant is about to run in round `number` of `rounds`; round 0 is dropped."""


class Silent:
    """A progress display that displays nothing."""

    def group(self, title: str, runs: int) -> None:
        pass

    def run(self, contestant: str, number: int, rounds: int) -> None:
        pass


@contextlib.contextmanager
def watchdog(seconds: float) -> Iterator[None]:
    """Ends the process with every thread's stack on stderr if the body takes too long.

    It works while C code holds the GIL: the waiting thread is native and needs no interpreter.
    """
    faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__ or sys.stderr)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


class _Entry:
    """A contestant with its result so far."""

    def __init__(self, contestant: Contestant) -> None:
        self.contestant = contestant
        self.result = ContestantResult(contestant.name, contestant.ours, contestant.isolated)
        self.result.checks = {check.name: None for check in contestant.checks}

    @property
    def runnable(self) -> bool:
        return self.result.status in (Status.OK, Status.INVALID)

    def drop(self, status: Status, reason: str, details: str = "") -> None:
        """Takes the contestant out of the rounds to come."""
        self.result.status, self.result.reason, self.result.details = status, reason, details


class Harness:
    """Measures groups and benchmarks; tests replace the clock, and what is done before each run.

    By default garbage is collected before a run, so that nobody pays for another's; the collector
    stays on during the run, as it does in a program.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        progress: Progress | None = None,
        settle: Callable[[], object] = gc.collect,
    ) -> None:
        self._settle = settle
        self._clock = clock or SystemClock()
        self._progress = progress or Silent()

    def run(self, benchmark: Benchmark, size: Size, rounds: int | None = None) -> BenchmarkResult:
        """Runs all groups of a benchmark, `rounds` counted rounds each."""
        counted = rounds if rounds is not None else benchmark.rounds[size]
        groups = [self.run_group(group, counted) for group in benchmark.groups(size)]
        return BenchmarkResult(benchmark, size, groups)

    def run_group(self, group: Group, rounds: int) -> GroupResult:
        """Runs one group: `rounds` counted rounds after one that is dropped.

        A contestant that fails is dropped from the later rounds; the others go on.
        """
        if rounds < 1:
            raise ValueError(f"at least one counted round is needed, not {rounds}")
        with contextlib.ExitStack() as closing:
            entries = [
                self._tune(entrant, group.metrics[0], closing)
                if isinstance(entrant, Tuned)
                else self._enter(entrant, closing)
                for entrant in group.contestants
            ]
            self._interleave(group.title, entries, rounds)
        return GroupResult(group, [entry.result for entry in entries])

    def _interleave(self, title: str, entries: list[_Entry], rounds: int) -> None:
        self._progress.group(title, len(entries) * (rounds + 1))
        for number in range(rounds + 1):
            order = entries if number % 2 == 0 else entries[::-1]
            for position, entry in enumerate(order):
                self._progress.run(entry.contestant.name, number, rounds)
                if entry.runnable:
                    self._run_once(entry, number, position)

    def _run_once(self, entry: _Entry, number: int, position: int) -> None:
        try:
            done = self._measure(entry.contestant)
        except UnavailableError as error:
            entry.drop(Status.MISSING, str(error))
        except RunFailedError as error:
            entry.drop(Status.FAILED, f"round {number}: {error.reason}", error.details)
        except Exception as error:
            reason = f"round {number}: {type(error).__name__}: {error}"
            entry.drop(Status.FAILED, reason, traceback.format_exc())
        else:
            self._check(entry, number, done)
            entry.result.samples.append(Sample(number, position, number > 0, done.figures))

    def _measure(self, contestant: Contestant) -> Measurement:
        if isinstance(contestant.run, str):
            return run_isolated(contestant)
        self._settle()
        with watchdog(contestant.timeout):
            return measure(contestant.run, self._clock)

    def _check(self, entry: _Entry, number: int, done: Measurement) -> None:
        """Applies the checks to any round, the dropped one too: a row is honest always or never."""
        for check in entry.contestant.checks:
            try:
                failure = check.test(done.outcome)
            except Exception as error:
                failure = f"the check itself raised {type(error).__name__}: {error}"
            if failure is not None and entry.result.checks[check.name] is None:
                entry.result.checks[check.name] = f"round {number}: {failure}"
                entry.result.status = Status.INVALID
                if not entry.result.reason:
                    entry.result.reason = f"not so: {check.name} (round {number}: {failure})"

    def _enter(self, contestant: Contestant, closing: contextlib.ExitStack) -> _Entry:
        """Prepares a contestant; one that lacks something stays in the table as missing."""
        entry = _Entry(contestant)
        try:
            for need in contestant.requires:
                if importlib.util.find_spec(need.package) is None:
                    raise UnavailableError(need.install)
                if not contestant.isolated:
                    _import(need.module, need.install)
            closing.callback(self._leave, entry)
            if contestant.prepare is not None:
                contestant.prepare()
        except UnavailableError as error:
            entry.drop(Status.MISSING, str(error))
        except Exception as error:
            reason = f"in prepare: {type(error).__name__}: {error}"
            entry.drop(Status.FAILED, reason, traceback.format_exc())
        return entry

    def _leave(self, entry: _Entry) -> None:
        """Closes a contestant; what it raises spoils its own row, not the whole run."""
        try:
            if entry.contestant.close is not None:
                entry.contestant.close()
        except Exception as error:
            reason = f"in close: {type(error).__name__}: {error}"
            entry.drop(Status.FAILED, reason, traceback.format_exc())

    def _tune(self, tuned: Tuned, metric: Metric, closing: contextlib.ExitStack) -> _Entry:
        """The first pass: interleaves the candidates and enters the best one, losers closed."""
        entries, stacks = [], []
        for candidate in tuned.candidates:
            stack = closing.enter_context(contextlib.ExitStack())
            entries.append(self._enter(candidate, stack))
            stacks.append(stack)
        self._interleave(f"{tuned.name}: first pass", entries, tuned.rounds)
        medians: dict[str, float] = {}
        left_out = []
        for entry in entries:
            spread = entry.result.spread(metric.name)
            if entry.result.valid and spread is not None:
                medians[entry.contestant.name] = spread.median
            else:
                left_out.append(f"{entry.contestant.name}: {entry.result.reason}")
        best = entries[0]
        if medians:
            choose = max if metric.higher_is_better else min
            name = choose(medians, key=lambda candidate: medians[candidate])
            best = next(entry for entry in entries if entry.contestant.name == name)
            best.result.chosen = name
            best.result.reason = f"left out: {'; '.join(left_out)}" if left_out else ""
        for entry, stack in zip(entries, stacks, strict=True):
            if entry is not best:
                stack.close()
        best.result.name = tuned.name
        best.result.candidates = medians
        best.result.samples.clear()
        return best


def _import(module: str, install: str) -> None:
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise UnavailableError(f"{install} ({error})") from error
