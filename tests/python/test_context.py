"""What a task sees of its surroundings: context variables, threads, hooks, initializers."""

import _thread
import asyncio
import contextvars
import gc
import sys
import threading
import weakref
from typing import Any

import pytest

import gilpool
from _tools import PATIENCE, Held, fail, gil_kept, settle, wait_until
from conftest import Script
from gilpool import _core

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def look_and_set() -> str:
    seen = variable.get()
    variable.set("set by a task")
    return seen


@pytest.fixture(autouse=True)
def _variable_is_set() -> Any:
    token = variable.set("spawner's")
    yield
    variable.reset(token)


def test_every_task_starts_in_a_fresh_context() -> None:
    pool = gilpool.Pool()

    assert {pool.spawn(look_and_set).get() for _ in range(20)} == {"unset"}
    assert set(pool.map(lambda _: look_and_set(), range(20))) == {"unset"}
    assert variable.get() == "spawner's"


def test_a_pool_can_hand_the_spawners_context_on() -> None:
    pool = gilpool.Pool(context="copy")

    assert {pool.spawn(look_and_set).get() for _ in range(20)} == {"spawner's"}
    assert set(pool.map(lambda _: look_and_set(), range(20))) == {"spawner's"}
    assert set(pool.imap(lambda _: look_and_set(), range(20))) == {"spawner's"}
    assert variable.get() == "spawner's"


def test_the_copy_is_made_when_the_task_is_spawned() -> None:
    pool = gilpool.Pool(1, context="copy")
    with Held(gilpool.Pool()):
        task = gilpool.Task(variable.get)
        pool.start(task)
        token = variable.set("later")
        assert task.get() == "spawner's"
        variable.reset(token)


def test_a_copied_context_passes_through_nested_tasks() -> None:
    pool = gilpool.Pool(context="copy")

    def outer() -> str:
        variable.set("outer's")
        return pool.spawn(variable.get).get()

    assert pool.spawn(outer).get() == "outer's"


def test_what_a_task_leaves_in_its_context_reaches_no_other_one() -> None:
    """Workers use a context again if it is as good as new: these leave theirs otherwise."""
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("left", default=0)
    tokens: list[contextvars.Token[int]] = []

    def leave(n: int) -> int:
        before = variable.get()
        if n % 3 == 0:
            variable.set(n + 1)
        elif n % 3 == 1:
            tokens.append(variable.set(n))
            variable.reset(tokens.pop())
        else:  # the token keeps the context, which is without variables again
            tokens.append(variable.set(n))
            contextvars.copy_context().run(variable.set, -n)
        return before

    assert set(gilpool.Pool(1).map(leave, range(300))) == {0}
    assert len(tokens) == 100


@pytest.mark.parametrize(("context", "error"), [("new", ValueError), (3, TypeError)])
def test_other_contexts_are_refused(context: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="context must be"):
        gilpool.Pool(context=context)


def test_workers_are_sensible_threads() -> None:
    def look() -> tuple[str, bool, bool]:
        thread = threading.current_thread()
        return thread.name, thread.daemon, thread in threading.enumerate()

    name, daemon, listed = gilpool.spawn(look).get()

    assert name.startswith("gilpool-")
    assert daemon
    assert listed


def test_the_thread_objects_of_workers_are_what_threading_would_make() -> None:
    def look() -> tuple[Any, ...]:
        own, thread = threading.get_ident(), threading.current_thread()
        started.wait(PATIENCE)  # so that each task has a worker of its own
        return (
            thread,
            set(vars(thread)),
            (thread.ident, thread.native_id) == (own, threading.get_native_id()),
            thread.is_alive() and thread.daemon,
        )

    def look_from_a_foreign_thread() -> None:
        foreign.append(look())

    started = threading.Barrier(5)
    foreign: list[tuple[Any, ...]] = []
    pool = gilpool.Pool()
    tasks = [pool.spawn(look) for _ in range(4)]
    _thread.start_new_thread(look_from_a_foreign_thread, ())
    seen = [task.get(timeout=PATIENCE) for task in tasks]
    wait_until(lambda: bool(foreign))

    thread_class, parts = type(foreign[0][0]), foreign[0][1]
    for thread, its_parts, identified, alive in seen:
        assert type(thread) is thread_class
        assert its_parts == parts
        assert identified
        assert alive
        assert f"<_DummyThread({thread.name}, started daemon {thread.ident})>" == repr(thread)
        with pytest.raises((AssertionError, RuntimeError)):
            thread.join()
    assert len({thread for thread, *_ in seen}) == len(tasks)
    assert len({thread.name for thread, *_ in seen}) == len(tasks)


