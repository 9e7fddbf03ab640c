"""The fault windows that the nemesis of a history tells of.

Our own nemesis names them: `start` and `end` with `{"window": name}`. Jepsen's says `start` and `stop`, or
`start-partition` and `stop-partition`, without a name, and each twice: as it is asked, and when it is done.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis.record import operation_at
from analysis.run_folder import Window
from analysis.table import NEMESIS_PROCESS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analysis.history import Operation
    from analysis.table import Table

_NS = 1_000_000_000


def windows_in(table: Table) -> tuple[list[Window], list[str]]:
    """Returns the windows, and warnings of those that could not be made out.

    A window of ours without an end lasts to the last event. One of another program is left out: its `start` may have
    been no fault, and reads that came after it would count for nothing.
    """
    events = [operation_at(table, row) for row in np.flatnonzero(table.process == NEMESIS_PROCESS).tolist()]
    named = [isinstance(event.value, dict) and "window" in event.value for event in events]
    ours = [event for event, is_ours in zip(events, named, strict=True) if is_ours]
    spans = _spans([event for event, is_ours in zip(events, named, strict=True) if not is_ours])
    warnings = [
        f"the nemesis' {span.f} in line {table.line[span.row]} was never stopped: the fault was left out, and reads "
        "after it count as final"
        for span in spans
        if span.end is None
    ]
    last_time = int(table.time[-1]) if len(table) else 0
    others = [Window(span.name, span.begin / _NS, span.end / _NS) for span in spans if span.end is not None]
    return _named(ours, last_time) + others, warnings


def _named(events: Sequence[Operation], last_time: int) -> list[Window]:
    """Returns the windows that have a name."""
    bounds: dict[str, tuple[int, int]] = {}
    titles: dict[str, str] = {}
    for event in events:
        name = str(event.value["window"])
        if event.f == "start":
            bounds[name] = (event.time, last_time + 1)
            titles[name] = str(event.value.get("title", ""))
        elif event.f == "end" and name in bounds:
            bounds[name] = (bounds[name][0], event.time)
    return [Window(name, begin / _NS, end / _NS, title=titles[name]) for name, (begin, end) in bounds.items()]


@dataclass
class _Span:
    """A fault without a name of its own: from the first of its starts to the last of as many stops."""

    name: str
    f: str
    row: int
    begin: int
    end: int | None = None
    starts: int = 0
    stops: int = 0


def _spans(events: Sequence[Operation]) -> list[_Span]:
    """Pairs starts and stops of each kind; a stop more than there were starts heals what is whole already."""
    spans: list[_Span] = []
    newest: dict[str, _Span] = {}
    numbers: Counter[str] = Counter()
    for event in events:
        word, _, of = event.f.partition("-")
        kind = of or "nemesis"
        span = newest.get(kind)
        if word == "start":
            if span is None or span.stops:
                numbers[kind] += 1
                span = newest[kind] = _Span(f"{kind}-{numbers[kind]}", event.f, event.index, event.time)
                spans.append(span)
            span.starts += 1
        elif word in {"stop", "end"} and span and span.stops < span.starts:
            span.stops += 1
            span.end = event.time
    return spans
