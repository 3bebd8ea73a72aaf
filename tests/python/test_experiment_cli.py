"""The `gilpool experiment` command: what it prints, how it ends, and that nothing outlives it."""

from __future__ import annotations

import contextlib
import fcntl
import io
import itertools
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from _experiment_lines import session_of
from gilpool._cli import experiment, measure
from gilpool._cli.exits import CommandError
from gilpool._cli.live import LiveDisplay
from gilpool._cli.main import COMMANDS, main
from gilpool._cli.model import Session
from gilpool._cli.plain import NoDisplay
from gilpool._cli.rows import Parameters, Row, experiment_rows, seed_rows

# Loaded now, not in the first test that draws: numpy keeps threads, and a test must leave none.
with contextlib.suppress(ImportError):
    import matplotlib.figure  # noqa: F401

COMMAND = (sys.executable, "-m", "gilpool")
LIMIT_S = 60
MEASURED = (0, 1)
"""A run with short calls may miss its bounds on a busy machine: where the outcome does not
matter, both exit codes will do."""
PROMPT_S = 5.0
"""Ctrl-C has to be obeyed within this; the calls it interrupts are much longer."""


def completed(command: Sequence[str], **options: Any) -> subprocess.CompletedProcess[Any]:
    """Runs a command to its end, whatever its exit code, but not for ever."""
    return subprocess.run(command, timeout=LIMIT_S, check=False, **options)


def run_command(*options: str, **changes: Any) -> subprocess.CompletedProcess[str]:
    """Runs the command with no terminal."""
    return completed([*COMMAND, *options], capture_output=True, text=True, **changes)


def children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_running(pid: int) -> bool:
    """Whether a process exists and is not merely waiting to be reaped."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")


def wait_until(condition: Callable[[], object], limit_s: float = PROMPT_S) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, *options: str, **environment: str) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update({"TERM": "xterm-256color", **environment})
            os.execv(sys.executable, [*COMMAND, *options])
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 120, 0, 0))
        self.output = ""

    def read_until(self, text: str | None) -> None:
        """Reads until `text` has appeared; None: until the command has closed the terminal."""
        deadline = time.monotonic() + LIMIT_S
        while text is None or text not in self.output:
            assert time.monotonic() < deadline, self.output
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    data = os.read(self.fd, 1 << 16)
                except OSError:
                    data = b""
                if not data:
                    assert text is None, self.output
                    return
                self.output += data.decode("utf-8", "replace")

    def press(self, key: bytes) -> None:
        os.write(self.fd, key)

    def end(self) -> int:
        """Waits for the end of the command and returns its exit code."""
        self.read_until(None)
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        self.fd = -1
        return os.waitstatus_to_exitcode(status)

    def kill(self) -> None:
        if self.fd != -1:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            os.close(self.fd)


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    """Starts commands on terminals, and ends those that a failed test leaves."""
    started: list[Terminal] = []

    def start(*options: str, **environment: str) -> Terminal:
        started.append(Terminal(*options, **environment))
        return started[-1]

    yield start
    for each in started:
        each.kill()


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Callable[[Session], None]:
    """Puts a made-up session in the place of the measurement."""

    def install(session: Session) -> None:
        def replay(_: Parameters, rows: Sequence[Row], display: measure.Display) -> Session:
            assert tuple(rows) == session.rows
            shown = Session(rows)
            shown.machine = session.machine
            with display:
                for result in session.results:
                    shown.results.append(result)
                    display.finished(result, shown)
            return session

        monkeypatch.setattr(experiment, "measure", replay)

    return install


@pytest.fixture
def child_program(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts another program in the place of the measuring process; it finds its pipe in `fd`."""

    def install(program: str) -> None:
        opening = "import json, os, signal, sys, time\nfd = json.loads(sys.argv[1])['fd']\n"
        monkeypatch.setattr(measure, "CHILD_PROGRAM", opening + program)

    return install


