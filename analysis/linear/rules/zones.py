"""A register whose writes are all different: zones, and blocks of compare-and-sets.

After Gibbons and Korach, "Testing shared memories" (1997). A block is a write with its reads, then a compare-and-set
of its value with the reads of the new one, and so on. In a block a call may not return before any that stands before
it in the chain is invoked. Over its calls, let f be the least return and s the greatest invocation. Where f < s the
block was there all the time from f to s: a forward zone. Else it was there at some time from s to f: a backward one.
The history is linearizable if and only if every value that somebody saw has its one writer, no two compare-and-sets
took one value, the blocks are right in themselves, forward zones are disjoint, and no backward one lies inside a
forward one.

A crashed write or compare-and-set counts where its value was seen, then it must have happened; else it may be left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from analysis.compiled import compiled
from analysis.linear.registers import FAILED_CAS
from analysis.linear.rules.conflict import FEW, Conflict
from analysis.linear.rules.said import ANSWER, ARGUMENT, BOTH, DROP, NEVER, Function, Said

if TYPE_CHECKING:
    from types import NotImplementedType

    from numpy.typing import NDArray

    from analysis.linear.model import Model, Operation, Reading

_READ, _READ_INITIAL, _WRITE, _CAS, _FAILED = range(5)
_NONE: Final = -1

_FITS, _UNSUITABLE, _UNWRITTEN, _TAKEN_TWICE, _ROOTLESS, _TOO_EARLY, _CROSSED = range(7)


def functions(model: Model, reading: Reading) -> dict[str, Function]:
    """Returns how a table's calls are read."""
    nil = DROP if reading.nil_read == "wildcard" else _READ_INITIAL
    failed = _FAILED if reading.failed_cas == "evidence" else DROP
    every = {
        "read": Function(_READ, ANSWER, nil),
        "write": Function(_WRITE, ARGUMENT, crashed=_WRITE),
        "cas": Function(_CAS, BOTH, crashed=_CAS, failed=failed),
    }
    return {name: function for name, function in every.items() if name in (model.functions or ())}


def read(operation: Operation) -> tuple[Any, ...] | None:
    """Returns an operation's code and values."""
    f, argument, result = operation
    if f == "read":
        return (_READ, result)
    if f == "write":
        return (_WRITE, argument)
    return (_CAS if f == "cas" else _FAILED, *argument) if f in {"cas", FAILED_CAS} else None


def initial(reading: Reading, start: Any) -> list[Any]:  # noqa: ANN401, ARG001 - as the other rules have it
    """Returns the values at the start."""
    return [start[0]]


def decide(model: Model, said: Said) -> Conflict | NotImplementedType | None:  # noqa: ARG001 - as all rules
    """Decides; NotImplemented where a value has two writers, or a failed compare-and-set is evidence."""
    producer = np.full(said.value_count, _NONE, np.int32)
    found = _sweep(
        said.f, said.value, said.other, said.invoked, said.returned,
        said.value_count, said.moment_count, said.initial[0], producer,
    )  # fmt: skip
    if found[0] == _UNSUITABLE:
        return NotImplemented  # type: ignore[no-any-return]
    return None if found[0] == _FITS else _Witness(said, producer).conflict(*found)