def test_thread_locals_belong_to_the_thread() -> None:
    local = threading.local()

    def use() -> int:
        local.value = threading.get_ident()
        gilpool.sleep(0)
        return int(local.value) - threading.get_ident()

    assert set(gilpool.Pool().map(lambda _: use(), range(100))) == {0}


def test_what_is_local_to_a_thread_goes_with_it() -> None:
    class Local:
        pass

    def keep() -> "weakref.ref[Local]":
        local.kept = Local()
        return weakref.ref(local.kept)

    local = threading.local()
    gone = gilpool.spawn(keep).get()
    gilpool.default_pool.join()
    wait_until(lambda: [_core._end_idle_workers(), gone() is None][1])


def test_asyncio_runs_inside_tasks() -> None:
    async def work(n: int) -> int:
        await asyncio.sleep(0)
        return n

    assert gilpool.Pool().map(lambda n: asyncio.run(work(n)), range(5)) == list(range(5))


@pytest.mark.parametrize("kind", ["trace", "profile"])
def test_hooks_set_through_threading_see_tasks(kind: str) -> None:
    seen: list[str] = []

    def hook(frame: Any, event: str, _: object) -> None:
        if event == "call":
            seen.append(frame.f_code.co_name)

    def traced() -> None: ...

    install = getattr(threading, f"set{kind}")
    before = getattr(threading, f"get{kind}")()
    install(hook)
    try:
        with Held():  # another worker, which has not seen the hook yet, or takes it up now
            gilpool.spawn(traced).join()
    finally:
        install(before)
    settle()

    assert "traced" in seen
    assert not {"gettrace", "getprofile"} & set(seen), "the taking up has been seen"
    seen.clear()
    gilpool.spawn(traced).join()
    with Held():
        gilpool.spawn(traced).join()
    assert not {"gettrace", "getprofile"} & set(seen), "the laying down has been seen"
    assert (getattr(sys, f"get{kind}")() is None) or seen == []


# --- initializer --------------------------------------------------------------------------------


def test_the_initializer_runs_once_a_thread_before_its_first_task() -> None:
    initialized: list[int] = []

    def initialize(word: str) -> None:
        assert word == "word"
        initialized.append(threading.get_native_id())

    pool = gilpool.Pool(initializer=initialize, initargs=("word",))

    def work(_: int) -> int:
        assert threading.get_native_id() in initialized
        gilpool.sleep(0.001)
        return threading.get_native_id()

    threads = set(pool.map(work, range(50)))

    assert sorted(initialized) == sorted(set(initialized))
    assert threads <= set(initialized)


def test_pools_have_initializers_of_their_own() -> None:
    calls: list[str] = []
    pools = [gilpool.Pool(initializer=calls.append, initargs=(name,)) for name in "ab"]
    for pool in pools * 3:
        pool.spawn(int).join()

    assert set(calls) == {"a", "b"}


def test_a_pool_whose_initializer_raises_is_broken() -> None:
    error = ZeroDivisionError("cannot")
    pool = gilpool.Pool(initializer=fail, initargs=(error,))
    first = pool.spawn(int)
    with pytest.raises(ZeroDivisionError, match="cannot"):
        first.get(timeout=PATIENCE)
    with pytest.raises(RuntimeError, match="initializer"):
        pool.spawn(int)
    assert pool.join(PATIENCE)
    assert gilpool.spawn(int).get() == 0


def test_a_pool_with_an_initializer_has_few_threads_of_its_own() -> None:
    """As many as it has slots, named after it, for its tasks only; others do without its locals."""
    local = threading.local()
    mine: list[str] = []

    def initialize() -> None:
        local.value = len(mine)
        mine.append(threading.current_thread().name)

    def look() -> tuple[str, int]:
        return threading.current_thread().name, local.value

    def foreign() -> bool:
        return hasattr(local, "value") or threading.current_thread().name in mine

    pool = gilpool.Pool(3, name="db", initializer=initialize)
    other = gilpool.Pool()
    tasks = []
    for _ in range(300):
        tasks.append((pool.spawn(look), other.spawn(foreign)))
        gilpool.sleep(0)
    threads = {own.get() for own, _ in tasks}

    assert threads <= {(name, n) for n, name in enumerate(mine)}
    assert len(mine) <= 3
    assert set(mine) <= {"db_0", "db_1", "db_2"}
    assert not any(strange.get() for _, strange in tasks)
    assert gilpool.Pool(1, initializer=int).spawn(look_at_name).get().startswith("Pool-")


