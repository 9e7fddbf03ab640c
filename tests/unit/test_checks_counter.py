"""`counter` and `unique-ids` against their definitions on drawn histories, and by hand."""

from __future__ import annotations

from collections import Counter
from itertools import chain, product
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.checks import counter, unique_ids
from analysis.errors import AnalysisError
from analysis.table import table_of
from tests.unit.drawn import Call, Event, completions, ended, interleaved, mapped, ok, renamed, shifted
from tests.unit.drawn import table as table_with

if TYPE_CHECKING:
    from analysis.history import Operation

pytestmark = pytest.mark.unit

ENDS = st.sampled_from(["ok", "ok", "ok", "fail", "info", None])
READS = st.builds(lambda value, end: Call("read", None, end, value), st.integers(-2, 8) | st.none(), ENDS)


def adds(amounts: st.SearchStrategy[int]) -> st.SearchStrategy[Call]:
    return st.builds(lambda amount, end: Call("add", amount, end, amount), amounts, ENDS)


def jepsens_counter(history: list[Operation]) -> list[tuple[int, int, int]]:
    """jepsen.checker/counter: one pass; the lower bound, the value and the upper bound of each read."""
    ends = {begun.index: end for begun, end in completions(history).values()}
    lower, upper, pending, reads = 0, 0, {}, []
    for o in history:
        if o.f == "add" and o.type == "invoke" and not ((end := ends[o.index]) and end.type == "fail"):
            upper += o.value
        elif o.f == "add" and o.type == "ok":
            lower += o.value
        elif o.f == "read" and o.type == "invoke":
            pending[o.process] = lower
        elif o.f == "read" and o.type == "ok" and o.value is not None:
            reads.append((pending[o.process], o.value, upper))
    return reads


@settings(max_examples=300)
@given(interleaved(adds(st.integers(0, 4)) | READS))
def test_increments_are_judged_as_by_jepsen(history: list[Operation]) -> None:
    result = counter.check(table_of(history))
    reads = jepsens_counter(history)
    wrong = [(low, value, high) for low, value, high in reads if not low <= value <= high]
    assert (result["read_count"], result["error_count"]) == (len(reads), len(wrong))
    assert [(each["lower"], each["value"], each["upper"]) for each in result["errors"]] == wrong
    tried = any(o.f == "read" for o in history)
    added = any(o.f == "add" and not (end and end.type == "fail") for o, end in completions(history).values())
    assert result["valid"] == (False if wrong else True if reads or (added and not tried) else "unknown")


def possible(history: list[Operation], read: Operation, answer: Operation) -> set[int]:
    """Every value that a read may see: each add happened before it, or not, as its times allow."""
    choices = []
    for begun, end in completions(history).values():
        if begun.f != "add" or (end and end.type == "fail") or begun.index > answer.index:
            continue
        must = end is not None and end.type == "ok" and end.index < read.index
        choices.append([begun.value] if must else [0, begun.value])
    return {sum(choice) for choice in product(*choices)}


@settings(max_examples=300)
@given(interleaved(adds(st.sampled_from([-1, 1])) | READS, max_calls=9))
def test_decrements_are_judged_as_by_brute_force(history: list[Operation]) -> None:
    expected = [
        answer.value in possible(history, begun, answer)
        for begun, answer in completions(history).values()
        if begun.f == "read" and answer and answer.type == "ok" and answer.value is not None
    ]
    result = counter.check(table_of(history))
    assert (result["read_count"], result["error_count"]) == (len(expected), expected.count(False))


@given(interleaved(adds(st.integers(-3, 4)) | READS))
def test_names_times_and_scale_change_nothing(history: list[Operation]) -> None:
    plain = counter.check(table_of(history))
    assert counter.check(renamed(history)) == counter.check(shifted(history)) == plain
    huge = counter.check(mapped(history, lambda value: None if value is None else value * 2**60))
    assert (huge["valid"], huge["error_count"]) == (plain["valid"], plain["error_count"])
    assert huge["upper_bound"] == plain["upper_bound"] * 2**60


