"""One clear picture per benchmark: a panel per group, a bar per contestant, every round as a dot.

A benchmark with a picture of its own passes `draw`; this is the default. Needs matplotlib, which is
imported on use.
"""

from __future__ import annotations

import importlib.util
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.machine import Machine
from benchmarks.report import times
from benchmarks.results import BenchmarkResult, ContestantResult, GroupResult, Status

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "svg", "pdf")

OURS = "#1f6f8b"
PEER = "#b8bec6"
INVALID = "#d1495b"
INK = "#22272e"
FAINT = "#6b7480"
GRID = "#e6e8eb"

# Inches.
WIDTH = 9.6
MARGIN = 0.2
TITLE = 0.42
FOOT = 0.6
BAR = 0.36
PANEL_TITLE = 0.5
PANEL_AXIS = 0.36
LABELS = 2.5
INCHES_PER_CHARACTER = 0.075


class PlotUnavailableError(Exception):
    """matplotlib is missing; the text is the line that installs it."""


def check_plot(file: Path) -> None:
    """Finds out before a long run whether its picture can be drawn at the end.

    matplotlib is looked for, not imported: it brings threads, which are not to be there while
    contestants run.

    Raises:
        PlotUnavailableError: matplotlib is not installed.
        ValueError: The suffix names no format, or there is no such folder.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise PlotUnavailableError("pip install matplotlib")
    if file.suffix.lstrip(".") not in FORMATS:
        raise ValueError(f"no picture format {file.suffix!r}, only {', '.join(FORMATS)}")
    if not file.absolute().parent.is_dir():
        raise ValueError(f"there is no folder {file.absolute().parent}")


def save_plot(result: BenchmarkResult, machine: Machine, file: Path) -> None:
    """Draws the benchmark's picture; the format follows the suffix; raises like `check_plot`."""
    check_plot(file)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, _height(result)), facecolor="white")
    (result.benchmark.draw or draw_bars)(figure, result)
    height = figure.get_figheight()
    title = f"{result.benchmark.title} [{result.size.value}]"
    figure.text(
        MARGIN / WIDTH, 1 - MARGIN / height, title, size=13, weight="bold", color=INK, va="top"
    )
    key = "Bar: median of the rounds; dots: single rounds; blue: gilpool; grey: peers."
    caption = f"{key}\n{textwrap.fill(machine.line, 150)}"
    figure.text(MARGIN / WIDTH, MARGIN / height, caption, size=7.5, color=FAINT, va="bottom")
    figure.savefig(file, dpi=150)


def _height(result: BenchmarkResult) -> float:
    rows = sum(len(group.contestants) for group in result.groups)
    panels = len(result.groups) * (PANEL_TITLE + PANEL_AXIS)
    return MARGIN + TITLE + panels + BAR * rows + FOOT


def draw_bars(figure: Figure, result: BenchmarkResult) -> None:
    """A panel per group, as high as its number of contestants asks for."""
    height = figure.get_figheight()
    names = [_name(row) for group in result.groups for row in group.contestants]
    left = MARGIN + INCHES_PER_CHARACTER * max(map(len, names), default=0)
    limits = [_limit(group) for group in result.groups]
    top = height - MARGIN - TITLE
    for group, limit in zip(result.groups, limits, strict=True):
        bars = BAR * len(group.contestants)
        bottom = top - PANEL_TITLE - bars
        place = (left / WIDTH, bottom / height, 1 - (left + LABELS) / WIDTH, bars / height)
        axes = figure.add_axes(place)
        axes.set_xlim(0, max(limits) if result.benchmark.common_scale else limit)
        _draw_group(axes, group)
        top = bottom - PANEL_AXIS


def _name(row: ContestantResult) -> str:
    return f"{row.name} = {row.chosen}" if row.chosen else row.name


def _limit(group: GroupResult) -> float:
    """The right end of a group's axis: the longest round or the ideal, and a little air."""
    spreads = [row.spread(group.metric.name) for row in group.contestants]
    ends = [spread.high for spread in spreads if spread]
    return max([*ends, group.group.ideal or 0.0]) * group.metric.scale * 1.04 or 1.0


def _draw_group(axes: Axes, group: GroupResult) -> None:
    metric = group.metric
    beside = axes.get_yaxis_transform()
    for place, row in enumerate(group.contestants):
        spread = row.spread(metric.name)
        if row.status in (Status.MISSING, Status.FAILED) or spread is None:
            word = "not installed" if row.status is Status.MISSING else "failed"
            axes.text(
                0.01,
                place,
                word,
                transform=beside,
                va="center",
                size=9,
                color=FAINT,
                style="italic",
            )
            continue
        invalid = row.status is Status.INVALID
        colour = INVALID if invalid else OURS if row.ours else PEER
        axes.barh(place, spread.median * metric.scale, height=0.66, color=colour, zorder=2)
        rounds = [value * metric.scale for value in row.by_round(metric.name).values()]
        axes.plot(rounds, [place] * len(rounds), "o", ms=3, mfc="white", mec=INK, mew=0.6, zorder=4)
        ink, weight = INVALID if invalid else INK, "bold" if row.ours else "normal"
        for across, text in ((1.10, _figure(group, row)), (1.13, _beside_peer(group, row))):
            side = "right" if across < 1.12 else "left"
            axes.text(
                across,
                place,
                text,
                transform=beside,
                va="center",
                ha=side,
                size=9,
                color=ink,
                weight=weight,
            )
    _draw_frame(axes, group)


def _figure(group: GroupResult, row: ContestantResult) -> str:
    spread = row.spread(group.metric.name)
    return f"{spread.median * group.metric.scale:,.{group.metric.digits}f}" if spread else ""


def _beside_peer(group: GroupResult, row: ContestantResult) -> str:
    if row.status is Status.INVALID:
        return "INVALID"
    if row.name == group.group.peer:
        return "peer"
    ratio = group.ratio(row.name)
    return times(ratio) if ratio else ""


def _draw_frame(axes: Axes, group: GroupResult) -> None:
    """Everything but the bars: titles, ideal, ticks, grid."""
    metric = group.metric
    axes.set_ylim(len(group.contestants) - 0.5, -0.5)
    axes.set_yticks(range(len(group.contestants)), [_name(row) for row in group.contestants])
    better = " (more is better)" if metric.higher_is_better else ""
    axes.set_title(f"{group.group.title}{better}", loc="left", size=10, color=INK, pad=17)
    heads = ((1.10, "right", metric.title), (1.13, "left", "x peer (spread)"))
    for across, side, text in heads:
        axes.annotate(
            text,
            (across, 1),
            xycoords="axes fraction",
            xytext=(0, 3),
            ha=side,
            va="bottom",
            textcoords="offset points",
            size=8,
            color=FAINT,
        )
    if group.group.ideal is not None:
        ideal = group.group.ideal * metric.scale
        axes.axvline(ideal, color=INK, lw=1, ls=(0, (4, 3)), zorder=3)
        axes.annotate(
            "ideal",
            (ideal, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 2),
            size=8,
            textcoords="offset points",
            ha="center",
            va="bottom",
            color=INK,
        )
    axes.tick_params(length=0, labelsize=9, colors=INK)
    axes.tick_params(axis="x", labelsize=7.5, colors=FAINT)
    axes.grid(axis="x", color=GRID, lw=0.7, zorder=0)
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
    axes.spines["left"].set_color(FAINT)
