"""The interpreter's exit: what was spawned is run, daemon pools are cut short, nothing hangs.

Each script runs in a process of its own, with warnings as errors and a hard time limit.
"""

import resource
import time

import pytest

from conftest import Script

SPAWN_AND_FALL_OFF = """
    import gilpool
    pool = gilpool.Pool(daemon={daemon})
    for _ in range(50):
        pool.spawn(gilpool.sleep, {seconds})
"""


def test_exit_waits_for_what_was_spawned(run_script: Script) -> None:
    begin = time.monotonic()
    result = run_script(SPAWN_AND_FALL_OFF.format(daemon=False, seconds=1))

    assert (result.returncode, result.stderr) == (0, "")
    assert time.monotonic() - begin >= 1


def test_exit_cuts_daemon_pools_short(run_script: Script) -> None:
    result = run_script(SPAWN_AND_FALL_OFF.format(daemon=True, seconds=1000))

    assert (result.returncode, result.stderr) == (0, "")


def test_the_default_pool_can_be_made_a_daemon(run_script: Script) -> None:
    result = run_script("""
        import gilpool
        gilpool.default_pool.daemon = True
        gilpool.spawn(gilpool.sleep_nogil, 1_000_000)
    """)

    assert (result.returncode, result.stderr) == (0, "")


def test_exit_abandons_daemon_tasks_stuck_in_foreign_code(run_script: Script) -> None:
    result = run_script("""
        import gilpool, time
        pool = gilpool.Pool(daemon=True)
        tasks = [pool.spawn(time.sleep, 1000) for _ in range(5)]
        while not all(task.started for task in tasks):
            time.sleep(0.001)
    """)

    assert (result.returncode, result.stderr) == (0, "")


def test_abandoned_threads_may_come_back_into_the_dying_interpreter(run_script: Script) -> None:
    """The sleeps end while the interpreter is being torn down, which takes a while on purpose."""
    result = run_script("""
        import atexit, gilpool, time
        pool = gilpool.Pool(daemon=True)
        tasks = [pool.spawn(time.sleep, 0.6 + i / 200) for i in range(100)]
        while not all(task.started for task in tasks):
            time.sleep(0.001)

        class Slow:
            def __init__(self, seconds):
                self.seconds = seconds
            def __del__(self):
                begin = time.monotonic()
                while time.monotonic() - begin < self.seconds:
                    pass

        import sys
        sys.keep = Slow(0.5)
        keep = Slow(0.5)
    """)

    assert (result.returncode, result.stderr) == (0, "")


def test_tasks_may_spawn_while_exit_waits(run_script: Script) -> None:
    result = run_script("""
        import gilpool, threading
        def generation(n):
            gilpool.sleep(0.002)
            if n:
                gilpool.Pool().spawn(generation, n - 1)
            else:
                print("last", flush=True)
        gilpool.spawn(generation, 100)
    """)

    assert (result.returncode, result.stdout, result.stderr) == (0, "last\n", "")


def test_queued_work_runs_before_exit(run_script: Script) -> None:
    result = run_script("""
        import gilpool, os
        for i in range(10_000):
            gilpool.spawn(os.write, 1, b"%d\\n" % i)
    """)

    assert result.returncode == 0
    assert sorted(map(int, result.stdout.split())) == list(range(10_000))


def test_spawn_after_exit_began_is_refused_and_answers_stay(run_script: Script) -> None:
    result = run_script("""
        import atexit, gilpool
        done = gilpool.spawn(pow, 2, 10)
        def late():
            print(done.get(), gilpool.Pool().join(), gilpool.stats()["threads"])
            try:
                gilpool.spawn(int)
            except RuntimeError as error:
                print(error)
        atexit.register(late)
    """)

    assert result.returncode == 0
    assert result.stdout.splitlines() == [
        "1024 True 0",
        "cannot spawn: the interpreter is shutting down",
    ]


