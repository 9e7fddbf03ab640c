"""The pictures of a run: every acknowledged write by node, latency over time, rate over time."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from analysis.svg import ALARM, INK, LANE, MUTED, SHADE, STYLE, to_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from analysis.history import Call, History
    from analysis.lost_writes import Writes
    from analysis.run_folder import Window

# Distinct for colour-blind eyes (after Okabe and Ito), and readable on white and on black.
SURVIVED, LOST, RECOVERED = "#4a90c4", "#d55e00", "#009e73"
UNREAD = "#8c8c8c"  # nobody looked for them
POINT_SIZES = {"ok": 6, "fail": 10, "info": 16}  # the rarer, the larger
OUTCOMES = {"ok": "#4a90c4", "fail": "#e69f00", "info": "#a05fb4"}

VECTOR_POINTS = 3000  # above, a layer of points is rasterized: a page for 100,000 operations stays small
WIDTH_INCHES = 10.5
LETTER_INCHES = 0.075  # of a window's name, about
LANE_INCHES = 0.62
LANE_HALF = 0.36  # half the height of a lane's points; lanes are 1 apart
LEFT, RIGHT = 0.06, 0.89  # the axes' edges; all pictures share them, so that their times line up


class Span(NamedTuple):
    """What the time axis covers, in seconds since T0."""

    begin_s: float
    end_s: float


def time_span(history: History) -> Span:
    """Returns the time from T0, or the first operation, to the last event of a client."""
    times = [call.invoke.time for call in history.calls]
    times += [call.completion.time for call in history.calls if call.completion]
    begin_s, end_s = min(times, default=0) / 1e9, max(times, default=0) / 1e9
    return Span(min(begin_s, 0.0), max(end_s, begin_s + 1.0))


def draw_writes(writes: Writes, windows: list[Window], span: Span) -> str:
    """Draws every acknowledged write: a lane a node, survivors and lost ones, slower writes higher in their lane."""
    absent = writes.lost | writes.unread
    fates = {
        SURVIVED: [call for element, call in writes.acknowledged.items() if element not in absent],
        UNREAD: [writes.acknowledged[element] for element in sorted(writes.unread)],
        LOST: [writes.acknowledged[element] for element in sorted(writes.lost)],
        RECOVERED: list(writes.recovered.values()),
    }
    nodes = sorted({call.node for calls in fates.values() for call in calls})
    lanes = {node: len(nodes) - 1 - lane for lane, node in enumerate(nodes)}
    latencies = [_latency_s(call) for calls in fates.values() for call in calls]
    scale = np.log10(np.quantile(latencies, [0.01, 0.99])) if latencies else np.array([0.0, 1.0])
    with mpl.rc_context(STYLE):
        figure, axes = _axes(0.75 + LANE_INCHES * len(nodes), span)
        for lane in lanes.values():
            axes.axhspan(lane - 0.44, lane + 0.44, color=LANE, linewidth=0, zorder=0)
        _shade(axes, windows, span)
        looks = {SURVIVED: (5, "o", 0.75), UNREAD: (5, "o", 0.75), LOST: (9, "o", 0.9), RECOVERED: (26, "D", 1.0)}
        for order, (colour, calls) in enumerate(fates.items()):
            size, marker, alpha = looks[colour]
            times = [_end_s(call) for call in calls]
            heights = [lanes[call.node] + _jitter(_latency_s(call), scale) for call in calls]
            _points(axes, times, heights, colour, size=size, marker=marker, alpha=alpha, order=3 + order)
        axes.set_yticks(list(lanes.values()), [node or "?" for node in lanes])
        axes.tick_params(axis="y", labelcolor=INK, labelsize=11)
        axes.set_ylim(-0.55, len(nodes) - 0.45)
        for node, lane in lanes.items():
            counts = {colour: sum(call.node == node for call in calls) for colour, calls in fates.items()}
            _lane_note(axes, lane, counts[SURVIVED], counts[LOST], counts[UNREAD])
        return to_svg(figure, "writes", "acknowledged writes over time by node")


def draw_latency(history: History, windows: list[Window], span: Span) -> str:
    """Draws how long each operation took, by how it ended."""
    with mpl.rc_context(STYLE):
        figure, axes = _axes(2.6, span)
        _shade(axes, windows, span)
        for order, (outcome, colour) in enumerate(OUTCOMES.items()):
            calls = [call for call in history.calls if call.completion and call.completion.type == outcome]
            latencies_ms = [_latency_s(call) * 1e3 for call in calls]
            _points(
                axes,
                [_end_s(call) for call in calls],
                latencies_ms,
                colour,
                size=POINT_SIZES[outcome],
                alpha=0.6,
                order=3 + order,
            )
        axes.set_yscale("log")
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_ylim(*_decades([_latency_s(call) * 1e3 for call in history.calls if call.completion]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda ms, _: f"{ms:g} ms" if ms < 1000 else f"{ms / 1000:g} s"))
        axes.yaxis.grid(visible=True)
        return to_svg(figure, "latency", "latency of operations over time")


def draw_rate(history: History, windows: list[Window], span: Span) -> str:
    """Draws how many operations ended in each second, by how they ended."""
    seconds = np.arange(np.floor(span.begin_s), np.ceil(span.end_s) + 1)
    with mpl.rc_context(STYLE):
        figure, axes = _axes(2.2, span)
        _shade(axes, windows, span)
        for order, (outcome, colour) in enumerate(OUTCOMES.items()):
            ended = Counter(
                np.floor(_end_s(call)) for call in history.calls if call.completion and call.completion.type == outcome
            )
            if ended:
                counts = [ended[second] for second in seconds]
                axes.plot(seconds + 0.5, counts, color=colour, linewidth=1.6, drawstyle="steps-mid", zorder=5 - order)
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}"))
        axes.yaxis.grid(visible=True)
        return to_svg(figure, "rate", "operations a second over time")


def _axes(height_inches: float, span: Span) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH_INCHES, height_inches))
    bottom, top = 0.36 / height_inches, 1 - 0.24 / height_inches
    axes = figure.add_axes((LEFT, bottom, RIGHT - LEFT, top - bottom))
    axes.set_axisbelow(True)
    margin_s = 0.01 * (span.end_s - span.begin_s)
    axes.set_xlim(span.begin_s - margin_s, span.end_s + margin_s)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda second, _: f"{second:g} s"))
    return figure, axes


def _shade(axes: Axes, windows: list[Window], span: Span) -> None:
    """Shades each window and names it above; overlapping ones get darker."""
    shown = [window for window in windows if window.from_s < span.end_s and window.until_s > span.begin_s]
    begins_s = [max(window.from_s, span.begin_s) for window in shown]
    for window, begin_s, next_s in zip(shown, begins_s, [*begins_s, span.end_s][1:], strict=True):
        end_s = min(window.until_s, span.end_s)
        axes.axvspan(begin_s, end_s, color=SHADE, alpha=0.16, linewidth=0, zorder=1)
        for edge_s in (begin_s, end_s):
            axes.axvline(edge_s, color=SHADE, linewidth=0.8, zorder=2)
        room = (next_s - begin_s) / (span.end_s - span.begin_s) * WIDTH_INCHES * (RIGHT - LEFT) / LETTER_INCHES
        label = next((label for label in (f"{window.name}: {window.title}", window.name) if len(label) <= room), "")
        axes.annotate(
            label.rstrip(": "), (begin_s, 1), (1, 4), xycoords=("data", "axes fraction"), textcoords="offset points",
            color=INK,
        )  # fmt: skip


def _points(  # noqa: PLR0913 - where, and in which look
    axes: Axes,
    xs: list[float],
    ys: list[float],
    colour: str,
    *,
    size: float,
    alpha: float,
    order: int,
    marker: str = "o",
) -> None:
    if not xs:
        return
    many = len(xs) > VECTOR_POINTS
    size, alpha = (size / 3, alpha * 0.6) if many else (size, alpha)
    axes.scatter(
        xs, ys, s=size, c=colour, marker=marker, alpha=alpha, linewidths=0, zorder=order, rasterized=many, clip_on=False
    )


def _lane_note(axes: Axes, lane: int, survived_count: int, lost_count: int, unread_count: int) -> None:
    """Writes at the end of a lane how many of its writes were lost, or else were never read."""
    text = f"{lost_count:,} lost" if lost_count else f"{unread_count:,} unread" if unread_count else "none lost"
    colour = ALARM if lost_count else MUTED
    place = (1.012, lane)
    axes.annotate(text, place, (0, 1), xycoords=("axes fraction", "data"), textcoords="offset points", color=colour)
    axes.annotate(
        f"of {survived_count + lost_count + unread_count:,}", place, (0, -10), xycoords=("axes fraction", "data"),
        textcoords="offset points", color=MUTED, fontsize=8,
    )  # fmt: skip


def _jitter(latency_s: float, scale: np.ndarray) -> float:
    """Returns the height within a lane: the logarithm of the latency, from the fastest to the slowest percent."""
    width = max(scale[1] - scale[0], 1e-9)
    place = (np.log10(latency_s) - scale[0]) / width
    return float((2 * np.clip(place, 0, 1) - 1) * LANE_HALF)


def _decades(values: list[float]) -> tuple[float, float]:
    """Returns the powers of ten around all values, so that a logarithmic axis always has two of them to name."""
    low, high = np.floor(np.log10(min(values, default=1.0))), np.ceil(np.log10(max(values, default=1.0)))
    return float(10.0**low), float(10.0 ** max(high, low + 1))


def _end_s(call: Call) -> float:
    return call.completion.time / 1e9 if call.completion else call.invoke.time / 1e9


def _latency_s(call: Call) -> float:
    """Returns the seconds from invocation to end, at least a nanosecond: it stands on a logarithmic axis."""
    return max(_end_s(call) - call.invoke.time / 1e9, 1e-9)
