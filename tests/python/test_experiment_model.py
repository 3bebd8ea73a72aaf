"""From the lines of a measuring process to phases, results and judgements: no clock, no process."""

from __future__ import annotations

import random

import pytest

from _experiment_lines import (
    FIRST_NATIVE_ID,
    START_NS,
    hello,
    overlapping,
    row_end,
    session_of,
    staircase,
)
from gilpool._cli.model import (
    LineSplitter,
    RowResult,
    Session,
    Span,
    Stamp,
    UnreadableLineError,
    parse_line,
    timeline_of,
)
from gilpool._cli.report import report
from gilpool._cli.rows import (
    Parameters,
    Row,
    Verdict,
    complaint,
    experiment_rows,
    seed_rows,
)
from gilpool._cli.table import HEADINGS, Columns, cells, complaints, conclusion, machine_line

HELD_ROW = Row(1, "threading.Thread", "sleep_gil", 5, 100.0, "held", gate=True)
RELEASED_ROW = Row(1, "gilpool.Pool", "sleep_nogil", 5, 100.0, "released", gate=True)


def result_of(row: Row, lines: list[str]) -> RowResult:
    session = Session([row])
    session.feed(hello())
    session.feed('J {"event": "row", "row": 1}')
    results = [session.feed(line) for line in lines]
    assert all(result is None for result in results[:-1])
    assert results[-1] is not None
    return results[-1]


class TestLines:
    def test_a_stamp_line_becomes_a_stamp(self) -> None:
        assert parse_line("P 2 4 released 123456789 4711") == Stamp(
            2, 4, "released", 123456789, 4711
        )

    @pytest.mark.parametrize(
        "line",
        [
            "",
            "P",
            "P 1 2 held 3",
            "P 1 2 held 3 4 5",
            "P 1 2 asleep 3 4",
            "P one 2 held 3 4",
            "P 1 2 held 3.5 4",
            "J",
            "J {",
            "J []",
            'J {"no": "event"}',
            "Q 1 2 held 3 4",
            "P 1 0 heJ {}",
        ],
    )
    def test_a_line_that_no_child_writes_is_refused(self, line: str) -> None:
        with pytest.raises(UnreadableLineError):
            parse_line(line)

    def test_lines_are_the_same_however_the_bytes_are_cut(self) -> None:
        lines = list(staircase(HELD_ROW, START_NS))
        data = "".join(f"{line}\n" for line in lines).encode()
        for size in (1, 2, 7, 64, len(data)):
            splitter = LineSplitter()
            out = []
            for at in range(0, len(data), size):
                out += splitter.feed(data[at : at + size])
            assert out == lines
            assert splitter.rest == b""

    def test_an_incomplete_last_line_is_kept_back(self) -> None:
        splitter = LineSplitter()

        assert splitter.feed(b"P 1 0 held 5 6\nP 1 0 en") == ["P 1 0 held 5 6"]
        assert splitter.rest == b"P 1 0 en"
        assert splitter.feed(b"d 9 6\n") == ["P 1 0 end 9 6"]

    def test_bytes_that_are_no_text_make_an_unreadable_line_not_a_crash(self) -> None:
        (line,) = LineSplitter().feed(b"\xff\xfe\n")

        with pytest.raises(UnreadableLineError):
            parse_line(line)


