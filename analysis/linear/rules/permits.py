"""A mutex that anybody may release, and a semaphore whose calls take or give one permit.

All acquires are alike, and all releases: only their times differ. So they happen as late as they can: when one has to
return, or when another that has to return needs it first. Of those that could help, the one that must return first
does: an order that explains the history can always be turned into this one by exchanging calls that are alike.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.compiled import compiled
from analysis.linear.locks import Semaphore
from analysis.linear.rules.conflict import Conflict
from analysis.linear.rules.said import ARGUMENT, NEVER, NOTHING, Function, Said

if TYPE_CHECKING:
    from types import NotImplementedType

    from numpy.typing import NDArray

    from analysis.linear.model import Model, Operation, Reading

_ACQUIRE, _RELEASE, _ACQUIRE_SOME, _RELEASE_SOME = range(4)
_MOST_STARTS = 64  # counts of permits to begin with, when a small contradiction is looked for


def functions(model: Model, reading: Reading) -> dict[str, Function]:  # noqa: ARG001 - as all rules
    """Returns how a table's calls are read."""
    if not isinstance(model, Semaphore):
        codes = {"acquire": _ACQUIRE, "release": _RELEASE}
        return {name: Function(code, NOTHING, crashed=code) for name, code in codes.items()}
    return {
        "acquire": Function(_ACQUIRE_SOME, ARGUMENT, _ACQUIRE, crashed=_ACQUIRE_SOME),
        "release": Function(_RELEASE_SOME, ARGUMENT, _RELEASE, crashed=_RELEASE_SOME),
    }


def read(operation: Operation) -> tuple[Any, ...] | None:
    """Returns an operation's code, and its number of permits where it is none of one."""
    code = _ACQUIRE if operation.f == "acquire" else _RELEASE
    if operation.argument in {None, 1}:
        return (code,)
    return (code + _ACQUIRE_SOME, operation.argument)


def initial(reading: Reading, start: Any) -> list[Any]:  # noqa: ANN401, ARG001 - as all rules
    """Returns how many permits are taken at the start."""
    return [int(start)]


def decide(model: Model, said: Said) -> Conflict | NotImplementedType | None:
    """Decides; NotImplemented where calls take or give another number of permits than one."""
    f = said.f
    if isinstance(model, Semaphore):
        some = np.flatnonzero(f >= _ACQUIRE_SOME)
        if any(said.names(number) != 1 for number in np.unique(said.value[some]).tolist()):
            return NotImplemented  # type: ignore[no-any-return]
        f = f % _ACQUIRE_SOME if len(some) else f
    permits = model.permits if isinstance(model, Semaphore) else 1
    taken = said.names(said.initial[0]) if said.initial else 0
    if not 0 <= taken <= permits or permits < 1:
        return NotImplemented  # type: ignore[no-any-return]
    events = events_of(said.invoked, said.returned, said.moment_count)
    wrong = int(_sweep(f, said.returned, events, taken, permits))
    if wrong < 0:
        return None
    calls = _window(f, said, wrong, permits)
    what = "acquire" if f[wrong] == _ACQUIRE else "release"
    why = f"the {what} of call {wrong} returned when " + (
        "every permit was taken, and no release was pending"
        if f[wrong] == _ACQUIRE
        else "no permit was taken, and no acquire was pending"
    )
    return Conflict((what,), calls if said.place is None else said.place[calls], why)


def _window(f: NDArray[np.uint8], said: Said, wrong: int, permits: int) -> NDArray[np.int64]:
    """Returns the last calls before the impossible return that are contradictory however many permits were taken."""
    until = said.returned[wrong]
    before = np.flatnonzero(said.invoked < until)
    by_return = before[np.argsort(said.returned[before], kind="stable")]
    ended = by_return[said.returned[by_return] <= until]

    def contradictory(count: int) -> NDArray[np.int64] | None:
        begin = said.returned[ended[-count]]
        calls = before[said.returned[before] >= begin]
        events = events_of(said.invoked[calls], said.returned[calls], said.moment_count)
        starts = range(permits + 1)
        if all(_sweep(f[calls], said.returned[calls], events, start, permits) >= 0 for start in starts):
            return calls  # type: ignore[no-any-return]
        return None

    count, good = 1, 0
    if permits < _MOST_STARTS:
        while count < len(ended):
            if (found := contradictory(count)) is not None:
                break
            good, count = count, 2 * count
        else:
            count = len(ended)
            found = contradictory(count)
        while found is not None and count - good > 1:
            middle = (good + count) // 2
            if (smaller := contradictory(middle)) is None:
                good = middle
            else:
                count, found = middle, smaller
        if found is not None:
            return found
    return before


def events_of(invoked: NDArray[np.int32], returned: NDArray[np.int32], count: int) -> NDArray[np.int32]:
    """Returns int32[events]: the calls in the order of their events: call c invoked as c, returned as -1 - c."""
    if len(invoked) * 8 < count:
        ended = np.flatnonzero(returned != NEVER)
        at = np.concatenate((invoked, returned[ended]))
        calls = np.concatenate((np.arange(len(invoked)), -1 - ended))
        return calls[np.argsort(at)].astype(np.int32)
    return _scattered(invoked, returned, count)


@compiled
def _scattered(invoked: NDArray[np.int32], returned: NDArray[np.int32], count: int) -> NDArray[np.int32]:
    none = np.int32(2**31 - 1)
    at = np.full(count, none, np.int32)
    for call in range(len(invoked)):
        at[invoked[call]] = call
        if returned[call] != NEVER:
            at[returned[call]] = -1 - call
    found = 0
    for moment in range(count):
        if at[moment] != none:
            at[found] = at[moment]
            found += 1
    return at[:found]


@compiled
def _sweep(
    f: NDArray[np.uint8], returned: NDArray[np.int32], events: NDArray[np.int32], taken: int, permits: int
) -> int:
    """Returns the first call that cannot return when it did; -1 where all can."""
    done = np.zeros(len(f), np.uint8)
    acquires = [(np.int64(0), np.int64(0)) for _ in range(0)]
    releases = [(np.int64(0), np.int64(0)) for _ in range(0)]
    for event in events:
        if event >= 0:
            entry = (np.int64(returned[event]), np.int64(event))
            if f[event] == _ACQUIRE:
                heapq.heappush(acquires, entry)
            else:
                heapq.heappush(releases, entry)
            continue
        call = -1 - event
        if done[call]:
            continue
        done[call] = 1
        if f[call] == _ACQUIRE:
            if taken < permits:
                taken += 1
                continue
            helpers = releases
        else:
            if taken > 0:
                taken -= 1
                continue
            helpers = acquires
        while len(helpers) and done[helpers[0][1]]:
            heapq.heappop(helpers)
        if not len(helpers):
            return call  # type: ignore[no-any-return]
        done[heapq.heappop(helpers)[1]] = 1
    return -1
