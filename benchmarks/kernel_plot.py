"""The kernels' picture: each beside the Python way, then two calls at once beside two processes."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.plot import FAINT, GRID, INK, MARGIN, OURS, TITLE, WIDTH
from benchmarks.results import BenchmarkResult, GroupResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Inches.
LINE = 0.23
LEFT = 3.9
RIGHT = 1.5
HEAD = 0.45
AXIS = 0.5
BOTTOM = 0.55

PROCESSES = "two processes"
ONE = "one call"


@dataclass(frozen=True)
class Bar:
    """How many times the speed of its peer a row has."""

    label: str
    rounds: list[float]


def draw_kernels(figure: Figure, result: BenchmarkResult) -> None:
    """Two panels of bars, each reaching from no speed to that of the row, its peer's being 1."""
    panels = (
        ("one call beside the Python way", _beside_python(result), True),
        ("two calls at once beside two processes", _beside_processes(result), False),
    )
    inner = sum(HEAD + LINE * len(bars) + AXIS for _, bars, _ in panels)
    height = MARGIN + TITLE + inner + BOTTOM
    figure.set_size_inches(WIDTH, height)
    top = height - MARGIN - TITLE
    for title, bars, logarithmic in panels:
        size = LINE * max(1, len(bars))
        top -= HEAD + size
        place = (LEFT / WIDTH, top / height, 1 - (LEFT + RIGHT) / WIDTH, size / height)
        _draw_panel(figure.add_axes(place), title, bars, logarithmic)
        top -= AXIS


def _beside_python(result: BenchmarkResult) -> list[Bar]:
    bars = []
    for group in result.groups:
        names = [row.name for row in group.contestants]
        for row in group.contestants:
            if group.group.peer == PROCESSES:
                peer = next((name for name in names if name.startswith(f"{ONE}: ")), None)
                if row.name != ONE or peer is None:
                    continue
                kernel = group.group.title.rpartition(" ")[2]
                label = f"{kernel}, beside {peer.partition(': ')[2]}"
            elif row.ours and group.group.ideal is None:
                peer, label = group.group.peer, f"{group.group.title}: {row.name}"
            else:
                continue
            bars += _bar(group, row.name, peer, label)
    return bars


def _beside_processes(result: BenchmarkResult) -> list[Bar]:
    bars = []
    for group in result.groups:
        if group.group.peer == PROCESSES:
            kernel = group.group.title.rpartition(" ")[2]
            for row in group.contestants:
                if row.name.startswith("two ") and row.ours:
                    bars += _bar(group, row.name, PROCESSES, f"{kernel}, {row.name}")
    return bars


def _bar(group: GroupResult, name: str, peer: str, label: str) -> list[Bar]:
    if group.ratio(name, peer) is None:
        return []
    own, other = group[name].by_round("wall"), group[peer].by_round("wall")
    return [Bar(label, [other[number] / own[number] for number in own if number in other])]


def _draw_panel(axes: Axes, title: str, bars: list[Bar], logarithmic: bool) -> None:
    if logarithmic:
        axes.set_xscale("log")
    axes.set_ylim(len(bars) - 0.5, -0.5)
    axes.set_title(title, loc="left", size=10, color=INK, pad=8)
    for place, bar in enumerate(bars):
        left = 1.0 if logarithmic else 0.0
        median = statistics.median(bar.rounds)
        axes.barh(place, median - left, left=left, height=0.66, color=OURS, zorder=2)
        dots = [place] * len(bar.rounds)
        axes.plot(bar.rounds, dots, "o", ms=3, mfc="white", mec=INK, mew=0.6, zorder=4)
        axes.text(
            1.02,
            place,
            f"{median:.2f}x ({min(bar.rounds):.2f}-{max(bar.rounds):.2f})",
            transform=axes.get_yaxis_transform(),
            va="center",
            size=8,
            color=INK,
        )
    axes.axvline(1.0, color=INK, lw=1, zorder=3)
    axes.set_yticks(range(len(bars)), [bar.label for bar in bars], size=8, color=INK)
    axes.tick_params(length=0, labelsize=8, colors=FAINT)
    axes.tick_params(axis="y", colors=INK)
    axes.set_xlabel("speed, x that of the peer (right is better)", size=8, color=FAINT)
    axes.grid(axis="x", color=GRID, lw=0.7, zorder=0)
    for side in ("top", "right", "bottom", "left"):
        axes.spines[side].set_visible(False)
