"""Collects verdicts, and says what they are worth."""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.gil_truth.cases import HOLDS, RELEASES, Case, cases
from gilpool.gil import Probe

BUSY_PROCESSES = 8
SHORT_CALL = 10e-6
"""Seconds: of shorter calls no bound on the inconclusive share is promised."""

CONDITIONS = {"idle": 0, "overloaded": BUSY_PROCESSES}

_BURN = "import sys\nprint(flush=True)\nwhile True: pass"


@dataclass(frozen=True)
class Verdict:
    """One verdict. Times in seconds."""

    case: str
    truth: str
    condition: str
    verdict: str
    wall: float
    seconds: float
    wins: int
    reason: str

    @property
    def wrong(self) -> bool:
        return self.verdict not in (self.truth, "inconclusive")


@dataclass(frozen=True)
class Summary:
    """What the verdicts under one condition are worth."""

    condition: str
    verdicts: int
    wrong: int
    inconclusive: float
    """Share among calls of at least 10 us."""
    inconclusive_short: float
    releasing: float
    """Median seconds to a verdict."""
    holding: float


@contextmanager
def load(processes: int) -> Iterator[None]:
    """So many processes that compute, while the block runs."""
    with ExitStack() as stack:
        for _ in range(processes):
            process = subprocess.Popen([sys.executable, "-c", _BURN], stdout=subprocess.PIPE)
            stack.callback(process.wait)
            stack.callback(process.kill)
            assert process.stdout is not None
            process.stdout.readline()
            stack.callback(process.stdout.close)
        yield


def collect(
    condition: str, rounds: int, probe: Probe, seconds: float, tell: Callable[[int], None]
) -> list[Verdict]:
    """Verdicts on all cases, in random order, `rounds` on each of full weight.

    Ends after `seconds` with what it has: the rounds are shuffled, so no case is left out.
    """
    found: list[Verdict] = []
    with ExitStack() as stack:
        plan: list[Case] = []
        for case in cases(stack):
            plan += [case] * max(1, round(rounds * case.weight))
        random.Random(rounds).shuffle(plan)
        stack.enter_context(load(CONDITIONS[condition]))
        deadline = time.monotonic() + seconds
        for case in plan:
            if time.monotonic() > deadline:
                break
            report = probe.report(case.call)
            found.append(
                Verdict(
                    case.name,
                    case.truth,
                    condition,
                    report.verdict,
                    report.wall,
                    report.seconds,
                    report.wins,
                    report.reason,
                )
            )
            tell(len(found))
    return found


def summary(condition: str, verdicts: list[Verdict]) -> Summary:
    """What the verdicts under this condition are worth."""
    here = [verdict for verdict in verdicts if verdict.condition == condition]
    long = [verdict for verdict in here if verdict.wall >= SHORT_CALL]
    short = [verdict for verdict in here if verdict.wall < SHORT_CALL]
    return Summary(
        condition=condition,
        verdicts=len(here),
        wrong=sum(verdict.wrong for verdict in here),
        inconclusive=_share(long),
        inconclusive_short=_share(short),
        releasing=_median(here, RELEASES),
        holding=_median(here, HOLDS),
    )


def to_dict(verdict: Verdict) -> dict[str, Any]:
    return asdict(verdict)


def _share(verdicts: list[Verdict]) -> float:
    if not verdicts:
        return 0.0
    return sum(verdict.verdict == "inconclusive" for verdict in verdicts) / len(verdicts)


def _median(verdicts: list[Verdict], truth: str) -> float:
    times = [v.seconds for v in verdicts if v.truth == truth and v.verdict == truth]
    return statistics.median(times) if times else 0.0
