"""Holds a history to its order, and pairs each invocation with its completion.

The same checks as `analysis.history` makes, on whole columns: each event's neighbours of the same process say whether
it may stand where it stands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from analysis.read.event import MISSING
from analysis.table import INFO, INVOKE, NEMESIS_PROCESS, TYPES, Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_SHOWN: Final = 1000  # mistakes put into words; those beyond are counted by nobody


def pair(table: Table) -> list[tuple[int, str]]:
    """Fills `table.pair`; returns the mistakes, each with its row.

    A process has one operation at a time and none after an `info`; a completion follows its invocation, of the same
    function.
    """
    rows = np.flatnonzero(table.process != NEMESIS_PROCESS)
    order = rows[np.argsort(_small(table.process[rows]), kind="stable")]
    process, kind = table.process[order], table.type[order]
    follows = np.zeros(len(order), bool)  # the event before in this order is of the same process
    follows[1:] = process[1:] == process[:-1]
    before = np.empty_like(kind)
    before[1:] = kind[:-1]
    invokes = kind == INVOKE
    completes = ~invokes & follows
    completes[1:] &= before[1:] == INVOKE
    ends = np.flatnonzero(completes)
    table.pair[order[ends]] = order[ends - 1]
    table.pair[order[ends - 1]] = order[ends]
    return (
        _mistakes(order, np.flatnonzero(invokes & follows & (before == INVOKE)), lambda a, b: _twice(table, a, b))
        + _mistakes(order, np.flatnonzero(invokes & follows & (before == INFO)), lambda a, b: _dead(table, a, b))
        + _mistakes(order, np.flatnonzero(~invokes & ~completes), lambda _, b: _without(table, b))
        + _mistakes(order, ends[table.f[order[ends]] != table.f[order[ends - 1]]], lambda a, b: _other(table, a, b))
    )


def _small(process: NDArray[np.int64]) -> NDArray[np.generic]:
    """Returns the processes in 16 bits where they fit: numpy sorts these in linear time."""
    fits = len(process) == 0 or (int(process.max()) < 2**16 and int(process.min()) >= 0)
    return process.astype(np.uint16) if fits else process


def _mistakes(
    order: NDArray[np.int64], found: NDArray[np.int64], say: Callable[[int, int], str]
) -> list[tuple[int, str]]:
    return [(int(order[at]), say(int(order[at - 1]), int(order[at]))) for at in found[:_SHOWN]]


def _twice(table: Table, before: int, row: int) -> str:
    process, line = table.process[row], table.line[before]
    return f"process {process} invokes again, but its operation of line {line} has not ended"


def _dead(table: Table, before: int, row: int) -> str:
    process, line = table.process[row], table.line[before]
    return f'process {process} invokes again, but it died with the "info" in line {line}'


def _without(table: Table, row: int) -> str:
    return f'"{TYPES[table.type[row]]}" of process {table.process[row]} without an invocation before it'


def _other(table: Table, before: int, row: int) -> str:
    invoked, ended = table.f_names[table.f[before]], table.f_names[table.f[row]]
    return f'process {table.process[row]} invoked "{invoked}" (line {table.line[before]}) and ends "{ended}"'


def nemesis_mistakes(table: Table) -> list[tuple[int, str]]:
    """Returns the events of the nemesis that are no `info`, each with its row."""
    found = np.flatnonzero((table.process == NEMESIS_PROCESS) & (table.type != INFO))
    return [(int(row), f'the nemesis must use "info", found "{TYPES[table.type[row]]}"') for row in found[:_SHOWN]]


def index_mistakes(index: NDArray[np.int64]) -> list[tuple[int, str]]:
    """Returns the rows whose index is missing or does not follow that of the row before."""
    expected = np.zeros_like(index)
    expected[1:] = index[:-1] + 1
    gaps = (index != expected) & (expected != MISSING + 1)  # after a missing one, any will do
    found = np.flatnonzero(gaps | (index == MISSING))[:_SHOWN]
    return [(int(row), _gap(int(expected[row]), int(index[row]))) for row in found]


def _gap(expected: int, found: int) -> str:
    if found == MISSING:
        return '"index" is missing: expected a whole number from 0, as in the other lines'
    return f'"index" must be {expected}, one more than before; found {found}'


def times_back(table: Table) -> list[tuple[int, str]]:
    """Returns the rows whose time is less than that of the row before."""
    found = np.flatnonzero(table.time[1:] < table.time[:-1]) + 1
    return [
        (int(row), f'"time" goes back, from {table.time[row - 1]} to {table.time[row]} ns') for row in found[:_SHOWN]
    ]
