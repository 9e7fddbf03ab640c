"""The calls of registers, read straight off the columns of a history: no object is made of a call or of a number.

Values are small numbers here, in the order in which they come, the initial one first; so are the states. What this
does not know (values that are no numbers and no strings, mistakes) is left to `analysis.linear.calls`, which knows all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from analysis.compiled import compiled
from analysis.linear.effects import CAS, NEVER, NOT, READ, WRITE, Effects, useful
from analysis.linear.model import frozen
from analysis.linear.registers import CasRegister, Register
from analysis.table import FAIL, INT, INVOKE, NEMESIS_PROCESS, NIL, OK, OTHER, PAIR, UNPAIRED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analysis.linear.model import Model, Reading
    from analysis.table import Table

_ROLES: Final = {"read": 0, "write": 1, "cas": 2}
_READ, _WRITE, _CAS, _FAILED = range(4)
_STRANGE: Final = -1
_SILENT: Final = -2
_UNKNOWN: Final = 9  # the outcome of a call that has no end
_CODES: Final = (READ, WRITE, CAS, NOT)  # by role
_MOST_VALUES: Final = 1 << 30
_OBJECTS: Final = 1 << 61
"""Where the codes of values that are no numbers begin."""

_NIL_CODE: Final = -(1 << 62)
_EMPTY: Final = -(1 << 63)


class Columns(NamedTuple):
    """The calls of m operations that say something, grouped by key, in the order of their invocation in each.

    Attributes:
        effects: What the distinct operations do.
        operation: int32[m], each call's.
        invoked: int64[m], the row of the invocation.
        returned: int64[m], the row of the completion; `NEVER` for crashed calls.
        starts: int64[k + 1]: key i has the calls from starts[i] to starts[i + 1]; none where this does not apply.
    """

    effects: Effects
    operation: NDArray[np.int32]
    invoked: NDArray[np.int64]
    returned: NDArray[np.int64]
    starts: NDArray[np.int64]


def columns_of(table: Table, model: Model, reading: Reading, *, keyed: bool) -> Columns | None:
    """Returns the calls of a register or cas-register, None where something stands there that this does not know."""
    if type(model) not in {Register, CasRegister}:
        return None
    known = _ROLES if type(model) is CasRegister else {"read": _READ, "write": _WRITE}
    roles = np.array([known.get(name, _STRANGE) for name in table.f_names], np.int8)
    initial = reading.initial
    if initial is not None and (type(initial) is not int or abs(initial) >= _OBJECTS):
        return None
    values = _plain(table, keyed=keyed)
    if values is None:
        return None
    columns = _read_off(
        table.type, table.process, table.f, *values, table.pair, roles,
        _NIL_CODE if initial is None else initial, reading.nil_read == "wildcard", reading.failed_cas == "evidence",
    )  # fmt: skip
    return columns if len(columns.starts) else None


def _plain(table: Table, *, keyed: bool) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]] | None:
    """Returns the key, kind, first and second of each row, keys and values that are no numbers coded as numbers."""
    if not keyed:
        return table.first[:0], table.kind, table.first, table.second
    split = _split_objects(table.objects)
    if split is None:
        return None
    pairs, others = table.kind == PAIR, table.kind == OTHER
    if (np.abs(table.first[pairs]) >= _OBJECTS).any() or (np.abs(table.second[pairs]) >= _OBJECTS).any():
        return None
    key, first, second = table.first.copy(), table.first.copy(), table.second.copy()
    kind = np.full(len(table), OTHER, np.uint8)  # what has no key is a mistake, or nobody asks for it
    kind[pairs], first[pairs] = INT, table.second[pairs]
    at = table.first[others]
    key[others], kind[others], first[others], second[others] = (column[at] for column in split.T)
    return key, kind, first, second


def _split_objects(objects: list[Any]) -> NDArray[np.int64] | None:
    """Returns int64[objects, 4]: key, kind, first, second; None where one cannot be had so."""
    numbers: dict[Any, int] = {}

    def code(value: Any) -> int:  # noqa: ANN401
        if type(value) is int and -_OBJECTS < value < _OBJECTS:
            return value
        if value is None:
            return _NIL_CODE
        if isinstance(value, float | bool) and value == value // 1:  # equal to a whole number, as Python has it
            return int(value)
        return numbers.setdefault(frozen(value), _OBJECTS + len(numbers))

    rows = np.zeros((len(objects), 4), np.int64)
    for place, value in enumerate(objects):
        if not isinstance(value, list | tuple) or len(value) != 2:
            rows[place, 1] = OTHER  # of the nemesis, or a mistake
            continue
        key, inner = value
        if inner is None:
            rows[place] = code(key), NIL, 0, 0
        elif isinstance(inner, list | tuple):
            if len(inner) != 2:
                return None
            rows[place] = code(key), PAIR, code(inner[0]), code(inner[1])
        else:
            rows[place] = code(key), INT, code(inner), 0
    return rows


@compiled
def _find(table: NDArray[np.int64], numbers: NDArray[np.int32], key: int, fresh: int) -> int:
    """Returns the number of a key in an open table; it gets the number `fresh` where it has none."""
    mask = len(table) - 1
    place = np.int64((np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)) & mask
    while table[place] != key:
        if table[place] == _EMPTY:
            table[place], numbers[place] = key, fresh
            return fresh
        place = (place + 1) & mask
    return numbers[place]  # type: ignore[no-any-return]  # numpy's scalar


@compiled
def _larger(table: NDArray[np.int64], numbers: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Returns the same table with four times the places."""
    wide = np.full(4 * len(table), _EMPTY, np.int64)
    wide_numbers = np.zeros(4 * len(table), np.int32)
    for place in range(len(table)):
        if table[place] != _EMPTY:
            _find(wide, wide_numbers, table[place], numbers[place])
    return wide, wide_numbers


