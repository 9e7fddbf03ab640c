"""A register whose writes are all different needs no search.

After Gibbons and Korach, "Testing shared memories" (1997). Per value, over its write and its reads, let f be the least
return and s the greatest invocation. Where f < s the value was there all the time from f to s: a forward zone. Else it
was there at some time from s to f: a backward one. The history is linearizable if and only if every read has its write,
none returns before its write is invoked, forward zones are disjoint, and no backward one lies inside a forward one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from analysis.compiled import compiled
from analysis.table import FAIL, INT, INVOKE, NEMESIS_PROCESS, NIL, OK, UNPAIRED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analysis.linear.model import Reading
    from analysis.table import Table

SPARSE: Final = 4  # values may spread over so many times the number of events

_NEVER: Final = 2**31 - 1
_NONE: Final = -2
_FITS: Final = -1
_UNSUITABLE: Final = -3


def conflict(table: Table, reading: Reading) -> tuple[Any, ...] | None:
    """Finds values that contradict each other in a history of one register.

    Returns:
        The one or two values whose operations are contradictory by themselves; none where the history is linearizable;
        None where the rule does not apply: other functions than read and write, values that are not whole numbers,
        too sparse, or written twice.
    """
    initial = reading.initial
    if len(table) >= _NEVER or not (initial is None or type(initial) is int):
        return None
    places = {name: place for place, name in enumerate(table.f_names)}
    clients = table.process != NEMESIS_PROCESS
    used = {table.f_names[place] for place in np.unique(table.f[clients])}
    if not used <= {"read", "write"}:
        return None
    given = table.first[clients & (table.kind == INT)]
    low, high = (int(given.min()), int(given.max())) if len(given) else (0, 0)
    if high - low >= SPARSE * max(len(table), 1):
        return None
    first = low - 1 if initial is None else initial
    wild = reading.nil_read == "wildcard"
    found, other = _sweep(
        table.type, table.process, table.f, table.kind, table.first, table.pair,
        places.get("write", -1), low, high - low + 1, first, wild,
    )  # fmt: skip
    if found == _UNSUITABLE:
        return None
    values = [value for value in (found, other) if value >= 0]
    return tuple(initial if value == high - low + 1 else value + low for value in values)


def invocations_of(table: Table, values: tuple[Any, ...]) -> NDArray[np.int64]:
    """Returns the rows where operations on some values, whole numbers or nil, were invoked."""
    numbers = [value for value in values if value is not None]
    about = (table.kind == INT) & np.isin(table.first, numbers)
    if None in values:
        about |= (table.kind == NIL) & (table.type == OK)
    about &= table.process != NEMESIS_PROCESS
    rows = np.flatnonzero(about)
    return np.unique(np.where(table.type[rows] == INVOKE, rows, table.pair[rows]))


@compiled
def _sweep(  # noqa: C901, PLR0911, PLR0912, PLR0913, PLR0917 - two passes; compiled code has no objects
    types: NDArray[np.uint8],
    process: NDArray[np.int64],
    f: NDArray[np.int32],
    kind: NDArray[np.uint8],
    given: NDArray[np.int64],
    pair: NDArray[np.int64],
    write: int,
    low: int,
    size: int,
    initial: int,
    wild: bool,  # noqa: FBT001
) -> tuple[int, int]:
    """Returns the values, less the lowest, that contradict each other; `_FITS` or `_UNSUITABLE` first where none do."""
    written = np.full(size + 1, _NONE, np.int32)  # the row of the write's invocation; the last is the initial value
    least = np.full(size + 1, _NEVER, np.int32)  # return, of the write and the reads
    greatest = np.full(size + 1, _NONE, np.int32)  # invocation, of both
    read = np.full(size + 1, _NEVER, np.int32)  # least return of a read
    written[size], least[size], greatest[size] = -1, -1, -1
    for row in range(len(types)):
        end = pair[row]
        if types[row] != INVOKE or process[row] == NEMESIS_PROCESS or (end != UNPAIRED and types[end] == FAIL):
            continue
        known = end != UNPAIRED and types[end] == OK
        if f[row] == write:
            if kind[row] != INT or given[row] == initial:
                return _UNSUITABLE, 0
            value = given[row] - low
            if written[value] != _NONE:
                return _UNSUITABLE, 0
            written[value] = row
        elif known:
            if kind[end] == NIL:
                if wild:
                    continue
                value = size
            elif kind[end] == INT:
                value = size if given[end] == initial else given[end] - low
            else:
                return _UNSUITABLE, 0
            read[value] = min(read[value], end)
        else:
            continue
        greatest[value] = max(greatest[value], row)
        if known:
            least[value] = min(least[value], end)
    begins = np.full(len(types), _NONE, np.int32)
    for value in range(size):
        if read[value] != _NEVER and (written[value] == _NONE or read[value] < written[value]):
            return value, _FITS
        if least[value] != _NEVER:
            begins[min(least[value], greatest[value])] = value
    current = size
    for row in range(len(types)):
        value = begins[row]
        if value == _NONE:
            continue
        if least[value] < greatest[value]:
            if row < greatest[current]:
                return current, value
            current = value
        elif least[value] < greatest[current]:
            return current, value
    return _FITS, _FITS
