"""The picture of a trace: its lanes and counters are those of the file."""

import time
from pathlib import Path

import gilpool
from gilpool._cli import trace_plot
from gilpool._cli.trace_read import Stretch, read
from gilpool.gil import trace


def test_the_picture_shows_what_the_trace_says(tmp_path: Path) -> None:
    with trace(tmp_path / "out.json"):
        pool = gilpool.Pool()
        for _ in range(3):
            pool.spawn(time.sleep, 0.02)
        for _ in range(5):
            pool.spawn(gilpool.sleep, 0.02)
        pool.join()
    told = read(tmp_path / "out.json")
    lanes, counters = trace_plot.draw(told).axes

    assert [label.get_text() for label in lanes.get_yticklabels()] == [
        lane.name.removeprefix("gilpool ") for lane in told.lanes
    ]
    drawn = [bars.get_facecolor() for bars in lanes.collections]
    assert len(drawn) >= len(told.lanes)
    queued, running, waiting = counters.lines
    assert max(queued.get_ydata()) <= 3
    assert max(running.get_ydata()) <= 3
    assert (max(waiting.get_ydata()), waiting.get_ydata()[-1]) == (5, 0)


def test_neighbours_are_joined_across_gaps_that_would_not_be_seen() -> None:
    stretches = [Stretch(0, 1, "held"), Stretch(1.01, 2, "held"), Stretch(2, 3, "released")]

    assert list(trace_plot.merged(stretches, 0.1)) == [
        Stretch(0, 2, "held"),
        Stretch(2, 3, "released"),
    ]
    assert list(trace_plot.merged(stretches, 0.001)) == stretches


def test_an_empty_trace_is_drawn(tmp_path: Path) -> None:
    with trace(tmp_path / "out.json"):
        pass

    assert trace_plot.render(read(tmp_path / "out.json"), "png").startswith(b"\x89PNG")


def test_more_lanes_than_fit_are_counted(tmp_path: Path) -> None:
    with trace(tmp_path / "out.json"):
        pool = gilpool.Pool()
        for _ in range(trace_plot._MOST_LANES + 8):
            pool.spawn(time.sleep, 0.1)
        pool.join()
    told = read(tmp_path / "out.json")
    figure = trace_plot.draw(told)
    hidden = len(told.lanes) - trace_plot._MOST_LANES

    assert hidden > 0
    assert f"{hidden} workers that did least are not shown" in figure.texts[-1].get_text()
