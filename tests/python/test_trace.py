"""What a trace says about the tasks that ran: one slice each, when, where, and with which lock."""

import collections
import contextlib
import functools
import os
import select
import struct
import tempfile
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import _trace_rules as rules
import gilpool
from _tools import PATIENCE, Held, fail, gil_kept, settle
from gilpool import _core
from gilpool._trace import trace

SHARE_OF_ONE = 0.2
"""How much of one call others may overlap it by before it no longer counts as a staircase."""


NEVER_OPEN = 999_999
"""A descriptor that nobody is given."""


def compute(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def sleep_gil(ms: float) -> None:
    gilpool.sleep_gil(ms)


def sleep_nogil(ms: float) -> None:
    """A task for Python, whatever gilpool does with its own functions when they are spawned."""
    gilpool.sleep_nogil(ms)


def overlap(pieces: list[rules.Slice]) -> int:
    """Nanoseconds in which at least two of the pieces take place."""
    changes = sorted([(piece.begin, 1) for piece in pieces] + [(piece.end, -1) for piece in pieces])
    total = depth = previous = 0
    for when, change in changes:
        total += when - previous if depth >= 2 else 0
        depth += change
        previous = when
    return total


def spent(task: rules.Slice, name: str) -> float:
    """What the task says of that, microseconds, and what a busy machine left unseen besides."""
    return float(task.args[name] or 0) + float(task.args.get("unseen_us", 0))


def outcomes(recorded: rules.Trace) -> dict[str, int]:
    return dict(collections.Counter(task.args["outcome"] for task in recorded.tasks))


def test_a_task_is_one_slice_with_its_numbers(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    with trace(out) as recording:
        gilpool.spawn(compute, 0.05).get()
    recorded = rules.check(out)

    (task,) = recorded.tasks
    assert (recording.tasks, recording.dropped_events) == (1, 0)
    assert task.name == "compute"
    assert recorded.thread_names[task.tid].startswith("gilpool worker ")
    assert task.args["outcome"] == "returned"
    assert task.args["cpu_us"] >= 50_000
    if task.args["held_us"] is not None:  # if any look fell into it
        assert spent(task, "held_us") + task.args["gil_wait_us"] >= 45_000
    assert set(recorded.arrows) == {task.args["task"]}
    (spawn,) = recorded.spawns
    assert recorded.thread_names[spawn.tid] == threading.current_thread().name


def test_held_calls_are_a_staircase_and_released_ones_overlap(tmp_path: Path) -> None:
    """The experiment, read off its trace instead of a clock."""
    one = 0.04
    traces = {}
    for name, function in (("held", sleep_gil), ("released", sleep_nogil)):
        out = tmp_path / f"{name}.json"
        pool = gilpool.Pool()
        with trace(out):
            for _ in range(5):
                pool.spawn(function, one * 1000)
            pool.join()
        traces[name] = rules.check(out)
    ns = round(one * 1e9)

    held = traces["held"]
    assert len(held.tasks) == 5
    for task in held.tasks:
        if task.args["held_us"] is not None:
            assert spent(task, "held_us") >= 0.9 * one * 1e6
    # Looks are a millisecond apart when the machine is idle; five boundaries may be off by some.
    assert overlap(held.held()) <= SHARE_OF_ONE * ns
    # All were there from the beginning: they waited, and did so together.
    queued = [rules.ns(task.args["queued_us"]) + task.begin for task in held.tasks]
    assert max(queued) - min(queued) >= 3 * ns

    released = traces["released"]
    assert len(released.tasks) == 5
    assert overlap(released.tasks) >= 0.5 * ns
    for task in released.tasks:
        assert task.args["released_us"] >= 0.9 * one * 1e6
    off = [piece for track in released.gil.values() for piece in track if piece.name == "released"]
    assert not any(piece.args["sampled"] for piece in off), "gilpool's own waits are exact"


def test_code_of_others_is_sampled(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    with trace(out):
        gilpool.spawn(time.sleep, 0.05).get()
    recorded = rules.check(out)

    (task,) = recorded.tasks
    assert task.name == "sleep"
    if task.args["held_us"] is not None:  # if any look fell into it
        assert spent(task, "released_us") >= 0.5 * 50_000
        seen = [piece for track in recorded.gil.values() for piece in track]
        assert all(piece.args["sampled"] for piece in seen if piece.name == "released")


def test_a_wait_for_the_gil_is_told_from_blocking(tmp_path: Path) -> None:
    """Who computes beside others is off the GIL half of the time, and never lets it go."""
    out = tmp_path / "out.json"
    with trace(out):
        task = gilpool.spawn(compute, 0.1)
        compute(0.1)
        task.join()
    recorded = rules.check(out)
    (task_slice,) = recorded.tasks
    if not recorded.other["gil_waits_readable"]:  # a kernel whose procfs says too little
        assert spent(task_slice, "released_us") >= 20_000
        return
    waited = spent(task_slice, "gil_wait_us")
    assert waited >= 20_000
    # A thread that has been woken, but found no core yet, is neither here nor there.
    assert task_slice.args["released_us"] <= waited
    if "unseen_us" not in task_slice.args:
        (track,) = recorded.gil.values()
        assert any(piece.name == rules.WAITING and piece.args["sampled"] for piece in track)


def test_a_wait_for_the_gil_is_nested_in_its_task(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    with trace(out):
        with gil_kept():
            task = gilpool.spawn(int)
            end = time.perf_counter() + 0.03
            while time.perf_counter() < end:
                pass
        task.join()
    (slice_,) = rules.check(out).tasks
    assert slice_.args["gil_wait_us"] + slice_.args["queued_us"] >= 30_000


def test_the_queue_is_counted(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    with trace(out), gil_kept():
        task = gilpool.spawn(int)
        end = time.perf_counter() + 0.03
        while time.perf_counter() < end:
            pass
    task.join()
    recorded = rules.check(out)

    assert recorded.tasks == []
    assert recorded.counters["queue depth"][-1][1] == 1


def test_each_outcome_is_told_apart(tmp_path: Path, reports: list[BaseException]) -> None:
    out = tmp_path / "out.json"
    begun = threading.Event()

    def sleeps() -> None:
        begun.set()
        gilpool.sleep(60)

    with trace(out):
        gilpool.spawn(int).join()
        gilpool.spawn(fail, KeyError()).join()
        sleeper = gilpool.spawn(sleeps)
        assert begun.wait(PATIENCE)
        sleeper.kill()
        with gil_kept():
            gilpool.spawn(int).kill(block=False)
        held = Held()
    try:
        recorded = rules.check(out)
        assert outcomes(recorded) == {"returned": 1, "raised": 1, "killed": 1, "unfinished": 1}
        assert len(recorded.arrows) == 4
    finally:
        held.release()


def test_tasks_that_began_before_the_trace(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    recording = trace(out)
    with Held(count=2):
        recording.__enter__()
        gilpool.spawn(int).join()
    settle()
    recording.__exit__(None, None, None)
    recorded = rules.check(out)

    assert len(recorded.tasks) == 3
    unknown = [task for task in recorded.tasks if task.args["queued_us"] is None]
    assert len(unknown) == 2
    assert len(recorded.arrows) == 1
    assert recorded.counters["busy"][0][1] >= 2
    assert recorded.counters["queue depth"][-1][1] == 0


def test_callables_are_named_after_what_they_are(tmp_path: Path) -> None:
    class Callable:
        def __call__(self) -> None:
            pass

        def method(self) -> None:
            pass

    out = tmp_path / "out.json"
    pool = gilpool.Pool()
    with trace(out):
        for function in (
            Callable(),
            Callable().method,
            functools.partial(functools.partial(compute), 0.0),
            threading.Event().set,
            [].clear,
            lambda: None,
            int,
        ):
            pool.spawn(function)
        own = [gilpool.Task(int) for _ in range(2)]
        for task, name in zip(own, ('the "one" \N{SNOWMAN}', "half a pair: \ud83d"), strict=True):
            task.name = name
            task.start()
        pool.join()
        gilpool.joinall(own)
    names = {task.name for task in rules.check(out).tasks}

    prefix = "test_callables_are_named_after_what_they_are.<locals>."
    assert names == {
        f"{prefix}Callable",
        f"{prefix}Callable.method",
        "compute",
        "Event.set",
        "list.clear",
        f"{prefix}<lambda>",
        "int",
        'the "one" \N{SNOWMAN}',
        "half a pair: \ud83d",
    }


def test_counters_and_workers(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    pool = gilpool.Pool()
    _core._end_idle_workers()  # no worker is left from before
    with trace(out):
        for _ in range(3):
            pool.spawn(time.sleep, 0.02)
        pool.join()
        _core._end_idle_workers()
    recorded = rules.check(out)

    assert max(value for _, value in recorded.counters["busy"]) == 3
    assert recorded.counters["busy"][-1][1] == 0
    assert recorded.counters["queue depth"][-1][1] == 0
    kinds = collections.Counter(event["name"] for event in recorded.instants)
    assert kinds["worker started"] >= 3
    # Workers that have just been told to go may be on their way still.
    assert kinds["worker retired"] <= kinds["worker started"]


def test_tasks_spawned_by_tasks_have_arrows_from_their_slices(tmp_path: Path) -> None:
    out = tmp_path / "out.json"

    def parent() -> int:
        return sum(gilpool.spawn(int, str(i)).get() for i in range(5))

    with trace(out):
        assert gilpool.spawn(parent).get() == 10
    recorded = rules.check(out)

    (slice_,) = [task for task in recorded.tasks if task.name.endswith("parent")]
    children = [task for task in recorded.tasks if task.name == "int"]
    assert len(children) == 5
    for child in children:
        start, _ = recorded.arrows[child.args["task"]]
        assert start["tid"] == slice_.tid
        assert slice_.begin <= rules.ns(start["ts"]) < slice_.end


def test_a_kernel_has_a_slice_where_it_ran(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    with trace(out):
        gilpool.spawn(gilpool.kernels.sha256, bytes(1_000_000)).get()
    recorded = rules.check(out)

    (native,) = recorded.native
    assert recorded.tasks == []
    assert native.args["outcome"] == "returned"
    assert set(recorded.arrows) == {native.args["task"]}


def test_a_kernels_outcome_is_what_its_task_came_to(
    tmp_path: Path, reports: list[BaseException]
) -> None:
    out = tmp_path / "out.json"
    with contextlib.ExitStack() as writers, trace(out):

        def reading() -> "gilpool.Task[bytes]":
            """A kernel on its way, until the writer goes."""
            fifo = tempfile.mktemp(dir=tmp_path)
            os.mkfifo(fifo)
            task = gilpool.spawn(gilpool.kernels.read_file, fifo)
            writers.callback(os.close, os.open(fifo, os.O_WRONLY))  # opens when it reads
            return task

        gilpool.spawn(gilpool.kernels.sha256, b"").join()
        missing = gilpool.spawn(gilpool.kernels.read_file, tmp_path / "missing")
        missing.join()
        reading().kill()
        unfinished = reading()
    unfinished.join()
    recorded = rules.check(out)

    assert isinstance(missing.exception, FileNotFoundError)
    found = collections.Counter(piece.args["outcome"] for piece in recorded.native)
    assert found == {"returned": 1, "raised": 1, "killed": 1, "unfinished": 1}


def test_a_wait_that_needs_no_thread_is_an_async_event(
    tmp_path: Path, reports: list[BaseException]
) -> None:
    out = tmp_path / "out.json"
    reader, writer = os.pipe()
    before = gilpool.spawn(gilpool.sleep, 60)
    with trace(out) as recording:
        naps = [gilpool.spawn(gilpool.sleep, 0.05) for _ in range(20)]
        ready = gilpool.spawn(gilpool.kernels.wait_fd, reader, select.POLLIN)
        late = gilpool.spawn(gilpool.kernels.wait_fd, reader, select.POLLOUT, timeout=0.01)
        bad = gilpool.spawn(gilpool.kernels.wait_fd, NEVER_OPEN, select.POLLIN)
        killed = gilpool.spawn(gilpool.sleep, 60)
        killed.kill()
        before.kill()
        os.write(writer, b"x")
        for task in (*naps, ready, late, bad):
            task.join()
        unfinished = gilpool.spawn(gilpool.sleep, 60)
    unfinished.kill()
    recorded = rules.check(out)
    for descriptor in (reader, writer):
        os.close(descriptor)

    assert isinstance(bad.exception, OSError)
    assert recorded.tasks == recorded.native == []
    assert recording.tasks == len(recorded.threadless) == 25
    found = collections.Counter((wait.name, wait.args["outcome"]) for wait in recorded.threadless)
    assert found == {
        ("sleep", "returned"): 20,
        ("wait_fd", "returned"): 2,
        ("wait_fd", "raised"): 1,
        ("sleep", "killed"): 1,
        ("sleep", "unfinished"): 1,
    }
    for wait in recorded.threadless:
        if (wait.name, wait.args["outcome"]) == ("sleep", "returned"):
            assert wait.end - wait.begin >= 50_000_000
    assert all(value == 0 for _, value in recorded.counters["busy"])


@pytest.mark.parametrize("looks_ms", [(), (10, 15)])
def test_what_nobody_looked_at_is_left_out(
    looks_ms: tuple[int, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A machine that gave the observer no CPU makes no arguments wrong."""
    stop = _core._trace_stop
    began: list[int] = []

    def hold() -> None:
        began.append(time.monotonic_ns())
        sleep_gil(50)

    def with_other_looks() -> dict[str, object]:
        raw = stop()
        looks = [when for (when,) in struct.iter_unpack("=q", raw["looks"])]
        looks = [when for when in looks if not before <= when <= after]
        looks += [began[0] + ms * 1_000_000 for ms in looks_ms]
        raw["looks"] = struct.pack(f"={len(looks)}q", *sorted(looks))
        return raw

    monkeypatch.setattr(_core, "_trace_stop", with_other_looks)
    out = tmp_path / "out.json"
    with trace(out):
        before = time.monotonic_ns()
        gilpool.spawn(hold).join()
        gilpool.spawn(sleep_nogil, 50).join()
        after = time.monotonic_ns()
    held, released = rules.check(out).tasks

    if not looks_ms:
        assert held.args["held_us"] is held.args["released_us"] is None
    elif held.args["held_us"] is not None:  # if the observer had any CPU at all
        assert held.args["unseen_us"] >= 45_000, "between the two looks are 5 ms of more than 50"
        assert sum(held.args[name] for name in rules.SEEN) >= 5_000
    assert released.args["released_us"] >= 50_000, "what a thread stamps itself needs no look"


NODES = st.recursive(
    st.sampled_from(["return", "raise", "sleep", "own sleep", "compute", "killed", "cancelled"]),
    lambda children: st.lists(children, max_size=4),
    max_leaves=12,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(NODES, max_size=6), st.sampled_from([None, 1, 2]))
def test_any_history_has_a_slice_for_each_task_that_ran(
    tmp_path: Path, reports: list[BaseException], history: list[object], size: int | None
) -> None:
    """Errors, kills, and tasks that spawn and wait for tasks, in pools of any size."""
    out = tmp_path / f"{os.getpid()}.json"
    pool = gilpool.Pool(size)
    ran: list[str] = []

    def run(node: object) -> None:
        ran.append("x")
        if isinstance(node, list):
            for task in [task for child in node for task in start(child)]:
                task.join()
        elif node == "raise":
            raise KeyError
        elif node == "sleep":
            time.sleep(0.001)
        elif node in ("own sleep", "killed"):
            gilpool.sleep(0.001 if node == "own sleep" else 0.05)
        elif node == "compute":
            compute(0.002)

    def start(node: object) -> list["gilpool.Task[None]"]:
        task = pool.spawn(run, node)
        if node in ("killed", "cancelled"):
            task.kill(block=node == "killed")
        return [task]

    with trace(out) as recording:
        for node in history:
            start(node)
        pool.join()
        settle()
    recorded = rules.check(out)
    reports.clear()

    # A task that is killed before its first bytecode runs has a slice, too.
    assert len(ran) <= len(recorded.tasks) <= len(ran) + repr(history).count("d'")
    assert recording.dropped_events == 0
    assert set(recorded.arrows) == {task.args["task"] for task in recorded.tasks}
    depths = [depth for _, depth in recorded.counters["queue depth"]]
    assert not depths or max(depths) <= len(recorded.tasks) + repr(history).count("d'")


def test_what_does_not_fit_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gilpool._trace.MOST_RECORDS", 100)
    out = tmp_path / "out.json"
    pool = gilpool.Pool()
    with trace(out) as recording:
        for _ in range(500):
            pool.spawn(int)
        pool.join()
    recorded = rules.check(out)

    # Each task is two records, its spawn and itself; the observer's own come on top.
    assert recording.dropped_events >= 900
    assert recorded.other["dropped_events"] == recording.dropped_events
    assert len(recorded.tasks) == recording.tasks <= 100