class _Witness:
    """Finds the calls that show a conflict."""

    def __init__(self, said: Said, producer: NDArray[np.int32]) -> None:
        self.said, self.producer = said, producer

    def conflict(self, kind: int, *found: int) -> Conflict:
        """Returns the conflict; `found` are two values, or the moments that contradict each other."""
        said, names = self.said, self.said.names
        if kind == _UNWRITTEN:
            call = int(np.flatnonzero(self._expects(found[0]))[0])
            return self._named({call}, f"{self._told(call)}, but nobody wrote it")
        if kind == _TAKEN_TWICE:
            first, second = found[:2]
            calls = self._explained({first, second})
            value = _text(names(int(said.value[first])))
            return self._named(calls, f"two compare-and-sets from {value} succeeded, but it was written once")
        if kind == _ROOTLESS:
            calls = self._explained(set(self._chain(int(self.producer[found[0]]))))
            return self._named(calls, f"{_text(names(found[0]))} comes from compare-and-sets that begin with no write")
        if kind == _TOO_EARLY:
            early, late = map(self._at, found[:2])
            calls = self._block([early, late])
            why = f"{self._told(early)} and returned before {self._told(late)}, which must come first, was invoked"
            return self._named(calls, why)
        ends = [[self._at(moment) for moment in pair if moment >= 0] for pair in (found[:2], found[2:])]
        calls = self._block(ends[0]) | self._block(ends[1])
        one, two = (
            "the initial value" if root < 0 else _text(names(root)) for root in map(self._root, (found[:2], found[2:]))
        )
        return self._named(calls, f"{one} must be there both before and after {two}")

    def _named(self, calls: set[int], why: str) -> Conflict:
        said = self.said
        places = np.array(sorted(calls), np.int64)
        numbers = [int(column[call]) for call in places for column in self._columns(call)]
        values = tuple(said.names(number) for number in dict.fromkeys(numbers))
        return Conflict(values, places if said.place is None else said.place[places], why)

    def _columns(self, call: int) -> tuple[NDArray[np.int32], ...]:
        return (self.said.value, self.said.other) if self.said.f[call] == _CAS else (self.said.value,)

    def _told(self, call: int) -> str:
        said, value = self.said, self._expected(call)
        if said.f[call] == _WRITE:
            return f"write {_text(said.names(int(said.value[call])))}"
        if said.f[call] == _CAS:
            return f"cas {_text(said.names(value))} to {_text(said.names(int(said.other[call])))}"
        return f"read {_text(said.names(value))}"

    def _expected(self, call: int) -> int:
        return self.said.initial[0] if self.said.f[call] == _READ_INITIAL else int(self.said.value[call])

    def _expects(self, value: int) -> NDArray[np.bool_]:
        """Which calls, all of them ok, saw a value."""
        said = self.said
        sees = ((said.f == _READ) | (said.f == _CAS)) & (said.value == value) & (said.returned != NEVER)
        return sees | (said.f == _READ_INITIAL) if value == said.initial[0] else sees  # type: ignore[no-any-return]

    def _at(self, moment: int) -> int:
        """Returns the call that was invoked, or returned, at a moment."""
        place = int(np.searchsorted(self.said.invoked, moment))
        if place < len(self.said.invoked) and self.said.invoked[place] == moment:
            return place
        return int(np.flatnonzero(self.said.returned == moment)[0])

    def _chain(self, call: int) -> list[int]:
        """Returns a call, the one that wrote what it saw, and so on, as far as there are any."""
        chain: list[int] = []
        seen: set[int] = set()
        while call >= 0 and call not in seen:
            chain.append(call)
            seen.add(call)
            call = self._source(call)
        return chain

    def _source(self, call: int) -> int:
        """Returns the call that wrote what a call saw."""
        return _NONE if self.said.f[call] == _WRITE else int(self.producer[self._expected(call)])

    def _root(self, moments: tuple[int, ...]) -> int:
        last = self._chain(self._at(max(moments)))[-1] if max(moments) >= 0 else _NONE
        return int(self.said.value[last]) if last >= 0 and self.said.f[last] == _WRITE else _NONE

    def _block(self, ends: list[int]) -> set[int]:
        """Returns calls of one block with what links them, and what links them to its write where that is short."""
        chains = sorted(map(self._chain, ends), key=len)
        linked = chains[-1][: len(chains[-1]) - len(chains[0]) + 1] if len(chains) == 2 else []
        return self._explained({*ends, *linked})

    def _explained(self, calls: set[int]) -> set[int]:
        """Adds, for each call that may have crashed, one that saw its value; and a short way to the write."""
        said = self.said
        asked = list(calls)
        while asked:
            call = asked.pop()
            more = [source] if (source := self._source(call)) >= 0 else []
            if said.returned[call] == NEVER:
                value = int((said.other if said.f[call] == _CAS else said.value)[call])
                seen = np.flatnonzero(self._expects(value))
                if not len(seen):  # then by a crashed compare-and-set that was seen itself
                    seen = np.flatnonzero((said.f == _CAS) & (said.value == value))
                    seen = seen[self.producer[said.other[seen]] == seen]
                if not calls.intersection(seen.tolist()):
                    more.append(int(seen[0]))
            if len(calls) < FEW or said.returned[call] == NEVER:
                asked += [new for new in more if new not in calls]
                calls |= set(more)
        return calls


def _text(value: Any) -> str:  # noqa: ANN401 - a JSON value
    return "nil" if value is None else str(value)


