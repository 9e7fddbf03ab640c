"""A stack whose elements are all different.

In the spirit of Lee and Mathur, "Efficient decrease-and-conquer linearizability monitoring" (2025). Between the return
of its push and the invocation of its pop an element was certainly there. Where no element was certainly there, the
stack can be taken for empty: every push can be moved after that moment, or its pop before it. An element whose push
and pop both overlap such moments can lie below all others, so the history is linearizable if and only if it is without
this element; and one of the elements that are certainly there through a time without such moments must be the lowest.
So: take away one such element after the other. The history is linearizable if and only if none is left, every element
that came out had gone in and came out once, and every pop that found nothing overlaps a moment at which no element was
certainly there.

Pops that nobody saw end may each have taken an element that stayed; the rule answers only where they change nothing, or
could not help if there were enough.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from analysis.compiled import compiled
from analysis.linear.rules import elements
from analysis.linear.rules.elements import NONE
from analysis.linear.rules.said import NEVER, Function, Said

if TYPE_CHECKING:
    from types import NotImplementedType

    from numpy.typing import NDArray

    from analysis.linear.model import Model, Operation, Reading
    from analysis.linear.rules.conflict import Conflict


_SHOWN: Final = 5  # elements in a sentence


def functions(model: Model, reading: Reading) -> dict[str, Function]:  # noqa: ARG001 - as all rules
    """Returns how a table's calls are read."""
    return elements.functions("push", "pop")


def read(operation: Operation) -> tuple[Any, ...] | None:
    """Returns an operation's code and element."""
    return elements.read(operation, "push", "pop")


def initial(reading: Reading, start: Any) -> list[Any]:  # noqa: ANN401, ARG001 - as all rules
    """Returns the elements at the start."""
    return list(start)


def decide(model: Model, said: Said) -> Conflict | NotImplementedType | None:  # noqa: ARG001 - as all rules
    """Decides; NotImplemented where an element was pushed twice, or lost pops leave it open."""
    held = elements.gather(said)
    if not isinstance(held, elements.Elements):
        return held
    found = _stuck(held, NEVER)
    if found is None or not len(held.lost):
        return found
    return _stuck(held, int(held.lost[0])) or NotImplemented


def _stuck(held: elements.Elements, freed: int) -> Conflict | None:
    """Decides, with pops from `freed` on for all elements that stay."""
    settled, leaves = held.taken(freed)
    found = held.wrongly_empty(settled, leaves)
    if found:
        return found
    there = np.flatnonzero((held.put_begin != NONE) & (settled < leaves))
    there = there[np.argsort(settled[there])]
    last = held.said.moment_count + held.offset
    columns = np.stack((
        held.put_begin[there],
        settled[there],
        np.minimum(leaves[there], last),
        np.minimum(held.take_end[there], last + 1),
    ))  # fmt: skip
    left = _take_away(columns)
    if not len(left):
        return None
    few = there[_fewest(columns, left)].tolist()
    names = ", ".join(held.name(element) for element in few[:_SHOWN])
    return held.conflict(few, f"{names} lie on one another in no order that agrees with when they came out")


