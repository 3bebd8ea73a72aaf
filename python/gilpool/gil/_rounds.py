"""The method: rounds of calls, each followed by releases of our own, until one thing is shown.

A *sighting* is a round of calls in which the witness got the GIL, or was at least woken. Getting
it, a *win*, proves a release, and so does the GIL seen free by a close look; a second sighting, or
a long one, shows that it was no accident (a signal handler, something done once). A *control* is a
release of our own that was noticed. A call holds the GIL if there was no sighting in rounds that,
by the controls among them, would have shown it.
"""

from __future__ import annotations

import math
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from gilpool import _core
from gilpool.gil._report import Verdict, count

CONTROLS = 12
"""Controls needed to say "holds": had the call let go for half its time, the chance that all of its
releases were missed while so many of ours were noticed is about e**-12."""

SIGHTINGS = 2
"""Rounds in which a release was seen, needed to say "releases"."""

FEWEST_ROUNDS = 2
CALLS_WORTH = 0.1
"""Seconds: rounds of long calls end when they have seen so much, however few calls that is."""

ROUND = 1e-3
"""Seconds of calls in a round; a longer call is a round by itself."""

LONG_ROUND = 10e-3
"""Seconds of calls in a round that only waits for a win."""

LONGEST_WINDOW = 5e-3
LONGEST_CONTROL = 10e-3

SUSTAINED = 20
"""So many wins in one long call are a release that lasted, for the witness is away in between: no
need for another such call."""

PATIENCE = 0.8
"""Share of the switch interval after which nothing is believed any more: a thread that has waited
all the interval takes the GIL by force."""

LONG_CALL = 20e-3
"""Seconds: calls this long are sampled in the rounds themselves, shorter ones by themselves."""

SAMPLES = 150
"""Looks after which the released share is known to about 0.04, the standard error of so many."""

FEWEST_SAMPLES = 20

FIRST_SAMPLING = 0.02
LONGEST_SAMPLING = 1.0
"""Seconds: enough for all samples on an idle machine; what a busy one may take for them."""


