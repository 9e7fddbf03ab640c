"""Asks the rules that need no search, which know values that are all different."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from analysis.linear import fifo, zones
from analysis.linear.containers import FifoQueue
from analysis.linear.registers import CasRegister, Register

if TYPE_CHECKING:
    from types import NotImplementedType

    import numpy as np
    from numpy.typing import NDArray

    from analysis.linear.model import Model, Operation, Reading
    from analysis.table import Table


class Conflict(NamedTuple):
    """What contradicts itself.

    Attributes:
        values: The values whose calls do.
        calls: int64[few], the places of the calls among those given; the rows of their invocations, of a table.
        why: One sentence.
    """

    values: tuple[Any, ...]
    calls: NDArray[np.int64]
    why: str


def conflict_of_calls(  # noqa: PLR0913, PLR0917 - the columns of the calls
    model: Model,  # noqa: ARG001
    reading: Reading,  # noqa: ARG001
    operations: list[Operation],  # noqa: ARG001
    operation: NDArray[np.int32],  # noqa: ARG001
    invoked: NDArray[np.int64],  # noqa: ARG001
    returned: NDArray[np.int64],  # noqa: ARG001
) -> Conflict | NotImplementedType | None:
    """Returns what contradicts itself in one object's calls; None: nothing does; NotImplemented: no rule knows."""
    return NotImplemented  # type: ignore[no-any-return]  # typeshed's own type


def conflict_of_table(model: Model, reading: Reading, table: Table) -> Conflict | NotImplementedType | None:
    """Does the same for a whole history of one object."""
    values: tuple[Any, ...] | None = None
    if type(model) is FifoQueue:
        values = fifo.conflict(table, reading)
    if type(model) in {Register, CasRegister}:
        values = zones.conflict(table, reading)
    if not values:
        return None if values == () else NotImplemented
    shown = ", ".join("nil" if value is None else str(value) for value in values)
    return Conflict(values, zones.invocations_of(table, values), f"what was done with {shown} is impossible")
