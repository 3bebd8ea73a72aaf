"""`gilpool check`: one call's verdict, its exit codes, and one clear line for every mistake."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gilpool._cli import check, check_result
from gilpool._cli.exits import MEASURED_OTHERWISE, NOT_MEASURED, OK, SIGNAL_BASE, USAGE
from gilpool._cli.main import main
from gilpool.gil import GilReport

HELD_SLEEP = ("gilpool:sleep_gil", "--args", "1")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("time:sleep", "--args", "0.001"), OK),
        (("time:sleep", "--args", "0.001", "--expect", "releases"), OK),
        (("time:sleep", "--args", "0.001", "--expect", "holds"), MEASURED_OTHERWISE),
        (HELD_SLEEP, OK),
        ((*HELD_SLEEP, "--expect", "holds"), OK),
        ((*HELD_SLEEP, "--expect", "releases"), MEASURED_OTHERWISE),
        ((*HELD_SLEEP, "--budget", "0.001"), NOT_MEASURED),
        ((*HELD_SLEEP, "--budget", "0.001", "--expect", "holds"), NOT_MEASURED),
        (("threading:Event.wait", "--args", "0"), USAGE),
        (("json:dumps", "--args", "[1, 2]", "--kwargs", "indent=2", "--expect", "holds"), OK),
        (("--setup", "import time", "--call", "time.sleep(0.001)", "--expect", "releases"), OK),
        (("--call", "sum(range(1000))", "--expect", "holds"), OK),
    ],
)
def test_the_exit_code_tells_whether_the_verdict_is_as_expected(
    words: tuple[str, ...], code: int
) -> None:
    assert main(["check", *words]) == code


def test_a_release_for_too_little_of_the_time_is_not_as_expected(
    capsys: pytest.CaptureFixture[str],
) -> None:
    call = ["--setup", "import gilpool", "--call", "(gilpool.sleep_gil(3), gilpool.sleep_nogil(1))"]

    assert main(["check", *call, "--expect", "releases"]) == MEASURED_OTHERWISE
    assert "expected at least 50%" in capsys.readouterr().err
    assert main(["check", *call, "--expect", "releases", "--min-released", "0.01"]) == OK


def test_the_report_is_readable(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", *HELD_SLEEP]) == OK

    captured = capsys.readouterr()
    assert captured.out.startswith("gilpool.sleep_gil(1): holds the GIL\n")
    assert captured.err == ""


def test_json_carries_the_whole_report(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", *HELD_SLEEP, "--expect", "releases", "--json"]) == MEASURED_OTHERWISE

    found = json.loads(capsys.readouterr().out)
    assert (found["schema"], found["command"], found["passed"]) == (1, "check", False)
    assert found["machine"]["gil_enabled"] is True
    (call,) = found["calls"]
    assert (call["call"], call["verdict"]) == ("gilpool.sleep_gil(1)", "holds")
    assert (call["expected"], call["min_released"], call["error"]) == ("releases", 0.5, None)
    assert "holds the GIL" in call["complaint"]
    assert call["wall"] >= 0.001


def test_the_json_keys_are_those_that_are_documented(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", *HELD_SLEEP, "--json"]) == OK

    found = json.loads(capsys.readouterr().out)
    documented = check_result.__doc__ or ""
    for key in (*found, *found["calls"][0], *found["machine"]):
        assert key in documented, key


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "give one of module:function, --call and --suite"),
        (("time:sleep", "--suite"), "give one of module:function, --call and --suite"),
        (("no_such_module:f",), "cannot import 'no_such_module': ModuleNotFoundError: No module"),
        (("time",), "name what to call as module:function, not 'time'"),
        (("time:",), "name what to call as module:function, not 'time:'"),
        (("time:slep",), "'time:slep': module 'time' has no attribute 'slep'"),
        (("math:pi",), "cannot measure 'math:pi': fn must be callable, not float"),
        (("asyncio:sleep", "--args", "1"), "cannot measure 'asyncio:sleep': fn is a coroutine"),
        (("time:sleep", "--args", "one"), "argument --args: 'one' is no Python literal"),
        (("time:sleep", "--args", "["), "argument --args: '[' is no Python literal"),
        (("time:sleep", "--kwargs", "5"), "argument --kwargs: expected NAME=LITERAL, not '5'"),
        (("time:sleep", "--kwargs", "if=5"), "argument --kwargs: expected NAME=LITERAL"),
        (("time:sleep", "--args", "'x'"), "time.sleep('x') raised TypeError: "),
        (("sys:exit", "--args", "7"), "sys.exit(7) raised SystemExit: 7"),
        (("--call", "1 +"), "argument --call: SyntaxError: "),
        (("--call", "zlib.crc32(b'')"), "name 'zlib' is not defined: --setup can import it"),
        (("--setup", "1 +", "--call", "1"), "argument --setup: SyntaxError: "),
        (("--setup", "1 / 0", "--call", "1"), "argument --setup: ZeroDivisionError: division by"),
        (("--setup", "pass", "--suite"), "--setup goes with --call"),
        (("--args", "1", "--call", "1"), "--args and --kwargs go with module:function"),
        (("--suite", "--expect", "holds"), "--expect goes with one call, not with --suite"),
        (("time:sleep", "--min-released", "1"), "--min-released goes with --expect releases"),
        (("--suite", "no such call"), "argument --suite: no call's name has no such call"),
    ],
)
def test_a_mistake_is_one_clear_line(
    words: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", *words]) == USAGE

    captured = capsys.readouterr()
    assert captured.out == ""
    assert complaint in captured.err
    assert captured.err.startswith("gilpool check: ")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        ("time:sleep", "--min-released", "2", "--expect", "releases"),
        ("time:sleep", "--min-released", "nan", "--expect", "releases"),
        ("time:sleep", "--budget", "0"),
        ("time:sleep", "--budget", "nan"),
        ("time:sleep", "--budget", "soon"),
        ("time:sleep", "--expect", "maybe"),
    ],
)
def test_wrong_values_are_refused(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["check", *words])

    assert caught.value.code == USAGE
    assert "error: argument --" in capsys.readouterr().err


def test_a_call_is_found_in_the_current_directory_and_its_output_is_kept_apart(
    tmp_path: Path,
) -> None:
    (tmp_path / "mine.py").write_text(
        "import time\n\nclass Things:\n    @staticmethod\n    def nap():\n"
        "        print('zzz')\n        time.sleep(0.001)\n"
    )
    command = [sys.executable, "-c", "from gilpool._cli.main import main; raise SystemExit(main())"]

    result = subprocess.run(
        [*command, "check", "mine:Things.nap", "--json"],
        cwd=tmp_path,
        # As in an installed script, the current directory is not on the path by itself.
        env={**os.environ, "PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert result.returncode == OK, result.stderr
    assert json.loads(result.stdout)["calls"][0]["verdict"] == "releases"
    assert set(result.stderr.split()) == {"zzz"}


def test_where_the_call_raised_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "broken_by_design.py").write_text("def f():\n    raise LookupError('lost')\n")
    sys.path.insert(0, str(tmp_path))
    try:
        assert main(["check", "broken_by_design:f"]) == USAGE
    finally:
        sys.path.remove(str(tmp_path))

    where = f"({tmp_path / 'broken_by_design.py'}:2)"
    assert capsys.readouterr().err == (
        f"gilpool check: broken_by_design.f() raised LookupError: lost {where}\n"
    )


def test_ctrl_c_ends_a_call_that_does_not_end(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    (tmp_path / "endless.py").write_text(
        f"def f():\n    open({str(ready)!r}, 'w').close()\n    while True:\n        pass\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "gilpool", "check", "endless:f"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        deadline = time.monotonic() + 30
        while not ready.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()

    assert process.returncode == SIGNAL_BASE + signal.SIGINT
    assert told == "gilpool: interrupted\n"


def test_without_a_gil_there_is_nothing_to_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)

    assert main(["check", "time:sleep", "--args", "0"]) == NOT_MEASURED
    assert "runs without the GIL" in capsys.readouterr().err


def test_a_release_whose_extent_is_unknown_is_inconclusive(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As where the interpreter does not show who holds the GIL: no share can be promised."""
    report = GilReport(
        "f", "releases", 1e-3, 0.0, None, 0.0, calls=2, wins=2, controls=0, seconds=0.1,
        disturbances=(), reason="seen",
    )  # fmt: skip

    class Blind:
        def __init__(self, *, budget: float) -> None:
            pass

        def report(self, call: object) -> GilReport:
            return report

    monkeypatch.setattr(check, "Probe", Blind)

    words = ["check", "time:sleep", "--args", "0", "--expect", "releases"]
    assert main(words) == NOT_MEASURED
    assert "how much time.sleep(0) releases the GIL could not be seen" in capsys.readouterr().err
