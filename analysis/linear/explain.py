"""Why a history is not linearizable, as the series prints it, and the smallest window that is contradictory by itself.

"Linearizable prefix was ... Followed by inconsistent operation ... Last consistent worlds ... Inconsistent state
transitions".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypedDict

import numpy as np

from analysis.linear.effects import NEVER
from analysis.linear.model import UNKNOWN, Operation, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from analysis.linear.calls import Calls
    from analysis.linear.found import Found, Search
    from analysis.run_folder import Window
    from analysis.table import Table

SHOWN: Final = 20  # states, pending operations, operations of the prefix
MOST_LETTERS_OF_STATE: Final = 2000
MOST_MEMBERS: Final = 200  # operations of a window
MOST_OPERATIONS: Final = 1024  # distinct; beyond, a window is not asked whether it is contradictory by itself


class Told(TypedDict):
    """One operation, for people.

    Attributes:
        text: Such as `read -> 3`.
        invoked_s: Seconds since T0.
        returned_s: Seconds since T0; None: never.
        fault: The window that held when it returned, or was invoked; empty outside of all.
    """

    text: str
    process: int
    node: str
    line: int
    returned_line: int | None
    invoked_s: float
    returned_s: float | None
    fault: str


class Contradiction(TypedDict):
    """Why a history is not linearizable.

    Attributes:
        prefix_count: The completions before it, which are linearizable.
        prefix: The last of them.
        operation: The one that cannot be placed.
        states: The states that are possible just before it returns.
        refusals: Why it is not possible in each.
        pending: The operations that are concurrent with its return, it left out.
        window_proven: Whether the window's operations are contradictory by themselves, whatever came before them.
        window: The smallest run of completions that ends with it and is contradictory; pending ones included. Of a
            long one the last operations.
        window_count: How many operations it has.
        timed: Whether the history has times; else they are the places of the events.
    """

    prefix_count: int
    prefix: list[Told]
    operation: Told
    states: list[Any]
    refusals: list[str]
    pending: list[Told]
    window_proven: bool
    window: list[Told]
    window_count: int
    timed: bool


def explain(table: Table, windows: Sequence[Window], calls: Calls, search: Search) -> Contradiction | None:
    """Explains why the calls of one object are not linearizable; None where the search gives up before.

    It searches them once more, with the model's own states, which the verdict may have done without.
    """
    found = search.decide(calls.operation, calls.invoked, calls.returned)
    if found is None or found.valid:
        return None
    bad, model = found.order[-1], search.model
    told: dict[int, Told] = {}

    def tell(places: Iterable[int]) -> list[Told]:
        for place in places:
            if place not in told:
                told[place] = _tell(table, windows, calls, place)
        return [told[place] for place in places]

    asked = calls.operations[calls.operation[bad]]
    refused = [state for state in found.states if model.step(state, *asked) is None]
    first, proven = _smallest_window(calls, found, search)
    members = _members(calls, found.order[first], bad)
    return {
        "prefix_count": len(found.order) - 1,
        "prefix": tell(found.order[-1 - SHOWN : -1]),
        "operation": tell([bad])[0],
        "states": [_brief(model.show(state)) for state in found.states[:SHOWN]],
        "refusals": [model.refuse(state, asked) for state in refused[:SHOWN]],
        "pending": tell(_pending(calls, bad)[:SHOWN].tolist()),
        "window_proven": proven,
        "window_count": len(members),
        "window": tell(_latest(members, bad).tolist()),
        "timed": not bool((table.time == np.arange(len(table))).all()),
    }


def _brief(shown: Any) -> Any:  # noqa: ANN401 - a JSON value
    """Returns a state as it is, or, where it is long, its ends."""
    return shown if len(str(shown)) <= MOST_LETTERS_OF_STATE else text(shown)


def _latest(members: NDArray[np.int64], bad: int) -> NDArray[np.int64]:
    """Returns the operations of a window that were invoked last, and the impossible one."""
    if len(members) <= MOST_MEMBERS:
        return members
    return np.unique(np.append(members[-MOST_MEMBERS:], bad))


def show_operation(operation: Operation) -> str:
    """Returns an operation as a person reads it: `write 3`, `read -> nil`, `cas 1 2`."""
    f, argument, result = operation
    asked = f if argument is None else f"{f} {text(argument)}"
    answered = f == "read" or (result is not None and result is not UNKNOWN)
    return f"{asked} -> {text(result)}" if answered else asked


def _tell(table: Table, windows: Sequence[Window], calls: Calls, place: int) -> Told:
    invoked, returned = int(calls.invoked[place]), int(calls.returned[place])
    ended = None if returned == NEVER else returned
    at = int(table.time[invoked if ended is None else ended])
    node = int(table.node[invoked])
    return {
        "text": show_operation(calls.operations[calls.operation[place]]),
        "process": int(table.process[invoked]),
        "node": table.node_names[node] if node >= 0 else "",
        "line": int(table.line[invoked]),
        "returned_line": None if ended is None else int(table.line[ended]),
        "invoked_s": int(table.time[invoked]) / 1e9,
        "returned_s": None if ended is None else int(table.time[ended]) / 1e9,
        "fault": next((window.name for window in windows if window.from_time <= at < window.until_time), ""),
    }


def _pending(calls: Calls, bad: int) -> NDArray[np.int64]:
    at = calls.returned[bad]
    return np.flatnonzero((calls.invoked < at) & (calls.returned > at))


def _members(calls: Calls, first: int, bad: int) -> NDArray[np.int64]:
    """Returns the calls invoked before the impossible return that did not return before the first."""
    return np.flatnonzero((calls.invoked < calls.returned[bad]) & (calls.returned >= calls.returned[first]))


def _smallest_window(calls: Calls, found: Found, search: Search) -> tuple[int, bool]:
    """Returns the latest return from which on the calls are contradictory whatever state the object was in.

    A window is contradictory by itself if no state that the model can reach explains it; a longer one then is, too. So
    ever longer windows are asked until one is, and the smallest is found between the last two. Where the states cannot
    all be known, or are too many, the window is what was pending at the impossible return, and is not proven.
    """
    last = len(found.order) - 1
    bad = found.order[-1]
    if len(calls.operations) > MOST_OPERATIONS or not search.close():
        return last, False

    def contradictory(first: int) -> bool | None:
        members = _members(calls, found.order[first], bad)
        ends = np.where(calls.returned[members] > calls.returned[bad], NEVER, calls.returned[members])
        valid = search.possible(calls.operation[members], calls.invoked[members], ends)
        return None if valid is None else not valid

    length, good = 1, last + 1  # no window from `good` on is contradictory
    while not (told := contradictory(first := max(last + 1 - length, 0))):
        if told is None or first == 0:
            return 0, told is not None and bool(first)
        good, length = first, 2 * length
    while good - first > 1:
        middle = (first + good) // 2
        if contradictory(middle):
            first = middle
        else:
            good = middle
    return first, True