def failure_of(parameters: Parameters | None = None) -> CommandError:
    parameters = parameters or Parameters()
    with pytest.raises(CommandError) as caught:
        measure.measure(parameters, experiment_rows(parameters), NoDisplay())
    return caught.value


@pytest.fixture(scope="module")
def real_run(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[subprocess.CompletedProcess[str], Path]:
    """A real measurement of 300 ms calls, and the picture it left.

    A machine whose cores others take for long may miss the bounds, but not three times in a row.
    """
    picture = tmp_path_factory.mktemp("plot") / "experiment.png"
    for _ in range(3):
        run = run_command("--ms", "300", "--json", "--plot", str(picture))
        if run.returncode != 1:
            break
        print("tried again, for the bounds were missed:", run.stderr)
    return run, picture


@pytest.fixture(scope="module")
def data(real_run: tuple[subprocess.CompletedProcess[str], Path]) -> dict[str, Any]:
    """The object that the real measurement printed."""
    data = json.loads(real_run[0].stdout)
    assert isinstance(data, dict)
    return data


class TestRealRun:
    """One real measurement, looked at from several sides."""

    def test_it_passes_and_says_nothing_but_the_object(
        self, real_run: tuple[subprocess.CompletedProcess[str], Path], data: dict[str, Any]
    ) -> None:
        assert (real_run[0].returncode, real_run[0].stderr) == (0, "")
        assert data["passed"] is True
        assert data["schema"] == 1

    def test_released_calls_overlap_and_held_calls_do_not(self, data: dict[str, Any]) -> None:
        gil = data["machine"]["gil_enabled"]
        for row in data["rows"]:
            if gil and row["expected"] == "held":
                assert row["ratio"] >= 4.5
                assert row["verdict"] == "held"
            else:
                assert row["ratio"] <= 1.3
        assert [row["os_threads"] for row in data["rows"]] == [5, 5, 5, 5, 10]

    def test_no_call_is_shorter_than_it_has_to_be(self, data: dict[str, Any]) -> None:
        for row in data["rows"]:
            for timeline in row["timelines"]:
                in_call = [p for p in timeline["phases"] if p["phase"] != "waiting"]
                assert in_call[-1]["end"] - in_call[0]["start"] >= 0.3 - 1e-4

    def test_phases_follow_each_other_without_a_gap(self, data: dict[str, Any]) -> None:
        for row in data["rows"]:
            for timeline in row["timelines"]:
                phases = timeline["phases"]
                assert phases[0]["start"] >= 0
                assert phases[-1]["end"] <= row["seconds"] + 1e-6
                for before, after in itertools.pairwise(phases):
                    assert before["end"] == after["start"]
                    assert before["phase"] != after["phase"]

    def test_at_most_one_thread_holds_the_gil_in_a_held_call(self, data: dict[str, Any]) -> None:
        if not data["machine"]["gil_enabled"]:
            return
        for row in data["rows"]:
            held = sorted(
                (phase["start"], phase["end"])
                for timeline in row["timelines"]
                for phase in timeline["phases"]
                if phase["phase"] == "held" and phase["end"] - phase["start"] > 0.1
            )
            assert len(held) == (5 if row["expected"] == "held" else 0)
            for (_, end), (start, _) in itertools.pairwise(held):
                assert start >= end - 0.01

    def test_the_picture_is_there(
        self, real_run: tuple[subprocess.CompletedProcess[str], Path]
    ) -> None:
        assert real_run[1].read_bytes().startswith(b"\x89PNG")


class TestOutput:
    def test_the_seeds_two_lines_and_nothing_else(self) -> None:
        done = run_command("--ms", "100", "--seed-style")

        assert re.fullmatch(
            r"C code releases GIL: 0\.\d{3}\nC code holds GIL: 0\.\d{3}\n", done.stdout
        )
        assert done.returncode in MEASURED

    def test_the_seeds_lines_exactly(
        self, measured: Callable[[Session], None], capsys: pytest.CaptureFixture[str]
    ) -> None:
        measured(session_of(seed_rows(Parameters())))

        assert main(["--seed-style"]) == 0
        assert capsys.readouterr() == (
            "C code releases GIL: 5.001\nC code holds GIL: 25.001\n",
            "",
        )

    def test_plain_text_is_one_line_per_row_and_the_conclusion(
        self, measured: Callable[[Session], None], capsys: pytest.CaptureFixture[str]
    ) -> None:
        measured(session_of())

        assert main([]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == "gilpool 9.9.9, CPython 3.11.7, with the GIL, 2 cores, Linux-test"
        assert lines[1].split() == [
            "what",
            "calls",
            "seconds",
            "ideal",
            "ratio",
            "GIL",
            "OS",
            "threads",
        ]
        assert [line.split()[0] for line in lines[2:7]] == [
            "threading.Thread",
            "threading.Thread",
            "gilpool.Pool",
            "gilpool.Pool",
            "gilpool.Pool",
        ]
        assert len(lines) == 9

    def test_each_row_is_written_as_soon_as_it_is_measured(self) -> None:
        with subprocess.Popen(
            [*COMMAND, "--ms", "200"], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            heading = [process.stdout.readline() for _ in range(3)]
            assert heading[2].startswith("threading.Thread")
            assert process.poll() is None
            process.stdout.read()
        assert process.returncode in MEASURED

    def test_a_dumb_terminal_gets_plain_text(self, terminal: Callable[..., Terminal]) -> None:
        on = terminal("--ms", "50", TERM="dumb")

        assert on.end() in MEASURED
        assert "\x1b" not in on.output
        assert on.output.count("5 x sleep_nogil(50)") == 2

    def test_without_progress_a_terminal_gets_plain_text(
        self, terminal: Callable[..., Terminal]
    ) -> None:
        on = terminal("--ms", "50", "--no-progress")

        assert on.end() in MEASURED
        assert "\x1b" not in on.output

    def test_a_terminal_sees_each_threads_phase_while_it_runs(
        self, terminal: Callable[..., Terminal]
    ) -> None:
        on = terminal("--ms", "300")

        assert on.end() in MEASURED
        for words in ("holds the GIL", "waits for the GIL", "GIL released", "thread 5", "done"):
            assert words in on.output
        # The cursor is hidden while it draws, and shown again at the end.
        assert on.output.rindex("\x1b[?25h") > on.output.rindex("\x1b[?25l")

    def test_no_color_is_respected(self, terminal: Callable[..., Terminal]) -> None:
        on = terminal("--ms", "100", NO_COLOR="1")

        assert on.end() in MEASURED
        assert "holds the GIL" in on.output
        codes = {c for code in re.findall(r"\x1b\[([\d;]*)m", on.output) for c in code.split(";")}
        assert not any(c.isdigit() and 30 <= int(c) <= 107 for c in codes)

    def test_progress_of_a_quiet_run_goes_to_the_terminal_on_stderr_only(
        self, tmp_path: Path
    ) -> None:
        ours, theirs = pty.openpty()
        with (tmp_path / "out").open("w") as out:
            process = subprocess.Popen(
                [*COMMAND, "--ms", "200", "--seed-style"],
                stdout=out,
                stderr=theirs,
                env={**os.environ, "TERM": "xterm"},
            )
        os.close(theirs)
        drawn = io.BytesIO()
        while True:
            try:
                data = os.read(ours, 1 << 16)
            except OSError:
                break
            drawn.write(data)
        os.close(ours)

        assert process.wait(LIMIT_S) in MEASURED
        assert b"holds the GIL" in drawn.getvalue()
        assert (tmp_path / "out").read_text().count("\n") == 2


class TestLiveFrame:
    @pytest.mark.parametrize(("encoding", "bar"), [("utf-8", "━━━"), ("ascii", "===")])
    def test_a_frame_says_the_phase_and_the_time_of_each_thread(
        self, encoding: str, bar: str
    ) -> None:
        row = Row(1, "threading.Thread", "sleep_gil", 3, 1000.0, "held", gate=True)
        session = Session([row])
        session.feed('J {"event": "row", "row": 1}')
        for line in (
            *(f"P 1 {index} waiting 0 {index}" for index in range(3)),
            "P 1 1 held 0 1",
            "P 1 1 end 1000000000 1",
            "P 1 0 held 1000000000 0",
        ):
            session.feed(line)
        assert session.running is not None
        stream = io.TextIOWrapper(io.BytesIO(), encoding)
        display = LiveDisplay(session.rows, stream, keep_results=True)

        lines = display.frame(session.running, 1, 1_500_000_000).plain.splitlines()

        assert lines[1] == "  1 of 1: threading.Thread, 3 x sleep_gil(1000)  1.5 s"
        assert re.search(r"thread 1 .* holds the GIL +0\.5 of 1 s", lines[3])
        assert re.search(r"thread 2 .* done +1\.0 of 1 s", lines[4])
        assert re.search(r"thread 3 .* waits for the GIL +0\.0 of 1 s", lines[5])
        assert bar in lines[3]
        "\n".join(lines).encode(encoding)

    def test_more_threads_than_lines_are_summed_up(self) -> None:
        rows = experiment_rows(Parameters(threads=500))
        session = Session(rows)
        session.feed('J {"event": "row", "row": 1}')
        session.feed("P 1 321 held 0 9")
        assert session.running is not None
        display = LiveDisplay(rows, io.StringIO(), keep_results=True)

        text = display.frame(session.running, 5, 1_000_000_000).plain

        assert len(text.splitlines()) < 25
        assert re.search("thread 322 .* holds the GIL", text.splitlines()[3])
        assert re.search(r"and \d+ more; 0 of all have ended", text)


class TestExitCode:
    def test_held_calls_that_overlap_are_a_failure(
        self, measured: Callable[[Session], None], capsys: pytest.CaptureFixture[str]
    ) -> None:
        measured(session_of(without_staircase=True))

        assert main([]) == 1
        (sentence,) = capsys.readouterr().err.splitlines()
        assert sentence.startswith("gilpool experiment: not as it must be: threading.Thread with")

    def test_without_the_gil_overlapping_held_calls_are_right(
        self, measured: Callable[[Session], None], capsys: pytest.CaptureFixture[str]
    ) -> None:
        measured(session_of(gil_enabled=False, without_staircase=True))

        assert main([]) == 0
        assert "runs without the GIL" in capsys.readouterr().out

    def test_without_the_gil_a_staircase_is_a_failure(
        self, measured: Callable[[Session], None]
    ) -> None:
        measured(session_of(gil_enabled=False))

        assert main(["--json"]) == 1

    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("--threads", "0"),
            ("--threads", "-3"),
            ("--threads", "100000"),
            ("--threads", "2.5"),
            ("--threads", "five"),
            ("--ms", "-1"),
            ("--ms", "0"),
            ("--ms", "nan"),
            ("--ms", "inf"),
            ("--ms", "soon"),
            ("--plot", "picture.gif"),
            ("--plot", "picture"),
        ],
    )
    def test_a_bad_value_is_refused_by_the_name_of_its_option(
        self, option: str, value: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as caught:
            main([f"{option}={value}"])

        assert caught.value.code == 2
        assert f"error: argument {option}: " in capsys.readouterr().err

    @pytest.mark.parametrize(
        "options",
        [["--quick", "--ms", "300"], ["--json", "--seed-style"], ["--no-such-option"], ["nothing"]],
    )
    def test_what_does_not_go_together_is_wrong_usage(self, options: list[str]) -> None:
        with pytest.raises(SystemExit) as caught:
            main(options)

        assert caught.value.code == 2

    @pytest.mark.parametrize("name", ["missing/plot.png", "plot.png/", "a.png"])
    def test_a_plot_that_cannot_be_written_is_refused_before_measuring(
        self,
        name: str,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        (tmp_path / "a.png").mkdir()
        (tmp_path / "plot.png").mkdir()
        monkeypatch.setattr(experiment, "measure", pytest.fail)

        assert main(["--plot", f"{tmp_path}/{name}"]) == 2
        assert "argument --plot: cannot write" in capsys.readouterr().err

    def test_the_check_for_a_plot_leaves_no_file(self, tmp_path: Path) -> None:
        experiment._check_plot(tmp_path / "a.png")

        assert list(tmp_path.iterdir()) == []

    def test_a_plot_that_fails_at_the_end_does_not_lose_the_numbers(
        self,
        measured: Callable[[Session], None],
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        measured(session_of())
        monkeypatch.setattr(experiment, "_check_plot", lambda _: None)

        assert main(["--plot", str(tmp_path / "gone" / "a.png")]) == 4
        out, err = capsys.readouterr()
        assert "25.001" in out
        assert "measured, but cannot write" in err

    @pytest.mark.parametrize("suffix", ["png", "svg", "PNG"])
    def test_a_plot_is_written_in_the_format_of_its_name(
        self,
        measured: Callable[[Session], None],
        tmp_path: Path,
        suffix: str,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        measured(session_of())
        path = tmp_path / f"plot.{suffix}"

        assert main(["--plot", str(path)]) == 0
        assert path.read_bytes()[:5] == (b"<?xml" if suffix == "svg" else b"\x89PNG\r")
        assert str(path) in capsys.readouterr().out


class TestCommandLine:
    def test_without_a_subcommand_it_is_the_experiment(
        self, measured: Callable[[Session], None], capsys: pytest.CaptureFixture[str]
    ) -> None:
        measured(session_of())
        outputs = set()
        for words in ([], ["experiment"], ["--no-progress"], ["experiment", "--no-progress"]):
            assert main(words) == 0
            outputs.add(capsys.readouterr().out)

        assert len(outputs) == 1

    def test_help_lists_every_subcommand(self) -> None:
        text = run_command("--help").stdout

        for command in COMMANDS:
            assert command.NAME in text

    def test_the_options_are_explained(self) -> None:
        text = run_command("experiment", "--help").stdout

        for option in [
            "--threads",
            "--ms",
            "--quick",
            "--json",
            "--plot",
            "--seed-style",
            "--no-progress",
        ]:
            assert option in text
        assert "exit codes:" in text

    def test_version(self) -> None:
        assert re.fullmatch(r"gilpool \d+\.\d+\.\d+\S*\n", run_command("--version").stdout)

    def test_importing_the_package_imports_no_extra_and_no_command_line(self) -> None:
        code = (
            "import sys; before = set(sys.modules); import gilpool\n"
            "new = {name for name in set(sys.modules) - before\n"
            "       if name.startswith(('rich', 'matplotlib', 'gilpool._cli', 'argparse'))}\n"
            "sys.exit(str(new) if new else 0)\n"
        )
        done = completed([sys.executable, "-c", code], capture_output=True)

        assert done.returncode in MEASURED, done.stderr


class TestMissingExtras:
    BLOCKED = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('rich', 'matplotlib'):\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from gilpool._cli.main import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        return completed(
            [sys.executable, "-c", self.BLOCKED, *options],
            capture_output=True,
            text=True,
        )

    def test_plain_text_needs_no_extra(self) -> None:
        done = self.run("--ms", "50")

        assert done.returncode in MEASURED
        assert done.stdout.count("5 x sleep_nogil(50)") == 2

    def test_a_plot_without_matplotlib_is_refused_in_one_line_before_measuring(self) -> None:
        began = time.monotonic()
        done = self.run("--plot", "a.png", "--ms", "20000")

        assert done.returncode == 2
        assert done.stdout == ""
        (line,) = done.stderr.splitlines()
        assert "pip install 'gilpool[plot]'" in line
        # One call alone would take 20 s.
        assert time.monotonic() - began < 15

    def test_a_terminal_without_rich_gets_plain_text_and_a_hint(
        self, monkeypatch: pytest.MonkeyPatch, terminal: Callable[..., Terminal]
    ) -> None:
        monkeypatch.setattr(sys.modules[__name__], "COMMAND", (sys.executable, "-c", self.BLOCKED))
        on = terminal("--ms", "50")

        assert on.end() in MEASURED
        assert "pip install 'gilpool[cli]'" in on.output
        assert on.output.count("5 x sleep_nogil(50)") == 2


class TestInterruption:
    def test_ctrl_c_while_the_gil_is_held(self, terminal: Callable[..., Terminal]) -> None:
        on = terminal("--ms", "1000", "--threads", "60")
        on.read_until("2 of 5")
        on.read_until("holds the GIL")
        # For a minute from here on, no Python code can run in the measuring process.
        (child,) = children_of(on.pid)
        pressed = time.monotonic()
        on.press(b"\x03")

        assert on.end() == 130
        assert time.monotonic() - pressed < PROMPT_S
        assert not is_running(child)
        assert on.output.rindex("\x1b[?25h") > on.output.rindex("\x1b[?25l")
        assert "interrupted in row 2" in on.output
        assert "Traceback" not in on.output
        # What was measured before is still there.
        assert "60 x sleep_nogil(1000)" in on.output

    @pytest.mark.parametrize(
        ("signum", "code", "word"),
        [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
    )
    def test_a_signal_in_a_held_row_ends_both_processes(
        self, signum: int, code: int, word: str
    ) -> None:
        with subprocess.Popen(
            [*COMMAND, "--ms", "1000", "--threads", "60"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            for _ in range(3):
                process.stdout.readline()
            (child,) = children_of(process.pid)
            # The first row is over; with its threads, the second one holds the GIL for a minute.
            wait_until(lambda: len(list(Path(f"/proc/{child}/task").iterdir())) > 50)
            sent = time.monotonic()
            process.send_signal(signum)
            _, err = process.communicate(timeout=LIMIT_S)

        assert process.returncode == code
        assert time.monotonic() - sent < PROMPT_S
        assert not is_running(child)
        # The note that the second row begins may still be in the pipe.
        places = (r"in row 2 \(threading\.Thread, sleep_gil\)", "after 1 of 5 rows")
        assert re.fullmatch(rf"gilpool experiment: {word} ({'|'.join(places)})\n", err)

    def test_the_child_does_not_outlive_a_killed_parent(self) -> None:
        with subprocess.Popen(
            [*COMMAND, "--ms", "1000", "--threads", "60"], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            for _ in range(3):
                process.stdout.readline()
            (child,) = children_of(process.pid)
            process.kill()

        wait_until(lambda: not is_running(child))

    def test_a_reader_that_goes_away_ends_the_measurement(self) -> None:
        with subprocess.Popen(
            [*COMMAND, "--ms", "500"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.readline()
            (child,) = children_of(process.pid)
            process.stdout.close()
            err = process.stderr.read()
            code = process.wait(LIMIT_S)

        assert (code, err) == (128 + signal.SIGPIPE, "")
        assert not is_running(child)

    def test_closed_standard_streams_are_no_crash(self) -> None:
        done = completed(
            ["/bin/sh", "-c", 'exec "$@" >&- 2>&- <&-', "sh", *COMMAND, "--ms", "50"],
        )

        assert done.returncode in MEASURED

    def test_a_full_disk_is_one_sentence(self) -> None:
        with open("/dev/full", "w") as full:
            done = completed([*COMMAND, "--ms", "50"], stdout=full, stderr=subprocess.PIPE)

        assert done.returncode == 4
        assert done.stderr == b"gilpool: cannot write the output: No space left on device\n"

    def test_an_ignored_ctrl_c_stays_ignored(self, child_program: Callable[[str], None]) -> None:
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            child_program("os.kill(os.getppid(), signal.SIGINT)\nsys.exit(9)")
            failure = failure_of()
        finally:
            signal.signal(signal.SIGINT, previous)

        assert "ended with status 9" in failure.sentence
        assert signal.set_wakeup_fd(-1) == -1

    def test_signals_mean_what_they_meant_after_a_measurement(
        self, child_program: Callable[[str], None]
    ) -> None:
        before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        child_program("sys.exit(9)")
        failure_of()

        assert before == [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
        assert signal.set_wakeup_fd(-1) == -1


class TestChildThatFails:
    def test_a_crash_names_the_signal_and_the_row(
        self, child_program: Callable[[str], None]
    ) -> None:
        child_program(
            'os.write(fd, b\'J {"event": "row", "row": 1}\\nP 1 0 wai\')\n'
            "os.kill(os.getpid(), signal.SIGSEGV)\n"
        )
        failure = failure_of()

        assert failure.code == 3
        assert failure.sentence == (
            "could not measure: the measuring process was killed by SIGSEGV "
            "in row 1 (threading.Thread, sleep_nogil)"
        )

    def test_an_error_before_the_first_word_is_told_by_its_last_line(
        self, child_program: Callable[[str], None]
    ) -> None:
        child_program("raise ImportError('no such thing')")
        failure = failure_of()

        assert failure.code == 3
        assert failure.sentence.endswith("status 1 after 0 of 5 rows: ImportError: no such thing")

    def test_a_child_that_ends_early_but_well_is_still_a_failure(
        self, child_program: Callable[[str], None]
    ) -> None:
        child_program("pass")

        assert failure_of().code == 3

    def test_the_childs_own_words_are_passed_on(self, child_program: Callable[[str], None]) -> None:
        child_program(
            'os.write(fd, b\'J {"event": "failed", "message": "RuntimeError: out of threads"}\\n\')'
        )

        assert failure_of().sentence == "could not measure: RuntimeError: out of threads"

    def test_nonsense_on_the_pipe_ends_the_child(
        self, child_program: Callable[[str], None]
    ) -> None:
        child_program("os.write(fd, b'hello\\n')\nprint(os.getpid())\ntime.sleep(60)")
        began = time.monotonic()
        failure = failure_of()

        assert failure.code == 3
        assert "unreadable line" in failure.sentence
        assert time.monotonic() - began < 30

    def test_a_child_that_ignores_sigterm_is_killed(
        self, child_program: Callable[[str], None]
    ) -> None:
        child_program(
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
            "os.write(fd, b'hello\\n')\n"
            "time.sleep(60)\n"
        )
        began = time.monotonic()
        failure_of()

        assert time.monotonic() - began < 30

    def test_a_stuck_child_is_given_up(
        self, child_program: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(measure, "_STARTUP_LIMIT_S", 0.5)
        child_program("time.sleep(60)")

        assert failure_of().sentence == (
            "could not measure: the measuring process is stuck after 0 of 5 rows"
        )

    def test_a_child_that_does_not_end_is_given_up(
        self, child_program: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(measure, "_STARTUP_LIMIT_S", 0.5)
        child_program("os.close(fd)\ntime.sleep(60)")

        assert failure_of().sentence == "could not measure: the measuring process does not end"

    def test_an_interpreter_that_does_not_start_is_told(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "executable", "/nonexistent/python")
        failure = failure_of()

        assert failure.code == 3
        assert "did not start" in failure.sentence

    def test_no_descriptor_is_left_open(
        self, child_program: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        child_program("pass")
        failure_of()
        before = sorted(os.listdir("/proc/self/fd"))
        failure_of()
        monkeypatch.setattr(sys, "executable", "/nonexistent/python")
        failure_of()

        assert sorted(os.listdir("/proc/self/fd")) == before

    def test_the_child_imports_the_parents_package_wherever_it_starts(self, tmp_path: Path) -> None:
        for name in ("gilpool", "json", "threading"):
            (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong module')\n")
        program = "import sys; sys.path[:] = sys.argv[1:]; import gilpool._cli.main as m\n"
        program += "sys.exit(m.main(['--ms', '50', '--no-progress']))\n"
        done = completed(
            [sys.executable, "-c", program, *(path for path in sys.path if path)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

        assert done.returncode in MEASURED, done.stderr