def test_exit_needs_no_private_function_of_threading(run_script: Script) -> None:
    """Without it the hook runs a little later, when the threads of others are over."""
    result = run_script("""
        import threading
        del threading._register_atexit
        import gilpool, os, time
        thread = threading.Thread(target=lambda: gilpool.spawn(os.write, 1, b"thread ").join())
        thread.start()
        thread.join()
        gilpool.spawn_later(1000, os.write, 1, b"never")
        gilpool.Pool(daemon=True).spawn(gilpool.sleep, 1000)
        pool = gilpool.Pool(1, initializer=int)
        for n in range(100):
            pool.spawn(os.write, 1, b".")
    """)

    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "thread " + "." * 100


def test_exit_does_not_wait_for_what_is_not_due_yet(run_script: Script) -> None:
    result = run_script("""
        import atexit, gilpool
        late = gilpool.spawn_later(1000, print, "never")
        atexit.register(lambda: print(type(late.value).__name__))
    """)

    assert (result.returncode, result.stdout, result.stderr) == (0, "TaskExit\n", "")


def test_exit_code_and_error_of_the_script_survive(run_script: Script) -> None:
    result = run_script("""
        import gilpool, sys
        gilpool.spawn(gilpool.sleep, 0.05)
        sys.exit(7)
    """)

    assert (result.returncode, result.stderr) == (7, "")


@pytest.mark.parametrize("options", ["", "initializer=int"])
def test_unhandled_keyboard_interrupt_drops_the_queue(run_script: Script, options: str) -> None:
    result = run_script(f"""
        import gilpool
        pool = gilpool.Pool(1000, {options})
        for i in range(1000):
            pool.spawn(gilpool.sleep_gil, 100)
        raise KeyboardInterrupt
    """)

    assert result.returncode in (130, -2)
    assert "KeyboardInterrupt" in result.stderr


@pytest.mark.parametrize(
    "submit",
    [
        "[pool.apply_async(work) for _ in range(20)]",
        "[pool.map_async(work, range(20))]",
        "[pool.map_async(work, iter(range(20)))]",
        "[crew.map_async(work, range(20))]",
        "[crew.apply_async(work) for _ in range(20)]",
    ],
)
def test_unhandled_keyboard_interrupt_drops_what_waits_for_a_slot(
    run_script: Script, submit: str
) -> None:
    """Two of twenty begin, and go on until the others, or their map, have been dropped."""
    result = run_script(f"""
        import gilpool, os, threading
        pool, crew = gilpool.Pool(2), gilpool.Pool(2, initializer=int)
        begun, dropped = threading.Semaphore(0), threading.Event()

        def work(n=0):
            begun.release()
            dropped.wait()
            os.write(1, b".")

        tasks = {submit}
        begun.acquire()
        begun.acquire()

        def see_them_dropped():
            gilpool.wait(tasks[2:] or tasks)
            dropped.set()

        threading.Thread(target=see_them_dropped, daemon=True).start()
        raise KeyboardInterrupt
    """)

    assert result.returncode in (130, -2)
    assert result.stdout == ".."


def test_who_waits_for_the_dropped_queue_is_told(run_script: Script) -> None:
    result = run_script("""
        import gilpool, os, threading
        full = gilpool.Pool(1)
        full.spawn(gilpool.sleep, 0.3)
        waiting = threading.Semaphore(0)

        def wait(queued):
            waiting.release()
            gilpool.wait(queued)
            os.write(1, b".")

        for pool in (gilpool.default_pool, gilpool.Pool()):
            for _ in range(20):
                pool.spawn(wait, [full.apply_async(int) for _ in range(5)])
        for _ in range(40):
            waiting.acquire()
        gilpool.sleep(0.05)
        raise KeyboardInterrupt
    """)

    assert result.returncode in (130, -2)
    assert result.stdout == "." * 40


@pytest.mark.parametrize(
    "leave_behind",
    [
        "pool.add(gilpool.Task(print, 'never'))",
        "pool.add(3)",
        "pool.add(gilpool.Task(int)); pool.apply_async(print, ('ran',))",
        "gilpool.Pool(0).apply_async(print, ('never',))",
        "pool.spawn(gilpool.sleep, 0.1); pool.size = 0; pool.apply_async(print, ('never',))",
        "gilpool.Pool(0).map_async(print, ['never'])",
        "gilpool.Pool(0).map_async(print, ['never']); gilpool.sleep(0.1)",
        "task = gilpool.Pool(0).apply_async(print, ('never',)); gilpool.sleep(0.05); task.kill()",
    ],
)
def test_exit_does_not_wait_for_what_can_never_start(run_script: Script, leave_behind: str) -> None:
    result = run_script(
        f"""
        import gilpool
        pool = gilpool.Pool(1)
        {leave_behind}
        """,
        timeout=10,
    )

    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == ("ran\n" if "ran" in leave_behind else "")


