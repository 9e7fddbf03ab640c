"""Decides objects: many small ones at a stroke, a large one step by step within a budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from analysis.compiled import compiled
from analysis.linear.found import MOST_STATES, Found
from analysis.linear.model import TooLargeError
from analysis.linear.problem import Problem, make_problem, measure
from analysis.linear.search import (
    ASKED_OPERATION,
    ASKED_STATE,
    ASKS,
    DEPTH,
    FULL,
    FURTHEST,
    IMPOSSIBLE,
    LINEARIZABLE,
    PAUSED,
    PROGRESS,
    ROWS,
    rehash,
    search,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analysis.linear.budget import Budget
    from analysis.linear.effects import Effects
    from analysis.linear.steps import Steps

VALID: Final = 1
INVALID: Final = 0
OPEN: Final = -1
"""Not decided at a stroke."""

SMALL: Final = 20_000
"""Calls up to which an object is tried at a stroke."""

_STROKE: Final = 50_000  # choices, and
_STROKE_ROWS: Final = 1 << 12  # configurations that a stroke may take
_EFFORT: Final = 500_000  # choices between two looks at the clock: some milliseconds
_FIRST_ROWS: Final = 128
_AHEAD: Final = 2  # returns whose pending calls' steps are computed together
_AHEAD_MOST: Final = 64  # operations that are asked for together


class Decision(NamedTuple):
    """What a search came to.

    Attributes:
        valid: True, False, or None where a budget ended it.
        problem: The calls as they were searched; None where they were too many to lay out.
        furthest: The furthest return that could not be passed; the number of returns where all were.
        rows: int64[r, 1 + words], the configurations that were visited.
        why: Which budget ended it; empty where none did.
    """

    valid: bool | None
    problem: Problem | None
    furthest: int
    rows: NDArray[np.int64]
    why: str


@compiled
def decide_at_a_stroke(  # noqa: PLR0913, PLR0917 - the columns of the calls
    effects: Effects,
    operation: NDArray[np.int32],
    invoked: NDArray[np.int64],
    returned: NDArray[np.int64],
    starts: NDArray[np.int64],
    first: int,
    end: int,
    verdicts: NDArray[np.int8],
    impossible: NDArray[np.int64],
) -> int:
    """Decides the objects from `first` to `end` that are easy, as most are; the others' verdict is `OPEN`.

    Args:
        effects: What the operations do.
        operation: int32[m], each call's operation; the calls of an object together, in the order of their invocation.
        invoked: int64[m].
        returned: int64[m], `NEVER` for crashed calls.
        starts: int64[k + 1], where each object's calls begin.
        first: The first object.
        end: The one after the last.
        verdicts: int8[k], filled with `VALID`, `INVALID` or `OPEN`.
        impossible: int64[k], filled, where invalid, with the row of the completion that could not be passed.

    Returns:
        How many configurations were visited.
    """
    visited = 0
    for key in range(first, end):
        begin, stop = starts[key], starts[key + 1]
        verdicts[key] = OPEN
        if stop - begin > SMALL:
            continue
        size, slots = measure(invoked[begin:stop], returned[begin:stop], _STROKE + 64 * (stop - begin))
        if size < 0:
            continue
        problem = make_problem(effects, operation[begin:stop], invoked[begin:stop], returned[begin:stop], size, slots)
        told, count, furthest = _try(problem, effects, 0, stop - begin)
        visited += count
        if told == LINEARIZABLE:
            verdicts[key] = VALID
        elif told == IMPOSSIBLE:
            verdicts[key] = INVALID
            impossible[key] = returned[begin + problem.call[furthest]]
    return visited


@compiled
def _try(problem: Problem, effects: Effects, start: int, calls: int) -> tuple[int, int, int]:
    """Searches from one state, so far as a stroke goes; returns what it told and visited, and the furthest return."""
    size = 64
    rows = np.zeros((size, 1 + problem.words), np.int64)
    rows[0, 0] = start
    heads = np.full(2 * size, -1, np.int32)
    following = np.empty(size, np.int32)
    stack = np.zeros((3, size + 1), np.int64)
    progress = np.zeros(PROGRESS, np.int64)
    effort = _STROKE + 64 * calls
    told = search(problem, effects, rows, heads, following, stack, progress, effort)
    while told == FULL and size < _STROKE_ROWS + 4 * calls:
        size *= 2
        rows = np.concatenate((rows, np.zeros_like(rows)))
        heads = np.empty(2 * size, np.int32)
        following = rehash(problem, rows, progress[ROWS], heads)
        longer = np.zeros((3, size + 1), np.int64)
        longer[:, : stack.shape[1]] = stack
        stack = longer
        told = search(problem, effects, rows, heads, following, stack, progress, effort)
    return told, progress[ROWS], progress[FURTHEST]


@compiled
def _try_all(problem: Problem, effects: Effects, starts: NDArray[np.int64], calls: int) -> int:
    """Searches from each of some states: `LINEARIZABLE` from one, `IMPOSSIBLE` from all, or something else."""
    for start in starts:
        told, _, _ = _try(problem, effects, start, calls)
        if told != IMPOSSIBLE:
            return told
    return IMPOSSIBLE


def decide(
    steps: Steps,
    operation: NDArray[np.int32],
    invoked: NDArray[np.int64],
    returned: NDArray[np.int64],
    budget: Budget,
) -> Decision:
    """Decides whether calls, in the order of their invocation, are linearizable from the initial state."""
    size, slots = measure(invoked, returned, budget.nbytes // 16)
    if size < 0:
        why = f"more calls are pending at once than fit into {budget.nbytes / 1e6:,.0f} MB"
        return Decision(None, None, 0, np.zeros((0, 1), np.int64), why)
    problem = make_problem(steps.effects, operation, invoked, returned, size, slots)
    return _search(problem, steps, budget, 0)


def possible(  # noqa: PLR0913, PLR0917 - the columns of the calls
    steps: Steps,
    starts: NDArray[np.int64],
    operation: NDArray[np.int32],
    invoked: NDArray[np.int64],
    returned: NDArray[np.int64],
    budget: Budget,
) -> bool | None:
    """Decides whether calls are linearizable from any of some states; None where a budget ended it."""
    size, slots = measure(invoked, returned, budget.nbytes // 16)
    if size < 0 or budget.exhausted():
        return None
    problem = make_problem(steps.effects, operation, invoked, returned, size, slots)
    told = _try_all(problem, steps.effects, starts, len(operation))
    if told in (LINEARIZABLE, IMPOSSIBLE):
        return told == LINEARIZABLE
    for start in starts.tolist():
        valid = _search(problem, steps, budget, start).valid
        if valid is not False:
            return valid
    return False


def _search(problem: Problem, steps: Steps, budget: Budget, start: int) -> Decision:
    rows = np.zeros((_FIRST_ROWS, 1 + problem.words), np.int64)
    rows[0, 0] = start
    heads = np.full(2 * _FIRST_ROWS, -1, np.int32)
    following = np.empty(_FIRST_ROWS, np.int32)
    stack = np.zeros((3, _FIRST_ROWS + 1), np.int64)
    progress = np.zeros(PROGRESS, np.int64)
    why: str | None = None
    while True:
        before = int(progress[ROWS])
        told = search(problem, steps.effects, rows, heads, following, stack, progress, _EFFORT)
        budget.spend(int(progress[ROWS]) - before)
        if told == ASKS:
            why = _answer(steps, int(progress[ASKED_STATE]), _asked(problem, rows, stack, progress), budget)
        elif told == FULL:
            why = budget.too_large(2 * (rows.nbytes + heads.nbytes + following.nbytes + stack.nbytes))
            if not why:
                rows = np.concatenate((rows, np.zeros_like(rows)))
                heads = np.empty(2 * len(heads), np.int32)
                following = rehash(problem, rows, int(progress[ROWS]), heads)
                stack = np.concatenate((stack, np.zeros((3, len(rows) + 1 - stack.shape[1]), np.int64)), axis=1)
        elif told == PAUSED:
            why = budget.exhausted()
        if told not in (ASKS, FULL, PAUSED) or why:
            valid = None if why else told == LINEARIZABLE
            return Decision(valid, problem, int(progress[FURTHEST]), rows[: int(progress[ROWS])], why or "")


def _answer(steps: Steps, state: int, operations: list[int], budget: Budget) -> str | None:
    """Computes steps; says why the search must end, None where it goes on."""
    try:
        steps.compute(state, operations, budget)
    except TooLargeError as error:
        return str(error)
    return budget.too_large(steps.nbytes) or budget.exhausted()


def _asked(
    problem: Problem, rows: NDArray[np.int64], stack: NDArray[np.int64], progress: NDArray[np.int64]
) -> list[int]:
    """Returns the operation whose step is asked for, and those that will be asked for next."""
    k = int(rows[stack[0, max(int(progress[DEPTH]) - 1, 0)], 0]) >> 32
    begin, end = problem.pending_start[k], problem.pending_start[min(k + _AHEAD, len(problem.call))]
    return [int(progress[ASKED_OPERATION]), *problem.pending_operation[begin : min(end, begin + _AHEAD_MOST)].tolist()]


class CompiledSearch:
    """The search of one object as an explanation asks it, with the model's own states.

    Attributes:
        model: Who is asked.
    """

    def __init__(self, steps: Steps, budget: Budget) -> None:
        self.model = steps.model
        self._steps = steps
        self._budget = budget
        self._reached = np.zeros(1, np.int64)

    def decide(
        self, operation: NDArray[np.int32], invoked: NDArray[np.int64], returned: NDArray[np.int64]
    ) -> Found | None:
        """See `analysis.linear.found.Search`."""
        done = decide(self._steps, operation, invoked, returned, self._budget)
        if done.valid is None or done.problem is None:
            return None
        waiting = done.rows[:, 0]
        states = np.unique(waiting[(waiting >> 32) == done.furthest] & 0xFFFFFFFF).tolist()
        order = done.problem.call[: done.furthest + 1].tolist()
        return Found(done.valid, order, [self._steps.states[state] for state in states])

    def possible(
        self, operation: NDArray[np.int32], invoked: NDArray[np.int64], returned: NDArray[np.int64]
    ) -> bool | None:
        """See `analysis.linear.found.Search`."""
        return possible(self._steps, self._reached, operation, invoked, returned, self._budget)

    def close(self) -> bool:
        """See `analysis.linear.found.Search`."""
        reached = {0: None}  # in their order
        waiting = [0]
        while waiting and len(reached) <= MOST_STATES:
            try:
                after = self._steps.after(waiting.pop(), self._budget)
            except TooLargeError:
                return False
            fresh = [state for state in after if state not in reached]
            reached |= dict.fromkeys(fresh)
            waiting += fresh
        self._reached = np.array(list(reached), np.int64)
        return len(reached) <= MOST_STATES
