"""Fork: the parent loses nothing, the child begins anew. Scripts run with warnings as errors."""

import pytest

from conftest import Script


def test_child_has_a_fresh_pool_and_parent_tasks_fail_in_it(run_script: Script) -> None:
    result = run_script("""
        import gilpool, os, time
        pool = gilpool.Pool()
        done = pool.spawn(pow, 2, 4)
        done.get()
        pool.join()
        sleeping = pool.spawn(gilpool.sleep, 0.3)
        while not sleeping.started:
            time.sleep(0.001)
        child = os.fork()
        if child == 0:
            assert done.get() == 16
            try:
                sleeping.get()
            except RuntimeError as error:
                assert "belongs to the parent" in str(error)
            else:
                os._exit(2)
            assert len(pool) == 0
            assert pool.spawn(pow, 2, 5).get() == 32
            assert gilpool.spawn(pow, 2, 6).get() == 64
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert sleeping.get() is None
        assert pool.spawn(pow, 2, 7).get() == 128
    """)

    # Python 3.12+ warns when other threads exist: the sleeper does, the idle workers do not.
    assert result.returncode == 0 or "multi-threaded" in result.stderr


def test_fork_with_idle_workers_only_is_silent(run_script: Script) -> None:
    """CPython 3.12+ warns, here an error, if it sees another thread."""
    result = run_script("""
        import gilpool, os
        assert [task.get() for task in [gilpool.spawn(abs, -i) for i in range(9)]] == list(range(9))
        gilpool.default_pool.join()
        for _ in range(50):
            child = os.fork()
            if child == 0:
                os._exit(gilpool.spawn(int).get())
            assert os.waitpid(child, 0)[1] == 0
            assert gilpool.spawn(int).get() == 0
    """)

    assert (result.returncode, result.stderr) == (0, "")


def test_workers_import_nothing_that_a_fork_could_leave_half_done(run_script: Script) -> None:
    result = run_script("""
        import gilpool, sys
        before = set(sys.modules)
        gilpool.spawn(int).get()
        running = gilpool.spawn(lambda: gilpool.sleep(1000))
        while "queued" in repr(running):
            gilpool.sleep(0.001)
        running.kill(ValueError("with a text"))
        assert "with a text" in str(running.exception), running.exception
        assert set(sys.modules) == before, set(sys.modules) - before
    """)

    assert (result.returncode, result.stderr) == (0, "")


def test_a_task_may_fork(run_script: Script) -> None:
    result = run_script("""
        import gilpool, os, warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # a task's thread is not the only one
        def fork():
            child = os.fork()
            if child == 0:
                os._exit(gilpool.spawn(pow, 2, 3).get())
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert [gilpool.spawn(fork).get() for _ in range(5)] == [8] * 5
    """)

    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("wait", ["task.get()", "gilpool.joinall([task])", "pool.map(fork, [0])"])
def test_a_task_may_return_in_the_child_though_threads_waited_for_it(
    run_script: Script, wait: str
) -> None:
    """Those threads are gone there, and their stacks serve other ones."""
    result = run_script(
        """
        import gilpool, os, threading, warnings
        warnings.simplefilter("ignore", DeprecationWarning)

        def use_stacks():
            for _ in range(2):
                held = threading.Barrier(13)
                threads = [threading.Thread(target=held.wait) for _ in range(12)]
                for thread in threads:
                    thread.start()
                held.wait()
                for thread in threads:
                    thread.join()

        def fork(_=None):
            while waiting() < expected:
                gilpool.sleep(0.001)
            child = os.fork()
            if child == 0:
                use_stacks()
                return "child"
            results.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

        def waiting():
            return sum(thread.name == "waits" for thread in threading.enumerate())

        results = []
        pool = gilpool.Pool()
        by_map = "map" in "WAIT"
        expected = 1 if by_map else 12
        task = None if by_map else pool.spawn(fork)
        threads = [threading.Thread(target=lambda: WAIT, name="waits", daemon=True)
                   for _ in range(expected)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [0], results
        """.replace("WAIT", wait)
    )

    assert (result.returncode, result.stderr) == (0, "")


def test_who_stood_in_line_in_the_parent_does_not_stand_there_in_the_child(
    run_script: Script,
) -> None:
    result = run_script("""
        import gilpool, os, threading
        pool = gilpool.Pool(0)
        ran = []
        thread = threading.Thread(target=pool.spawn, args=(ran.append, 1))
        thread.start()
        while pool.stats()["in_line"] == 0:
            gilpool.sleep(0.001)
        child = os.fork()
        if child == 0:
            assert pool.stats()["in_line"] == 0
            pool.size = 1
            assert pool.spawn(int).get(timeout=20) == 0
            os._exit(len(ran))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert pool.stats()["in_line"] == 1
        pool.size = 1
        thread.join()
        pool.join()
        assert ran == [1]
    """)

    assert (result.returncode, result.stderr) == (0, "")