class TestTimeline:
    STAMPS = (
        Stamp(1, 0, "waiting", 100, 9),
        Stamp(1, 0, "held", 150, 9),
        Stamp(1, 0, "released", 170, 9),
        Stamp(1, 0, "held", 270, 9),
        Stamp(1, 0, "end", 280, 9),
    )
    SPANS = (
        Span("waiting", 100, 150),
        Span("held", 150, 170),
        Span("released", 170, 270),
        Span("held", 270, 280),
    )

    def test_stamps_join_into_spans_in_any_order_of_arrival(self) -> None:
        shuffled = list(self.STAMPS)
        for seed in range(20):
            random.Random(seed).shuffle(shuffled)
            timeline = timeline_of(0, shuffled, until_ns=1000)
            assert timeline.spans == self.SPANS
            assert timeline.ended
            assert timeline.native_id == 9

    def test_a_thread_without_an_end_is_open_until_now(self) -> None:
        timeline = timeline_of(0, self.STAMPS[:3], until_ns=500)

        assert timeline.spans[-1] == Span("released", 170, 500)
        assert not timeline.ended
        assert timeline.phase == "released"

    def test_a_thread_without_stamps_has_no_phase(self) -> None:
        timeline = timeline_of(3, [], until_ns=500)

        assert (timeline.spans, timeline.phase, timeline.native_id) == ((), None, None)

    def test_repeated_stamps_and_stamps_after_the_end_change_nothing(self) -> None:
        noise = (Stamp(1, 0, "released", 200, 9), Stamp(1, 0, "held", 281, 9))

        assert timeline_of(0, (*self.STAMPS, *noise), until_ns=1000).spans == self.SPANS

    def test_stamps_of_one_instant_fall_into_their_natural_order(self) -> None:
        stamps = [Stamp(1, 0, p, 5, 9) for p in ("end", "held", "waiting")]
        timeline = timeline_of(0, stamps, until_ns=1000)

        assert timeline.ended
        assert timeline.spans == ()

    def test_who_makes_the_call_is_not_taken_from_its_spawner(self) -> None:
        waiting = timeline_of(0, [Stamp(1, 0, "waiting", 100, 1)], until_ns=200)
        called = timeline_of(
            0, [Stamp(1, 0, "waiting", 100, 1), Stamp(1, 0, "held", 150, 2)], until_ns=200
        )

        assert waiting.native_id is None
        assert called.native_id == 2

    def test_waiting_is_not_part_of_the_call(self) -> None:
        timeline = timeline_of(0, self.STAMPS, until_ns=1000)

        assert timeline.call_seconds == pytest.approx(130e-9)


class TestSession:
    def test_seconds_run_from_the_earliest_stamp_to_the_rows_end(self) -> None:
        result = result_of(HELD_ROW, list(staircase(HELD_ROW, START_NS)))

        assert result.seconds == pytest.approx(0.501)
        assert result.ratio == pytest.approx(5.01)
        assert result.os_threads == 5

    def test_the_verdict_comes_from_the_stamps_not_from_the_name(self) -> None:
        held = result_of(HELD_ROW, list(staircase(HELD_ROW, START_NS)))
        named_held = result_of(HELD_ROW, list(overlapping(HELD_ROW, START_NS)))
        named_released = result_of(RELEASED_ROW, list(staircase(RELEASED_ROW, START_NS)))

        assert (held.verdict, held.released_fraction) == ("held", 0.0)
        assert (named_held.verdict, named_held.released_fraction) == ("released", 1.0)
        assert named_released.verdict == "held"

    @pytest.mark.parametrize(
        ("off_ns", "verdict"), [(49_999_999, "held"), (50_000_000, "released")]
    )
    def test_half_the_time_off_the_gil_counts_as_released(
        self, off_ns: int, verdict: Verdict
    ) -> None:
        row = Row(1, "threading.Thread", "sleep_gil", 1, 100.0, "held", gate=True)
        result = result_of(
            row,
            [
                f"P 1 0 waiting {START_NS} 9",
                f"P 1 0 released {START_NS} 9",
                f"P 1 0 held {START_NS + off_ns} 9",
                f"P 1 0 end {START_NS + 100_000_000} 9",
                row_end(row, START_NS + 100_000_000),
            ],
        )

        assert result.verdict == verdict

    def test_calls_that_share_an_os_thread_are_counted_once(self) -> None:
        first, second = f" {FIRST_NATIVE_ID}", f" {FIRST_NATIVE_ID + 1}"
        lines = [line.replace(second, first) for line in staircase(HELD_ROW, START_NS)]

        assert result_of(HELD_ROW, lines).os_threads == 4

    def test_the_lines_of_a_row_may_come_in_any_order(self) -> None:
        *stamps, end = staircase(HELD_ROW, START_NS)
        in_order = result_of(HELD_ROW, [*stamps, end])
        random.Random(1).shuffle(stamps)

        assert result_of(HELD_ROW, [*stamps, end]) == in_order

    def test_a_row_whose_thread_did_not_end_has_no_result(self) -> None:
        session = Session([HELD_ROW])
        session.feed('J {"event": "row", "row": 1}')
        *stamps, end = staircase(HELD_ROW, START_NS)
        for line in stamps:
            if " 3 end " not in line:
                session.feed(line)

        with pytest.raises(UnreadableLineError, match="not its threads 4"):
            session.feed(end)

    @pytest.mark.parametrize(
        "line",
        [
            "P 2 0 held 5 6",
            "P 1 5 held 5 6",
            "P 1 -1 held 5 6",
            'J {"event": "done"}',
            'J {"event": "surprise"}',
        ],
    )
    def test_what_does_not_fit_the_running_row_is_refused(self, line: str) -> None:
        session = Session([HELD_ROW])
        session.feed('J {"event": "row", "row": 1}')

        with pytest.raises(UnreadableLineError):
            session.feed(line)

    def test_the_childs_own_words_on_a_failure_are_kept(self) -> None:
        session = Session([HELD_ROW])
        session.feed('J {"event": "failed", "message": "RuntimeError: no more threads"}')

        assert session.failure == "RuntimeError: no more threads"
        assert not session.done

    def test_a_complete_session_is_done(self) -> None:
        session = session_of()

        assert session.done
        assert [result.row.number for result in session.results] == [1, 2, 3, 4, 5]


