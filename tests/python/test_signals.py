"""Ctrl-C ends every wait of ours in the main thread within 50 ms, and a second one works too."""

import signal
import subprocess

import pytest

import gilpool
from _tools import PATIENCE
from conftest import Script

INTERRUPT = """
    import gilpool, os, signal, time, warnings
    warnings.simplefilter("ignore")
    gilpool.default_pool.daemon = True
    pool = gilpool.Pool(daemon=True)
    full = gilpool.Pool(1, daemon=True)
    task = full.spawn(time.sleep, 1000)

    def interrupted_after(call):
        '''Seconds from the signal to its KeyboardInterrupt, sent by a process of its own.'''
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            time.sleep(0.1)
            os.write(writer, str(time.monotonic()).encode())
            os.kill(os.getppid(), signal.SIGINT)
            os._exit(0)
        try:
            call()
        except KeyboardInterrupt:
            late = time.monotonic()
        else:
            raise SystemExit("not interrupted")
        os.waitpid(child, 0)
        sent = float(os.read(reader, 100))
        os.close(reader)
        os.close(writer)
        return late - sent

    call = {call}
    # The promise is 50 ms on a machine that has a core to spare: the best of a few shows it.
    times = [interrupted_after(call) for _ in range(4)]
    assert min(times) < 0.05, times
"""


@pytest.mark.parametrize(
    "call",
    [
        "lambda: pool.spawn(time.sleep, 1000).get()",
        "lambda: pool.spawn(time.sleep, 1000).join()",
        "lambda: (pool.spawn(time.sleep, 1000), pool.join())",
        "lambda: full.spawn(int)",
        "lambda: gilpool.sleep(1000)",
        "lambda: gilpool.sleep_nogil(1_000_000)",
        "lambda: gilpool.sleep_gil(1_000_000)",
        "lambda: gilpool.wait([task])",
        "lambda: gilpool.wait()",
        "lambda: gilpool.joinall([task], raise_error=True)",
        "lambda: next(gilpool.iwait([task]))",
        "lambda: gilpool.Group([task]).join()",
        "lambda: pool.map(time.sleep, [1000])",
        "lambda: next(pool.imap(time.sleep, [1000]))",
        "lambda: next(pool.imap_unordered(time.sleep, [1000]))",
        "lambda: full.start(gilpool.Task(int))",
        "lambda: full.wait_available()",
        "lambda: pool.apply(time.sleep, (1000,))",
    ],
)
def test_ctrl_c_ends_a_wait_again_and_again(run_script: Script, call: str) -> None:
    result = run_script(INTERRUPT.format(call=call))

    assert (result.returncode, result.stderr) == (0, "")


def test_ctrl_c_while_exit_waits_ends_the_process(run_script: Script) -> None:
    result = run_script("""
        import gilpool, os, signal, time
        for _ in range(3):
            gilpool.spawn(gilpool.sleep, 1000)
        def interrupt():
            gilpool.sleep(0.3)
            os.kill(os.getpid(), signal.SIGINT)
        gilpool.spawn(interrupt)
    """)

    assert "KeyboardInterrupt" in result.stderr


def test_handlers_run_during_a_wait_and_the_wait_goes_on(run_script: Script) -> None:
    result = run_script("""
        import gilpool, os, signal, time
        seen = []
        signal.signal(signal.SIGUSR1, lambda *_: seen.append(time.monotonic()))
        def kick():
            for _ in range(3):
                gilpool.sleep(0.05)
                os.kill(os.getpid(), signal.SIGUSR1)
            gilpool.sleep(0.1)
            return "went on"
        assert gilpool.spawn(kick).get() == "went on"
        assert len(seen) == 3, seen
    """)

    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("kind", ["Pool(2)", "Group()"])
def test_ctrl_c_at_the_end_of_a_with_block_stops_what_runs_there(
    run_script: Script, kind: str
) -> None:
    """The block is over and Ctrl-C meets its join; a second one ends the wait for the rest."""
    result = run_script(f"""
        import gilpool, os, signal, threading, time, warnings
        gilpool.default_pool.daemon = True
        begun, release = threading.Event(), threading.Lock()
        release.acquire()

        def foreign():
            begun.set()
            release.acquire()

        def interrupt():
            begun.wait()
            for _ in range(2):
                time.sleep(0.1)
                os.kill(os.getpid(), signal.SIGINT)

        pool = gilpool.{kind}
        threading.Thread(target=interrupt).start()
        begin = time.monotonic()
        try:
            with pool:
                tasks = [pool.spawn(gilpool.sleep, 1000), pool.spawn(foreign)]
        except KeyboardInterrupt as error:
            assert isinstance(error.__context__, KeyboardInterrupt), "the second one ends the wait"
        else:
            raise SystemExit("not interrupted")
        assert time.monotonic() - begin < 4, "a second Ctrl-C need not wait for foreign code"
        assert isinstance(tasks[0].get(timeout=10), gilpool.TaskExit)
        assert not tasks[1].ready()
        release.release()
        assert isinstance(tasks[1].get(timeout=10), gilpool.TaskExit)
        assert pool.join(10)
    """)

    assert (result.returncode, result.stderr) == (0, "")


# --- what tasks, and what they start, see of signals ---------------------------------------------

MASKS = """
    import _thread, signal, subprocess, sys, threading
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})  # as who wants to sigwait() does
    import gilpool

    def mask():
        return signal.pthread_sigmask(signal.SIG_BLOCK, [])

    here = mask()
    assert here == {signal.SIGUSR1}, here
    first = gilpool.spawn(mask).get()  # a thread that this one has made
    # One made by the reactor, or by a worker, beside others that are busy.
    pool = gilpool.Pool()
    go = threading.Event()
    later = [gilpool.spawn_later(0.01, lambda: (go.wait(), mask())[1]) for _ in range(8)]
    gilpool.spawn(gilpool.sleep_nogil, 20).get()
    nested = pool.spawn(lambda: [gilpool.spawn(mask) for _ in range(3)]).get()
    go.set()
    seen = [first] + [task.get() for task in later + nested]
    assert all(one == here for one in seen), seen
"""


def test_a_task_has_the_signal_mask_of_a_thread_of_the_programs_own(run_script: Script) -> None:
    done = run_script(MASKS)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_process_that_a_task_has_started_can_be_ended_by_a_signal() -> None:
    process = gilpool.spawn(subprocess.Popen, ["sleep", "1000"]).get()
    process.terminate()
    assert process.wait(PATIENCE) == -signal.SIGTERM
