"""Tasks in a program on gevent: what a greenlet can do with one, in a process of its own."""

import pytest

from conftest import Script

pytest.importorskip("gevent", reason="gevent is not installed")


@pytest.mark.parametrize("patched", [False, True])
def test_a_greenlet_waits_for_a_task_while_others_run(run_script: Script, patched: bool) -> None:
    """Through the hub's thread pool; links run on a worker, so gevent.wait cannot take a Task."""
    result = run_script(f"""
        import warnings
        warnings.simplefilter("ignore")
        import gevent, gevent.monkey
        if {patched}:
            gevent.monkey.patch_all()
        import gilpool
        ticks = []
        def tick():
            while not waiter.dead:
                ticks.append(1)
                gevent.sleep(0.005)
        def wait():
            task = gilpool.spawn(lambda: gilpool.sleep(0.2) or 42)
            return gevent.get_hub().threadpool.apply(task.get)
        waiter = gevent.spawn(wait)
        gevent.joinall([waiter, gevent.spawn(tick)], raise_error=True)
        assert waiter.value == 42
        assert len(ticks) > 5, len(ticks)
        print("done")
    """)
    assert (result.stdout, result.returncode) == ("done\n", 0), result.stderr
