"""A set that only grows, and is read as a whole.

The reads must form a chain by inclusion, which puts all calls on levels: a read of the i-th smallest content is on
level 2 i + 1, the add of an element on level 2 i where that content is the first that has it, or above all where none
has it. The history is linearizable if and only if every element that was read had been added, and no call returns
before one on a lower level is invoked. Of several adds of one element only the one that was invoked first has to come
before the reads.

A set from which elements are removed as well is not decided where it is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from analysis.linear.model import frozen
from analysis.linear.rules.conflict import Conflict
from analysis.table import FAIL, INFO, INT, INVOKE, NEMESIS_PROCESS, NIL, OK, UNPAIRED

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import NotImplementedType

    from numpy.typing import NDArray

    from analysis.linear.model import Operation, Reading
    from analysis.table import Table

_ADD, _REMOVE, _READ, _OTHER = range(4)
_CODES: Final = {"add": _ADD, "remove": _REMOVE, "read": _READ}
_ABOVE: Final = 2**62
_NEVER: Final = 2**62


def of_calls(
    reading: Reading,
    operations: Sequence[Operation],
    operation: NDArray[np.int32],
    invoked: NDArray[np.int64],
    returned: NDArray[np.int64],
) -> Conflict | NotImplementedType | None:
    """Decides the calls of one set; see `analysis.linear.rules.conflict_of_calls`."""
    if len(invoked) == 0:
        return None
    told = [operations[number] for number in operation.tolist()]
    ended = np.where(returned >= _NEVER, _NEVER, returned)
    elements = [one.argument for one in told]
    contents = [one.result if one.f == "read" else None for one in told]
    codes = np.array([_CODES[one.f] for one in told], np.uint8)
    return _decide(codes, elements, contents, invoked.astype(np.int64), ended, _elements(reading.initial), None)


def of_table(reading: Reading, table: Table) -> Conflict | NotImplementedType | None:
    """Decides a table of one set; see `analysis.linear.rules.conflict_of_table`."""
    clients = table.process != NEMESIS_PROCESS
    if (clients & (table.type != INVOKE) & (table.pair == UNPAIRED)).any():
        return NotImplemented  # type: ignore[no-any-return]
    rows = np.flatnonzero(clients & (table.type == INVOKE))
    ends = table.pair[rows]
    types = np.where(ends == UNPAIRED, INFO, table.type[ends])
    names = np.array([_CODES.get(name, _OTHER) for name in table.f_names], np.uint8)
    codes = names[table.f[rows]] if len(rows) else np.zeros(0, np.uint8)
    says = (types != FAIL) & ~((codes == _READ) & (types != OK))
    says &= ~((codes == _READ) & (table.kind[ends] == NIL)) if reading.nil_read == "wildcard" else True
    if (codes == _OTHER).any() or (table.kind[rows[says & (codes != _READ)]] != INT).any():
        return NotImplemented  # type: ignore[no-any-return]
    rows, ends, codes = rows[says], ends[says], codes[says]
    start = _elements(reading.initial)
    contents: list[frozenset[Any] | None] = [None] * len(rows)
    for call in np.flatnonzero(codes == _READ).tolist():
        value = table.value(int(ends[call]))
        value = reading.initial if value is None else value
        if not isinstance(value, list | tuple):
            return NotImplemented  # type: ignore[no-any-return]
        contents[call] = _elements(value)
    returned = np.where(types[says] == OK, ends, _NEVER)
    return _decide(codes, table.first[rows].tolist(), contents, rows, returned, start, rows)


def _elements(value: Any) -> frozenset[Any]:  # noqa: ANN401 - a JSON value
    return frozenset(frozen(list(value)))


def _decide(  # noqa: C901, PLR0911, PLR0913, PLR0917 - one argument, in the order of its steps
    codes: NDArray[np.uint8],
    elements: Sequence[Any],
    contents: Sequence[frozenset[Any] | None],
    invoked: NDArray[np.int64],
    returned: NDArray[np.int64],
    start: frozenset[Any],
    place: NDArray[np.int64] | None,
) -> Conflict | NotImplementedType | None:
    """Decides; NotImplemented where elements are removed from a set that is read."""
    reads = np.flatnonzero(codes == _READ)
    if not len(reads):
        return None
    if (codes == _REMOVE).any():
        return NotImplemented  # type: ignore[no-any-return]

    def conflict(values: Sequence[Any], calls: Sequence[int], why: str) -> Conflict:
        chosen = np.unique(np.array(calls, np.int64))
        return Conflict(tuple(values), chosen if place is None else place[chosen], why)

    adds: dict[Any, int] = {}  # the first of each element
    for call in np.flatnonzero(codes == _ADD).tolist():
        adds.setdefault(elements[call], call)
    level = np.full(len(codes), _ABOVE, np.int64)
    first: dict[Any, int] = {}
    before, example = start, -1
    number = 0
    by_size = sorted(reads.tolist(), key=lambda call: len(contents[call] or ()))
    for call in by_size:
        content = contents[call] or frozenset()
        if example < 0 or content != before:
            if not before <= content:
                missing = next(iter(before - content))
                if example < 0:
                    return conflict([missing], [call], f"a read lacks {missing}, which was in the set at the start")
                other = next(iter(content - before), missing)
                shown = [adds[one] for one in (missing, other) if one in adds]
                why = f"one read has {missing} and not {other}, another has {other} and not {missing}"
                return conflict([missing, other], [call, example, *shown], why)
            number += 1
            for element in content - before:
                if element not in adds:
                    return conflict([element], [call], f"a read has {element}, which nobody added")
                first[element] = number
            before, example = content, call
        level[call] = 2 * number + 1
    counts = codes == _READ
    for call in np.flatnonzero(codes == _ADD).tolist():
        element = elements[call]
        level[call] = 0 if element in start else 2 * first[element] if element in first else _ABOVE
        counts[call] = element in first and adds[element] == call
    found = _too_early(level, counts, invoked, returned)
    if found is None:
        return None
    early, late = found
    calls = [early, late]
    if codes[late] == _ADD:
        calls.append(int(np.flatnonzero(level == level[late] + 1)[0]))
    said = ["a read" if codes[call] == _READ else f"add {elements[call]}" for call in (early, late)]
    values = [elements[call] for call in (early, late) if codes[call] == _ADD]
    why = f"{said[0]} returned before {said[1]}, which the reads put before it, was invoked"
    return conflict(values, calls, why)


def _too_early(
    level: NDArray[np.int64], counts: NDArray[np.bool_], invoked: NDArray[np.int64], returned: NDArray[np.int64]
) -> tuple[int, int] | None:
    """Returns a call that returned before one on a lower level was invoked, and that one."""
    order = np.argsort(level, kind="stable")
    begun = np.maximum.accumulate(np.where(counts, invoked, -1)[order])
    lower = np.searchsorted(level[order], level[order])  # how many are on lower levels
    bound = np.where(lower > 0, begun[lower - 1], -1)
    wrong = np.flatnonzero(returned[order] < bound)
    if not len(wrong):
        return None
    return int(order[wrong[0]]), int(np.flatnonzero(invoked == bound[wrong[0]])[0])