def look_at_name() -> str:
    return threading.current_thread().name


def test_threads_of_its_own_go_with_the_pool() -> None:
    names: list[str] = []
    pool = gilpool.Pool(2, initializer=lambda: names.append(look_at_name()))
    held = Held(pool, count=2)
    held.release()
    assert {*names} <= {thread.name for thread in threading.enumerate()}
    del pool, held
    gc.collect()
    wait_until(lambda: not {*names} & {thread.name for thread in threading.enumerate()})


def test_a_task_may_drop_the_last_name_of_the_pool_whose_thread_it_runs_on() -> None:
    pools = [gilpool.Pool(1, initializer=int)]
    task = pools[0].spawn(lambda: pools.clear())
    task.join()
    assert gilpool.wait(timeout=PATIENCE)


def test_pools_with_threads_of_their_own_take_turns_with_the_others() -> None:
    """Neither kind has to wait until the other has nothing left."""
    pool = gilpool.Pool(initializer=int)
    pool.spawn(int).join()
    shared = gilpool.Pool()
    for first, second in ((shared, pool), (pool, shared)):
        done: list[int] = []
        begun = threading.Event()

        def compute(n: int, begun: threading.Event = begun, done: list[int] = done) -> None:
            begun.wait()
            sum(range(10_000))
            done.append(n)

        many = first.spawn_many(compute, range(2000))
        one = second.spawn(lambda done=done: len(done))
        begun.set()
        assert one.get(timeout=PATIENCE) < 1000
        gilpool.joinall(many)


def test_nested_tasks_of_a_pool_with_an_initializer() -> None:
    pool = gilpool.Pool(1, initializer=int)

    def nest(n: int) -> int:
        return 0 if n == 0 else 1 + pool.spawn(nest, n - 1).get()

    assert pool.spawn(nest, 30).get(timeout=PATIENCE) == 30


@pytest.mark.parametrize("how", ["spawned in a lent slot", "discarded", "shrunk"])
def test_no_pool_waits_for_a_pool_whose_threads_are_all_busy(how: str) -> None:
    """More tasks may begin than the pool has slots: then there is a thread for each all the same.

    The worker that is on its way takes the first task of another pool, and has to send for one of
    this pool next.
    """
    pool = gilpool.Pool(2 if how == "shrunk" else 1, initializer=int)
    lock = threading.Lock()
    lock.acquire()
    begun = threading.Event()
    tasks: list[gilpool.Task[int]] = []

    def queue_both() -> None:
        tasks.append(gilpool.spawn(int))
        tasks.append(pool.spawn(int))

    def occupy() -> None:
        if how == "spawned in a lent slot":
            with gil_kept():
                queue_both()
        begun.set()
        lock.acquire()

    occupier = pool.spawn(occupy)
    assert begun.wait(PATIENCE)
    if how == "discarded":
        pool.discard(occupier)
    if how != "spawned in a lent slot":
        with gil_kept():
            queue_both()
            if how == "shrunk":
                pool.size = 1
    try:
        assert [task.get(timeout=PATIENCE / 3) for task in tasks] == [0, 0]
        assert gilpool.spawn(int).get(timeout=PATIENCE / 3) == 0
    finally:
        lock.release()
    occupier.join()


def test_killing_a_task_in_its_initializer_does_not_break_the_pool() -> None:
    begun = threading.Event()
    calls: list[int] = []

    def initialize() -> None:
        calls.append(1)
        begun.set()
        if len(calls) == 1:
            gilpool.sleep(1000)

    pool = gilpool.Pool(1, initializer=initialize)
    task = pool.spawn(int)
    assert begun.wait(PATIENCE)
    task.kill()
    assert isinstance(task.value, gilpool.TaskExit)
    assert pool.spawn(int).get(timeout=PATIENCE) == 0
    assert len(calls) == 2


def test_killing_it_with_an_error_in_its_initializer_does_not_either() -> None:
    begun = threading.Event()

    def initialize() -> None:
        if not begun.is_set():
            begun.set()
            gilpool.sleep(1000)

    pool = gilpool.Pool(1, initializer=initialize)
    task = pool.spawn(int)
    assert begun.wait(PATIENCE)
    task.kill(ValueError())
    assert isinstance(task.exception, ValueError)
    assert pool.spawn(int).get(timeout=PATIENCE) == 0


