"""Locks that only their holder releases; a holder is a process, which does one thing after the other.

From the acquire that made a process the holder until the release that made it none, nobody else can do anything, so
these calls are one block. It holds the lock for sure from the return of the first to the invocation of the last, or
for ever where it never released. The history is linearizable if and only if every process acquires and releases in
turn (or, where it may, as deep as it likes), and no two blocks hold the lock at one moment. That makes the order of
the blocks known, and fencing tokens must grow in it.

A crashed acquire may be left out; a crashed release may be taken to have happened at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.compiled import compiled
from analysis.linear.locks import FencedMutex
from analysis.linear.model import UNKNOWN
from analysis.linear.rules.conflict import Conflict
from analysis.linear.rules.said import NEVER, PROCESS, TOKEN, Function, Said

if TYPE_CHECKING:
    from types import NotImplementedType

    from numpy.typing import NDArray

    from analysis.linear.model import Model, Operation, Reading

_ACQUIRE, _RELEASE = range(2)
_FITS, _UNSUITABLE, _NOT_HELD, _HELD, _TOGETHER, _TOKEN = range(6)
_SHOWN = 5


def functions(model: Model, reading: Reading) -> dict[str, Function]:  # noqa: ARG001 - as all rules
    """Returns how a table's calls are read."""
    source = TOKEN if isinstance(model, FencedMutex) else PROCESS
    return {
        "acquire": Function(_ACQUIRE, source, crashed=_ACQUIRE),
        "release": Function(_RELEASE, PROCESS, crashed=_RELEASE),
    }


def read(operation: Operation) -> tuple[Any, ...] | None:
    """Returns an operation's code, its process and its token."""
    code = _ACQUIRE if operation.f == "acquire" else _RELEASE
    token = operation.result
    return (
        (code, operation.argument) if token is None or token is UNKNOWN else (code, operation.argument, _Token(token))
    )


class _Token(int):
    """A token, which is no process, and comes after all smaller ones."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Token) and int(self) == int(other)

    def __hash__(self) -> int:
        return hash(("token", int(self)))

    def __ne__(self, other: object) -> bool:
        return not self == other


def initial(reading: Reading, start: Any) -> list[Any]:  # noqa: ANN401, ARG001 - as all rules
    """Returns the holder at the start, if there is one."""
    return [] if start[0] is None else [start[0]]


def decide(model: Model, said: Said) -> Conflict | NotImplementedType | None:
    """Decides; NotImplemented where a process goes on after a crashed call, or does two things at once."""
    fenced = isinstance(model, FencedMutex)
    token = said.other
    if fenced and said.place is None:  # numbered as they came, not in their order
        known = (said.f == _ACQUIRE) & (said.returned != NEVER)
        tokens = [int(said.names(number)) for number in said.other[known].tolist()]
        token = np.zeros(len(said.f), np.int32)
        token[known] = np.unique(np.array(tokens, object), return_inverse=True)[1]
    holder = said.initial[0] if said.initial else -1
    kind, one, two = _sweep(
        said.f, said.value, token, said.invoked, said.returned, said.value_count, said.moment_count, holder, fenced
    )
    if kind in {_FITS, _UNSUITABLE}:
        return None if kind == _FITS else NotImplemented
    return _conflict(said, int(kind), int(one), int(two))


def _conflict(said: Said, kind: int, one: int, two: int) -> Conflict:
    """Returns the calls of the blocks that begin with two calls, -1 for the one that held it at the start."""
    numbers = [int(said.value[call]) if call >= 0 else said.initial[0] if said.initial else -1 for call in (one, two)]
    a, b = (said.names(number if number >= 0 else numbers[1]) for number in numbers)
    if kind in {_NOT_HELD, _HELD}:  # what the process did until then, from where it held nothing
        calls = np.flatnonzero(said.value == numbers[1])
        calls = calls[calls <= two]
        calls = calls[calls >= one] if one >= 0 else calls
        why = f"{b} released what it did not hold" if kind == _NOT_HELD else f"{b} acquired what it held already"
    else:
        calls = np.unique(np.concatenate([_block(said, call) for call in (one, two)]))
        why = f"{a} and {b} held the lock at the same time"
        if kind == _TOKEN:
            why = f"{b} acquired after {a}, but its token is no greater"
    return Conflict((a, b) if a != b else (b,), calls if said.place is None else said.place[calls], why)


def _block(said: Said, first: int) -> NDArray[np.int64]:
    """Returns the calls of a block."""
    calls = np.flatnonzero(said.value == (said.initial[0] if first < 0 else said.value[first]))
    calls = calls[calls >= first]
    depth = np.cumsum(np.where(said.f[calls] == _ACQUIRE, 1, -1)) + (first < 0)
    over = np.flatnonzero(depth == 0)
    return calls[: over[0] + 1] if len(over) else calls


@compiled
def _sweep(  # noqa: C901, PLR0912, PLR0913, PLR0917 - compiled code has no objects
    f: NDArray[np.uint8],
    process: NDArray[np.int32],
    token: NDArray[np.int32],
    invoked: NDArray[np.int32],
    returned: NDArray[np.int32],
    processes: int,
    moments: int,
    initial: int,
    fenced: bool,  # noqa: FBT001 - compiled code takes no keywords
) -> tuple[int, int, int]:
    """Returns the kind of conflict and the first calls of the two blocks; -1 for the one at the start."""
    busy = np.full(processes, -1, np.int32)  # until when the process's last call lasted
    depth = np.zeros(processes, np.int32)
    first = np.full(processes, -1, np.int32)  # the call that made it the holder
    until = np.full(len(f) + 1, NEVER, np.int32)  # when the block that begins with a call ends; the last: at the start
    begins = np.full(moments, -1, np.int32)
    wrong, one, two = _FITS, 0, 0
    if initial >= 0:
        depth[initial] = 1
    for call in range(len(f)):
        who = process[call]
        if busy[who] > invoked[call]:
            return _UNSUITABLE, 0, 0
        busy[who] = returned[call]
        crashed = returned[call] == NEVER
        if f[call] == _ACQUIRE:
            if crashed:
                continue
            if depth[who] == 0:
                first[who] = call
                begins[returned[call]] = call
            elif fenced and wrong == _FITS:
                wrong, one, two = _HELD, first[who], call
            depth[who] += 1
        elif depth[who] == 0:
            if not crashed and wrong == _FITS:
                wrong, one, two = _NOT_HELD, first[who], call
        else:
            depth[who] -= 1
            if depth[who] == 0:
                until[first[who]] = invoked[call]
    if wrong != _FITS:
        return wrong, one, two
    current, held = -1, until[len(f)] if initial >= 0 else -1
    for moment in range(moments):
        call = begins[moment]
        if call < 0:
            continue
        if moment < held:
            return _TOGETHER, current, call
        if fenced and current >= 0 and token[call] <= token[current]:
            return _TOKEN, current, call
        current, held = call, until[call]
    return _FITS, 0, 0
