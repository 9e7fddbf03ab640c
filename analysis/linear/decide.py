"""Decides one object: gives the compiled search what it asks for, within a budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from analysis.linear.problem import Problem, make_problem
from analysis.linear.search import (
    ASKED_OPERATION,
    ASKED_STATE,
    ASKS,
    DEPTH,
    FULL,
    FURTHEST,
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
    from analysis.linear.steps import Steps

_EFFORT: Final = 500_000  # choices between two looks at the clock: some milliseconds
_FIRST_ROWS: Final = 512
_AHEAD: Final = 4  # returns whose pending calls' steps are computed together


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


def decide(  # noqa: PLR0913, PLR0917 - the columns of the calls
    steps: Steps,
    operation: NDArray[np.int32],
    invoked: NDArray[np.int64],
    returned: NDArray[np.int64],
    budget: Budget,
    starts: tuple[int, ...] = (0,),
) -> Decision:
    """Decides whether calls, in the order of their invocation, are linearizable from one of some states."""
    problem = make_problem(steps.natures, operation, invoked, returned, budget.nbytes // 16)
    if problem is None:
        why = f"more calls are pending at once than fit into {budget.nbytes / 1e6:,.0f} MB"
        return Decision(None, None, 0, np.zeros((0, 1), np.int64), why)
    for start in starts:
        decision = _search(problem, steps, budget, start)
        if decision.valid is not False:
            break
    return decision


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
        told = search(
            problem, steps.natures, steps.keys, steps.values, rows, heads, following, stack, progress, _EFFORT
        )
        budget.spent += int(progress[ROWS]) - before
        if told == ASKS:
            steps.compute(int(progress[ASKED_STATE]), _asked(problem, rows, stack, progress))
            why = budget.too_large(steps.nbytes) or budget.exhausted()
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


def _asked(
    problem: Problem, rows: NDArray[np.int64], stack: NDArray[np.int64], progress: NDArray[np.int64]
) -> list[int]:
    """Returns the operation whose step is asked for, and those that will be asked for next."""
    k = int(rows[stack[0, max(int(progress[DEPTH]) - 1, 0)], 0]) >> 32
    begin, end = problem.pending_start[k], problem.pending_start[min(k + _AHEAD, len(problem.call))]
    return [int(progress[ASKED_OPERATION]), *problem.pending_operation[begin:end].tolist()]
