"""A contestant in a process of its own reports its figures and can neither hang nor crash a run."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from _bench_fakes import Scene
from benchmarks import isolated
from benchmarks.declare import Check, Contestant, Requirement, UnavailableError
from benchmarks.isolated import RunFailedError, run_isolated
from benchmarks.results import Status

PEER = """
import ctypes, os, pathlib, signal, subprocess, sys, threading, time
from benchmarks.declare import Outcome, UnavailableError

def measured(text):
    print("noise on stdout", file=sys.stdout)
    time.sleep(0.05)
    return Outcome(figures={"own": 7}, evidence={"pid": os.getpid(), "text": text})

def timed():
    time.sleep(0.05)

def raising():
    raise LookupError("nothing there")

def unavailable():
    raise UnavailableError("pip install something")

def crashing():
    os.kill(os.getpid(), signal.SIGSEGV)

def leaving():
    os._exit(0)

def exiting():
    sys.exit(3)

def unspeakable():
    return Outcome(evidence={"lock": threading.Lock()})

def hanging():
    ctypes.PyDLL(None).sleep(60)

def ignoring(pid_file):
    signal.signal(signal.SIGABRT, signal.SIG_IGN)
    grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    pathlib.Path(pid_file).write_text(str(grandchild.pid))
    time.sleep(60)
"""

#: Long enough for an interpreter to start on a busy machine, short enough to wait for.
TIMEOUT = 4.0


@pytest.fixture(autouse=True)
def peer_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.joinpath("bench_peer.py").write_text(PEER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


def contestant(function: str, timeout: float = 60, **arguments: object) -> Contestant:
    return Contestant(
        function, f"bench_peer:{function}", isolated=True, arguments=arguments, timeout=timeout
    )


def test_figures_and_evidence_come_back_from_another_process() -> None:
    done = run_isolated(contestant("measured", text="ä"))

    assert done.outcome.evidence["text"] == "ä"
    assert done.outcome.evidence["pid"] != os.getpid()
    assert done.figures["own"] == 7
    assert done.figures["wall"] >= 0.05
    assert done.figures["voluntary"] >= 1


def test_the_childs_start_and_imports_are_not_part_of_its_time() -> None:
    started = time.monotonic()
    done = run_isolated(contestant("timed"))
    outside = time.monotonic() - started

    # Starting an interpreter takes longer than nothing: the child's clock ran for less than ours.
    assert 0.05 <= done.figures["wall"] < outside
    assert done.figures["cpu"] < outside


@pytest.mark.parametrize(
    ("function", "reason", "detail"),
    [
        ("raising", "LookupError: nothing there", "in raising"),
        ("crashing", "crashed: killed by SIGSEGV", "in crashing"),
        ("leaving", "ended with exit code 0 and no answer", ""),
        ("exiting", "ended with exit code 3 and no answer", ""),
        ("unspeakable", "ended with exit code 1 and no answer", "not JSON serializable"),
        ("absent", "AttributeError", "absent"),
    ],
)
def test_a_child_that_breaks_becomes_a_reason_and_details(
    function: str, reason: str, detail: str
) -> None:
    with pytest.raises(RunFailedError) as caught:
        run_isolated(contestant(function))

    assert reason in caught.value.reason
    assert detail in caught.value.details


def test_a_child_that_hangs_with_the_gil_held_is_killed_and_shows_its_stack() -> None:
    with pytest.raises(RunFailedError) as caught:
        run_isolated(contestant("hanging", TIMEOUT))

    assert caught.value.reason == "hung: no answer within 4 s, killed"
    assert "in hanging" in caught.value.details


def test_a_child_that_ignores_the_request_to_stop_is_killed_with_all_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolated, "GRACE", 0.2)
    pid_file = tmp_path / "pid"
    with pytest.raises(RunFailedError, match="hung"):
        run_isolated(contestant("ignoring", TIMEOUT, pid_file=str(pid_file)))

    wait_until_gone(int(pid_file.read_text()))


def wait_until_gone(pid: int) -> None:
    """Waits, 10 s at most, for a killed process to be a zombie or gone."""
    status = Path(f"/proc/{pid}/stat")
    deadline = time.monotonic() + 10
    while status.exists() and status.read_text().rpartition(")")[2].split()[0] not in "ZX":
        assert time.monotonic() < deadline, f"process {pid} is still alive"
        time.sleep(0.01)


def test_a_module_that_a_child_lacks_or_asks_for_makes_the_contestant_unavailable() -> None:
    need = Requirement("no_such_module_here", "pip install no-such-module")
    lacking = Contestant("lacking", "bench_peer:timed", isolated=True, requires=(need,))

    with pytest.raises(UnavailableError, match=r"^pip install no-such-module \(No module named"):
        run_isolated(lacking)
    with pytest.raises(UnavailableError, match=r"^pip install something$"):
        run_isolated(contestant("unavailable"))


def test_the_harness_keeps_going_beside_isolated_children_and_checks_their_evidence() -> None:
    scene = Scene()
    foreign = Check(
        "it ran in another process",
        lambda outcome: "same process" if outcome.evidence["pid"] == os.getpid() else None,
    )
    good = Contestant(
        "good", "bench_peer:measured", isolated=True, arguments={"text": ""}, checks=(foreign,)
    )
    result = scene.measure(good, contestant("crashing"), contestant("unavailable"), rounds=1)

    assert result["good"].valid
    assert result["good"].isolated
    assert result["crashing"].status is Status.FAILED
    assert result["crashing"].reason == "round 0: crashed: killed by SIGSEGV"
    assert result["unavailable"].status is Status.MISSING
    pids = {sample.figures["own"] for sample in result["good"].samples}
    assert pids == {7.0}
