"""What was measured: samples by round, medians, pairwise ratios, verdicts on targets.

Plain data without a clock: filled by the harness, read by the table, the JSON and the plot.
"""

from __future__ import annotations

import enum
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.declare import Benchmark, Group, Metric, Size, Target


class Status(enum.Enum):
    """How a contestant's row is to be read."""

    OK = "ok"
    #: A check failed: figures exist, but not of what the row says.
    INVALID = "invalid"
    #: It raised, crashed or hung.
    FAILED = "failed"
    #: Its package is absent.
    MISSING = "missing"


class Verdict(enum.Enum):
    """Whether a target was met; `OPEN` when a side of it was not measured."""

    PASS = "pass"
    MISS = "miss"
    OPEN = "not measured"


@dataclass(frozen=True)
class Sample:
    """One run of one contestant."""

    round: int
    #: Its place in the round: 0 ran first.
    position: int
    #: False for the first round, which only warms up.
    counted: bool
    figures: dict[str, float]


@dataclass(frozen=True)
class Spread:
    """A median with the extremes of the rounds behind it."""

    median: float
    low: float
    high: float
    rounds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread | None:
        """The spread of the values, or None where there are none."""
        if not values:
            return None
        return cls(statistics.median(values), min(values), max(values), len(values))


@dataclass
class ContestantResult:
    """Everything known about one contestant of one group."""

    name: str
    ours: bool
    isolated: bool
    status: Status = Status.OK
    #: Why it is not OK, in one line.
    reason: str = ""
    #: Traceback or output of a failed run.
    details: str = ""
    samples: list[Sample] = field(default_factory=list)
    #: Name of each check, with the reason of its first failure or None.
    checks: dict[str, str | None] = field(default_factory=dict)
    #: For a tuned contestant: the candidate that takes part, and each candidate's median.
    chosen: str = ""
    candidates: dict[str, float] = field(default_factory=dict)

    def by_round(self, metric: str) -> dict[int, float]:
        """The metric in each counted round in which it was measured."""
        counted = [sample for sample in self.samples if sample.counted]
        return {one.round: one.figures[metric] for one in counted if metric in one.figures}

    def spread(self, metric: str) -> Spread | None:
        """Median and extremes over the counted rounds."""
        return Spread.of(list(self.by_round(metric).values()))

    @property
    def valid(self) -> bool:
        """Whether its figures may be compared with others'."""
        return self.status is Status.OK and any(sample.counted for sample in self.samples)


def pairwise_ratio(own: ContestantResult, peer: ContestantResult, metric: str) -> Spread | None:
    """Own figure divided by the peer's figure of the same round, over the rounds that have both.

    Slow drifts of the machine hit both sides of a pair alike and cancel out, which a ratio of two
    medians does not achieve. None unless both rows are valid and the peer's figures are above zero.
    """
    if not (own.valid and peer.valid):
        return None
    ours, theirs = own.by_round(metric), peer.by_round(metric)
    if any(value <= 0 for value in theirs.values()):
        return None
    return Spread.of([ours[number] / theirs[number] for number in ours if number in theirs])


@dataclass
class GroupResult:
    """One comparison, measured."""

    group: Group
    contestants: list[ContestantResult]

    def __getitem__(self, name: str) -> ContestantResult:
        return next(result for result in self.contestants if result.name == name)

    @property
    def metric(self) -> Metric:
        """The metric that ratios and plot are about."""
        return self.group.metrics[0]

    def ratio(self, name: str, peer: str | None = None, metric: str | None = None) -> Spread | None:
        """The contestant's pairwise ratio to a peer, by default the group's own."""
        return pairwise_ratio(self[name], self[peer or self.group.peer], metric or self.metric.name)

    def judged(self, target: Target) -> tuple[Verdict, float | None]:
        """The verdict on a target, with the figure that it was judged by."""
        own = self[target.contestant]
        figure: float | None = None
        if isinstance(target.versus, str):
            ratio = self.ratio(target.contestant, target.versus, target.metric)
            figure = ratio.median if ratio else None
        elif own.valid:
            spread = own.spread(target.metric)
            figure = spread.median / (target.versus or 1.0) if spread else None
        if figure is None:
            return Verdict.OPEN, None
        low = target.at_least is None or figure >= target.at_least
        high = target.at_most is None or figure <= target.at_most
        return (Verdict.PASS if low and high else Verdict.MISS), figure


@dataclass
class BenchmarkResult:
    """All groups of one benchmark."""

    benchmark: Benchmark
    size: Size
    groups: list[GroupResult]

    @property
    def honest(self) -> bool:
        """False if a row is not what it says, broke, or is gilpool's and could not be measured.

        An absent peer is no fault of this run.
        """
        return not any(
            row.status in (Status.INVALID, Status.FAILED)
            or (row.status is Status.MISSING and row.ours)
            for group in self.groups
            for row in group.contestants
        )

    @property
    def on_target(self) -> bool:
        """Whether every target was measured and met."""
        return all(
            group.judged(target)[0] is Verdict.PASS
            for group in self.groups
            for target in group.group.targets
        )