def test_what_the_parents_tasks_were_given_is_not_destroyed_in_the_child(
    run_script: Script,
) -> None:
    """A thread that does not exist there was using it: a socket would be closed, a file flushed."""
    result = run_script("""
        import gc, gilpool, os, threading, warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads

        class Given:
            def __del__(self):
                os.write(1, b"parent\\n" if os.getpid() == parent else b"child\\n")

        parent = os.getpid()
        go = threading.Event()
        pool = gilpool.Pool(initializer=int)

        def use(given):
            local = Given()
            go.wait()

        running = [gilpool.spawn(use, Given()), pool.spawn(use, Given())]
        while "queued" in repr(running):
            gilpool.sleep(0.001)
        later = gilpool.spawn_later(1000, id, Given())
        child = os.fork()
        if child == 0:
            told = ["belongs to the parent" in str(task.exception) for task in [*running, later]]
            del running, later
            gc.collect()
            os._exit(told != [True] * 3 or gilpool.spawn(int).get() + pool.spawn(int).get())
        status = os.waitpid(child, 0)[1]
        go.set()
        gilpool.joinall(running, raise_error=True)
        later.kill()
        assert status == 0
    """)

    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.split() == ["parent"] * 5


IN_CHILD = """
    import gilpool, os, threading, time, warnings
    warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads

    def in_child(check):
        child = os.fork()
        if child == 0:
            try:
                check()
            except BaseException:
                import traceback
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0

    def fails(function, *args):
        try:
            function(*args)
        except RuntimeError as error:
            assert "belongs to the parent" in str(error), error
        else:
            raise AssertionError("it did not fail")

    go = threading.Event()
    pool = gilpool.Pool(1)
"""


def test_child_has_no_backlog_and_what_waited_in_it_has_failed(run_script: Script) -> None:
    result = run_script(
        IN_CHILD
        + """
    class Given:
        def __del__(self):
            os.write(1, b"parent " if os.getpid() == parent else b"child ")

    parent = os.getpid()
    running = pool.spawn(go.wait)
    waiting = [pool.apply_async(id, (Given(),)) for _ in range(3)]

    def check():
        for task in waiting:
            fails(task.get)
        waiting.clear()
        assert pool.apply_async(pow, (2, 5)).get(timeout=9) == 32
        assert pool.map_async(abs, [-1]).get(timeout=9) == [1]

    in_child(check)
    go.set()
    gilpool.joinall(waiting, raise_error=True)
    """
    )

    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.split() == ["parent"] * 3


@pytest.mark.parametrize("name", ["imap", "imap_unordered"])
@pytest.mark.parametrize("waits_for", ["slot", "input"])
def test_child_reads_what_had_arrived_and_then_that_the_rest_is_the_parents(
    run_script: Script, name: str, waits_for: str
) -> None:
    result = run_script(
        IN_CHILD
        + f"""
    def work(n):
        if n == 1 and {waits_for == "slot"}:
            go.wait()
        return n

    def numbers():
        yield 0
        if {waits_for == "input"}:
            go.wait()
        yield from range(1, 4)

    results = pool.{name}(work, numbers())
    assert next(results) == 0
    time.sleep(0.05)  # the feeder goes as far as it can

    def check():
        fails(next, results)
        for _ in range(2):
            try:
                list(results)
            except RuntimeError:  # the task and the input fail by themselves
                pass
        assert list(results) == list(results) == []
        assert list(pool.{name}(abs, [-1])) == [1]

    in_child(check)
    go.set()
    assert list(results) == [1, 2, 3]
    """
    )

    assert (result.returncode, result.stderr) == (0, "")


def test_an_input_that_forks_is_read_on_in_both(run_script: Script) -> None:
    result = run_script("""
        import gilpool, os, warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # a task's thread is not the only one
        pool = gilpool.Pool(2)
        def numbers():
            yield 1
            child = os.fork()
            if child == 0:
                os.write(1, b"child ")
            else:
                assert os.waitpid(child, 0)[1] == 0
            yield 2
            if child == 0:
                os._exit(0)
        assert list(pool.imap(abs, numbers())) == [1, 2]
    """)

    assert (result.returncode, result.stdout, result.stderr) == (0, "child ", "")