@compiled
def _read_off(  # noqa: C901, PLR0913, PLR0917 - compiled code has no objects
    types: NDArray[np.uint8],
    process: NDArray[np.int64],
    f: NDArray[np.int32],
    key: NDArray[np.int64],
    kind: NDArray[np.uint8],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    pair: NDArray[np.int64],
    roles: NDArray[np.int8],
    initial: int,
    wild: bool,  # noqa: FBT001 - compiled code takes no keywords
    evidence: bool,  # noqa: FBT001 - the same
) -> Columns:
    """Reads all calls in one pass; `starts` is empty where something stands there that this does not know."""
    count = 0
    for row in range(len(types)):
        count += types[row] == INVOKE
    operation, owner = np.empty(count, np.int32), np.zeros(count if len(key) else 0, np.int32)
    invoked, returned = np.empty(count, np.int64), np.empty(count, np.int64)
    values, value_numbers = np.full(64, _EMPTY, np.int64), np.zeros(64, np.int32)
    said, said_numbers = np.full(64, _EMPTY, np.int64), np.zeros(64, np.int32)
    keys, key_numbers = np.full(64, _EMPTY, np.int64), np.zeros(64, np.int32)
    value_count = 1 + _find(values, value_numbers, initial, 0)
    said_count, key_count, m, known = 0, 0, 0, True
    for row in range(len(types)):
        end = pair[row]
        if process[row] == NEMESIS_PROCESS or (types[row] != INVOKE and end != UNPAIRED):
            continue
        role, a, b = _meaning(types, f, key, kind, first, second, pair, roles, initial, wild, evidence, row)
        if role == _SILENT:
            continue
        known = role != _STRANGE and value_count < _MOST_VALUES
        if not known:
            break
        if 2 * (value_count + 2) > len(values):
            values, value_numbers = _larger(values, value_numbers)
        a_number = _find(values, value_numbers, a, value_count)
        value_count += a_number == value_count
        b_number = a_number if a == b else _find(values, value_numbers, b, value_count)
        value_count += b_number == value_count
        if 2 * (said_count + 1) > len(said):
            said, said_numbers = _larger(said, said_numbers)
        operation[m] = _find(said, said_numbers, (role << 60) | (a_number << 30) | b_number, said_count)
        said_count += operation[m] == said_count
        if len(key):
            if 2 * (key_count + 1) > len(keys):
                keys, key_numbers = _larger(keys, key_numbers)
            owner[m] = _find(keys, key_numbers, key[row], key_count)
            key_count += owner[m] == key_count
        invoked[m], returned[m] = row, end if end != UNPAIRED and types[end] in (OK, FAIL) else NEVER
        m += 1
    effects = _effects(said, said_numbers, said_count)
    if not known:
        return Columns(effects, operation, invoked, returned, np.zeros(0, np.int64))
    operation, invoked, returned, owner = operation[:m], invoked[:m], returned[:m], owner[:m]
    kept = useful(effects, operation, returned)
    if len(kept) < m:
        operation, invoked, returned = operation[kept], invoked[kept], returned[kept]
        owner = owner[kept] if len(key) else owner
    if not len(key):
        return Columns(effects, operation, invoked, returned, np.array([0, len(operation)]))
    return _grouped(effects, operation, invoked, returned, owner, key_count)


