"""What a benchmark declares: contestants, the work they share, checks and targets.

Nothing here measures. A benchmark is a module with a constant `BENCHMARK`; the harness asks it for
its groups, and every group is one comparison: contestants doing the same work, beside a named peer.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from benchmarks.results import BenchmarkResult


class Size(enum.Enum):
    """How much work a run does: for CI, for a desk, or the size the published figures have."""

    QUICK = "quick"
    DEFAULT = "default"
    FULL = "full"


class UnavailableError(Exception):
    """Raised by `prepare` when what a contestant needs is absent; the text says how to get it."""


@dataclass(frozen=True)
class Requirement:
    """A module that a contestant imports, and what to do when it is absent."""

    module: str
    install: str

    @property
    def package(self) -> str:
        """The top-level package, which can be looked for without importing anything."""
        return self.module.partition(".")[0]


@dataclass(frozen=True)
class Outcome:
    """What one run reports: figures of its own, and evidence for the checks.

    A figure named `wall` replaces the harness's own timing (seconds). Evidence is anything JSON can
    carry, since an isolated contestant sends it across a process boundary.
    """

    figures: Mapping[str, float] = field(default_factory=dict)
    evidence: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Check:
    """An assertion about what really ran; `test` returns the reason why it failed, or None."""

    name: str
    test: Callable[[Outcome], str | None]


Work = Callable[[], "Outcome | None"]


@dataclass(frozen=True)
class Contestant:
    """One way to do the group's work, once per round.

    `run` is a callable, or, with `isolated`, the text "module:function": each round then runs in a
    fresh process, which imports `requires` before the clock starts and passes `arguments` as
    keywords. `prepare` is called once before the first round, `close` once after the last (both in
    this process, both outside the measurement).
    """

    name: str
    run: Work | str
    isolated: bool = False
    arguments: Mapping[str, object] = field(default_factory=dict)
    requires: tuple[Requirement, ...] = ()
    checks: tuple[Check, ...] = ()
    prepare: Callable[[], object] | None = None
    close: Callable[[], object] | None = None
    ours: bool = False
    #: Seconds after which a run counts as hung.
    timeout: float = 120.0

    def __post_init__(self) -> None:
        if self.isolated != isinstance(self.run, str):
            raise TypeError(
                f"contestant {self.name!r}: isolated contestants name their function as "
                f"'module:function', others pass a callable; "
                f"isolated is {self.isolated}, run is {self.run!r}"
            )


@dataclass(frozen=True)
class Tuned:
    """A contestant chosen in a first pass: the fastest of `candidates` takes part under `name`.

    This is how a peer gets its best setting on each load without being measured at its worst.
    """

    name: str
    candidates: tuple[Contestant, ...]
    rounds: int = 2


@dataclass(frozen=True)
class Metric:
    """A figure worth a column: `wall`, `cpu`, or one that the contestants report themselves.

    The table shows the figure times `scale`, so that seconds for N items become microseconds each.
    """

    name: str
    title: str
    scale: float = 1.0
    digits: int = 3
    higher_is_better: bool = False


WALL = Metric("wall", "seconds")


@dataclass(frozen=True)
class Target:
    """A bound that a contestant is to meet; judged on medians, never on single rounds.

    `versus` names a peer (the bound is on the median of the pairwise ratios), or is a number in the
    metric's raw unit such as the ideal time (the bound is on the median divided by it), or None
    (the bound is on the median itself).
    """

    contestant: str
    at_most: float | None = None
    at_least: float | None = None
    versus: str | float | None = None
    metric: str = "wall"
    #: What the bound is about, when the generated text would not say it: "of the ideal 0.5 s".
    label: str | None = None

    def __post_init__(self) -> None:
        if self.at_most is None and self.at_least is None:
            raise ValueError(f"target for {self.contestant!r} bounds nothing")

    @property
    def text(self) -> str:
        """The bound in words, for example `wall <= 1.3x of gevent`."""
        bounds = []
        times = "" if self.versus is None else "x"
        if self.at_least is not None:
            bounds.append(f">= {self.at_least:g}{times}")
        if self.at_most is not None:
            bounds.append(f"<= {self.at_most:g}{times}")
        of = self.label or ("" if self.versus is None else f"of {self.versus}")
        return f"{self.metric} {' and '.join(bounds)} {of}".rstrip()


@dataclass(frozen=True)
class Group:
    """One comparison: contestants doing the same work, each beside `peer`."""

    title: str
    contestants: tuple[Contestant | Tuned, ...]
    peer: str
    #: The first metric is the one that ratios, ideal and plot are about.
    metrics: tuple[Metric, ...] = (WALL,)
    #: What the first metric would be on a machine without overhead, in its raw unit.
    ideal: float | None = None
    targets: tuple[Target, ...] = ()
    #: One sentence under the table, for what the figures alone would not tell.
    note: str | None = None

    def __post_init__(self) -> None:
        names = [contestant.name for contestant in self.contestants]
        if len(set(names)) != len(names):
            raise ValueError(f"group {self.title!r}: two contestants have one name: {names}")
        peers = [t.versus for t in self.targets if isinstance(t.versus, str)]
        for name in [self.peer, *(t.contestant for t in self.targets), *peers]:
            if name not in names:
                raise ValueError(f"group {self.title!r} has no contestant {name!r}, only {names}")


@dataclass(frozen=True)
class Benchmark:
    """A set of groups run one after another and reported together.

    `groups` may be a generator: a group is asked for only when the one before is done, so that
    its resources need not exist while others are measured.
    """

    name: str
    title: str
    groups: Callable[[Size], Iterable[Group]]
    #: Counted rounds for each size; one more is run first and dropped.
    rounds: Mapping[Size, int]
    #: Distributions whose versions belong beside the figures.
    packages: tuple[str, ...] = ()
    #: Whether the plot's panels share one axis, so that lengths compare between groups too.
    common_scale: bool = False
    #: Draws the benchmark's own picture; without it, bars per contestant.
    draw: Callable[[Figure, BenchmarkResult], None] | None = None