class TestRows:
    def test_the_default_is_the_classic_experiment(self) -> None:
        rows = experiment_rows(Parameters())

        assert [(row.runner, row.label, row.expected) for row in rows] == [
            ("threading.Thread", "5 x sleep_nogil(5000)", "released"),
            ("threading.Thread", "5 x sleep_gil(5000)", "held"),
            ("gilpool.Pool", "5 x sleep_nogil(5000)", "released"),
            ("gilpool.Pool", "5 x sleep_gil(5000)", "held"),
            ("gilpool.Pool", "10 x time.sleep(1)", "released"),
        ]
        assert [row.gate for row in rows] == [True, True, True, True, False]

    def test_the_sleepers_are_never_longer_than_the_other_calls(self) -> None:
        assert experiment_rows(Parameters(ms=300))[-1].ideal == 0.3

    def test_the_seed_has_the_first_two_rows(self) -> None:
        assert seed_rows(Parameters()) == experiment_rows(Parameters())[:2]


class TestJudgement:
    @pytest.mark.parametrize(
        ("row", "ratio", "verdict", "gil_enabled", "fine"),
        [
            (RELEASED_ROW, 1.30, "released", True, True),
            (RELEASED_ROW, 1.31, "released", True, False),
            (RELEASED_ROW, 1.00, "held", True, False),
            (HELD_ROW, 4.50, "held", True, True),
            (HELD_ROW, 4.49, "held", True, False),
            (HELD_ROW, 9.00, "held", True, True),
            (HELD_ROW, 5.00, "released", True, False),
            (HELD_ROW, 1.00, "held", False, True),
            (HELD_ROW, 1.30, "held", False, True),
            (HELD_ROW, 5.00, "held", False, False),
            (RELEASED_ROW, 1.00, "released", False, True),
            (RELEASED_ROW, 1.31, "released", False, False),
        ],
    )
    def test_bounds(
        self, row: Row, ratio: float, verdict: Verdict, gil_enabled: bool, fine: bool
    ) -> None:
        assert (complaint(row, ratio, verdict, gil_enabled=gil_enabled) is None) == fine

    def test_one_thread_holding_the_gil_takes_one_call(self) -> None:
        row = Row(1, "threading.Thread", "sleep_gil", 1, 100.0, "held", gate=True)

        assert complaint(row, 1.0, "held", gil_enabled=True) is None

    def test_a_complaint_names_the_row_the_ratio_and_the_bound(self) -> None:
        assert complaint(HELD_ROW, 2.0, "held", gil_enabled=True) == (
            "threading.Thread with sleep_gil took 2.00x one call, where at least 4.50x was expected"
        )

    def test_without_the_gil_overlapping_is_right_and_the_conclusion_says_why(self) -> None:
        session = session_of(gil_enabled=False, without_staircase=True)

        assert complaints(session.results, gil_enabled=False) == []
        assert "without the GIL" in conclusion(session.results, gil_enabled=False)
        assert "without the GIL" in machine_line(session.machine)

    def test_without_the_gil_a_staircase_is_wrong(self) -> None:
        session = session_of(gil_enabled=False)

        wrong = complaints(session.results, gil_enabled=False)

        assert len(wrong) == 2
        assert all(sentence.endswith("(there is no GIL to hold)") for sentence in wrong)


