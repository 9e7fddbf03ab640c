"""What a rule answers where a history is not linearizable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEW = 20
"""Calls that a conflict names besides those that it cannot do without."""


class Conflict(NamedTuple):
    """Calls that no order explains, whatever else was called.

    Attributes:
        values: The values (elements, holders) of the calls that contradict each other; few.
        calls: int64[c], ascending: the places of these calls among those given, or their invocations' rows in the
            table. They are contradictory by themselves, and few, unless the contradiction is a long one in itself: a
            chain of compare-and-sets, or a count.
        why: One sentence without a full stop.
    """

    values: tuple[Any, ...]
    calls: NDArray[Any]
    why: str
