"""`gilpool trace`: the script runs as under python, and what it did is told and drawn."""

import io
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

import _trace_rules as rules
import gilpool
from gilpool._cli import trace_summary
from gilpool._cli.exits import CommandError
from gilpool._cli.trace_read import read
from gilpool.gil import trace

Result = subprocess.CompletedProcess[str]
Command = Callable[..., Result]

PACKAGE_ROOT = Path(gilpool.__file__).resolve().parents[1]


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Runs `gilpool trace` in an empty directory, with the scripts given as files."""

    def run(*words: str, **scripts: str) -> Result:
        for name, source in scripts.items():
            (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
        return subprocess.run(
            [sys.executable, "-m", "gilpool", "trace", *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(PACKAGE_ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def test_the_script_is_run_as_python_runs_it(command: Command, tmp_path: Path) -> None:
    source = """
        import os, sys, helper
        assert sys.modules["__main__"].__dict__ is globals()
        assert __name__ == "__main__" and __file__ == "script.py"
        assert sys.path[0] == os.path.dirname(os.path.abspath(__file__))
        print(sys.argv)
        helper.work()
    """
    helper = """
        import gilpool
        def work():
            gilpool.spawn(int)
    """
    result = command("script.py", "--json", "-o", "x", script=source, helper=helper)

    assert result.returncode == 0, result.stderr
    assert result.stdout == "['script.py', '--json', '-o', 'x']\n"
    assert "1 tasks on 1 workers" in result.stderr
    assert "gilpool-trace.json" in result.stderr
    assert [task.name for task in rules.check(tmp_path / "gilpool-trace.json").tasks] == ["int"]


def test_a_module_is_run_as_python_runs_it(command: Command) -> None:
    source = """
        import sys, gilpool
        assert sys.modules["__main__"].__dict__ is globals()
        gilpool.spawn(int)
        print(__name__, sys.argv[1:])
    """
    result = command("-o", "out.json", "-m", "script", "-m", "7", script=source)

    assert result.returncode == 0, result.stderr
    assert result.stdout == "__main__ ['-m', '7']\n"


@pytest.mark.parametrize(
    ("end", "code", "message"),
    [
        ("sys.exit()", 0, ""),
        ("sys.exit(7)", 7, ""),
        ("sys.exit('no luck')", 1, "no luck\n"),
        ("raise KeyError('x')", 1, "KeyError: 'x'\n"),
        ("raise KeyboardInterrupt", 130, "KeyboardInterrupt\n"),
        ("def", 1, "SyntaxError"),
    ],
)
def test_the_exit_code_is_the_scripts(
    command: Command, tmp_path: Path, end: str, code: int, message: str
) -> None:
    # It must have begun: Ctrl-C drops what has not.
    source = f"""
        import sys, time, gilpool
        task = gilpool.spawn(time.sleep, 0.05)
        while "queued" in repr(task):
            gilpool.sleep(0.001)
        {end}
    """
    result = command("-o", "out.json", "script.py", script=source)

    assert result.returncode == code
    assert message in result.stderr
    assert "trace_script" not in result.stderr, "a frame of ours is shown"
    tasks = rules.check(tmp_path / "out.json").tasks
    assert [task.args["outcome"] for task in tasks] == ([] if end == "def" else ["returned"])


def test_threads_left_running_are_waited_for(command: Command, tmp_path: Path) -> None:
    source = """
        import threading, time, gilpool
        def later():
            time.sleep(0.1)
            gilpool.spawn(int)
        threading.Thread(target=later).start()
    """
    assert command("-o", "out.json", "script.py", script=source).returncode == 0
    assert len(rules.check(tmp_path / "out.json").tasks) == 1


def test_after_ctrl_c_only_what_runs_is_waited_for(command: Command, tmp_path: Path) -> None:
    source = """
        import gilpool, time
        pool = gilpool.Pool(2)
        pool.add(gilpool.Task(int))
        tasks = [pool.apply_async(time.sleep, (0.2,)) for _ in range(40)]
        time.sleep(0.1)
        raise KeyboardInterrupt
    """
    assert command("-o", "out.json", "script.py", script=source).returncode == 130
    tasks = rules.check(tmp_path / "out.json").tasks
    assert 1 <= len([task for task in tasks if task.name == "sleep"]) < 10


def test_the_summary_as_json(command: Command) -> None:
    source = """
        import gilpool
        for _ in range(3):
            gilpool.spawn(gilpool.sleep_gil, 20)
        def sleep_nogil():
            gilpool.sleep_nogil(20)
        gilpool.spawn(sleep_nogil)
        for _ in range(2):
            gilpool.spawn(gilpool.sleep, 0.01)
    """
    result = command("--json", "-o", "out.json.gz", "script.py", script=source)
    told = json.loads(result.stdout)

    assert (result.returncode, result.stderr) == (0, "")
    assert (told["tasks"], told["exit_code"], told["dropped_events"]) == (4, 0, 0)
    callables = {line["name"]: line for line in told["callables"]}
    held, released, slept = (callables[name] for name in ("sleep_gil", "sleep_nogil", "sleep"))
    assert (told["waits"], slept["tasks"], slept["outcomes"]) == (2, 2, {"returned": 2})
    assert slept["total_s"] >= 0.02
    assert (held["name"], held["tasks"], held["outcomes"]) == ("sleep_gil", 3, {"returned": 3})
    assert held["total_s"] >= 0.06
    assert released["released_s"] >= 0.02  # stamped by the task itself, so known in any case


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "needs a script"),
        (("absent.py",), "cannot open 'absent.py': No such file"),
        (("-o", "absent/out.json", "script.py"), "cannot write 'absent/out.json'"),
        (("--plot", "absent/out.png", "script.py"), "cannot write into 'absent'"),
        (("--plot", "out.jpg", "script.py"), "ends in .png or .svg"),
        (("absent.json",), "cannot read 'absent.json'"),
        (("other.json",), "no trace written by gilpool"),
    ],
)
def test_wrong_usage(
    command: Command, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    (tmp_path / "other.json").write_text('{"traceEvents": []}')
    result = command(*words, script="print('must not run')")

    assert (result.returncode, result.stdout) == (2, "")
    assert message in result.stderr


def test_an_empty_trace_is_told(tmp_path: Path) -> None:
    with trace(tmp_path / "out.json"):
        pass
    text = io.StringIO()
    trace_summary.show(read(tmp_path / "out.json"), "out.json", text)

    assert text.getvalue().startswith("0 tasks on 0 workers")


def test_a_picture_needs_a_trace_or_a_script(command: Command, tmp_path: Path) -> None:
    source = "import gilpool\nfor _ in range(3): gilpool.spawn(gilpool.sleep_gil, 5)"
    first = command("-o", "o.json", "--plot", "a.png", "script.py", script=source)
    second = command("--plot", "b.svg", "o.json")

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "b.svg").read_text().startswith("<?xml")


def test_a_broken_file_is_no_trace(tmp_path: Path) -> None:
    (tmp_path / "x.json.gz").write_bytes(b"\x1f\x8bnothing")
    with pytest.raises(CommandError, match="no trace"):
        read(tmp_path / "x.json.gz")
