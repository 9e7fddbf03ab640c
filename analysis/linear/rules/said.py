"""What the calls of one object say, in numbers: the form in which all rules read them.

A rule's function has codes; values are numbered, moments are places in the order of events. It comes from the calls
that the search reads as well, where values may be anything, or straight from the columns of a table, where they must
be whole numbers and there may be ten million of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from analysis.compiled import compiled
from analysis.table import FAIL, INT, INVOKE, NEMESIS_PROCESS, NIL, OK, PAIR, UNPAIRED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from analysis.linear.model import Operation
    from analysis.table import Table

NEVER: Final = 2**31 - 1
"""The moment at which a crashed call returns."""

SPARSE: Final = 4
"""Whole numbers, and rows, are taken as they are where they spread over no more than so many times their count."""

NOTHING, ARGUMENT, ANSWER, BOTH, PROCESS, TOKEN = range(6)
"""Where a function's value stands: BOTH are the two of a pair, TOKEN is the process with the answer beside it."""

DROP: Final = -1
"""The call says nothing."""

REFUSE: Final = -2
"""The rule knows no such call."""

_CODE, _SOURCE, _NIL, _CRASHED, _FAILED = range(5)


class Function(NamedTuple):
    """How the calls of a function are read from a table.

    Attributes:
        code: Of an ok call, and of a crashed one where `crashed` says nothing else.
        source: Where its value stands.
        nil: The code where the value is nil, which then counts for nothing; or DROP, REFUSE.
        crashed: The code where nobody saw it end; or DROP, REFUSE.
        failed: The code where it failed; or DROP, REFUSE.
    """

    code: int
    source: int = NOTHING
    nil: int = REFUSE
    crashed: int = DROP
    failed: int = DROP


class Said(NamedTuple):
    """What m calls say, in the order of their invocation.

    Attributes:
        f: uint8[m], the rule's codes.
        value: int32[m], the number of the value; meaningless where the code has none.
        other: int32[m], that of the second of two; of any length where no code has two.
        invoked: int32[m], the moment of the invocation.
        returned: int32[m], the moment of the return; NEVER where nobody knows whether it happened.
        value_count: Numbers are less.
        moment_count: Moments other than NEVER are less.
        initial: The numbers of the values at the start.
        names: Returns the value that has a number.
        place: int64[m], what `Conflict.calls` calls them; None: their place here.
    """

    f: NDArray[np.uint8]
    value: NDArray[np.int32]
    other: NDArray[np.int32]
    invoked: NDArray[np.int32]
    returned: NDArray[np.int32]
    value_count: int
    moment_count: int
    initial: tuple[int, ...]
    names: Callable[[int], Any]
    place: NDArray[Any] | None


def of_calls(  # noqa: PLR0913, PLR0917 - the columns of the calls
    operations: Sequence[Operation],
    operation: NDArray[np.int32],
    invoked: NDArray[np.int64],
    returned: NDArray[np.int64],
    read: Callable[[Operation], tuple[Any, ...] | None],
    initial: Sequence[Any],
) -> Said | None:
    """Reads calls.

    Args:
        operations: The distinct operations.
        operation: Each call's place in them.
        invoked: Rows, ascending.
        returned: Rows; past all others where it never returned.
        read: Returns an operation's code and up to two values; None where the rule knows no such operation.
        initial: The values at the start.

    Returns:
        What they say; None where the rule does not know one of them.
    """
    used, alike = np.unique(operation, return_inverse=True)
    numbers: dict[Any, int] = {}
    start = tuple(numbers.setdefault(value, len(numbers)) for value in initial)
    table = np.zeros((len(used), 3), np.int32)
    for place, number in enumerate(used.tolist()):
        told = read(operations[number])
        if told is None or any(value != value for value in told):  # noqa: PLR0124 - not a number
            return None
        table[place, 0] = told[0]
        for column, value in enumerate(told[1:], 1):
            table[place, column] = numbers.setdefault(value, len(numbers))
    columns = table[alike.reshape(-1)]
    crashed = returned >= 2**62
    ended = returned[~crashed]
    last = max(int(invoked.max(initial=-1)), int(ended.max(initial=-1)))
    begun, done = invoked.astype(np.int64), np.where(crashed, 0, returned)
    if last >= SPARSE * max(len(invoked), 8):
        moments = np.sort(np.concatenate((invoked, ended)))
        begun, done = np.searchsorted(moments, begun), np.searchsorted(moments, done)
        last = len(moments)
    done = np.where(crashed, NEVER, done)
    values = list(numbers)
    return Said(
        columns[:, 0].astype(np.uint8), columns[:, 1].copy(), columns[:, 2].copy(),
        begun.astype(np.int32), done.astype(np.int32), len(values), last + 1, start, values.__getitem__, None,
    )  # fmt: skip


