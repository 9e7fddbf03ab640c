"""A FIFO queue whose elements are all different.

After Bouajjani, Emmi, Enea and Hamza, "On reducing linearizability to state reachability" (2015). Let an enqueue end no
later than its dequeue, a dequeue begin no earlier than its enqueue, and an element that stays be dequeued at the end of
time. The history is linearizable if and only if every dequeue has its one enqueue, which was invoked before the dequeue
returned; no a was enqueued entirely before b and dequeued entirely after it; and no dequeue that found the queue empty
lies inside a time through which it certainly was not.

Dequeues that nobody saw end may each have taken an element that stayed. Such an element must be gone when one that was
enqueued after it is dequeued: its deadline. They suffice if and only if, at each deadline, no fewer of them were
invoked before than elements have theirs until then. Where a dequeue found the queue empty as well, that is no longer
the whole truth, and the rule answers only where the lost dequeues change nothing, or could not help if there were
enough.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.compiled import compiled
from analysis.linear.rules import elements
from analysis.linear.rules.elements import LOST, NONE, PUT
from analysis.linear.rules.said import NEVER, Function, Said

if TYPE_CHECKING:
    from types import NotImplementedType

    from numpy.typing import NDArray

    from analysis.linear.model import Model, Operation, Reading
    from analysis.linear.rules.conflict import Conflict


def functions(model: Model, reading: Reading) -> dict[str, Function]:  # noqa: ARG001 - as all rules
    """Returns how a table's calls are read."""
    return elements.functions("enqueue", "dequeue")


def read(operation: Operation) -> tuple[Any, ...] | None:
    """Returns an operation's code and element."""
    return elements.read(operation, "enqueue", "dequeue")


def initial(reading: Reading, start: Any) -> list[Any]:  # noqa: ANN401, ARG001 - as all rules
    """Returns the elements at the start."""
    return list(start)


def decide(model: Model, said: Said) -> Conflict | NotImplementedType | None:  # noqa: ARG001 - as all rules
    """Decides; NotImplemented where an element was enqueued twice, or lost dequeues leave it open."""
    held = elements.gather(said)
    if not isinstance(held, elements.Elements):
        return held
    found = _crossed(held, NEVER)
    if found is None or not len(held.lost):
        return found
    return _crossed(held, int(held.lost[0])) or (NotImplemented if len(held.empty) else _overdue(held))


def _crossed(held: elements.Elements, freed: int) -> Conflict | None:
    """Decides, with dequeues from `freed` on for all elements that stay."""
    settled, leaves = held.taken(freed)
    first, second = _sweep(
        held.said.f, held.said.value, held.said.invoked, held.offset, held.said.moment_count + held.offset,
        held.put_begin, settled, leaves, held.take_end, np.array(held.said.initial, np.int32),
    )  # fmt: skip
    if first != NONE:
        left = "stayed" if held.take_end[first] == NEVER else "came out later"
        why = f"{held.name(first)} went in before {held.name(second)}, but {left}"
        return held.conflict((first, second), why)
    return held.wrongly_empty(settled, leaves)


def _overdue(held: elements.Elements) -> Conflict | None:
    """Asks whether the lost dequeues suffice for the elements that had to go; there is no other conflict."""
    order = np.argsort(held.put_begin, kind="stable")
    order = order[held.put_begin[order] != NONE]
    ends = held.take_end[order][::-1]
    least = np.minimum.accumulate(ends)[::-1]  # of the dequeues of those enqueued from here on
    place = np.searchsorted(held.put_begin[order], held.put_end[held.left])
    deadline = np.append(least, NEVER)[place]
    left, deadline = held.left[deadline != NEVER], deadline[deadline != NEVER]
    by_deadline = np.argsort(deadline)
    left, deadline = left[by_deadline], deadline[by_deadline]
    before = np.searchsorted(held.lost, deadline)
    short = np.flatnonzero(before < np.arange(1, len(deadline) + 1))
    if not len(short):
        return None
    count = int(short[0]) + 1
    nexts = np.flatnonzero(np.isin(held.take_end, deadline[:count]))
    lost = np.flatnonzero(held.said.f == LOST)[: before[count - 1]]
    why = (
        f"{held.name(int(nexts[0]))} came out while {count} elements had to be gone before it, "
        f"which {len(lost)} dequeues that nobody saw end cannot have taken"
    )
    return held.conflict([*left[:count].tolist(), *nexts.tolist()], why, lost.tolist())


@compiled
def _sweep(  # noqa: PLR0913, PLR0917 - compiled code has no objects
    f: NDArray[np.uint8],
    value: NDArray[np.int32],
    invoked: NDArray[np.int32],
    offset: int,
    moments: int,
    put_begin: NDArray[np.int32],
    settled: NDArray[np.int32],
    leaves: NDArray[np.int32],
    take_end: NDArray[np.int32],
    initial: NDArray[np.int32],
) -> tuple[int, int]:
    """Returns an element that went in before another and out after it, and the other; NONE where there are none."""
    at = np.full(moments, NONE, np.int32)  # the element that went in, at the latest, at a moment
    for element in range(len(settled)):
        if put_begin[element] != NONE and settled[element] != NEVER:
            at[settled[element]] = element
    latest = NONE  # of those that are in for sure, the one whose dequeue begins last
    moment = 0
    for place in range(len(initial) + len(f)):
        if place < len(initial):
            later, begin = initial[place], 2 * place
        else:
            call = place - len(initial)
            later, begin = value[call], invoked[call] + offset
            if f[call] != PUT or put_begin[later] != begin:
                continue
        while moment < begin:
            element = at[moment]
            if element != NONE and (latest == NONE or leaves[element] > leaves[latest]):
                latest = element
            moment += 1
        if latest != NONE and take_end[later] < leaves[latest]:
            return latest, later
    return NONE, NONE
