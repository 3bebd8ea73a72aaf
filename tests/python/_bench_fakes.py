"""Fakes for the tests of the benchmark harness: a clock that only moves when told, contestants."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from benchmarks.declare import Benchmark, Check, Contestant, Group, Outcome, Size, Target
from benchmarks.harness import Harness
from benchmarks.measure import Usage
from benchmarks.results import GroupResult

# matplotlib brings numpy, whose BLAS starts threads when it is imported. That happens here, before
# any test, so that the guard around every test does not take them for threads left behind.
with contextlib.suppress(ImportError):
    import matplotlib.figure  # noqa: F401


class FakeClock:
    """Time and usage stand still until `work` moves them."""

    def __init__(self) -> None:
        self.now = 0
        self.used = Usage(0.0, 0.0, 0, 0)

    def now_ns(self) -> int:
        return self.now

    def usage(self) -> Usage:
        return self.used

    def work(self, seconds: float, cpu: float = 0.0, switches: int = 0) -> None:
        """Lets time pass; half of the CPU is the user's, one switch in four is involuntary."""
        self.now += round(seconds * 1e9)
        self.used = Usage(
            self.used.user_s + cpu / 2,
            self.used.system_s + cpu / 2,
            self.used.voluntary + switches - switches // 4,
            self.used.involuntary + switches // 4,
        )


class Scene:
    """A harness on a fake clock, and a record of the order in which contestants ran."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.harness = Harness(clock=self.clock, settle=lambda: None)
        self.order: list[str] = []

    def contestant(
        self,
        name: str,
        seconds: Sequence[float] | float = 1.0,
        *,
        evidence: Callable[[int], dict[str, object]] | None = None,
        checks: tuple[Check, ...] = (),
        ours: bool = False,
        close: Callable[[], object] | None = None,
    ) -> Contestant:
        """A contestant that takes `seconds` (per round, the dropped one first)."""
        done = 0

        def run() -> Outcome:
            nonlocal done
            self.order.append(name)
            self.clock.work(seconds if isinstance(seconds, (int, float)) else seconds[done])
            done += 1
            return Outcome(evidence=evidence(done - 1) if evidence else {})

        return Contestant(name, run, checks=checks, ours=ours, close=close)

    def measure(
        self, *contestants: Contestant, rounds: int = 3, targets: tuple[Target, ...] = ()
    ) -> GroupResult:
        """Runs the contestants as one group; the first one is the peer."""
        group = Group("fake work", contestants, peer=contestants[0].name, targets=targets)
        return self.harness.run_group(group, rounds)


def fake_benchmark(*groups: Group) -> Benchmark:
    """A benchmark of the given groups, whatever the size."""
    rounds = {Size.QUICK: 2, Size.DEFAULT: 3, Size.FULL: 4}
    return Benchmark("fake", "A fake benchmark", lambda _: groups, rounds)
