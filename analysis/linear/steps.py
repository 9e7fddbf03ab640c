"""A model's states and steps as numbers, computed when the search first asks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from analysis.linear.natures import BLIND, PLAIN, PURE
from analysis.linear.search import ILLEGAL, add_steps

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from analysis.linear.model import Model, Operation

FEW: Final = 256
"""With no more operations than this, all steps from a state are computed at once."""


class Steps:
    """The steps of a model that have been computed.

    Attributes:
        states: Each state that was met; its place is its number, and the first is the initial one.
        operations: The operations by number.
        natures: int8[operations]: `PLAIN`, `PURE` or `BLIND`.
        keys: int64[power of two], state << 32 | operation, or -1.
        values: int32[as many], the state after it, or `ILLEGAL`.
    """

    def __init__(self, model: Model, operations: list[Operation], start: Any) -> None:  # noqa: ANN401
        self.model = model
        self.operations = operations
        self.states: list[Any] = [start]
        self.natures = np.array([_nature(model, operation) for operation in operations], np.int8)
        self.keys: NDArray[np.int64] = np.full(1024, -1, np.int64)
        self.values: NDArray[np.int32] = np.zeros(1024, np.int32)
        self._numbers: dict[Any, int] = {start: 0}
        self._used = 0

    @property
    def nbytes(self) -> int:
        """Bytes held, the model's own states at a guess of 200 each."""
        return self.keys.nbytes + self.values.nbytes + 200 * len(self.states)

    def compute(self, state: int, operations: Iterable[int]) -> None:
        """Computes the steps from a state: all of them where there are few operations, else those that are named."""
        numbers = range(len(self.operations)) if len(self.operations) <= FEW else sorted(set(operations))
        held = self.states[state]
        values = [self._after(held, self.operations[number]) for number in numbers]
        keys = (state << 32) | np.fromiter(numbers, np.int64, len(numbers))
        self._used += len(keys)
        if 2 * self._used > len(self.keys):
            self._grow()
        add_steps(self.keys, self.values, keys, np.array(values, np.int32))

    def _after(self, held: Any, operation: Operation) -> int:  # noqa: ANN401
        after = self.model.step(held, *operation)
        if after is None:
            return ILLEGAL
        number = self._numbers.setdefault(after, len(self.states))
        if number == len(self.states):
            self.states.append(after)
        return number

    def _grow(self) -> None:
        keys, values = self.keys, self.values
        size = 4 * len(keys)
        while size < 2 * self._used:
            size *= 2
        self.keys, self.values = np.full(size, -1, np.int64), np.zeros(size, np.int32)
        add_steps(self.keys, self.values, keys, values)


def _nature(model: Model, operation: Operation) -> int:
    if model.is_pure(operation):
        return PURE
    return BLIND if model.is_blind(operation) else PLAIN
