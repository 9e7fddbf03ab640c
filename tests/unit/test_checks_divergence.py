"""`divergence` against its definition, word for word, on drawn histories; its sentences by hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.checks import divergence
from analysis.errors import AnalysisError
from analysis.history import Operation
from analysis.intervals import format_intervals
from analysis.run_folder import Window
from analysis.table import table_of
from tests.unit.drawn import Call, completions, ended, interleaved, ok, operations_of

pytestmark = pytest.mark.unit

ADDS = st.builds(
    lambda element, end: Call("add", element, end, element),
    st.integers(0, 4),
    st.sampled_from(["ok", "info", "fail", None]),
)
COPIES = st.builds(
    lambda answer, end: Call("copy", None, end, answer),
    st.lists(st.integers(0, 4), max_size=4) | st.just([0, 1]),
    st.sampled_from(["ok", "ok", "ok", "fail"]),
)
HISTORIES = interleaved(ADDS | COPIES)
SECOND = 10**9
NODES = ("n1", "n2", "n3")


def placed(history: list[Operation]) -> list[Operation]:
    """Thread i of three talks to node i; times are seconds."""
    return [
        Operation(o.index, o.time * SECOND, o.process, o.type, o.f, o.value, None, NODES[o.process % 3])
        if isinstance(o.process, int)
        else o
        for o in history
    ]


def window(until_s: float) -> Window:
    return Window("cut-1", 0.0, until_s)


def by_the_definition(history: list[Operation], end_s: int) -> dict[str, Any]:
    """One pass over the history, in sets."""
    copies: dict[str, set[int]] = {}
    spans: dict[str, tuple[int, int]] = {}
    asked, acked = set(), set()
    for o in history:
        if o.f == "copy" and o.type == "invoke":
            asked.add(o.node)
        if o.f == "add" and o.type == "ok":
            acked.add(o.value)
    ends = sorted((done.index, begun, done) for begun, done in completions(history).values() if done)
    for _, begun, done in ends:
        if done.f == "copy" and done.type == "ok" and begun.time >= end_s * SECOND:
            copies[str(done.node)] = set(done.value)
            spans[str(done.node)] = begun.index, done.index
    union = set().union(*copies.values())
    divergent = {e for e in union if any(e not in copy for copy in copies.values())}
    unsettled = {e for e in divergent if may_have_come_between(history, e, copies, spans)}
    unread = sorted(str(node) for node in asked - copies.keys())
    unknown = len(copies) < 2 or unread or not union or unsettled
    return {
        "valid": False if divergent - unsettled else "unknown" if unknown else True,
        "copy_count": len(copies),
        "unread": unread,
        "element_count": len(union),
        "divergent_count": len(divergent),
        "acknowledged_count": len(divergent & acked),
        "unsettled_count": len(unsettled),
        "divergent": format_intervals(divergent),
        "unsettled": format_intervals(unsettled),
        "missing": {node: format_intervals(union - copy) for node, copy in copies.items()},
    }


def may_have_come_between(
    history: list[Operation], element: int, copies: dict[str, set[int]], spans: dict[str, tuple[int, int]]
) -> bool:
    """Whether there is a moment at which it came, that explains every copy and every answer."""
    adds = [
        (begun.index, done.index if done and done.type == "ok" else len(history), done)
        for begun, done in completions(history).values()
        if begun.f == "add" and begun.value == element and not (done and done.type == "fail")
    ]
    return any(
        any(begun <= after < end for begun, end, _ in adds)
        and all(after < end for _, end, done in adds if done and done.type == "ok")
        and all(spans[node][0] <= after for node, copy in copies.items() if element not in copy)
        and all(spans[node][1] > after for node, copy in copies.items() if element in copy)
        for after in range(len(history))
    )


@settings(max_examples=400)
@given(HISTORIES, st.integers(0, 12))
def test_copies_are_compared_as_sets(history: list[Operation], end: int) -> None:
    history = placed(history)
    result, expected = divergence.check(table_of(history), [window(end)]), by_the_definition(history, end)
    told = {node: group["missing"] for group in result["groups"] for node in group["nodes"]}
    assert {key: result.get(key) for key in expected if key != "missing"} | {"missing": told} == expected
    sizes = [len(group["nodes"]) for group in result["groups"]]
    assert sizes == sorted(sizes, reverse=True)
    assert len({group["missing"] for group in result["groups"]}) == len(sizes), "nodes with the same copy are one group"


def judged(*copies: list[int] | None, until_s: float = 0) -> dict[str, Any]:
    events = [event for element in range(3) for event in ok("add", element)]
    for process, copy in enumerate(copies):
        events += ended("copy", None, "fail", process) if copy is None else ok("copy", None, copy, process)
    return divergence.check(table_of(placed(operations_of(events))), [window(until_s)])


@pytest.mark.parametrize(
    ("copies", "valid", "reason"),
    [
        (([0, 1], [1, 0], [0, 1]), True, "all 3 copies hold the same 2 elements"),
        (([0, 1], [0, 1, 2], [0, 1]), False, "the copies disagree on 1 element: n1 n3 | n2"),
        (([0], [1], None), False, "the copies disagree on 2 elements: n1 | n2; nobody could read the copy of n3"),
        (([0, 1], [0, 1], None), "unknown", "nobody could read the copy of n3"),
        (([0, 1], None, None), "unknown", "only one copy was read, and it takes two to disagree"),
        ((), "unknown", "no copy was read, and it takes two to disagree"),
        (([], []), "unknown", "all copies are empty, so none could lack anything"),
    ],
)
def test_what_it_says(copies: tuple[list[int] | None, ...], valid: Any, reason: str) -> None:
    result = judged(*copies)
    assert (result["valid"], result["reason"]) == (valid, reason)


def test_a_copy_that_was_read_before_the_last_fault_ended_does_not_count() -> None:
    early = judged([0, 1], [0, 1, 2], until_s=10**9)
    assert (early["valid"], early["copy_count"], early["unread"]) == ("unknown", 0, ["n1", "n2"])


def test_what_was_added_between_two_copies_is_a_doubt() -> None:
    before, after = ok("copy", None, [0], 0), ok("copy", None, [0, 1], 1)
    events = [*ok("add", 0), *before, *ok("add", 1), *after]
    result = divergence.check(table_of(placed(operations_of(events))))
    assert (result["valid"], result["divergent"], result["unsettled"]) == ("unknown", "1", "1")
    between = (
        "the copies disagree on 1 element: n1 | n2, but all of it may have been added between one copy and the next"
    )
    assert result["reason"] == between
    events = [*ok("add", 0), *after, *ok("add", 1), *before]
    result = divergence.check(table_of(placed(operations_of(events))))
    assert (result["valid"], result["unsettled_count"]) == (False, 0), "it was there before anybody added it"
    again = [*ok("add", 0), *before, *ok("add", 1), *after, *before]
    assert divergence.check(table_of(placed(operations_of(again))))["valid"] is False


def test_a_copy_that_is_no_list_is_named_with_its_line() -> None:
    with pytest.raises(AnalysisError, match=r"history:2:1: an ok copy needs a list of elements, found 5"):
        divergence.check(table_of(placed(operations_of(ok("copy", None, 5)))))
