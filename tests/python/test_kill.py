"""Kill: what has not begun never runs, what runs ends soon, and nobody else is ever hit."""

import itertools
import random
import threading
import time
import traceback
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import pytest

import gilpool
from _tools import PATIENCE, Held, fail, gil_kept, settle, wait_until
from conftest import Script


class CustomError(Exception):
    """An error of the test's own."""


def spin(begun: threading.Event) -> None:
    begun.set()
    while True:
        pass


def begun(function: Callable[..., Any], *args: Any) -> "gilpool.Task[Any]":
    """A task that has begun to run function(event, *args)."""
    event = threading.Event()
    task = gilpool.spawn(function, event, *args)
    assert event.wait(PATIENCE)
    return task


# --- not begun ----------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["fresh", "queued"])
@pytest.mark.parametrize(
    "make",
    [
        lambda: None,
        lambda: gilpool.TaskExit,
        lambda: gilpool.TaskExit("enough"),
        lambda: CustomError,
        lambda: CustomError("no"),
    ],
)
def test_what_has_not_begun_never_runs(state: str, make: Callable[[], Any]) -> None:
    exception = make()
    ran: list[int] = []
    seen: list[Any] = []
    task = gilpool.Task(ran.append, 1)
    task.link(seen.append)
    with gil_kept():
        if state == "queued":
            task.start()
        if exception is None:
            task.kill(block=False)
        else:
            task.kill(exception, block=False)
        assert task.ready()
        assert task.dead
        assert task.started
    task.start()
    settle()

    assert (ran, seen) == ([], [task])
    if exception in (CustomError,) or isinstance(exception, CustomError):
        assert not task.successful()
        assert task.value is None
        with pytest.raises(CustomError) as info:
            task.get()
        assert exception is CustomError or info.value is exception
    else:
        assert task.successful()
        assert task.exception is None
        assert isinstance(task.get(), gilpool.TaskExit)
        assert not isinstance(exception, gilpool.TaskExit) or task.get() is exception


def test_a_killed_queued_task_gives_its_slot_back() -> None:
    pool = gilpool.Pool(1)
    with gil_kept():
        pool.spawn(int).kill(block=False)
        assert pool.free_count() == 1
        assert len(pool) == 0


# --- running ------------------------------------------------------------------------------------


def test_python_code_is_interrupted() -> None:
    task = begun(spin)
    error = gilpool.TaskExit("enough")
    task.kill(error, timeout=PATIENCE)

    assert task.get(block=False) is error


def test_the_error_given_is_the_tasks_error_with_its_traceback() -> None:
    task = begun(spin)
    error = CustomError("stop")
    task.kill(error, timeout=PATIENCE)

    with pytest.raises(CustomError) as info:
        task.get(block=False)
    assert info.value is error
    assert "spin" in [entry.name for entry in info.traceback]


def wait_in(call: Callable[[], object]) -> Callable[[threading.Event], object]:
    def run(begun: threading.Event) -> object:
        begun.set()
        return call()

    return run


def waits(held: "gilpool.Task[Any]", full: gilpool.Pool) -> dict[str, Callable[[], object]]:
    """Everything of ours that a task can wait in, and that would not end by itself."""
    other = gilpool.Pool()
    other.add(held)
    return {
        "sleep": lambda: gilpool.sleep(1000),
        "sleep_nogil": lambda: gilpool.sleep_nogil(1_000_000),
        "get": held.get,
        "get with timeout": lambda: held.get(timeout=1000),
        "join": held.join,
        "wait": lambda: gilpool.wait([held]),
        "iwait": lambda: list(gilpool.iwait([held])),
        "joinall": lambda: gilpool.joinall([held], raise_error=True),
        "Pool.join": other.join,
        "Group.join": gilpool.Group([held]).join,
        "spawn on a full pool": lambda: full.spawn(int),
        "start on a full pool": lambda: full.start(gilpool.Task(int)),
        "wait_available": full.wait_available,
        "map on a full pool": lambda: full.map(abs, [1, 2]),
        "imap": lambda: next(full.imap(abs, [1])),
        "kill": held.kill,
    }


