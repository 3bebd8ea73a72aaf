"""A trace as a picture: what each worker's thread had of the GIL, and how long the queue was.

Needs matplotlib; import this module only where that may fail. It uses figure objects alone, no
pyplot and no global state, so it may be called from any thread.
"""

from __future__ import annotations

from collections.abc import Iterable

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from gilpool._cli.drawing import INK, PALE_INK, Look, new_figure, rendered
from gilpool._cli.trace_read import Lane, State, Stretch, TraceFile

_LOOKS: dict[State, Look] = {
    "held": Look("in a task, holding the GIL", "#D55E00"),
    "released": Look("in a task, GIL released", "#56B4E9"),
    "waiting": Look("waiting for the GIL", "#F2F2F2", "////", "#B4B4B4"),
    "unseen": Look("in a task that was not looked at", "#8C8C8C"),
}
_GRID = "#E4E4E4"
_QUEUE, _BUSY, _WAITS = "#0072B2", "#009E73", "#CC79A7"

_WIDTH_IN = 11.0
_LANE_IN = 0.26
_TALLEST_LANES_IN = 9.0
_COUNTERS_IN = 0.95
_HEADER_IN = 0.98
_GAP_IN = 0.42
_FOOTER_IN = 0.66
_LEFT, _RIGHT = 0.095, 0.975
_BAR_SHARE = 0.80

_MOST_LANES = 48
_PIXELS = 2_000
"""Gaps narrower than one of so many parts of the picture are not drawn."""
_LABELLED_SHARE = 0.055
"""Tasks at least this wide carry their name."""
_CHARACTERS_ACROSS = 150


def render(trace: TraceFile, file_format: str) -> bytes:
    """Draws a trace as "png" or "svg"."""
    return rendered(draw(trace), file_format)


def draw(trace: TraceFile) -> Figure:
    """Draws a trace: a lane per worker, and the counters below."""
    lanes = _busiest(trace.lanes)
    lanes_in = min(_TALLEST_LANES_IN, _LANE_IN * max(3, len(lanes)))
    height = _HEADER_IN + lanes_in + _GAP_IN + _COUNTERS_IN + _FOOTER_IN
    figure = new_figure(_WIDTH_IN, height)
    _draw_header(figure, height, trace)
    width = _RIGHT - _LEFT
    counters_bottom = _FOOTER_IN / height
    lanes_bottom = (_FOOTER_IN + _COUNTERS_IN + _GAP_IN) / height
    axes = figure.add_axes((_LEFT, lanes_bottom, width, lanes_in / height))
    _draw_lanes(axes, lanes, trace.seconds)
    below = figure.add_axes((_LEFT, counters_bottom, width, _COUNTERS_IN / height))
    _draw_counters(below, trace)
    note = "What gilpool stamps itself is exact; the rest is seen about once a millisecond."
    hidden = len(trace.lanes) - len(lanes)
    if hidden:
        note += f" {hidden} workers that did least are not shown."
    if trace.dropped:
        note += f" {trace.dropped:,} events did not fit and are missing."
    figure.text(0.02, 0.12 / height, note, fontsize=8, color=PALE_INK, va="bottom")
    return figure


def _busiest(lanes: list[Lane]) -> list[Lane]:
    """Those worth showing, in the order they have."""
    if len(lanes) <= _MOST_LANES:
        return lanes
    ranked = sorted(lanes, key=lambda lane: -sum(task.end - task.begin for task in lane.tasks))
    chosen = {id(lane) for lane in ranked[:_MOST_LANES]}
    return [lane for lane in lanes if id(lane) in chosen]


def _draw_header(figure: Figure, height: float, trace: TraceFile) -> None:
    tasks = len(trace.tasks)
    figure.text(
        0.02,
        1 - 0.16 / height,
        f"What {tasks:,} tasks did with the GIL",
        fontsize=16,
        fontweight="bold",
        color=INK,
        va="top",
    )
    figure.text(
        0.02,
        1 - 0.50 / height,
        f"{trace.program}, {_seconds(trace.seconds)}: each lane is one native thread of the pool. "
        "One orange bar at any moment, that is the GIL.",
        fontsize=10.5,
        color=INK,
        va="top",
    )
    used = {stretch.state for lane in trace.lanes for stretch in lane.stretches()}
    shown = {state: look for state, look in _LOOKS.items() if state in used}
    if not shown:
        return
    figure.legend(
        handles=[
            Patch(facecolor=look.face, hatch=look.hatch, edgecolor=look.edge, linewidth=0)
            for look in shown.values()
        ],
        labels=[look.label for look in shown.values()],
        loc="upper left",
        bbox_to_anchor=(0.012, 1 - 0.68 / height),
        ncols=max(1, len(shown)),
        frameon=False,
        fontsize=10,
        handlelength=2.2,
        handleheight=1.0,
        columnspacing=2.0,
        labelcolor=INK,
    )


