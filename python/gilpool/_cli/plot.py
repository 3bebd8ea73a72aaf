"""The picture: what each OS thread did over time, one panel per row.

Needs matplotlib; import this module only where that may fail. It uses figure objects alone, no
pyplot and no global state, so it may be called from any thread.

The panels of one pair (the same runner, released and held) stand above each other on one time axis,
as long as all calls one after the other. So the staircase and the overlap are seen, and the empty
space is the time saved.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from gilpool._cli.drawing import INK, PALE_INK, Look, new_figure, rendered
from gilpool._cli.model import Phase, RowResult, Session, Timeline
from gilpool._cli.rows import HELD_AT_LEAST
from gilpool._cli.table import machine_line

_LOOKS: dict[Phase, Look] = {
    "held": Look("in the call, holding the GIL", "#D55E00"),
    "released": Look("in the call, GIL released", "#56B4E9"),
    "waiting": Look("ready, but waiting for the GIL", "#F2F2F2", "////", "#C4C4C4"),
}
_LABELS_WITHOUT_GIL: dict[Phase, str] = {
    "held": "in the call, attached (there is no GIL)",
    "released": "in the call, detached",
    "waiting": "ready, but not begun",
}

_WIDTH_IN = 9.6
_BAR_SHARE = 0.78
"""How much of a thread's line its bar fills."""
_LINE_IN = 0.22
_TALLEST_PANEL_IN = 2.4
_TITLE_IN = 0.40
_AXIS_IN = 0.36
_HEADER_IN = 0.98
_FOOTER_IN = 0.42
_LEFT, _RIGHT = 0.112, 0.972
_LABELLED_THREADS = 12


def render(session: Session, file_format: str) -> bytes:
    """Draws a finished session as "png" or "svg"."""
    return rendered(draw(session), file_format)


def draw(session: Session) -> Figure:
    """Draws a finished session."""
    pairs = [list(pair) for _, pair in groupby(session.results, _pair)]
    height = _HEADER_IN + _FOOTER_IN
    for pair in pairs:
        height += _AXIS_IN + sum(_TITLE_IN + _panel_height(result) for result in pair)
    figure = new_figure(_WIDTH_IN, height)
    _draw_header(figure, height, gil_enabled=session.gil_enabled)
    top = height - _HEADER_IN
    for pair in pairs:
        until = max(max(r.seconds, r.row.threads * r.row.ideal) for r in pair)
        for result in pair:
            panel = _panel_height(result)
            top -= _TITLE_IN + panel
            axes = figure.add_axes((_LEFT, top / height, _RIGHT - _LEFT, panel / height))
            _draw_panel(axes, result, until, label_time=result is pair[-1])
        top -= _AXIS_IN
    figure.text(
        0.02, 0.12 / height, machine_line(session.machine), fontsize=8, color=PALE_INK, va="bottom"
    )
    return figure


def title(result: RowResult) -> tuple[str, str]:
    """The panel's sentence in two parts: how long it took, and what to make of that."""
    row = result.row
    if row.threads == 1:
        meaning = "a single call"
    elif result.ratio <= row.released_at_most:
        meaning = "the calls overlapped"
    elif result.ratio >= HELD_AT_LEAST * row.threads:
        meaning = "the calls ran one after the other"
    else:
        meaning = "the calls overlapped only in part"
    return (
        f"{row.runner}, {row.call}: {_seconds(result.seconds, row.ideal)}",
        f"where one call takes {_seconds(row.ideal, row.ideal)} ({result.ratio:.1f}x): {meaning}",
    )


def os_thread_lines(timelines: Sequence[Timeline]) -> list[list[Timeline]]:
    """One line per OS thread, in the order in which their calls began; usually one call on each."""
    lines: dict[int | None, list[Timeline]] = {}
    for timeline in sorted(timelines, key=_call_start_ns):
        lines.setdefault(timeline.native_id, []).append(timeline)
    return list(lines.values())


def _call_start_ns(timeline: Timeline) -> int:
    return next(span.start_ns for span in timeline.spans if span.phase != "waiting")