def of_table(table: Table, functions: dict[str, Function], initial: Sequence[Any]) -> Said | None:
    """Reads the clients' calls of a table whose values are whole numbers; see `of_calls`."""
    if len(table) >= NEVER or not all(map(_fits, initial)):
        return None
    clients = table.process != NEMESIS_PROCESS
    plan = np.full((len(table.f_names) + 1, 5), REFUSE, np.int64)
    for place, name in enumerate(table.f_names):
        if name in functions:
            plan[place] = functions[name]
    sources = {function.source for function in functions.values()}
    m = int(np.count_nonzero(clients & (table.type == INVOKE)))
    f, value = np.empty(m, np.uint8), np.empty(m, np.int64)
    second = np.empty(m if sources & {BOTH, TOKEN} else 0, np.int64)
    invoked, returned = np.empty(m, np.int32), np.empty(m, np.int32)
    count = _read(
        table.type, table.process, table.f, table.kind, table.first, table.second, table.pair,
        plan, f, value, second, invoked, returned,
    )  # fmt: skip
    if count < 0:
        return None
    f, value, second, invoked, returned = f[:count], value[:count], second[:count], invoked[:count], returned[:count]
    if not sources - {NOTHING}:
        none = np.zeros(0, np.int32)
        held = list(initial)
        start = tuple(range(len(held)))
        return Said(f, none, none, invoked, returned, len(held), len(table), start, held.__getitem__, invoked)
    numbered = value if TOKEN in sources else np.concatenate((value, second)) if len(second) else value
    number, size, start, names = _numbered(numbered, initial)
    other = number[count:] if len(number) > count else _ranks(second)
    return Said(f, number[:count], other, invoked, returned, size, len(table), start, names, invoked)


def _fits(value: object) -> bool:
    return value is None or (type(value) is int and -(2**63) <= value < 2**63)


def _numbered(
    values: NDArray[np.int64], initial: Sequence[Any]
) -> tuple[NDArray[np.int32], int, tuple[int, ...], Callable[[int], Any]]:
    """Numbers whole numbers: as they are, less the lowest, where they lie close together."""
    known = [value for value in initial if value is not None]
    low, high = _span(values)
    low, high = min([low, *known]), max([high, *known])
    if high - low < SPARSE * max(len(values), 8):
        number = _less(values, low)
        size = high - low + 1
        start = tuple(size if value is None else value - low for value in initial)
        return number, size + 1, start, lambda place: None if place == size else place + low
    different, alike = np.unique(np.concatenate((np.array(known, np.int64), values)), return_inverse=True)
    number = alike.reshape(-1).astype(np.int32)
    places = iter(number[: len(known)].tolist())
    start = tuple(len(different) if value is None else next(places) for value in initial)
    names = lambda place: None if place == len(different) else int(different[place])  # noqa: E731 - as above
    return number[len(known) :].copy(), len(different) + 1, start, names


def _ranks(values: NDArray[np.int64]) -> NDArray[np.int32]:
    """Returns numbers in the order of the values."""
    return np.unique(values, return_inverse=True)[1].reshape(-1).astype(np.int32)


@compiled
def _span(values: NDArray[np.int64]) -> tuple[int, int]:
    if not len(values):
        return 0, 0
    low = high = values[0]
    for value in values:
        low, high = min(low, value), max(high, value)
    return low, high


@compiled
def _less(values: NDArray[np.int64], low: int) -> NDArray[np.int32]:
    number = np.empty(len(values), np.int32)
    for place in range(len(values)):
        number[place] = values[place] - low
    return number


@compiled
def _read(  # noqa: C901, PLR0911, PLR0912, PLR0913, PLR0917 - compiled code has no objects
    types: NDArray[np.uint8],
    process: NDArray[np.int64],
    function: NDArray[np.int32],
    kind: NDArray[np.uint8],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    pair: NDArray[np.int64],
    plan: NDArray[np.int64],
    f: NDArray[np.uint8],
    value: NDArray[np.int64],
    other: NDArray[np.int64],
    invoked: NDArray[np.int32],
    returned: NDArray[np.int32],
) -> int:
    """Fills the last five columns; returns how many calls say something, REFUSE where one is not known."""
    count = 0
    filler = np.int64(0)
    for row in range(len(types)):
        if process[row] == NEMESIS_PROCESS:
            continue
        end = pair[row]
        if types[row] != INVOKE:
            if end == UNPAIRED:
                return REFUSE
            continue
        place = function[row]
        code, source = plan[place, _CODE], plan[place, _SOURCE]
        if code == REFUSE:
            return REFUSE
        known = end != UNPAIRED and types[end] == OK
        if end != UNPAIRED and types[end] == FAIL:
            code = plan[place, _FAILED]
        elif not known:
            code = plan[place, _CRASHED]
        if code == REFUSE:
            return REFUSE
        if code == DROP:
            continue
        value[count] = filler
        if source == PROCESS:
            value[count] = process[row]
        elif source == TOKEN:
            if known and kind[end] != INT:
                return REFUSE
            value[count], other[count] = process[row], first[end] if known else 0
        elif source == BOTH:
            if kind[row] != PAIR:
                return REFUSE
            value[count], other[count] = first[row], second[row]
        elif source == ARGUMENT or (source == ANSWER and known):
            at = row if source == ARGUMENT else end
            if kind[at] == NIL:
                code = plan[place, _NIL]
                if code == REFUSE:
                    return REFUSE
                if code == DROP:
                    continue
            elif kind[at] == INT:
                value[count] = first[at]
            else:
                return REFUSE
        if source not in (BOTH, TOKEN) and len(other):  # so that numbers stay close together
            other[count] = value[count]
        filler = value[count]
        f[count] = code
        invoked[count] = row
        returned[count] = end if known else NEVER
        count += 1
    return count
