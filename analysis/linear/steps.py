"""A model's states as numbers, and its steps, asked for when the search first needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from analysis.linear.effects import ASKED, ASKED_READ, CAS, ILLEGAL, WRITE, Effects, add_steps
from analysis.linear.model import TooLargeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analysis.linear.budget import Budget
    from analysis.linear.model import Model, Operation

FEW: Final = 32
"""With no more operations than this, all steps from a state are computed at once."""


class Steps:
    """The states that were met, and the steps that were asked for.

    Attributes:
        model: Who is asked.
        operations: The operations by number.
        states: Each state; its place is its number, and the first is the initial one.
        effects: What the search reads. Whoever gives them knows all of them: then nobody is asked.
    """

    def __init__(
        self,
        model: Model,
        operations: list[Operation],
        start: Any,  # noqa: ANN401
        effects: Effects | None = None,
    ) -> None:
        self.model = model
        self.operations = operations
        self.states: list[Any] = [start]
        self._numbers: dict[Any, int] = {start: 0}
        self._used = 0
        self._states_bytes = model.weight(start)
        self._asked: list[int] = []
        self._among: frozenset[int] = frozenset()
        self.effects = effects or self._effects()

    def _effects(self) -> Effects:
        told = [self._effect(operation) for operation in self.operations]
        code, before, after = np.array(told, np.int32).reshape(len(told), 3).T
        self._asked = np.flatnonzero((code == ASKED) | (code == ASKED_READ)).tolist()
        self._among = frozenset(self._asked)
        keys, values = np.full(64, -1, np.int64), np.zeros(64, np.int32)
        return Effects(code.astype(np.int8), before.copy(), after.copy(), keys, values)

    @property
    def nbytes(self) -> int:
        """Bytes held, the model's own states at its own guess."""
        return self.effects.keys.nbytes + self.effects.values.nbytes + self._states_bytes

    @property
    def asks(self) -> bool:
        """Whether the model must be asked at all."""
        return bool(self._asked)

    def after(self, state: int, budget: Budget) -> list[int]:
        """Returns the states that one operation leads to from a state, each once.

        Raises:
            TooLargeError: If the budget ends it, or a state is too large.
        """
        code, before, after = self.effects.code, self.effects.before, self.effects.after
        told = after[(code == WRITE) | ((code == CAS) & (before == state))].tolist()
        asked = self.compute(state, self._asked, budget) if self._asked else []
        if len(asked) < len(self._asked):
            raise TooLargeError("the states are too many, or too large")
        return sorted({*told, *asked} - {ILLEGAL})

    def compute(self, state: int, operations: Sequence[int], budget: Budget) -> list[int]:
        """Computes the steps from a state: all of them where there are few operations, else those that are named.

        Returns:
            The states after them, without those that are too large; where the budget ends it, the first ones.

        Raises:
            TooLargeError: If the state after the first operation is too large; the others were not yet needed.
        """
        few = len(self._asked) <= FEW
        numbers = self._asked if few else [number for number in set(operations) if number in self._among]
        steps: dict[int, int] = {}
        for number in numbers:
            try:
                steps[number] = self._after(self.states[state], self.operations[number])
            except TooLargeError:
                if number == operations[0]:
                    raise
            if budget.too_large(self.nbytes) or budget.exhausted():
                break
        self._used += len(steps)
        if 2 * self._used > len(self.effects.keys):
            self._grow()
        keys = (state << 32) | np.array(list(steps), np.int64)
        add_steps(self.effects, keys, np.array(list(steps.values()), np.int32))
        return list(steps.values())

    def _effect(self, operation: Operation) -> tuple[int, int, int]:
        code, before, after = self.model.effect(operation)
        return code, self._number(before), self._number(after)

    def _number(self, state: Any) -> int:  # noqa: ANN401
        if state is None:
            return 0
        number = self._numbers.setdefault(state, len(self.states))
        if number == len(self.states):
            self.states.append(state)
            self._states_bytes += self.model.weight(state)
        return number

    def _after(self, held: Any, operation: Operation) -> int:  # noqa: ANN401
        after = self.model.step(held, *operation)
        return ILLEGAL if after is None else self._number(after)

    def _grow(self) -> None:
        old = self.effects
        size = 4 * len(old.keys)
        while size < 2 * self._used:
            size *= 2
        self.effects = old._replace(keys=np.full(size, -1, np.int64), values=np.zeros(size, np.int32))
        add_steps(self.effects, old.keys, old.values)
