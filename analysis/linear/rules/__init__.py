"""Rules that decide without a search, where values are all different or a history's shape says enough.

A rule is sure in both directions. Where it would have to guess, it does not apply.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.linear.containers import Counter, FifoQueue, Set, Stack, UnorderedQueue
from analysis.linear.locks import FencedMutex, Mutex, ReentrantMutex, Semaphore
from analysis.linear.registers import CasRegister, Register
from analysis.linear.rules import bag, fifo_order, holders, inclusion, nesting, permits, unit_steps, zones
from analysis.linear.rules.conflict import Conflict
from analysis.linear.rules.said import of_calls, of_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType, NotImplementedType

    import numpy as np
    from numpy.typing import NDArray

    from analysis.linear.model import Model, Operation, Reading
    from analysis.table import Table

__all__ = ["Conflict", "conflict_of_calls", "conflict_of_table"]

_RULES: dict[type[Model], ModuleType] = {
    Register: zones,
    CasRegister: zones,
    FifoQueue: fifo_order,
    UnorderedQueue: bag,
    Stack: nesting,
    Set: inclusion,
    Mutex: permits,
    Semaphore: permits,
    FencedMutex: holders,
    ReentrantMutex: holders,
    Counter: unit_steps,
}


def conflict_of_calls(  # noqa: PLR0913, PLR0917 - the columns of the calls
    model: Model,
    reading: Reading,
    operations: Sequence[Operation],
    operation: NDArray[np.int32],
    invoked: NDArray[np.int64],
    returned: NDArray[np.int64],
) -> Conflict | NotImplementedType | None:
    """Decides whether the calls of one object are linearizable, without a search.

    Args:
        model: The object.
        reading: How answers were understood when the calls became operations.
        operations: The distinct operations; may hold more than these calls have.
        operation: int32[m], each call's place in them.
        invoked: int64[m], rows, ascending.
        returned: int64[m], rows; `analysis.linear.calls.NEVER` for a crashed call.

    Returns:
        None where they are linearizable; a conflict where they are not; NotImplemented where no rule applies: a model
        of somebody's own, values that are not all different, or a history that its rule cannot decide for sure.
    """
    rule = _RULES.get(type(model))
    if rule is None:
        return NotImplemented  # type: ignore[no-any-return]
    if rule is inclusion:
        return inclusion.of_calls(reading, operations, operation, invoked, returned)
    initial = rule.initial(reading, model.start(reading.initial))
    said = of_calls(operations, operation, invoked, returned, rule.read, initial)
    return NotImplemented if said is None else rule.decide(model, said)


def conflict_of_table(model: Model, reading: Reading, table: Table) -> Conflict | NotImplementedType | None:
    """The same for a history of one object, without making objects of its calls.

    Returns:
        See `conflict_of_calls`; the conflict's calls are the rows of their invocations. NotImplemented also where
        values are not whole numbers, or the history has mistakes that `analysis.linear.calls` names.
    """
    rule = _RULES.get(type(model))
    if rule is None:
        return NotImplemented  # type: ignore[no-any-return]
    if rule is inclusion:
        return inclusion.of_table(reading, table)
    initial = rule.initial(reading, model.start(reading.initial))
    said = of_table(table, rule.functions(model, reading), initial)
    return NotImplemented if said is None else rule.decide(model, said)