@compiled
def _sweep(  # noqa: C901, PLR0911, PLR0912, PLR0913, PLR0915, PLR0917 - compiled code has no objects
    f: NDArray[np.uint8],
    value: NDArray[np.int32],
    other: NDArray[np.int32],
    invoked: NDArray[np.int32],
    returned: NDArray[np.int32],
    size: int,
    moments: int,
    initial: int,
    producer: NDArray[np.int32],
) -> tuple[int, int, int, int, int]:
    """Fills `producer`; returns the kind of conflict and what it is between."""
    least = np.full(size, NEVER, np.int32)  # return of a read; later of all the block's calls, at its first value
    greatest = np.full(size, _NONE, np.int32)  # the same of invocations
    links = 0
    twice = np.zeros(1, np.uint8)
    child = np.full(1, _NONE, np.int32)
    for call in range(len(f)):  # who reads, who writes
        code = f[call]
        if code == _WRITE:
            new = value[call]
        elif code == _CAS and value[call] != other[call]:
            new = other[call]
            links += 1
        elif code == _CAS and returned[call] == NEVER:
            continue
        else:
            if code == _FAILED:
                return _UNSUITABLE, 0, 0, 0, 0
            seen = initial if code == _READ_INITIAL else value[call]
            least[seen] = min(least[seen], returned[call])
            greatest[seen] = max(greatest[seen], invoked[call])
            continue
        if new == initial:
            return _UNSUITABLE, 0, 0, 0, 0
        before = producer[new]
        if before == _NONE:
            producer[new] = call
            continue
        if returned[before] != NEVER and returned[call] != NEVER:
            return _UNSUITABLE, 0, 0, 0, 0
        if len(twice) == 1:
            twice = np.zeros(size + 1, np.uint8)
        twice[new] = 1
        if returned[call] != NEVER:
            producer[new] = call
    double, other_double = _NONE, _NONE
    if links:
        child = np.full(size, _NONE, np.int32)
        for call in range(len(f)):
            if f[call] == _CAS and value[call] != other[call] and returned[call] != NEVER:
                if child[value[call]] != _NONE:
                    double, other_double = child[value[call]], call
                child[value[call]] = call
        for start in range(size):  # crashed ones that must have happened
            seen = start
            while least[seen] != NEVER or child[seen] != _NONE:
                call = producer[seen]
                if call == _NONE or returned[call] != NEVER or f[call] != _CAS:
                    break
                old = value[call]
                if child[old] == call:
                    break
                if child[old] != _NONE:
                    double, other_double = child[old], call
                    child[old] = call
                    break
                child[old] = call
                seen = old
    unwritten = _NONE
    for seen in range(size):
        if least[seen] != NEVER or (links and child[seen] != _NONE):
            if len(twice) > 1 and twice[seen]:
                return _UNSUITABLE, 0, 0, 0, 0
            if producer[seen] == _NONE and seen != initial:
                unwritten = seen
    if unwritten != _NONE:
        call = child[unwritten] if links else _NONE
        while call != _NONE and least[unwritten] == NEVER and returned[call] == NEVER:  # to one that was seen
            unwritten = other[call]
            call = child[unwritten]
        if producer[unwritten] != _NONE and f[producer[unwritten]] == _CAS:
            return _ROOTLESS, unwritten, 0, 0, 0
        return _UNWRITTEN, unwritten, 0, 0, 0
    if double != _NONE:
        return _TAKEN_TWICE, double, other_double, 0, 0
    begins = np.full(moments, _NONE, np.int32)
    visited = 0
    for start in range(size):  # the blocks, from their first values on
        first = producer[start]
        if start == initial:
            low, high = _NONE, _NONE
        elif (
            first != _NONE
            and f[first] == _WRITE
            and (returned[first] != NEVER or least[start] != NEVER or (links and child[start] != _NONE))
        ):
            low, high = returned[first], invoked[first]
        else:
            continue
        seen = start
        while True:
            if least[seen] < high:
                return _TOO_EARLY, least[seen], high, 0, 0
            low, high = min(low, least[seen]), max(high, greatest[seen])
            if not links or child[seen] == _NONE:
                break
            call = child[seen]
            if returned[call] < high:
                return _TOO_EARLY, returned[call], high, 0, 0
            low, high = min(low, returned[call]), max(high, invoked[call])
            seen = other[call]
            visited += 1
        least[start], greatest[start] = low, high
        if start != initial:
            begins[min(low, high)] = start
    if links:
        count = 0
        rootless = _NONE
        reached = np.zeros(size, np.uint8)
        for start in range(size):
            if child[start] != _NONE:
                count += 1
        if count != visited:
            for start in range(size):
                first = producer[start]
                if start == initial or (first != _NONE and f[first] == _WRITE):
                    seen = start
                    while child[seen] != _NONE:
                        seen = other[child[seen]]
                        reached[seen] = 1
            for start in range(size):
                if child[start] != _NONE and not reached[other[child[start]]]:
                    rootless = other[child[start]]
            return _ROOTLESS, rootless, 0, 0, 0
    current = initial
    for moment in range(moments):
        seen = begins[moment]
        if seen == _NONE:
            continue
        if least[seen] < greatest[seen]:
            if moment < greatest[current]:
                return _CROSSED, least[current], greatest[current], least[seen], greatest[seen]
            current = seen
        elif least[seen] < greatest[current]:
            return _CROSSED, least[current], greatest[current], least[seen], greatest[seen]
    return _FITS, 0, 0, 0, 0