@dataclass
class Rounds:
    """The rounds of one measurement and what they have shown so far."""

    probe: _core.WitnessProbe
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    budget: float
    one_call: float
    """Seconds, from the warm-up."""
    interval: float
    """Seconds: the switch interval, as long as nobody else sets it."""

    verdict: Verdict = "inconclusive"
    reason: str = ""
    calls: int = 0
    wins: int = 0
    controls: int = 0
    seconds: float = 0.0
    sightings: int = 0
    clean_rounds: int = 0
    seen_released: int = 0
    longest_call: float = 0.0
    walls: list[float] = field(default_factory=list)
    cpus: list[float] = field(default_factory=list)
    released: float | None = None
    longest_stretch: float | None = None

    def judge(self) -> None:
        """Go on until there is a verdict or the budget is spent."""
        sampling = self.one_call >= LONG_CALL and _core.gil_words_are_readable
        if sampling:
            self.probe.start_sampling("contested")
        worth = math.ceil(CALLS_WORTH / max(self.one_call, 1e-9))
        wanted = min(CONTROLS, max(FEWEST_ROUNDS, worth))
        started = time.perf_counter()
        while not self._is_decided(wanted, time.perf_counter() - started):
            if self.sightings >= SIGHTINGS:  # for want of a win
                if sampling:
                    self._take_samples()
                    sampling = False
                self._close_round_of_calls()
                continue
            # The first round is one call: enough for most calls that let go.
            self._round_of_calls(ROUND if self.walls else 0.0, "watched")
            if self.sightings < SIGHTINGS and not self.probe.hogged:
                self._round_of_controls(math.ceil(CONTROLS / wanted))
        self.seconds = time.perf_counter() - started
        if sampling:
            self._take_samples()

    def _is_decided(self, wanted: int, spent: float) -> bool:
        """Whether this is the end; with the verdict and the reason for it."""
        enough = self.controls >= CONTROLS and self.clean_rounds >= wanted
        if self.probe.hogged and self.sightings:
            self.verdict = "releases"
            self.reason = "another thread got the GIL during the call"
        elif self.probe.hogged:
            self.reason = "another Python thread computes: it keeps the GIL whenever it is let go"
        elif not math.isclose(sys.getswitchinterval(), self.interval, rel_tol=1e-3):
            self.reason = "something set the switch interval during the measurement"
        elif spent > self.interval * PATIENCE:
            self.reason = f"after {spent:.0f} s the threads that wait for the GIL are not patient"
        elif self.sightings >= SIGHTINGS and self.wins:
            self.verdict = "releases"
            self.reason = "a waiting native thread got the GIL during the call"
        elif self.sightings >= SIGHTINGS and self.seen_released:
            self.verdict = "releases"
            self.reason = "a waiting native thread was woken, and the GIL seen free, in the call"
        elif enough and not self.sightings:
            self.verdict = "holds"
            self.reason = (
                f"no release in {count(self.clean_rounds, 'round')} of calls, while "
                f"{count(self.controls, 'release')} made for comparison were noticed"
            )
        elif enough and self.sightings < SIGHTINGS and self.clean_rounds >= 2 * CONTROLS:
            self.reason = (
                f"it let go of the GIL in one round of calls and not in {self.clean_rounds} "
                "others: an accident, or a rare release"
            )
        elif spent > self.budget and self.sightings >= SIGHTINGS:
            self.reason = (
                f"a waiting native thread was woken in {count(self.sightings, 'round')} of calls, "
                f"but never got the GIL within {spent:.1f} s"
            )
        elif spent > self.budget and len(self.walls) >= FEWEST_ROUNDS:
            self.reason = (
                f"after {spent:.1f} s {self.controls} of {CONTROLS} releases made for comparison "
                f"had been noticed, and {self.sightings} of the call's own"
            )
        return bool(self.reason)

    def estimate(self) -> None:
        """Sample the released share of short calls, with nobody waiting for the GIL."""
        if self.verdict == "holds":
            self.released = 0.0
            return
        # A short switch interval makes any call look as if it let go.
        if self.released is not None or self.probe.hogged or not _core.gil_words_are_readable:
            return
        self.walls.clear()
        self.cpus.clear()
        length, spent, looks = FIRST_SAMPLING, 0.0, 0
        while looks < SAMPLES and spent < min(LONGEST_SAMPLING, self.budget):
            self.probe.start_sampling("alone")
            self._round_of_calls(length, "nobody")
            looks = self._take_samples()
            spent += length
            length *= 4

    @property
    def wall(self) -> float:
        return statistics.median(self.walls) if self.walls else self.one_call

    @property
    def cpu(self) -> float:
        return statistics.median(self.cpus) if self.cpus else 0.0

    @property
    def longest_hold(self) -> float:
        if self.verdict == "holds":
            return self.longest_call
        held = self.wall * (1.0 - (self.released or 0.0))
        return self.longest_stretch if self.longest_stretch else held

    def _round_of_calls(
        self, seconds: float, beside: Literal["watched", "wins_only", "nobody"]
    ) -> None:
        """Call for so long, at least once."""
        seen = self.probe.call(self.function, self.args, self.kwargs, seconds, beside)
        self.calls += seen.calls
        self.walls.append(seen.wall / seen.calls)
        self.cpus.append(seen.cpu / seen.calls)
        self.longest_call = max(self.longest_call, seen.longest_call)
        if beside == "nobody":
            return
        self.wins += seen.wins
        if seen.wins >= SUSTAINED and self.one_call >= LONG_CALL:
            self.sightings += SIGHTINGS
        elif seen.wins or seen.woken or self.probe.hogged:
            self.sightings += 1
        elif seen.watched or not self.probe.watches_wakes:
            # A round that could not be watched, because the machine was too busy, would miss what
            # the controls, which are watched, show: it says nothing.
            self.clean_rounds += 1

    def _close_round_of_calls(self) -> None:
        """For releases so short that who is woken by them always comes too late."""
        if not _core.gil_words_are_readable:
            self._round_of_calls(LONG_ROUND, "wins_only")
            return
        self.probe.start_sampling("closely")
        self._round_of_calls(LONG_ROUND, "wins_only")
        self.seen_released += self.probe.stop_sampling()[4]

    def _round_of_controls(self, number: int) -> None:
        """Let the GIL go as a call would that releases it half of its time."""
        window = min(self.wall / 2, LONGEST_WINDOW)
        windows = max(1, min(round(ROUND / self.wall), int(LONGEST_CONTROL / (2 * window))))
        for _ in range(number):
            self.controls += self.probe.control(windows, window)

    def _take_samples(self) -> int:
        held, released, stretch, looks, _ = self.probe.stop_sampling()
        if looks >= FEWEST_SAMPLES:
            self.released = released / (held + released)
            self.longest_stretch = stretch
        return looks
