"""The ticker's picture: lateness at three percentiles, and the price in work, by task length."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.plot import FAINT, GRID, INK, INVALID, MARGIN, OURS, PEER, TITLE, WIDTH
from benchmarks.results import BenchmarkResult, ContestantResult, GroupResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Inches.
PANEL = 1.55
BETWEEN = 0.68
LEFT = 0.85
RIGHT = 0.3
BOTTOM = 1.0
LEGEND = 0.42

#: Width of a bar where lengths are 1 apart.
BAR = 0.2

OTHER_PEER = "#7d8894"
ALONE = "#e3e6ea"

#: Milliseconds; the three panels share them so that heights compare.
LATENESS_LIMITS = (0.03, 1500.0)
LATENESS_TICKS = (0.1, 1, 10, 100, 1000)

PANELS = (
    ("p50", "lateness, p50 (ms); dashes: target"),
    ("p99", "lateness, p99 (ms)"),
    ("max", "lateness, max (ms)"),
)


def draw_lateness(figure: Figure, result: BenchmarkResult) -> None:
    """A panel per percentile, on a logarithmic scale, and one for the work; dashes are targets."""
    panels = len(PANELS) + 1
    height = MARGIN + TITLE + LEGEND + panels * (PANEL + BETWEEN) - BETWEEN + BOTTOM
    figure.set_size_inches(WIDTH, height)
    top = height - MARGIN - TITLE - LEGEND
    for number in range(panels):
        bottom = top - PANEL
        place = (LEFT / WIDTH, bottom / height, 1 - (LEFT + RIGHT) / WIDTH, PANEL / height)
        axes = figure.add_axes(place)
        if number < len(PANELS):
            metric, title = PANELS[number]
            axes.set_yscale("log")
            axes.set_ylim(*LATENESS_LIMITS)
            axes.set_yticks(LATENESS_TICKS, [f"{tick:g}" for tick in LATENESS_TICKS])
            axes.minorticks_off()
            _draw_metric(axes, result, metric)
        else:
            title = "work, x serial without a ticker"
            _draw_work(axes, result)
            axes.margins(y=0.18)
        _draw_frame(axes, result, title)
        if number == 0:
            axes.legend(
                loc="lower left",
                bbox_to_anchor=(0, 1.2),
                ncols=4,
                frameon=False,
                fontsize=9,
                borderaxespad=0,
            )
        top = bottom - BETWEEN


def _tickers(group: GroupResult) -> list[ContestantResult]:
    """The contestants that had a ticker, gilpool first."""
    rows = [row for row in group.contestants if _ticked(row)]
    return sorted(rows, key=lambda row: (not row.ours, not _worked(row), row.name))


def _ticked(row: ContestantResult) -> bool:
    return "p99" in _metrics(row)


def _worked(row: ContestantResult) -> bool:
    return "task_ms" in _metrics(row)


def _metrics(row: ContestantResult) -> set[str]:
    return {name for sample in row.samples for name in sample.figures}


def _draw_metric(axes: Axes, result: BenchmarkResult, metric: str) -> None:
    for place, group in enumerate(result.groups):
        for row, across in _places(group, place):
            spread = row.spread(metric)
            if spread is not None:
                label = row.name if place == 0 else None
                rounds = list(row.by_round(metric).values())
                _draw_bar(axes, across, spread.median, rounds, _colour(group, row), label)
        for target in group.group.targets:
            if target.metric == metric and target.versus is None and target.at_most is not None:
                _draw_target(axes, place, target.at_most)


def _draw_work(axes: Axes, result: BenchmarkResult) -> None:
    for place, group in enumerate(result.groups):
        work = [t for t in group.group.targets if t.metric == "work" and t.at_most is not None]
        serial = next(row.name for row in group.contestants if not _ticked(row))
        for row, across in _places(group, place):
            ratio = group.ratio(row.name, serial, "work")
            if ratio is None or not _worked(row):
                continue
            own, base = row.by_round("work"), group[serial].by_round("work")
            rounds = [own[number] / base[number] for number in own if number in base]
            _draw_bar(axes, across, ratio.median, rounds, _colour(group, row), None)
        for target in work:
            _draw_target(axes, place, target.at_most or 0.0)
    axes.axhline(1.0, color=INK, lw=0.8, zorder=1)


def _places(group: GroupResult, place: int) -> list[tuple[ContestantResult, float]]:
    rows = _tickers(group)
    first = place - BAR * (len(rows) - 1) / 2
    return [(row, first + BAR * number) for number, row in enumerate(rows)]


def _colour(group: GroupResult, row: ContestantResult) -> str:
    if not row.valid:
        return INVALID
    if row.ours:
        return OURS
    if not _worked(row):
        return ALONE
    return PEER if row.name == group.group.peer else OTHER_PEER


def _draw_bar(
    axes: Axes, across: float, median: float, rounds: list[float], colour: str, label: str | None
) -> None:
    axes.bar(across, median, width=BAR * 0.92, color=colour, zorder=2, label=label)
    axes.plot([across] * len(rounds), rounds, "o", ms=2.6, mfc="white", mec=INK, mew=0.6, zorder=4)
    axes.annotate(
        f"{median:.2f}" if median < 10 else f"{median:.0f}",
        (across, max([median, *rounds])),
        xytext=(0, 4),
        textcoords="offset points",
        ha="center",
        size=7.5,
        color=INK,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.4, "alpha": 0.8},
    )


def _draw_target(axes: Axes, place: int, bound: float) -> None:
    axes.plot([place - 0.44, place + 0.44], [bound, bound], color=INK, lw=1.1, ls=(0, (4, 3)))


def _draw_frame(axes: Axes, result: BenchmarkResult, title: str) -> None:
    axes.set_title(title, loc="left", size=10, color=INK, pad=6)
    names = [group.group.title.rpartition(" tasks of ")[2] for group in result.groups]
    axes.set_xticks(range(len(names)), [f"tasks of {name}" for name in names])
    axes.tick_params(length=0, labelsize=8.5, colors=INK)
    axes.tick_params(axis="y", labelsize=7.5, colors=FAINT, which="both", length=0)
    axes.grid(axis="y", color=GRID, lw=0.7, zorder=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