def test_a_broken_pool_stays_broken_when_another_thread_is_initialized_later() -> None:
    first_waits, second_failed = threading.Event(), threading.Event()

    def initialize() -> None:
        if first_waits.is_set():
            raise ZeroDivisionError
        first_waits.set()
        assert second_failed.wait(PATIENCE)

    pool = gilpool.Pool(2, initializer=initialize)
    first = pool.spawn(int)
    assert first_waits.wait(PATIENCE)
    second = pool.spawn(int)
    second.join()
    second_failed.set()
    first.join()
    assert isinstance(second.exception, ZeroDivisionError)
    with pytest.raises(RuntimeError, match=r"the initializer of .* failed"):
        pool.spawn(int)


def test_a_pool_may_be_dropped_while_its_initializer_runs() -> None:
    begun, go = threading.Event(), threading.Event()

    def initialize() -> None:
        begun.set()
        assert go.wait(PATIENCE)

    pool = gilpool.Pool(1, initializer=initialize)
    task = pool.spawn(int)
    assert begun.wait(PATIENCE)
    pool.discard(task)
    ended = weakref.ref(pool)
    del pool
    assert ended() is not None
    go.set()
    assert task.get(timeout=PATIENCE) == 0
    wait_until(lambda: ended() is None)


def test_a_task_that_needs_an_initialized_thread_is_not_discarded_before_it_begins() -> None:
    local = threading.local()
    pool = gilpool.Pool(1, initializer=lambda: setattr(local, "ready", True))
    with gil_kept():
        task = pool.spawn(lambda: local.ready)
        pool.discard(task)
        assert task in pool
    assert task.get(timeout=PATIENCE)


def test_queued_tasks_of_a_pool_that_breaks_fail_with_a_clear_error() -> None:
    pool = gilpool.Pool(initializer=fail, initargs=(ZeroDivisionError(),))
    with gil_kept():
        tasks = [pool.spawn(int) for _ in range(5)]
    errors = {type(error) for task in tasks if (task.join(), error := task.exception)}
    assert errors == {ZeroDivisionError, RuntimeError}


def test_threads_of_its_own_end_at_exit_and_before_a_fork(run_script: Script) -> None:
    result = run_script("""
        import os, sys, threading, gilpool
        calls = []
        pool = gilpool.Pool(2, name="own", initializer=lambda: calls.append(os.getpid()))
        assert pool.spawn(int).get() == 0
        child = os.fork()
        if child == 0:
            assert pool.spawn(int).get(timeout=20) == 0  # a new thread, initialized again
            assert calls == [os.getppid(), os.getpid()], calls
            sys.exit(3)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
        assert pool.spawn(int).get(timeout=20) == 0
        assert len(calls) == 2
        def late():
            gilpool.sleep(0.05)
            pool.spawn(print, "ran", threading.current_thread().name)
        pool.spawn(late)
    """)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("ran own_")


@pytest.mark.parametrize(
    ("arguments", "error"), [({"initializer": 3}, TypeError), ({"initargs": 3}, TypeError)]
)
def test_bad_initializers_are_refused(arguments: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(arguments))):
        gilpool.Pool(**arguments)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("how", ["get", "join", "apply", "spawn"])
def test_an_initializer_cannot_wait_for_its_own_pool(how: str) -> None:
    def initialize() -> None:
        waits[how]()

    waits: dict[str, Any] = {
        "get": lambda: pool.spawn(int).get(),
        "join": lambda: pool.spawn(int).join(),
        "apply": lambda: pool.apply(int),
        "spawn": lambda: [pool.spawn(int) for _ in range(9)],
    }
    started = gilpool.stats()["threads_started"]
    pool = gilpool.Pool(2, initializer=initialize)
    with pytest.raises(RuntimeError, match="initializer cannot wait"):
        pool.spawn(int).get(timeout=PATIENCE)
    assert gilpool.stats()["threads_started"] - started <= 2


def test_a_pool_in_a_cycle_through_its_initializers_arguments_is_collected() -> None:
    class Service:
        def __init__(self) -> None:
            self.pool = gilpool.Pool(2, initializer=Service.connect, initargs=(self,))

        def connect(self) -> None:
            self.connected = True

    service = Service()
    assert service.pool.apply(abs, (-1,)) == 1
    dead = weakref.ref(service)
    del service
    wait_until(lambda: gc.collect() >= 0 and dead() is None)