def _draw_lanes(axes: Axes, lanes: list[Lane], seconds: float) -> None:
    axes.set_xlim(0, seconds)
    axes.set_ylim(max(3, len(lanes)) - 0.5, -0.5)
    for position, lane in enumerate(lanes):
        stretches = list(merged(lane.stretches(), seconds / _PIXELS))
        for state, look in reversed(_LOOKS.items()):  # what is known over what is not
            bars = [(s.begin, s.end - s.begin) for s in stretches if s.state == state]
            if bars:
                axes.broken_barh(
                    bars,
                    (position - _BAR_SHARE / 2, _BAR_SHARE),
                    facecolor=look.face,
                    hatch=look.hatch,
                    edgecolor=look.edge,
                    linewidth=0,
                )
        _label_tasks(axes, lane, position, seconds)
    labels = [lane.name.removeprefix("gilpool ") for lane in lanes]
    step = -(-len(lanes) // 24) if lanes else 1
    axes.set_yticks(list(range(0, len(lanes), step)), labels[::step])
    _dress(axes)


def merged(stretches: Iterable[Stretch], shortest: float) -> Iterable[Stretch]:
    """The same with neighbours of one state joined across gaps that would not be seen."""
    last: Stretch | None = None
    for stretch in stretches:
        if last is None:
            last = stretch
        elif last.state == stretch.state and stretch.begin - last.end < shortest:
            last = Stretch(last.begin, max(last.end, stretch.end), last.state)
        else:
            yield last
            last = stretch
    if last is not None:
        yield last


def _label_tasks(axes: Axes, lane: Lane, position: int, seconds: float) -> None:
    """Names and borders of the tasks that have room for them."""
    for task in lane.tasks:
        share = (task.end - task.begin) / seconds if seconds > 0 else 0
        if share < _LABELLED_SHARE:
            continue
        room = int(share * _CHARACTERS_ACROSS)
        name = task.name.rpartition(".")[2]
        axes.text(
            task.begin + 0.004 * seconds,
            position,
            name if len(name) <= room else name[: room - 1] + "\N{HORIZONTAL ELLIPSIS}",
            fontsize=7.5,
            color=INK,
            va="center",
            clip_on=True,
        )
        axes.plot(
            [task.begin, task.begin],
            [position - _BAR_SHARE / 2, position + _BAR_SHARE / 2],
            color=INK,
            linewidth=0.7,
            solid_capstyle="butt",
        )


def _draw_counters(axes: Axes, trace: TraceFile) -> None:
    axes.set_xlim(0, trace.seconds)
    top = 1.0
    for series, label, colour in (
        (trace.counters.get("queue depth", []), "queued", _QUEUE),
        (trace.counters.get("busy", []), "running", _BUSY),
        (_under_way(trace), "waiting without a thread", _WAITS),
    ):
        if not series:
            continue
        times = [when for when, _ in series] + [trace.seconds]
        values = [value for _, value in series]
        values.append(values[-1])
        axes.step(times, values, where="post", color=colour, linewidth=1.2, label=label)
        axes.fill_between(times, values, step="post", color=colour, alpha=0.15, linewidth=0)
        top = max(top, *values)
    axes.set_ylim(0, top * 1.12)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=3, integer=True))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set_title("tasks", loc="left", fontsize=9, color=INK, pad=3)
    if trace.counters or trace.waits:
        axes.legend(
            loc="lower right",
            bbox_to_anchor=(1, 1),
            ncols=3,
            frameon=False,
            fontsize=9,
            handlelength=1.4,
            borderaxespad=0.2,
            labelcolor=INK,
        )
    _dress(axes)


def _under_way(trace: TraceFile) -> list[tuple[float, float]]:
    """How many waits without a thread there are, from each moment on at which that changes."""
    changes = [(wait.begin, 1) for wait in trace.waits] + [(wait.end, -1) for wait in trace.waits]
    count = 0
    series: list[tuple[float, float]] = [(0.0, 0)] if changes else []
    for when, change in sorted(changes):
        count += change
        series.append((when, count))
    return series


def _dress(axes: Axes) -> None:
    """Names the time, and takes away every line that says nothing."""
    span = axes.get_xlim()[1]
    unit, size = ("s", 1.0) if span >= 1 else ("ms", 1e-3)
    axes.tick_params(axis="both", length=0, labelsize=9, labelcolor=INK)
    # Round numbers of the unit: ticks are chosen in what is shown.
    locator = MaxNLocator(nbins=9, steps=[1, 2, 2.5, 5, 10])
    axes.set_xticks([tick * size for tick in locator.tick_values(0, span / size)])
    axes.set_xlim(0, span)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / size:g} {unit}")
    axes.grid(axis="x", color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.0f} ms"
