"""One picture of all loads: each contestant's speed beside the tuned peer's, on one scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.plot import FAINT, GRID, INK, INVALID, MARGIN, OURS, PEER, TITLE, WIDTH
from benchmarks.results import BenchmarkResult, ContestantResult, GroupResult, Status

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Inches.
LINE = 0.24
GAP = 0.5
LEFT = 2.35
RIGHT = 2.15
BOTTOM = 1.05

#: The axis is logarithmic and ends here; what lies beyond is drawn at its end.
LOWEST, HIGHEST = 0.02, 20.0

TARGET = 0.95


def draw_speeds(figure: Figure, result: BenchmarkResult) -> None:
    """A block of lines per load; a bar reaches from the peer's speed to the contestant's."""
    blocks = [_lines(group) for group in result.groups]
    height = sum(GAP + LINE * len(lines) for lines in blocks)
    total = MARGIN + TITLE + height + BOTTOM
    figure.set_size_inches(WIDTH, total)
    axes = figure.add_axes(
        (LEFT / WIDTH, BOTTOM / total, 1 - (LEFT + RIGHT) / WIDTH, height / total)
    )
    axes.set_xscale("log")
    axes.set_xlim(LOWEST, HIGHEST)
    axes.set_ylim(height, 0)
    top = 0.0
    for group, lines in zip(result.groups, blocks, strict=True):
        top += GAP
        axes.annotate(
            group.group.title,
            (0, top - LINE * 0.8),
            xycoords=axes.get_yaxis_transform(),
            xytext=(-LEFT * 72 + MARGIN * 72, 0),
            textcoords="offset points",
            size=9.5,
            weight="bold",
            color=INK,
        )
        for row in lines:
            _draw_line(axes, group, row, top)
            top += LINE
    _draw_frame(axes)


def _lines(group: GroupResult) -> list[ContestantResult]:
    """gilpool first, then the peers that were measured, then those that were not."""
    return sorted(group.contestants, key=lambda row: (not row.ours, not row.valid))


def _draw_line(axes: Axes, group: GroupResult, row: ContestantResult, y: float) -> None:
    name = f"{row.name} ({row.chosen})" if row.chosen else row.name
    beside = axes.get_yaxis_transform()
    bold = "bold" if row.ours else "normal"
    axes.text(-0.015, y, name, transform=beside, ha="right", va="center", size=8.5, color=INK)
    wall = row.spread("wall")
    if wall is None or not row.valid:
        missing = row.status is Status.MISSING
        axes.text(
            0.01,
            y,
            "not installed" if missing else row.status.value,
            transform=beside,
            va="center",
            size=8,
            color=FAINT if missing else INVALID,
            style="italic",
        )
        return
    axes.text(
        1.12,
        y,
        f"{wall.median:,.3f} s",
        transform=beside,
        ha="right",
        va="center",
        size=8.5,
        color=INK,
        weight=bold,
    )
    ratio = group.ratio(row.name, metric="speed")
    if ratio is None:
        return
    is_peer = row.name == group.group.peer
    text = (
        "peer" if is_peer else f"{_times(ratio.median)}x ({_times(ratio.low)}-{_times(ratio.high)})"
    )
    axes.text(1.14, y, text, transform=beside, va="center", size=8.5, color=INK, weight=bold)
    if is_peer:
        return
    colour = OURS if row.ours else PEER
    axes.barh(y, _inside(ratio.median) - 1, left=1, height=LINE * 0.62, color=colour, zorder=2)
    own, peer = row.by_round("speed"), group[group.group.peer].by_round("speed")
    rounds = [_inside(own[number] / peer[number]) for number in own if number in peer]
    axes.plot(rounds, [y] * len(rounds), "o", ms=3, mfc="white", mec=INK, mew=0.6, zorder=4)


def _times(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"


def _inside(ratio: float) -> float:
    """The ratio, or the end of the axis that it lies beyond."""
    return min(max(ratio, LOWEST), HIGHEST)


def _draw_frame(axes: Axes) -> None:
    axes.axvline(1.0, color=INK, lw=1, zorder=1)
    axes.axvline(TARGET, color=OURS, lw=1, ls=(0, (4, 3)), zorder=1)
    ticks = [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_yticks([])
    axes.set_xlabel(
        "speed, x that of the tuned ThreadPoolExecutor (right is better); dashed: target, 0.95",
        size=8.5,
        color=INK,
    )
    axes.tick_params(length=0, labelsize=8, colors=FAINT)
    axes.grid(axis="x", color=GRID, lw=0.7, zorder=0)
    for side in ("top", "right", "bottom", "left"):
        axes.spines[side].set_visible(False)