@given(st.lists(st.integers(1, 9), min_size=1), st.data())
def test_a_read_moved_out_of_bounds_is_found(amounts: list[int], data: st.DataObject) -> None:
    events, total = [], 0
    for amount in amounts:
        total += amount
        events.append([*ok("add", amount), *ok("read", None, total)])
    assert counter.check(table_with(*chain.from_iterable(events)))["valid"] is True
    at = data.draw(st.integers(0, len(events) - 1))
    off = data.draw(st.sampled_from([-1, 1]))
    process, kind, f, value = events[at].pop()
    events[at].append((process, kind, f, value + off))
    result = counter.check(table_with(*chain.from_iterable(events)))
    assert (result["valid"], result["error_count"], result["worst_error"]["line"]) == (False, 1, 4 * at + 4)


def test_the_worst_read_is_named() -> None:
    result = counter.check(
        table_with(*ok("add", 5), *ok("read", None, 4), *ok("read", None, 2000), *ok("read", None, 5))
    )
    assert result["reason"] == "2 of 3 reads lie out of bounds, the worst is 2,000 in line 6, where 5 to 5 was possible"


def test_a_counter_may_begin_with_something() -> None:
    history = table_with(*ok("add", 5), *ok("read", None, 15))
    assert counter.check(history)["valid"] is False
    assert counter.check(history, initial=10)["valid"] is True
    assert counter.check(history, initial=2**70)["errors"][0]["lower"] == 2**70 + 5


@pytest.mark.parametrize(("events", "valid", "reason"), [
    ([*ok("add", 1)], True, "nothing was tested: nobody tried to read"),
    ([], "unknown", "nothing was added and nothing read"),
    ([*ok("add", 1), *ended("read", None, "fail")], "unknown", "of 1 read none told the counter's value"),
])  # fmt: skip
def test_a_counter_that_nobody_read(events: list[Event], valid: Any, reason: str) -> None:
    result = counter.check(table_with(*events))
    assert (result["valid"], result["reason"]) == (valid, reason)


@pytest.mark.parametrize(("events", "message"), [
    ([*ok("add", 1.5)], "history:1:1: add of a counter needs a whole number, found 1.5"),
    ([*ok("read", None, [1])], r"history:2:1: read of a counter needs a whole number, found \[1\]"),
])  # fmt: skip
def test_what_is_no_number_is_told_with_its_line(events: list[Event], message: str) -> None:
    with pytest.raises(AnalysisError, match=message):
        counter.check(table_with(*events))


@given(interleaved(st.builds(lambda value, end: Call("generate", None, end, value), st.integers(0, 5), ENDS)))
def test_identifiers_are_judged_by_their_number(history: list[Operation]) -> None:
    result = unique_ids.check(table_of(history))
    given_ = Counter(o.value for o in history if o.f == "generate" and o.type == "ok")
    again = {value: count for value, count in given_.items() if count > 1}
    assert result["valid"] == (False if again else True if given_ else "unknown")
    assert {each["value"]: each["count"] for each in result["duplicated"]} == again
    assert result["attempt_count"] == sum(o.f == "generate" and o.type == "invoke" for o in history)
    assert result["acknowledged_count"] == given_.total()
    assert result["range"] == ([min(given_), max(given_)] if given_ else None)
    assert unique_ids.check(renamed(history)) == unique_ids.check(shifted(history)) == result


@pytest.mark.parametrize(("ids", "valid", "range_"), [
    (["b", "a", "c"], True, ["a", "c"]), (["b", "a", "b"], False, ["a", "b"]), ([1, "1", [1], 1.0], True, None),
    ([[1, 2], [2, 1], [1, 2]], False, None), ([10**18, -(10**18), 10**18], False, [-(10**18), 10**18]),
])  # fmt: skip
def test_identifiers_may_be_anything(ids: list[Any], valid: bool, range_: Any) -> None:  # noqa: FBT001 - a parameter
    result = unique_ids.check(table_with(*(event for id_ in ids for event in ok("generate", None, id_))))
    assert (result["valid"], result["range"]) == (valid, range_)