def _fewest(columns: NDArray[np.int32], left: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns elements that are contradictory, and of which none can be left out, from one stuck time.

    Leaving out an element of a history that is right leaves it right, so the first elements that are contradictory end
    with one that is needed.
    """
    needed: list[int] = []
    rest = left
    while not needed or not len(_take_away(columns[:, np.sort(needed)])):
        high = 1
        while not len(_take_away(columns[:, _with(needed, rest[:high])])):
            high *= 2
        low = high // 2  # so many are not enough
        high = min(high, len(rest))
        while high - low > 1:
            middle = (low + high) // 2
            if len(_take_away(columns[:, _with(needed, rest[:middle])])):
                high = middle
            else:
                low = middle
        needed.append(int(rest[high - 1]))
        rest = rest[: high - 1]
    return np.sort(np.array(needed))


def _with(needed: list[int], more: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.sort(np.concatenate((np.array(needed, np.int64), more)))


def _take_away(columns: NDArray[np.int32]) -> NDArray[np.int64]:
    """Takes away elements while one can be lowest.

    Args:
        columns: int32[4, e], moments: of the push's invocation and return, of the pop's, in the order of the second.

    Returns:
        The places of the elements of the first time in which none can be the lowest; empty where all could.
    """
    count = columns.shape[1]
    ends = np.sort(columns[1:3].reshape(-1))
    # cells are the times between two ends; moment m of a call's invocation is in the cell after the ends up to it
    first = np.searchsorted(ends, columns[[0, 2]], "right").reshape(-1)
    last = np.searchsorted(ends, columns[[1, 3]], "left").reshape(-1)
    begin = np.searchsorted(ends, columns[1], "right")
    end = np.searchsorted(ends, columns[2], "left")
    order = np.argsort(first, kind="stable")
    upto = np.searchsorted(first[order], np.arange(2 * count + 1), "right")
    return _peel(begin, end, order, last, upto)


@compiled
def _peel(  # noqa: C901, PLR0912, PLR0915 - compiled code has no objects
    begin: NDArray[np.int64],
    end: NDArray[np.int64],
    order: NDArray[np.int64],
    last: NDArray[np.int64],
    upto: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Returns the elements, covering the cells from begin to end, that stay in the first stuck time.

    Args:
        begin: The first cell in which each element is certainly there.
        end: The last.
        order: The calls, pushes and then pops, in the order of their first cells.
        last: Their last cells.
        upto: How many of them begin in a cell or before it.
    """
    count = len(begin)
    cells = len(upto)
    leaves = 1
    while leaves < cells:
        leaves *= 2
    # how many elements cover each cell: a tree of minima, with what is to be added to all below
    least = np.zeros(2 * leaves, np.int32)
    added = np.zeros(2 * leaves, np.int32)
    far = np.int32(2**30)
    change = np.zeros(cells + 1, np.int32)
    for element in range(count):
        change[begin[element]] += 1
        change[end[element] + 1] -= 1
    covering = 0
    for cell in range(leaves):
        if cell < cells:
            covering += change[cell]
        least[leaves + cell] = covering if cell < cells else far
    for node in range(leaves - 1, 0, -1):
        least[node] = min(least[2 * node], least[2 * node + 1])
    # which call, of those that begin until some cell, ends last: a tree of maxima
    calls = len(order)
    width = 1
    while width < max(calls, 1):
        width *= 2
    latest = np.full(2 * width, -1, np.int64)
    for place in range(calls):
        latest[width + place] = last[order[place]]
    for node in range(width - 1, 0, -1):
        latest[node] = max(latest[2 * node], latest[2 * node + 1])
    half = np.zeros(count, np.uint8)
    gone = np.zeros(count, np.uint8)
    away = 0
    while least[1] == 0:
        node = 1
        while node < leaves:  # to a cell that nobody covers; `added` of a node is in its own minimum already
            below = least[node] - added[node]
            node = 2 * node if least[2 * node] == below else 2 * node + 1
        cell = node - leaves
        least[node] = far
        node //= 2
        while node:
            least[node] = min(least[2 * node], least[2 * node + 1]) + added[node]
            node //= 2
        while True:  # every call that overlaps it
            found = -1
            right = upto[cell]
            low, high = width, width + right  # nodes of the first `right` calls
            while low < high:
                if low & 1:
                    if latest[low] >= cell:
                        found = low
                        break
                    low += 1
                if high & 1:
                    high -= 1
                    if latest[high] >= cell:
                        found = high
                        break
                low //= 2
                high //= 2
            if found < 0:
                break
            while found < width:
                found = 2 * found if latest[2 * found] >= cell else 2 * found + 1
            call = order[found - width]
            latest[found] = -1
            found //= 2
            while found:
                latest[found] = max(latest[2 * found], latest[2 * found + 1])
                found //= 2
            element = call if call < count else call - count
            half[element] += 1
            if half[element] < 2:
                continue
            gone[element] = 1
            away += 1
            low, high = begin[element] + leaves, end[element] + leaves + 1
            first, final = low, high - 1
            while low < high:
                if low & 1:
                    least[low] -= 1
                    added[low] -= 1
                    low += 1
                if high & 1:
                    high -= 1
                    least[high] -= 1
                    added[high] -= 1
                low //= 2
                high //= 2
            for edge in (first, final):
                node = edge // 2
                while node:
                    least[node] = min(least[2 * node], least[2 * node + 1]) + added[node]
                    node //= 2
    stuck = np.empty(count - away, np.int64)
    found, until = 0, -1
    for element in range(count):
        if gone[element]:
            continue
        if found and begin[element] > until:
            break
        stuck[found] = element
        found += 1
        until = max(until, end[element])
    return stuck[:found].copy()