@pytest.mark.parametrize("name", list(waits(gilpool.Task(int), gilpool.Pool())))
def test_waits_of_ours_are_interrupted_at_once(name: str) -> None:
    """The task that is waited for and the full pool stay as they are all the time."""
    full = gilpool.Pool(1)
    lock = threading.Lock()
    with lock:
        full.spawn(lock.acquire)
        held = full._tasks()[0] if full._tasks() else None
        assert held is not None
        task = begun(wait_in(waits(held, full)[name]))
        task.kill(timeout=PATIENCE)
        assert isinstance(task.get(block=False), gilpool.TaskExit)
    held.join()
    settle()
    assert full.spawn(int).get() == 0  # no slot was lost


def test_foreign_code_is_not_interrupted_but_the_task_ends_with_it() -> None:
    """Killed in C code that returns a value: no bytecode runs, and it is killed all the same."""
    lock = threading.Lock()
    lock.acquire()
    task = gilpool.spawn(lock.acquire)
    pool_saw_it_run = threading.Event()
    while "running" not in repr(task):
        pool_saw_it_run.wait(0.001)
    task.kill(timeout=0.01)
    assert not task.ready()
    lock.release()

    assert isinstance(task.get(timeout=PATIENCE), gilpool.TaskExit)


class NeedsArguments(Exception):
    def __init__(self, reason: str, code: int) -> None:
        super().__init__(reason, code)
        self.code = code


@pytest.mark.parametrize("handling", [False, True])
@pytest.mark.parametrize(
    "error", [NeedsArguments("because", 7), CustomError("why"), gilpool.TaskExit("why")]
)
def test_the_task_can_catch_the_very_instance(error: BaseException, handling: bool) -> None:
    """Also one whose type cannot be made without arguments, and while it handles another error."""

    def work(event: threading.Event) -> bool:
        try:
            if not handling:
                spin(event)
            try:
                raise KeyError("first")
            except KeyError:
                spin(event)
        except type(error) as caught:
            return caught is error
        return False

    task = begun(work)
    task.kill(error)
    assert task.get() is True


def test_a_killed_tasks_error_is_the_instance_with_the_tasks_traceback() -> None:
    error = NeedsArguments("because", 7)
    task = begun(spin)
    task.kill(error)
    assert task.exception is error
    assert traceback.extract_tb(error.__traceback__)[0].name == "spin"
    assert type(task.exception) is NeedsArguments


def test_a_type_that_needs_arguments_is_refused_where_it_is_given() -> None:
    with Held() as held, pytest.raises(TypeError, match="reason"):
        held.task.kill(NeedsArguments)
    assert held.task.get() == "released"


def test_an_exception_that_refuses_subclasses_still_kills() -> None:
    class Final(Exception):
        def __init_subclass__(cls) -> None:
            raise TypeError("final")

    task = begun(spin)
    error = Final("why")
    task.kill(error)
    assert task.exception is error


def test_a_task_may_catch_the_exception_and_go_on() -> None:
    def catch(begun: threading.Event) -> str:
        try:
            spin(begun)
        except gilpool.TaskExit:
            return "caught"
        return "never"

    task = begun(catch)
    task.kill(timeout=PATIENCE)

    assert task.get(block=False) == "caught"


def test_a_task_that_caught_one_kill_can_be_killed_again() -> None:
    caught = threading.Event()

    def catch_once(begun: threading.Event) -> None:
        try:
            spin(begun)
        except CustomError:
            spin(caught)

    task = begun(catch_once)
    task.kill(CustomError, block=False)
    assert caught.wait(PATIENCE)
    task.kill(timeout=PATIENCE)

    assert isinstance(task.get(block=False), gilpool.TaskExit)


def test_except_exception_does_not_swallow_task_exit() -> None:
    def catch(begun: threading.Event) -> str:
        try:
            spin(begun)
        except Exception:
            return "swallowed"
        return "never"

    task = begun(catch)
    task.kill(timeout=PATIENCE)

    assert isinstance(task.get(block=False), gilpool.TaskExit)


def test_kill_that_does_not_wait_returns_at_once_and_the_task_ends() -> None:
    task = begun(spin)
    task.kill(block=False)

    assert isinstance(task.get(timeout=PATIENCE), gilpool.TaskExit)


def test_kill_of_a_done_task_changes_nothing() -> None:
    done = gilpool.spawn(pow, 2, 3)
    done.join()
    failed = gilpool.spawn(fail, CustomError())
    failed.join()
    for task in (done, failed):
        task.kill()
        task.kill(CustomError)

    assert done.get() == 8
    assert isinstance(failed.exception, CustomError)


