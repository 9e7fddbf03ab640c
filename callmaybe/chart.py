"""A timeline drawn before it happens: a row a window, as text for a terminal and as SVG for a page."""

from html import escape

from rich.text import Text

from callmaybe.timeline import KIND_OF, Window

STYLES = {"partition": "red", "shape": "yellow", "process": "magenta"}
COLOURS = {"partition": "#d55e00", "shape": "#e69f00", "process": "#a05fb4"}  # as in the report: for colour-blind eyes
STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400)
_STYLE = (
    "text{fill:#222;font:12px sans-serif}line{stroke:#ccc}"
    "@media(prefers-color-scheme:dark){text{fill:#ddd}line{stroke:#444}}"
)
LATE = "?"  # in the bar of a window whose targets are known only shortly before it
BAR = "━"

_ROW, _LABEL, _LETTER, _PLOT, _TOP = 24, 70, 6.6, 640, 28  # pixels


def text_chart(windows: list[Window], run_s: float, width: int) -> list[Text]:
    """A line a window, below a line with the seconds; `width` letters, of which the titles may take more."""
    names = max([len(window["name"]) for window in windows], default=0)
    spans = [_span(window) for window in windows]
    span_width = max(map(len, spans), default=0)
    titles = max([len(window["title"]) for window in windows], default=0)
    bars = max(20, min(100, width - names - span_width - min(titles, 40) - 6))
    lines = [Text(f"{'':{names}}  {_axis(run_s, bars)}", style="dim")]
    for window, span in zip(windows, spans, strict=True):
        begin = min(bars - 1, int(window["from_s"] / run_s * bars))
        end = max(begin + 1, min(bars, round(window["until_s"] / run_s * bars)))
        mark = LATE if "late" in window else BAR
        bar = " " * begin + mark * (end - begin) + " " * (bars - end)
        style = STYLES[KIND_OF[window["fault"]]]
        lines.append(
            Text.assemble(f"{window['name']:{names}}  ", (bar, style), f"  {span:>{span_width}}  {window['title']}")
        )
    return lines


def svg_chart(windows: list[Window], run_s: float, heading: str) -> str:
    """The same as a picture that stands alone, in light and dark; the same bytes each time."""
    longest = max([len(f"{_span(window)}   {window['title']}") for window in windows], default=0)
    wide, high = _LABEL + _PLOT + 16 + longest * _LETTER, _TOP + _ROW * len(windows) + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:.0f} {high}" width="{wide:.0f}" height="{high}">',
        f"<title>{escape(heading)}</title>",
        f"<style>{_STYLE}</style>",
        f'<text x="0" y="14" font-weight="bold">{escape(heading)}</text>',
    ]
    bottom = _TOP + _ROW * len(windows)
    for second in _ticks(run_s, 12):
        x = _LABEL + second / run_s * _PLOT
        parts.append(f'<line x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{bottom}"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{second:g} s</text>')
    for row, window in enumerate(windows):
        parts += _svg_row(window, _TOP + _ROW * row, run_s)
    return "\n".join([*parts, "</svg>", ""])


def _svg_row(window: Window, top: int, run_s: float) -> list[str]:
    begin, end = (window[edge] / run_s * _PLOT for edge in ("from_s", "until_s"))
    colour = COLOURS[KIND_OF[window["fault"]]]
    look = f'fill="none" stroke="{colour}" stroke-dasharray="4 3"' if "late" in window else f'fill="{colour}"'
    base, said = top + 16, escape(f"{_span(window)}   {window['title']}")
    return [
        f'<text x="0" y="{base}">{escape(window["name"])}</text>',
        f'<rect x="{_LABEL + begin:.1f}" y="{top + 4}" width="{end - begin:.1f}" height="{_ROW - 8}" rx="2" {look}/>',
        f'<text x="{_LABEL + _PLOT + 12}" y="{base}" xml:space="preserve">{said}</text>',
    ]


def _span(window: Window) -> str:
    return f"{window['from_s']:g}..{window['until_s']:g} s"


def _ticks(run_s: float, most: int) -> list[float]:
    """Round seconds from 0 on, at most so many."""
    step = next((step for step in STEPS_S if run_s / step < most), STEPS_S[-1])
    return [float(second) for second in range(0, int(run_s) + 1, step)]


def _axis(run_s: float, width: int) -> str:
    """The seconds above the bars, each beginning where its second does."""
    line = [" "] * (width + 8)
    ticks = _ticks(run_s, max(2, width // 8))
    places = [int(tick / run_s * width) for tick in ticks]
    for place, tick in zip(places, ticks, strict=True):
        for offset, letter in enumerate(f"{tick:g}"):
            line[place + offset] = letter
    return "".join(line).rstrip()
