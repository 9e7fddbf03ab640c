"""The verdict on a whole history: each object decided apart, the first contradiction explained."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from analysis.compiled import is_loaded
from analysis.linear.budget import Budget
from analysis.linear.calls import find_calls, is_keyed
from analysis.linear.columns import columns_of
from analysis.linear.containers import FifoQueue
from analysis.linear.decide import INVALID, OPEN, VALID, CompiledSearch
from analysis.linear.effects import NEVER, WRITE
from analysis.linear.explain import explain
from analysis.linear.model import frozen, text, thawed
from analysis.linear.objects import decide_all, nothing_decided
from analysis.linear.options import Options, find_model, reading_of
from analysis.linear.plain import SHORT, PlainSearch
from analysis.linear.rules import Conflict, conflict_of_calls, conflict_of_table
from analysis.linear.steps import Steps
from analysis.table import NEMESIS_PROCESS, NIL, OK

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import NotImplementedType

    from numpy.typing import NDArray

    from analysis.linear.calls import Calls
    from analysis.linear.explain import Contradiction
    from analysis.linear.model import Model, Reading
    from analysis.linear.objects import Grouped, Tally
    from analysis.run_folder import Window
    from analysis.table import Table

LARGE: Final = 20_000
"""Events from which on the rules are asked first; below, the search explains more."""

LARGE_QUEUE: Final = 200
"""The same for queues, where a search has more states to look at."""

MOST_EXPLAINING_S: Final = 2.0
"""Seconds for the explanation of what a rule has found."""

FEW_HISTORIES: Final = 10
"""Short histories that one process decides before it loads the compiler."""

_histories = itertools.count()

MOST_KEYS: Final = 10
"""Keys that a result names."""


def check(table: Table, windows: Sequence[Window], options: Options) -> dict[str, Any]:
    """Decides whether a history is linearizable.

    Args:
        table: The history.
        windows: The faults, to say in which one the impossible operation fell.
        options: The model, how answers are to be understood, and the budgets.

    Returns:
        `valid`, `reason`, `model`, `initial`, `operation_count` (those that say something), `key_count`,
        `configuration_count`; where nothing is contradictory `tested`, whether any answer could have been wrong (of a
        history without calls `valid` is "unknown"); where invalid also `contradiction` (see `analysis.linear.explain`;
        absent where nobody asked for it, or none was found in the budget), and with keys `invalid_key_count` and
        `invalid_keys` (at most ten); where unknown with keys `unknown_key_count`.

    Raises:
        AnalysisError: If there is no such model, or it does not know a function or a value of the history.
    """
    model = find_model(options.model)
    reading = reading_of(options, model)
    keyed = model.keyed or is_keyed(table) if options.keyed == "auto" else options.keyed
    budget = Budget(options.budget_s, options.budget_bytes, options.budget_configurations)
    plain = _is_plain(table)
    asked = _Asked(table, model, reading, keyed, tuple(windows), options.explain, budget, plain)
    if plain and (grouped := asked.calls()) and (tally := _plainly(asked, grouped)):
        return _told(asked, grouped, tally, tested=_observed(asked.steps(grouped), grouped))
    if not keyed and len(table) >= (LARGE_QUEUE if type(model) is FifoQueue else LARGE):
        said = conflict_of_table(model, reading, table)
        if said is not NotImplemented:
            return _ruled(asked, said)
    return _decided(asked)


@dataclass(frozen=True)
class _Asked:
    """What is to be decided, and how."""

    table: Table
    model: Model
    reading: Reading
    keyed: bool
    windows: tuple[Window, ...]
    explain: bool
    budget: Budget
    plain: bool  # whether to try it without the compiler

    def calls(self, rows: NDArray[np.int64] | None = None) -> Calls:
        """Returns the calls, or those that were invoked in some rows."""
        return find_calls(self.table, self.model, self.reading, keyed=self.keyed, only=rows)

    def search(self, calls: Calls) -> PlainSearch:
        return PlainSearch(self.model, calls.operations, self.model.start(self.reading.initial))

    def steps(self, calls: Calls, model: Model | None = None) -> Steps:
        return Steps(model or self.model, calls.operations, self.model.start(self.reading.initial))


def _is_plain(table: Table) -> bool:
    """Whether a history is to be tried without the compiler."""
    return len(table) <= SHORT and not is_loaded() and next(_histories) < FEW_HISTORIES


def _ruled(asked: _Asked, said: Conflict | None) -> dict[str, Any]:
    """Says what a rule has decided, for a history of one object."""
    table, model = asked.table, asked.model
    ended = (table.type == OK) & (table.process != NEMESIS_PROCESS)
    count = int(np.count_nonzero(ended))
    if said is None:
        telling = np.array([name not in model.blind for name in table.f_names])[table.f]
        if asked.reading.nil_read == "wildcard":
            telling &= ~np.array([name in model.reads for name in table.f_names])[table.f] | (table.kind != NIL)
        return _fits(asked, count, 1, tested=bool((telling & ended).any()))
    reason, found = _contradiction(asked, said.calls.astype(np.int64), said)
    return _result(asked, INVALID, reason, count, 1) | found


def _decided(asked: _Asked) -> dict[str, Any]:
    """Decides object by object."""
    grouped: Grouped
    columns = columns_of(asked.table, asked.model, asked.reading, keyed=asked.keyed)
    if columns is None:
        grouped = calls = asked.calls()
        steps = asked.steps(calls, asked.model.narrowed(calls.operations))
    else:
        grouped, steps = columns, Steps(asked.model, [], None, columns.effects)

    def rule(key: int) -> Conflict | NotImplementedType | None:
        one = asked.calls(_rows(grouped, key))
        said = conflict_of_calls(asked.model, asked.reading, one.operations, one.operation, one.invoked, one.returned)
        return said._replace(calls=one.invoked[said.calls]) if isinstance(said, Conflict) else said

    return _told(asked, grouped, decide_all(steps, grouped, asked.budget, rule), tested=_observed(steps, grouped))


def _plainly(asked: _Asked, calls: Calls) -> Tally | None:
    """Decides object by object, without the compiler; None where that takes too long."""
    search, tally = asked.search(calls), nothing_decided(len(calls.keys))
    try:
        for key in range(len(calls.keys)):
            part = slice(calls.starts[key], calls.starts[key + 1])
            found = search.decide(calls.operation[part], calls.invoked[part], calls.returned[part])
            if found is None:
                return None
            tally.verdicts[key] = VALID if found.valid else INVALID
            if not found.valid:
                tally.impossible[key] = calls.returned[part][found.order[-1]]
    except KeyboardInterrupt:
        asked.budget.ended = "interrupted"
        return None
    asked.budget.spend(search.visited)
    return tally


def _told(asked: _Asked, grouped: Grouped, tally: Tally, *, tested: bool) -> dict[str, Any]:
    """Says what became of the objects; `tested` is whether any operation could have had a wrong answer."""
    invalid, unknown = tally.invalid, tally.unknown
    count, keys = len(grouped.operation), len(tally.verdicts)
    if invalid:
        first = invalid[0]
        conflict = tally.conflicts.get(first)
        of_key = f" of key {text(_key(asked.table, grouped, first))}" if asked.keyed else ""
        rows = conflict.calls if conflict else _rows(grouped, first, int(tally.impossible[first]))
        reason, found = _contradiction(asked, rows, conflict, of_key)
        reason += f"; {len(invalid) - 1:,} more keys are contradictory" if len(invalid) > 1 else ""
        result = _result(asked, INVALID, reason, count, keys) | found
    elif unknown:
        result = _result(asked, OPEN, _gave_up(tally), count, keys)
    else:
        result = _fits(asked, count, keys, tested=tested)
    if asked.keyed:
        result["invalid_key_count"] = len(invalid)
        result["invalid_keys"] = [thawed(_key(asked.table, grouped, place)) for place in invalid[:MOST_KEYS]]
        result["unknown_key_count"] = len(unknown)
    return result


def _result(asked: _Asked, verdict: int, reason: str, count: int, keys: int) -> dict[str, Any]:
    return {
        "valid": {VALID: True, INVALID: False, OPEN: "unknown"}[verdict],
        "reason": reason,
        "model": asked.model.name,
        "initial": asked.reading.initial,
        "operation_count": count,
        "key_count": keys,
        "configuration_count": asked.budget.spent,
    }


def _contradiction(
    asked: _Asked, rows: NDArray[np.int64], conflict: Conflict | None, of_key: str = ""
) -> tuple[str, dict[str, Any]]:
    """Explains calls that are not linearizable; returns the reason, and the contradiction where one is found.

    The verdict is known already: neither a budget nor Ctrl-C takes it away.
    """
    found: Contradiction | None = None
    budget = asked.budget
    if conflict and not budget.ended:  # its few calls are soon searched, whatever has been spent before
        budget = Budget(min(budget.seconds, MOST_EXPLAINING_S), budget.nbytes, budget.configurations)
    try:
        if asked.explain:
            calls = asked.calls(rows)
            if asked.plain:
                found = explain(asked.table, asked.windows, calls, asked.search(calls))
            if found is None:
                search = CompiledSearch(asked.steps(calls), budget)
                found = explain(asked.table, asked.windows, calls, search)
    except KeyboardInterrupt:
        budget.ended = "interrupted"
    if found is None:
        why = conflict.why if conflict else "no order of the operations explains the answers"
        unexplained = budget.exhausted() if asked.explain else None
        return f"not linearizable{of_key}: {why}" + (f" (not explained: {unexplained})" if unexplained else ""), {}
    bad = found["operation"]
    at = f"at {bad['returned_s']:.3f} s" if found["timed"] else f"in line {bad['returned_line']}"
    why = found["refusals"][0] if found["refusals"] else "no order of the operations explains it"
    return f"not linearizable: {bad['text']}{of_key} {at} is impossible: {why}", {"contradiction": found}


def _rows(grouped: Grouped, key: int, until: int = NEVER) -> NDArray[np.int64]:
    """Returns the rows of the invocations on a key, before some row."""
    rows = grouped.invoked[grouped.starts[key] : grouped.starts[key + 1]]
    return rows[: np.searchsorted(rows, until)]


def _key(table: Table, grouped: Grouped, place: int) -> Any:  # noqa: ANN401
    row = int(grouped.invoked[grouped.starts[place]])
    value = table.value(row)
    return frozen((table.value(int(table.pair[row])) if value is None else value)[0])


def _observed(steps: Steps, grouped: Grouped) -> bool:
    """Whether any operation that ended says something of the state that it met."""
    ended = np.zeros(len(steps.effects.code), np.bool_)
    ended[grouped.operation[grouped.returned != NEVER]] = True
    if not steps.operations:  # registers, of which the effects tell all
        return bool((steps.effects.code[ended] != WRITE).any())
    return any(steps.model.observes(steps.operations[number]) for number in ended.nonzero()[0].tolist())


def _fits(asked: _Asked, count: int, keys: int, *, tested: bool) -> dict[str, Any]:
    """The result where nothing is contradictory; whether that says anything depends on the answers that there were."""
    clients = asked.table.process != NEMESIS_PROCESS
    of_keys = f" on {keys:,} keys" if keys > 1 else ""
    verdict, reason = VALID, f"{count:,} operations{of_keys} are linearizable"
    if not tested:
        verdict = VALID if clients.any() else OPEN
        reason = "nothing was tested: no operation ended with an answer that could have been wrong"
    return _result(asked, verdict, reason, count, keys) | {"tested": tested}


def _gave_up(tally: Tally) -> str:
    keys, unknown = len(tally.verdicts), tally.unknown
    of_keys = f"; {keys - len(unknown):,} of {keys:,} keys are decided" if keys > 1 else ""
    done = next((tally.decisions[key] for key in unknown if key in tally.decisions), None)
    if done is None or done.problem is None:
        return f"undecided: {tally.why}{of_keys}"
    reached = f"came to completion {done.furthest:,} of {len(done.problem.call):,}"
    return f"undecided: {tally.why}; {reached}, with {len(done.rows):,} configurations{of_keys}"
