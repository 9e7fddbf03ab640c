"""A FIFO queue whose elements are all different needs no search.

After Bouajjani, Emmi, Enea and Hamza, "On reducing linearizability to state reachability" (2015). Let an enqueue end no
later than its dequeue, a dequeue begin no earlier than its enqueue, and an element that stays be dequeued at the end of
time. The history is linearizable if and only if

- every dequeue has its one enqueue, which was invoked before the dequeue returned;
- no a was enqueued entirely before b and dequeued entirely after it;
- no dequeue that found the queue empty lies inside a time through which it certainly was not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from analysis.compiled import compiled
from analysis.linear.zones import SPARSE
from analysis.table import FAIL, INT, INVOKE, NEMESIS_PROCESS, NIL, OK, UNPAIRED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analysis.linear.model import Reading
    from analysis.table import Table

_NEVER: Final = 2**31 - 1
_NONE: Final = -1
_FITS: Final = -1
_EMPTY: Final = -2
_UNSUITABLE: Final = -3


def conflict(table: Table, reading: Reading) -> tuple[int | None, ...] | None:
    """Finds elements that contradict each other in a history of one queue.

    Returns:
        The one or two elements whose operations are contradictory by themselves, (None,) where it is a dequeue that
        found the queue empty; none where the history is linearizable; None where the rule does not apply: elements
        that are not whole numbers, too sparse, or enqueued twice, a dequeue that nobody saw end, elements at the start.
    """
    clients = table.process != NEMESIS_PROCESS
    used = {table.f_names[place] for place in np.unique(table.f[clients])}
    if reading.initial or len(table) >= _NEVER or not used <= {"enqueue", "dequeue"}:
        return None
    given = table.first[clients & (table.kind == INT)]
    low, high = (int(given.min()), int(given.max())) if len(given) else (0, 0)
    if high - low >= SPARSE * max(len(table), 1):
        return None
    places = {name: place for place, name in enumerate(table.f_names)}
    found, other = _sweep(
        table.type, table.process, table.f, table.kind, table.first, table.pair,
        places.get("enqueue", -1), low, high - low + 1,
    )  # fmt: skip
    if found == _UNSUITABLE:
        return None
    return (None,) if found == _EMPTY else tuple(value + low for value in (found, other) if value >= 0)


@compiled
def _sweep(  # noqa: C901, PLR0911, PLR0912, PLR0913, PLR0917 - passes over rows; compiled code has no objects
    types: NDArray[np.uint8],
    process: NDArray[np.int64],
    f: NDArray[np.int32],
    kind: NDArray[np.uint8],
    given: NDArray[np.int64],
    pair: NDArray[np.int64],
    enqueue: int,
    low: int,
    size: int,
) -> tuple[int, int]:
    """Returns the elements, less the lowest, that contradict each other; `_FITS`, `_EMPTY` or `_UNSUITABLE` first."""
    put_begin = np.full(size, _NONE, np.int32)
    put_end = np.full(size, _NEVER, np.int32)
    take_begin = np.full(size, _NEVER, np.int32)
    take_end = np.full(size, _NEVER, np.int32)
    twice = _NONE
    for row in range(len(types)):
        end = pair[row]
        if types[row] != INVOKE or process[row] == NEMESIS_PROCESS or (end != UNPAIRED and types[end] == FAIL):
            continue
        known = end != UNPAIRED and types[end] == OK
        if f[row] == enqueue:
            if kind[row] != INT or put_begin[given[row] - low] != _NONE:
                return _UNSUITABLE, _FITS
            put_begin[given[row] - low] = row
            if known:
                put_end[given[row] - low] = end
            continue
        if not known or kind[end] not in (INT, NIL):
            return _UNSUITABLE, _FITS
        if kind[end] == INT:
            element = given[end] - low
            if take_end[element] != _NEVER:
                twice = element
            take_begin[element], take_end[element] = row, end
    if twice != _NONE:  # only now: an enqueue further on may have been a second one
        return twice, _FITS
    settled = np.full(len(types), _NONE, np.int32)  # the element whose enqueue ends, at the latest, in a row
    for element in range(size):
        if take_end[element] != _NEVER:
            if put_begin[element] == _NONE or take_end[element] < put_begin[element]:
                return element, _FITS
            take_begin[element] = max(take_begin[element], put_begin[element])
        put_end[element] = min(put_end[element], take_end[element])
        if put_end[element] != _NEVER:
            settled[put_end[element]] = element
    latest = _NONE  # of the elements settled so far, the one whose dequeue begins last
    filled_from, filled_until = _NONE, _NONE
    for row in range(len(types)):
        element = settled[row]
        if element != _NONE:
            if latest == _NONE or take_begin[element] > take_begin[latest]:
                latest = element
            if row > filled_until:
                filled_from = row
            filled_until = max(filled_until, take_begin[element])
        if process[row] == NEMESIS_PROCESS:
            continue
        if types[row] == INVOKE and f[row] == enqueue:
            later = given[row] - low
            if put_begin[later] == row and latest != _NONE and take_end[later] < take_begin[latest]:
                return latest, later
        elif (
            types[row] == OK and f[row] != enqueue and kind[row] == NIL and filled_from < pair[row] < row < filled_until
        ):
            return _EMPTY, _FITS
    return _FITS, _FITS
