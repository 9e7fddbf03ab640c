"""Decides all objects of a history: the easy ones at a stroke, the others by rule or by search, on every core."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from analysis.linear.decide import INVALID, OPEN, VALID, Decision, decide, decide_at_a_stroke
from analysis.linear.effects import NEVER
from analysis.linear.problem import measure
from analysis.linear.rules import Conflict

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import NotImplementedType

    from numpy.typing import NDArray

    from analysis.linear.budget import Budget
    from analysis.linear.steps import Steps

    Rule = Callable[[int], Conflict | NotImplementedType | None]
    """What the rules say of an object, by its place."""

LONG: Final = 10_000
"""Calls from which on the rules are asked before the search."""

CROWDED: Final = 64
"""Calls that are pending at once, on the average, from which on they are, too."""

_MANY: Final = 50_000  # calls from which on threads are worth their start
_PART: Final = 200_000  # calls that are decided between two chances for Ctrl-C


class Grouped(Protocol):
    """The calls of all objects; see `analysis.linear.calls.Calls`."""

    @property
    def operation(self) -> NDArray[np.int32]:
        """Each call's operation."""

    @property
    def invoked(self) -> NDArray[np.int64]:
        """The row of each call's invocation."""

    @property
    def returned(self) -> NDArray[np.int64]:
        """The row of each call's completion."""

    @property
    def starts(self) -> NDArray[np.int64]:
        """Where each object's calls begin."""


@dataclass
class Tally:
    """What has been decided.

    Attributes:
        verdicts: int8[k], `VALID`, `INVALID` or `OPEN`.
        impossible: int64[k], the row of a completion up to which an invalid object is contradictory; `NEVER` for all.
        decisions: Of the objects that were searched and are not valid, by their place.
        conflicts: What the rules found, by the object's place.
        why: What ended it before all were decided.
    """

    verdicts: NDArray[np.int8]
    impossible: NDArray[np.int64]
    decisions: dict[int, Decision] = field(default_factory=dict)
    conflicts: dict[int, Conflict] = field(default_factory=dict)
    why: str = ""

    @property
    def invalid(self) -> list[int]:
        """The objects that are not linearizable."""
        places: list[int] = (self.verdicts == INVALID).nonzero()[0].tolist()
        return places

    @property
    def unknown(self) -> list[int]:
        """The objects that are not decided."""
        places: list[int] = (self.verdicts == OPEN).nonzero()[0].tolist()
        return places


def nothing_decided(count: int) -> Tally:
    """Returns the tally before anything is decided."""
    return Tally(np.full(count, OPEN, np.int8), np.full(count, NEVER, np.int64))


def decide_all(steps: Steps, calls: Grouped, budget: Budget, rule: Rule) -> Tally:
    """Decides object by object, until a budget that all share is used up, or somebody presses Ctrl-C."""
    tally = nothing_decided(len(calls.starts) - 1)
    try:
        _strokes(steps, calls, budget, tally)
        _searches(steps, calls, budget, rule, tally)
    except KeyboardInterrupt:
        budget.ended = "interrupted"
    tally.why = budget.ended or tally.why
    return tally


def cores() -> int:
    """Returns how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _strokes(steps: Steps, calls: Grouped, budget: Budget, tally: Tally) -> None:
    """Decides the easy ones."""
    columns = (steps.effects, calls.operation, calls.invoked, calls.returned, calls.starts)
    tables = tally.verdicts, tally.impossible
    keys = len(tally.verdicts)
    if len(calls.operation) < _MANY or keys == 1:
        budget.spend(decide_at_a_stroke(*columns, 0, keys, *tables))
        return
    bounds = np.unique(np.searchsorted(calls.starts, np.arange(0, len(calls.operation) + _PART, _PART)).clip(0, keys))

    def part(at: int) -> None:
        if not budget.exhausted():
            budget.spend(decide_at_a_stroke(*columns, int(bounds[at]), int(bounds[at + 1]), *tables))

    _on_all_cores(part, range(len(bounds) - 1), budget)


def _searches(steps: Steps, calls: Grouped, budget: Budget, rule: Rule, tally: Tally) -> None:
    """Decides what is left."""

    def one(key: int) -> None:
        tally.why = tally.why or budget.exhausted() or ""
        if not budget.exhausted():
            _search(steps, calls, budget, rule, tally, key)

    left = tally.unknown
    if min(len(left), cores()) < 2 or steps.asks:  # whoever asks the model holds the interpreter
        for key in left:
            one(key)
    else:
        _on_all_cores(one, left, budget)


def _search(steps: Steps, calls: Grouped, budget: Budget, rule: Rule, tally: Tally, key: int) -> None:  # noqa: PLR0913, PLR0917
    part = slice(calls.starts[key], calls.starts[key + 1])
    columns = calls.operation[part], calls.invoked[part], calls.returned[part]
    count = len(columns[0])
    asked = count >= LONG or measure(columns[1], columns[2], CROWDED * max(count, CROWDED))[0] < 0
    if asked and _ruled(rule, tally, key):
        return
    done = decide(steps, *columns, budget)
    if done.valid is None:
        if not asked and _ruled(rule, tally, key):
            return
        tally.why = tally.why or done.why
    tally.verdicts[key] = OPEN if done.valid is None else VALID if done.valid else INVALID
    if not done.valid:
        tally.decisions[key] = done
    if done.valid is False and done.problem:
        tally.impossible[key] = columns[2][done.problem.call[done.furthest]]


def _ruled(rule: Rule, tally: Tally, key: int) -> bool:
    """Whether the rules decide an object."""
    said = rule(key)
    if said is None:
        tally.verdicts[key] = VALID
    elif isinstance(said, Conflict):
        tally.verdicts[key], tally.conflicts[key] = INVALID, said
    return said is not NotImplemented


def _on_all_cores(work: Callable[[int], None], places: list[int] | range, budget: Budget) -> None:
    """Works on all places, several at once; Ctrl-C ends those that run, which the budget tells them."""
    budget.searches = min(cores(), len(places))
    with ThreadPoolExecutor(budget.searches) as pool:
        futures = [pool.submit(work, place) for place in places]
        try:
            for future in futures:
                future.result()
        except BaseException as error:
            budget.ended = "interrupted" if isinstance(error, KeyboardInterrupt) else "an error"
            pool.shutdown(cancel_futures=True)
            raise
    budget.searches = 1
