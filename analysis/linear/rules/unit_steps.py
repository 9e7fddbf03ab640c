"""A counter whose changes are all by the same amount.

All changes are alike: only their times differ. So they happen as late as they can: when one has to return, or when a
read that has to return expects them. Of those that are pending the one that must return first happens first, and every
pending read of the count happens before the count changes: an order that explains the history can always be turned
into this one by exchanging changes. Amounts that differ make it a question of sums, which no rule answers.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.compiled import compiled
from analysis.linear.rules.conflict import Conflict
from analysis.linear.rules.permits import events_of
from analysis.linear.rules.said import ANSWER, ARGUMENT, DROP, Function, Said

if TYPE_CHECKING:
    from types import NotImplementedType

    from numpy.typing import NDArray

    from analysis.linear.model import Model, Operation, Reading

_READ, _READ_INITIAL, _ADD, _INCREMENT, _SUBTRACT, _DECREMENT = range(6)
_MOST = 2**31  # steps of a count that a read may expect
_NEVER_EXPECTED, _NOTHING, _CHANGE = -1, -2, -3  # instead of a count


def functions(model: Model, reading: Reading) -> dict[str, Function]:  # noqa: ARG001 - as all rules
    """Returns how a table's calls are read."""
    add = Function(_ADD, ARGUMENT, _INCREMENT, crashed=_ADD)
    nil = DROP if reading.nil_read == "wildcard" else _READ_INITIAL
    subtract = Function(_SUBTRACT, ARGUMENT, _DECREMENT, crashed=_SUBTRACT)
    return {"read": Function(_READ, ANSWER, nil), "add": add, "increment": add, "decrement": subtract}


def read(operation: Operation) -> tuple[Any, ...] | None:
    """Returns an operation's code and number."""
    return (_READ, operation.result) if operation.f == "read" else (_ADD, operation.argument)


def initial(reading: Reading, start: Any) -> list[Any]:  # noqa: ANN401, ARG001 - as all rules
    """Returns the number at the start."""
    return [start]


def decide(model: Model, said: Said) -> Conflict | NotImplementedType | None:  # noqa: ARG001 - as all rules
    """Decides; NotImplemented where changes differ in their amount."""
    start = said.names(said.initial[0])
    f, steps = said.f, np.zeros(len(said.f), np.int64)
    steps[f == _INCREMENT], steps[f == _DECREMENT] = 1, -1
    for code, sign in ((_ADD, 1), (_SUBTRACT, -1)):
        calls = np.flatnonzero(f == code)
        numbers, alike = np.unique(said.value[calls], return_inverse=True)
        amounts = [sign * said.names(number) for number in numbers.tolist()]
        if any(abs(amount) > _MOST for amount in amounts):
            return NotImplemented  # type: ignore[no-any-return]
        steps[calls] = np.array(amounts, np.int64)[alike.reshape(-1)]
    amounts = np.unique(steps[steps != 0]).tolist()
    if len(amounts) > 1:
        return NotImplemented  # type: ignore[no-any-return]
    amount = amounts[0] if amounts else 1
    reads = np.flatnonzero((f == _READ) | (f == _READ_INITIAL))
    values = np.where(f[reads] == _READ_INITIAL, said.initial[0], said.value[reads])
    numbers, alike = np.unique(values, return_inverse=True)
    expected = [_count(said.names(number), start, amount) for number in numbers.tolist()]
    target = np.full(len(f), _NOTHING, np.int64)
    target[reads] = np.array(expected, np.int64)[alike.reshape(-1)]
    target[steps != 0] = _CHANGE
    call = _sweep(target, said.returned, events_of(said.invoked, said.returned, said.moment_count))
    return None if call < 0 else _conflict(said, target, int(call))


def _count(value: Any, start: int, amount: int) -> int:  # noqa: ANN401 - a JSON value
    """Returns how many changes lead to a number; `_NEVER_EXPECTED` where none do."""
    if value != value // 1 if isinstance(value, int | float) else True:
        return _NEVER_EXPECTED
    count, rest = divmod(value - start, amount)
    return int(count) if rest == 0 and 0 <= count < _MOST else _NEVER_EXPECTED


def _conflict(said: Said, target: NDArray[np.int64], call: int) -> Conflict:
    """Returns a read with all calls before its return: a count has no smaller contradiction in general."""
    until = said.returned[call]
    calls = np.flatnonzero((said.invoked < until) & ((target == _CHANGE) | (said.returned <= until)))
    number = said.initial[0] if said.f[call] == _READ_INITIAL else int(said.value[call])
    value = said.names(number)
    why = f"read {value} returned when the changes that had happened, or could have, lead to no such number"
    return Conflict((value,), calls if said.place is None else said.place[calls], why)


@compiled
def _sweep(  # noqa: C901 - compiled code has no objects
    target: NDArray[np.int64], returned: NDArray[np.int32], events: NDArray[np.int32]
) -> int:
    """Returns the first read that cannot return when it did; -1: none."""
    done = np.zeros(len(target), np.uint8)
    pending = [(np.int64(0), np.int64(0)) for _ in range(0)]  # changes, by return
    reads = [(np.int64(0), np.int64(0)) for _ in range(0)]  # by what they expect
    count = 0
    for event in events:
        if event >= 0:
            if target[event] == _CHANGE:
                heapq.heappush(pending, (np.int64(returned[event]), np.int64(event)))
            elif target[event] >= count:
                heapq.heappush(reads, (target[event], np.int64(event)))
            continue
        call = -1 - event
        if done[call] or target[call] == _NOTHING:
            continue
        wanted = count + 1 if target[call] == _CHANGE else target[call]
        if target[call] == _CHANGE:
            while reads and reads[0][0] <= count:
                done[heapq.heappop(reads)[1]] = 1
            done[call] = 1
            count = wanted
            continue
        if wanted < count:
            return call  # type: ignore[no-any-return]
        while count < wanted:
            while reads and reads[0][0] <= count:
                done[heapq.heappop(reads)[1]] = 1
            while pending and done[pending[0][1]]:
                heapq.heappop(pending)
            if not pending:
                return call  # type: ignore[no-any-return]
            done[heapq.heappop(pending)[1]] = 1
            count += 1
        done[call] = 1
    return -1
