"""The picture of a contradiction: a bar an operation, a lane a process, the impossible one marked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

from analysis.svg import ALARM, INK, LANE, MUTED, RULE, SHADE, STYLE, to_svg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from analysis.linear.explain import Told
    from analysis.run_folder import Window

MOST_BARS: Final = 60  # of the operations nearest to the impossible one: a picture of any history stays small
_MOST_LETTERS: Final = 22
_WIDTH_INCHES: Final = 10.5
_LANE_INCHES: Final = 0.42
_HALF_BAR: Final = 0.32


def picture(result: dict[str, Any], windows: Sequence[Window] = ()) -> str:
    """Draws the window of a contradiction.

    Events stand side by side in their order, not to scale: what matters is which operations overlap, and a window may
    hold microseconds and minutes. The axis tells the times.

    Args:
        result: What `check` returned.
        windows: The faults; those that held are shaded.

    Returns:
        An `<svg>` element in the colours of the report's page; empty where nothing is contradictory.
    """
    contradiction = result.get("contradiction")
    if not contradiction:
        return ""
    bars = _nearest(contradiction["window"], contradiction["operation"])
    places = {line: place for place, line in enumerate(sorted(_lines(bars)))}
    lanes = {process: lane for lane, process in enumerate(sorted({bar["process"] for bar in bars}, reverse=True))}
    with mpl.rc_context(STYLE):
        height = 0.9 + _LANE_INCHES * len(lanes)
        figure = Figure(figsize=(_WIDTH_INCHES, height))
        axes = figure.add_axes((0.06, 0.5 / height, 0.92, 1 - 0.9 / height))
        end = len(places)
        for lane in lanes.values():
            axes.axhspan(lane - 0.44, lane + 0.44, color=LANE, linewidth=0, zorder=0)
        _shade(axes, bars, places, windows)
        for bar in bars:
            _draw(axes, bar, places, lanes[bar["process"]], end, bad=bar == contradiction["operation"])
        _times(axes, bars, places)
        axes.set_xlim(-0.5, end + 0.5)
        axes.set_ylim(-0.6, len(lanes) - 0.4)
        axes.set_yticks(list(lanes.values()), [str(process) for process in lanes])
        return to_svg(figure, "contradiction", "operations of the contradiction by process")


def _nearest(bars: list[Told], bad: Told) -> list[Told]:
    """Returns the bars that returned last before the impossible one, those that never did, and itself."""
    others = [bar for bar in bars if bar != bad]
    others.sort(key=lambda bar: bar["returned_line"] or 0, reverse=True)
    return [bad, *others[: MOST_BARS - 1]]


def _lines(bars: list[Told]) -> set[int]:
    returns = {bar["returned_line"] for bar in bars}
    return {bar["line"] for bar in bars} | {line for line in returns if line is not None}


def _draw(axes: Axes, bar: Told, places: dict[int, int], lane: int, end: int, *, bad: bool) -> None:  # noqa: PLR0913 - one bar
    """Draws one operation; one that nobody saw end is open to the right."""
    begin = places[bar["line"]]
    until = end + 0.5 if bar["returned_line"] is None else places[bar["returned_line"]]
    colour = ALARM if bad else MUTED
    axes.barh(
        lane, until - begin, 2 * _HALF_BAR, begin, color=colour, alpha=0.35 if bad else 0.2, linewidth=0, zorder=2
    )
    axes.plot([begin, begin], [lane - _HALF_BAR, lane + _HALF_BAR], color=colour, linewidth=1.6, zorder=3)
    if bar["returned_line"] is not None:
        axes.plot([until, until], [lane - _HALF_BAR, lane + _HALF_BAR], color=colour, linewidth=1.6, zorder=3)
    said = bar["text"] if len(bar["text"]) <= _MOST_LETTERS else bar["text"][: _MOST_LETTERS - 1] + "\u2026"
    axes.text(begin + 0.1, lane, said, color=ALARM if bad else INK, va="center", fontsize=8.5, zorder=4, clip_on=True)


def _shade(axes: Axes, bars: list[Told], places: dict[int, int], windows: Sequence[Window]) -> None:
    """Shades the events that fell into a fault."""
    times = _event_times(bars)
    for window in windows:
        inside = [places[line] for line, time_s in times.items() if window.from_s <= time_s < window.until_s]
        if inside:
            axes.axvspan(min(inside) - 0.5, max(inside) + 0.5, color=SHADE, alpha=0.12, linewidth=0, zorder=1)
            axes.text(
                min(inside) - 0.4, 1.01, window.name, transform=axes.get_xaxis_transform(), color=MUTED, fontsize=8.5
            )


def _times(axes: Axes, bars: list[Told], places: dict[int, int]) -> None:
    """Writes the times of some six events below the axis."""
    times = sorted(_event_times(bars).items())
    some = times[:: max(len(times) // 6, 1)]
    axes.set_xticks([places[line] for line, _ in some], [f"{time_s:.6g} s" for _, time_s in some])
    axes.tick_params(axis="x", color=RULE)


def _event_times(bars: list[Told]) -> dict[int, float]:
    """Returns the seconds at which each event of the bars happened, by its line."""
    begun = {bar["line"]: bar["invoked_s"] for bar in bars}
    ended = {
        bar["returned_line"]: bar["returned_s"]
        for bar in bars
        if bar["returned_line"] is not None and bar["returned_s"] is not None
    }
    return begun | ended
