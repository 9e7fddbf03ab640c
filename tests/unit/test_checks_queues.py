"""`queue` and `total-queue` against Jepsen's definitions over multisets, on drawn histories; each count by hand."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.checks import total_queue, unordered_queue
from analysis.checks.elements import listed
from analysis.errors import AnalysisError
from analysis.table import table_of
from tests.unit.drawn import Call, Event, completions, ended, interleaved, mapped, ok, renamed, shifted
from tests.unit.drawn import table as table_with

if TYPE_CHECKING:
    from analysis.history import Operation

pytestmark = pytest.mark.unit

VALUES = st.integers(0, 3)
ENDS = st.sampled_from(["ok", "ok", "ok", "fail", "info", None])
ENQUEUES = st.builds(lambda value, end: Call("enqueue", value, end, value), VALUES, ENDS)
DEQUEUES = st.builds(lambda value, end: Call("dequeue", None, end, value), VALUES | st.none(), ENDS)
DRAINS = st.builds(lambda values, end: Call("drain", None, end, values), st.lists(VALUES, max_size=4), ENDS)
HISTORIES = interleaved(ENQUEUES | ENQUEUES | DEQUEUES | DRAINS, max_calls=14)


def came_out(operation: Operation) -> list[int]:
    """What an event took out of the queue."""
    if operation.type != "ok" or operation.value is None:
        return []
    return {"dequeue": [operation.value], "drain": operation.value}.get(operation.f, [])


def jepsens_total_queue(history: list[Operation]) -> dict[str, Any]:
    """jepsen.checker/total-queue, with losses that crashed operations explain, or vain drains, as unknown."""
    attempts = Counter(o.value for o in history if o.f == "enqueue" and o.type == "invoke")
    enqueues = Counter(o.value for o in history if o.f == "enqueue" and o.type == "ok")
    dequeues = Counter(value for o in history for value in came_out(o))
    taking = [(begun, end) for begun, end in completions(history).values() if begun.f in {"dequeue", "drain"}]
    crashed = Counter(begun.f for begun, end in taking if end is None or end.type == "info")
    fates = {
        "lost": enqueues - dequeues,
        "unexpected": Counter({value: count for value, count in dequeues.items() if value not in attempts}),
        "duplicated": Counter({v: c for v, c in (dequeues - attempts).items() if v in attempts}),
        "recovered": (dequeues & attempts) - enqueues,
    }
    answered = any(end and end.type == "ok" for _, end in taking)
    lost = fates["lost"].total() if answered else 0
    drains = [end and end.type for begun, end in taking if begun.f == "drain"]
    explained = crashed["drain"] or lost <= crashed["dequeue"] or (drains and "ok" not in drains)
    valid: Any = "unknown" if not answered or not enqueues or lost else True
    return {
        "valid": False if fates["unexpected"] or (lost and not explained) else valid,
        "ok_count": (dequeues & attempts).total(),
        **{f"{name}_count": fate.total() for name, fate in fates.items()},
        **{name: listed(fate) for name, fate in fates.items()},
    }


@settings(max_examples=500)
@given(HISTORIES)
def test_total_queue_is_jepsens(history: list[Operation]) -> None:
    result = total_queue.check(table_of(history))
    expected = jepsens_total_queue(history)
    assert {key: result[key] for key in expected} == expected


def jepsens_queue(history: list[Operation]) -> dict[str, Any]:
    """jepsen.checker/queue over an unordered queue, one step after the other."""
    queue: Counter[int] = Counter()
    from_nowhere = []
    for operation in history:
        if operation.f == "enqueue" and operation.type == "invoke":
            queue[operation.value] += 1
        for value in came_out(operation):
            if queue[value]:
                queue[value] -= 1
            else:
                from_nowhere.append((operation.index + 1, value))
    some = any(came_out(operation) for operation in history)
    return {
        "valid": not from_nowhere if some else "unknown",
        "unexpected_count": len(from_nowhere),
        "unexpected": listed({value for _, value in from_nowhere}),
        "first_line": from_nowhere[0][0] if from_nowhere else None,
        "left_count": queue.total(),
    }


@settings(max_examples=500)
@given(HISTORIES)
def test_queue_is_jepsens(history: list[Operation]) -> None:
    result = unordered_queue.check(table_of(history))
    expected = jepsens_queue(history)
    assert {key: result[key] for key in expected} == expected


@given(HISTORIES)
@pytest.mark.parametrize("check", [total_queue.check, unordered_queue.check])
def test_names_times_and_kinds_of_values_change_nothing(check: Any, history: list[Operation]) -> None:
    def as_text(value: Any) -> Any:
        return (
            [f"e{element}" for element in value] if isinstance(value, list) else None if value is None else f"e{value}"
        )

    def numbers(result: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in result.items() if key == "valid" or key.endswith("_count")}

    assert check(renamed(history)) == check(shifted(history)) == check(table_of(history))
    assert numbers(check(mapped(history, as_text))) == numbers(check(table_of(history)))


IN = [event for value in (1, 2, 3) for event in ok("enqueue", value)]


@pytest.mark.parametrize(
    ("events", "valid", "expected"),
    [
        ([*ok("dequeue", None, 2), *ok("drain", None, [1, 3])], True, {"ok": 3}),
        ([*ok("dequeue", None, 2), *ok("drain", None, [3])], False, {"ok": 2, "lost": 1}),
        ([*ok("drain", None, [1, 2, 3, 9, 9])], False, {"ok": 3, "unexpected": 2}),
        ([*ok("drain", None, [1, 2, 3, 3, 3])], True, {"ok": 3, "duplicated": 2}),
        ([*ended("enqueue", 4, "fail"), *ok("drain", None, [1, 2, 3, 4])], True, {"ok": 4, "recovered": 1}),
        ([*ended("dequeue", None, "info", 5), *ok("drain", None, [1, 2])], "unknown",
         {"ok": 2, "lost": 1, "crashed_dequeue": 1}),
        ([*ended("dequeue", None, None, 5), *ok("drain", None, [1])], False,
         {"ok": 1, "lost": 2, "crashed_dequeue": 1}),
        ([*ended("drain", None, "info", 5), *ok("drain", None, [])], "unknown", {"lost": 3, "crashed_drain": 1}),
        ([*ended("drain", None, "info", 5), *ok("drain", None, [1, 2, 3])], True, {"ok": 3, "crashed_drain": 1}),
        ([(0, "invoke", "dequeue", None), (0, "ok", "dequeue", None)], False, {"lost": 3}),
        ([*ended("dequeue", None, "fail")], "unknown", {"lost": 3}),
        ([*ended("drain", None, "fail")], "unknown", {"lost": 3}),
        ([], "unknown", {"lost": 3}),
    ],
)  # fmt: skip
def test_each_count_of_total_queue(events: list[Event], valid: Any, expected: dict[str, int]) -> None:
    result = total_queue.check(table_with(*IN, *events))
    given = ("attempt", "acknowledged", "dequeued")
    counts = {key.removesuffix("_count"): value for key, value in result.items() if key.endswith("_count") and value}
    assert result["valid"] == valid
    assert {name: count for name, count in counts.items() if name not in given} == expected


def test_a_crashed_drain_is_told() -> None:
    result = total_queue.check(table_with(*IN, *ended("drain", None, "info", 5), *ok("drain", None, [1])))
    assert result["reason"] == (
        "2 of 3 acknowledged enqueues never came out (66.7 %), but 1 crashed drain may have taken any number"
    )


def test_a_drain_that_failed_took_nothing_out_and_tells_nothing() -> None:
    result = total_queue.check(table_with(*IN, *ok("dequeue", None, 1), *ended("drain", None, "fail")))
    assert (result["valid"], result["reason"]) == (
        "unknown",
        "2 of 3 acknowledged enqueues never came out (66.7 %), but of 1 drain none succeeded",
    )


@given(st.lists(st.integers(0, 5), min_size=1), st.data())
def test_a_value_that_comes_out_before_it_went_in_is_from_nowhere(values: list[int], data: st.DataObject) -> None:
    events = [ok("enqueue", value) for value in values] + [ok("dequeue", None, value) for value in values]
    flat = [event for pair in events for event in pair]
    assert unordered_queue.check(table_with(*flat))["valid"] is True
    assert total_queue.check(table_with(*flat))["valid"] is True
    at = data.draw(st.integers(0, len(values) - 1))
    taken = events.pop(len(values) + at)
    events.insert(values.index(values[at]), taken)
    result = unordered_queue.check(table_with(*(event for pair in events for event in pair)))
    assert (result["valid"], result["unexpected"]) == (False, str(values[at]))


def test_the_first_value_from_nowhere_is_named() -> None:
    result = unordered_queue.check(table_with(*IN, *ok("dequeue", None, 7), *ok("drain", None, [1, 1])))
    assert result["reason"] == (
        "1 value came out that nobody had put in, the first is 7 in line 8; "
        "1 value came out more often than it had been put in, the first is 1 in line 10"
    )
    assert (result["unexpected"], result["left_count"]) == ("1 7", 2)


def test_a_drain_that_is_no_list_is_told_with_its_line() -> None:
    with pytest.raises(AnalysisError, match="history:8:1: an ok drain needs a list of elements, found 5"):
        total_queue.check(table_with(*IN, *ok("drain", None, 5)))
