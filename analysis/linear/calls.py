"""From events to numbered operations, apart by key: what the search reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from analysis.compiled import compiled, is_loaded
from analysis.history import HistoryError
from analysis.linear.effects import NEVER
from analysis.linear.model import Call, Model, Operation, Reading, frozen
from analysis.table import INVOKE, NEMESIS_PROCESS, NIL, OK, OTHER, PAIR, TYPES, UNPAIRED, Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_CRASHED: Final = TYPES.index("info")
_COLUMNS: Final = 9  # of what makes two calls alike
_PART: Final = 1000
_FEW: Final = 1000  # calls up to which the compiler is not worth while


@dataclass(frozen=True)
class Calls:
    """The calls of m operations that say something, grouped by key, in the order of their invocation in each.

    Attributes:
        operations: Each distinct operation, once.
        operation: int32[m], its place in `operations`.
        invoked: int64[m], the row of the invocation.
        returned: int64[m], the row of the completion; `NEVER` where nobody knows whether it happened.
        keys: The keys, in the order of their first calls; [None] where the history is of one object.
        starts: int64[k + 1]: key i has the calls from starts[i] to starts[i + 1].
    """

    operations: list[Operation]
    operation: NDArray[np.int32]
    invoked: NDArray[np.int64]
    returned: NDArray[np.int64]
    keys: list[Any]
    starts: NDArray[np.int64]


def find_calls(
    table: Table, model: Model, reading: Reading, *, keyed: bool, only: NDArray[np.int64] | None = None
) -> Calls:
    """Finds what each call means to the model.

    Args:
        table: The history.
        model: The object that was called.
        reading: How answers are to be understood.
        keyed: Whether values are pairs of a key and a value.
        only: The rows of the invocations that count; None: all.

    Raises:
        HistoryError: If a completion has no invocation, or the model does not know a function or a value.
    """
    clients = table.process != NEMESIS_PROCESS
    invoked = np.flatnonzero(clients & (table.type == INVOKE)) if only is None else only
    _refuse_orphans(table, clients)
    ended = table.pair[invoked]
    outcome = np.where(ended == UNPAIRED, _CRASHED, table.type[ended])
    alike, examples = _distinct(_likeness(table, invoked, ended, outcome, owned=model.owned))
    operations: dict[Operation, int] = {}
    keys: dict[Any, int] = {}
    meaning = np.full((len(examples), 2), -1, np.int32)
    for place, given in enumerate(_calls(table, invoked[examples], ended[examples], outcome[examples])):
        try:
            key, call = _split(given) if keyed else (None, given)
            operation = _understand(model, call, reading)
        except (ValueError, TypeError) as error:
            raise _mistake(table, int(invoked[examples[place]]), str(error)) from None
        if operation is not None:
            meaning[place] = (
                operations.setdefault(operation, len(operations)),
                keys.setdefault(key, len(keys)),
            )
    numbers = meaning[alike]
    said = np.flatnonzero(numbers[:, 0] >= 0)
    order = said if len(keys) < 2 else said[np.argsort(numbers[said, 1], kind="stable")]
    returned = np.where(outcome[order] == _CRASHED, NEVER, ended[order]).astype(np.int64)
    starts = np.concatenate(([0], np.cumsum(np.bincount(numbers[order, 1], minlength=len(keys)))))
    return Calls(list(operations), numbers[order, 0].copy(), invoked[order], returned, list(keys), starts)


def is_keyed(table: Table) -> bool:
    """Whether every invocation of a client has a pair for its value, reads one whose second is nil."""
    if not _has_pairs(table):
        return False
    rows = np.flatnonzero((table.process != NEMESIS_PROCESS) & (table.type == INVOKE))
    if not len(rows) or not np.isin(table.kind[rows], (PAIR, OTHER)).all():
        return False
    others = rows[table.kind[rows] == OTHER]
    if not all(isinstance(value := table.value(row), list | tuple) and len(value) == 2 for row in others):
        return False
    return any(table.value(row)[1] is None for row in others)


def _has_pairs(table: Table) -> bool:
    """Whether the first invocation of a client may have a pair: for most histories that is enough to know."""
    for begin in range(0, len(table), _PART):
        part = slice(begin, begin + _PART)
        rows = np.flatnonzero((table.type[part] == INVOKE) & (table.process[part] != NEMESIS_PROCESS))
        if len(rows):
            return table.kind[begin + rows[0]] in (PAIR, OTHER)
    return False


def _likeness(
    table: Table, invoked: NDArray[np.int64], ended: NDArray[np.int64], outcome: NDArray[Any], *, owned: bool
) -> NDArray[np.int64]:
    """Returns int64[calls, 9]: two calls with the same row of it mean the same."""
    columns = np.zeros((len(invoked), _COLUMNS), np.int64)
    asked: tuple[NDArray[Any], ...] = (table.f, table.kind, table.first, table.second)
    for place, column in enumerate(asked):
        columns[:, place] = column[invoked]
    if owned:
        columns[:, 4] = table.process[invoked]
    answered = (ended != UNPAIRED) & (outcome == OK)
    for place, column in enumerate(asked[1:4], 5):
        columns[:, place] = np.where(answered, column[ended], NIL)
    columns[:, 8] = outcome
    return columns


def _calls(table: Table, invoked: NDArray[np.int64], ended: NDArray[np.int64], outcome: NDArray[Any]) -> Iterator[Call]:
    """Makes objects of calls."""
    columns = invoked, ended, outcome, table.process[invoked], table.f[invoked]
    for begun, end, kind, process, f in zip(*(column.tolist() for column in columns), strict=True):
        answer = table.value(end) if kind == OK else None
        yield Call(process, table.f_names[f], table.value(begun), answer, TYPES[kind])


def _split(call: Call) -> tuple[Any, Call]:
    """Returns the key, and the call with values that have none."""
    given = call.answer if call.argument is None else call.argument
    if not isinstance(given, list | tuple) or len(given) != 2:
        raise ValueError(f"expected [key, value] as the value of {call.f}, found {given!r}")
    answer = call.answer[1] if isinstance(call.answer, list | tuple) and len(call.answer) == 2 else call.answer
    argument = call.argument[1] if isinstance(call.argument, list | tuple) else None
    return frozen(given[0]), Call(call.process, call.f, argument, answer, call.outcome)


def _understand(model: Model, call: Call, reading: Reading) -> Operation | None:
    if model.functions is not None and call.f not in model.functions:
        raise ValueError(f"the model {model.name} knows {', '.join(sorted(model.functions))}; found {call.f!r}")
    operation = model.operation(call, reading)
    hash(operation)
    return operation


def _refuse_orphans(table: Table, clients: NDArray[np.bool_]) -> None:
    orphans = np.flatnonzero(clients & (table.type != INVOKE) & (table.pair == UNPAIRED))
    if len(orphans):
        process, ended = table.process[orphans[0]], TYPES[table.type[orphans[0]]]
        raise _mistake(table, int(orphans[0]), f'"{ended}" of process {process} without an invocation before it')


def _mistake(table: Table, row: int, sentence: str) -> HistoryError:
    return HistoryError([f"{table.name}:{table.line[row]}:1: {sentence}"])


def _distinct(columns: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers the distinct rows; see `distinct`."""
    if len(columns) > _FEW or is_loaded():
        return distinct(columns)
    firsts: dict[tuple[int, ...], int] = {}
    alike = [firsts.setdefault(tuple(row), at) for at, row in enumerate(columns.tolist())]
    number = {first: place for place, first in enumerate(firsts.values())}
    return np.array([number[first] for first in alike], np.int64), np.array(list(firsts.values()), np.int64)


@compiled
def distinct(columns: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers the distinct rows of a table in the order in which they come.

    Returns:
        int64[n], each row's number; int64[d], the first row that has each number.
    """
    count, width = columns.shape
    size = 16
    while size < 2 * count:
        size *= 2
    slots = np.full(size, -1, np.int64)
    numbers = np.empty(count, np.int64)
    firsts = np.empty(count, np.int64)
    found = 0
    for row in range(count):
        mixed = np.uint64(0)
        for column in range(width):
            mixed = (mixed ^ np.uint64(columns[row, column])) * np.uint64(0x9E3779B97F4A7C15)
            mixed ^= mixed >> np.uint64(29)
        slot = np.int64(mixed & np.uint64(size - 1))
        while True:
            number = slots[slot]
            if number < 0:
                slots[slot] = number = found
                firsts[found] = row
                found += 1
                break
            same = True
            for column in range(width):
                if columns[firsts[number], column] != columns[row, column]:
                    same = False
                    break
            if same:
                break
            slot = (slot + 1) & (size - 1)
        numbers[row] = number
    return numbers, firsts[:found].copy()
