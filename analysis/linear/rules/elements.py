"""What queues and stacks have in common: elements that are put in once and taken out once.

Of each element is known when it went in at the latest and out at the earliest; in between it was certainly there. So a
take that found nothing must overlap a moment at which no element was certainly there, and where it does, elements can
always go in late enough and out early enough to leave that moment empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from analysis.compiled import compiled
from analysis.linear.model import UNKNOWN
from analysis.linear.rules.conflict import Conflict
from analysis.linear.rules.said import ANSWER, ARGUMENT, NEVER, Function, Said

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import NotImplementedType

    from numpy.typing import NDArray

    from analysis.linear.model import Operation

PUT, TAKE, EMPTY, LOST = range(4)
"""An element went in, came out; a take found nothing; nobody saw what a take answered."""

NONE: Final = -1
_FITS, _UNSUITABLE, _TAKEN_TWICE, _NEVER_PUT, _TOO_EARLY = range(5)


@dataclass(frozen=True)
class Elements:
    """The elements of one container.

    Attributes:
        said: What the calls say.
        put_begin: int32[e], the moment when the element's put was invoked; NONE where there is no such element.
        put_end: int32[e], when it returned.
        take_begin: int32[e], when its take was invoked; NEVER where none was.
        take_end: int32[e], when that returned.
        offset: How many moments come before the calls' own: two for each element that is there at the start.
        lost: int32[l], ascending, when takes were invoked that nobody saw end.
        empty: int64[q], the calls that found nothing.
    """

    said: Said
    put_begin: NDArray[np.int32]
    put_end: NDArray[np.int32]
    take_begin: NDArray[np.int32]
    take_end: NDArray[np.int32]
    offset: int
    lost: NDArray[np.int32]
    empty: NDArray[np.int64]

    def taken(self, freed: int = NEVER) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Returns when each element went in at the latest and out at the earliest.

        Args:
            freed: When those may go out at the earliest of which nobody saw it.
        """
        begin = np.where(self.take_end == NEVER, np.int32(freed), self.take_begin)
        return np.minimum(self.put_end, self.take_end), np.maximum(begin, self.put_begin)

    @property
    def left(self) -> NDArray[np.int64]:
        """The elements that went in for sure, and of which nobody saw that they went out."""
        return np.flatnonzero((self.take_end == NEVER) & (self.put_end != NEVER))

    def conflict(self, elements: Iterable[int], why: str, more: Iterable[int] = ()) -> Conflict:
        """Returns the conflict of some elements' calls, and of more calls."""
        said = self.said
        chosen = list(dict.fromkeys(elements))
        about = ((said.f == PUT) | (said.f == TAKE)) & np.isin(said.value, chosen)
        calls = np.unique(np.concatenate((np.flatnonzero(about), np.array(list(more), np.int64))))
        values = tuple(said.names(element) for element in chosen) or (None,)
        return Conflict(values, calls if said.place is None else said.place[calls], why)

    def name(self, element: int) -> str:
        """Returns an element as a sentence has it."""
        return str(self.said.names(element))

    def wrongly_empty(self, settled: NDArray[np.int32], leaves: NDArray[np.int32]) -> Conflict | None:
        """Finds a take that found nothing while some element was certainly there.

        Args:
            settled: When each element went in at the latest.
            leaves: When it went out at the earliest.
        """
        if not len(self.empty):
            return None
        said = self.said
        begin, end = said.invoked[self.empty] + self.offset, said.returned[self.empty] + self.offset
        free = _free(settled, leaves, self.put_begin, said.moment_count + self.offset)
        found = np.flatnonzero(free[end] == free[begin])
        if not len(found):
            return None
        call, since, until = int(self.empty[found[0]]), int(begin[found[0]]), int(end[found[0]])
        there = (self.put_begin != NONE) & (settled < leaves)
        chain = _chain(settled, leaves, there, since, until)
        return self.conflict(chain, "it was found empty while elements were certainly in it", [call])


def functions(put: str, take: str) -> dict[str, Function]:
    """Returns how a table's calls are read."""
    return {put: Function(PUT, ARGUMENT, crashed=PUT), take: Function(TAKE, ANSWER, EMPTY, LOST)}


def read(operation: Operation, put: str, take: str) -> tuple[Any, ...] | None:
    """Returns an operation's code and element."""
    f, argument, result = operation
    if f == put:
        return None if argument is None else (PUT, argument)
    if f != take:
        return None
    return (LOST,) if result is UNKNOWN else (EMPTY,) if result is None else (TAKE, result)