@pytest.mark.parametrize("kind", ["a task", "a thread"])
def test_exit_waits_while_somebody_may_give_a_pool_its_size_back(
    run_script: Script, kind: str
) -> None:
    result = run_script(f"""
        import gilpool, threading
        pool = gilpool.Pool(0)
        pool.apply_async(print, ("ran",))
        def open_it():
            gilpool.sleep(0.1)
            pool.size = 1
        gilpool.spawn(open_it) if {kind == "a task"} else threading.Thread(target=open_it).start()
    """)

    assert (result.returncode, result.stdout, result.stderr) == (0, "ran\n", "")


def test_unseen_error_is_reported_before_the_end(run_script: Script) -> None:
    result = run_script("""
        import gilpool
        gilpool.spawn(int, "not a number")
    """)

    assert result.returncode == 0
    assert "ValueError: invalid literal for int()" in result.stderr


def test_unseen_errors_of_tasks_that_live_to_the_end_are_reported_once(run_script: Script) -> None:
    result = run_script("""
        import atexit, gilpool, threading

        def report(arguments, hook=threading.excepthook):
            print(arguments.exc_value)
        threading.excepthook = report

        class Own(gilpool.Task):
            pass

        def fail(text):
            raise ValueError(text)
        tasks = {text: gilpool.spawn(fail, text) for text in ("plain", "seen", "late", "thread")}
        own = Own(fail, "own")
        own.start()
        cycle = [gilpool.spawn(fail, "in a cycle")]
        cycle.append(cycle)
        many = gilpool.Pool().spawn_many(fail, ["bulk"])
        fine = gilpool.spawn(int)
        tasks["seen"].join()
        tasks["seen"].exception

        def outlive():
            threading.main_thread().join()
            tasks["thread"].exception
        threading.Thread(target=outlive).start()
        atexit.register(lambda: tasks["late"].exception)
    """)

    assert (result.returncode, result.stderr) == (0, "")
    assert sorted(result.stdout.splitlines()) == ["bulk", "in a cycle", "own", "plain"]


def test_user_threads_that_outlive_main_can_still_ask(run_script: Script) -> None:
    result = run_script("""
        import gilpool, threading
        task = gilpool.spawn(pow, 2, 5)
        def outlive():
            threading.main_thread().join()
            print(task.get())
        threading.Thread(target=outlive).start()
    """)

    assert (result.returncode, result.stdout, result.stderr) == (0, "32\n", "")


@pytest.mark.parametrize("daemon", [False, True])
def test_exit_is_clean_time_and_again(run_script: Script, daemon: bool) -> None:
    for _ in range(10):
        result = run_script(SPAWN_AND_FALL_OFF.format(daemon=daemon, seconds=0.05))
        assert (result.returncode, result.stderr) == (0, "")


def test_thousands_of_idle_threads_end_in_turn(run_script: Script) -> None:
    """All asking for the GIL at once they would take twenty times the CPU that their lives took;
    in turn it is about once. CPU time, to which other processes do not add."""

    def used_by_children() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    before = used_by_children()
    result = run_script(
        """
        import time
        import gilpool
        pool = gilpool.Pool()
        begin = time.process_time()
        for _ in range(3000):
            pool.spawn(time.sleep, 0.5)
        pool.join()
        end = time.process_time()
        print(end, end - begin)
        """,
        timeout=120,
    )
    assert (result.returncode, result.stderr) == (0, "")
    until_exit, lives = map(float, result.stdout.split())
    assert used_by_children() - before - until_exit < 4 * lives


def test_importing_starts_no_thread(run_script: Script) -> None:
    result = run_script("""
        import os
        import gilpool
        assert gilpool.stats()["threads_started"] == 0
        assert len(os.listdir("/proc/self/task")) == 1
    """)

    assert (result.returncode, result.stderr) == (0, "")