class TestTable:
    def test_the_table_of_the_classic_experiment(self) -> None:
        session = session_of()
        columns = Columns(session.rows)

        assert [columns.line(HEADINGS), *(columns.line(cells(r)) for r in session.results)] == [
            "what              calls                  seconds  ideal   ratio  GIL       OS threads",
            "threading.Thread  5 x sleep_nogil(5000)    5.001  5.000   1.00x  released           5",
            "threading.Thread  5 x sleep_gil(5000)     25.001  5.000   5.00x  held               5",
            "gilpool.Pool      5 x sleep_nogil(5000)    5.001  5.000   1.00x  released           5",
            "gilpool.Pool      5 x sleep_gil(5000)     25.001  5.000   5.00x  held               5",
            "gilpool.Pool      10 x time.sleep(1)       1.001  1.000   1.00x  released          10",
        ]

    def test_columns_are_wide_enough_for_large_runs(self) -> None:
        rows = experiment_rows(Parameters(threads=1000, ms=60_000))
        session = session_of(rows)
        columns = Columns(rows)
        widths = {len(columns.line(cells(result))) for result in session.results}

        assert widths == {len(columns.line(HEADINGS))}

    def test_the_conclusion_names_the_worst_row_of_each_kind(self) -> None:
        assert conclusion(session_of().results, gil_enabled=True) == (
            "Calls that release the GIL overlap: 1.00x one call at most (1.3x is allowed).\n"
            "Calls that hold it run one after the other: 5.00x at least (4.5x is required)."
        )


class TestReport:
    def test_the_object_has_the_documented_keys(self) -> None:
        data = report(session_of(), Parameters())

        assert list(data) == [
            "schema",
            "command",
            "passed",
            "complaints",
            "machine",
            "parameters",
            "rows",
        ]
        assert data["schema"] == 1
        assert data["parameters"] == {"threads": 5, "ms": 5000.0, "kernel": None}
        assert list(data["rows"][0]) == [
            "row",
            "what",
            "call",
            "threads",
            "os_threads",
            "seconds",
            "ideal",
            "ratio",
            "verdict",
            "expected",
            "released_fraction",
            "complaint",
            "timelines",
        ]

    def test_phases_are_seconds_since_the_rows_start(self) -> None:
        data = report(session_of(), Parameters())

        assert data["rows"][1]["timelines"][2] == {
            "index": 2,
            "native_id": FIRST_NATIVE_ID + 2,
            "phases": [
                {"phase": "waiting", "start": 0.0, "end": 10.0},
                {"phase": "held", "start": 10.0, "end": 15.0},
            ],
        }

    def test_a_failed_row_is_told_in_its_row_and_on_top(self) -> None:
        data = report(session_of(without_staircase=True), Parameters())

        assert data["passed"] is False
        assert len(data["complaints"]) == 2
        assert data["rows"][0]["complaint"] is None
        assert data["rows"][1]["complaint"] == data["complaints"][0]
