"""What an operation does to any state, where that can be said in a word: the search then need not ask the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from analysis.compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

READ: Final = 0
"""Possible in one state alone, which stays."""

NOT: Final = 1
"""Possible in all states but one, which stay."""

ASKED_READ: Final = 2
"""The model must be asked; where it is possible the state stays."""

WRITE: Final = 3
"""Possible in every state; always leaves the same one."""

CAS: Final = 4
"""Possible in one state alone; leaves another."""

ASKED: Final = 5
"""The model must be asked."""

NEVER: Final = 2**62
"""The row in which a crashed call returns."""

PURE: Final = ASKED_READ
"""Codes up to this one never change a state."""

ILLEGAL: Final = -1
UNASKED: Final = -2
_EMPTY: Final = -1


class Effects(NamedTuple):
    """What each of the distinct operations does.

    Attributes:
        code: int8[operations], one of the constants above.
        before: int32[operations], the number of the state that it needs, or does not suffer.
        after: int32[operations], the number of the state that it leaves.
        keys: int64[power of two], state << 32 | operation, or -1: the steps that the model was asked for.
        values: int32[as many], the state after it, or `ILLEGAL`.
    """

    code: NDArray[np.int8]
    before: NDArray[np.int32]
    after: NDArray[np.int32]
    keys: NDArray[np.int64]
    values: NDArray[np.int32]


@compiled
def step(effects: Effects, state: int, operation: int) -> int:
    """Returns the state after an operation, `ILLEGAL` where it is not possible, or `UNASKED`."""
    code = effects.code[operation]
    if code == WRITE:
        return effects.after[operation]  # type: ignore[no-any-return]  # numpy's scalar
    if code == CAS:
        return int(effects.after[operation]) if effects.before[operation] == state else ILLEGAL
    if code == READ:
        return state if effects.before[operation] == state else ILLEGAL
    if code == NOT:
        return state if effects.before[operation] != state else ILLEGAL
    key = (state << 32) | operation
    mask = len(effects.keys) - 1
    place = np.int64((np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)) & mask
    while effects.keys[place] != key:
        if effects.keys[place] == _EMPTY:
            return UNASKED
        place = (place + 1) & mask
    return effects.values[place]  # type: ignore[no-any-return]  # numpy's scalar


@compiled
def add_steps(effects: Effects, keys: NDArray[np.int64], values: NDArray[np.int32]) -> None:
    """Puts steps of the model where `step` finds them; those that are there stay."""
    mask = len(effects.keys) - 1
    for at in range(len(keys)):
        key = keys[at]
        if key == _EMPTY:
            continue
        place = np.int64((np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)) & mask
        while effects.keys[place] != _EMPTY and effects.keys[place] != key:
            place = (place + 1) & mask
        effects.keys[place], effects.values[place] = key, values[at]


@compiled
def useful(effects: Effects, operation: NDArray[np.int32], returned: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns the places of the calls that count.

    A crashed call is of no use where it leaves a state that no operation needs, and no operation suffers any state.
    """
    some = False
    for at in range(len(returned)):
        some |= returned[at] == NEVER
    expected = np.zeros(len(effects.code) + 1, np.bool_)
    for number in range(len(effects.code) * some):
        some &= effects.code[number] not in (NOT, ASKED, ASKED_READ)
        before = effects.before[number]
        if effects.code[number] != WRITE:
            if before >= len(expected):
                expected = np.concatenate((expected, np.zeros(1 + before, np.bool_)))
            expected[before] = True
    places = np.arange(len(returned))
    if not some:
        return places
    count = 0
    for at in range(len(returned)):
        code, after = effects.code[operation[at]], effects.after[operation[at]]
        idle = returned[at] == NEVER and code > PURE and (after >= len(expected) or not expected[after])
        places[count] = at
        count += not idle
    return places[:count].copy()
