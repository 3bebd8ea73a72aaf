"""The method: rounds of calls, each followed by releases of our own, until one thing is shown.

A *sighting* is a round of calls in which the witness got the GIL, or was at least woken. Getting
it, a *win*, proves a release, and so does the GIL seen free by a close look; a second sighting, or
a long one, shows that it was no accident (a signal handler, something done once). A *control* is a
release of our own that was noticed. A call holds the GIL if there was no sighting in rounds that,
by the controls among them, would have shown it.

Where the kernel does not tell who was woken, only wins are seen so far, and the briefest releases
give none. So there a call that seems to hold the GIL is called in further rounds under a close
look, each between two controls that are as brief as a release can be.
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

BEGINS_TO_LOOK = 0.05
"""Seconds within which a close look begins, on a machine that has a CPU for it."""

MOST_BLIND = 0.1
"""Share of a round under a close look for which the looking thread may have had no CPU."""

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
    close_rounds: int = 0
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
                self._look_for_want_of_a_win()
                continue
            if self._brief_ones_are_left(wanted):
                if sampling:
                    self._take_samples()
                    sampling = False
                self._round_under_a_close_look()
                continue
            # The first round is one call: enough for most calls that let go.
            seen = self._round_of_calls(ROUND if self.walls else 0.0, "watched")
            # A round that could not be watched, because the machine was too busy, would miss what
            # the controls, which are watched, show: it says nothing.
            self._note(seen, would_show=seen.watched or not self.probe.watches_wakes)
            if self.sightings < SIGHTINGS and not self.probe.hogged:
                self._round_of_controls(math.ceil(CONTROLS / wanted))
        self.seconds = time.perf_counter() - started
        if sampling:
            self._take_samples()

    def _is_decided(self, wanted: int, spent: float) -> bool:
        """Whether this is the end; with the verdict and the reason for it."""
        enough = self._has_enough(wanted)
        brief_ones_left = self._brief_ones_are_left(wanted)
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
            woken = "a waiting native thread was woken, and " if self.probe.watches_wakes else ""
            self.reason = f"{woken}the GIL was seen free in the call"
        elif enough and not self.sightings and not brief_ones_left:
            closely = f", {self.close_rounds} of them watched closely" if self.close_rounds else ""
            self.verdict = "holds"
            self.reason = (
                f"no release in {count(self.clean_rounds, 'round')} of calls{closely}, while "
                f"{count(self.controls, 'release')} made for comparison were noticed"
            )
        elif enough and self.sightings == 1 and self.clean_rounds >= 2 * CONTROLS:
            self.reason = (
                f"it let go of the GIL in one round of calls and not in {self.clean_rounds} "
                "others: an accident, or a rare release"
            )
        elif spent > self.budget and self.sightings >= SIGHTINGS:
            self.reason = (
                f"a waiting native thread was woken in {count(self.sightings, 'round')} of calls, "
                f"but never got the GIL within {spent:.1f} s"
            )
        elif spent > self.budget and brief_ones_left:
            self.reason = (
                f"within {spent:.1f} s {self.close_rounds} of {wanted} rounds of calls could be "
                "watched closely enough to see the briefest release"
            )
        elif spent > self.budget and len(self.walls) >= FEWEST_ROUNDS:
            self.reason = (
                f"after {spent:.1f} s {self.controls} of {CONTROLS} releases made for comparison "
                f"had been noticed, and {self.sightings} of the call's own"
            )
        return bool(self.reason)

    def _has_enough(self, wanted: int) -> bool:
        return self.controls >= CONTROLS and self.clean_rounds >= wanted

    def _brief_ones_are_left(self, wanted: int) -> bool:
        """Whether all that is missing is a close look, and one can be had."""
        return (
            self._has_enough(wanted)
            and self.close_rounds < wanted
            and not self.probe.watches_wakes
            and _core.gil_words_are_readable
        )

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
    ) -> _core.WitnessProbe.Round:
        """Call for so long, at least once."""
        seen = self.probe.call(self.function, self.args, self.kwargs, seconds, beside)
        self.calls += seen.calls
        self.walls.append(seen.wall / seen.calls)
        self.cpus.append(seen.cpu / seen.calls)
        self.longest_call = max(self.longest_call, seen.longest_call)
        if beside != "nobody":
            self.wins += seen.wins
        return seen

    def _note(self, seen: _core.WitnessProbe.Round, *, would_show: bool, free: int = 0) -> None:
        """What a round has shown; `free`: so often was the GIL seen free in its calls."""
        self.seen_released += free
        if seen.wins >= SUSTAINED and self.one_call >= LONG_CALL:
            self.sightings += SIGHTINGS
        elif seen.wins or seen.woken or free or self.probe.hogged:
            self.sightings += 1
        elif would_show:
            self.clean_rounds += 1

    def _look_for_want_of_a_win(self) -> None:
        """For releases so short that who is woken by them always comes too late."""
        if not _core.gil_words_are_readable:
            self._note(self._round_of_calls(LONG_ROUND, "wins_only"), would_show=False)
            return
        self.probe.start_sampling("closely")
        seen = self._round_of_calls(LONG_ROUND, "wins_only")
        self._note(seen, would_show=False, free=self.probe.stop_sampling().releases)

    def _round_under_a_close_look(self) -> None:
        """Says something only if the look missed nothing, before, during and after the calls."""
        self.probe.start_sampling("closely")
        looks = self.probe.control_closely(BEGINS_TO_LOOK)
        before = self.probe.close_releases
        began = time.perf_counter()
        seen = self._round_of_calls(ROUND, "wins_only")
        spent = time.perf_counter() - began
        free = self.probe.close_releases - before
        looks = self.probe.control_closely(0.0) and looks
        looks = self.probe.stop_sampling().blind <= MOST_BLIND * spent and looks
        self._note(seen, would_show=looks, free=free)
        self.close_rounds += looks and not (free or seen.wins)

    def _round_of_controls(self, number: int) -> None:
        """Let the GIL go as a call would that releases it half of its time."""
        window = min(self.wall / 2, LONGEST_WINDOW)
        windows = max(1, min(round(ROUND / self.wall), int(LONGEST_CONTROL / (2 * window))))
        for _ in range(number):
            self.controls += self.probe.control(windows, window)

    def _take_samples(self) -> int:
        seen = self.probe.stop_sampling()
        if seen.looks >= FEWEST_SAMPLES:
            self.released = seen.released / (seen.held + seen.released)
            self.longest_stretch = seen.longest
        return seen.looks
