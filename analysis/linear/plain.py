"""Decides short histories in plain Python: loading the compiler would take longer than all of their search.

It is a second search, of the same verdicts: return by return, all configurations at once, each a state and the pending
calls that have happened in it. Before a call returns it must have happened, so calls happen one after the other, as few
as lead there (Lowe, "Testing for linearizability", 2017). It gives up early, and the compiled one takes over.
"""

from __future__ import annotations

import time
from bisect import insort
from typing import TYPE_CHECKING, Any, Final

from analysis.linear.effects import NEVER, PURE
from analysis.linear.found import MOST_STATES, Found
from analysis.linear.model import TooLargeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from analysis.linear.model import Model, Operation, State

SHORT: Final = 2_000
"""Events up to which a history is tried here."""

PATIENCE: Final = 100_000
"""Steps after which it gives up: some 50 ms, and"""

PATIENCE_S: Final = 0.2
"""seconds, for models whose steps take long."""


class PlainSearch:
    """The search for one history, all objects together.

    Attributes:
        model: Who is asked.
        visited: How many configurations were met.
    """

    def __init__(self, model: Model, operations: Sequence[Operation], start: State) -> None:
        self.model = model
        self.visited = 0
        self._operations = operations
        self._pure = [model.effect(operation).code <= PURE for operation in operations]
        self._states: dict[State, None] = {start: None}  # in the order in which they were met
        self._after: dict[tuple[State, int], State | None] = {}
        self._start = start
        self._patience = PATIENCE
        self._until_s = time.monotonic() + PATIENCE_S

    def decide(
        self, operation: NDArray[np.int32], invoked: NDArray[np.int64], returned: NDArray[np.int64]
    ) -> Found | None:
        """Decides calls, in the order of their invocation, from the initial state; None: it gave up."""
        return self._decide(operation, invoked, returned, [self._start])

    def possible(
        self, operation: NDArray[np.int32], invoked: NDArray[np.int64], returned: NDArray[np.int64]
    ) -> bool | None:
        """Decides whether they are linearizable from any state that was met; None: it gave up."""
        found = self._decide(operation, invoked, returned, list(self._states))
        return None if found is None else found.valid

    def close(self) -> bool:
        """Meets all states that the model can reach; False where they are too many."""
        states = list(self._states)
        for state in states:
            for number in range(len(self._operations)):
                known = len(self._states)
                after = self._step(state, number)
                if len(self._states) > known:
                    states.append(after)
            if len(states) > MOST_STATES or self._patience < 0:
                return False
        return True

    def _decide(
        self,
        operation: NDArray[np.int32],
        invoked: NDArray[np.int64],
        returned: NDArray[np.int64],
        starts: Iterable[State],
    ) -> Found | None:
        numbers, ends = operation.tolist(), returned.tolist()
        begun = [(row, call, False) for call, row in enumerate(invoked.tolist())]
        events = sorted(begun + [(row, call, True) for call, row in enumerate(ends) if row != NEVER])
        pending: list[tuple[int, int, int]] = []  # return, call, operation: the next to return first
        configurations = {(state, 0) for state in starts}
        order: list[int] = []
        crashed = 0
        for _, call, returns in events:
            if not returns:
                crashed |= (ends[call] == NEVER) << call
                insort(pending, (ends[call], call, numbers[call]))
                continue
            met, after = self._until(call, pending, configurations)
            if self._patience < 0:
                return None
            order.append(call)
            if not after:
                held = {state for state, _ in met}
                return Found(valid=False, order=order, states=[state for state in self._states if state in held])
            configurations = _without_dominated(after, crashed) if crashed else after
            pending.pop(0)
        return Found(valid=True, order=order, states=[])

    def _until(
        self, call: int, pending: list[tuple[int, int, int]], before: set[tuple[State, int]]
    ) -> tuple[set[tuple[State, int]], set[tuple[State, int]]]:
        """Lets pending calls happen until one that returns has happened.

        Returns:
            The configurations without it, and those with it, from which it is taken away.
        """
        met, after = set(), set()
        todo = list(before)
        while todo and self._patience >= 0:
            state, happened = todo.pop()
            happened = self._settle(state, happened, pending)
            if happened >> call & 1:
                after.add((state, happened ^ (1 << call)))
                continue
            if (state, happened) in met:
                continue
            met.add((state, happened))
            self.visited += 1
            tried = set()
            for end, other, number in pending:
                if happened >> other & 1 or number in tried:
                    continue
                tried.add(number)  # of calls that are alike, the first to return comes first
                then = self._step(state, number)
                if then is not None and not (end == NEVER and then == state):
                    todo.append((then, happened | 1 << other))
        return met, after

    def _settle(self, state: State, happened: int, pending: list[tuple[int, int, int]]) -> int:
        """Lets happen what never changes a state and is possible."""
        for _, other, number in pending:
            if self._pure[number] and not happened >> other & 1 and self._step(state, number) is not None:
                happened |= 1 << other
        return happened

    def _step(self, state: State, number: int) -> Any:  # noqa: ANN401 - the model's own
        self._patience -= 1
        known = (state, number)
        if known not in self._after:
            if time.monotonic() > self._until_s:
                self._patience = -1
            try:
                after = self.model.step(state, *self._operations[number])
            except TooLargeError:
                self._patience = -1
                after = None
            self._after[known] = after
            if after is not None:
                self._states.setdefault(after)
        return self._after[known]


def _without_dominated(configurations: set[tuple[State, int]], crashed: int) -> set[tuple[State, int]]:
    """Leaves out configurations that have used up more crashed calls than another that differs in nothing else.

    Whatever can follow on the one can follow on the other, which has more calls left that may still happen.
    """
    used: dict[tuple[State, int], list[int]] = {}
    for state, happened in sorted(configurations, key=lambda one: (one[1] & crashed).bit_count()):
        some = used.setdefault((state, happened & ~crashed), [])
        if not any(fewer & happened == fewer for fewer in some):
            some.append(happened & crashed)
    return {(state, live | dead) for (state, live), some in used.items() for dead in some}
