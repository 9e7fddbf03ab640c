"""What a search found in the calls of one object: all that an explanation needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from analysis.linear.model import Model, State

MOST_STATES: Final = 64
"""Beyond, a window is not asked whether it is contradictory from every state."""


class Found(NamedTuple):
    """What it came to.

    Attributes:
        valid: Whether the calls are linearizable.
        order: The calls that return, in the order of their returns; the last is the one that could not be passed,
            where there is one.
        states: The states in which the object can be just before it.
    """

    valid: bool
    order: list[int]
    states: list[State]


class Search(Protocol):
    """A search, as an explanation asks it."""

    model: Model

    def decide(
        self, operation: NDArray[np.int32], invoked: NDArray[np.int64], returned: NDArray[np.int64]
    ) -> Found | None:
        """Decides calls, in the order of their invocation, from the initial state; None: it gave up."""

    def possible(
        self, operation: NDArray[np.int32], invoked: NDArray[np.int64], returned: NDArray[np.int64]
    ) -> bool | None:
        """Decides whether they are linearizable from any state that `close` met; None: it gave up."""

    def close(self) -> bool:
        """Meets all states that the model can reach; False where they are too many."""