@compiled
def _meaning(  # noqa: PLR0911, PLR0913, PLR0917 - compiled code has no objects
    types: NDArray[np.uint8],
    f: NDArray[np.int32],
    key: NDArray[np.int64],
    kind: NDArray[np.uint8],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    pair: NDArray[np.int64],
    roles: NDArray[np.int8],
    initial: int,
    wild: bool,  # noqa: FBT001 - compiled code takes no keywords
    evidence: bool,  # noqa: FBT001 - the same
    row: int,
) -> tuple[int, int, int]:
    """Returns what the call of a row means, and its values: its role, `_SILENT` where it says nothing, `_STRANGE`."""
    end, role = pair[row], roles[f[row]]
    if types[row] != INVOKE or role == _STRANGE or (len(key) and kind[row] == OTHER):
        return _STRANGE, 0, 0
    outcome = types[end] if end != UNPAIRED else _UNKNOWN
    if role == _READ:
        if outcome != OK or (kind[end] == NIL and wild):
            return _SILENT, 0, 0
        if kind[end] == NIL:
            return _READ, initial, initial
        told = kind[end] == INT and (key[end] == key[row] if len(key) else _is_plain(first[end]))
        return _READ if told else _STRANGE, first[end], first[end]
    if role == _WRITE:
        if kind[row] not in (NIL, INT) or (kind[row] == INT and not len(key) and not _is_plain(first[row])):
            return _STRANGE, 0, 0
        value = first[row] if kind[row] == INT else _NIL_CODE
        return _SILENT if outcome == FAIL else _WRITE, value, value
    a, b = first[row], second[row]
    if kind[row] != PAIR or not (len(key) or (_is_plain(a) and _is_plain(b))):
        return _STRANGE, 0, 0
    if outcome == FAIL:
        return _FAILED if evidence else _SILENT, a, b
    return _CAS, a, b


@compiled
def _is_plain(number: int) -> bool:
    """Whether a number can be told from the code of nil."""
    return _NIL_CODE < number < -_NIL_CODE


@compiled
def _effects(said: NDArray[np.int64], numbers: NDArray[np.int32], count: int) -> Effects:
    """Returns what the distinct operations do, from the table in which they got their numbers."""
    code, before, after = np.empty(count, np.int8), np.empty(count, np.int32), np.empty(count, np.int32)
    for place in range(len(said)):
        if said[place] != _EMPTY:
            number, role = numbers[place], said[place] >> 60
            a, b = (said[place] >> 30) & (_MOST_VALUES - 1), said[place] & (_MOST_VALUES - 1)
            code[number] = _CODES[_READ if role == _CAS and a == b else role]
            before[number], after[number] = a, b
    return Effects(code, before, after, np.full(2, -1, np.int64), np.zeros(2, np.int32))


@compiled
def _grouped(  # noqa: PLR0913, PLR0917 - compiled code has no objects
    effects: Effects,
    operation: NDArray[np.int32],
    invoked: NDArray[np.int64],
    returned: NDArray[np.int64],
    owner: NDArray[np.int32],
    count: int,
) -> Columns:
    """Puts the calls of a key together."""
    starts = np.zeros(count + 1, np.int64)
    for at in range(len(owner)):
        starts[owner[at] + 1] += 1
    for key in range(count):
        starts[key + 1] += starts[key]
    free = starts.copy()
    operation_of, invoked_of, returned_of = np.empty_like(operation), np.empty_like(invoked), np.empty_like(returned)
    for at in range(len(owner)):
        place = free[owner[at]]
        free[owner[at]] += 1
        operation_of[place], invoked_of[place], returned_of[place] = operation[at], invoked[at], returned[at]
    return Columns(effects, operation_of, invoked_of, returned_of, starts)
