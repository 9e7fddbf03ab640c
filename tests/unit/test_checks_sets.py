"""`set` and `set-full` against Jepsen's definitions, word for word, on drawn histories; each count by hand."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from analysis.checks import final_set, set_full
from analysis.errors import AnalysisError
from analysis.intervals import format_intervals
from analysis.table import Table, table_of
from tests.unit.drawn import Call, Event, completions, ended, interleaved, mapped, ok, operations_of, renamed, shifted
from tests.unit.drawn import table as table_with

if TYPE_CHECKING:
    from analysis.history import Operation

pytestmark = pytest.mark.unit

ELEMENTS = st.integers(0, 4)
ADDS = st.builds(
    lambda element, end: Call("add", element, end, element),
    ELEMENTS,
    st.sampled_from(["ok", "ok", "fail", "info", None]),
)
READS = st.builds(
    lambda answer, end: Call("read", None, end, answer),
    st.lists(st.integers(0, 5), max_size=5) | st.just([0, 1, 2]),
    st.sampled_from(["ok", "ok", "ok", "fail", "info"]),
)
HISTORIES = interleaved(ADDS | READS)


def counts(result: dict[str, Any]) -> dict[str, int]:
    return {key.removesuffix("_count"): value for key, value in result.items() if key.endswith("_count") and value}


def jepsens_set(history: list[Operation]) -> dict[str, Any]:
    """jepsen.checker/set."""
    attempts = {o.value for o in history if o.f == "add" and o.type == "invoke"}
    adds = {o.value for o in history if o.f == "add" and o.type == "ok"}
    reads = [o.value for o in history if o.f == "read" and o.type == "ok"]
    if not reads or reads[-1] is None:
        return {"valid": "unknown"}
    read = set(reads[-1])
    fates = {"lost": adds - read, "recovered": (read & attempts) - adds, "unexpected": read - attempts}
    valid = False if fates["lost"] or fates["unexpected"] else True if adds else "unknown"
    duplicated = {element for element, count in Counter(reads[-1]).items() if count > 1}
    return {"valid": valid, **{k: format_intervals(v) for k, v in (fates | {"duplicated": duplicated}).items()}}


@given(HISTORIES)
def test_set_is_jepsens(history: list[Operation]) -> None:
    result = final_set.check(table_of(history))
    expected = jepsens_set(history)
    assert {key: result[key] for key in expected} == expected


def jepsens_set_full(history: list[Operation]) -> dict[str, Any]:
    """jepsen.checker/set-full: one pass over the history, each read told to each element; costs elements x reads."""
    invocation = {end.index: begun for begun, end in completions(history).values() if end}
    elements: dict[int, dict[str, Any]] = {}
    duplicated: set[int] = set()
    for o in history:
        if o.f == "add" and o.type == "invoke":
            elements[o.value] = {"known": None, "present": None, "absent": None}
        elif o.f == "add" and o.type == "ok":
            elements[o.value]["known"] = elements[o.value]["known"] or o
        elif o.f == "read" and o.type == "ok":
            duplicated |= {element for element, count in Counter(o.value).items() if count > 1}
            begun = invocation[o.index]
            for element, state in elements.items():
                seen = "present" if element in o.value else "absent"
                if seen == "present":
                    state["known"] = state["known"] or o
                if state[seen] is None or state[seen].index < begun.index:
                    state[seen] = begun
    return set_full_results(elements) | {
        "attempt_count": len(elements),
        "duplicated": format_intervals(duplicated),
        **({"valid": False} if duplicated else {}),
    }


def set_full_results(elements: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """The outcome of each element, and what Jepsen makes of all."""
    fates: dict[str, set[int]] = {"stable": set(), "lost": set(), "never_read": set(), "stale": set()}
    latencies = []
    for element, state in elements.items():
        known, present, absent = state["known"], state["present"], state["absent"]
        if present and (not absent or absent.index < present.index):
            fates["stable"].add(element)
            late = absent and absent.index > known.index  # Jepsen asks the clock, truncated to milliseconds
            latencies.append(absent.time + 1 - known.time if late else 0)
            fates["stale"] |= {element} if late else set()
        elif known and absent and (not present or present.index < absent.index) and known.index < absent.index:
            fates["lost"].add(element)
        else:
            fates["never_read"].add(element)
    valid: Any = True if fates["stable"] else "unknown"
    return {
        "valid": False if fates["lost"] else valid,
        "stable_count": len(fates.pop("stable")),
        "latest": max(latencies, default=None),
        **{name: format_intervals(fate) for name, fate in fates.items()},
    }


@settings(max_examples=500)
@given(HISTORIES)
@example(operations_of([*ended("add", 1, None), *ok("read", None, [1], process=1)]))
@example(
    operations_of(
        [
            (0, "invoke", "add", 1),
            (1, "invoke", "read", None),
            *ok("read", None, [], process=2),  # began later than the one that has it, ended before it was known
            (1, "ok", "read", [1]),
        ]
    )
)
def test_set_full_is_jepsens(history: list[Operation]) -> None:
    result = set_full.check(table_of(history))
    result["latest"] = (result["stable_latencies_ns"] or {}).get("1")
    expected = jepsens_set_full(history)
    assert {key: result[key] for key in expected} == expected


@given(HISTORIES)
@pytest.mark.parametrize("check", [final_set.check, set_full.check])
def test_names_times_and_kinds_of_values_change_nothing(check: Any, history: list[Operation]) -> None:
    def as_text(value: Any) -> Any:
        return [f"e{element}" for element in value] if isinstance(value, list) else value and f"e{value}"

    def far_apart(value: Any) -> Any:
        return [e * 10**12 for e in value] if isinstance(value, list) else None if value is None else value * 10**12

    plain = check(table_of(history))
    assert check(renamed(history)) == check(shifted(history)) == plain
    for change in (as_text, far_apart):
        changed = check(mapped([o for o in history if o.value != 0], change))
        assert counts(changed) == counts(check(table_of([o for o in history if o.value != 0])))


@given(st.sets(st.integers(0, 50), min_size=2), st.integers(1, 4), st.data())
def test_an_element_taken_out_of_the_last_read_is_lost(elements: set[int], reads: int, data: st.DataObject) -> None:
    events = [event for element in sorted(elements) for event in ok("add", element)]
    gone = data.draw(st.sampled_from(sorted(elements)))
    whole = [*events, *ok("read", None, sorted(elements)) * reads]
    torn = [*whole, *ok("read", None, sorted(elements - {gone}))]
    for check in (final_set.check, set_full.check):
        assert check(table_with(*whole))["valid"] is True
        result = check(table_with(*torn))
        assert (result["valid"], result["lost"]) == (False, str(gone))


@pytest.mark.parametrize(
    ("events", "valid", "expected"),
    [
        ([*ok("add", 1), *ok("read", None, [1])], True, {"acknowledged": 1, "ok": 1}),
        ([*ok("add", 1), *ok("read", None, [])], False, {"acknowledged": 1, "lost": 1}),
        ([*ok("add", 1), *ok("read", None, [1, 2])], False, {"acknowledged": 1, "ok": 1, "unexpected": 1}),
        ([*ok("add", 1), *ended("add", 2, "fail"), *ok("read", None, [1, 2])], True,
         {"acknowledged": 1, "ok": 2, "recovered": 1}),
        ([*ok("add", 1), *ended("add", 2, None, 5), *ok("read", None, [2, 1, 2])], True,
         {"acknowledged": 1, "ok": 2, "recovered": 1, "duplicated": 1}),
        ([*ok("add", 1), *ended("read", None, "fail")], "unknown", {"acknowledged": 1}),
        ([*ok("add", 1), (0, "invoke", "read", None), (0, "ok", "read", None)], "unknown", {"acknowledged": 1}),
        ([*ended("add", 1, "info"), *ok("read", None, [1], 3)], "unknown", {"ok": 1, "recovered": 1}),
        ([*ok("read", None, [])], "unknown", {}),
    ],
)  # fmt: skip
def test_each_count_of_set(events: list[Event], valid: Any, expected: dict[str, int]) -> None:
    result = final_set.check(table_with(*events))
    assert result["valid"] == valid
    assert {name: count for name, count in counts(result).items() if name != "attempt"} == expected


def test_a_stale_element_is_told_to_the_nanosecond() -> None:
    events = [*ok("add", 1), *ok("read", None, []), *ok("read", None, [1])]
    history = table_with(*events)
    result = set_full.check(history)
    assert result["valid"] is True
    assert counts(result) == {"attempt": 1, "read": 2, "stable": 1, "stale": 1}
    assert result["worst_stale"] == [{"value": 1, "latency_ns": 1001, "known_line": 2, "absent_line": 3}]
    assert result["stable_latencies_ns"] == {"0": 1001, "0.5": 1001, "0.95": 1001, "0.99": 1001, "1": 1001}
    assert set_full.check(history, linearizable=True)["valid"] is False


def test_a_read_that_began_before_the_add_ended_proves_no_staleness() -> None:
    events = [(1, "invoke", "read", None), *ok("add", 1), (1, "ok", "read", []), *ok("read", None, [1])]
    result = set_full.check(table_with(*events), linearizable=True)
    assert (result["valid"], result["stale_count"]) == (True, 0)


def test_an_element_that_came_and_went_is_lost_after_a_while() -> None:
    result = set_full.check(table_with(*ok("add", 1), *ok("read", None, [1]), *ok("read", None, [])))
    assert (result["valid"], result["lost"]) == (False, "1")
    assert result["lost_latencies_ns"] == {"0": 1001, "0.5": 1001, "0.95": 1001, "0.99": 1001, "1": 1001}
    assert result["reason"] == "1 of 1 element lost (100.0 %)"


def test_what_set_full_counts_and_does_not_judge() -> None:
    result = set_full.check(table_with(*ok("add", 1), *ok("read", None, [1, 7, "x"]), *ended("add", 3, "info")))
    assert (result["valid"], result["unexpected"], result["never_read"]) == (True, '7 "x"', "3")
    assert "2 elements read that nobody added" in result["reason"]


@pytest.mark.parametrize("element", [1, "a", [1, 2], {"k": [1]}, 2**80, True, None, 1.5])
def test_an_element_listed_twice_is_invalid_whatever_it_is(element: Any) -> None:
    events = [(0, "invoke", "add", element), (0, "ok", "add", element)]
    once = set_full.check(table_with(*events, *ok("read", None, [element, 5, 6])))
    twice = set_full.check(table_with(*events, *ok("read", None, [element, 5, element])))
    assert (once["valid"], once["duplicated_count"]) == (True, 0)
    assert (twice["valid"], twice["duplicated_count"]) == (False, 1)


def test_values_of_different_kinds_are_different_elements() -> None:
    elements = [1, "1", True, 1.0, [1], None]
    events = [event for e in elements for event in [(0, "invoke", "add", e), (0, "ok", "add", e)]]
    result = final_set.check(table_with(*events, *ok("read", None, elements[:2])))
    assert (result["attempt_count"], result["lost_count"], result["lost"]) == (6, 4, "1.0 [1] null true")


def test_two_elements_read_as_a_pair_of_numbers_are_a_list() -> None:
    history = table_with(*ok("add", 3), *ok("add", 4), *ok("read", None, [3, 4]))
    assert final_set.check(history)["ok_count"] == set_full.check(history)["stable_count"] == 2


@pytest.mark.parametrize(("events", "reason"), [
    ([*ok("add", 1)], "the set was never read"),
    ([*ok("read", None, [])], "no element was added"),
    ([*ended("add", 1, "info"), *ok("read", None, [], 3)], "no element was seen to stay"),
    ([], "no element was added"),
])  # fmt: skip
def test_without_evidence_set_full_is_unknown(events: list[Event], reason: str) -> None:
    result = set_full.check(table_with(*events))
    assert (result["valid"], result["reason"]) == ("unknown", reason)


@pytest.mark.parametrize("check", [final_set.check, set_full.check])
def test_a_read_that_is_no_list_is_told_with_its_line(check: Any) -> None:
    bad: Table = table_with(*ok("add", 1), *ok("read", None, {"a": 1}))
    with pytest.raises(AnalysisError, match=r'history:4:1: an ok read needs a list of elements, found {"a":1}'):
        check(bad)


def test_many_small_batches_tell_what_one_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    events = [event for e in range(9) for event in [*ok("add", e), *ok("read", None, [*range(e % 5), *range(5, e)])]]
    whole = set_full.check(table_with(*events))
    monkeypatch.setattr(set_full, "_BATCH", 3)
    assert set_full.check(table_with(*events)) == whole
    assert whole["lost_count"]
    assert whole["stable_count"]
