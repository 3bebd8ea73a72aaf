"""The contests of the native core: who takes part, what is compared, which targets are set.

The harness runs them interleaved, each contestant in a process of its own, with two workers for
everybody; figures are medians of rounds, ratios are taken round by round.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from benchmarks.cpp.program import honest, run
from benchmarks.declare import Benchmark, Contestant, Group, Metric, Outcome, Size, Target

PEERS = ("tbb", "concurrentqueue", "textbook")

PER_TASK = Metric("ns_per_task", "ns a task", digits=1)
PER_FORK = Metric("ns_per_fork", "ns a fork", digits=1)
P50 = Metric("p50", "p50 us", digits=2)
P99 = Metric("p99", "p99 us", digits=2)
LATE = Metric("late_ms", "ms late")
WALL = Metric("wall", "seconds")
MEGABYTES = Metric("megabytes", "MB grown", digits=1)
LATE_P50 = Metric("late_p50_ms", "late p50 ms")
LATE_P99 = Metric("late_p99_ms", "late p99 ms")
TO_ARM = Metric("arm_ns", "ns to arm", digits=1)
BURNT = Metric("cpu", "CPU ms", scale=1e3, digits=2)

#: "Never worse than the best peer by more than this": the best one is one of them.
NEVER_WORSE = 1.3


@dataclass(frozen=True)
class Contest:
    """A contest of the compiled program, with its sizes for `--quick` and for the published run."""

    name: str
    title: str
    contestants: tuple[str, ...]
    peer: str
    metrics: tuple[Metric, ...]
    quick: tuple[int, ...]
    full: tuple[int, ...]
    targets: tuple[Target, ...] = ()
    ideal: float | None = None
    note: str | None = None

    def group(self, size: Size) -> Group:
        """The contest as the harness knows it."""
        sizes = self.quick if size is Size.QUICK else self.full
        return Group(
            title=self.title,
            contestants=tuple(self._contestant(name, sizes) for name in self.contestants),
            peer=self.peer,
            metrics=self.metrics,
            ideal=self.ideal,
            targets=self.targets,
            note=self.note,
        )

    def _contestant(self, name: str, sizes: tuple[int, ...]) -> Contestant:
        def run_once() -> Outcome:
            return run(self.name, name, sizes)

        return Contestant(name, run_once, ours=name.startswith("gilpool"), checks=(honest(),))


def beside_peers(contestant: str, metric: str, peers: Iterable[str] = PEERS) -> tuple[Target, ...]:
    """Targets that keep a contestant within `NEVER_WORSE` of each peer."""
    return tuple(Target(contestant, NEVER_WORSE, versus=peer, metric=metric) for peer in peers)


def submit_targets(contestant: str) -> tuple[Target, ...]:
    """What an empty task may cost."""
    return (
        Target(contestant, 120, metric="ns_per_task"),
        Target(contestant, 0.75, versus="textbook", metric="ns_per_task"),
        *beside_peers(contestant, "ns_per_task"),
    )


def sleep_contest(number: int, seconds: float | None, megabytes: float | None) -> Contest:
    """So many sleeps of one second at once; a million is the same work in every size."""
    contestants = ["gilpool", "gilpool_many", "textbook_timer"]
    if number <= 10_000:
        contestants.append("thread_each")
    targets = []
    for name in ("gilpool", "gilpool_many"):
        if seconds is not None:
            targets.append(Target(name, seconds))
        if megabytes is not None:
            targets.append(Target(name, megabytes, metric="megabytes"))
    return Contest(
        name="sleeps",
        title=f"{number:,} sleeps of 1 s",
        contestants=tuple(contestants),
        peer="textbook_timer",
        metrics=(WALL, LATE_P50, LATE_P99, MEGABYTES, TO_ARM),
        quick=(number, 1_000),
        full=(number, 1_000),
        targets=tuple(targets),
        ideal=1.0,
    )


ROUND_TRIP_NOTE = (
    "gilpool_task waits for the task itself; the other rows are told by std::atomic::notify_one."
)

CONTESTS = (
    Contest(
        name="submit_1",
        title="empty task, one submitter",
        contestants=("gilpool", "gilpool_task", *PEERS),
        peer="textbook",
        metrics=(PER_TASK,),
        quick=(200_000,),
        full=(1_000_000,),
        targets=submit_targets("gilpool"),
        note="gilpool_task: tasks with completion, waited for in groups of 10,000.",
    ),
    Contest(
        name="submit_4",
        title="empty task, four submitters",
        contestants=("gilpool", *PEERS),
        peer="textbook",
        metrics=(PER_TASK,),
        quick=(200_000,),
        full=(1_000_000,),
        targets=submit_targets("gilpool"),
    ),
    Contest(
        name="submit_many",
        title="empty task, submitted 64 at a time",
        contestants=("gilpool", "gilpool_task", *PEERS),
        peer="textbook",
        metrics=(PER_TASK,),
        quick=(200_000,),
        full=(1_000_000,),
        targets=(
            Target("gilpool", 60, metric="ns_per_task"),
            *beside_peers("gilpool", "ns_per_task"),
        ),
        note="gilpool_task: tasks with completion, 10,000 in one call. tbb has no bulk call.",
    ),
    Contest(
        name="round_trip_hot",
        title="round trip, back to back",
        contestants=("gilpool_task", "gilpool", *PEERS),
        peer="textbook",
        metrics=(P50, P99),
        quick=(5_000,),
        full=(20_000,),
        targets=(
            Target("gilpool_task", 8, metric="p50"),
            *beside_peers("gilpool_task", "p99"),
        ),
        note=ROUND_TRIP_NOTE,
    ),
    Contest(
        name="round_trip_idle",
        title="round trip after 1 ms idle",
        contestants=("gilpool_task", "gilpool", *PEERS),
        peer="textbook",
        metrics=(P50, P99),
        quick=(300,),
        full=(1_000,),
        targets=beside_peers("gilpool_task", "p99"),
        note=ROUND_TRIP_NOTE,
    ),
    Contest(
        name="fork_join",
        title="nested fork-join, Fibonacci without a cut-off",
        contestants=("gilpool", "tbb"),
        peer="tbb",
        metrics=(PER_FORK, Metric("threads", "threads", digits=0)),
        quick=(20,),
        full=(25,),
        note="textbook and concurrentqueue would deadlock: their tasks cannot wait for tasks.",
    ),
    Contest(
        name="many_blocking",
        title="10,000 calls that block for 1 s (quick: 1,000 for 0.2 s)",
        contestants=("gilpool", "textbook_wide", "thread_each"),
        peer="thread_each",
        metrics=(WALL, MEGABYTES),
        quick=(1_000, 200),
        full=(10_000, 1_000),
        targets=beside_peers("gilpool", "wall", ("textbook_wide", "thread_each")),
        note="textbook_wide is told the number of threads beforehand. tbb ends at some hundreds.",
    ),
    Contest(
        name="tiny_beside_blocking",
        title="a tiny task beside two that block for 1 s (quick: 0.2 s)",
        contestants=("gilpool", "gilpool_region", *PEERS),
        peer="textbook",
        metrics=(LATE,),
        quick=(200,),
        full=(1_000,),
        targets=(
            Target("gilpool", 2, metric="late_ms"),
            Target("gilpool_region", 2, metric="late_ms"),
        ),
        note="gilpool declares the calls by their lane, gilpool_region inside of them.",
    ),
    sleep_contest(10_000, seconds=None, megabytes=None),
    sleep_contest(100_000, seconds=1.05, megabytes=None),
    sleep_contest(1_000_000, seconds=1.3, megabytes=40),
    Contest(
        name="idle_second",
        title="CPU burnt in the second after a burst",
        contestants=("gilpool", *PEERS),
        peer="textbook",
        metrics=(BURNT,),
        quick=(20_000,),
        full=(100_000,),
    ),
)

ROUNDS: Mapping[Size, int] = {Size.QUICK: 3, Size.DEFAULT: 7, Size.FULL: 11}


def groups(size: Size) -> list[Group]:
    """Every contest, in the order of the table."""
    return [contest.group(size) for contest in CONTESTS]


BENCHMARK = Benchmark("cpp", "The native core beside native pools of two workers", groups, ROUNDS)
