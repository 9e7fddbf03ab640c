"""A queue without order whose elements are all different.

The history is linearizable if and only if every element that came out had gone in and came out once, and every take
that found nothing overlaps a moment at which no element was certainly there. Takes that nobody saw end may each have
taken one element that nobody saw go out: at an empty moment, there must be no more of those elements than such takes
before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.linear.rules import elements
from analysis.linear.rules.said import NEVER, Function, Said

if TYPE_CHECKING:
    from types import NotImplementedType

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
    return list(next(iter(start)))


def decide(model: Model, said: Said) -> Conflict | NotImplementedType | None:  # noqa: ARG001 - as all rules
    """Decides; NotImplemented where an element was put in twice."""
    held = elements.gather(said)
    if not isinstance(held, elements.Elements):
        return held
    if not len(held.empty) or not len(held.lost):
        return held.wrongly_empty(*held.taken())
    return _with_lost(held)


def _with_lost(held: elements.Elements) -> Conflict | None:
    """Decides where takes were lost: a moment can be empty if they suffice for all that was left until then."""
    said, offset = held.said, held.offset
    moments = said.moment_count + offset
    settled, leaves = held.taken()
    seen = (held.put_begin != elements.NONE) & (held.take_end != NEVER) & (settled < leaves)
    change = np.zeros(moments + 1, np.int64)
    np.add.at(change, settled[seen], 1)
    np.add.at(change, leaves[seen], -1)
    short = np.zeros(moments + 1, np.int64)
    np.add.at(short, held.put_end[held.left], 1)
    np.add.at(short, held.lost, -1)
    can_be_empty = (np.cumsum(change) == 0) & (np.cumsum(short) <= 0)
    before = np.concatenate(([0], np.cumsum(can_be_empty)))
    begin, end = said.invoked[held.empty] + offset, said.returned[held.empty] + offset
    wrong = np.flatnonzero(before[end] == before[begin])
    if not len(wrong):
        return None
    call, since, until = int(held.empty[wrong[0]]), int(begin[wrong[0]]), int(end[wrong[0]])
    left = held.left[held.put_end[held.left] < until]
    there = np.flatnonzero(seen & (settled < until) & (leaves > since))
    lost = np.flatnonzero((said.f == elements.LOST) & (said.invoked + offset < until))
    why = f"it was found empty, which {len(lost)} dequeues that nobody saw end cannot explain"
    return held.conflict([*there.tolist(), *left.tolist()], why, [call, *lost.tolist()])
