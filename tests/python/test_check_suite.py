"""`gilpool check --suite`: the table's known verdicts come out, and it is readable everywhere."""

import io
import json
import sys

import pytest

from gilpool._cli import check_suite
from gilpool._cli.check_suite import TABLE, SuiteCall
from gilpool._cli.exits import MEASURED_OTHERWISE, NOT_MEASURED, OK
from gilpool._cli.main import main


def test_the_table_comes_out_as_far_as_it_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    """Every call can be made here, and those whose verdicts are known have them."""
    assert main(["check", "--suite", "--json"]) == OK

    found = json.loads(capsys.readouterr().out)
    assert [call["call"] for call in found["calls"]] == [call.label for call in TABLE]
    assert [call["call"] for call in found["calls"] if call["error"]] == []
    verdicts = {call["call"]: call["verdict"] for call in found["calls"]}
    assert {call.label: call.known for call in TABLE if call.known} == {
        call.label: verdicts[call.label] for call in TABLE if call.known
    }
    assert verdicts["hashlib.sha256(data)  # 1 KB"] == "holds"
    assert verdicts["hashlib.sha256(data)  # 100 KB"] == "releases"


def test_words_choose_from_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--suite", "usleep", "sum(range"]) == OK

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("gilpool ")
    assert lines[1].split() == ["GIL", "released", "one", "call", "longest", "hold", "call"]
    assert [line.split()[0] for line in lines[2:-1]] == ["holds", "releases", "holds"]
    assert lines[-1] == "3 calls: 1 release the GIL, 2 hold it, 0 inconclusive."
    labels = [line[lines[1].rindex("call") :] for line in lines[2:-1]]
    assert labels == [
        "sum(range(10_000))",
        "CDLL(None).usleep(1_000)",
        "PyDLL(None).usleep(1_000)",
    ]


def test_a_known_call_that_comes_out_otherwise_is_a_complaint(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = SuiteCall("gilpool.sleep_gil(1)", "import gilpool", "releases")
    monkeypatch.setattr(check_suite, "TABLE", (wrong,))

    assert main(["check", "--suite"]) == MEASURED_OTHERWISE

    captured = capsys.readouterr()
    assert "gilpool.sleep_gil(1) (expected: releases)" in captured.out
    assert "gilpool.sleep_gil(1) holds the GIL: expected that it releases it" in captured.err


def test_a_table_with_open_questions_is_not_a_success(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--suite", "sleep_gil", "--budget", "0.001"]) == NOT_MEASURED

    captured = capsys.readouterr()
    assert "inconclusive" in captured.out
    assert "no verdict for gilpool.sleep_gil(1): " in captured.err


def test_what_cannot_be_called_here_is_a_line_and_not_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = SuiteCall("no_such_module.f()", "import no_such_module")
    broken = SuiteCall("{}['key']")
    monkeypatch.setattr(check_suite, "TABLE", (absent, broken, *TABLE[:1]))

    assert main(["check", "--suite"]) == OK

    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split()[:2] == ["not", "here"]
    assert "No module named 'no_such_module'" in lines[2]
    assert "raised KeyError: 'key'" in lines[3]
    assert lines[-1].endswith("0 inconclusive, 2 not to be measured here.")


class Terminal(io.StringIO):
    """A stream that somebody looks at."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("rich", [True, False])
def test_a_terminal_shows_what_is_being_measured(
    monkeypatch: pytest.MonkeyPatch, rich: bool
) -> None:
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys, "stdout", terminal)
    if not rich:
        monkeypatch.setitem(sys.modules, "rich.console", None)

    assert main(["check", "--suite", "sleep_"]) == OK

    written = terminal.getvalue()
    assert "1 of 2: gilpool.sleep_nogil(1) ..." in written
    assert "2 of 2: gilpool.sleep_gil(1) ..." in written
    assert ("\x1b[38;5;" in written) == rich
    assert written.endswith("2 calls: 1 release the GIL, 1 hold it, 0 inconclusive.\n")
    shown = [line.rpartition("\x1b[K")[2] for line in written.split("\n")]
    assert not any(" ..." in line for line in shown), "a line of the progress was left"
