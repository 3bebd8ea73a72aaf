"""Pool and Task against a simple sequential model, and masses of tasks that all must end once.

GILPOOL_LONG=1 runs thousands of histories and a million tasks instead of what fits into a minute;
the million alone, with its figures:

    GILPOOL_LONG=1 ./run test tests/python/test_model.py -k masses -s
"""

import ctypes
import gc
import os
import random
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
)

import gilpool
from _tools import PATIENCE, settle
from gilpool import _core

LONG = os.environ.get("GILPOOL_LONG") == "1"
HISTORIES = 10_000 if LONG else 1000
STEPS = 40
MASS = 1_000_000 if LONG else 100_000


class ModelError(Exception):
    """What tasks of the model raise, and are killed with."""


def raise_model_error() -> None:
    raise ModelError


def eventually(condition: Callable[[], bool]) -> bool:
    """Whether `condition` comes true; for what happens soon after a task has ended."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0)
    return True


@dataclass(eq=False)
class Modelled:
    """One task, and what the model knows of it."""

    task: "gilpool.Task[Any]"
    kind: str  # gated: runs until its lock is free; sleeper: until killed; fresh: until started
    gate: "threading.Lock | None" = None
    outcome: object = None  # a value, or the type of an exception or TaskExit; once done
    done: bool = False
    started: bool = False
    killed_with: type[BaseException] | None = None
    tracked: bool = False
    links: list[int] = field(default_factory=list)  # numbers expected to be called, in order
    called: list[int] = field(default_factory=list)
    callbacks: dict[int, Any] = field(default_factory=dict)

    def end(self, outcome: object) -> None:
        self.outcome = self.killed_with if self.killed_with is not None else outcome
        self.done = True
        self.tracked = False


class PoolMachine(RuleBasedStateMachine):
    """Every rule leaves the pool at rest: what can end has ended, and the model says what has."""

    tasks = Bundle("tasks")

    def __init__(self) -> None:
        super().__init__()
        self.all: list[Modelled] = []
        self.backlog: list[Modelled] = []
        self.numbers = 0

    @initialize(size=st.one_of(st.none(), st.integers(0, 3)))
    def make_pool(self, size: int | None) -> None:
        self.pool = gilpool.Pool(size)
        self.group = gilpool.Group()
        self.size = size

    # --- the model ---------------------------------------------------------------------------

    def tracked(self) -> list[Modelled]:
        return [one for one in self.all if one.tracked]

    def is_full(self) -> bool:
        return self.size is not None and len(self.tracked()) >= self.size

    def serve_backlog(self) -> None:
        """Waiting tasks of the model start, and end, as soon as there is a slot."""
        while self.backlog and (self.backlog[0].done or not self.is_full()):
            one = self.backlog.pop(0)
            if not one.done:
                one.started = True
                one.end(1)

    def remember(self, one: Modelled) -> Modelled:
        self.all.append(one)
        self.group.add(one.task)
        return one

    def gated(self) -> Modelled:
        gate = threading.Lock()
        gate.acquire()
        return Modelled(gilpool.Task(gate.acquire), "gated", gate)

    # --- rules -------------------------------------------------------------------------------

    @rule(target=tasks, kind=st.sampled_from(["gated", "sleeper"]))
    def start(self, kind: str) -> Modelled:
        sleeper = Modelled(gilpool.Task(gilpool.sleep, 1000), "sleeper")
        one = self.gated() if kind == "gated" else sleeper
        if self.is_full() or self.backlog:
            if self.is_full():
                with pytest.raises(gilpool.PoolFull):
                    self.pool.start(one.task, blocking=False)
            one.kind = "fresh"
        else:
            self.pool.start(one.task, blocking=False)
            one.started = one.tracked = True
            assert eventually(lambda: "running" in repr(one.task))
        return self.remember(one)

    @precondition(lambda self: not self.is_full() and not self.backlog)
    @rule(target=tasks, fails=st.booleans())
    def spawn_quick(self, fails: bool) -> Modelled:
        task: gilpool.Task[Any] = self.pool.spawn(raise_model_error if fails else int)
        one = self.remember(Modelled(task, "quick", started=True))
        task.join()
        one.end(ModelError if fails else 0)
        return one

    @rule(target=tasks)
    def make_fresh(self) -> Modelled:
        return self.remember(Modelled(gilpool.Task(int), "fresh"))

    @rule(target=tasks)
    def start_elsewhere_and_add(self) -> Modelled:
        one = self.gated()
        one.task.start()
        one.started = True
        assert eventually(lambda: "running" in repr(one.task))
        if self.is_full():
            with pytest.raises(gilpool.PoolFull):
                self.pool.add(one.task, timeout=0)
        elif not self.backlog:
            self.pool.add(one.task)
            one.tracked = True
        return self.remember(one)

    @rule(target=tasks)
    def apply_async(self) -> Modelled:
        task = self.pool.apply_async(abs, (-1,))
        one = self.remember(Modelled(task, "quick"))
        self.backlog.append(one)
        self.serve_backlog()
        return one

    @precondition(lambda self: not self.is_full() and not self.backlog)
    @rule(depth=st.integers(1, 4))
    def nested_get(self, depth: int) -> None:
        def nest(n: int) -> int:
            return 0 if n == 0 else 1 + self.pool.spawn(nest, n - 1).get()

        assert self.pool.spawn(nest, depth).get(timeout=PATIENCE) == depth

    @precondition(lambda self: not self.is_full() and not self.backlog)
    @rule(count=st.integers(0, 5))
    def maps(self, count: int) -> None:
        assert self.pool.map(abs, range(-count, 0)) == list(range(count, 0, -1))
        assert sorted(self.pool.imap_unordered(abs, range(-count, 0))) == list(range(1, count + 1))

    @rule(one=tasks)
    def release(self, one: Modelled) -> None:
        if one.kind == "gated" and not one.done:
            assert one.gate is not None
            one.gate.release()
            one.task.join(PATIENCE)
            one.end(True)
            self.serve_backlog()

    @rule(one=tasks, exception=st.sampled_from([gilpool.TaskExit, ModelError]))
    def kill(self, one: Modelled, exception: type[BaseException]) -> None:
        one.task.kill(exception, block=False)
        if one.done:
            return
        one.killed_with = exception
        if one.kind != "gated":  # foreign code goes on until its lock is free
            one.task.join(PATIENCE)
            one.started = True
            one.end(None)
            self.serve_backlog()

    @rule(one=tasks)
    def link(self, one: Modelled) -> None:
        self.numbers += 1
        number = self.numbers

        def callback(task: object) -> None:
            assert task is one.task
            one.called.append(number)

        one.callbacks[number] = callback
        one.links.append(number)
        one.task.link(callback)
        if one.done:
            assert eventually(lambda: one.called == one.links)

    @rule(one=tasks, data=st.data())
    def unlink(self, one: Modelled, data: st.DataObject) -> None:
        if one.callbacks:
            number = data.draw(st.sampled_from(sorted(one.callbacks)))
            one.task.unlink(one.callbacks.pop(number))
            if not one.done:
                one.links.remove(number)

    @rule(one=tasks)
    def discard(self, one: Modelled) -> None:
        self.pool.discard(one.task)
        one.tracked = False
        self.serve_backlog()

    @rule(size=st.one_of(st.none(), st.integers(0, 3)))
    def resize(self, size: int | None) -> None:
        self.pool.size = self.size = size
        self.serve_backlog()

    @rule()
    def join(self) -> None:
        assert self.pool.join(timeout=0) == (not self.tracked())

    @rule()
    def wait(self) -> None:
        done = [one.task for one in self.all if one.done]
        assert gilpool.wait([one.task for one in self.all], timeout=0) == done
        assert list(gilpool.iwait((one.task for one in self.all), timeout=0)) == done
        assert self.group.join(timeout=0) == (len(done) == len(self.all))

    @rule(exception=st.sampled_from([gilpool.TaskExit, ModelError]))
    def kill_all_that_can_be(self, exception: type[BaseException]) -> None:
        victims = [one for one in self.tracked() if one.kind == "sleeper"]
        gilpool.killall([one.task for one in victims], exception, timeout=PATIENCE)
        for one in victims:
            one.killed_with = exception
            one.end(None)
        self.serve_backlog()

    @rule(one=consumes(tasks))
    def drop(self, one: Modelled) -> None:
        """The name goes; a task that runs goes on, one that is done is forgotten."""
        if one.done and one not in self.backlog:
            assert eventually(lambda: one.called == one.links)
            self.check_outcome(one)
            self.all.remove(one)

    # --- what must hold at rest --------------------------------------------------------------

    def check_outcome(self, one: Modelled) -> None:
        task = one.task
        assert task.ready() == task.dead == one.done
        if not one.done:
            assert task.value is None
            assert not task.successful()
        elif one.outcome is ModelError:
            assert isinstance(task.exception, ModelError)
            assert (task.value, task.successful()) == (None, False)
        elif one.outcome is gilpool.TaskExit:
            assert isinstance(task.get(), gilpool.TaskExit)
            assert (task.exception, task.successful()) == (None, True)
        else:
            assert (task.get(), task.successful()) == (one.outcome, True)

    @invariant()
    def model_and_pool_agree(self) -> None:
        if not self.all and not hasattr(self, "pool"):
            return
        # Links run, and slots of tasks that ran elsewhere come back, soon after the end.
        assert eventually(lambda: all(one.task.ready() for one in self.all if one.done))
        assert eventually(lambda: all(one.called == one.links for one in self.all if one.done))
        tracked = self.tracked()
        assert eventually(lambda: len(self.pool) == len(tracked)), (len(self.pool), tracked)
        assert {id(task) for task in self.pool} == {id(one.task) for one in tracked}
        assert eventually(lambda: self.pool.full() == self.is_full())
        free = 1 if self.size is None else max(0, self.size - len(tracked))
        assert self.pool.free_count() == free
        assert eventually(
            lambda: (
                {id(task) for task in self.group}
                == {id(one.task) for one in self.all if not one.done}
            )
        )
        for one in self.all:
            assert (one.task in self.pool) == one.tracked
            assert one.task.started == (one.started or one.done)
            self.check_outcome(one)
            assert one.done or not one.called

    def teardown(self) -> None:
        for one in self.all:
            if one.kind == "gated" and not one.done:
                assert one.gate is not None
                one.gate.release()
            elif not one.done:
                one.task.kill(block=False)
        if hasattr(self, "pool"):
            self.pool.size = None
        settle()
        for one in self.all:
            assert one.task.ready() or not one.task.started
            assert one.task.exception is None or isinstance(one.task.exception, ModelError)
            assert one.called == one.links
        self.all.clear()


TestPoolModel = PoolMachine.TestCase
TestPoolModel.settings = settings(
    max_examples=HISTORIES,
    stateful_step_count=STEPS,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
if LONG:
    TestPoolModel = pytest.mark.timeout(4 * 3600)(TestPoolModel)


class Crowd:
    """A batch of tasks of all kinds, killed at random, each of which must end exactly once."""

    def __init__(self, count: int, seed: int, pools: list[gilpool.Pool]) -> None:
        self.count = count
        self.rng = random.Random(seed)
        self.pools = pools
        self.ended = [0] * count
        self.begun = [0] * count
        self.tasks: list[gilpool.Task[int]] = []
        self.kinds = self.rng.choices(
            ["value", "error", "sleep", "nested", "waits"], [60, 10, 10, 10, 10], k=count
        )

    def work(self, index: int) -> int:
        self.begun[index] += 1
        kind = self.kinds[index]
        if kind == "error":
            raise ModelError(index)
        if kind == "sleep":
            gilpool.sleep(0.0005)
        elif kind == "nested":
            pool = self.pools[index % len(self.pools)]
            return index + pool.spawn(abs, 0).get()
        elif kind == "waits" and index > 0:
            self.tasks[index // 2].join()
        return index

    def count_end(self, index: int) -> Callable[[object], None]:
        def link(_: object) -> None:
            self.ended[index] += 1

        return link

    def run(self) -> int:
        """Spawn and kill them all; the number of those that were killed."""
        victims = [index for index in range(self.count) if self.rng.random() < 0.15]
        for index in range(self.count):
            task = gilpool.Task(self.work, index)
            task.link(self.count_end(index))
            self.tasks.append(task)
        stop = threading.Event()
        started = 0

        def kill_some() -> None:
            for index in victims[1::2]:
                while index > started + 50 and not stop.is_set():
                    gilpool.sleep(0.0001)
                self.tasks[index].kill(ModelError, block=False)

        killer = threading.Thread(target=kill_some)
        killer.start()
        for index, task in enumerate(self.tasks):
            self.pools[index % len(self.pools)].start(task)
            started = index
        for index in victims[::2]:
            self.tasks[index].kill(block=False)
        stop.set()
        killer.join()
        assert all(pool.join(PATIENCE * 4) for pool in self.pools)
        settle()
        return self.check(set(victims))

    def check(self, victims: set[int]) -> int:
        killed = 0
        assert self.ended == [1] * self.count
        assert max(self.begun) <= 1
        for index, task in enumerate(self.tasks):
            assert task.ready()
            error: BaseException | None = task.exception
            value: object = task.value
            if error is not None:
                assert isinstance(error, ModelError)
                assert error.args in ((index,), ())
                assert error.args == (index,) or index in victims
                killed += error.args == ()
            elif isinstance(value, gilpool.TaskExit):
                assert index in victims
                killed += 1
            else:
                assert value == index
                assert self.begun[index] == 1
                assert self.kinds[index] != "error"
        return killed


def resident_mb() -> float:
    """This process's memory with nothing of ours at work, and what malloc keeps given back."""
    gc.collect()
    _core._end_idle_workers()  # what they kept for later tasks goes with them
    getattr(ctypes.CDLL(None), "malloc_trim", lambda _: 0)(0)
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.slow
@pytest.mark.timeout(3600 if LONG else 240)
def test_masses_of_tasks_with_kills_errors_and_nested_waits_all_end_once() -> None:
    seed = random.SystemRandom().randrange(2**32)
    batch = 5000
    warm = 4  # batches after which what is made once has been made
    killed = 0
    pools = [gilpool.Pool(), gilpool.Pool(8), gilpool.Pool(1)]
    counts, blocks, megabytes = [], [], []
    begin = time.monotonic()
    for number in range(MASS // batch):
        killed += Crowd(batch, seed + number, pools).run()
        gc.collect()
        counts.append((gilpool.stats()["task_objects"], gilpool.stats()["tasks"]))
        assert counts[-1] == counts[0], "tasks are kept"
        for pool in pools:
            stats = pool.stats()
            assert stats["spawned"] <= stats["finished"] <= stats["spawned"] + killed
            assert stats["waiting"] == stats["running"] == stats["queued"] == 0
        if number + 1 >= warm:
            megabytes.append(resident_mb())
            blocks.append(sys.getallocatedblocks())
    print(
        f"\nseed {seed}: {MASS:,} tasks, {killed:,} killed, in {time.monotonic() - begin:.0f} s; "
        f"resident {megabytes[0]:.1f} MB at first, {megabytes[-1]:.1f} MB at last, "
        f"{max(megabytes):.1f} MB at most"
    )
    assert killed > MASS // 100  # else the kills came too late to mean anything
    # Python's blocks are counted; the rest is stacks and half-used pages, however many the tasks.
    assert blocks[-1] - blocks[0] < MASS // 100, f"blocks of memory are kept: {blocks}"
    assert megabytes[-1] - megabytes[0] < 10, f"megabytes of memory are kept: {megabytes}"