def gather(said: Said) -> Elements | Conflict | NotImplementedType:
    """Finds the elements; NotImplemented where one was put in twice."""
    if len(set(said.initial)) < len(said.initial) or None in map(said.names, said.initial):
        return NotImplemented  # type: ignore[no-any-return]
    offset = 2 * len(said.initial)
    columns = tuple(np.full(said.value_count, fill, np.int32) for fill in (NONE, NEVER, NEVER, NEVER))
    put_begin, put_end, take_begin, take_end = columns
    for place, element in enumerate(said.initial):
        put_begin[element], put_end[element] = 2 * place, 2 * place + 1
    wrong, element, lost, empty = _gather(
        said.f, said.value, said.invoked, said.returned, offset, put_begin, put_end, take_begin, take_end
    )
    if wrong == _UNSUITABLE:
        return NotImplemented  # type: ignore[no-any-return]
    lost_begin = said.invoked[said.f == LOST] + np.int32(offset) if lost else np.zeros(0, np.int32)
    found = np.flatnonzero(said.f == EMPTY) if empty else np.zeros(0, np.int64)
    elements = Elements(said, put_begin, put_end, take_begin, take_end, offset, lost_begin, found)
    if wrong == _FITS:
        return elements
    sentence = {
        _TAKEN_TWICE: "came out twice, but went in once",
        _NEVER_PUT: "came out, but never went in",
        _TOO_EARLY: "came out before it went in",
    }[wrong]
    return elements.conflict([element], f"{elements.name(element)} {sentence}")


@compiled
def _gather(  # noqa: C901, PLR0912, PLR0913, PLR0917 - compiled code has no objects
    f: NDArray[np.uint8],
    value: NDArray[np.int32],
    invoked: NDArray[np.int32],
    returned: NDArray[np.int32],
    offset: int,
    put_begin: NDArray[np.int32],
    put_end: NDArray[np.int32],
    take_begin: NDArray[np.int32],
    take_end: NDArray[np.int32],
) -> tuple[int, int, int, int]:
    """Fills the columns of elements; returns what is wrong with which, how many takes were lost and found nothing."""
    lost = empty = 0
    twice = NONE
    for call in range(len(f)):
        end = returned[call] + offset if returned[call] != NEVER else NEVER
        element = value[call]
        if f[call] == PUT:
            if put_begin[element] != NONE:
                return _UNSUITABLE, 0, 0, 0
            put_begin[element], put_end[element] = invoked[call] + offset, end
        elif f[call] == TAKE:
            if take_end[element] != NEVER:
                twice = element
            take_begin[element], take_end[element] = invoked[call] + offset, end
        elif f[call] == EMPTY:
            empty += 1
        else:
            lost += 1
    if twice != NONE:  # only now: a put further on may have been a second one
        return _TAKEN_TWICE, twice, lost, empty
    for element in range(len(put_begin)):
        if take_end[element] != NEVER:
            if put_begin[element] == NONE:
                return _NEVER_PUT, element, lost, empty
            if take_end[element] < put_begin[element]:
                return _TOO_EARLY, element, lost, empty
        elif put_end[element] == NEVER:
            put_begin[element] = NONE  # nobody knows whether it went in, and nobody cares
    return _FITS, 0, lost, empty


@compiled
def _free(
    settled: NDArray[np.int32], leaves: NDArray[np.int32], put_begin: NDArray[np.int32], moments: int
) -> NDArray[np.int32]:
    """Returns for each moment how many before it had no element certainly there just after them."""
    change = np.zeros(moments + 1, np.int32)
    for element in range(len(settled)):
        if put_begin[element] != NONE and settled[element] < leaves[element]:
            change[settled[element]] += 1
            change[min(leaves[element], moments)] -= 1
    there = before = 0
    for moment in range(moments + 1):
        there += change[moment]
        change[moment] = before
        before += there == 0
    return change


def _chain(
    settled: NDArray[np.int32], leaves: NDArray[np.int32], there: NDArray[np.bool_], begin: int, end: int
) -> list[int]:
    """Returns few elements of which at any moment from begin to end one was there."""
    near = np.flatnonzero(there & (settled < end) & (leaves > begin))
    near = near[np.argsort(settled[near])]
    chain: list[int] = []
    best = NONE
    for element in near.tolist():
        if settled[element] > begin:  # the last one has to hand over
            chain.append(best)
            begin = int(leaves[best])
            if begin > end:
                return chain
            best = NONE
        if best == NONE or leaves[element] > leaves[best]:
            best = element
    return [*chain, best]
