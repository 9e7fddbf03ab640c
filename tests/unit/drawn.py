"""Histories for the checkers over columns: written by hand as events, or drawn by hypothesis as interleaved calls."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from hypothesis import strategies as st

from analysis.history import NEMESIS, Operation
from analysis.table import Table, table_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Event = tuple[int | str, str, str, Any]  # process, type, f, value


class Call(NamedTuple):
    """An operation: what was asked, how it ended (None: it never did) and what was answered."""

    f: str
    asked: Any
    end: str | None
    answer: Any


def operations_of(events: Sequence[Event], step_ns: int = 1_000) -> list[Operation]:
    """Event i happens at i steps."""
    return [Operation(i, i * step_ns, process, kind, f, value) for i, (process, kind, f, value) in enumerate(events)]


def table(*events: Event) -> Table:
    return table_of(operations_of(events))


def ok(f: str, asked: Any, answer: Any = None, process: int = 0) -> list[Event]:
    """A call that was answered; with what was asked unless told."""
    return [(process, "invoke", f, asked), (process, "ok", f, asked if answer is None else answer)]


def ended(f: str, asked: Any, kind: str | None, process: int = 0) -> list[Event]:
    """A call that ended as fail or info, or never (None)."""
    return [(process, "invoke", f, asked), *([(process, kind, f, asked)] if kind else [])]


@st.composite
def interleaved(draw: st.DrawFn, call: st.SearchStrategy[Call], max_calls: int = 10) -> list[Operation]:
    """Calls of three threads at a time; a crashed one goes on as a new process, the nemesis speaks now and then.

    Times are drawn too, equal ones among them, so that a checker cannot mistake them for the order of events.
    """
    calls = draw(st.lists(call, max_size=max_calls))
    processes, waiting, events = [0, 1, 2], dict[int, Call](), list[Event]()
    while calls or waiting:
        thread = draw(st.integers(0, 2))
        process = processes[thread]
        if thread in waiting:
            f, asked, end, answer = waiting.pop(thread)
            if end:
                events.append((process, end, f, answer if end == "ok" else asked))
            if end in {None, "info"}:
                processes[thread] += 3
        elif calls:
            waiting[thread] = calls.pop()
            events.append((process, "invoke", waiting[thread].f, waiting[thread].asked))
        if draw(st.integers(0, 15)) == 0:
            events.append((NEMESIS, "info", "start", None))
    clock, operations = 0, []
    for operation in operations_of(events):
        clock += draw(st.integers(0, 3))
        operations.append(replace_time(operation, clock))
    return operations


def replace_time(operation: Operation, time: int) -> Operation:
    return Operation(operation.index, time, operation.process, operation.type, operation.f, operation.value)


def renamed(history: list[Operation]) -> Table:
    """The history with other process numbers."""
    table = table_of(history)
    return replace(table, process=table.process * 7 + 6)


def shifted(history: list[Operation], by_ns: int = 10**15) -> Table:
    """The history, begun later."""
    return table_of([replace_time(operation, operation.time + by_ns) for operation in history])


def mapped(history: list[Operation], change: Callable[[Any], Any]) -> Table:
    """The history with other values."""
    return table_of([Operation(o.index, o.time, o.process, o.type, o.f, change(o.value)) for o in history])


def completions(history: list[Operation]) -> dict[int, tuple[Operation, Operation | None]]:
    """By index of an invocation: it and its completion; written apart from the tables' pairing."""
    pairs: dict[int, tuple[Operation, Operation | None]] = {}
    waiting: dict[int | str, Operation] = {}
    for operation in history:
        if operation.process == NEMESIS:
            continue
        if operation.type == "invoke":
            waiting[operation.process] = operation
            pairs[operation.index] = operation, None
        else:
            begun = waiting.pop(operation.process)
            pairs[begun.index] = begun, operation
    return pairs
