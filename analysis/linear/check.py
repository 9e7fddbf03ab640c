"""The verdict on a whole history: each key decided apart, the first contradiction explained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from analysis.linear.budget import Budget
from analysis.linear.calls import NEVER, Calls, find_calls, is_keyed
from analysis.linear.containers import FifoQueue
from analysis.linear.decide import Decision, decide
from analysis.linear.explain import Contradiction, explain
from analysis.linear.model import thawed
from analysis.linear.options import Options, find_model, reading_of
from analysis.linear.rules import Conflict, conflict_of_table
from analysis.linear.steps import Steps
from analysis.table import NEMESIS_PROCESS, OK

if TYPE_CHECKING:
    from types import NotImplementedType  # noqa: I001
    from collections.abc import Sequence

    from analysis.linear.model import Model, Reading
    from analysis.run_folder import Window
    from analysis.table import Table

LARGE: Final = 20_000
"""Events from which on the rule for registers is asked first; below, the search explains more."""

LARGE_QUEUE: Final = 200
"""The same for queues, where a search has more states to look at."""


@dataclass
class _Tally:
    """What has been decided so far; keys by their place."""

    invalid: list[int]
    unknown: list[int]
    first: Decision | None = None  # the first that is invalid, else the first that is unknown
    why: str = ""


def check(table: Table, windows: Sequence[Window], options: Options) -> dict[str, Any]:
    """Decides whether a history is linearizable.

    Args:
        table: The history.
        windows: The faults, to say in which one the impossible operation fell.
        options: The model, how answers are to be understood, and the budgets.

    Returns:
        `valid`, `reason`, `model`, `initial`, `operation_count` (those that say something), `key_count`,
        `configuration_count`; where invalid also `contradiction` (see `analysis.linear.explain`; absent where a rule
        without search decided and the search for an explanation found none in its budget), and with keys
        `invalid_key_count` and `invalid_keys` (at most ten); where unknown with keys `unknown_key_count`.

    Raises:
        AnalysisError: If there is no such model, or it does not know a function or a value of the history.
    """
    model = find_model(options.model)
    reading = reading_of(options, model)
    keyed = model.keyed or is_keyed(table) if options.keyed == "auto" else options.keyed
    conflict = _conflict(table, model, reading) if not keyed else NotImplemented
    if conflict is None:
        return _fits(table, model, reading)
    surely = conflict if isinstance(conflict, Conflict) else None
    only = surely.calls.astype(np.int64) if surely else None
    calls = _without_idle(find_calls(table, model, reading, keyed=keyed, only=only), model)
    steps = Steps(model, calls.operations, model.start(reading.initial))
    budget = Budget(options.budget_s, options.budget_bytes, options.budget_configurations)
    tally = _decide_all(calls, steps, budget)
    result: dict[str, Any] = {
        "valid": False if tally.invalid else "unknown" if tally.unknown else True,
        "reason": "",
        "model": model.name,
        "initial": reading.initial,
        "operation_count": len(calls.operation),
        "key_count": len(calls.keys),
        "configuration_count": budget.spent,
    }
    if tally.invalid and tally.first:
        contradiction = explain(table, windows, calls, tally.invalid[0], tally.first, steps, budget)
        result |= {"reason": _contradicted(contradiction, calls, tally), "contradiction": contradiction}
    elif tally.unknown:
        result["reason"] = _gave_up(calls, tally)
    else:
        result["reason"] = _praise(calls)
    if surely:  # the rule is sure; what the search said of these calls explains it, where it could
        result |= {"valid": False, "reason": result["reason"] if tally.invalid else f"not linearizable: {surely.why}"}
    if keyed:
        result["invalid_key_count"] = len(tally.invalid)
        result["invalid_keys"] = [thawed(calls.keys[place]) for place in tally.invalid[:10]]
        result["unknown_key_count"] = len(tally.unknown)
    return result


def _conflict(table: Table, model: Model, reading: Reading) -> Conflict | NotImplementedType | None:
    """Asks the rules without search, where a search would cost more than its explanation is worth."""
    if len(table) < (LARGE_QUEUE if type(model) is FifoQueue else LARGE):
        return NotImplemented  # type: ignore[no-any-return]
    return conflict_of_table(model, reading, table)


def _fits(table: Table, model: Model, reading: Reading) -> dict[str, Any]:
    count = int(np.count_nonzero((table.type == OK) & (table.process != NEMESIS_PROCESS)))
    return {
        "valid": True,
        "reason": f"{count:,} operations are linearizable: every value is another, and none came out of its time",
        "model": model.name,
        "initial": reading.initial,
        "operation_count": count,
        "key_count": 1,
        "configuration_count": 0,
    }


def _decide_all(calls: Calls, steps: Steps, budget: Budget) -> _Tally:
    """Decides key by key, until a budget that all share is used up, or somebody presses Ctrl-C."""
    tally = _Tally([], [])
    for key in range(len(calls.keys)):
        part = slice(calls.starts[key], calls.starts[key + 1])
        try:
            done = decide(steps, calls.operation[part], calls.invoked[part], calls.returned[part], budget)
        except KeyboardInterrupt:
            tally.why, tally.unknown = "interrupted", [*tally.unknown, *range(key, len(calls.keys))]
            break
        if done.valid is False:
            tally.first = done if not tally.invalid else tally.first
            tally.invalid.append(key)
        elif done.valid is None:
            tally.unknown.append(key)
            tally.first = tally.first or done
            tally.why = tally.why or done.why
            if budget.exhausted():
                tally.unknown += range(key + 1, len(calls.keys))
                break
    return tally


def _without_idle(calls: Calls, model: Model) -> Calls:
    """Leaves out the crashed calls that can never help."""
    crashed = calls.returned == NEVER
    if not crashed.any():
        return calls
    asked = {calls.operations[number] for number in np.unique(calls.operation[crashed]).tolist()}
    idle = model.idle(set(calls.operations), asked)
    if not idle:
        return calls
    idle_numbers = [number for number, operation in enumerate(calls.operations) if operation in idle]
    kept = ~(crashed & np.isin(calls.operation, idle_numbers))
    starts = np.concatenate(([0], np.cumsum(kept)))[calls.starts]
    return Calls(calls.operations, calls.operation[kept], calls.invoked[kept], calls.returned[kept], calls.keys, starts)


def _praise(calls: Calls) -> str:
    count = len(calls.operation)
    if not count:
        return "no operation says anything, so there is nothing to contradict"
    of_keys = f" on {len(calls.keys):,} keys" if len(calls.keys) > 1 else ""
    return f"{count:,} operations{of_keys} are linearizable"


def _contradicted(contradiction: Contradiction, calls: Calls, tally: _Tally) -> str:
    bad = contradiction["operation"]
    key = "" if calls.keys == [None] else f" of key {thawed(calls.keys[tally.invalid[0]])}"
    more = f"; {len(tally.invalid) - 1:,} more keys are contradictory" if len(tally.invalid) > 1 else ""
    why = contradiction["refusals"][0] if contradiction["refusals"] else "no order of the operations explains it"
    return f"not linearizable: {bad['text']}{key} at {bad['returned_s']:.3f} s is impossible: {why}{more}"


def _gave_up(calls: Calls, tally: _Tally) -> str:
    decided = len(calls.keys) - len(tally.unknown)
    of_keys = f"; {decided:,} of {len(calls.keys):,} keys are decided" if len(calls.keys) > 1 else ""
    if tally.first is None or tally.first.problem is None:
        return f"undecided: {tally.why}{of_keys}"
    done = tally.first
    reached = f"came to completion {done.furthest:,} of {len(tally.first.problem.call):,}"
    return f"undecided: {tally.why}; {reached}, with {len(done.rows):,} configurations{of_keys}"