def test_a_task_that_kills_itself_raises_there() -> None:
    def suicide() -> None:
        current = gilpool.getcurrent()
        assert current is not None
        current.kill(CustomError("self"))

    with pytest.raises(CustomError, match="self"):
        gilpool.spawn(suicide).get()


@pytest.mark.parametrize("bad", [3, "TaskExit", int, object()])
def test_what_is_no_exception_is_refused(bad: Any) -> None:
    with Held() as held, pytest.raises(TypeError, match="exception"):
        held.task.kill(bad)
    assert held.task.get() == "released"


def test_a_kill_with_several_waiters_wakes_them_all() -> None:
    task = begun(spin)
    waiters = [gilpool.spawn(task.get) for _ in range(5)]
    task.kill(timeout=PATIENCE)

    assert {id(waiter.get(timeout=PATIENCE)) for waiter in waiters} == {id(task.get())}


# --- nobody else --------------------------------------------------------------------------------


def test_a_kill_never_reaches_the_next_task_of_the_thread() -> None:
    """Short tasks run back to back on few threads; a late kill must not hit their successors."""
    rng = random.Random(1)
    pool = gilpool.Pool()

    def work(number: int) -> int:
        for _ in range(50):
            number += 0
        return number

    for _ in range(30):
        tasks = [pool.spawn(work, number) for number in range(300)]
        victims = set(rng.sample(range(300), 100))
        for number in victims:
            tasks[number].kill(block=False)
            if number % 10 == 0:
                time.sleep(0)
        for number, task in enumerate(tasks):
            result: object = task.get(timeout=PATIENCE)
            if number in victims:
                assert result == number or isinstance(result, gilpool.TaskExit)
            else:
                assert result == number


def test_a_kill_of_an_outer_task_never_touches_an_inner_one() -> None:
    rng = random.Random(2)
    pool = gilpool.Pool()
    inner_tasks: list[gilpool.Task[int]] = []

    def inner(number: int) -> int:
        for _ in range(200):
            number += 0
        gilpool.sleep(0)
        return number

    def outer(number: int) -> int:
        task = pool.spawn(inner, number)
        inner_tasks.append(task)
        return task.get()

    for _ in range(20):
        outers = [pool.spawn(outer, number) for number in range(100)]
        for task in rng.sample(outers, 50):
            task.kill(block=False)
        for number, task in enumerate(outers):
            result: object = task.get(timeout=PATIENCE)
            assert result == number or isinstance(result, gilpool.TaskExit)
    assert pool.join(PATIENCE)

    assert len(inner_tasks) > 500
    assert all(isinstance(task.get(timeout=PATIENCE), int) for task in inner_tasks)


class Slow:
    """Runs Python code when it is dropped: a window between a call's end and its task's."""

    def __del__(self) -> None:
        for _ in range(300):
            pass


def test_kills_while_the_last_one_is_being_settled() -> None:
    """Several threads kill the same tasks over and over while results and errors are dropped."""
    pool = gilpool.Pool()
    stop = threading.Event()
    targets: list[gilpool.Task[Any]] = []

    class LoadedError(Exception):
        def __init__(self) -> None:
            self.slow = Slow()

    def victim(number: int) -> int:
        slow = Slow()
        for _ in range(100):
            number += 0
        del slow
        return number

    def bystander(number: int) -> int:
        for _ in range(100):
            number += 0
        return number

    def kill_again_and_again() -> None:
        while not stop.is_set():
            for task in targets[-50:]:
                task.kill(LoadedError, block=False)

    killers = [threading.Thread(target=kill_again_and_again) for _ in range(3)]
    for killer in killers:
        killer.start()
    try:
        bystanders = []
        for number in range(3000):
            targets.append(pool.spawn(victim, number))
            bystanders.append(pool.spawn(bystander, number))
        assert [task.get(timeout=PATIENCE * 2) for task in bystanders] == list(range(3000))
    finally:
        stop.set()
        for killer in killers:
            killer.join()
    for task in targets:
        task.join(timeout=PATIENCE)
        assert task.exception is None or isinstance(task.exception, LoadedError)