def test_iteration_over_tasks_ends_in_the_child_as_well(run_script: Script) -> None:
    result = run_script(
        IN_CHILD
        + """
    first, fresh = gilpool.spawn(int), gilpool.Task(int)
    rest = [gilpool.spawn(go.wait), gilpool.spawn_later(1000, int)]
    ended = gilpool.iwait([first, first, *rest, fresh])
    assert next(ended) is next(ended) is first

    def check():
        fresh.start()
        found = [next(ended) for _ in range(3)]
        assert set(found) == {*rest, fresh}, found
        assert list(ended) == []
        for task in rest:
            fails(task.get)

    in_child(check)
    go.set()
    rest[1].kill()
    fresh.start()
    assert len(list(ended)) == 3
    """
    )

    assert (result.returncode, result.stderr) == (0, "")


def test_pools_and_groups_are_empty_in_the_child(run_script: Script) -> None:
    result = run_script(
        IN_CHILD
        + """
    group = gilpool.Group()
    fresh = gilpool.Task(int)
    pool.add(gilpool.spawn(go.wait))
    group.spawn(go.wait)
    group.add(fresh)

    def check():
        for one in (pool, group):
            assert (len(one), list(one), one.full()) == (0, [], False)
            task = gilpool.Task(int)
            one.add(task)
            assert list(one) == [task]
            one.kill()
            assert one.join(9)

    in_child(check)
    assert len(group) == 2
    assert pool.full()
    fresh.start()
    go.set()
    assert group.join(9)
    """
    )

    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_task_may_start_processes_and_wait_for_them(run_script: Script, method: str) -> None:
    """A forked one ends on the thread of the task, as if that were the main thread."""
    result = run_script(
        """
        import gilpool, multiprocessing, sys, warnings
        from concurrent.futures import ProcessPoolExecutor
        warnings.simplefilter("ignore", DeprecationWarning)  # a task's thread is not the only one

        def target(code):
            assert gilpool.spawn(pow, 2, 3).get() == 8
            gilpool.spawn(print, "ran", flush=True)  # before the end, which waits for it
            sys.exit(code)

        def start():
            process = context.Process(target=target, args=(3,))
            process.start()
            process.join()
            return process.exitcode

        def use_a_pool():
            with ProcessPoolExecutor(2, mp_context=context) as pool:
                return list(pool.map(abs, [-1, 2]))

        if __name__ == "__main__":
            context = multiprocessing.get_context("METHOD")
            assert gilpool.spawn(start).get() == 3
            assert gilpool.spawn(use_a_pool).get() == [1, 2]
            process = context.Process(target=abs, args=(1,))
            process.start()
            process.join()
            assert process.exitcode == 0
        """.replace("METHOD", method),
        timeout=60,
    )

    assert (result.returncode, result.stdout, result.stderr) == (0, "ran\n", "")


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_children_use_the_pool(run_script: Script, method: str) -> None:
    """While a task of the parent runs, too: it goes on there, and is nothing to the children."""
    result = run_script(
        f"""
        import gilpool, multiprocessing, threading, warnings
        def work(n):
            tasks = [gilpool.spawn(pow, n, 2) for _ in range(10)]
            return sum(task.get() for task in tasks) + sum(gilpool.Pool(2).map(abs, [-1, 1]))
        if __name__ == "__main__":
            # multiprocessing.Pool forks from a process in which its own helper threads run.
            warnings.filterwarnings("ignore", message=".*multi-threaded", category=Warning)
            go = threading.Event()
            running = gilpool.spawn(go.wait, 60)
            with multiprocessing.get_context("{method}").Pool(2) as processes:
                results = processes.map(work, range(20))
            assert results == [10 * n**2 + 2 for n in range(20)], results
            go.set()
            assert running.get() is True
            assert work(3) == 92
    """,
        timeout=60,
    )

    assert (result.returncode, result.stderr) == (0, "")


def test_fork_again_and_again_while_all_kinds_of_pools_are_busy(run_script: Script) -> None:
    result = run_script(
        """
        import gilpool, os, threading, time, warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads
        pool, crew = gilpool.Pool(8), gilpool.Pool(3, initializer=int)
        stop = threading.Event()

        def work(n):
            if n % 3 == 0:
                time.sleep(0.0005)
            return n

        def use():
            while not stop.is_set():
                pool.map(work, range(50))
                crew.map(work, range(30))
                list(pool.imap_unordered(work, range(9)))
                gilpool.spawn(work, 1).get()

        threads = [threading.Thread(target=use) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(20):
            child = os.fork()
            if child == 0:
                everyone = [pool, crew, gilpool.Pool(2), gilpool.default_pool]
                good = all(each.map(work, range(20)) == [*range(20)] for each in everyone)
                os._exit(not good)
            assert os.waitpid(child, 0)[1] == 0
        stop.set()
        for thread in threads:
            thread.join()
        assert pool.join(20) and crew.join(20)
    """,
        timeout=60,
    )

    assert (result.returncode, result.stderr) == (0, "")