def _pair(result: RowResult) -> tuple[str, bool]:
    """What the rows of one pair have in common."""
    return result.row.runner, result.row.gate


def _seconds(seconds: float, unit: float) -> str:
    """Rounded as fits durations that are counted in calls of `unit` seconds."""
    return f"{seconds:.1f} s" if unit >= 1 else f"{seconds:.2f} s"


def _panel_height(result: RowResult) -> float:
    return min(_TALLEST_PANEL_IN, _LINE_IN * max(2, len(os_thread_lines(result.timelines))))


def _draw_header(figure: Figure, height: float, *, gil_enabled: bool) -> None:
    figure.text(
        0.02,
        1 - 0.16 / height,
        "Who holds the GIL, and who can run meanwhile"
        if gil_enabled
        else "Without the GIL nobody waits for anybody",
        fontsize=16,
        fontweight="bold",
        color=INK,
        va="top",
    )
    figure.text(
        0.02,
        1 - 0.50 / height,
        "Each bar is one OS thread that makes one call; all are ready at 0 s. "
        "The dashed line is the length of one call.",
        fontsize=10.5,
        color=INK,
        va="top",
    )
    figure.legend(
        handles=[
            Patch(facecolor=look.face, hatch=look.hatch, edgecolor=look.edge, linewidth=0)
            for look in _LOOKS.values()
        ],
        labels=[
            look.label if gil_enabled else _LABELS_WITHOUT_GIL[phase]
            for phase, look in _LOOKS.items()
        ],
        loc="upper left",
        bbox_to_anchor=(0.012, 1 - 0.72 / height),
        ncols=len(_LOOKS),
        frameon=False,
        fontsize=10.5,
        handlelength=2.2,
        handleheight=1.0,
        columnspacing=2.2,
        labelcolor=INK,
    )


def _draw_panel(axes: Axes, result: RowResult, until: float, *, label_time: bool) -> None:
    lines = os_thread_lines(result.timelines)
    axes.set_xlim(0, until * 1.02)
    axes.set_ylim(len(lines) - 0.5, -0.5)
    for position, timelines in enumerate(lines):
        for timeline in timelines:
            _draw_bar(axes, timeline, position, result.start_ns)
    axes.axvline(result.row.ideal, color=INK, linewidth=1.0, linestyle=(0, (4, 3)))
    _draw_title(axes, *title(result))
    _dress(axes, [timelines[0].native_id for timelines in lines], label_time=label_time)


def _draw_title(axes: Axes, fact: str, meaning: str) -> None:
    bold = axes.set_title(fact, loc="left", fontsize=10.5, fontweight="bold", color=INK, pad=5)
    axes.annotate(
        meaning,
        xy=(1, 0),
        xycoords=bold,
        xytext=(5, 0),
        textcoords="offset points",
        va="bottom",
        fontsize=10.5,
        color=INK,
        annotation_clip=False,
    )


def _draw_bar(axes: Axes, timeline: Timeline, position: int, start_ns: int) -> None:
    for phase, look in _LOOKS.items():
        stretches = [
            ((span.start_ns - start_ns) / 1e9, span.seconds)
            for span in timeline.spans
            if span.phase == phase
        ]
        if stretches:
            axes.broken_barh(
                stretches,
                (position - _BAR_SHARE / 2, _BAR_SHARE),
                facecolor=look.face,
                hatch=look.hatch,
                edgecolor=look.edge,
                linewidth=0,
            )


def _dress(axes: Axes, native_ids: Sequence[int | None], *, label_time: bool) -> None:
    """Names the threads and the time, and takes away every line that says nothing."""
    step = -(-len(native_ids) // _LABELLED_THREADS)
    labelled = range(0, len(native_ids), step)
    axes.set_yticks(list(labelled), [f"thread {native_ids[position]}" for position in labelled])
    axes.tick_params(axis="both", length=0, labelsize=9, labelcolor=INK)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g} s")
    axes.tick_params(axis="x", labelbottom=label_time)
    axes.grid(axis="x", color="#E4E4E4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