def test_dropping_the_exception_of_an_earlier_kill_does_not_misdirect_the_next_one() -> None:
    """The victim ends, and its thread goes on to another task, in the middle of a kill call."""
    lock = threading.Lock()
    lock.acquire()
    pool = gilpool.Pool()
    victims_thread: list[int] = []
    bystanders: list[gilpool.Task[Any]] = []
    go = threading.Event()

    def victim() -> bool:
        victims_thread.append(threading.get_ident())
        return lock.acquire()

    def bystander(begun: threading.Event) -> int:
        begun.set()
        while not go.is_set():
            pass
        return threading.get_ident()

    class LetsGoError(Exception):
        def __del__(self) -> None:
            lock.release()
            task.join(PATIENCE)
            for _ in range(4):  # the thread that is free now takes one of them
                event = threading.Event()
                bystanders.append(pool.spawn(bystander, event))
                assert event.wait(PATIENCE)

    task = pool.spawn(victim)
    while not victims_thread:
        gilpool.sleep(0.001)
    task.kill(LetsGoError(), block=False)
    task.kill(CustomError, block=False)
    go.set()

    assert len(bystanders) == 4
    assert victims_thread[0] in [one.get(timeout=PATIENCE) for one in bystanders]
    assert isinstance(task.exception, CustomError)


def test_the_interpreter_is_as_before_when_a_kill_came_too_late_to_be_raised(
    run_script: Script,
) -> None:
    """CPython notes that some thread has an exception pending; a note that stays hangs tracing."""
    result = run_script("""
        import gilpool, threading
        lock = threading.Lock()
        for _ in range(3):
            lock.acquire()
            task = gilpool.spawn(lock.acquire)
            while "running" not in repr(task):
                gilpool.sleep(0.001)
            task.kill(block=False)
            lock.release()
            assert isinstance(task.get(), gilpool.TaskExit)
            lock.release()

        def warm(n):
            return n + 1
        for n in range(100):
            warm(n)
        threading.settrace(lambda *_: None)
        assert gilpool.Pool().map(warm, range(3)) == [1, 2, 3]
    """)

    assert (result.returncode, result.stderr) == (0, "")


def test_a_task_discarded_while_its_kill_is_settled_takes_nobody_with_it() -> None:
    """The destructor of its result runs after its call has ended and before it counts as ended."""

    class Result:
        def __del__(self) -> None:
            pool.discard(task)

    pool = gilpool.Pool()
    queue: SimpleQueue[Result] = SimpleQueue()
    with Held(pool, count=2) as held:
        task = pool.spawn(queue.get)
        wait_until(lambda: pool.stats()["running"] == 3)
        task.kill(block=False)
        queue.put(Result())
        task.join()
        wait_until(lambda: len(pool) == 2)
        assert set(pool) == set(held.tasks)
        assert pool.stats()["running"] == 2
        pool.discard(held.tasks[0])
        assert list(pool) == held.tasks[1:]
    assert pool.join(PATIENCE)


@pytest.mark.usefixtures("collector_calls_nothing")
def test_killing_a_pool_ends_what_waits_for_a_slot_without_being_tracked() -> None:
    ran: list[int] = []
    pool = gilpool.Pool(1)
    running = pool.spawn(gilpool.sleep, 1000)
    waiting = [pool.apply_async(ran.append, (number,)) for number in range(10)]
    mapping = pool.map_async(ran.append, range(10))
    results = pool.imap(ran.append, range(10))
    pool.kill(CustomError())
    settle()

    assert ran == []
    assert isinstance(running.exception, CustomError)
    assert all(isinstance(task.exception, CustomError) for task in [*waiting, mapping])
    with pytest.raises((RuntimeError, CustomError)):
        list(results)


@pytest.mark.usefixtures("collector_calls_nothing")
@pytest.mark.parametrize("how", ["map", "spawn_many"])
def test_an_input_nearly_without_an_end_is_read_no_further_than_a_kill(how: str) -> None:
    """Nothing of it is Python code, so Python has no place to raise the exception at."""
    pool = gilpool.Pool()
    begun = threading.Event()

    def read() -> None:
        begun.set()
        getattr(pool, how)(abs, itertools.repeat(-1, 10_000_000))

    task = gilpool.spawn(read)
    assert begun.wait(PATIENCE)
    task.kill(CustomError(), timeout=PATIENCE)
    assert isinstance(task.exception, CustomError)
    assert pool.join(PATIENCE)
