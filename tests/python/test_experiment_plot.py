"""The picture: right bars in right colours, sentences that fit the numbers, files that open."""

from __future__ import annotations

import io
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from typing import Any

import matplotlib.image
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex

from _experiment_lines import session_of
from gilpool._cli.model import RowResult, Timeline
from gilpool._cli.plot import draw, os_thread_lines, render, title
from gilpool._cli.rows import Parameters, experiment_rows, seed_rows

ORANGE, BLUE = "#d55e00", "#56b4e9"


def bars(axes: Axes, color: str) -> list[tuple[float, float, int]]:
    """Start, end and line of each bar of one colour."""
    found = []
    for collection in axes.collections:
        assert isinstance(collection, PolyCollection)
        face: Any = collection.get_facecolor()
        if to_hex(face[0]) == color:
            for path in collection.get_paths():
                box = path.get_extents()
                found.append((box.x0, box.x1, round((box.y0 + box.y1) / 2)))
    return sorted(found, key=lambda bar: bar[2])


def test_the_held_case_is_a_staircase_and_the_released_one_overlaps() -> None:
    released, held, *_ = draw(session_of()).axes

    assert bars(released, ORANGE) == []
    assert bars(released, BLUE) == [(0.0, 5.0, line) for line in range(5)]
    assert bars(held, BLUE) == []
    assert bars(held, ORANGE) == [(5.0 * line, 5.0 * line + 5, line) for line in range(5)]


def test_the_colours_follow_the_stamps_not_the_name_of_the_call() -> None:
    _, named_held, *_ = draw(session_of(without_staircase=True)).axes

    assert bars(named_held, ORANGE) == []
    assert len(bars(named_held, BLUE)) == 5


def test_the_panels_of_a_pair_share_their_time_axis() -> None:
    axes = draw(session_of()).axes
    limits = [axis.get_xlim() for axis in axes]

    assert limits[0] == limits[1] == limits[2] == limits[3]
    assert limits[0][1] >= 25
    assert 10 <= limits[4][1] < 11


def test_pairs_stay_apart_when_all_calls_have_the_same_length() -> None:
    axes = draw(session_of(experiment_rows(Parameters(threads=40, ms=500)))).axes

    assert axes[3].get_xlim()[1] >= 20
    assert axes[4].get_xlim()[1] < 6


def test_there_is_one_legend() -> None:
    figure = draw(session_of())

    assert len(figure.legends) == 1
    assert all(axes.get_legend() is None for axes in figure.axes)


def test_threads_are_in_the_order_in_which_their_calls_began() -> None:
    timelines = session_of().results[1].timelines
    backwards: tuple[Timeline, ...] = tuple(reversed(timelines))

    assert [line[0].index for line in os_thread_lines(backwards)] == [0, 1, 2, 3, 4]


def test_calls_of_one_os_thread_share_a_line() -> None:
    first, second, *_ = session_of().results[1].timelines
    same = Timeline(second.index, first.native_id, second.spans, second.ended)

    assert os_thread_lines([first, same]) == [[first, same]]


def test_the_sentences_say_seconds_one_call_and_what_it_means() -> None:
    results = session_of().results

    assert " ".join(title(results[0])) == (
        "threading.Thread, sleep_nogil: 5.0 s "
        "where one call takes 5.0 s (1.0x): the calls overlapped"
    )
    assert " ".join(title(results[1])) == (
        "threading.Thread, sleep_gil: 25.0 s "
        "where one call takes 5.0 s (5.0x): the calls ran one after the other"
    )


def test_the_sentence_is_true_for_odd_outcomes() -> None:
    held = session_of().results[1]
    half = RowResult(held.row, held.start_ns, held.start_ns + 12_500_000_000, held.timelines)
    alone = session_of(seed_rows(Parameters(threads=1))).results[1]

    assert title(half)[1].endswith("the calls overlapped only in part")
    assert title(alone)[1].endswith("a single call")


def test_without_the_gil_the_legend_speaks_of_no_holder() -> None:
    (legend,) = draw(session_of(gil_enabled=False, without_staircase=True)).legends
    texts = [text.get_text() for text in legend.get_texts()]

    assert not any("holding" in text for text in texts)


@pytest.mark.parametrize("threads", [1, 2, 5, 300])
def test_png_and_svg_open_and_all_text_is_inside(threads: int) -> None:
    session = session_of(experiment_rows(Parameters(threads=threads)))
    image = matplotlib.image.imread(io.BytesIO(render(session, "png")), format="png")
    svg = ElementTree.fromstring(render(session, "svg"))

    height, width, _ = image.shape
    assert width > 1000
    assert height < 3 * width
    assert svg.tag.endswith("svg")
    # Nothing but background at the edges: no text or bar is cut off.
    background = image[0, 0]
    for edge in (image[0], image[-1], image[:, 0], image[:, -1]):
        assert (edge == background).all()


def test_the_same_session_gives_the_same_picture() -> None:
    assert render(session_of(), "png") == render(session_of(), "png")


def test_drawing_leaves_pyplot_alone() -> None:
    code = (
        "import sys; sys.path[:] = sys.argv[1:]\n"
        "from _experiment_lines import session_of\n"
        "from gilpool._cli.plot import render\n"
        "render(session_of(), 'png')\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code, *sys.path], check=True, timeout=60)
