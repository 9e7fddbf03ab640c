"""The picture of a contradiction: a bar an operation, a lane a process, the impossible one marked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analysis.linear.explain import Told
    from analysis.run_folder import Window

MOST_BARS: Final = 60  # of the operations nearest to the impossible one: a picture of any history stays small
_MOST_LETTERS: Final = 28
_MOST_FAULTS: Final = 20
_LETTER: Final = 7  # pixels, about
_LANE: Final = 40
_BAR: Final = 26
_TOP: Final = 24  # for the names of the faults
_BOTTOM: Final = 26  # for the times
_LEAST_STEP: Final = 24  # between two events
_TIMES: Final = 8  # as many are written below


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
    bad = contradiction["operation"]
    bars = _nearest(contradiction["window"], bad)
    lanes = {process: lane for lane, process in enumerate(sorted({bar["process"] for bar in bars}))}
    left = 16 + _LETTER * max(len(_name(process)) for process in lanes)
    places = _places(bars, left + 8)
    end = max(places.values()) + _LEAST_STEP
    right = max(end, *(places[bar["line"]] + _width(bar) for bar in bars))
    bottom = _TOP + _LANE * len(lanes)
    parts = [
        (
            f'<svg role="img" aria-label="operations of the contradiction by process" xmlns="http://www.w3.org/2000/svg"'
            f' viewBox="0 0 {right + 8} {bottom + _BOTTOM}" font-size="12.5">'
        )
    ]
    for process, lane in lanes.items():
        top = _TOP + lane * _LANE
        parts += [
            f'<rect x="{left}" y="{top + 2}" width="{right - left}" height="{_LANE - 4}" fill="var(--lane)"/>',
            _text(left - 8, top + _LANE // 2 + 4, _name(process), "var(--muted)", 'text-anchor="end"'),
        ]
    parts += _shades(bars, places, windows, bottom)
    for bar in bars:
        parts += _bar(bar, places, _TOP + lanes[bar["process"]] * _LANE, right, bad=bar == bad)
    return "".join([*parts, *_times(bars, places, bottom, timed=contradiction["timed"]), "</svg>"])


def _name(process: int) -> str:
    return f"process {process}"


def _nearest(bars: list[Told], bad: Told) -> list[Told]:
    """Returns the bars that returned last before the impossible one, those that never did, and itself, on top."""
    others = [bar for bar in bars if bar != bad]
    others.sort(key=lambda bar: bar["returned_line"] or 0, reverse=True)
    return [*others[: MOST_BARS - 1], bad]


def _places(bars: list[Told], left: int) -> dict[int, int]:
    """Returns where each line's event stands: in their order, with room for what the bars of one process say."""
    needed = {bar["line"]: _width(bar) for bar in bars}
    ends = {bar["returned_line"]: bar["line"] for bar in bars if bar["returned_line"] is not None}
    last: dict[int, int] = {}  # process: the line of the bar before
    before: dict[int, int] = {}  # line: the line whose event's text must end before it
    for bar in sorted(bars, key=lambda bar: bar["line"]):
        if bar["process"] in last:
            before[bar["line"]] = last[bar["process"]]
        last[bar["process"]] = bar["line"]
    places: dict[int, int] = {}
    at = left
    for line in sorted(needed.keys() | ends.keys()):
        begun = ends.get(line, before.get(line))
        if begun is not None:
            at = max(at, places[begun] + needed[begun])
        places[line] = at
        at += _LEAST_STEP
    return places


def _width(bar: Told) -> int:
    return 14 + _LETTER * len(_said(bar))


def _said(bar: Told) -> str:
    said = bar["text"]
    return said if len(said) <= _MOST_LETTERS else said[: _MOST_LETTERS - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _bar(bar: Told, places: dict[int, int], top: int, right: int, *, bad: bool) -> list[str]:
    """Draws one operation; one that nobody saw end is open to the right."""
    begin = places[bar["line"]]
    until = right if bar["returned_line"] is None else places[bar["returned_line"]]
    y = top + (_LANE - _BAR) // 2
    colour = "var(--lost)" if bad else "var(--muted)"
    ends = [begin] if bar["returned_line"] is None else [begin, until]
    path = "".join(f"M{x} {y}v{_BAR}" for x in ends)
    opacity = "0.35" if bad else "0.2"
    lines = f"line {bar['line']}" + (f" to {bar['returned_line']}" if bar["returned_line"] is not None else ", no end")
    told = _clean(f"{bar['text']}, {bar['node'] + ', ' if bar['node'] else ''}{lines}")
    return [
        f"<g><title>{told}</title>",
        (
            f'<rect x="{begin}" y="{y}" width="{max(until - begin, 2)}" height="{_BAR}" fill="{colour}"'
            f' fill-opacity="{opacity}"/>'
        ),
        f'<path d="{path}" stroke="{colour}" stroke-width="2" fill="none"/>',
        _text(begin + 7, y + _BAR // 2 + 4, _said(bar), colour if bad else "var(--ink)", _weight(bad=bad)),
        "</g>",
    ]


def _weight(*, bad: bool) -> str:
    return 'font-weight="600"' if bad else ""


def _text(x: int, y: int, said: str, colour: str, more: str = "") -> str:
    return f'<text x="{x}" y="{y}" fill="{colour}"{" " + more if more else ""}>{_clean(said)}</text>'


def _clean(said: str) -> str:
    """Returns a text for XML, which has no control characters."""
    return escape("".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in said))


def _shades(bars: list[Told], places: dict[int, int], windows: Sequence[Window], bottom: int) -> list[str]:
    """Shades the events that fell into a fault."""
    times = _event_times(bars)
    parts = []
    for window in windows[:_MOST_FAULTS]:
        inside = [places[line] for line, time_s in times.items() if window.from_s <= time_s < window.until_s]
        if inside:
            begin, width = min(inside) - 8, max(inside) - min(inside) + 16
            parts += [
                (
                    f'<rect x="{begin}" y="{_TOP}" width="{width}" height="{bottom - _TOP}" fill="var(--shade)"'
                    ' fill-opacity="0.14"/>'
                ),
                _text(begin + 2, _TOP - 8, window.name[:_MOST_LETTERS], "var(--muted)"),
            ]
    return parts


def _times(bars: list[Told], places: dict[int, int], bottom: int, *, timed: bool) -> list[str]:
    """Writes the times of some events, or their lines, below the lanes, as many as have room."""
    times = sorted(_event_times(bars).items())
    chosen = times[:: max(len(times) // _TIMES, 1)]
    parts, free = [], 0
    for line, time_s in chosen:
        said = f"{time_s:.6g} s" if timed else f"line {line}"
        if places[line] >= free:
            parts.append(_text(places[line], bottom + 16, said, "var(--muted)"))
            free = places[line] + _LETTER * len(said) + 14
    return parts


def _event_times(bars: list[Told]) -> dict[int, float]:
    """Returns the seconds at which each event of the bars happened, by its line."""
    begun = {bar["line"]: bar["invoked_s"] for bar in bars}
    ended = {
        bar["returned_line"]: bar["returned_s"]
        for bar in bars
        if bar["returned_line"] is not None and bar["returned_s"] is not None
    }
    return begun | ended
